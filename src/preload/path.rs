//! The last backtrace that a thread walked: the frames at which the next walk may join it.
//!
//! Most walks differ from the last one near their inner end. A walk that comes to a frame with the
//! same registers as a [`Joint`] goes on as the last one did, if every word that was read from
//! there on is unchanged; and it leads to the same node.

use core::cell::Cell;

use super::ring::{Piece, Words};
use super::unwind::frame::Fast;
use crate::ledger::site::{Interned, MAX_FRAMES};

/// A frame of a backtrace at which another walk may join it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Joint {
    /// The registers that rules work on.
    pub(crate) at: Fast,
    /// A rule from here outwards reads the frame pointer of `at`.
    pub(crate) reads_fp: bool,
    /// The words that were read from here outwards.
    pub(crate) words: Words,
    /// Frames from here outwards, this one included.
    pub(crate) frames: u32,
    /// The node of this frame, and of all outside it.
    pub(crate) node: Interned,
}

impl Joint {
    /// Whether a walk that is at `at` is where this one was.
    fn is_at(&self, at: &Fast) -> bool {
        self.at.sp == at.sp && self.at.pc == at.pc && (!self.reads_fp || self.has_frame_pointer(at))
    }

    /// Whether the frame pointer of `at` is this one's.
    pub(crate) fn has_frame_pointer(&self, at: &Fast) -> bool {
        self.at.fp == at.fp && self.at.fp_is_saved == at.fp_is_saved
    }
}

/// The most joints of a backtrace.
pub(crate) const JOINTS: usize = 64;

/// The joints of one backtrace. All zero is none: no code has generation 0.
#[derive(Debug)]
pub(crate) struct Path {
    generation: Cell<u32>,
    base: Cell<usize>,
    /// The innermost joint; the outermost is the last of all.
    first: Cell<usize>,
    joints: [Cell<Joint>; JOINTS],
    /// The joints of the walk that goes on, innermost first; they count frames from the inner end,
    /// and have the number of fours further in in place of their words.
    inner: [Cell<Joint>; INNER],
}

/// Frames from one joint of a walk to the next.
pub(crate) const APART: usize = 4;

const INNER: usize = MAX_FRAMES / APART;

impl Path {
    /// The number of the innermost joint, for a walk on the stack with that base.
    pub(crate) fn first(&self, generation: u32, base: usize) -> usize {
        let same = self.generation.get() == generation && self.base.get() == base;
        if same { self.first.get() } else { JOINTS }
    }

    /// The joint of a walk that is at `at`, and its number; `first` is the number of one that is
    /// not outside it, and moves on.
    #[inline]
    pub(crate) fn joint(&self, first: &Cell<usize>, at: &Fast) -> Option<Joint> {
        loop {
            let joint = self.joints.get(first.get())?.get();
            if joint.at.sp > at.sp {
                return None;
            }
            if joint.is_at(at) {
                return Some(joint);
            }
            first.set(first.get().wrapping_add(1));
        }
    }

    /// Place `number` of the joints of the walk that goes on.
    pub(crate) fn inner(&self, number: usize) -> Option<&Cell<Joint>> {
        self.inner.get(number)
    }

    /// There is no last backtrace.
    pub(crate) fn forget(&self) {
        self.generation.set(0);
    }

    /// All words from joint `first` outwards were copied, the last before `end`.
    pub(crate) fn move_words(&self, first: usize, end: usize) {
        for joint in self.joints.iter().skip(first) {
            let mut moved = joint.get();
            let len = moved.words.len;
            moved.words = Words::of(Piece { position: end.wrapping_sub(len as usize), len });
            joint.set(moved);
        }
    }

    /// The last backtrace is what lies from joint `joined` outwards ([`JOINTS`] for nothing), and
    /// the first `made` inner joints, which have been given their frames and words.
    pub(crate) fn put(&self, generation: u32, base: usize, joined: usize, made: usize) {
        self.generation.set(generation);
        self.base.set(base);
        let mut first = joined;
        for joint in self.inner.iter().take(made).rev() {
            let Some(place) = first.checked_sub(1).and_then(|first| self.joints.get(first)) else {
                break;
            };
            place.set(joint.get());
            first = first.wrapping_sub(1);
        }
        self.first.set(first);
    }
}
