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

/// Where a region starts: a multiple of a huge page, and of mimalloc's slices.
const REGION_ALIGN: usize = 2 << 20;

/// mimalloc takes less than 16 GiB for an arena; no block lies in two. A last piece that is
/// smaller than the least is left out.
const ARENA: usize = 15 << 30;
const LEAST_ARENA: usize = 32 << 20;

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
    fn leaksnap_malloc_aligned(size: usize, align: usize) -> *mut c_void;
    fn mi_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn mi_free(block: *mut c_void);
    fn mi_usable_size(block: *const c_void) -> usize;
    fn leaksnap_cover(start: *const c_void, size: usize) -> bool;
    fn leaksnap_count(counts: *mut Counts);
    fn leaksnap_trim() -> bool;
    fn leaksnap_each_block(each: Each, argument: *const c_void);
    fn leaksnap_block_start(address: usize) -> usize;
}

/// What the heap's pages hold; `struct leaksnap_counts` of mimalloc.c.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Bytes of blocks in use, without the large ones.
    pub(crate) used_bytes: usize,
    /// Room for more of them in the same pages.
    pub(crate) free_bytes: usize,
    /// How many blocks that is.
    pub(crate) free_blocks: usize,
    /// Blocks with a page to themselves, which are in use.
    pub(crate) large_blocks: usize,
    /// Bytes of these.
    pub(crate) large_bytes: usize,
    /// Blocks that are carved out, in use or free.
    pub(crate) carved: usize,
    /// Slices ([`SLICE`] bytes) that hold neither a page of blocks nor mimalloc's own.
    pub(crate) free_slices: usize,
}

/// `MI_ARENA_SLICE_SIZE`.
pub(crate) const SLICE: usize = 64 << 10;

type Each = unsafe extern "C" fn(usize, usize, *const c_void);

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
    for offset in (0..size).step_by(ARENA) {
        let len = size.saturating_sub(offset).min(ARENA);
        if offset != 0 && len < LEAST_ARENA {
            break;
        }
        let (piece, mut arena) = (start.wrapping_add(offset).cast(), core::ptr::null_mut());
        // SAFETY: the region is ours, readable, writable, zero, and never unmapped.
        if !unsafe { mi_manage_os_memory_ex(piece, len, true, false, true, -1, false, &mut arena) }
        {
            return None;
        }
    }
    // SAFETY: the region was just given to mimalloc, whose page map is ready for it.
    if !unsafe { leaksnap_cover(start.cast(), size) } {
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

/// A block at a multiple of `align`, a power of two, or null.
pub(crate) fn allocate_aligned(size: usize, align: usize) -> *mut c_void {
    // SAFETY: the function takes any size and any power of two.
    unsafe { leaksnap_malloc_aligned(size.max(MIN_BLOCK), align) }
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

/// Gives free memory back to the kernel; whether there was any.
pub(crate) fn trim() -> bool {
    // SAFETY: the function has no preconditions.
    unsafe { leaksnap_trim() }
}

/// Calls `each` with the address and size of every block that is in use. For a child of `fork`
/// before anything else runs in it: what its parent's other threads had begun may be half done.
pub(crate) fn each_block<F: Fn(usize, usize)>(each: &F) {
    unsafe extern "C" fn call<F: Fn(usize, usize)>(block: usize, size: usize, each: *const c_void) {
        // SAFETY: `each_block` gives the argument, and lends it for the call.
        let each = unsafe { &*each.cast::<F>() };
        each(block, size);
    }
    // SAFETY: `call` takes what is given as the argument.
    unsafe { leaksnap_each_block(call::<F>, core::ptr::from_ref(each).cast()) }
}

/// Where the block starts that `block`, an address in the region, is in: one that was asked for
/// at an alignment may be further in.
pub(crate) fn start(block: usize) -> usize {
    // SAFETY: the page map knows all of the region.
    unsafe { leaksnap_block_start(block) }
}

/// Counts what is in the pages. Of small blocks, those that another thread has freed are in use
/// until the page's own thread looks.
pub(crate) fn counts() -> Counts {
    let mut counts = Counts::default();
    // SAFETY: there is room for the counts.
    unsafe { leaksnap_count(&raw mut counts) };
    counts
}
