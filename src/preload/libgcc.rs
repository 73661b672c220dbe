//! What libgcc's unwinder says. It is linked in statically, and neither allocates nor locks where
//! glibc has `_dl_find_object`.
//!
//! It finds where the program stands at its exit; in the check mode it is the reference that each
//! backtrace is compared with.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, Ordering};

use super::backtrace::{Backtrace, Place};
use super::modules::Object;
use super::{start, symbol, system};

/// `_URC_NO_REASON`: go on to the next frame.
const GO_ON: c_int = 0;
/// `_URC_END_OF_STACK`: stop.
const STOP: c_int = 5;

unsafe extern "C" {
    fn _Unwind_Backtrace(
        each: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetCFA(context: *mut c_void) -> usize;
    fn _Unwind_GetGR(context: *mut c_void, register: c_int) -> usize;
    fn _Unwind_GetIPInfo(context: *mut c_void, before_instruction: *mut c_int) -> usize;
}

/// The variable that makes every backtrace be compared with libgcc's, when it is `1`.
const CHECK_VARIABLE: &str = "LEAKSNAP_CHECK_UNWINDER";

static CHECKED: AtomicBool = AtomicBool::new(false);

/// Reads the environment: whether each backtrace is compared with libgcc's.
pub(crate) fn configure() {
    let asked = system::variable(CHECK_VARIABLE).is_some_and(|value| value.to_bytes() == b"1");
    CHECKED.store(asked, Ordering::Relaxed);
}

/// Whether each backtrace is compared.
#[inline]
pub(super) fn is_checking() -> bool {
    CHECKED.load(Ordering::Relaxed)
}

/// Compares `backtrace` with libgcc's, and counts.
#[cold]
#[inline(never)]
pub(super) fn check(backtrace: &Backtrace) {
    let Some(book) = start::book() else { return };
    let mut reference = Backtrace::empty();
    // SAFETY: `keep` gets the backtrace as its argument and nothing else uses it meanwhile.
    unsafe { _Unwind_Backtrace(keep, (&raw mut reference).cast()) };
    let header = book.header();
    header.unwinds_checked.fetch_add(1, Ordering::Relaxed);
    if backtrace.frames() != reference.frames() {
        header.unwinds_wrong.fetch_add(1, Ordering::Relaxed);
    }
}

unsafe extern "C" fn keep(context: *mut c_void, argument: *mut c_void) -> c_int {
    let mut exact = 0;
    // SAFETY: the unwinder gave the context.
    let address = unsafe { _Unwind_GetIPInfo(context, &mut exact) };
    // SAFETY: `check` gave the argument and lent it for the call.
    let backtrace = unsafe { &mut *argument.cast::<Backtrace>() };
    if address == 0 || backtrace.keep(Place { address, exact: exact != 0 }).is_none() {
        return STOP;
    }
    GO_ON
}

/// Where the program stands when it is about to exit.
#[derive(Debug, Default)]
pub(crate) struct ExitFrame {
    /// The stack pointer of the frame that called `exit`: what lies below is dead.
    pub(crate) stack: usize,
    /// The callee-saved registers of that frame.
    pub(crate) registers: [usize; CALLEE_SAVED.len()],
    /// The objects whose frames belong to the exit itself.
    machinery: [Option<Object>; 3],
}

/// DWARF numbers of the callee-saved registers (System V AMD64 ABI, figure 3.36).
#[cfg(target_arch = "x86_64")]
const CALLEE_SAVED: [c_int; 6] = [3, 6, 12, 13, 14, 15];
/// DWARF numbers of the callee-saved registers (AADWARF64).
#[cfg(target_arch = "aarch64")]
const CALLEE_SAVED: [c_int; 12] = [19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30];

/// The frame that called `exit` or `_exit`, or that `main` returned to: the innermost one outside
/// this object, libc and the loader.
pub(crate) fn exit_frame() -> ExitFrame {
    let addresses = [
        exit_frame as *const () as usize,
        symbol::of_program(c"abort") as usize,
        symbol::of_program(c"__tls_get_addr") as usize,
    ];
    let mut frame = ExitFrame { machinery: addresses.map(Object::find), ..Default::default() };
    // SAFETY: `find_exit` gets the frame as its argument and nothing else uses it meanwhile.
    unsafe { _Unwind_Backtrace(find_exit, (&raw mut frame).cast()) };
    frame
}

unsafe extern "C" fn find_exit(context: *mut c_void, argument: *mut c_void) -> c_int {
    let mut exact = 0;
    // SAFETY: the unwinder gave the context.
    let address = unsafe { _Unwind_GetIPInfo(context, &mut exact) };
    // SAFETY: `exit_frame` gave the argument and lent it for the call.
    let frame = unsafe { &mut *argument.cast::<ExitFrame>() };
    // The context's frame address is the stack pointer in the frame that made the call.
    // SAFETY: the unwinder gave the context.
    frame.stack = unsafe { _Unwind_GetCFA(context) };
    if frame.machinery.iter().flatten().any(|object| object.contains(address)) {
        return GO_ON;
    }
    for (value, register) in frame.registers.iter_mut().zip(CALLEE_SAVED) {
        // SAFETY: the unwinder gave the context, and it knows every callee-saved register.
        *value = unsafe { _Unwind_GetGR(context, register) };
    }
    STOP
}
