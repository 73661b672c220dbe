//! The heap: mimalloc, confined to one bounded region of private memory.
//!
//! Every block lies in `[base, base + size)`, so an address tells whose a pointer is. Blocks are
//! at least a granule, so that each has an entry of the side table to itself.
//!
//! Invariant: [`reserve`] succeeded before any other function here is called; the region is never
//! given back.

use core::ffi::{c_int, c_long, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

use super::system;
use crate::ledger::layout::GRANULE;

/// Alignments above this are not served.
pub(crate) const MAX_ALIGN: usize = 64 << 10;

/// Where a region starts: a multiple of a huge page, and of mimalloc's slices.
const REGION_ALIGN: usize = 2 << 20;

/// Blocks are this large at least, and start at multiples of it.
pub(crate) const MIN_BLOCK: usize = 16;
const _: () = assert!(MIN_BLOCK as u64 == GRANULE, "a block has a granule to itself");

// `mi_option_t` of mimalloc 3.3.
const OPTION_SHOW_ERRORS: c_int = 0;
const OPTION_DISALLOW_OS_ALLOC: c_int = 17;
const OPTION_ARENA_MAX_OBJECT_SIZE: c_int = 45;

unsafe extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
    fn mi_manage_os_memory_ex(
        start: *mut c_void,
        size: usize,
        is_committed: bool,
        is_pinned: bool,
        is_zero: bool,
        numa_node: c_int,
        exclusive: bool,
        arena_id: *mut *mut c_void,
    ) -> bool;
    fn leaksnap_heap_malloc(size: usize) -> *mut c_void;
    fn mi_zalloc(size: usize) -> *mut c_void;
    fn mi_malloc_aligned(size: usize, align: usize) -> *mut c_void;
    fn mi_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn mi_free(block: *mut c_void);
    fn mi_usable_size(block: *const c_void) -> usize;
    fn mi_collect(force: bool);
}

static BASE: AtomicUsize = AtomicUsize::new(0);
static SIZE: AtomicUsize = AtomicUsize::new(0);

/// Reserves the region and hands it to mimalloc; its base, or `None` where the kernel or mimalloc
/// refuses. Called once.
pub(crate) fn reserve(size: usize) -> Option<usize> {
    let start = system::reserve(size, REGION_ALIGN)?;
    let kib = c_long::try_from(size >> 10).unwrap_or(c_long::MAX);
    for (option, value) in [
        (OPTION_SHOW_ERRORS, 0),
        (OPTION_DISALLOW_OS_ALLOC, 1),
        (OPTION_ARENA_MAX_OBJECT_SIZE, kib),
    ] {
        // SAFETY: options may be set at any time, from one thread.
        unsafe { mi_option_set(option, value) };
    }
    let mut arena = core::ptr::null_mut();
    // SAFETY: the region is ours, readable, writable, zero, and never unmapped.
    let managed = unsafe {
        mi_manage_os_memory_ex(start.cast(), size, true, false, true, -1, false, &mut arena)
    };
    if !managed {
        return None;
    }
    SIZE.store(size, Ordering::Relaxed);
    BASE.store(start as usize, Ordering::Release);
    Some(start as usize)
}

/// Whether `address` is in the region.
pub(crate) fn holds(address: usize) -> bool {
    let offset = address.wrapping_sub(BASE.load(Ordering::Relaxed));
    offset < SIZE.load(Ordering::Relaxed)
}

/// A block of at least `size` bytes, or null.
pub(crate) fn allocate(size: usize) -> *mut c_void {
    // SAFETY: mi_malloc takes any size.
    unsafe { leaksnap_heap_malloc(size.max(MIN_BLOCK)) }
}

/// A block of at least `size` zero bytes, or null.
pub(crate) fn allocate_zeroed(size: usize) -> *mut c_void {
    // SAFETY: mi_zalloc takes any size.
    unsafe { mi_zalloc(size.max(MIN_BLOCK)) }
}

/// A block at a multiple of `align`, a power of two of at most [`MAX_ALIGN`], or null.
pub(crate) fn allocate_aligned(size: usize, align: usize) -> *mut c_void {
    // SAFETY: mi_malloc_aligned takes any size and any power of two.
    unsafe { mi_malloc_aligned(size.max(MIN_BLOCK), align) }
}

/// Moves or resizes `block`; null leaves it as it was.
///
/// # Safety
/// `block` is live, of this heap.
pub(crate) unsafe fn resize(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { mi_realloc(block, size.max(MIN_BLOCK)) }
}

/// Frees `block`.
///
/// # Safety
/// `block` is live, of this heap.
pub(crate) unsafe fn free(block: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { mi_free(block) }
}

/// How many bytes of `block` the program may use.
///
/// # Safety
/// `block` is live, of this heap.
pub(crate) unsafe fn usable_size(block: *const c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { mi_usable_size(block) }
}

/// Gives free memory back to the kernel.
pub(crate) fn trim() {
    // SAFETY: mi_collect has no preconditions.
    unsafe { mi_collect(true) }
}
