//! A walk over what was given: bytes in place of an object's unwind data, an array in place of a
//! stack. For tests and fuzz targets; what is damaged stays inside.
//!
//! Invariant: nothing is read but the table's bytes and the stack's words, all of them in slices.

use super::frame::{Fast, Frame};
use super::frame_table::{self, Function};
use super::rule_cache;
use super::stack::Stack;
use super::walk::{Code, Visit, walk};
use super::window::Window;

/// Where a given stack begins.
pub(crate) const STACK: usize = 0x7000_0000;

/// The most frames of one walk, as in a backtrace.
const FRAMES: usize = 128;

const WORD: usize = size_of::<usize>();

/// A stack of given words.
#[derive(Debug)]
pub(crate) struct Words<'a>(pub(crate) &'a [usize]);

impl Stack for Words<'_> {
    fn word(&self, address: usize) -> Option<usize> {
        let index = address.checked_sub(STACK)? / WORD;
        address.is_multiple_of(WORD).then(|| self.0.get(index).copied())?
    }

    fn holds(&self, pointer: usize) -> bool {
        let end = self.0.len().saturating_mul(WORD).saturating_add(STACK);
        (STACK..=end).contains(&pointer)
    }

    fn unknown(_: usize) -> Self {
        Words(&[])
    }
}

/// A table of given bytes.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    /// The bytes.
    pub(crate) window: Window<'a>,
    /// Where `.eh_frame_hdr` is among them.
    pub(crate) header: usize,
}

impl Code for Table<'_> {
    fn function<T>(&mut self, address: usize, f: impl FnOnce(&Function<'_>) -> T) -> Option<T> {
        frame_table::find(self.window, self.header, address).map(|function| f(&function))
    }

    fn is(&self, address: usize, [first, second]: [u32; 2]) -> bool {
        let both = u64::from(first) | u64::from(second) << u32::BITS;
        self.window.read(address) == Some(both.to_le_bytes())
    }
}

struct Count(usize);

impl Visit for Count {
    fn frame(&mut self, _: usize, _: bool) -> Option<()> {
        self.0 = self.0.saturating_add(1);
        (self.0 < FRAMES).then_some(())
    }
}

/// Walks from `start` by rows alone: rules would outlive the damage. How many frames were found.
pub(crate) fn by_rows(table: &mut Table<'_>, start: Fast, words: &[usize]) -> usize {
    let mut count = Count(0);
    let _ = walk(Frame::of(start, |_| None), table, &mut Words(words), &mut count, false);
    count.0
}

/// Walks from `start` with rules, twice: the second time they are known. Those of earlier tables
/// are forgotten first, and these afterwards.
pub(crate) fn by_rules(table: &mut Table<'_>, start: Fast, words: &[usize]) -> [usize; 2] {
    let forget = || {
        rule_cache::closing();
        rule_cache::closed();
    };
    forget();
    let found = [(); 2].map(|()| {
        let mut count = Count(0);
        let _ = walk(Frame::of(start, |_| None), table, &mut Words(words), &mut count, true);
        count.0
    });
    forget();
    found
}

/// Walks as `bytes` say, by rows and by rules; how many frames rows found.
///
/// ```text
///   0           8          10            12     14     16     24
///   [address: 8][header: 2][table len: 2][pc: 2][sp: 2][fp: 8][table][stack: words of 8]
/// ```
/// `address` is that of the table. Header and program counter are counted from there, the latter
/// in either direction; the stack pointer is counted in words. All are little-endian.
pub(crate) fn walk_bytes(bytes: &[u8]) -> Option<usize> {
    let mut fields = Window::new(0, bytes).cursor(0)?;
    // Addresses of programs fit 48 bits.
    let address = usize::try_from(fields.u64()? & 0xffff_ffff_ffff).ok()?;
    let (header, len) = (usize::from(fields.u16()?), usize::from(fields.u16()?));
    let (pc, sp) = (isize::from(fields.u16()?.cast_signed()), usize::from(fields.u16()?));
    let fp = usize::try_from(fields.u64()?).ok()?;
    let rest = bytes.get(fields.at()..)?;
    let (table, stack) = rest.split_at(len.min(rest.len()));
    let words = stack.chunks_exact(WORD);
    let mut kept = [0; 512];
    let mut count = 0_usize;
    for (place, word) in kept.iter_mut().zip(words) {
        *place = usize::from_le_bytes(word.try_into().ok()?);
        count = count.checked_add(1)?;
    }
    let words = kept.get(..count)?;
    let start = Fast {
        pc: address.wrapping_add_signed(pc),
        sp: STACK.wrapping_add(sp.wrapping_mul(WORD)),
        fp,
        fp_is_saved: false,
    };
    let window = Window::new(address, table);
    let mut table = Table { window, header: address.wrapping_add(header) };
    let found = by_rows(&mut table, start, words);
    by_rules(&mut table, start, words);
    Some(found)
}
