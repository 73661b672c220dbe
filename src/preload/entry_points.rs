//! The functions that the preload heap puts in front of libc's: one list, from which the exports
//! and the test of the exports derive.

use core::ffi::{c_int, c_void};

use super::{allocation, heap, modules, next, start, system, thread};

const PAGE: usize = 4096;

macro_rules! entry_points {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {
        /// Every exported function.
        #[cfg(test)]
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        $($(#[$doc])*
        ///
        /// # Safety
        /// As the manual page says.
        #[allow(non_snake_case, reason = "C17 names one of them _Exit")]
        #[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
        unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? $body)*
    };
}

entry_points! {
    /// malloc(3).
    fn malloc(size: usize) -> *mut c_void {
        allocation::allocate(size)
    }

    /// free(3).
    fn free(block: *mut c_void) {
        // SAFETY: the program's promise.
        unsafe { allocation::free(block) }
    }

    /// calloc(3).
    fn calloc(count: usize, size: usize) -> *mut c_void {
        allocation::allocate_zeroed(count, size)
    }

    /// realloc(3).
    fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: the program's promise.
        unsafe { allocation::resize(block, size) }
    }

    /// reallocarray(3).
    fn reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
        let whole = count.saturating_mul(size);
        // SAFETY: the program's promise; the largest size is refused.
        unsafe { allocation::resize(block, whole) }
    }

    /// aligned_alloc(3).
    fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
        allocation::allocate_rounded(align, size)
    }

    /// posix_memalign(3).
    fn posix_memalign(to: *mut *mut c_void, align: usize, size: usize) -> c_int {
        // SAFETY: the program's promise.
        unsafe { allocation::allocate_posix(to, align, size) }
    }

    /// memalign(3).
    fn memalign(align: usize, size: usize) -> *mut c_void {
        allocation::allocate_rounded(align, size)
    }

    /// valloc(3).
    fn valloc(size: usize) -> *mut c_void {
        allocation::allocate_aligned(size, PAGE)
    }

    /// pvalloc(3).
    fn pvalloc(size: usize) -> *mut c_void {
        let pages = size.max(1).checked_next_multiple_of(PAGE).unwrap_or(usize::MAX);
        allocation::allocate_aligned(pages, PAGE)
    }

    /// malloc_usable_size(3).
    fn malloc_usable_size(block: *mut c_void) -> usize {
        // SAFETY: the program's promise.
        unsafe { allocation::usable_size(block) }
    }

    /// cfree(3), which libc itself no longer has.
    fn cfree(block: *mut c_void) {
        // SAFETY: the program's promise.
        unsafe { allocation::free(block) }
    }

    /// free_sized (C23 7.24.3.4).
    fn free_sized(block: *mut c_void, _size: usize) {
        // SAFETY: the program's promise.
        unsafe { allocation::free(block) }
    }

    /// free_aligned_sized (C23 7.24.3.5).
    fn free_aligned_sized(block: *mut c_void, _align: usize, _size: usize) {
        // SAFETY: the program's promise.
        unsafe { allocation::free(block) }
    }

    /// malloc_trim(3).
    fn malloc_trim(_keep: usize) -> c_int {
        if start::is_ready() {
            heap::trim();
        }
        1
    }

    /// _exit(2): the parent has to look before the memory is gone.
    fn _exit(status: c_int) {
        start::exit();
        system::exit(status)
    }

    /// _Exit (C17 7.22.4.5).
    fn _Exit(status: c_int) {
        start::exit();
        system::exit(status)
    }

    /// dlclose(3): not of the malloc family; the modules have to know.
    fn dlclose(handle: *mut c_void) -> c_int {
        modules::closing();
        // SAFETY: the program's promise.
        let status = unsafe { next::close(handle) };
        modules::closed();
        status
    }

    /// Allocations of the calling thread are not traced until `leaksnap_resume`.
    fn leaksnap_pause() {
        thread::pause();
    }

    /// Undoes one `leaksnap_pause`.
    fn leaksnap_resume() {
        thread::resume();
    }
}

/// Run by the loader.
#[cfg(leaksnap_preload)]
mod hooks {
    extern "C" fn construct() {
        super::start::construct();
    }

    extern "C" fn destruct() {
        super::start::exit();
    }

    #[used]
    #[unsafe(link_section = ".init_array")]
    static CONSTRUCT: extern "C" fn() = construct;

    #[used]
    #[unsafe(link_section = ".fini_array")]
    static DESTRUCT: extern "C" fn() = destruct;
}
