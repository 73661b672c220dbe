//! What one walk writes down: the stack words that it reads, and the joints at which the next walk
//! may join it. It begins a new four of words at every joint, so that what lies outside a joint is
//! a piece of its own.

use core::cell::Cell;

use super::entry::Entry;
use super::path::{APART, JOINTS, Joint};
use super::ring::{MOST, Piece, Words};
use super::trace_cache::{Traces, Use};
use super::unwind::frame::Fast;
use super::unwind::stack::{Live, SEEN, Seen};
use crate::ledger::site::{Interned, MAX_FRAMES};

/// A walk's log.
#[derive(Debug)]
pub(crate) struct Log<'a> {
    traces: &'a Traces,
    caller: Fast,
    generation: u32,
    base: usize,
    has_end: bool,
    /// Where its words begin in the ring.
    start: usize,
    /// Words so far, those included that fill a four; [`TOO_MANY`] where one can't be kept.
    len: Cell<usize>,
    /// Number of the joint of the last walk that this one has not passed.
    next: Cell<usize>,
    joined: Cell<Option<Joint>>,
    /// Joints so far.
    made: Cell<usize>,
    /// A rule read the caller's frame pointer.
    reads_fp: Cell<bool>,
}

const TOO_MANY: usize = usize::MAX / 2;

impl<'a> Log<'a> {
    /// A log of the walk from `caller`, on the stack that it is on.
    pub(crate) fn new(used: &'a Use, caller: Fast, generation: u32) -> Self {
        let traces = used.0;
        let stack = Live::current(caller.sp);
        let (base, has_end) = (stack.base(), stack.has_end());
        let next = if has_end { traces.path.first(generation, base) } else { JOINTS };
        Self {
            traces,
            caller,
            generation,
            base,
            has_end,
            start: traces.ring.next().wrapping_add(1),
            len: Cell::new(0),
            next: Cell::new(next),
            joined: Cell::new(None),
            made: Cell::new(0),
            reads_fp: Cell::new(false),
        }
    }

    fn seen(&self, len: usize) -> Option<&Seen> {
        self.traces.ring.at(self.start.wrapping_add(len / SEEN))
    }

    /// The walk read `value` at `address`.
    #[inline]
    pub(crate) fn push(&self, address: usize, value: usize) {
        let len = self.len.get();
        let seen = self.seen(len).filter(|_| len < MOST.wrapping_mul(SEEN));
        match (u32::try_from(address.wrapping_sub(self.base)), seen) {
            (Ok(offset), Some(seen)) => {
                seen.put(len & (SEEN - 1), offset, value);
                self.len.set(len.wrapping_add(1));
            }
            _ => self.len.set(TOO_MANY),
        }
    }

    /// Fills the last four; how many there are.
    fn fill(&self) -> u32 {
        let len = self.len.get();
        if !len.is_multiple_of(SEEN)
            && let Some(seen) = self.seen(len)
        {
            seen.fill((len & (SEEN - 1)).wrapping_sub(1));
            self.len.set(len.next_multiple_of(SEEN));
        }
        u32::try_from(self.len.get() / SEEN).unwrap_or(u32::MAX)
    }

    /// The walk is at `at`, `frames` frames from its inner end: whether the last one came here
    /// and would go on as it did. A joint for the next one, where not.
    #[inline]
    pub(crate) fn joins(&self, at: &Fast, frames: usize) -> bool {
        while let Some(joint) = self.traces.path.joint(&self.next, at) {
            let whole = frames.wrapping_add(joint.frames as usize);
            if whole <= MAX_FRAMES && self.is_unchanged(&joint) {
                if joint.reads_fp {
                    self.frame_pointer(at);
                }
                self.joined.set(Some(joint));
                return true;
            }
            self.next.set(self.next.get().wrapping_add(1));
        }
        let made = self.made.get();
        if frames == made.wrapping_mul(APART)
            && let Some(place) = self.traces.path.inner(made)
        {
            let further_in = Piece { position: self.start, len: self.fill() };
            let words = Words::of(further_in);
            let frames = u32::try_from(frames).unwrap_or_default();
            place.set(Joint { at: *at, reads_fp: false, words, frames, node: Interned::ROOT });
            self.made.set(made.wrapping_add(1));
        }
        false
    }

    fn is_unchanged(&self, joint: &Joint) -> bool {
        // SAFETY: the words were read with the same base, on a stack whose end is known; they are
        // outside the joint, which is not below the stack pointer.
        unsafe { self.traces.ring.are_unchanged(joint.words.first, self.base) }
    }

    /// A rule reads the frame pointer of the frame at `at`: so does what lies outside the joints
    /// that have the same one.
    pub(crate) fn frame_pointer(&self, at: &Fast) {
        if !at.fp_is_saved {
            self.reads_fp.set(true);
        }
        for number in (0..self.made.get()).rev() {
            let Some(place) = self.traces.path.inner(number) else { return };
            let joint = place.get();
            if !joint.has_frame_pointer(at) {
                return;
            }
            place.set(Joint { reads_fp: true, ..joint });
        }
    }

    /// The joint where the walk joined the last one.
    pub(crate) fn joined(&self) -> Option<Joint> {
        self.joined.get()
    }

    /// The frame that is `frames` frames from the inner end has `node`.
    #[inline]
    pub(crate) fn name(&self, frames: usize, node: Interned) {
        if frames.is_multiple_of(APART)
            && let Some(place) = self.traces.path.inner(frames / APART)
        {
            place.set(Joint { node, ..place.get() });
        }
    }

    /// The walk read these words and nothing else, and led to `site` over `frames` frames up to
    /// where it joined. `is_whole` where it came to the outermost.
    pub(crate) fn keep(self, frames: usize, is_whole: bool, site: u32, context: usize) {
        let (traces, inner) = (self.traces, self.fill());
        let joined = self.joined.get();
        let outside = joined.map(|joint| joint.words);
        let len = inner.saturating_add(outside.map_or(0, |words| words.len));
        if len as usize > MOST {
            return;
        }
        let linked = outside.filter(|words| traces.ring.may_link(words));
        let own = if linked.is_some() { inner } else { len };
        let piece = Piece { position: self.start, len: own };
        if let Some(words) = outside.filter(|_| linked.is_none()) {
            traces.ring.copy(words.first, &traces.ring, self.start.wrapping_add(inner as usize));
            traces.path.move_words(self.next.get(), self.start.wrapping_add(len as usize));
        }
        traces.ring.keep(piece, linked.map(|words| words.first));
        if is_whole && self.has_end {
            let words = linked.map_or(Words::of(piece), |words| words.with(piece));
            let outer = joined.map_or(0, |joint| joint.frames as usize);
            let whole = u32::try_from(frames.wrapping_add(outer)).unwrap_or_default();
            let made = self.made.get();
            for place in (0..made).filter_map(|number| traces.path.inner(number)) {
                let joint = place.get();
                let words = words.outside(joint.words.len);
                place.set(Joint { words, frames: whole.wrapping_sub(joint.frames), ..joint });
            }
            let joined = if joined.is_some() { self.next.get() } else { JOINTS };
            traces.path.put(self.generation, self.base, joined, made);
        } else {
            traces.path.forget();
        }
        let Fast { pc, sp, fp, .. } = self.caller;
        let entry = Entry {
            sp,
            pc,
            fp,
            base: self.base,
            words: piece,
            generation: self.generation,
            site,
            reads_fp: self.reads_fp.get(),
            has_end: self.has_end,
        };
        if let Some(head) = traces.ring.at(self.start.wrapping_sub(1)) {
            entry.write(head);
        }
        traces.put(entry, context);
    }
}

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests;
