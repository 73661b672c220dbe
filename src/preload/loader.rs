//! The loader's functions by which a program gets past the preload heap. Those that open an object
//! apart: what it allocates then may come from another `malloc`, and the ledger has to say that it is
//! not complete. And the one that finds a function by the object that has it: of libc's own that
//! the preload heap stands in front of it finds the heap's, as every other call does.
//!
//! They only look at their arguments. They go on to libc's by a jump, with the stack as they found
//! it: the loader takes the caller's object from the return address (its run path, its namespace).

use core::ffi::{CStr, c_char, c_int, c_long, c_void};

use super::modules::{self, Object};
use super::{entry_points, libc_table, next, start, symbol, system};
use crate::ledger::header::trouble;

/// Looks where nothing is loaded.
const RTLD_NOLOAD: c_int = 4;
/// The object's own libraries come first, libc among them.
const RTLD_DEEPBIND: c_int = 8;
/// The namespace of the program.
const LM_ID_BASE: c_long = 0;

/// The exported functions of this file.
pub(crate) const NAMES: &[&str] = &["dlopen", "dlmopen", "dlsym"];

fn apart() {
    if let Some(book) = start::book() {
        book.report(trouble::APART);
    }
}

/// An object is about to be opened that finds what its own libraries have before all others: libc's
/// `malloc`, and whatever else they may have of one.
fn deep() {
    libc_table::lead_here();
    apart();
}

/// libc's `dlopen`, for a call with `flags`.
extern "C" fn opening(flags: c_int) -> *mut c_void {
    if flags & RTLD_NOLOAD == 0 && flags & RTLD_DEEPBIND != 0 {
        deep();
    }
    next::open()
}

/// libc's `dlmopen`, for a call with `namespace` and `flags`.
extern "C" fn opening_in(namespace: c_long, flags: c_int) -> *mut c_void {
    if namespace != LM_ID_BASE {
        apart();
    } else if flags & RTLD_NOLOAD == 0 && flags & RTLD_DEEPBIND != 0 {
        deep();
    }
    next::open_in()
}

/// What a search in what `handle` stands for goes on with: libc's `dlsym`, which has to know the caller
/// where the search begins with its object, else the one below. Whoever is behind us may be asking for
/// what it stands in front of.
extern "C" fn searching(handle: *mut c_void) -> *mut c_void {
    if symbol::is_object(handle) && next::other_malloc().is_none() {
        search_object as *mut c_void
    } else {
        symbol::search()
    }
}

/// `dlsym` with the handle of an object. What it finds of libc's own that the preload heap stands in front
/// of is the heap's: a block that one `malloc` gives must not come to the other's `free`.
///
/// # Safety
/// As the manual page of dlsym(3) says.
unsafe extern "C" fn search_object(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    // SAFETY: the program's promise: it is a text with an end.
    let name = unsafe { CStr::from_ptr(name) };
    // SAFETY: the program's promise.
    let found = unsafe { symbol::of(handle, name) };
    let libc = Object::find(system::function_of_libc());
    if found.is_null() || !libc.is_some_and(|libc| libc.contains(found.addr())) {
        return found;
    }
    // In a program at a fixed address it may be a stub that leads to ours.
    let ours = symbol::of_program(name);
    let is_ours = modules::is_own(ours.addr()) || start::leads_here() && entry_points::is_one(name);
    if is_ours { ours } else { found }
}

/// Asks `$look` with the arguments that `$take` has put in their places, and jumps to what it says
/// with the arguments as they came; null where it says null.
#[cfg(target_arch = "x86_64")]
macro_rules! look_and_go_on {
    ($take:literal, $look:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "push rdi",
            ".cfi_adjust_cfa_offset 8",
            "push rsi",
            ".cfi_adjust_cfa_offset 8",
            "push rdx",
            ".cfi_adjust_cfa_offset 8",
            $take,
            "call {look}",
            "pop rdx",
            ".cfi_adjust_cfa_offset -8",
            "pop rsi",
            ".cfi_adjust_cfa_offset -8",
            "pop rdi",
            ".cfi_adjust_cfa_offset -8",
            "test rax, rax",
            "jz 2f",
            "jmp rax",
            "2:",
            "ret",
            ".cfi_endproc",
            look = sym $look,
        )
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! look_and_go_on {
    ($take:literal, $look:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "sub sp, sp, #48",
            ".cfi_adjust_cfa_offset 48",
            "stp x0, x1, [sp, #0]",
            "str x2, [sp, #16]",
            "stp x29, x30, [sp, #32]",
            ".cfi_offset x29, -16",
            ".cfi_offset x30, -8",
            $take,
            "bl {look}",
            "mov x16, x0",
            "ldp x0, x1, [sp, #0]",
            "ldr x2, [sp, #16]",
            "ldp x29, x30, [sp, #32]",
            "add sp, sp, #48",
            ".cfi_adjust_cfa_offset -48",
            ".cfi_restore x29",
            ".cfi_restore x30",
            "cbz x16, 2f",
            "br x16",
            "2:",
            "mov x0, xzr",
            "ret",
            ".cfi_endproc",
            look = sym $look,
        )
    };
}

/// dlopen(3).
///
/// # Safety
/// As the manual page says.
#[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
#[unsafe(naked)]
unsafe extern "C" fn dlopen(file: *const u8, flags: c_int) -> *mut c_void {
    #[cfg(target_arch = "x86_64")]
    look_and_go_on!("mov edi, esi", opening);
    #[cfg(target_arch = "aarch64")]
    look_and_go_on!("mov w0, w1", opening);
}

/// dlmopen(3).
///
/// # Safety
/// As the manual page says.
#[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
#[unsafe(naked)]
unsafe extern "C" fn dlmopen(namespace: c_long, file: *const u8, flags: c_int) -> *mut c_void {
    #[cfg(target_arch = "x86_64")]
    look_and_go_on!("mov esi, edx", opening_in);
    #[cfg(target_arch = "aarch64")]
    look_and_go_on!("mov w1, w2", opening_in);
}

/// dlsym(3).
///
/// # Safety
/// As the manual page says.
#[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
#[unsafe(naked)]
unsafe extern "C" fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    // Who searches is told by the handle, which comes first.
    look_and_go_on!("", searching);
}
