//! What the preload heap keeps for each thread: a block of thread-local words.
//!
//! `thread_local!` goes through `__tls_get_addr`, which can allocate. These words are
//! initial-exec: an offset from the thread pointer that the loader fixed, never allocated, never
//! destroyed, zero when the thread starts.

use core::cell::Cell;

use super::trace_cache::Traces;

/// The words of one thread.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Words {
    /// How often the thread said pause and not yet resume.
    paused: Cell<u32>,
    /// Whether `traces` was decided.
    decided: Cell<bool>,
    /// The thread's cache of backtraces; null where it has none.
    traces: Cell<*const Traces>,
}

const _: () = assert!(size_of::<Words>() <= 64, "the assembly below reserves 64 bytes");

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

#[cfg(target_arch = "x86_64")]
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

#[cfg(target_arch = "aarch64")]
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

/// Calls `f` with the calling thread's words.
fn with<T>(f: impl FnOnce(&Words) -> T) -> T {
    // SAFETY: the words live as long as the thread, only this thread reaches them, they are zero
    // at first, which is a valid `Words`, and the reference ends with the call.
    f(unsafe { &*address() })
}

/// Allocations of this thread are not traced until [`resume`]; calls nest.
pub(crate) fn pause() {
    with(|words| words.paused.set(words.paused.get().saturating_add(1)));
}

/// Undoes one [`pause`].
pub(crate) fn resume() {
    with(|words| words.paused.set(words.paused.get().saturating_sub(1)));
}

/// Whether the thread's allocations are traced.
pub(crate) fn is_traced() -> bool {
    with(|words| words.paused.get() == 0)
}

/// The thread's cache of backtraces, null where it gets none; `None` where nobody has looked.
#[inline]
pub(crate) fn traces() -> Option<*const Traces> {
    with(|words| words.decided.get().then(|| words.traces.get()))
}

/// Decides what [`traces`] is.
pub(crate) fn set_traces(traces: *const Traces) {
    with(|words| {
        words.traces.set(traces);
        words.decided.set(true);
    });
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
}
