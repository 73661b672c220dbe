//! `system` and `popen`, by which libc itself starts a shell, past its own exported functions.
//!
//! The functions behind are the last that is called: `popen` allocates, and its traceback is to be as it
//! is without these.

use core::ffi::{c_char, c_int, c_void};
use core::{mem, ptr};

use super::{Noted, POPEN, SYSTEM, real};
use crate::ledger::header::{LEDGER_VARIABLE, PRELOAD_PREFIX};
use crate::preload::follow;
use crate::preload::system::{self, Errno};

/// The exported functions of this file.
pub(crate) const NAMES: &[&str] = &["system", "popen"];

/// A process that nobody has, and so never comes up.
const NOBODY: u32 = u32::MAX;

/// The program that libc starts.
const SHELL: &[u8] = b"sh";

/// Writes down that a shell is started, where it comes up without the preload heap.
fn note() {
    let Some(first) = follow::first() else { return };
    Errno::current().keep(|| {
        if !has_heap() {
            // It stays.
            Noted::new(first, NOBODY, SHELL);
        }
    });
}

/// Whether what is started with this environment comes up with the preload heap and its ledger.
fn has_heap() -> bool {
    let preloads = system::variable("LD_PRELOAD").is_some_and(|objects| {
        let prefix = PRELOAD_PREFIX.as_bytes();
        objects.to_bytes().windows(prefix.len()).any(|part| part == prefix)
    });
    preloads && system::variable(LEDGER_VARIABLE).is_some()
}

/// system(3).
///
/// # Safety
/// As the manual page says.
#[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
unsafe extern "C" fn system(line: *const c_char) -> c_int {
    // Without a line it only asks whether there is a shell.
    if !line.is_null() {
        note();
    }
    let found = real(SYSTEM);
    if found.is_null() {
        return -1;
    }
    // SAFETY: dlsym gave the function.
    let function = unsafe {
        mem::transmute::<*mut c_void, unsafe extern "C" fn(*const c_char) -> c_int>(found)
    };
    // SAFETY: the program's promise.
    unsafe { function(line) }
}

/// popen(3).
///
/// # Safety
/// As the manual page says.
#[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
unsafe extern "C" fn popen(line: *const c_char, mode: *const c_char) -> *mut c_void {
    type Function = unsafe extern "C" fn(*const c_char, *const c_char) -> *mut c_void;
    note();
    let found = real(POPEN);
    if found.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: dlsym gave the function.
    let function = unsafe { mem::transmute::<*mut c_void, Function>(found) };
    // SAFETY: the program's promise.
    unsafe { function(line, mode) }
}
