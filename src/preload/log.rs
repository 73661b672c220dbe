//! What one walk writes down: the stack words that it reads, and the joints at which the next walk
//! may join it. It begins a new four of words at every joint, so that what lies outside a joint is
//! a piece of its own.

use core::cell::Cell;

use super::path::{APART, JOINTS, Joint};
use super::ring::{MOST, Piece, Words};
use super::trace_cache::{Entry, Traces, Use};
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
            start: traces.ring.next(),
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
            traces.ring.copy(&words, self.start.wrapping_add(inner as usize));
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
        traces.put(Entry {
            sp,
            pc,
            fp,
            base: self.base,
            words: piece,
            generation: self.generation,
            site,
            reads_fp: self.reads_fp.get(),
            has_end: self.has_end,
        }, context);
    }
}

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    /// A stack of frames of four words, the first of which is the return address.
    type Frames = [[Cell<usize>; 4]; 40];

    fn frames() -> Frames {
        std::array::from_fn(|frame| std::array::from_fn(|word| Cell::new(frame * 100 + word)))
    }

    fn at(frames: &Frames, frame: usize, fp: usize) -> Fast {
        let sp = frames[frame].as_ptr() as usize;
        Fast { pc: 0x1000 + frames[frame][0].get(), sp, fp, fp_is_saved: false }
    }

    /// Walks from frame `from` outwards as if each rule read the frame's first word, and that of
    /// frame `reads_fp` the frame pointer `fp`; the frames that were walked, and where it joined.
    fn walk(
        traces: &'static Traces,
        frames: &Frames,
        (from, fp): (usize, usize),
        reads_fp: usize,
        site: u32,
    ) -> (usize, Option<u32>) {
        crate::preload::extent::find_thread_stack();
        let used = traces.enter().expect("nobody else is at it");
        let log = Log::new(&used, at(frames, from, fp), 1);
        let mut walked = 0;
        for frame in from..frames.len() {
            let here = at(frames, frame, fp);
            if log.joins(&here, walked) {
                break;
            }
            log.push(frames[frame].as_ptr() as usize, frames[frame][0].get());
            if frame == reads_fp {
                log.frame_pointer(&here);
            }
            walked += 1;
        }
        for number in (0..walked).rev() {
            let frame = u32::try_from(from + number).expect("few");
            log.name(number, Interned { number: 1000 + frame, hash: 7 });
        }
        let joined = log.joined().map(|joint| joint.node.number);
        log.keep(walked, true, site, 0);
        (walked, joined)
    }

    const NONE: usize = usize::MAX;

    #[test]
    fn a_walk_joins_the_last_one_where_nothing_changed() {
        let (traces, frames) = (Traces::empty(), frames());
        assert_eq!(walk(traces, &frames, (8, 0), NONE, 1), (32, None));
        // From further in: the first joint is where the last walk began.
        assert_eq!(walk(traces, &frames, (2, 0), NONE, 2), (6, Some(1008)));
        assert_eq!(traces.find(at(&frames, 2, 0), 1), Some(2));
        // From further out, between two joints.
        assert_eq!(walk(traces, &frames, (9, 0), NONE, 3), (3, Some(1012)));
        assert_eq!(traces.find(at(&frames, 9, 0), 1), Some(3));
        assert_eq!(traces.find(at(&frames, 8, 0), 1), Some(1), "earlier ones stay");
    }

    #[test]
    fn each_word_outside_a_joint_counts() {
        for changed in 8..40 {
            let (traces, frames) = (Traces::empty(), frames());
            walk(traces, &frames, (8, 0), NONE, 1);
            frames[changed][0].set(77_777);
            let (walked, joined) = walk(traces, &frames, (8, 0), NONE, 2);
            let outer = (changed + 1).next_multiple_of(4);
            let expected =
                if outer < 40 { (outer - 8, u32::try_from(1000 + outer).ok()) } else { (32, None) };
            assert_eq!((walked, joined), expected, "word of frame {changed}");
            assert_eq!(traces.find(at(&frames, 8, 0), 1), Some(2));
            // A joined walk depends on the words of the one that it joined.
            frames[39][0].set(88_888);
            assert_eq!(traces.find(at(&frames, 8, 0), 1), None);
        }
    }

    #[test]
    fn another_frame_pointer_matters_where_one_is_read() {
        let (traces, frames) = (Traces::empty(), frames());
        walk(traces, &frames, (8, 5), 21, 1);
        assert_eq!(walk(traces, &frames, (8, 6), NONE, 2), (16, Some(1024)), "it was read at 21");
        let (traces, frames) = (Traces::empty(), self::frames());
        walk(traces, &frames, (8, 5), 21, 1);
        assert_eq!(walk(traces, &frames, (4, 5), NONE, 2), (4, Some(1008)));
        assert_eq!(traces.find(at(&frames, 4, 5), 1), Some(2));
        assert_eq!(traces.find(at(&frames, 4, 6), 1), None, "what was joined read it");
    }

    #[test]
    fn joints_stay_few_over_many_joins() {
        let (traces, frames) = (Traces::empty(), frames());
        walk(traces, &frames, (39, 0), NONE, 1);
        for round in 0..200 {
            let from = 38 - round % 38;
            let site = u32::try_from(round + 2).expect("few");
            walk(traces, &frames, (from, 0), NONE, site);
            assert_eq!(traces.find(at(&frames, from, 0), 1), Some(site));
        }
    }

    #[test]
    fn another_generation_joins_nothing() {
        let (traces, frames) = (Traces::empty(), frames());
        walk(traces, &frames, (8, 0), NONE, 1);
        let used = traces.enter().expect("nobody else is at it");
        let log = Log::new(&used, at(&frames, 8, 0), 2);
        assert!(!log.joins(&at(&frames, 8, 0), 0));
    }
}
