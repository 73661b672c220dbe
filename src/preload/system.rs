//! The kernel and the few functions of libc that the preload heap calls.
//!
//! ```text
//!   file      the ledger's file
//!   mapping   memory
//!   signals   a thread's signals, and their stack
//! ```
//!
//! Files are opened by bare system calls: a program may interpose `open`, and its own version may
//! need what is not ready yet.

mod file;
mod mapping;
mod signals;

use core::ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void};
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

pub(crate) use self::file::{File, read_link};
#[cfg(not(miri))]
pub(crate) use self::mapping::reserve;
pub(crate) use self::mapping::{
    cover, page_size, prefer_huge_pages, store_where_read, wiped_on_fork,
};
pub(crate) use self::signals::{
    SignalStack, block_signals, change_signal_stack, signal_stack, unblock_signals,
};
#[cfg(miri)]
pub(crate) use super::interpreted::reserve;

/// `errno` values that the heap sets.
pub(crate) const ENOMEM: c_int = 12;
/// Invalid argument.
pub(crate) const EINVAL: c_int = 22;

const AT_FDCWD: c_long = -100;

#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const WRITE: i64 = 1;
    pub(super) const LSEEK: i64 = 8;
    pub(super) const OPENAT: i64 = 257;
    pub(super) const READLINKAT: i64 = 267;
    pub(super) const FALLOCATE: i64 = 285;
    pub(super) const FUTEX: i64 = 202;
    pub(super) const CLOSE: i64 = 3;
    pub(super) const GETPID: i64 = 39;
    pub(super) const KILL: i64 = 62;
    pub(super) const GETTID: i64 = 186;
    pub(super) const GETPPID: i64 = 110;
    pub(super) const EXIT_GROUP: i64 = 231;
    pub(super) const RT_SIGPROCMASK: i64 = 14;
    pub(super) const SIGALTSTACK: i64 = 131;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub(super) const WRITE: i64 = 64;
    pub(super) const LSEEK: i64 = 62;
    pub(super) const OPENAT: i64 = 56;
    pub(super) const READLINKAT: i64 = 78;
    pub(super) const FALLOCATE: i64 = 47;
    pub(super) const FUTEX: i64 = 98;
    pub(super) const CLOSE: i64 = 57;
    pub(super) const GETPID: i64 = 172;
    pub(super) const KILL: i64 = 129;
    pub(super) const GETTID: i64 = 178;
    pub(super) const GETPPID: i64 = 173;
    pub(super) const EXIT_GROUP: i64 = 94;
    pub(super) const RT_SIGPROCMASK: i64 = 135;
    pub(super) const SIGALTSTACK: i64 = 132;
}

unsafe extern "C" {
    static environ: *const *const c_char;
    static program_invocation_short_name: *const c_char;
    fn syscall(number: c_long, ...) -> c_long;
    fn __errno_location() -> *mut c_int;
    fn getauxval(kind: c_ulong) -> c_ulong;
    #[cfg(leaksnap_preload)]
    fn __cxa_at_quick_exit(call: extern "C" fn(*mut c_void), object: *mut c_void) -> c_int;
    fn clock_gettime(clock: c_int, time: *mut [i64; 2]) -> c_int;
    fn fwrite(from: *const c_void, size: usize, count: usize, stream: *mut c_void) -> usize;
    fn pthread_key_create(key: *mut u32, end: unsafe extern "C" fn(*mut c_void)) -> c_int;
    fn pthread_setspecific(key: u32, value: *const c_void) -> c_int;
    #[link_name = "abort"]
    fn libc_abort() -> !;
}

/// Ends the process; for the panic handler alone.
pub(crate) fn abort() -> ! {
    // SAFETY: abort has no preconditions.
    unsafe { libc_abort() }
}

/// Where a function is that libc alone has.
pub(crate) fn function_of_libc() -> usize {
    (__errno_location as *const ()).addr()
}

/// A thread's `errno`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Errno(ptr::NonNull<c_int>);

impl Errno {
    /// The calling thread's.
    pub(crate) fn current() -> Self {
        // SAFETY: the function has no preconditions.
        let at = unsafe { __errno_location() };
        // SAFETY: it is never null.
        Self(unsafe { ptr::NonNull::new_unchecked(at) })
    }

    /// Its value.
    #[inline(always)]
    pub(crate) fn get(self) -> c_int {
        // SAFETY: it is the calling thread's own, and does not move.
        unsafe { self.0.read() }
    }

    /// Sets it.
    #[inline(always)]
    pub(crate) fn set(self, value: c_int) {
        // SAFETY: as above.
        unsafe { self.0.write(value) }
    }

    /// Calls `f` and leaves it as it was.
    #[inline(always)]
    pub(crate) fn keep<T>(self, f: impl FnOnce() -> T) -> T {
        let before = self.get();
        let result = f();
        self.set(before);
        result
    }
}

/// Sets the calling thread's `errno`.
pub(crate) fn set_errno(value: c_int) {
    Errno::current().set(value);
}

/// Where the program's own headers lie (`Elf64_Phdr`); 0 where the kernel did not say.
pub(crate) fn program_headers() -> usize {
    const AT_PHDR: c_ulong = 3;
    // SAFETY: getauxval has no preconditions.
    usize::try_from(unsafe { getauxval(AT_PHDR) }).unwrap_or_default()
}

/// The process's number, from the kernel: libc's is stale in a child of `vfork`.
pub(crate) fn process() -> u32 {
    // SAFETY: getpid has no preconditions.
    let pid = unsafe { syscall(number::GETPID) };
    u32::try_from(pid).unwrap_or_default()
}

/// The parent process's number; another one once the parent is gone.
pub(crate) fn parent() -> u32 {
    // SAFETY: getppid has no preconditions.
    let pid = unsafe { syscall(number::GETPPID) };
    u32::try_from(pid).unwrap_or_default()
}

/// Whether there is a process `id`, whoever's.
pub(crate) fn exists(id: u32) -> bool {
    const ESRCH: c_int = 3;
    const NO_SIGNAL: c_long = 0;
    let errno = Errno::current();
    errno.keep(|| {
        // SAFETY: kill without a signal only looks.
        let result = unsafe { syscall(number::KILL, c_long::from(id), NO_SIGNAL) };
        result == 0 || errno.get() != ESRCH
    })
}

/// Writes `text` to standard error.
pub(crate) fn say(text: &[u8]) {
    const STDERR: c_long = 2;
    // SAFETY: the text is readable for its length.
    unsafe { syscall(number::WRITE, STDERR, text.as_ptr(), text.len()) };
}

/// Writes `text` to a stream of libc's, which may allocate.
///
/// # Safety
/// `stream` is an open `FILE`.
pub(crate) unsafe fn write_to_stream(stream: *mut c_void, text: &[u8]) {
    // SAFETY: the text is readable for its length, and the stream is the caller's promise.
    unsafe { fwrite(text.as_ptr().cast(), 1, text.len(), stream) };
}

/// The calling thread's number.
pub(crate) fn thread() -> u32 {
    // SAFETY: gettid has no preconditions.
    let tid = unsafe { syscall(number::GETTID) };
    u32::try_from(tid).unwrap_or_default()
}

/// Whether the word at `address` can be read; keeps `errno`.
pub(crate) fn is_readable(address: usize) -> bool {
    // To the kernel a null is no mask: it copies nothing, and finds no fault.
    if address == 0 {
        return false;
    }
    const EFAULT: c_int = 14;
    const NO_SUCH_CHANGE: c_long = -1;
    const MASK: c_long = 8;
    let none = ptr::null_mut::<c_void>();
    let errno = Errno::current();
    errno.keep(|| {
        // The kernel copies the mask before it looks at what to do with it.
        // SAFETY: rt_sigprocmask changes nothing when told to do what it doesn't know.
        unsafe { syscall(number::RT_SIGPROCMASK, NO_SUCH_CHANGE, address, none, MASK) };
        errno.get() != EFAULT
    })
}

/// Whether `instructions` are what can be read at `address`.
pub(crate) fn is_code(address: usize, instructions: [u32; 2]) -> bool {
    let at = address as *const [u32; 2];
    // SAFETY: the kernel has just read as many bytes there, and it is aligned.
    at.is_aligned() && is_readable(address) && unsafe { at.read_volatile() } == instructions
}

/// The key of [`at_thread_end`] and one; 0 while there is none.
static END_KEY: AtomicU32 = AtomicU32::new(0);

/// Has `end` called when a thread ends for which [`at_thread_end`] was called. Called once.
pub(crate) fn watch_thread_ends(end: unsafe extern "C" fn(*mut c_void)) {
    let mut key = 0;
    // SAFETY: the key is writable, and `end` takes what `at_thread_end` is given.
    if unsafe { pthread_key_create(&mut key, end) } == 0 {
        END_KEY.store(key.saturating_add(1), Ordering::Release);
    }
}

/// Has the watcher called with `value`, which isn't null, when the calling thread ends.
pub(crate) fn at_thread_end(value: *mut c_void) -> bool {
    let Some(key) = END_KEY.load(Ordering::Acquire).checked_sub(1) else { return false };
    // SAFETY: the key was made, and is never deleted.
    unsafe { pthread_setspecific(key, value) == 0 }
}

/// Ends the process at once.
pub(crate) fn exit(status: c_int) -> ! {
    loop {
        // SAFETY: exit_group has no preconditions.
        unsafe { syscall(number::EXIT_GROUP, status) };
    }
}

/// Has `call` called by `quick_exit`, after what the program registers later.
#[cfg(leaksnap_preload)]
pub(crate) fn at_quick_exit(call: extern "C" fn(*mut c_void)) {
    // SAFETY: the preload heap is never unloaded. What glibc has no room for is not called.
    unsafe { __cxa_at_quick_exit(call, ptr::null_mut()) };
}

/// The value of environment variable `name`; `None` too where libc has no environment yet.
pub(crate) fn variable(name: &str) -> Option<&'static CStr> {
    // SAFETY: libc sets `environ` once before the first constructor; it is null until then.
    let mut at = unsafe { environ };
    while !at.is_null() {
        // SAFETY: `environ` is a null-terminated array, and the loop stops at the null.
        let entry = unsafe { *at };
        if entry.is_null() {
            return None;
        }
        // SAFETY: each entry is NUL-terminated and lives until the program replaces it.
        let text = unsafe { CStr::from_ptr(entry) };
        let value = text.to_bytes().strip_prefix(name.as_bytes());
        if let Some([b'=', ..]) = value {
            // SAFETY: `name` and the '=' are in front of the terminator.
            let value = unsafe { entry.add(name.len().wrapping_add(1)) };
            // SAFETY: the rest of a NUL-terminated string is one.
            return Some(unsafe { CStr::from_ptr(value) });
        }
        // SAFETY: `at` has not passed the terminating null.
        at = unsafe { at.add(1) };
    }
    None
}

/// The name that the program was called by, without folders; empty where libc has none.
pub(crate) fn program_name() -> &'static [u8] {
    // SAFETY: a read of libc's variable.
    let name = unsafe { program_invocation_short_name };
    if name.is_null() {
        return &[];
    }
    // SAFETY: libc's name is a part of the first argument, which ends in a zero.
    unsafe { CStr::from_ptr(name) }.to_bytes()
}

/// Whether libc knows the environment.
pub(crate) fn has_environment() -> bool {
    // SAFETY: a read of libc's variable.
    unsafe { !environ.is_null() }
}

/// Seconds since some moment of the past.
pub(crate) fn seconds() -> i64 {
    const CLOCK_MONOTONIC: c_int = 1;
    let mut time = [0; 2];
    // SAFETY: `struct timespec` is two words on 64-bit targets.
    unsafe { clock_gettime(CLOCK_MONOTONIC, &raw mut time) };
    let [seconds, _] = time;
    seconds
}

/// Sleeps while `*word == value`, at most `seconds`; may return early.
pub(crate) fn futex_wait(word: &core::sync::atomic::AtomicU32, value: u32, seconds: i64) {
    const FUTEX_WAIT: c_long = 0;
    let timeout: [i64; 2] = [seconds, 0];
    // SAFETY: the word and the timeout are readable while the call lasts.
    unsafe { syscall(number::FUTEX, word.as_ptr(), FUTEX_WAIT, value, timeout.as_ptr()) };
}

/// Wakes whoever sleeps on `word`.
pub(crate) fn futex_wake(word: &core::sync::atomic::AtomicU32) {
    const FUTEX_WAKE: c_long = 1;
    // SAFETY: the word is readable while the call lasts.
    unsafe { syscall(number::FUTEX, word.as_ptr(), FUTEX_WAKE, c_int::MAX) };
}
