//! The functions that take a program's arguments as a list: they make an array of it, on the stack, and
//! go on to those that take one.
//!
//! ```text
//!   called with   registers: path, a, b, c, d, e    stack: return address, f, g, null
//!   goes on with  registers: path, array            stack: return address, a, b, c, d, e, f, g, null
//! ```

use core::ffi::c_int;

use super::{Text, Texts, execv, execve, execvp};

/// The exported functions of this file.
pub(crate) const NAMES: &[&str] = &["execl", "execlp", "execle"];

/// Has `$to` called with the first argument and the address of the others, which become an array: those
/// in registers are put in front of those on the stack, where the return address was.
#[cfg(target_arch = "x86_64")]
macro_rules! with_list {
    ($to:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "pop r10",
            ".cfi_adjust_cfa_offset -8",
            // The return address (16) is in r10.
            ".cfi_register 16, 10",
            "push r9",
            ".cfi_adjust_cfa_offset 8",
            "push r8",
            ".cfi_adjust_cfa_offset 8",
            "push rcx",
            ".cfi_adjust_cfa_offset 8",
            "push rdx",
            ".cfi_adjust_cfa_offset 8",
            "push rsi",
            ".cfi_adjust_cfa_offset 8",
            "mov rsi, rsp",
            "push r10",
            ".cfi_adjust_cfa_offset 8",
            ".cfi_offset 16, -48",
            "call {to}",
            "pop r10",
            ".cfi_adjust_cfa_offset -8",
            ".cfi_register 16, 10",
            "add rsp, 40",
            ".cfi_adjust_cfa_offset -40",
            "push r10",
            ".cfi_adjust_cfa_offset 8",
            ".cfi_offset 16, -8",
            "ret",
            ".cfi_endproc",
            to = sym $to,
        )
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! with_list {
    ($to:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "sub sp, sp, #80",
            ".cfi_adjust_cfa_offset 80",
            "stp x29, x30, [sp]",
            ".cfi_offset x29, -80",
            ".cfi_offset x30, -72",
            "stp x1, x2, [sp, #24]",
            "stp x3, x4, [sp, #40]",
            "stp x5, x6, [sp, #56]",
            "str x7, [sp, #72]",
            "add x1, sp, #24",
            "bl {to}",
            "ldp x29, x30, [sp]",
            "add sp, sp, #80",
            ".cfi_adjust_cfa_offset -80",
            ".cfi_restore x29",
            ".cfi_restore x30",
            "ret",
            ".cfi_endproc",
            to = sym $to,
        )
    };
}

/// execl(3), whose arguments are a list.
///
/// # Safety
/// As the manual page says.
#[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
#[unsafe(naked)]
unsafe extern "C" fn execl(path: Text, first: Text) -> c_int {
    with_list!(execv)
}

/// execlp(3).
///
/// # Safety
/// As the manual page says.
#[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
#[unsafe(naked)]
unsafe extern "C" fn execlp(file: Text, first: Text) -> c_int {
    with_list!(execvp)
}

/// execle(3).
///
/// # Safety
/// As the manual page says.
#[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
#[unsafe(naked)]
unsafe extern "C" fn execle(path: Text, first: Text) -> c_int {
    with_list!(execute_with_variables)
}

/// Executes the program at `path`; the variables follow the null behind the arguments.
unsafe extern "C" fn execute_with_variables(path: Text, arguments: Texts) -> c_int {
    let mut at = arguments;
    // SAFETY: the program's promise: there is a null, which the loop stops at.
    while !unsafe { at.read() }.is_null() {
        at = at.wrapping_add(1);
    }
    // SAFETY: the program's promise: one more argument follows it.
    let variables = unsafe { at.wrapping_add(1).read() };
    // SAFETY: as above.
    unsafe { execve(path, arguments, variables.cast()) }
}
