//! How far stacks reach: the main thread's, and those of the threads that glibc started.

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::{system, thread};

unsafe extern "C" {
    static __libc_stack_end: usize;
    fn getrlimit(resource: c_int, limit: *mut [usize; 2]) -> c_int;
    fn pthread_self() -> usize;
    fn pthread_getattr_np(thread: usize, attributes: *mut c_void) -> c_int;
    fn pthread_attr_getstack(
        attributes: *const c_void,
        at: *mut *mut c_void,
        size: *mut usize,
    ) -> c_int;
    fn pthread_attr_destroy(attributes: *mut c_void) -> c_int;
}

/// The calling thread's control block; in a thread that glibc made, the end of its stack.
#[inline]
pub(crate) fn thread_pointer() -> usize {
    let at: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the first word of the control block is its own address (ELF TLS, variant II).
    unsafe {
        core::arch::asm!("mov {}, qword ptr fs:[0]", out(reg) at, options(nostack, pure, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) at, options(nostack, pure, nomem));
    }
    at
}

/// Where the main thread's stack began.
#[inline]
pub(crate) fn stack_end() -> usize {
    // SAFETY: the loader set it before any code of an object ran.
    unsafe { __libc_stack_end }
}

/// The lowest address that the main thread's stack may grow to.
static MAIN_STACK_LOW: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Below it nothing is taken for the main thread's stack.
#[inline]
pub(crate) fn main_stack_low() -> usize {
    MAIN_STACK_LOW.load(Ordering::Relaxed)
}

/// Asks the kernel how far the main thread's stack may grow. Where it may without limit, as far as
/// it does at most.
pub(crate) fn find_main_stack() {
    const RLIMIT_STACK: c_int = 3;
    const MOST: usize = 64 << 20;
    let mut limit = [usize::MAX; 2];
    // SAFETY: `struct rlimit` is two words.
    unsafe { getrlimit(RLIMIT_STACK, &raw mut limit) };
    let [size, _] = limit;
    MAIN_STACK_LOW.store(stack_end().saturating_sub(size.min(MOST)), Ordering::Relaxed);
}

/// Finds where the calling thread's stack begins. It must not be asked while libc answers the same
/// question.
pub(crate) fn find_thread_stack() {
    // Asking allocates, and that has to do without.
    thread::set_stack(usize::MAX);
    thread::pause();
    let low = thread_stack().unwrap_or(usize::MAX);
    thread::resume();
    thread::set_stack(low);
}

/// Where the code of the function is that libc is asked by.
pub(crate) fn asking_function() -> usize {
    (pthread_getattr_np as *const ()).addr()
}

/// Where the calling thread's stack begins, for one that glibc started or was given; `None` for
/// the main thread, whose stack grows.
fn thread_stack() -> Option<usize> {
    /// `pthread_attr_t`: 56 bytes on x86-64, 64 on aarch64.
    type Attributes = [usize; 8];
    if system::thread() == system::process() {
        return None;
    }
    let (mut attributes, mut at, mut size): (Attributes, _, _) = ([0; 8], ptr::null_mut(), 0);
    // SAFETY: the function has no preconditions.
    let own = unsafe { pthread_self() };
    // SAFETY: there is room for the attributes.
    if unsafe { pthread_getattr_np(own, attributes.as_mut_ptr().cast()) } != 0 {
        return None;
    }
    // SAFETY: the attributes were just filled, and the places are writable.
    let asked =
        unsafe { pthread_attr_getstack(attributes.as_ptr().cast(), &raw mut at, &raw mut size) };
    // SAFETY: the attributes were just filled, and are not used again.
    unsafe { pthread_attr_destroy(attributes.as_mut_ptr().cast()) };
    let low = at.addr();
    let own = thread_pointer();
    (asked == 0 && low < own && own <= low.saturating_add(size)).then_some(low)
}
