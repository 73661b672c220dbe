//! Memory of this process: what is mapped, and what may be done with it.

use core::ffi::{c_int, c_ulong, c_void};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use super::getauxval;

const PROT_NONE: c_int = 0;
pub(super) const PROT_READ: c_int = 1;
pub(super) const PROT_WRITE: c_int = 2;
pub(super) const MAP_SHARED: c_int = 1;
const MAP_PRIVATE: c_int = 2;
pub(super) const MAP_FIXED: c_int = 0x10;
const MAP_ANONYMOUS: c_int = 0x20;
pub(super) const MAP_NORESERVE: c_int = 0x4000;
const MADV_HUGEPAGE: c_int = 14;
const MADV_WIPEONFORK: c_int = 18;

unsafe extern "C" {
    pub(super) fn mmap(
        at: *mut c_void,
        len: usize,
        prot: c_int,
        flags: c_int,
        fd: c_int,
        off: i64,
    ) -> *mut c_void;
    fn mprotect(at: *mut c_void, len: usize, prot: c_int) -> c_int;
    fn madvise(at: *mut c_void, len: usize, advice: c_int) -> c_int;
}

/// Reserves `len` bytes of private memory that costs nothing until it is touched, at a multiple
/// of `align` (a power of two, a page at least). Nobody may touch what lies on both sides, so that
/// it is a mapping by itself.
#[cfg(not(miri))]
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
    let len = usize::try_from(len).ok()?;
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    // SAFETY: the caller's promise.
    mapped(unsafe { mmap(at.cast(), len, PROT_READ | PROT_WRITE, flags, -1, 0) })
}

/// Bytes of a page of this kernel.
pub(crate) fn page_size() -> usize {
    const AT_PAGESZ: c_ulong = 6;
    // SAFETY: the function has no preconditions.
    usize::try_from(unsafe { getauxval(AT_PAGESZ) }).unwrap_or_default()
}

/// Stores `value` at `word`, in a page that is only read, if the kernel lets it.
///
/// # Safety
/// The page is one that nobody writes to or runs, and no other thread is here.
pub(crate) unsafe fn store_where_read(word: &AtomicU64, value: u64) {
    let page = page_size();
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

/// What mmap(2) returned, if it made a mapping.
pub(super) fn mapped(at: *mut c_void) -> Option<*mut u8> {
    (at as isize != -1).then_some(at.cast())
}
