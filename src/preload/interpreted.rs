//! What stands in, under Miri, for assembly and for mappings that it has no idea of. Not compiled
//! otherwise.

use core::cell::Cell;
use core::mem::MaybeUninit;
use std::alloc::Layout;

use super::thread::Words;

std::thread_local! {
    static WORDS: Cell<MaybeUninit<Words>> = const { Cell::new(MaybeUninit::zeroed()) };
}

/// The calling thread's words.
pub(crate) fn thread_words() -> *const Words {
    WORDS.with(|words| words.as_ptr().cast_const().cast())
}

/// Memory that reads as zero, which nobody gives back. It ends where it was asked to: Miri sees who
/// goes beyond.
pub(crate) fn reserve(len: usize, align: usize) -> Option<*mut u8> {
    let layout = Layout::from_size_align(len, align).ok().filter(|layout| layout.size() > 0)?;
    // SAFETY: the size is not zero.
    let at = unsafe { std::alloc::alloc_zeroed(layout) };
    (!at.is_null()).then_some(at)
}
