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
use super::ring::Ring;
use super::unwind::frame::Fast;
use super::unwind::stack::{Live, Seen};

const WAYS: usize = 8;
const SET_BITS: u32 = 7;
const SETS: usize = 1 << SET_BITS;

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
    /// Where its words begin, and how many fours they are.
    pub(crate) position: usize,
    pub(crate) len: u32,
    pub(crate) generation: u32,
    pub(crate) site: u32,
    /// A rule read `fp`.
    pub(crate) reads_fp: bool,
    /// The words are on a stack whose end is known.
    pub(crate) has_end: bool,
}

/// The cache of one thread. All zero is an empty one.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Traces {
    /// How often an entry was begun and ended: odd while one is being made.
    stamp: AtomicU32,
    /// The last backtrace that was walked.
    pub(crate) path: Path,
    entries: [[Cell<Entry>; WAYS]; SETS],
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
    fn set(&self, sp: usize, pc: usize) -> Option<&[Cell<Entry>; WAYS]> {
        const FACTOR: usize = 0x9e37_79b9_7f4a_7c15;
        let mixed = sp.wrapping_add(pc).wrapping_mul(FACTOR);
        self.entries.get(mixed >> (usize::BITS - SET_BITS))
    }

    /// The site of the backtrace from `caller`, where it is known.
    pub(crate) fn find(&self, caller: Fast, generation: u32) -> Option<u32> {
        self.find_where(caller, generation, |seen, entry| {
            entry.has_end || is_readable(seen, entry.sp, entry.base)
        })
    }

    /// The same where the stack's end is known: with no call, which would cost registers.
    #[inline(always)]
    pub(crate) fn find_quickly(&self, caller: Fast, generation: u32) -> Option<u32> {
        self.find_where(caller, generation, |_, entry| entry.has_end)
    }

    #[inline(always)]
    fn find_where(
        &self,
        caller: Fast,
        generation: u32,
        is_mapped: impl Fn(&[Seen], &Entry) -> bool,
    ) -> Option<u32> {
        let stamp = self.stamp.load(Ordering::Relaxed);
        if is_busy(stamp) {
            return None;
        }
        compiler_fence(Ordering::SeqCst);
        for entry in self.set(caller.sp, caller.pc)? {
            // SAFETY: a cell of this thread's own; no reference into it outlives the turn.
            let entry = unsafe { &*entry.as_ptr() };
            if entry.sp == caller.sp
                && entry.pc == caller.pc
                && entry.generation == generation
                && (entry.fp == caller.fp || !entry.reads_fp)
                && let Some(seen) = self.ring.kept(entry.position, entry.len as usize)
                && is_mapped(seen, entry)
                // SAFETY: the words were read when the stack pointer was the same, from a stack
                // whose end is known, or can be read now.
                && unsafe { Seen::are_unchanged(seen, entry.base) }
            {
                let site = entry.site;
                compiler_fence(Ordering::SeqCst);
                return (self.stamp.load(Ordering::Relaxed) == stamp).then_some(site);
            }
        }
        None
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

    /// Makes `entry`; the latest comes first in its set, and the oldest goes.
    pub(crate) fn put(&self, entry: Entry) {
        let Some(set) = self.set(entry.sp, entry.pc) else { return };
        for pair in set.windows(2).rev() {
            if let [newer, older] = pair {
                older.set(newer.get());
            }
        }
        let [first, ..] = set;
        first.set(entry);
    }
}

#[inline(always)]
fn is_busy(stamp: u32) -> bool {
    stamp & 1 != 0
}

/// Whether all of `seen` can be read on a stack whose end nobody knows.
#[cold]
fn is_readable(seen: &[Seen], pointer: usize, base: usize) -> bool {
    let stack = Live::current(pointer);
    seen.iter().all(|seen| seen.is_in(&stack, base))
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

const _: () = assert!(WAYS > 0 && size_of::<Entry>() == 64, "an entry is a line of the cache");

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
        log.keep(1, true, site);
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
        log.keep(1, true, 8);
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
