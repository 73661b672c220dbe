//! One backtrace that a thread has seen, with all that it depends on beside the loaded code.

use super::ring::Piece;
use super::unwind::frame::Fast;
use super::unwind::stack::{Live, Seen};

/// One backtrace. All zero is none: no code has generation 0.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// The caller's stack pointer, return address and frame pointer.
    pub(crate) sp: usize,
    pub(crate) pc: usize,
    pub(crate) fp: usize,
    /// The base of its words.
    pub(crate) base: usize,
    /// The first of its words.
    pub(crate) words: Piece,
    pub(crate) generation: u32,
    pub(crate) site: u32,
    /// A rule read `fp`.
    pub(crate) reads_fp: bool,
    /// The words are on a stack whose end is known.
    pub(crate) has_end: bool,
}

const READS_FP: u64 = 1 << 32;
const HAS_END: u64 = 1 << 33;

impl Entry {
    /// The frame whose backtrace it is.
    pub(crate) fn caller(&self) -> Fast {
        Fast { pc: self.pc, sp: self.sp, fp: self.fp, fp_is_saved: false }
    }

    /// Whether it is that of the backtrace from `caller`, if its words are unchanged.
    #[inline(always)]
    pub(crate) fn is_of(&self, caller: &Fast, generation: u32) -> bool {
        self.sp == caller.sp
            && self.pc == caller.pc
            && self.generation == generation
            && (self.fp == caller.fp || !self.reads_fp)
    }

    /// Whether its words, which are `seen`, can be read.
    pub(crate) fn is_mapped(&self, seen: &[Seen]) -> bool {
        self.has_end || self.is_readable(seen)
    }

    /// The same where nobody knows the stack's end.
    #[cold]
    fn is_readable(&self, seen: &[Seen]) -> bool {
        let stack = Live::current(self.sp);
        seen.iter().all(|seen| seen.is_in(&stack, self.base))
    }

    /// Keeps it in `head`, which lies in front of its words.
    pub(crate) fn write(&self, head: &Seen) {
        let flag = |is: bool, flag: u64| if is { flag } else { 0 };
        let flags = flag(self.reads_fp, READS_FP) | flag(self.has_end, HAS_END);
        let words = [self.sp as u64, self.pc as u64, self.fp as u64, self.base as u64];
        let site = u64::from(self.site) << u32::BITS | u64::from(self.generation);
        head.set_raw(words, [site, u64::from(self.words.len) | flags]);
    }

    /// What `head` keeps, whose words begin at `position`.
    #[allow(clippy::cast_possible_truncation, reason = "halves of words")]
    pub(crate) fn read(head: &Seen, position: usize) -> Self {
        let ([sp, pc, fp, base], [site, len]) = head.raw();
        Self {
            sp: sp as usize,
            pc: pc as usize,
            fp: fp as usize,
            base: base as usize,
            words: Piece { position, len: len as u32 },
            generation: site as u32,
            site: (site >> u32::BITS) as u32,
            reads_fp: len & READS_FP != 0,
            has_end: len & HAS_END != 0,
        }
    }
}

const _: () = assert!(size_of::<Entry>() == 64, "an entry is a line of the cache");
