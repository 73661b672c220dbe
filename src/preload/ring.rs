//! The stack words that a thread's backtraces depend on: a ring of fours, the oldest of which make
//! room.
//!
//! Positions count fours since the beginning. What is being written lies behind the ring's
//! position until it is kept.

use core::cell::Cell;

use super::unwind::stack::{SEEN, Seen};

/// Fours that a thread keeps.
const FOURS: usize = 1 << 13;

/// The most fours that one backtrace may need: two words for each frame, and half as much again
/// for places where a new four was begun.
pub(crate) const MOST: usize = 96;

/// The words of one thread. All zero is an empty ring.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Ring {
    position: Cell<usize>,
    seen: [Seen; FOURS],
}

impl Ring {
    /// Where the next backtrace's words begin: all of them lie in one piece.
    pub(crate) fn next(&self) -> usize {
        let position = self.position.get();
        let left = FOURS.wrapping_sub(position & (FOURS - 1));
        if left < MOST { position.wrapping_add(left) } else { position }
    }

    /// All up to `position` is kept.
    pub(crate) fn keep(&self, position: usize) {
        self.position.set(position);
    }

    /// The `len` fours from `position` on, which were kept; `None` where they made room.
    #[inline(always)]
    pub(crate) fn kept(&self, position: usize, len: usize) -> Option<&[Seen]> {
        // What is being written may reach that far beyond the ring's position.
        if self.position.get().wrapping_sub(position) > FOURS - 2 * MOST {
            return None;
        }
        let first = position & (FOURS - 1);
        self.seen.get(first..first.wrapping_add(len))
    }

    /// The four at `position`, to be written.
    #[inline]
    pub(crate) fn at(&self, position: usize) -> Option<&Seen> {
        self.seen.get(position & (FOURS - 1))
    }

    /// Copies the four at `from` to `to`.
    pub(crate) fn copy(&self, from: usize, to: usize) {
        if let (Some(from), Some(to)) = (self.at(from), self.at(to)) {
            to.copy(from);
        }
    }
}

const _: () = assert!(FOURS.is_power_of_two() && MOST * 4 < FOURS && SEEN.is_power_of_two());
