//! The symbols that a loaded object offers and wants, as the loader looks them up: by the hash table
//! of GNU's, behind the symbols that are wanted of others.

use core::ffi::{CStr, c_char, c_void};
use core::sync::atomic::AtomicU64;

/// The public part of `struct link_map` of `<link.h>`, up to what is read.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct LinkMap {
    pub(crate) bias: usize,
    pub(crate) name: *const c_char,
    pub(crate) dynamic: *const [usize; 2],
    pub(crate) next: *const LinkMap,
}

/// `Elf64_Sym`, with what its kind and visibility are as one word.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Symbol {
    name: u32,
    kind: u16,
    section: u16,
    /// Where it is, from the object's bias on.
    pub(crate) value: AtomicU64,
    size: u64,
}

const _: () = assert!(size_of::<Symbol>() == 24, "a symbol of ELF64");

impl Symbol {
    /// Whether the object has what it is the name of.
    pub(crate) fn is_defined(&self) -> bool {
        self.section != 0
    }
}

/// The head of the hash table; behind it are words of a filter, buckets, and a hash for each symbol.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Hash {
    buckets: u32,
    /// How many symbols are not in it: those that are not defined come first.
    first: u32,
    filter: u32,
    shift: u32,
}

/// The table of symbols of an object that stays loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbols {
    names: *const c_char,
    symbols: *const Symbol,
    hash: *const Hash,
}

impl Symbols {
    /// Those of the object at `bias` with a dynamic section, which stays loaded; `None` where it has
    /// no hash table of GNU's.
    pub(crate) fn of(bias: usize, dynamic: *const [usize; 2]) -> Option<Self> {
        const STRINGS: usize = 5;
        const SYMBOLS: usize = 6;
        const GNU_HASH: usize = 0x6fff_fef5;
        let address = |tag| entry(dynamic, tag).map(|value| placed(value, bias));
        Some(Self {
            names: address(STRINGS)?.cast(),
            symbols: address(SYMBOLS)?.cast(),
            hash: address(GNU_HASH)?.cast(),
        })
    }

    fn hash(&self) -> Hash {
        // SAFETY: the hash table is mapped as long as its object.
        unsafe { self.hash.read() }
    }

    fn symbol(&self, number: u32) -> &Symbol {
        // SAFETY: the caller has the number from the hash table, which is mapped as its object is;
        // what changes is an atomic.
        unsafe { &*self.symbols.wrapping_add(number as usize) }
    }

    fn name(&self, symbol: &Symbol) -> &[u8] {
        let name = self.names.wrapping_add(symbol.name as usize);
        // SAFETY: a symbol's name is in the object's table of strings, which are terminated.
        unsafe { CStr::from_ptr(name) }.to_bytes()
    }

    /// Whether one that the object wants of others has a name that is one of those.
    pub(crate) fn wants(&self, is_one: impl Fn(&[u8]) -> bool) -> bool {
        let mut numbers = 1..self.hash().first;
        numbers.any(|number| {
            let symbol = self.symbol(number);
            !symbol.is_defined() && is_one(self.name(symbol))
        })
    }

    /// Calls `take` with each that the object defines by `name`: one for each version.
    pub(crate) fn each(&self, name: &[u8], mut take: impl FnMut(&Symbol)) {
        let Hash { buckets, first, filter, .. } = self.hash();
        let hash = gnu_hash(name);
        let Some(bucket) = hash.checked_rem(buckets) else { return };
        // Words of the filter have eight bytes.
        let words = self.hash.wrapping_add(1).cast::<u64>().wrapping_add(filter as usize);
        let words = words.cast::<u32>();
        // SAFETY: the table has as many buckets, which are mapped as long as its object.
        let mut number = unsafe { words.wrapping_add(bucket as usize).read() };
        let hashes = words.wrapping_add(buckets as usize);
        while number >= first {
            let at = hashes.wrapping_add(number.wrapping_sub(first) as usize);
            // SAFETY: the table has a hash for each of its symbols; the last of a bucket is odd.
            let found = unsafe { at.read() };
            let symbol = self.symbol(number);
            if found | 1 == hash | 1 && symbol.is_defined() && self.name(symbol) == name {
                take(symbol);
            }
            if found & 1 != 0 {
                return;
            }
            number = number.wrapping_add(1);
        }
    }
}

fn gnu_hash(name: &[u8]) -> u32 {
    let add = |hash: u32, byte: &u8| hash.wrapping_mul(33).wrapping_add(u32::from(*byte));
    name.iter().fold(5381, add)
}

/// The value of `tag` in a dynamic section.
fn entry(mut at: *const [usize; 2], tag: usize) -> Option<usize> {
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

#[cfg(test)]
#[allow(clippy::expect_used, clippy::arithmetic_side_effects, reason = "a test may panic")]
mod tests {
    use core::sync::atomic::Ordering;

    use super::*;
    use crate::preload::modules::Object;

    #[test]
    fn libc_s_functions_are_found_by_their_names() {
        assert_eq!(gnu_hash(b"printf"), 0x156b_2bb8);
        let libc = Object::find(libc::getpid as *const () as usize).expect("libc has an object");
        let symbols = libc.symbols().expect("libc has symbols");
        let found = |name: &[u8]| {
            let mut all = Vec::new();
            symbols.each(name, |it| all.push(it.value.load(Ordering::Relaxed)));
            all
        };
        let here = (libc::getpid as *const () as usize - libc.bias) as u64;
        assert_eq!(found(b"getpid"), [here]);
        // Two versions: one of glibc 2.34, and one for what was linked before.
        assert_eq!(found(b"dlopen").len(), 2);
        assert!(found(b"getpi").is_empty() && found(b"").is_empty());
        assert!(symbols.wants(|name| name == b"__tls_get_addr"));
        assert!(!symbols.wants(|name| name == b"getpid"));
    }
}
