//! What an entry point does: serve from the heap, keep the ledger, pass the rest on.
//!
//! The ledger's order: an entry is removed before its block is freed and entered after its block
//! is allocated, so that two threads never hold one granule. At a kill, only the allocation in
//! flight of each thread can be missing.

use core::ffi::{CStr, c_int, c_void};
use core::ptr;

use super::book::Book;
use super::system::Errno;
use super::thread::Words;
use super::unwind::frame::Fast;
use super::{backtrace, heap, modules, next, start, system, thread};
use crate::ledger::header::trouble;
use crate::ledger::site::PAUSED;

// `caller` is the frame that called the entry point: where the allocation's backtrace starts.

/// The largest request: beyond it, differences of pointers overflow (C17 7.22.3, glibc).
const MAX_REQUEST: usize = isize::MAX.cast_unsigned();

/// A block for a request of `size` bytes, entered; null and refused where the heap has none. The
/// site first: less has to be kept over the calls.
#[inline(always)]
fn serve(
    book: &Book,
    from_heap: impl Fn() -> *mut c_void,
    size: usize,
    caller: Fast,
) -> *mut c_void {
    let words = thread::words();
    let site = site(book, words, caller);
    // Also where it succeeds, the heap may have asked the kernel for what that refuses.
    let block = words.errno().keep(from_heap);
    let Some(place) = book.place(block as usize) else { return refuse(Some(book), size) };
    place.enter(words, site, size);
    block
}

/// The site of an allocation that happens now.
#[inline(always)]
pub(crate) fn site(book: &Book, words: &Words, caller: Fast) -> u32 {
    if let Some(traces) = words.known()
        && let Some(site) = traces.find(caller, modules::generation())
    {
        return site;
    }
    new_site(book, caller.pc, caller.sp, caller.fp)
}

/// The site of an allocation like none that the thread has seen. The words of its caller come one
/// by one, so that they stay in registers where it isn't called.
#[cold]
#[inline(never)]
fn new_site(book: &Book, pc: usize, sp: usize, fp: usize) -> u32 {
    if !thread::is_traced() {
        return PAUSED;
    }
    let caller = Fast { pc, sp, fp, fp_is_saved: false };
    // Where the ledger is full it says so; the block is kept for the pointers through it.
    Errno::current().keep(|| backtrace::site(book, caller)).unwrap_or(PAUSED)
}

/// Whether `block` is where a block can start.
fn is_start(block: *mut c_void) -> bool {
    (block as usize).is_multiple_of(heap::MIN_BLOCK)
}

/// Ends the program as glibc does, where it frees what is not allocated: every block that is has
/// an entry, and the heap would go on with a damaged free list.
#[cold]
fn stop(why: &CStr) -> ! {
    system::say(why);
    system::abort()
}

/// Where the heap has no memory: whether it could not serve what libc could have.
#[cold]
#[inline(never)]
fn refuse(book: Option<&Book>, size: usize) -> *mut c_void {
    if let Some(book) = book.filter(|_| size <= MAX_REQUEST) {
        let served = next::allocate(size);
        if !served.is_null() {
            book.report(trouble::HEAP_FULL);
            // SAFETY: libc served it a moment ago, and nobody else has it.
            unsafe { next::free(served) };
        }
    }
    system::set_errno(system::ENOMEM);
    ptr::null_mut()
}

/// A block of `size` bytes from the heap, or from libc where there is no heap.
#[inline(always)]
fn allocate_from(
    from_heap: impl Fn() -> *mut c_void,
    from_libc: impl FnOnce() -> *mut c_void,
    size: usize,
    caller: Fast,
) -> *mut c_void {
    match start::book() {
        Some(book) => serve(book, from_heap, size, caller),
        None => started(from_heap, from_libc, size, caller.pc, caller.sp, caller.fp),
    }
}

/// The same in a process that does not trace, or not yet.
#[cold]
#[inline(never)]
fn started(
    from_heap: impl Fn() -> *mut c_void,
    from_libc: impl FnOnce() -> *mut c_void,
    size: usize,
    pc: usize,
    sp: usize,
    fp: usize,
) -> *mut c_void {
    if !start::is_ready() {
        return from_libc();
    }
    if let Some(book) = start::book() {
        let caller = Fast { pc, sp, fp, fp_is_saved: false };
        return serve(book, from_heap, size, caller);
    }
    let block = Errno::current().keep(from_heap);
    if block.is_null() { refuse(None, size) } else { block }
}

/// `malloc`.
#[inline(always)]
pub(crate) fn allocate(size: usize, caller: Fast) -> *mut c_void {
    allocate_from(|| heap::allocate(size), || next::allocate(size), size, caller)
}

/// `calloc`.
#[inline]
pub(crate) fn allocate_zeroed(count: usize, size: usize, caller: Fast) -> *mut c_void {
    let whole = count.saturating_mul(size);
    let from_libc = || next::allocate_zeroed(count, size);
    allocate_from(|| heap::allocate_zeroed(whole), from_libc, whole, caller)
}

/// `memalign` and its relatives; `align` is a power of two.
pub(crate) fn allocate_aligned(size: usize, align: usize, caller: Fast) -> *mut c_void {
    if align <= heap::MAX_ALIGN {
        let from_libc = || next::allocate_aligned(size, align);
        return allocate_from(|| heap::allocate_aligned(size, align), from_libc, size, caller);
    }
    let block = next::allocate_aligned(size, align);
    if !block.is_null()
        && thread::is_traced()
        && let Some(book) = start::book()
    {
        book.report(trouble::ALIGNMENT);
    }
    block
}

/// `free`.
///
/// # Safety
/// `block` is null or live.
#[inline]
pub(crate) unsafe fn free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    let Some(book) = start::book() else {
        // SAFETY: the caller's promise.
        return unsafe { free_untraced(block) };
    };
    let words = thread::words();
    let Some(place) = book.place(block as usize) else {
        // SAFETY: the block is not ours, so it came from the allocator behind us.
        return unsafe { next::free(block) };
    };
    if !is_start(block) || place.remove(words).is_none() {
        stop(c"free(): invalid pointer\n");
    }
    // SAFETY: the block is in our region, so it is this heap's.
    words.errno().keep(|| unsafe { heap::free(block) });
}

/// `free` in a process that does not trace, or not yet.
///
/// # Safety
/// `block` is live.
#[inline(never)]
unsafe fn free_untraced(block: *mut c_void) {
    if heap::holds(block as usize) {
        // SAFETY: the block is in our region, so it is this heap's.
        Errno::current().keep(|| unsafe { heap::free(block) });
    } else {
        // SAFETY: the block is not ours, so it came from the allocator behind us.
        unsafe { next::free(block) };
    }
}

/// `realloc`. A block that was allocated while tracing was paused stays out of the verdicts.
///
/// # Safety
/// `block` is null or live.
pub(crate) unsafe fn resize(block: *mut c_void, size: usize, caller: Fast) -> *mut c_void {
    if block.is_null() {
        return allocate(size, caller);
    }
    if !heap::holds(block as usize) {
        // SAFETY: the block is not ours, so it came from the allocator behind us.
        return unsafe { next::resize(block, size) };
    }
    if size == 0 {
        // SAFETY: the caller's promise. glibc frees and returns null.
        unsafe { free(block) };
        return ptr::null_mut();
    }
    let book = start::book();
    if size > MAX_REQUEST {
        return refuse(book, size);
    }
    let Some((book, old)) = book.and_then(|book| Some((book, book.place(block as usize)?))) else {
        // SAFETY: the block is in our region, so it is this heap's.
        let moved = Errno::current().keep(|| unsafe { heap::resize(block, size) });
        return if moved.is_null() { refuse(None, size) } else { moved };
    };
    let Some(old_site) = old.site().filter(|_| is_start(block)) else {
        stop(c"realloc(): invalid pointer\n");
    };
    let words = thread::words();
    // The backtrace first: the time in which the block has no entry stays short.
    let site = match old_site {
        PAUSED => PAUSED,
        old if !thread::is_traced() => old,
        _ => site(book, words, caller),
    };
    let entry = old.remove(words);
    // SAFETY: the block is in our region, so it is this heap's.
    let moved = words.errno().keep(|| unsafe { heap::resize(block, size) });
    match book.place(moved as usize) {
        Some(place) => place.enter(words, site, size),
        None => {
            entry.into_iter().for_each(|entry| old.restore(words, entry));
            return refuse(Some(book), size);
        }
    }
    moved
}

/// `malloc_usable_size`.
///
/// # Safety
/// `block` is null or live.
pub(crate) unsafe fn usable_size(block: *mut c_void) -> usize {
    if block.is_null() {
        return 0;
    }
    if heap::holds(block as usize) {
        // SAFETY: the block is in our region, so it is this heap's.
        unsafe { heap::usable_size(block) }
    } else {
        // SAFETY: the block is not ours, so it came from the allocator behind us.
        unsafe { next::usable_size(block) }
    }
}

/// `posix_memalign`: an error number; `errno` stays, and so does `*to` on an error.
///
/// # Safety
/// `to` is writable.
pub(crate) unsafe fn allocate_posix(
    to: *mut *mut c_void,
    align: usize,
    size: usize,
    caller: Fast,
) -> c_int {
    if !align.is_power_of_two() || align < size_of::<*mut c_void>() {
        return system::EINVAL;
    }
    let block = Errno::current().keep(|| allocate_aligned(size, align, caller));
    if block.is_null() {
        return system::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { *to = block };
    0
}

/// `memalign` and `aligned_alloc` as glibc 2.36 has them: any alignment, rounded up to a power of
/// two; one that can't be rounded is invalid.
pub(crate) fn allocate_rounded(align: usize, size: usize, caller: Fast) -> *mut c_void {
    match align.max(1).checked_next_power_of_two() {
        Some(align) => allocate_aligned(size, align, caller),
        None => {
            system::set_errno(system::EINVAL);
            ptr::null_mut()
        }
    }
}
