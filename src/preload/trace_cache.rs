//! What each thread has seen: the sites of its last backtraces, with every stack word that the
//! walk read.
//!
//! A walk by rules depends on the caller's stack pointer, return address and (where a rule reads
//! it) frame pointer, on the words it read, and on the loaded code. All unchanged, the result is
//! the same: a hit is a proof, not a guess.
//!
//! ```text
//!   sets of WAYS entries, by (stack pointer, return address)     ring of words
//!   [caller][site][generation][position, how many] ------------> four distances, four values; ...
//! ```
//! Where nothing is found, the walk writes a [`Log`](super::log::Log), which joins the last one
//! where it can.
//!
//! Invariant of [`Traces`]: one thread at a time owns it ([`thread`](super::thread)). A signal
//! handler that comes in between a look finds its own backtraces, and the look that it
//! interrupted is not believed; one that comes while an entry is made finds the cache busy and
//! does without, as does the rest of a thread whose handler jumped out of there.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use super::path::Path;
use super::ring::{Piece, Ring};
use super::unwind::frame::Fast;
use super::unwind::stack::Live;

/// Sets of the near entries and of the far ones, and how many are in one.
const NEAR: (usize, usize) = (1 << 8, 2);
const FAR: (usize, usize) = (1 << 11, 4);

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

impl Entry {
    fn caller(&self) -> Fast {
        Fast { pc: self.pc, sp: self.sp, fp: self.fp, fp_is_saved: false }
    }
}

/// The cache of one thread. All zero is an empty one.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Traces {
    /// How often an entry was begun and ended: odd while one is being made.
    stamp: AtomicU32,
    /// The last backtrace that was walked.
    pub(crate) path: Path,
    near: [[Cell<Entry>; NEAR.1]; NEAR.0],
    /// Which of the far entries may be the one: few lines of the cache, where those are many.
    tags: [[Cell<u32>; FAR.1]; FAR.0],
    far: [[Cell<Entry>; FAR.1]; FAR.0],
    pub(crate) ring: Ring,
}

impl Traces {
    /// An empty cache that stays.
    #[cfg(test)]
    pub(crate) fn empty() -> &'static Self {
        // SAFETY: zero is a valid cache.
        Box::leak(unsafe { Box::<Self>::new_zeroed().assume_init() })
    }

    #[inline(always)]
    fn near(&self, caller: &Fast) -> &[Cell<Entry>] {
        let set = mixed(caller, 0) >> (u64::BITS - NEAR.0.trailing_zeros());
        self.near.get(set as usize).map_or(&[], <[_; _]>::as_slice)
    }

    /// The far entries that that of `caller` and `context` is among, with their tags, and its tag.
    fn far(
        &self,
        caller: Fast,
        context: usize,
    ) -> (impl Iterator<Item = (&Cell<u32>, &Cell<Entry>)>, u32) {
        let mixed = mixed(&caller, context);
        let set = (mixed >> (u64::BITS - FAR.0.trailing_zeros())) as usize;
        let tags = self.tags.get(set).into_iter().flatten();
        #[allow(clippy::cast_possible_truncation, reason = "its lower half")]
        (tags.zip(self.far.get(set).into_iter().flatten()), mixed as u32)
    }

    /// The site of the backtrace from `caller`, where it is near.
    pub(crate) fn find(&self, caller: Fast, generation: u32) -> Option<u32> {
        let stamp = self.look()?;
        let known = |entry: &Entry| self.is_known(entry, &caller, generation, is_mapped);
        let entry = entries(self.near(&caller)).find(|entry| known(entry))?;
        self.believed(stamp, entry.site)
    }

    /// The same where the stack's end is known: with no call, which would cost registers.
    #[inline(always)]
    pub(crate) fn find_quickly(&self, caller: Fast, generation: u32) -> Option<u32> {
        let stamp = self.look()?;
        let has_end = |_: &Ring, entry: &Entry| entry.has_end;
        let known = |entry: &Entry| self.is_known(entry, &caller, generation, has_end);
        let entry = entries(self.near(&caller)).find(|entry| known(entry))?;
        self.believed(stamp, entry.site)
    }

    /// The site of the backtrace from `caller`, where it is further away: it comes near.
    pub(crate) fn find_far(
        &'static self,
        caller: Fast,
        context: usize,
        generation: u32,
    ) -> Option<u32> {
        let stamp = self.look()?;
        let (mut places, tag) = self.far(caller, context);
        let known = |entry: &Entry| self.is_known(entry, &caller, generation, is_mapped);
        let entry = places.find_map(|(its, entry)| {
            let entry = (its.get() == tag).then(|| entry.get())?;
            known(&entry).then_some(entry)
        })?;
        let site = self.believed(stamp, entry.site)?;
        let _used = self.enter()?;
        self.put_near(entry);
        Some(site)
    }

    /// Begins to look; `None` while an entry is being made.
    #[inline(always)]
    fn look(&self) -> Option<u32> {
        let stamp = self.stamp.load(Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        (!is_busy(stamp)).then_some(stamp)
    }

    /// What was found since [`look`](Self::look), if no entry was made meanwhile.
    #[inline(always)]
    fn believed(&self, stamp: u32, site: u32) -> Option<u32> {
        compiler_fence(Ordering::SeqCst);
        (self.stamp.load(Ordering::Relaxed) == stamp).then_some(site)
    }

    /// Whether `entry` is that of the backtrace from `caller`.
    #[inline(always)]
    fn is_known(
        &self,
        entry: &Entry,
        caller: &Fast,
        generation: u32,
        is_mapped: impl Fn(&Ring, &Entry) -> bool,
    ) -> bool {
        entry.sp == caller.sp
            && entry.pc == caller.pc
            && entry.generation == generation
            && (entry.fp == caller.fp || !entry.reads_fp)
            && is_mapped(&self.ring, entry)
            // SAFETY: the words were read when the stack pointer was the same, from a stack whose
            // end is known, or can be read now.
            && unsafe { self.ring.are_unchanged(entry.words, entry.base) }
    }

    /// Starts to make an entry; `None` while one is being made further out.
    pub(crate) fn enter(&'static self) -> Option<Use> {
        let stamp = self.stamp.load(Ordering::Relaxed);
        if is_busy(stamp) {
            return None;
        }
        self.stamp.store(stamp.wrapping_add(1), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        Some(Use(self))
    }

    /// Makes `entry`, which is found by `context` when it is no longer near.
    pub(crate) fn put(&self, entry: Entry, context: usize) {
        let (mut places, tag) = self.far(entry.caller(), context);
        // Any will do.
        if let Some((its, place)) = places.nth(entry.words.position / 8 % FAR.1) {
            its.set(tag);
            place.set(entry);
        }
        self.put_near(entry);
    }

    /// The latest comes first in its set, and the oldest goes.
    fn put_near(&self, entry: Entry) {
        if let [first, second] = self.near(&entry.caller()) {
            second.set(first.get());
            first.set(entry);
        }
    }
}

/// Bits that tell where the entry of `caller` with that `context` is; the upper ones are the best.
#[inline(always)]
fn mixed(caller: &Fast, context: usize) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let sum = caller.sp.wrapping_add(caller.pc).wrapping_add(context) as u64;
    let mixed = sum.wrapping_mul(FACTOR);
    mixed ^ mixed >> 32
}

/// The entries in `cells`.
#[inline(always)]
fn entries(cells: &[Cell<Entry>]) -> impl Iterator<Item = &Entry> {
    // SAFETY: cells of this thread's own; no reference into one outlives its turn.
    cells.iter().map(|cell| unsafe { &*cell.as_ptr() })
}

#[inline(always)]
fn is_busy(stamp: u32) -> bool {
    stamp & 1 != 0
}

/// Whether the words of `entry` can be read.
fn is_mapped(ring: &Ring, entry: &Entry) -> bool {
    entry.has_end || is_readable(ring, entry)
}

/// Whether all of them can be read on a stack whose end nobody knows. Nothing joins another walk
/// there: they are one piece.
#[cold]
fn is_readable(ring: &Ring, entry: &Entry) -> bool {
    let stack = Live::current(entry.sp);
    ring.all(entry.words, |seen| seen.is_in(&stack, entry.base))
}

/// The calling thread's cache, for one entry.
#[derive(Debug)]
pub(crate) struct Use(pub(crate) &'static Traces);

impl Drop for Use {
    #[inline]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        let stamp = self.0.stamp.load(Ordering::Relaxed);
        self.0.stamp.store(stamp.wrapping_add(1), Ordering::Relaxed);
    }
}

const _: () = assert!(size_of::<Entry>() == 64, "an entry is a line of the cache");

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests {
    use super::*;
    use crate::preload::log::Log;

    /// A caller whose words are `stack`, which is on the thread's own stack.
    fn caller(stack: &[Cell<usize>], pc: usize) -> Fast {
        Fast { pc, sp: stack.as_ptr() as usize, fp: 7, fp_is_saved: false }
    }

    fn keep(
        traces: &'static Traces,
        stack: &[Cell<usize>],
        caller: Fast,
        reads_fp: bool,
        site: u32,
    ) {
        let used = traces.enter().expect("nobody else is at it");
        let log = Log::new(&used, caller, 1);
        for word in stack {
            log.push(word.as_ptr() as usize, word.get());
        }
        if reads_fp {
            log.frame_pointer(&caller);
        }
        log.keep(1, true, site, 0);
    }

    #[test]
    fn a_hit_needs_everything_unchanged() {
        let stack: [Cell<usize>; 29] = std::array::from_fn(Cell::new);
        let traces = Traces::empty();
        let here = caller(&stack, 0x1000);
        assert_eq!(traces.find(here, 1), None);
        keep(traces, &stack, here, false, 42);
        assert_eq!(traces.find(here, 1), Some(42));
        assert_eq!(traces.find(here, 2), None, "something was closed");
        assert_eq!(traces.find(Fast { pc: 0x1001, ..here }, 1), None);
        assert_eq!(traces.find(Fast { sp: here.sp + 8, ..here }, 1), None);
        assert_eq!(traces.find(Fast { fp: 8, ..here }, 1), Some(42), "no rule read it");
        for (index, word) in stack.iter().enumerate() {
            word.set(999);
            assert_eq!(traces.find(here, 1), None, "word {index}");
            word.set(index);
        }
        assert_eq!(traces.find(here, 1), Some(42));
        let other = Fast { pc: 0x2000, ..here };
        keep(traces, &stack, other, true, 43);
        assert_eq!(traces.find(other, 1), Some(43));
        assert_eq!(traces.find(Fast { fp: 8, ..other }, 1), None, "a rule read it");
    }

    #[test]
    fn what_was_overwritten_is_not_found() {
        let stack: [Cell<usize>; 200] = std::array::from_fn(Cell::new);
        let traces = Traces::empty();
        let mut found = 0;
        for round in 0..400_u32 {
            let here = |round: u32| caller(&stack, 0x1000 + round as usize * 0x40);
            // A log that isn't kept writes words too.
            let unkept = traces.enter().expect("nobody else is at it");
            let log = Log::new(&unkept, here(round), 1);
            (0..256).for_each(|_| log.push(stack.as_ptr() as usize, 5));
            drop(unkept);
            // Sites tell which words the entry was made of.
            stack[7].set(round as usize);
            keep(traces, &stack, here(round), false, round + 1);
            for earlier in round.saturating_sub(190)..=round {
                stack[7].set(earlier as usize);
                let site = traces.find(here(earlier), 1);
                assert!(site.is_none() || site == Some(earlier + 1), "{earlier}: {site:?}");
                found += u32::from(site.is_some());
            }
        }
        assert!(found > 400, "some are found: {found}");
    }

    #[test]
    fn what_can_not_be_kept_is_not() {
        let stack: [Cell<usize>; 400] = std::array::from_fn(Cell::new);
        let traces = Traces::empty();
        let here = caller(&stack, 0x3000);
        keep(traces, &stack, here, false, 1);
        assert_eq!(traces.find(here, 1), None, "too many words");
        keep(traces, &stack[..256], here, false, 1);
        assert_eq!(traces.find(here, 1), Some(1));
    }

    #[test]
    fn a_stack_without_an_end_is_asked_for() {
        // Words that are on no stack of this thread.
        let words: Box<[Cell<usize>; 64]> = Box::new(std::array::from_fn(Cell::new));
        let traces = Traces::empty();
        let here = caller(&words[..], 0x5000);
        assert!(!Live::current(here.sp).has_end(), "it is the heap");
        keep(traces, &words[..6], here, false, 7);
        assert_eq!(traces.find(here, 1), Some(7));
        words[3].set(999);
        assert_eq!(traces.find(here, 1), None);
        words[3].set(3);
        let used = traces.enter().expect("nobody else is at it");
        let log = Log::new(&used, here, 1);
        // Nothing is mapped there: as if a stack had been unmapped since.
        log.push(here.sp + (60 << 20), 0);
        log.keep(1, true, 8, 0);
        drop(used);
        assert_eq!(traces.find(here, 1), Some(7), "the older one holds");
    }

    #[test]
    fn a_cache_in_use_is_not_entered_again() {
        let traces = Traces::empty();
        let stack = [Cell::new(1)];
        let here = caller(&stack, 0x6000);
        keep(traces, &stack, here, false, 3);
        let outer = traces.enter().expect("nobody else is at it");
        assert!(traces.enter().is_none());
        assert_eq!(traces.find(here, 1), None, "it may be half written");
        drop(outer);
        assert!(traces.enter().is_some());
        assert_eq!(traces.find(here, 1), Some(3));
    }
}
