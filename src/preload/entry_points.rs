//! The functions that the preload heap puts in front of libc's: those that allocate and the
//! others, two lists from which the exports and the test of the exports derive.

use core::ffi::{CStr, c_int, c_void};

use super::mallinfo::Info;
use super::statistics::Statistics;
use super::system::SignalStack;
use super::unwind::arch::{call_and_go_on_with_caller, go_on_with_caller};
use super::unwind::frame::Fast;
use super::{allocation, heap, mallinfo, modules, next, start, switch, system, thread};

/// The functions that need no backtrace.
macro_rules! entry_points {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {
        const PLAIN: &[&str] = &[$(stringify!($name)),*];

        $($(#[$doc])*
        ///
        /// # Safety
        /// As the manual page says.
        #[allow(non_snake_case, reason = "C17 names one of them _Exit")]
        #[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
        unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? $body)*
    };
}

/// The functions that do. What is exported adds the frame that called, as it is at the very first
/// instruction, to the arguments, and goes on to the function that is written here.
macro_rules! traced_entry_points {
    ($($(#[$doc:meta])* fn $name:ident[$count:tt]($($argument:ident: $type:ty),*; $caller:ident) -> $result:ty $body:block)*) => {
        const TRACED: &[&str] = &[$(stringify!($name)),*];

        $(const _: () = {
            extern "C" fn go_on($($argument: $type,)* sp: usize, fp: usize, pc: usize) -> $result {
                let $caller = Fast { pc, sp, fp, fp_is_saved: false };
                $body
            }

            $(#[$doc])*
            ///
            /// # Safety
            /// As the manual page says.
            #[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
            #[unsafe(naked)]
            unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                go_on_with_caller!($count, go_on)
            }
        };)*
    };
}

/// Every exported function.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let lists = [
        PLAIN,
        TRACED,
        &[stringify!(malloc)],
        super::loader::NAMES,
        super::exec::NAMES,
        super::exec::LIST_NAMES,
        super::exec::SHELL_NAMES,
    ];
    lists.into_iter().flatten().copied()
}

/// Whether a function of this file has that name.
pub(crate) fn is_one(name: &CStr) -> bool {
    let mut names = PLAIN.iter().chain(TRACED).chain(&["malloc"]);
    names.any(|one| one.as_bytes() == name.to_bytes())
}

/// malloc(3), which is called most: the block first, so that nothing has to be kept over calls
/// where the backtrace is known.
///
/// # Safety
/// As the manual page says.
#[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
#[unsafe(naked)]
unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    call_and_go_on_with_caller!(allocation::block, allocation::enter)
}

traced_entry_points! {
    /// calloc(3).
    fn calloc[2](count: usize, size: usize; caller) -> *mut c_void {
        allocation::allocate_zeroed(count, size, caller)
    }

    /// realloc(3).
    fn realloc[2](block: *mut c_void, size: usize; caller) -> *mut c_void {
        // SAFETY: the program's promise.
        unsafe { allocation::resize(block, size, caller) }
    }

    /// reallocarray(3).
    fn reallocarray[3](block: *mut c_void, count: usize, size: usize; caller) -> *mut c_void {
        let whole = count.saturating_mul(size);
        // SAFETY: the program's promise; the largest size is refused.
        unsafe { allocation::resize(block, whole, caller) }
    }

    /// aligned_alloc(3).
    fn aligned_alloc[2](align: usize, size: usize; caller) -> *mut c_void {
        allocation::allocate_rounded(align, size, caller)
    }

    /// posix_memalign(3).
    fn posix_memalign[3](to: *mut *mut c_void, align: usize, size: usize; caller) -> c_int {
        // SAFETY: the program's promise.
        unsafe { allocation::allocate_posix(to, align, size, caller) }
    }

    /// memalign(3).
    fn memalign[2](align: usize, size: usize; caller) -> *mut c_void {
        allocation::allocate_rounded(align, size, caller)
    }

    /// valloc(3).
    fn valloc[1](size: usize; caller) -> *mut c_void {
        allocation::allocate_aligned(size, system::page_size(), caller)
    }

    /// pvalloc(3).
    fn pvalloc[1](size: usize; caller) -> *mut c_void {
        let page = system::page_size();
        let pages = size.max(1).checked_next_multiple_of(page).unwrap_or(usize::MAX);
        allocation::allocate_aligned(pages, page, caller)
    }
}

entry_points! {
    /// free(3).
    fn free(block: *mut c_void) {
        // SAFETY: the program's promise.
        unsafe { allocation::free(block) }
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
    fn malloc_trim(keep: usize) -> c_int {
        if start::is_ready() { c_int::from(heap::trim()) } else { next::trim(keep) }
    }

    /// mallinfo(3).
    fn mallinfo() -> Info<c_int> {
        mallinfo::narrow_info()
    }

    /// mallinfo2(3).
    fn mallinfo2() -> Info<usize> {
        mallinfo::info()
    }

    /// malloc_stats(3).
    fn malloc_stats() {
        mallinfo::print();
    }

    /// malloc_info(3).
    fn malloc_info(options: c_int, stream: *mut c_void) -> c_int {
        // SAFETY: the program's promise.
        unsafe { mallinfo::export(options, stream) }
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

    /// sigaltstack(2): a block that is a signal stack may have no other pointer than the kernel's.
    fn sigaltstack(new: *const SignalStack, old: *mut SignalStack) -> c_int {
        // SAFETY: the program's promise.
        let status = unsafe { system::change_signal_stack(new, old) };
        if status == 0 && !new.is_null() {
            thread::keep_signal_stack();
        }
        status
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

    /// The program says that an iteration ends here.
    fn leaksnap_mark() {
        start::mark();
    }

    /// Turns tracing off (0) or on again, for every thread.
    fn leaksnap_trace(on: c_int) {
        switch::turn(on != 0);
    }

    /// Says what the heap holds.
    fn leaksnap_statistics(into: *mut Statistics) {
        // SAFETY: the caller's promise: `into` is writable.
        unsafe { into.write(Statistics::now()) }
    }
}

/// Run by the loader.
#[cfg(leaksnap_preload)]
mod hooks {
    extern "C" fn construct() {
        super::start::construct();
        super::system::at_quick_exit(quick_exit);
    }

    extern "C" fn quick_exit(_: *mut core::ffi::c_void) {
        super::start::exit();
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
