//! The allocator behind ours: libc's, or another one that was preloaded after us.
//!
//! It serves what is asked before the heap is ready, and gets back every pointer that is not in
//! our region.
//!
//! libc's own functions are called by their internal names until [`find`] has looked for others:
//! `dlsym` itself may allocate.

use core::ffi::{CStr, c_void};
use core::mem;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::system;

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
}

type Free = unsafe extern "C" fn(*mut c_void);
type Realloc = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
type UsableSize = unsafe extern "C" fn(*mut c_void) -> usize;
type Close = unsafe extern "C" fn(*mut c_void) -> i32;

static FREE: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
static REALLOC: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
static USABLE_SIZE: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
static CLOSE: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());

/// Looks for the functions behind ours; once, from the constructor.
pub(crate) fn find() {
    let names: [(&AtomicPtr<c_void>, &CStr); 4] = [
        (&FREE, c"free"),
        (&REALLOC, c"realloc"),
        (&USABLE_SIZE, c"malloc_usable_size"),
        (&CLOSE, c"dlclose"),
    ];
    for (to, name) in names {
        to.store(system::next_symbol(name), Ordering::Release);
    }
}

/// A block of libc's.
pub(crate) fn allocate(size: usize) -> *mut c_void {
    // SAFETY: malloc takes any size.
    unsafe { __libc_malloc(size) }
}

/// A zeroed block of libc's.
pub(crate) fn allocate_zeroed(count: usize, size: usize) -> *mut c_void {
    // SAFETY: calloc takes any sizes.
    unsafe { __libc_calloc(count, size) }
}

/// A block of libc's at a multiple of `align`.
pub(crate) fn allocate_aligned(size: usize, align: usize) -> *mut c_void {
    // SAFETY: memalign takes any size and any power of two.
    unsafe { __libc_memalign(align, size) }
}

/// Frees a block that is not ours.
///
/// # Safety
/// `block` is live, of the allocator behind ours.
pub(crate) unsafe fn free(block: *mut c_void) {
    let found = FREE.load(Ordering::Acquire);
    if found.is_null() {
        // SAFETY: the caller's promise; before `find`, only libc has served.
        unsafe { __libc_free(block) }
    } else {
        // SAFETY: dlsym gave `free`, which has this type.
        let free = unsafe { mem::transmute::<*mut c_void, Free>(found) };
        // SAFETY: the caller's promise.
        unsafe { free(block) }
    }
}

/// Resizes a block that is not ours.
///
/// # Safety
/// `block` is live, of the allocator behind ours.
pub(crate) unsafe fn resize(block: *mut c_void, size: usize) -> *mut c_void {
    let found = REALLOC.load(Ordering::Acquire);
    if found.is_null() {
        // SAFETY: the caller's promise; before `find`, only libc has served.
        unsafe { __libc_realloc(block, size) }
    } else {
        // SAFETY: dlsym gave `realloc`, which has this type.
        let realloc = unsafe { mem::transmute::<*mut c_void, Realloc>(found) };
        // SAFETY: the caller's promise.
        unsafe { realloc(block, size) }
    }
}

/// How many bytes of a block that is not ours the program may use; 0 where nobody can tell.
///
/// # Safety
/// `block` is live, of the allocator behind ours.
pub(crate) unsafe fn usable_size(block: *mut c_void) -> usize {
    let found = USABLE_SIZE.load(Ordering::Acquire);
    if found.is_null() {
        return 0;
    }
    // SAFETY: dlsym gave `malloc_usable_size`, which has this type.
    let usable_size = unsafe { mem::transmute::<*mut c_void, UsableSize>(found) };
    // SAFETY: the caller's promise.
    unsafe { usable_size(block) }
}

/// The real `dlclose`.
///
/// # Safety
/// `handle` is what `dlopen` gave.
pub(crate) unsafe fn close(handle: *mut c_void) -> i32 {
    let mut found = CLOSE.load(Ordering::Acquire);
    if found.is_null() {
        found = system::next_symbol(c"dlclose");
    }
    if found.is_null() {
        return -1;
    }
    // SAFETY: dlsym gave `dlclose`, which has this type.
    let close = unsafe { mem::transmute::<*mut c_void, Close>(found) };
    // SAFETY: the caller's promise.
    unsafe { close(handle) }
}
