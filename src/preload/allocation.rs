//! What an entry point does: serve from the heap, keep the ledger, pass the rest on.
//!
//! The ledger's order: an entry is removed before its block is freed and entered after its block
//! is allocated, so that two threads never hold one granule. At a kill, only the allocation in
//! flight of each thread can be missing.

use core::ffi::{c_int, c_void};
use core::ptr;

use super::book::{Book, Place};
use super::system::Errno;
use super::thread::Words;
use super::unwind::frame::Fast;
use super::unwind::stack::Live;
use super::{backtrace, fork, heap, modules, next, start, switch, system, thread};
use crate::ledger::header::trouble;
use crate::ledger::site::{INHERITED, PAUSED, UNTRACED};

// `caller` is the frame that called the entry point: where the allocation's backtrace starts.

/// The largest request: beyond it, differences of pointers overflow (C17 7.22.3, glibc).
const MAX_REQUEST: usize = isize::MAX.cast_unsigned();

/// A block for a request of `size` bytes, from the heap or from libc where there is no heap; null
/// where that has none.
pub(crate) extern "C" fn block(size: usize) -> *mut c_void {
    if start::page().is_open() || start::is_ready() {
        heap::allocate(size)
    } else {
        next::allocate(size)
    }
}

/// Enters `block`, which is what a request of `size` bytes got, and returns it. What follows the
/// other calls is no call where the backtrace is known, and needs no registers that outlive one.
pub(crate) extern "C" fn enter(
    block: *mut c_void,
    size: usize,
    sp: usize,
    fp: usize,
    pc: usize,
) -> *mut c_void {
    let caller = Fast { pc, sp, fp, fp_is_saved: false };
    if let Some((traces, shard)) = thread::words().known()
        && let Some(site) = traces.find_quickly(caller, modules::generation())
    {
        if let Some(place) = start::page().place(block as usize)
            && place.enters_plainly(shard, site, size)
        {
            return block;
        }
        return enter_at(block, size, site);
    }
    enter_slowly(block, size, sp, fp, pc)
}

/// Enters `block` at `site`, where it is not plain.
#[cold]
#[inline(never)]
extern "C" fn enter_at(block: *mut c_void, size: usize, site: u32) -> *mut c_void {
    let book = start::book();
    match book.and_then(|book| book.place(block as usize)) {
        Some(place) => place.enter(thread::words(), site, size),
        None if block.is_null() && start::is_ready() => {
            return refuse(book, size, || next::allocate(size));
        }
        None => {}
    }
    block
}

/// Enters `block`, whose backtrace was not [found quickly](super::trace_cache::Traces::find_quickly).
#[cold]
#[inline(never)]
extern "C" fn enter_slowly(
    block: *mut c_void,
    size: usize,
    sp: usize,
    fp: usize,
    pc: usize,
) -> *mut c_void {
    let book = start::book().filter(|book| book.place(block as usize).is_some());
    let caller = Fast { pc, sp, fp, fp_is_saved: false };
    let site = match book {
        Some(book) if Live::current(sp).has_end() => new_site(book, caller),
        Some(book) => site(book, thread::words(), caller),
        None => PAUSED,
    };
    enter_at(block, size, site)
}

/// The site of an allocation that happens now.
pub(crate) fn site(book: &Book, words: &Words, caller: Fast) -> u32 {
    if let Some((traces, _)) = words.known()
        && let Some(site) = traces.find(caller, modules::generation())
    {
        return site;
    }
    new_site(book, caller)
}

/// The site of an allocation like none that the thread has seen.
fn new_site(book: &Book, caller: Fast) -> u32 {
    if !thread::is_traced() {
        return PAUSED;
    }
    if switch::is_off() {
        return UNTRACED;
    }
    // Where the ledger is full it says so; the block is kept for the pointers through it.
    Errno::current().keep(|| backtrace::site(book, caller)).unwrap_or(PAUSED)
}

/// Whether `block` is where a block can start.
fn is_start(block: *mut c_void) -> bool {
    (block as usize).is_multiple_of(heap::MIN_BLOCK)
}

/// The place of the entry of `block`; `None` where it has none. What a child of `fork` inherited
/// is entered where the heap's own block starts.
fn entered(book: &Book, block: *mut c_void) -> Option<Place<'_>> {
    let place = book.place(block as usize).filter(|_| is_start(block))?;
    if place.site().is_some() {
        return Some(place);
    }
    book.place(heap::start(block as usize)).filter(|place| place.site() == Some(INHERITED))
}

/// Ends the program as glibc does, where it frees what is not allocated: every block that is has
/// an entry, and the heap would go on with a damaged free list.
#[cold]
fn stop(why: &[u8]) -> ! {
    system::say(why);
    system::abort()
}

/// Where the heap has no memory: whether it could not serve what libc could have.
#[cold]
#[inline(never)]
fn refuse(
    book: Option<&Book>,
    size: usize,
    from_libc: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    if let Some(book) = book.filter(|_| size <= MAX_REQUEST) {
        let served = from_libc();
        if !served.is_null() {
            book.report(trouble::HEAP_FULL);
            // SAFETY: libc served it a moment ago, and nobody else has it.
            unsafe { next::free(served) };
        }
    }
    system::set_errno(system::ENOMEM);
    ptr::null_mut()
}

/// `malloc`.
fn allocate(size: usize, caller: Fast) -> *mut c_void {
    enter(block(size), size, caller.sp, caller.fp, caller.pc)
}

/// `calloc`.
pub(crate) fn allocate_zeroed(count: usize, size: usize, caller: Fast) -> *mut c_void {
    let whole = count.saturating_mul(size);
    let block = if start::page().is_open() || start::is_ready() {
        heap::allocate_zeroed(whole)
    } else {
        next::allocate_zeroed(count, size)
    };
    enter(block, whole, caller.sp, caller.fp, caller.pc)
}

/// `memalign` and its relatives; `align` is a power of two.
pub(crate) fn allocate_aligned(size: usize, align: usize, caller: Fast) -> *mut c_void {
    let from_libc = || next::allocate_aligned(size, align);
    if !start::is_ready() {
        return from_libc();
    }
    let block = heap::allocate_aligned(size, align);
    if block.is_null() {
        return refuse(start::book(), size, from_libc);
    }
    enter(block, size, caller.sp, caller.fp, caller.pc)
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
    let Some(place) = start::page().place(block as usize) else {
        // SAFETY: the caller's promise.
        return unsafe { free_untraced(block) };
    };
    if is_start(block)
        && let Some((_, shard)) = thread::words().known()
        && place.removes_plainly(shard)
    {
        // SAFETY: the block is in our region, so it is this heap's.
        return unsafe { heap::free(block) };
    }
    // SAFETY: the caller's promise.
    unsafe { free_entered(block) }
}

/// `free` of what may have an entry of whatever form.
///
/// # Safety
/// `block` is live, in the region.
#[cold]
#[inline(never)]
unsafe fn free_entered(block: *mut c_void) {
    let place = entered(start::page(), block);
    if place.and_then(|place| place.remove(thread::words())).is_none()
        && !fork::may_have_missed_a_block()
    {
        stop(b"free(): invalid pointer\n");
    }
    // SAFETY: the block is in our region, so it is this heap's.
    unsafe { heap::free(block) };
}

/// `free` of what is not in the ledger: another allocator's, or that of a process that does not
/// trace, or not yet.
///
/// # Safety
/// `block` is live.
#[inline(never)]
unsafe fn free_untraced(block: *mut c_void) {
    if heap::holds(block as usize) {
        // SAFETY: the block is in our region, so it is this heap's.
        unsafe { heap::free(block) };
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
        return refuse(book, size, || next::allocate(size));
    }
    let Some(book) = book else {
        // SAFETY: the block is in our region, so it is this heap's.
        let moved = unsafe { heap::resize(block, size) };
        let from_libc = || next::allocate(size);
        return if moved.is_null() { refuse(None, size, from_libc) } else { moved };
    };
    let old = entered(book, block);
    let missed = || book.place(block as usize).filter(|_| fork::may_have_missed_a_block());
    let old = old.and_then(|old| Some((old, old.site()?)));
    let Some((old, old_site)) = old.or_else(|| Some((missed()?, PAUSED))) else {
        stop(b"realloc(): invalid pointer\n");
    };
    let words = thread::words();
    // The backtrace first: the time in which the block has no entry stays short.
    let site = match old_site {
        PAUSED => PAUSED,
        // A child of fork answers for what it has made larger.
        INHERITED => site(book, words, caller),
        old if !thread::is_traced() || switch::is_off() => old,
        _ => site(book, words, caller),
    };
    let entry = old.remove(words);
    // SAFETY: the block is in our region, so it is this heap's.
    let moved = unsafe { heap::resize(block, size) };
    match book.place(moved as usize) {
        Some(place) => place.enter(words, site, size),
        None => {
            entry.into_iter().for_each(|entry| old.restore(words, entry));
            return refuse(Some(book), size, || next::allocate(size));
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
