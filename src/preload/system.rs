//! The kernel and the few functions of libc that the preload heap calls.
//!
//! Files are opened by bare system calls: a program may interpose `open`, and its own version may
//! need what is not ready yet.

use core::ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void};
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// `errno` values that the heap sets.
pub(crate) const ENOMEM: c_int = 12;
/// Invalid argument.
pub(crate) const EINVAL: c_int = 22;

const PROT_NONE: c_int = 0;
const PROT_READ: c_int = 1;
const PROT_WRITE: c_int = 2;
const MAP_SHARED: c_int = 1;
const MAP_PRIVATE: c_int = 2;
const MAP_ANONYMOUS: c_int = 0x20;
const MAP_NORESERVE: c_int = 0x4000;
const MADV_HUGEPAGE: c_int = 14;
const MADV_WIPEONFORK: c_int = 18;
const AT_FDCWD: c_long = -100;
const O_RDWR: c_long = 2;
const O_CLOEXEC: c_long = 0o2_000_000;
const FALLOC_FL_KEEP_SIZE: c_long = 1;
const FALLOC_FL_PUNCH_HOLE: c_long = 2;
const SEEK_END: c_long = 2;
const SIG_SETMASK: c_long = 2;
/// Bytes of the kernel's set of signals.
const SET: c_long = 8;

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
    fn mmap(
        at: *mut c_void,
        len: usize,
        prot: c_int,
        flags: c_int,
        fd: c_int,
        off: i64,
    ) -> *mut c_void;
    fn mprotect(at: *mut c_void, len: usize, prot: c_int) -> c_int;
    fn madvise(at: *mut c_void, len: usize, advice: c_int) -> c_int;
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

/// An open file; closed by [`File::close`].
#[derive(Debug)]
pub(crate) struct File(c_long);

impl File {
    /// Opens `path` for reading and writing, closed on `exec`.
    pub(crate) fn open(path: &CStr) -> Option<Self> {
        // SAFETY: the path is NUL-terminated.
        let fd = unsafe { syscall(number::OPENAT, AT_FDCWD, path.as_ptr(), O_RDWR | O_CLOEXEC) };
        (fd >= 0).then_some(Self(fd))
    }

    /// Its size in bytes.
    pub(crate) fn len(&self) -> u64 {
        // SAFETY: lseek on a descriptor of ours.
        let len = unsafe { syscall(number::LSEEK, self.0, 0 as c_long, SEEK_END) };
        u64::try_from(len).unwrap_or_default()
    }

    /// Maps its first `len` bytes, shared, for reading and writing.
    pub(crate) fn map(&self, len: u64) -> Option<*mut u8> {
        let (len, fd) = (usize::try_from(len).ok()?, c_int::try_from(self.0).ok()?);
        // SAFETY: a new mapping, where the kernel likes.
        let at = unsafe {
            mmap(ptr::null_mut(), len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0)
        };
        mapped(at)
    }

    /// Maps its first `len` bytes as [`map`](Self::map) does, in place of what is mapped at `at`.
    ///
    /// # Safety
    /// What is mapped there, `len` bytes, is a mapping of [`map`](Self::map)'s that may become
    /// another: nobody believes what was in it.
    pub(crate) unsafe fn map_over(&self, at: *mut u8, len: u64) -> Option<*mut u8> {
        const MAP_FIXED: c_int = 0x10;
        let (len, fd) = (usize::try_from(len).ok()?, c_int::try_from(self.0).ok()?);
        let flags = MAP_SHARED | MAP_NORESERVE | MAP_FIXED;
        // SAFETY: the caller's promise.
        mapped(unsafe { mmap(at.cast(), len, PROT_READ | PROT_WRITE, flags, fd, 0) })
    }

    /// Makes `len` bytes at `offset` zero and gives their memory back.
    pub(crate) fn punch(&self, offset: u64, len: u64) -> bool {
        let mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
        // SAFETY: fallocate on a descriptor of ours.
        unsafe { syscall(number::FALLOCATE, self.0, mode, offset, len) == 0 }
    }

    /// Closes it.
    pub(crate) fn close(self) {
        // SAFETY: the descriptor is ours and `self` is gone after this.
        unsafe { syscall(number::CLOSE, self.0) };
    }
}

/// Reads the link at `path` into `into`; the number of bytes, 0 where it can't be read.
pub(crate) fn read_link(path: &CStr, into: &mut [u8]) -> usize {
    let (at, len) = (into.as_mut_ptr(), into.len());
    // SAFETY: the path is NUL-terminated and `into` is writable for its length.
    let read = unsafe { syscall(number::READLINKAT, AT_FDCWD, path.as_ptr(), at, len) };
    usize::try_from(read).unwrap_or_default()
}

/// Reserves `len` bytes of private memory that costs nothing until it is touched, at a multiple
/// of `align` (a power of two, a page at least). Nobody may touch what lies on both sides, so that
/// it is a mapping by itself.
pub(crate) fn reserve(len: usize, align: usize) -> Option<*mut u8> {
    let whole = len.checked_add(align.checked_mul(2)?)?;
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    // SAFETY: a new mapping, where the kernel likes.
    let at = mapped(unsafe { mmap(ptr::null_mut(), whole, PROT_NONE, flags, -1, 0) })?;
    let behind_first = at.wrapping_add(1);
    let start = behind_first.wrapping_add(behind_first.align_offset(align));
    // SAFETY: the range is inside the mapping that was just made.
    let opened = unsafe { mprotect(start.cast(), len, PROT_READ | PROT_WRITE) };
    (opened == 0).then_some(start)
}

/// Maps `len` bytes of this process's own memory, which read as zero, at `at`.
///
/// # Safety
/// Nobody needs what is mapped there.
pub(crate) unsafe fn cover(at: *mut u8, len: u64) -> Option<*mut u8> {
    const MAP_FIXED: c_int = 0x10;
    let len = usize::try_from(len).ok()?;
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    // SAFETY: the caller's promise.
    mapped(unsafe { mmap(at.cast(), len, PROT_READ | PROT_WRITE, flags, -1, 0) })
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

/// Stores `value` at `word`, in a page that is only read, if the kernel lets it.
///
/// # Safety
/// The page is one that nobody writes to or runs, and no other thread is here.
pub(crate) unsafe fn store_where_read(word: &AtomicU64, value: u64) {
    const AT_PAGESZ: c_ulong = 6;
    // SAFETY: the function has no preconditions.
    let page = usize::try_from(unsafe { getauxval(AT_PAGESZ) }).unwrap_or_default();
    let start = (ptr::from_ref(word) as *mut c_void).map_addr(|at| at & page.wrapping_neg());
    // SAFETY: the caller's promise: whoever reads there goes on reading the same.
    let opened = unsafe { mprotect(start, page, PROT_READ | PROT_WRITE) };
    if opened == 0 {
        word.store(value, Ordering::Relaxed);
        // SAFETY: as it was.
        unsafe { mprotect(start, page, PROT_READ) };
    }
}

/// Asks for huge pages below the `len` bytes at `at`, which are this process's own.
pub(crate) fn prefer_huge_pages(at: *mut u8, len: usize) {
    // SAFETY: the advice changes no content, and fails where it can't be followed.
    unsafe { madvise(at.cast(), len, MADV_HUGEPAGE) };
}

/// A page of memory that reads as zero in a child of `fork` (not of `vfork`).
pub(crate) fn wiped_on_fork() -> Option<*mut u8> {
    const PAGE: usize = 4096;
    let flags = MAP_PRIVATE | MAP_ANONYMOUS;
    // SAFETY: a new mapping, where the kernel likes.
    let at = unsafe { mmap(ptr::null_mut(), PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) };
    let at = mapped(at)?;
    // SAFETY: the range is the mapping that was just made.
    let wiped = unsafe { madvise(at.cast(), PAGE, MADV_WIPEONFORK) };
    (wiped == 0).then_some(at)
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

fn mapped(at: *mut c_void) -> Option<*mut u8> {
    (at as isize != -1).then_some(at.cast())
}
