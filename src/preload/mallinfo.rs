//! What mallinfo(3), malloc_stats(3) and malloc_info(3) say: the heap's own numbers, and libc's
//! where libc serves.
//!
//! glibc's words for the heap's: a block with a page to itself is to this heap what one that was
//! mapped is to glibc, and there are no fastbins. The most that ever was is counted by nobody, so
//! it is not said.

use core::ffi::{c_int, c_void};

use super::heap::Counts;
use super::{heap, next, start, system};

/// `struct mallinfo2`, or `struct mallinfo` with its narrower type.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Info<T> {
    /// Bytes of the pages of small blocks.
    arena: T,
    /// Free blocks in them.
    ordblks: T,
    /// Always 0: there are no fastbins.
    smblks: T,
    /// Large blocks in use.
    hblks: T,
    /// Bytes of these.
    hblkhd: T,
    /// Always 0, as with glibc.
    usmblks: T,
    /// Always 0: there are no fastbins.
    fsmblks: T,
    /// Bytes of small blocks in use.
    uordblks: T,
    /// Bytes of free blocks.
    fordblks: T,
    /// Always 0: no end of the heap is given back before the rest.
    keepcost: T,
}

/// `mallinfo2`.
pub(crate) fn info() -> Info<usize> {
    if start::is_ready() { of(heap::counts()) } else { next::info() }
}

/// `mallinfo`, whose numbers wrap around.
pub(crate) fn narrow_info() -> Info<c_int> {
    let wide = info();
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "mallinfo(3)")]
    let narrow = |value: usize| value as c_int;
    Info {
        arena: narrow(wide.arena),
        ordblks: narrow(wide.ordblks),
        smblks: narrow(wide.smblks),
        hblks: narrow(wide.hblks),
        hblkhd: narrow(wide.hblkhd),
        usmblks: narrow(wide.usmblks),
        fsmblks: narrow(wide.fsmblks),
        uordblks: narrow(wide.uordblks),
        fordblks: narrow(wide.fordblks),
        keepcost: narrow(wide.keepcost),
    }
}

fn of(counts: Counts) -> Info<usize> {
    Info {
        arena: counts.used_bytes.saturating_add(counts.free_bytes),
        ordblks: counts.free_blocks,
        hblks: counts.large_blocks,
        hblkhd: counts.large_bytes,
        uordblks: counts.used_bytes,
        fordblks: counts.free_bytes,
        ..Info::default()
    }
}

/// `malloc_stats`: to standard error.
pub(crate) fn print() {
    if !start::is_ready() {
        return next::print_statistics();
    }
    let info = of(heap::counts());
    let mut text = Text::new();
    text.push("Arena 0:\n");
    let (arena, used) = (info.arena, info.uordblks);
    text.push_line("system bytes     = ", arena);
    text.push_line("in use bytes     = ", used);
    text.push("Total (incl. mmap):\n");
    text.push_line("system bytes     = ", arena.saturating_add(info.hblkhd));
    text.push_line("in use bytes     = ", used.saturating_add(info.hblkhd));
    text.push_line("large blocks     = ", info.hblks);
    text.push_line("large bytes      = ", info.hblkhd);
    system::say(text.bytes());
}

/// `malloc_info`: to `stream`, an error number.
///
/// # Safety
/// `stream` is an open `FILE`.
pub(crate) unsafe fn export(options: c_int, stream: *mut c_void) -> c_int {
    if !start::is_ready() {
        // SAFETY: the caller's promise.
        return unsafe { next::export_statistics(options, stream) };
    }
    if options != 0 {
        return system::EINVAL;
    }
    let info = of(heap::counts());
    let mut text = Text::new();
    text.push("<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n</sizes>\n");
    let totals = |text: &mut Text| {
        text.push_total("fast", info.smblks, info.fsmblks);
        text.push_total("rest", info.ordblks, info.fordblks);
    };
    totals(&mut text);
    text.push_last("<system type=\"current\" size=\"", info.arena);
    text.push("</heap>\n");
    totals(&mut text);
    text.push_total("mmap", info.hblks, info.hblkhd);
    text.push_last("<system type=\"current\" size=\"", info.arena.saturating_add(info.hblkhd));
    text.push("</malloc>\n");
    // SAFETY: the caller's promise.
    unsafe { system::write_to_stream(stream, text.bytes()) };
    0
}

/// A text in the making. What does not fit is left out, which is less than any of the above.
struct Text {
    bytes: [u8; 1024],
    len: usize,
}

impl Text {
    fn new() -> Self {
        Self { bytes: [0; 1024], len: 0 }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, text: &str) {
        let end = self.len.saturating_add(text.len());
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(text.as_bytes());
            self.len = end;
        }
    }

    fn push_number(&mut self, mut number: usize) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0'.wrapping_add(u8::try_from(number % 10).unwrap_or_default());
            (first, number) = (at, number / 10);
            if number == 0 {
                break;
            }
        }
        let digits = digits.get(first..).and_then(|digits| core::str::from_utf8(digits).ok());
        self.push(digits.unwrap_or_default());
    }

    fn push_line(&mut self, name: &str, number: usize) {
        self.push(name);
        self.push_number(number);
        self.push("\n");
    }

    fn push_total(&mut self, kind: &str, count: usize, size: usize) {
        self.push("<total type=\"");
        self.push(kind);
        self.push("\" count=\"");
        self.push_number(count);
        self.push_last("\" size=\"", size);
    }

    /// What is left of an element, whose last attribute is `number`.
    fn push_last(&mut self, before: &str, number: usize) {
        self.push(before);
        self.push_number(number);
        self.push("\"/>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        let mut text = Text::new();
        for number in [0, 7, 10, 4096, usize::MAX] {
            text.push_line("", number);
        }
        assert_eq!(text.bytes(), b"0\n7\n10\n4096\n18446744073709551615\n");
    }

    #[test]
    fn a_full_text_stays_as_it_is() {
        let mut text = Text::new();
        (0..1024).for_each(|_| text.push("x"));
        text.push("more");
        assert_eq!(text.bytes(), [b'x'; 1024]);
    }

    #[test]
    fn what_is_free_and_in_use_is_the_whole() {
        let counts = Counts {
            used_bytes: 300,
            free_bytes: 700,
            free_blocks: 7,
            large_blocks: 2,
            large_bytes: 5000,
            ..Counts::default()
        };
        let info = of(counts);
        assert_eq!((info.arena, info.uordblks, info.fordblks), (1000, 300, 700));
        assert_eq!((info.ordblks, info.hblks, info.hblkhd), (7, 2, 5000));
    }
}
