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
//!   [caller][site][generation][position, number of words] -----> [address, value] ...
//! ```
//! Invariant of [`Traces`]: one thread at a time owns it, found through its thread-local words,
//! and gives it back when it ends. A signal handler that comes in between finds it busy and does
//! without; so does the rest of a thread whose handler jumped out.

use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering, compiler_fence};

use core::cell::Cell;

use super::path::Path;
use super::unwind::frame::Fast;
use super::unwind::stack::Live;
use super::{system, thread};

const WAYS: usize = 8;
const SETS: usize = 128;
/// Words that a thread keeps; the oldest make room.
const WORDS: usize = 1 << 15;
/// The most that one backtrace may need: two for each frame.
const MOST: usize = 256;
/// Threads that have a cache at the same time.
const THREADS: usize = 256;

/// One backtrace.
#[repr(C)]
#[derive(Debug)]
struct Entry {
    caller: Cell<Fast>,
    position: Cell<usize>,
    /// The highest address of its words.
    top: Cell<usize>,
    len: Cell<u32>,
    /// What [`Traces::put`] was given; 0 where there is no entry.
    generation: Cell<u32>,
    site: Cell<u32>,
    reads_fp: Cell<bool>,
}

/// The cache of one thread. All zero is an empty one.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Traces {
    busy: AtomicBool,
    place: Cell<usize>,
    /// Words written since the beginning.
    position: Cell<usize>,
    victim: Cell<usize>,
    path: Path,
    entries: [[Entry; WAYS]; SETS],
    words: [Cell<[usize; 2]>; WORDS],
}

static BLOCKS: [AtomicPtr<Traces>; THREADS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; THREADS];
static OWNED: [AtomicBool; THREADS] = [const { AtomicBool::new(false) }; THREADS];

/// The calling thread's cache, for one backtrace.
#[derive(Debug)]
pub(crate) struct Use(&'static Traces);

/// The calling thread's cache; `None` where there is none, or it is in use further out.
#[inline]
pub(crate) fn enter() -> Option<Use> {
    let at = match thread::traces() {
        Some(at) => at,
        None => claim(),
    };
    if at.is_null() {
        return None;
    }
    // SAFETY: the type's invariant; the block is never unmapped.
    let traces = unsafe { &*at };
    if traces.busy.load(Ordering::Relaxed) {
        return None;
    }
    traces.busy.store(true, Ordering::Relaxed);
    compiler_fence(Ordering::SeqCst);
    Some(Use(traces))
}

impl Drop for Use {
    #[inline]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        self.0.busy.store(false, Ordering::Relaxed);
    }
}

/// Finds a cache for the calling thread; null where it gets none.
#[cold]
fn claim() -> *const Traces {
    // What follows may allocate, and that has to do without.
    thread::set_traces(core::ptr::null());
    for (place, (owned, block)) in OWNED.iter().zip(&BLOCKS).enumerate() {
        if owned.load(Ordering::Relaxed) || owned.swap(true, Ordering::Acquire) {
            continue;
        }
        let mut at = block.load(Ordering::Relaxed);
        if at.is_null() {
            let Some(fresh) = system::reserve(size_of::<Traces>(), 4096) else { break };
            at = fresh.cast();
            // SAFETY: the memory is fresh, zero, which is a valid cache, and large enough.
            unsafe { &*at }.place.set(place);
            block.store(at, Ordering::Relaxed);
        }
        if !system::at_thread_end(at.cast()) {
            owned.store(false, Ordering::Release);
            break;
        }
        thread::set_traces(at);
        return at;
    }
    core::ptr::null()
}

/// The thread that owns `block` ends.
pub(crate) unsafe extern "C" fn release(block: *mut c_void) {
    // What the thread still allocates has to do without.
    thread::set_traces(core::ptr::null());
    // SAFETY: `claim` gave the block, which is never unmapped.
    let traces = unsafe { &*block.cast::<Traces>() };
    if let Some(owned) = OWNED.get(traces.place.get()) {
        owned.store(false, Ordering::Release);
    }
}

impl Use {
    fn set(&self, caller: Fast) -> Option<&'static [Entry; WAYS]> {
        let mixed = (caller.sp >> 4) ^ caller.pc ^ (caller.pc >> 7) ^ (caller.sp >> 11);
        self.0.entries.get(mixed & (SETS - 1))
    }

    fn word(&self, position: usize) -> Option<&'static Cell<[usize; 2]>> {
        self.0.words.get(position & (WORDS - 1))
    }

    /// The site of the backtrace from `caller`, where it is known.
    #[inline]
    pub(crate) fn find(&self, caller: Fast, generation: u32) -> Option<u32> {
        let entry = self.set(caller)?.iter().find(|entry| {
            let known = entry.caller.get();
            known.sp == caller.sp
                && known.pc == caller.pc
                && entry.generation.get() == generation
                && (known.fp == caller.fp || !entry.reads_fp.get())
                && self.unchanged(entry, caller)
        })?;
        Some(entry.site.get())
    }

    fn unchanged(&self, entry: &Entry, caller: Fast) -> bool {
        let (start, len) = (entry.position.get(), entry.len.get() as usize);
        // Words behind the ring's position are overwritten by logs that are not kept.
        if self.0.position.get().wrapping_sub(start) > WORDS - 2 * MOST {
            return false;
        }
        let first = start & (WORDS - 1);
        let Some(words) = self.0.words.get(first..first.wrapping_add(len)) else { return false };
        let stack = Live::current(caller.sp);
        // SAFETY: the words were read when the stack pointer was the same, and `top` is the
        // highest of them.
        unsafe { stack.is_unchanged(words, entry.top.get()) }
    }

    /// The frames of the last backtrace that was not found.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Starts to write down the words of a backtrace.
    pub(crate) fn log(&self) -> Log<'_> {
        let position = self.0.position.get();
        // They lie in one piece.
        let left = WORDS.wrapping_sub(position & (WORDS - 1));
        let start = if left < MOST { position.wrapping_add(left) } else { position };
        Log { traces: self, start, len: Cell::new(0), top: Cell::new(0) }
    }
}

/// The words that a walk read.
#[derive(Debug)]
pub(crate) struct Log<'a> {
    traces: &'a Use,
    start: usize,
    len: Cell<usize>,
    top: Cell<usize>,
}

impl Log<'_> {
    /// The walk read `value` at `address`.
    #[inline]
    pub(crate) fn push(&self, address: usize, value: usize) {
        let len = self.len.get();
        if len < MOST
            && let Some(word) = self.traces.word(self.start.wrapping_add(len))
        {
            word.set([address, value]);
        }
        self.len.set(len.wrapping_add(1));
        self.top.set(self.top.get().max(address));
    }

    /// The walk from `caller` read these words and nothing else, and led to `site`.
    pub(crate) fn keep(self, caller: Fast, reads_fp: bool, generation: u32, site: u32) {
        let (traces, len) = (self.traces.0, self.len.get());
        let (Ok(count), Some(set)) = (u32::try_from(len), self.traces.set(caller)) else { return };
        if len > MOST {
            return;
        }
        traces.position.set(self.start.wrapping_add(len));
        let victim = traces.victim.get().wrapping_add(1);
        traces.victim.set(victim);
        let Some(entry) = set.get(victim & (WAYS - 1)) else { return };
        entry.caller.set(caller);
        entry.position.set(self.start);
        entry.len.set(count);
        entry.top.set(self.top.get());
        entry.site.set(site);
        entry.reads_fp.set(reads_fp);
        entry.generation.set(generation);
    }
}

const _: () = assert!(MOST < WORDS && SETS.is_power_of_two() && WAYS.is_power_of_two());

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    fn entered() -> Option<Use> {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| system::watch_thread_ends(release));
        enter()
    }

    /// A caller whose words are `stack`, which is on the thread's own stack.
    fn caller(stack: &[Cell<usize>], pc: usize) -> Fast {
        Fast { pc, sp: stack.as_ptr() as usize, fp: 7, fp_is_saved: false }
    }

    fn keep(traces: &Use, stack: &[Cell<usize>], caller: Fast, reads_fp: bool, site: u32) {
        let log = traces.log();
        for word in stack {
            log.push(word.as_ptr() as usize, word.get());
        }
        log.keep(caller, reads_fp, 1, site);
    }

    #[test]
    fn a_hit_needs_everything_unchanged() {
        let stack: [Cell<usize>; 29] = std::array::from_fn(Cell::new);
        let traces = entered().expect("the thread has one");
        let here = caller(&stack, 0x1000);
        assert_eq!(traces.find(here, 1), None);
        keep(&traces, &stack, here, false, 42);
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
        keep(&traces, &stack, other, true, 43);
        assert_eq!(traces.find(other, 1), Some(43));
        assert_eq!(traces.find(Fast { fp: 8, ..other }, 1), None, "a rule read it");
    }

    #[test]
    fn what_was_overwritten_is_not_found() {
        let stack: [Cell<usize>; 200] = std::array::from_fn(Cell::new);
        let traces = entered().expect("the thread has one");
        let mut found = 0;
        for round in 0..400_u32 {
            let here = |round: u32| caller(&stack, 0x1000 + round as usize * 0x40);
            // A log that isn't kept writes words too.
            let log = traces.log();
            (0..MOST).for_each(|_| log.push(stack.as_ptr() as usize, 5));
            // Sites tell which words the entry was made of.
            stack[7].set(round as usize);
            keep(&traces, &stack, here(round), false, round + 1);
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
        let traces = entered().expect("the thread has one");
        let here = caller(&stack, 0x3000);
        keep(&traces, &stack, here, false, 1);
        assert_eq!(traces.find(here, 1), None);
        keep(&traces, &stack[..MOST], here, false, 1);
        assert_eq!(traces.find(here, 1), Some(1));
    }

    #[test]
    fn a_cache_in_use_is_not_entered_again() {
        let outer = entered().expect("the thread has one");
        assert!(entered().is_none());
        drop(outer);
        assert!(entered().is_some());
    }

    #[test]
    fn a_thread_that_ends_gives_its_cache_back() {
        for _ in 0..2 * THREADS {
            let thread = std::thread::spawn(|| entered().is_some());
            assert!(thread.join().expect("no panic"));
        }
    }
}
