//! The memory that holds frames, and the one function that reads it.
//!
//! Invariant of [`Live`]: words in `low..high` are mapped: it is the live part of one stack of
//! the calling thread, from a little below its stack pointer to where the thread's control block
//! or the program's first words lie. On a stack whose end isn't known (a coroutine's, a signal's)
//! `high` moves up to `limit` page by page, and the kernel is asked for each page.

use core::cell::Cell;

use crate::preload::system;

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
        let reach = pointer.saturating_add(REACH);
        let ends = [system::thread_pointer(), system::stack_end()];
        match ends.into_iter().filter(|end| *end > pointer && *end < reach).min() {
            Some(end) => {
                let low = pointer.saturating_sub(RED_ZONE);
                Self { low, high: Cell::new(end), limit: end }
            }
            None => Self::unknown(pointer),
        }
    }

    /// Whether each word, an address and a value, is still as it was.
    ///
    /// # Safety
    /// The addresses were read by [`Stack::word`] of a stack with the same stack pointer, in this
    /// order; none is above `top`.
    #[inline]
    pub(crate) unsafe fn is_unchanged(&self, words: &[Cell<[usize; 2]>], top: usize) -> bool {
        if top >= self.high.get() {
            // No word is read that a walk would not read now.
            return words.iter().all(|word| {
                let [address, value] = word.get();
                self.word(address) == Some(value)
            });
        }
        words.chunks(8).all(|words| {
            let changes = words.iter().fold(0, |changes, word| {
                let [address, value] = word.get();
                // SAFETY: by the caller's promise the address is aligned and not below `low`,
                // which depends on the stack pointer alone; it is below `high`.
                changes | (value ^ unsafe { (address as *const usize).read_volatile() })
            });
            changes == 0
        })
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
        pointer >= self.low && pointer <= self.limit
    }

    fn unknown(pointer: usize) -> Self {
        let low = pointer.saturating_sub(RED_ZONE);
        Self { low, high: Cell::new(low), limit: pointer.saturating_add(REACH) }
    }
}
