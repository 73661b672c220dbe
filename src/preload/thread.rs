//! What each thread has of its own: thread-local words, and one of the places that threads have
//! while they live, with a cache of backtraces and a shard of the counters.
//!
//! `thread_local!` goes through `__tls_get_addr`, which can allocate. These words are
//! initial-exec: an offset from the thread pointer that the loader fixed, never allocated, never
//! destroyed, zero when the thread starts.
//!
//! Invariant of a place: one thread at a time owns it, and gives it back when it ends. Where there
//! are more threads than places, or a thread is about to end, it does without.

use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::book::Book;
#[cfg(miri)]
use super::interpreted::thread_words as address;
use super::system::Errno;
use super::trace_cache::Traces;
use super::{libgcc, start, system};
use crate::ledger::shard::{SHARDS, Shard};

/// The words of one thread.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Words {
    /// The place's cache of backtraces, while it may be asked: null without a place, without
    /// counters, in a pause, and where backtraces are checked. What every allocation looks at.
    known: Cell<*const Traces>,
    /// The place's counters; null without a place.
    shard: Cell<*const Shard>,
    /// The place's cache of backtraces; null without a place.
    traces: Cell<*const Traces>,
    /// Where the thread's own stack begins; 0 where nobody has asked, the highest address where
    /// nobody knows.
    stack: Cell<usize>,
    /// Where the signal stack is of which otherwise the kernel alone knows.
    signal_stack: Cell<*mut c_void>,
    /// How often the thread said pause and not yet resume.
    paused: Cell<u32>,
    /// The `errno` that the thread had when it began to fork.
    errno: Cell<c_int>,
    /// Whether the thread has asked for a place.
    asked: Cell<bool>,
    /// Whether it forks in the middle of an allocation.
    midway: Cell<bool>,
}

const _: () = assert!(size_of::<Words>() <= 64, "the assembly below reserves 64 bytes");

/// What the owner of a place finds there, made by the first.
struct Place {
    owned: AtomicBool,
    traces: AtomicPtr<Traces>,
}

static PLACES: [Place; SHARDS] = [const {
    Place { owned: AtomicBool::new(false), traces: AtomicPtr::new(core::ptr::null_mut()) }
}; SHARDS];

core::arch::global_asm!(
    ".section .tbss.leaksnap,\"awT\",@nobits",
    ".p2align 6",
    ".globl __leaksnap_thread_words",
    ".hidden __leaksnap_thread_words",
    ".type __leaksnap_thread_words, %object",
    ".size __leaksnap_thread_words, 64",
    "__leaksnap_thread_words:",
    ".zero 64",
    ".text",
);

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn address() -> *const Words {
    let at: *const Words;
    // SAFETY: reads the offset of the words and the thread pointer, which %fs:0 holds.
    unsafe {
        core::arch::asm!(
            "mov {at}, qword ptr [rip + __leaksnap_thread_words@GOTTPOFF]",
            "add {at}, qword ptr fs:[0]",
            at = out(reg) at,
            options(nostack, pure, readonly),
        );
    }
    at
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
#[inline(always)]
fn address() -> *const Words {
    let at: *const Words;
    // SAFETY: reads the offset of the words and the thread pointer.
    unsafe {
        core::arch::asm!(
            "adrp {at}, :gottprel:__leaksnap_thread_words",
            "ldr {at}, [{at}, #:gottprel_lo12:__leaksnap_thread_words]",
            "mrs {base}, tpidr_el0",
            "add {at}, {at}, {base}",
            at = out(reg) at,
            base = out(reg) _,
            options(nostack, pure, readonly),
        );
    }
    at
}

/// The calling thread's words. They are for the call that asks, nobody keeps them.
#[inline(always)]
pub(crate) fn words<'a>() -> &'a Words {
    // SAFETY: the words live as long as the thread, only this thread reaches them (they are made
    // of cells, so no reference goes to another), and zero, as they begin, is a valid `Words`.
    unsafe { &*address() }
}

/// Keeps the calling thread's signal stack in a word, where who looks for pointers sees it.
pub(crate) fn keep_signal_stack() {
    words().signal_stack.set(system::signal_stack());
}

/// Allocations of this thread are not traced until [`resume`]; calls nest.
pub(crate) fn pause() {
    let words = words();
    words.paused.set(words.paused.get().saturating_add(1));
    words.decide();
}

/// Undoes one [`pause`].
pub(crate) fn resume() {
    let words = words();
    words.paused.set(words.paused.get().saturating_sub(1));
    words.decide();
}

/// Whether the thread's allocations are traced.
pub(crate) fn is_traced() -> bool {
    words().paused.get() == 0
}

impl Words {
    /// The cache to look into first, and the thread's counters.
    #[inline(always)]
    pub(crate) fn known(&self) -> Option<(&Traces, &Shard)> {
        // SAFETY: the place is this thread's, and its cache is never unmapped.
        let traces = unsafe { self.known.get().as_ref() }?;
        // SAFETY: where `known` is not null, there are counters; the ledger is never unmapped.
        Some((traces, unsafe { &*self.shard.get() }))
    }

    fn decide(&self) {
        let is_counted = !self.shard.get().is_null();
        let asked = is_counted && self.paused.get() == 0 && !libgcc::is_checking();
        self.known.set(if asked { self.traces.get() } else { core::ptr::null() });
    }

    /// The thread is about to fork, which tells its handlers by `errno` alone that it failed.
    pub(crate) fn begin_fork(&self, errno: Errno) {
        self.errno.set(errno.get());
        errno.set(0);
    }

    /// Whether the fork failed; `errno` is as before, where it did not.
    pub(crate) fn end_fork(&self, errno: Errno) -> bool {
        let failed = errno.get() != 0;
        if !failed {
            errno.set(self.errno.get());
        }
        failed
    }

    /// Notes whether the thread forks in the middle of an allocation.
    pub(crate) fn set_midway(&self, is_midway: bool) {
        self.midway.set(is_midway);
    }

    /// Whether it does, or did in the parent.
    pub(crate) fn is_midway(&self) -> bool {
        self.midway.get()
    }

    /// The thread's counters, where it has its own.
    #[inline(always)]
    pub(crate) fn shard(&self) -> Option<&Shard> {
        if self.shard.get().is_null() && !self.asked.get() {
            claim(self);
        }
        // SAFETY: the place is this thread's, and the ledger is never unmapped.
        unsafe { self.shard.get().as_ref() }
    }
}

/// The thread's cache of backtraces, where it has one.
pub(crate) fn traces() -> Option<&'static Traces> {
    let words = words();
    if !words.asked.get() {
        claim(words);
    }
    // SAFETY: the place is this thread's, and its cache is never unmapped.
    unsafe { words.traces.get().as_ref() }
}

/// Where the thread's own stack begins, the highest address where nobody knows; `None` where
/// nobody has asked.
pub(crate) fn stack() -> Option<usize> {
    Some(words().stack.get()).filter(|low| *low != 0)
}

/// Says what [`stack`] is from now on.
pub(crate) fn set_stack(low: usize) {
    words().stack.set(low);
}

/// Finds a place for the calling thread.
#[cold]
fn claim(words: &Words) {
    // What follows may allocate, and that has to do without.
    words.asked.set(true);
    let free = |place: &&Place| {
        !place.owned.load(Ordering::Relaxed) && !place.owned.swap(true, Ordering::Acquire)
    };
    let mut places = PLACES.iter().enumerate();
    let Some((number, place)) = places.find(|(_, place)| free(place)) else { return };
    let mut traces = place.traces.load(Ordering::Relaxed);
    if traces.is_null() {
        traces = system::reserve(size_of::<Traces>(), 4096).map_or(traces, <*mut u8>::cast);
        place.traces.store(traces, Ordering::Relaxed);
    }
    let at = core::ptr::from_ref(place).cast_mut().cast();
    if traces.is_null() || !system::at_thread_end(at) {
        place.owned.store(false, Ordering::Release);
        return;
    }
    // SAFETY: the place is this thread's from here on, and zero, as the memory began, is an empty cache.
    unsafe { &*traces }.forget();
    let shard = start::book().and_then(|book| book.shard(number));
    if let Some(shard) = shard {
        let end = traces.wrapping_add(1) as u64;
        shard.set_cache(traces as u64, end);
    }
    words.shard.set(shard.map_or(core::ptr::null(), core::ptr::from_ref));
    words.traces.set(traces);
    words.decide();
}

/// In a child of `fork`, whose only thread calls: the places of its parent's other threads are
/// free, and all counters are those of `book`.
pub(crate) fn stay_alone(book: &'static Book) {
    let words = words();
    let own = words.traces.get();
    for (number, place) in PLACES.iter().enumerate() {
        let traces = place.traces.load(Ordering::Relaxed).cast_const();
        let shard = book.shard(number);
        if let Some(shard) = shard.filter(|_| !traces.is_null()) {
            shard.set_cache(traces as u64, traces.wrapping_add(1) as u64);
        }
        let is_own = !own.is_null() && traces == own;
        if is_own {
            words.shard.set(shard.map_or(core::ptr::null(), core::ptr::from_ref));
        }
        place.owned.store(is_own, Ordering::Release);
    }
    words.decide();
}

/// Has places given back by the threads that end. Called once, before the first is claimed.
pub(crate) fn watch_ends() {
    system::watch_thread_ends(release);
}

/// The thread that owns `place` ends.
unsafe extern "C" fn release(place: *mut c_void) {
    // What the thread still allocates has to do without.
    let words = words();
    words.traces.set(core::ptr::null());
    words.shard.set(core::ptr::null());
    words.decide();
    // SAFETY: `claim` gave the place, which is static.
    unsafe { &*place.cast::<Place>() }.owned.store(false, Ordering::Release);
}

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests {
    #[test]
    fn pauses_nest_and_belong_to_their_thread() {
        assert!(super::is_traced());
        super::pause();
        super::pause();
        super::resume();
        assert!(!super::is_traced());
        let other = std::thread::spawn(super::is_traced).join();
        assert!(other.is_ok_and(|traced| traced), "another thread is not paused");
        super::resume();
        assert!(super::is_traced());
    }

    #[test]
    fn a_thread_that_ends_gives_its_place_back() {
        super::system::watch_thread_ends(super::release);
        for _ in 0..2 * super::SHARDS {
            let thread = std::thread::spawn(|| super::traces().is_some());
            assert!(thread.join().expect("no panic"));
        }
    }
}
