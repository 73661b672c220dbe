//! What mimalloc holds, for whoever looks at the heap: read while the other threads go on, each
//! number by itself.
//!
//! Nothing here is on the path of an allocation; it allocates nothing and takes no lock.

use core::ffi::c_void;

/// What the heap holds; `protocol.rs` has the same for the parent.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Statistics {
    /// Bytes that are in no page of blocks and hold nothing of mimalloc's own.
    pub(crate) free_bytes: u64,
    /// Blocks that are carved out, in use or free.
    pub(crate) blocks: u64,
}

/// `mi_heap_area_t` of mimalloc 3.3.
#[repr(C)]
#[derive(Debug)]
struct Area {
    start: *mut c_void,
    reserved: usize,
    committed: usize,
    used: usize,
    block_size: usize,
    full_block_size: usize,
    page: *mut c_void,
}

type Visit =
    unsafe extern "C" fn(*const c_void, *const Area, *mut c_void, usize, *mut c_void) -> bool;

unsafe extern "C" {
    fn mi_heap_visit_blocks(
        heap: *mut c_void,
        blocks: bool,
        visit: Visit,
        argument: *mut c_void,
    ) -> bool;
    #[cfg(leaksnap_preload)]
    fn leaksnap_free_slices() -> usize;
}

impl Statistics {
    /// Those of now.
    pub(crate) fn now() -> Self {
        let mut statistics = Self { free_bytes: free_bytes(), blocks: 0 };
        let blocks = (&raw mut statistics.blocks).cast();
        // SAFETY: `add` takes a number of this kind; no heap is the main one, and its pages'
        // descriptions stay readable, as the region is never unmapped.
        unsafe { mi_heap_visit_blocks(core::ptr::null_mut(), false, add, blocks) };
        statistics
    }
}

/// Adds the blocks of a page to the number at `sum`.
unsafe extern "C" fn add(
    _: *const c_void,
    area: *const Area,
    _: *mut c_void,
    _: usize,
    sum: *mut c_void,
) -> bool {
    // SAFETY: mimalloc lends the area for the call.
    let Area { committed, full_block_size, .. } = unsafe { area.read() };
    // A page that another thread gives back meanwhile may read as zero.
    let blocks = committed.checked_div(full_block_size).unwrap_or_default() as u64;
    let sum = sum.cast::<u64>();
    // SAFETY: `now` gave it, and nobody else uses it meanwhile.
    let before = unsafe { sum.read() };
    // SAFETY: as above.
    unsafe { sum.write(before.saturating_add(blocks)) };
    true
}

#[cfg(leaksnap_preload)]
fn free_bytes() -> u64 {
    // `MI_ARENA_SLICE_SIZE`.
    const SLICE: u64 = 64 << 10;
    // SAFETY: the function has no preconditions.
    (unsafe { leaksnap_free_slices() } as u64).saturating_mul(SLICE)
}

/// The library's own tests have mimalloc without `mimalloc.c`, and no region.
#[cfg(not(leaksnap_preload))]
fn free_bytes() -> u64 {
    0
}
