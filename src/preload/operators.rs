//! Whether C++'s `new` and `delete` are those of another allocator.
//!
//! jemalloc and tcmalloc have operators of their own, beside a `malloc`. Where one of them is
//! behind this heap, `malloc` is ours and `new` is theirs: its blocks would be missing. A program
//! in C is not concerned, so all loaded objects are looked through for what C++ wants of others.

use core::ffi::{CStr, c_char, c_void};

use super::modules::Object;
use super::{next, symbol, thread};

/// `struct r_debug` of `<link.h>`, up to what is read.
#[repr(C)]
struct Debug {
    version: i32,
    first: *const LinkMap,
}

/// `struct link_map` of `<link.h>`.
#[repr(C)]
struct LinkMap {
    bias: usize,
    name: *const c_char,
    dynamic: *const [usize; 2],
    next: *const LinkMap,
}

/// `Elf64_Sym`, with its three middle fields as one word.
#[repr(C)]
#[derive(Clone, Copy)]
struct Symbol {
    name: u32,
    kind: u16,
    section: u16,
    value: [u64; 2],
}

const _: () = assert!(size_of::<Symbol>() == 24, "a symbol of ELF64");

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
        if map.bias != bias && Wanted::of(&map).is_some_and(|wanted| wanted.is_of_cpp()) {
            return true;
        }
        at = map.next;
    }
    false
}

/// The symbols that an object wants of others.
struct Wanted {
    names: *const c_char,
    symbols: *const Symbol,
    count: usize,
}

impl Wanted {
    /// `None` where the object has no hash table of GNU's, whose first number says how many
    /// symbols are not in it: those that are not defined come first.
    fn of(map: &LinkMap) -> Option<Self> {
        const STRINGS: usize = 5;
        const SYMBOLS: usize = 6;
        const GNU_HASH: usize = 0x6fff_fef5;
        let address = |tag| dynamic(map, tag).map(|value| placed(value, map.bias));
        let hash = address(GNU_HASH)? as *const [u32; 2];
        // SAFETY: the hash table is mapped as long as its object.
        let [_, count] = unsafe { hash.read() };
        let (names, symbols) =
            (address(STRINGS)? as *const c_char, address(SYMBOLS)? as *const Symbol);
        Some(Self { names, symbols, count: count as usize })
    }

    fn is_of_cpp(&self) -> bool {
        const NAMES: [&[u8]; 4] = [b"_Znw", b"_Zna", b"_ZNSt", b"_ZSt"];
        (1..self.count).any(|number| {
            // SAFETY: the table has more symbols than are not in the hash table.
            let symbol = unsafe { self.symbols.wrapping_add(number).read() };
            let name = self.names.wrapping_add(symbol.name as usize);
            // SAFETY: a symbol's name is in the object's table of strings, which are terminated.
            let name = unsafe { CStr::from_ptr(name) }.to_bytes();
            symbol.section == 0 && NAMES.iter().any(|start| name.starts_with(start))
        })
    }
}

/// The value of `tag` in the object's dynamic section.
fn dynamic(map: &LinkMap, tag: usize) -> Option<usize> {
    let mut at = map.dynamic;
    if at.is_null() {
        return None;
    }
    loop {
        // SAFETY: the section ends with a tag of 0.
        let [found, value] = unsafe { at.read() };
        if found == tag {
            return Some(value);
        }
        if found == 0 {
            return None;
        }
        at = at.wrapping_add(1);
    }
}

/// The loader adds the bias in place, but for the kernel's own object.
fn placed(value: usize, bias: usize) -> *const c_void {
    let value = if value < bias { value.wrapping_add(bias) } else { value };
    value as *const c_void
}
