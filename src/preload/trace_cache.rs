//! What each thread has seen: the sites of its last backtraces, with every stack word that the
//! walk read.
//!
//! A walk by rules depends on the caller's stack pointer, return address and (where a rule reads
//! it) frame pointer, on the words it read, and on the loaded code. All unchanged, the result is
//! the same: a hit is a proof, not a guess. Words are compared in the order in which the walk read
//! them, so that no word is read that a walk would not read.
//!
//! ```text
//!   sets of WAYS entries, by (stack pointer, return address)     words, a ring
//!   [caller][site][generation][position, how many] ------------> four offsets, four values; ...
//! ```
//! Invariant of [`Traces`]: one thread at a time owns it ([`thread`]). A signal handler that comes
//! in between a look finds its own backtraces, and the look that it interrupted is not believed;
//! one that comes while an entry is made finds the cache busy and does without, as does the rest
//! of a thread whose handler jumped out of there.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering, compiler_fence};

use super::path::Path;
use super::unwind::frame::Fast;
use super::unwind::stack::{Live, SEEN, Seen};

const WAYS: usize = 8;
const SET_BITS: u32 = 7;
const SETS: usize = 1 << SET_BITS;
/// What a thread keeps, four words each; the oldest make room.
const RING: usize = 1 << 13;
/// The most words that one backtrace may need: two for each frame.
const MOST: usize = 256;

/// One backtrace. All zero is none: no code has generation 0.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
struct Entry {
    sp: usize,
    pc: usize,
    fp: usize,
    /// Where its words begin, counted in fours since the beginning.
    position: usize,
    len: u32,
    generation: u32,
    site: u32,
    reads_fp: bool,
    /// The words are on a stack whose end is known.
    has_end: bool,
}

/// The cache of one thread. All zero is an empty one.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Traces {
    /// An entry is being made.
    busy: AtomicBool,
    /// How many entries were made.
    changes: AtomicU32,
    /// Words written since the beginning, in fours.
    position: Cell<usize>,
    path: Path,
    entries: [[Cell<Entry>; WAYS]; SETS],
    ring: [Seen; RING],
}

impl Traces {
    #[inline(always)]
    fn set(&self, caller: Fast) -> Option<&[Cell<Entry>; WAYS]> {
        const FACTOR: usize = 0x9e37_79b9_7f4a_7c15;
        let mixed = caller.sp.wrapping_add(caller.pc).wrapping_mul(FACTOR);
        self.entries.get(mixed >> (usize::BITS - SET_BITS))
    }

    /// The site of the backtrace from `caller`, where it is known.
    #[inline(always)]
    pub(crate) fn find(&self, caller: Fast, generation: u32) -> Option<u32> {
        if self.busy.load(Ordering::Relaxed) {
            return None;
        }
        let changes = self.changes.load(Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        for entry in self.set(caller)? {
            // SAFETY: a cell of this thread's own; no reference into it outlives the turn.
            let entry = unsafe { &*entry.as_ptr() };
            if entry.sp == caller.sp
                && entry.pc == caller.pc
                && entry.generation == generation
                && (entry.fp == caller.fp || !entry.reads_fp)
                && self.is_unchanged(entry, caller.sp)
            {
                let site = entry.site;
                compiler_fence(Ordering::SeqCst);
                return (self.changes.load(Ordering::Relaxed) == changes).then_some(site);
            }
        }
        None
    }

    #[inline(always)]
    fn is_unchanged(&self, entry: &Entry, pointer: usize) -> bool {
        // Words behind the ring's position are overwritten by logs that are not kept.
        if self.position.get().wrapping_sub(entry.position) > RING - 2 * (MOST / SEEN) {
            return false;
        }
        let first = entry.position & (RING - 1);
        let Some(seen) = self.ring.get(first..first.wrapping_add(entry.len as usize)) else {
            return false;
        };
        if !entry.has_end && !is_readable(seen, pointer) {
            return false;
        }
        for seen in seen {
            // SAFETY: the words were read when the stack pointer was the same, from a stack whose
            // end is known, or can be read now.
            if !unsafe { seen.is_unchanged(pointer) } {
                return false;
            }
        }
        true
    }

    /// Starts to make an entry; `None` while one is being made further out.
    pub(crate) fn enter(&'static self) -> Option<Use> {
        if self.busy.load(Ordering::Relaxed) {
            return None;
        }
        self.busy.store(true, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        Some(Use(self))
    }
}

/// Whether all of `seen` can be read on a stack whose end nobody knows: no word is read that a
/// walk would not read now.
#[cold]
fn is_readable(seen: &[Seen], pointer: usize) -> bool {
    let stack = Live::current(pointer);
    seen.iter().all(|seen| seen.is_in(&stack, pointer))
}

/// The calling thread's cache, for one entry.
#[derive(Debug)]
pub(crate) struct Use(&'static Traces);

impl Drop for Use {
    #[inline]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        self.0.busy.store(false, Ordering::Relaxed);
    }
}

impl Use {
    /// The frames of the last backtrace that was not found.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Starts to write down the words of the backtrace from `caller`.
    pub(crate) fn log(&self, caller: Fast) -> Log<'_> {
        let position = self.0.position.get();
        // They lie in one piece.
        let left = RING.wrapping_sub(position & (RING - 1));
        let start = if left < MOST / SEEN { position.wrapping_add(left) } else { position };
        Log { traces: self, caller, start, len: Cell::new(0) }
    }
}

/// The words that a walk read.
#[derive(Debug)]
pub(crate) struct Log<'a> {
    traces: &'a Use,
    caller: Fast,
    start: usize,
    /// Words so far; more than [`MOST`] where one can't be kept.
    len: Cell<usize>,
}

impl Log<'_> {
    fn seen(&self, number: usize) -> Option<&Seen> {
        let at = self.start.wrapping_add(number / SEEN) & (RING - 1);
        self.traces.0.ring.get(at)
    }

    /// The walk read `value` at `address`.
    #[inline]
    pub(crate) fn push(&self, address: usize, value: usize) {
        let len = self.len.get();
        let seen = self.seen(len).filter(|_| len < MOST);
        match (u32::try_from(address.wrapping_sub(self.caller.sp)), seen) {
            (Ok(offset), Some(seen)) => {
                seen.put(len & (SEEN - 1), offset, value);
                self.len.set(len.wrapping_add(1));
            }
            _ => self.len.set(usize::MAX / 2),
        }
    }

    /// The walk read these words and nothing else, and led to `site`.
    pub(crate) fn keep(self, reads_fp: bool, has_end: bool, generation: u32, site: u32) {
        let (traces, len) = (self.traces.0, self.len.get());
        let Some(set) = traces.set(self.caller).filter(|_| len <= MOST) else { return };
        if let Some(last) = len.checked_sub(1).and_then(|last| self.seen(last)) {
            last.fill(len.wrapping_sub(1) & (SEEN - 1));
        }
        let count = len.div_ceil(SEEN);
        traces.position.set(self.start.wrapping_add(count));
        traces
            .changes
            .store(traces.changes.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        // The latest comes first, and the oldest goes.
        for pair in set.windows(2).rev() {
            if let [newer, older] = pair {
                older.set(newer.get());
            }
        }
        let Fast { pc, sp, fp, .. } = self.caller;
        let (position, len) = (self.start, u32::try_from(count).unwrap_or_default());
        if let [first, ..] = set {
            first.set(Entry { sp, pc, fp, position, len, generation, site, reads_fp, has_end });
        }
    }
}

const _: () = assert!(MOST / SEEN < RING && WAYS > 0);

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    fn traces() -> &'static Traces {
        // SAFETY: zero is a valid cache.
        Box::leak(unsafe { Box::<Traces>::new_zeroed().assume_init() })
    }

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
        let traces = traces.enter().expect("nobody else is at it");
        let log = traces.log(caller);
        for word in stack {
            log.push(word.as_ptr() as usize, word.get());
        }
        log.keep(reads_fp, true, 1, site);
    }

    #[test]
    fn a_hit_needs_everything_unchanged() {
        let stack: [Cell<usize>; 29] = std::array::from_fn(Cell::new);
        let traces = traces();
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
        let traces = traces();
        let mut found = 0;
        for round in 0..400_u32 {
            let here = |round: u32| caller(&stack, 0x1000 + round as usize * 0x40);
            // A log that isn't kept writes words too.
            let unkept = traces.enter().expect("nobody else is at it");
            let log = unkept.log(here(round));
            (0..MOST).for_each(|_| log.push(stack.as_ptr() as usize, 5));
            drop(unkept);
            // Sites tell which words the entry was made of.
            stack[7].set(round as usize);
            keep(traces, &stack, here(round), false, round + 1);
            for earlier in round.saturating_sub(90)..=round {
                stack[7].set(earlier as usize);
                let site = traces.find(here(earlier), 1);
                assert!(site.is_none() || site == Some(earlier + 1), "{earlier}: {site:?}");
                found += u32::from(site.is_some());
            }
        }
        assert!(found > 400, "some are found: {found}");
    }

    #[test]
    fn more_words_than_fit_are_not_kept() {
        let stack: [Cell<usize>; MOST + 1] = std::array::from_fn(Cell::new);
        let traces = traces();
        let here = caller(&stack, 0x3000);
        keep(traces, &stack, here, false, 1);
        assert_eq!(traces.find(here, 1), None);
        keep(traces, &stack[..MOST], here, false, 1);
        assert_eq!(traces.find(here, 1), Some(1));
    }

    #[test]
    fn words_below_the_stack_pointer_are_not_kept() {
        let stack: [Cell<usize>; 4] = std::array::from_fn(Cell::new);
        let traces = traces();
        let here = caller(&stack[1..], 0x4000);
        keep(traces, &stack, here, false, 1);
        assert_eq!(traces.find(here, 1), None);
        keep(traces, &stack[1..], here, false, 1);
        assert_eq!(traces.find(here, 1), Some(1));
    }

    #[test]
    fn a_stack_without_an_end_is_asked_for() {
        let stack: [Cell<usize>; 6] = std::array::from_fn(Cell::new);
        let traces = traces();
        let here = caller(&stack, 0x5000);
        let used = traces.enter().expect("nobody else is at it");
        let log = used.log(here);
        log.push(here.sp, stack[0].get());
        log.keep(false, false, 1, 7);
        drop(used);
        assert_eq!(traces.find(here, 1), Some(7));
        let used = traces.enter().expect("nobody else is at it");
        let log = used.log(here);
        // Nothing is mapped there; as if the stack had been unmapped since.
        log.push(here.sp + (3 << 30), 0);
        log.keep(false, false, 1, 8);
        drop(used);
        stack[0].set(9);
        assert_eq!(traces.find(here, 1), None);
    }

    #[test]
    fn a_cache_in_use_is_not_entered_again() {
        let traces = traces();
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
