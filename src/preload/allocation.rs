//! What an entry point does: serve from the heap, keep the ledger, pass the rest on.
//!
//! The ledger's order: an entry is removed before its block is freed and entered after its block
//! is allocated, so that two threads never hold one granule. At a kill, only the allocation in
//! flight of each thread can be missing.

use core::ffi::{CStr, c_int, c_void};
use core::ptr;
use core::sync::atomic::Ordering;

use super::book::Book;
use super::unwind::frame::Fast;
use super::{backtrace, heap, next, start, system, thread};
use crate::ledger::entry::Entry;
use crate::ledger::header::trouble;
use crate::ledger::site::PAUSED;

// `caller` is the frame that called the entry point: where the allocation's backtrace starts.

/// The largest request: beyond it, differences of pointers overflow (C17 7.22.3, glibc).
const MAX_REQUEST: usize = isize::MAX.cast_unsigned();

/// Enters a fresh block; `size` is what the program asked for.
fn enter(block: *mut c_void, size: usize, caller: Fast) {
    if let Some(granule) = heap::granule(block as usize)
        && let Some(book) = start::book()
    {
        let site = current_site(book, caller);
        enter_at(book, granule, site, size);
    }
}

/// The site of an allocation that happens now.
fn current_site(book: &Book, caller: Fast) -> u32 {
    if !thread::is_traced() {
        return PAUSED;
    }
    // Where the ledger is full it says so; the block is kept for the pointers through it.
    backtrace::site(book, caller).unwrap_or(PAUSED)
}

fn enter_at(book: &Book, granule: u64, site: u32, size: usize) {
    let epoch = book.header().epoch.load(Ordering::Relaxed);
    book.enter(granule, Entry { site, epoch, size: size as u64 });
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
fn refuse(size: usize) -> *mut c_void {
    if let Some(book) = start::book() {
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

/// A block that the heap gave for a request of `size` bytes, entered, or refused.
fn served(block: *mut c_void, size: usize, caller: Fast) -> *mut c_void {
    if block.is_null() {
        return refuse(size);
    }
    enter(block, size, caller);
    block
}

/// `malloc`.
pub(crate) fn allocate(size: usize, caller: Fast) -> *mut c_void {
    if !start::is_ready() {
        return next::allocate(size);
    }
    if size > MAX_REQUEST {
        system::set_errno(system::ENOMEM);
        return ptr::null_mut();
    }
    served(heap::allocate(size), size, caller)
}

/// `calloc`.
pub(crate) fn allocate_zeroed(count: usize, size: usize, caller: Fast) -> *mut c_void {
    if !start::is_ready() {
        return next::allocate_zeroed(count, size);
    }
    match count.checked_mul(size) {
        Some(size) if size <= MAX_REQUEST => served(heap::allocate_zeroed(size), size, caller),
        _ => {
            system::set_errno(system::ENOMEM);
            ptr::null_mut()
        }
    }
}

/// `memalign` and its relatives; `align` is a power of two.
pub(crate) fn allocate_aligned(size: usize, align: usize, caller: Fast) -> *mut c_void {
    if !start::is_ready() {
        return next::allocate_aligned(size, align);
    }
    if size > MAX_REQUEST {
        system::set_errno(system::ENOMEM);
        return ptr::null_mut();
    }
    if align > heap::MAX_ALIGN {
        let block = next::allocate_aligned(size, align);
        if !block.is_null()
            && thread::is_traced()
            && let Some(book) = start::book()
        {
            book.report(trouble::ALIGNMENT);
        }
        return block;
    }
    served(heap::allocate_aligned(size, align), size, caller)
}

/// `free`.
///
/// # Safety
/// `block` is null or live.
pub(crate) unsafe fn free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    let errno = system::errno();
    match heap::granule(block as usize) {
        Some(granule) => {
            if let Some(book) = start::book()
                && (!is_start(block) || book.remove(granule).is_none())
            {
                stop(c"free(): invalid pointer\n");
            }
            // SAFETY: the block is in our region, so it is this heap's.
            unsafe { heap::free(block) };
        }
        // SAFETY: the block is not ours, so it came from the allocator behind us.
        None => unsafe { next::free(block) },
    }
    system::set_errno(errno);
}

/// `realloc`. A block that was allocated while tracing was paused stays out of the verdicts.
///
/// # Safety
/// `block` is null or live.
pub(crate) unsafe fn resize(block: *mut c_void, size: usize, caller: Fast) -> *mut c_void {
    if block.is_null() {
        return allocate(size, caller);
    }
    let Some(granule) = heap::granule(block as usize) else {
        // SAFETY: the block is not ours, so it came from the allocator behind us.
        return unsafe { next::resize(block, size) };
    };
    if size == 0 {
        // SAFETY: the caller's promise. glibc frees and returns null.
        unsafe { free(block) };
        return ptr::null_mut();
    }
    if size > MAX_REQUEST {
        system::set_errno(system::ENOMEM);
        return ptr::null_mut();
    }
    let book = start::book();
    if book.is_some_and(|book| !is_start(block) || book.site(granule).is_none()) {
        stop(c"realloc(): invalid pointer\n");
    }
    // The backtrace first: the time in which the block has no entry stays short.
    let site = book.and_then(|book| match (book.site(granule)?, thread::is_traced()) {
        (PAUSED, _) => Some(PAUSED),
        (old, false) => Some(old),
        (_, true) => Some(current_site(book, caller)),
    });
    let old = book.and_then(|book| book.remove(granule));
    // SAFETY: the block is in our region, so it is this heap's.
    let moved = unsafe { heap::resize(block, size) };
    if moved.is_null() {
        if let (Some(book), Some(old)) = (book, old) {
            book.restore(granule, old);
        }
        return refuse(size);
    }
    if let (Some(book), Some(site)) = (book, site)
        && let Some(granule) = heap::granule(moved as usize)
    {
        enter_at(book, granule, site, size);
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
    if heap::granule(block as usize).is_some() {
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
    let errno = system::errno();
    let block = allocate_aligned(size, align, caller);
    system::set_errno(errno);
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
