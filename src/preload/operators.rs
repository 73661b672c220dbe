//! Whether C++'s `new` and `delete` are those of another allocator.
//!
//! jemalloc and tcmalloc have operators of their own, beside a `malloc`. Where one of them is
//! behind this heap, `malloc` is ours and `new` is theirs: its blocks would be missing. A program
//! in C is not concerned, so all loaded objects are looked through for what C++ wants of others.

use super::modules::{LinkMap, Object, Symbols};
use super::{next, symbol, thread};

/// `struct r_debug` of `<link.h>`, up to what is read.
#[repr(C)]
struct Debug {
    version: i32,
    first: *const LinkMap,
}

unsafe extern "C" {
    static _r_debug: Debug;
}

/// Called by the constructor, when the loader is at rest.
pub(crate) fn are_another_allocator_s() -> bool {
    let Some(malloc) = next::other_malloc() else { return false };
    // What is not found leaves a message behind, which is no block of the program's.
    thread::pause();
    let operator = symbol::of_program(c"_Znwm");
    thread::resume();
    let (Some(allocator), Some(other)) = (Object::find(malloc), Object::find(operator.addr()))
    else {
        return false;
    };
    allocator.start == other.start && others_want_them(allocator.bias)
}

/// Whether an object other than the one at `bias` is of C++.
fn others_want_them(bias: usize) -> bool {
    // SAFETY: the loader made it before any code of an object ran, and is at rest.
    let mut at = unsafe { _r_debug.first };
    while !at.is_null() {
        // SAFETY: the list is the loader's, and ends with a null.
        let map = unsafe { at.read() };
        if map.bias != bias && Symbols::of(map.bias, map.dynamic).is_some_and(is_of_cpp) {
            return true;
        }
        at = map.next;
    }
    false
}

/// Whether an object with these symbols wants what C++ wants.
fn is_of_cpp(symbols: Symbols) -> bool {
    const NAMES: [&[u8]; 4] = [b"_Znw", b"_Zna", b"_ZNSt", b"_ZSt"];
    symbols.wants(|name| NAMES.iter().any(|start| name.starts_with(start)))
}
