//! Signals of the calling thread: which are blocked, and the stack for their handlers.

use core::ffi::{c_int, c_long, c_void};
use core::ptr;

use super::{number, syscall};

const SIG_SETMASK: c_long = 2;
/// Bytes of the kernel's set of signals.
const SET: c_long = 8;

/// Blocks every signal of the calling thread; those that were blocked before, for
/// [`unblock_signals`].
pub(crate) fn block_signals() -> u64 {
    let (all, mut before) = (u64::MAX, 0);
    // SAFETY: both sets are as long as is said, and `before` is writable.
    unsafe { syscall(number::RT_SIGPROCMASK, SIG_SETMASK, &raw const all, &raw mut before, SET) };
    before
}

/// Blocks what [`block_signals`] found blocked, and no more.
pub(crate) fn unblock_signals(before: u64) {
    let none = ptr::null_mut::<u64>();
    // SAFETY: the set is as long as is said.
    unsafe { syscall(number::RT_SIGPROCMASK, SIG_SETMASK, &raw const before, none, SET) };
}

/// `stack_t` of sigaltstack(2).
#[repr(C)]
#[derive(Debug)]
pub(crate) struct SignalStack {
    start: *mut c_void,
    flags: c_int,
    size: usize,
}

/// sigaltstack(2), with `errno`.
///
/// # Safety
/// As the manual page says.
pub(crate) unsafe fn change_signal_stack(new: *const SignalStack, old: *mut SignalStack) -> c_int {
    // SAFETY: the caller's promise.
    let status = unsafe { syscall(number::SIGALTSTACK, new, old) };
    if status == 0 { 0 } else { -1 }
}

/// Where the calling thread's signal stack is; null where it has none.
pub(crate) fn signal_stack() -> *mut c_void {
    const SS_DISABLE: c_int = 2;
    let mut now = SignalStack { start: ptr::null_mut(), flags: SS_DISABLE, size: 0 };
    // SAFETY: nothing is changed, and there is room for what is said.
    unsafe { change_signal_stack(ptr::null(), &raw mut now) };
    if now.flags & SS_DISABLE == 0 { now.start } else { ptr::null_mut() }
}
