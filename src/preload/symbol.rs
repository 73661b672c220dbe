//! What names mean to the loader.
//!
//! The preload heap has a [`dlsym`](super::loader) of its own in front of the program's, so that
//! libc's is found by the loader's other function.

use core::ffi::{CStr, c_char, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};
use core::{mem, ptr};

unsafe extern "C" {
    fn dlvsym(handle: *mut c_void, name: *const c_char, version: *const c_char) -> *mut c_void;
}

type Search = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// What every glibc of the architecture has.
#[cfg(target_arch = "x86_64")]
const VERSION: &CStr = c"GLIBC_2.2.5";
#[cfg(target_arch = "aarch64")]
const VERSION: &CStr = c"GLIBC_2.17";

/// Behind the caller's object in the search order.
const NEXT: *mut c_void = ptr::without_provenance_mut(usize::MAX);
/// In the program's search order.
const DEFAULT: *mut c_void = ptr::null_mut();

static SEARCH: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// libc's `dlsym`; null where there is none.
pub(crate) fn search() -> *mut c_void {
    let mut found = SEARCH.load(Ordering::Acquire);
    if found.is_null() {
        // SAFETY: both texts are NUL-terminated.
        found = unsafe { dlvsym(NEXT, c"dlsym".as_ptr(), VERSION.as_ptr()) };
        SEARCH.store(found, Ordering::Release);
    }
    found
}

/// Whether `handle` is of one object and its libraries, and does not stand for a search that
/// begins with the caller's.
pub(crate) fn is_object(handle: *mut c_void) -> bool {
    handle != NEXT && handle != DEFAULT
}

/// Where `name` is in what `handle` stands for; null where it is not.
///
/// # Safety
/// `handle` is what `dlopen` gave, or one of the two words that stand for others.
pub(crate) unsafe fn of(handle: *mut c_void, name: &CStr) -> *mut c_void {
    let search = search();
    if search.is_null() {
        return search;
    }
    // SAFETY: it is `dlsym`, which has this type.
    let search = unsafe { mem::transmute::<*mut c_void, Search>(search) };
    // SAFETY: the caller's promise; the name is NUL-terminated.
    unsafe { search(handle, name.as_ptr()) }
}

/// The address of `name` in the object that follows this one in the search order.
pub(crate) fn next(name: &CStr) -> *mut c_void {
    // SAFETY: it stands for that.
    unsafe { of(NEXT, name) }
}

/// The address of `name` as the program finds it.
pub(crate) fn of_program(name: &CStr) -> *mut c_void {
    // SAFETY: it stands for that.
    unsafe { of(DEFAULT, name) }
}
