//! The memory that holds frames, and the one function that reads it.
//!
//! Invariant of [`Live`]: words in `low..high` are mapped: it is the live part of one stack of
//! the calling thread, from a little below its stack pointer to where the thread's control block
//! or the program's first words lie. On a stack whose end isn't known (a coroutine's, a signal's)
//! `high` moves up to `limit` page by page, and the kernel is asked for each page.

use core::cell::Cell;

use super::arch::{Difference, Four};
use crate::preload::{extent, system, thread};

/// A source of stack words.
pub(crate) trait Stack: Sized {
    /// The word at `address`; `None` outside the stack, and where it isn't aligned.
    fn word(&self, address: usize) -> Option<usize>;

    /// Whether `pointer` can be a stack pointer of this stack.
    fn holds(&self, pointer: usize) -> bool;

    /// The stack that is said to be at `pointer`: after a signal, or where code switched stacks.
    fn unknown(pointer: usize) -> Self;
}

/// What a leaf function may use below its stack pointer (System V AMD64 ABI, 3.2.2).
const RED_ZONE: usize = 128;

/// The most that is read above a stack pointer where the stack's end isn't known.
const REACH: usize = 64 << 20;

const WORD: usize = size_of::<usize>();
const PAGE: usize = 4096;

/// The calling thread's stack.
#[derive(Debug)]
pub(crate) struct Live {
    low: usize,
    high: Cell<usize>,
    limit: usize,
}

impl Live {
    /// The stack that the thread uses now, `pointer` being its stack pointer.
    pub(crate) fn current(pointer: usize) -> Self {
        // glibc puts a thread's control block at the end of its stack, and the program's first
        // words lie above the main thread's.
        let low = pointer.saturating_sub(RED_ZONE);
        let (main, own) = (extent::stack_end(), extent::thread_pointer());
        let end = if low >= extent::main_stack_low() && pointer < main {
            main
        } else if pointer < own && own < pointer.saturating_add(REACH) && is_own(pointer) {
            own
        } else {
            return Self::unknown(pointer);
        };
        Self { low, high: Cell::new(end), limit: end }
    }

    /// The address from which the distances of [`Seen`] count: nothing is read 4 GiB above it
    /// and further, and 32 bits are enough for what is.
    pub(crate) fn base(&self) -> usize {
        self.limit.wrapping_sub(1 << u32::BITS)
    }

    /// Whether the stack's end is known: all below it that is above the stack pointer is mapped.
    pub(crate) fn has_end(&self) -> bool {
        self.high.get() == self.limit
    }

    /// Moves `high` above `address` where the kernel says that all up to there is readable.
    #[cold]
    fn extend(&self, address: usize) -> Option<()> {
        if address >= self.limit {
            return None;
        }
        let mut page = self.high.get() & !(PAGE - 1);
        while page <= address {
            if !system::is_readable(page) {
                return None;
            }
            page = page.checked_add(PAGE)?;
            self.high.set(page.min(self.limit));
        }
        Some(())
    }
}

/// Whether `pointer` is on the thread's own stack, at whose end its control block lies. A
/// coroutine's stack can lie near below, with pages between that nobody may read.
fn is_own(pointer: usize) -> bool {
    thread::stack().is_some_and(|low| pointer.saturating_sub(RED_ZONE) >= low)
}

/// Four words of a stack as they were when a walk read them, by how far they lie above the
/// stack's [base](Live::base). Two distances share a word: comparing waits for loads.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Seen {
    offsets: [Cell<u64>; SEEN / 2],
    values: Four,
}

/// Words in a [`Seen`].
pub(crate) const SEEN: usize = 4;

const LOWER: u64 = u32::MAX as u64;

#[allow(clippy::cast_possible_truncation, reason = "halves of a word")]
#[inline(always)]
fn halves(pair: u64) -> [usize; 2] {
    [(pair & LOWER) as usize, (pair >> u32::BITS) as usize]
}

impl Seen {
    /// Word number `lane` is the one `offset` bytes above the base, and was `value`.
    #[inline]
    pub(crate) fn put(&self, lane: usize, offset: u32, value: usize) {
        if let (Some(to), Some(pair)) = (self.values.0.get(lane), self.offsets.get(lane / 2)) {
            to.set(value);
            let offset = u64::from(offset);
            pair.set(match lane & 1 {
                0 => pair.get() & !LOWER | offset,
                _ => pair.get() & LOWER | offset << u32::BITS,
            });
        }
    }

    /// The six words that were put here instead of words of a stack.
    #[inline(always)]
    pub(crate) fn raw(&self) -> ([u64; SEEN], [u64; SEEN / 2]) {
        let values = self.values.0.each_ref().map(|value| value.get() as u64);
        (values, self.offsets.each_ref().map(Cell::get))
    }

    /// Puts six words here.
    #[allow(clippy::cast_possible_truncation, reason = "a word is one of 64 bits")]
    pub(crate) fn set_raw(&self, values: [u64; SEEN], others: [u64; SEEN / 2]) {
        self.values.0.iter().zip(values).for_each(|(to, value)| to.set(value as usize));
        self.offsets.iter().zip(others).for_each(|(to, value)| to.set(value));
    }

    /// Becomes what `other` is.
    pub(crate) fn copy(&self, other: &Self) {
        for (to, from) in self.values.0.iter().zip(&other.values.0) {
            to.set(from.get());
        }
        for (to, from) in self.offsets.iter().zip(&other.offsets) {
            to.set(from.get());
        }
    }

    /// Where the words lie above the base.
    #[inline(always)]
    fn offsets(&self) -> [usize; SEEN] {
        let [[a, b], [c, d]] = self.offsets.each_ref().map(|pair| halves(pair.get()));
        [a, b, c, d]
    }

    /// The last of these words that counts is number `lane`: those behind it repeat it.
    pub(crate) fn fill(&self, lane: usize) {
        let offset = self.offsets().get(lane).and_then(|offset| u32::try_from(*offset).ok());
        if let (Some(value), Some(offset)) = (self.values.0.get(lane), offset) {
            (lane..SEEN).for_each(|lane| self.put(lane, offset, value.get()));
        }
    }

    /// Whether all words of `fours` above `base` are as they were.
    ///
    /// # Safety
    /// They were read with the same base, and lie above the stack pointer of a stack whose end
    /// is known, or the kernel has just said that they can be read.
    #[inline(always)]
    pub(crate) unsafe fn are_unchanged(fours: &[Self], base: usize) -> bool {
        let with = |difference: Difference, seen: &Self| {
            // SAFETY: by the caller's promise the words are aligned and mapped.
            unsafe { difference.with(base, seen.offsets(), &seen.values) }
        };
        let Some((inner, outer)) = fours.split_first() else { return true };
        // Where something changed, it is mostly near the inner end.
        with(Difference::none(), inner).is_none()
            && outer.iter().fold(Difference::none(), with).is_none()
    }

    /// Whether `stack` still has all four words above `base`.
    pub(crate) fn is_in(&self, stack: &Live, base: usize) -> bool {
        self.offsets().iter().all(|offset| stack.word(base.wrapping_add(*offset)).is_some())
    }
}

impl Stack for Live {
    #[inline]
    fn word(&self, address: usize) -> Option<usize> {
        if address < self.low || !address.is_multiple_of(WORD) {
            return None;
        }
        if address >= self.high.get() {
            self.extend(address)?;
        }
        // SAFETY: the address is aligned and, by the type's invariant, mapped.
        Some(unsafe { (address as *const usize).read_volatile() })
    }

    #[inline]
    fn holds(&self, pointer: usize) -> bool {
        // Beyond what the kernel was asked for may be another one: a thread's own above its signals'.
        pointer >= self.low && pointer <= self.high.get()
    }

    fn unknown(pointer: usize) -> Self {
        let low = pointer.saturating_sub(RED_ZONE);
        Self { low, high: Cell::new(low), limit: pointer.saturating_add(REACH) }
    }
}
