//! The stack words that a thread's backtraces depend on: a ring of fours, the oldest of which make
//! room.
//!
//! Positions count fours since the beginning. What is being written lies behind the ring's
//! position until it is kept. A backtrace that joined another one shares what lies outside with it:
//!
//! ```text
//!   [head][piece: fours that one walk read][link]
//!                                              \--> [head][ ...  from a joint on][link]
//!                                                                                   \--> ...
//! ```

use core::cell::Cell;

use super::unwind::stack::{SEEN, Seen};

/// Fours that follow each other in the ring, with a link behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where the first is.
    pub(crate) position: usize,
    /// How many they are.
    pub(crate) len: u32,
}

impl Piece {
    /// Where its link is.
    fn end(self) -> usize {
        self.position.wrapping_add(self.len as usize)
    }
}

/// All words of a backtrace from one of its frames outwards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// The innermost of them.
    pub(crate) first: Piece,
    /// Where the oldest are, which make room before the others.
    pub(crate) oldest: usize,
    /// Fours in all pieces.
    pub(crate) len: u32,
    /// How many pieces there are.
    pub(crate) pieces: u32,
}

impl Words {
    /// Those of `piece`, which has none behind it.
    pub(crate) fn of(piece: Piece) -> Self {
        Self { first: piece, oldest: piece.position, len: piece.len, pieces: 1 }
    }

    /// Those of `piece`, and these outside it.
    pub(crate) fn with(self, piece: Piece) -> Self {
        let len = self.len.wrapping_add(piece.len);
        Self { first: piece, oldest: self.oldest, len, pieces: self.pieces.wrapping_add(1) }
    }

    /// Those that lie outside the innermost `len` fours, which are of the first piece.
    pub(crate) fn outside(self, len: u32) -> Self {
        let Piece { position, len: whole } = self.first;
        let position = position.wrapping_add(len as usize);
        let first = Piece { position, len: whole.wrapping_sub(len) };
        Self { first, len: self.len.wrapping_sub(len), ..self }
    }
}

/// The most fours that one backtrace may need: two words for each frame, and half as much again
/// for places where a new four was begun.
pub(crate) const MOST: usize = 96;

/// The most pieces of a backtrace: each is a jump for who compares.
const MOST_PIECES: u32 = 4;

/// In place of a piece's position: there is none.
const NO_PIECE: usize = usize::MAX;

/// The words of one thread, in so many fours. All zero is an empty ring.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Ring<const FOURS: usize> {
    position: Cell<usize>,
    seen: [Seen; FOURS],
}

impl<const FOURS: usize> Ring<FOURS> {
    const MASK: usize = FOURS.wrapping_sub(1);

    /// So far back all is kept. What lies at the old end is not asked for: what is being written comes
    /// there, and what signal handlers write while somebody compares.
    const KEPT: usize = {
        assert!(FOURS.is_power_of_two() && MOST * 3 < FOURS / 8 && SEEN.is_power_of_two());
        FOURS.wrapping_sub(FOURS / 8)
    };

    /// Where the next backtrace's head is; its words begin behind: all that one walk reads lies in one piece.
    pub(crate) fn next(&self) -> usize {
        let position = self.position.get();
        let left = FOURS.wrapping_sub(position & Self::MASK);
        if left < MOST + 2 { position.wrapping_add(left) } else { position }
    }

    /// All that was kept made room.
    pub(crate) fn forget(&self) {
        self.position.set(self.position.get().wrapping_add(FOURS));
    }

    /// Where all ends that is kept.
    pub(crate) fn position(&self) -> usize {
        self.position.get()
    }

    /// What was kept at `position`; `None` where it made room.
    #[inline(always)]
    pub(crate) fn head(&self, position: usize) -> Option<&Seen> {
        self.at(position).filter(|_| self.is_kept(position))
    }

    #[inline(always)]
    fn is_kept(&self, position: usize) -> bool {
        self.position.get().wrapping_sub(position) <= Self::KEPT
    }

    /// The fours of `piece`, which was kept; `None` where they made room.
    #[inline(always)]
    pub(crate) fn kept(&self, piece: Piece) -> Option<&[Seen]> {
        if !self.is_kept(piece.position) {
            return None;
        }
        let first = piece.position & Self::MASK;
        self.seen.get(first..first.wrapping_add(piece.len as usize))
    }

    /// The piece behind `piece`; `None` where that is the last.
    fn behind(&self, piece: Piece) -> Option<Piece> {
        let next = linked(self.at(piece.end())?);
        // What is linked is older: whoever finds something else was interrupted.
        (next.position < piece.position).then_some(next)
    }

    /// Whether all words are as they were, from `piece` on, `base` being theirs.
    ///
    /// # Safety
    /// As for [`Seen::are_unchanged`].
    pub(crate) unsafe fn are_unchanged(&self, piece: Piece, base: usize) -> bool {
        let mut next = Some(piece);
        while let Some(piece) = next {
            let Some(seen) = self.kept(piece) else { return false };
            // SAFETY: the caller's promise.
            if !unsafe { Seen::are_unchanged(seen, base) } {
                return false;
            }
            next = self.behind(piece);
        }
        true
    }

    /// Whether `words` can be linked to: they are few pieces, and stay for half a turn of the ring.
    pub(crate) fn may_link(&self, words: &Words) -> bool {
        let age = self.position.get().wrapping_sub(words.oldest);
        words.pieces < MOST_PIECES && age < FOURS / 2
    }

    /// The four at `position`, to be written.
    #[inline]
    pub(crate) fn at(&self, position: usize) -> Option<&Seen> {
        self.seen.get(position & Self::MASK)
    }

    /// Copies all fours from `piece` on to what is written from `at` on in `to`; how many they are.
    pub(crate) fn copy<const OTHER: usize>(
        &self,
        piece: Piece,
        to: &Ring<OTHER>,
        at: usize,
    ) -> u32 {
        let (mut next, mut len) = (Some(piece), 0_u32);
        while let Some(piece) = next {
            for from in piece.position..piece.end() {
                let at = at.wrapping_add(len as usize);
                if let (Some(from), Some(to)) = (self.at(from), to.at(at)) {
                    to.copy(from);
                }
                len = len.wrapping_add(1);
            }
            next = self.behind(piece);
        }
        len
    }

    /// Keeps `piece`, which was written, with a link to `outside`.
    pub(crate) fn keep(&self, piece: Piece, outside: Option<Piece>) {
        if let Some(link) = self.at(piece.end()) {
            let Piece { position, len } = outside.unwrap_or(Piece { position: NO_PIECE, len: 0 });
            link.set_raw([position as u64, u64::from(len), 0, 0], [0, 0]);
        }
        self.position.set(piece.end().wrapping_add(1));
    }
}

/// The piece that `link` leads to.
#[allow(clippy::cast_possible_truncation, reason = "they were put there")]
#[inline(always)]
fn linked(link: &Seen) -> Piece {
    let ([position, len, ..], _) = link.raw();
    Piece { position: position as usize, len: len as u32 }
}
