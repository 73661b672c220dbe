//! An allocator that a program carries in its own file, under names that the preload heap does not
//! stand in front of: what the file's symbols tell of it.
//!
//! A Rust program allocates by `__rust_alloc`, whoever serves it: the default and `System` lead to
//! libc's `malloc`, and so does an allocator that counts or limits and passes on. So that function's
//! code is followed, call by call, and what leads nowhere out of the file is an allocator of the
//! program's own; an `operator new` that a C++ program defines likewise. Any doubt speaks for
//! `malloc`: a file without symbols, a function that nobody knows, another machine than x86-64.

mod code;
pub(super) mod library;
mod operators;
mod table;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use object::elf::FileHeader64;
use object::read::elf::ElfFile;
use object::{Endianness, ReadCache};

use self::code::{Code, Indirect};
use self::table::{Name, Table};
use super::file_state::Found;

/// How functions begin to be called of allocators that are linked under names of their own: jemalloc,
/// also as Rust's crate has it, mimalloc, tcmalloc, rpmalloc, snmalloc, scudo. Which of them are there
/// depends on what the program needs: the linker leaves out the others.
const KNOWN: [&str; 11] = [
    "_rjem_malloc",
    "je_malloc",
    "mi_malloc",
    "_mi_malloc",
    "mi_heap_malloc",
    "tc_malloc",
    "rpmalloc",
    "sn_malloc",
    "sn_rust_alloc",
    "scudo_allocate",
    "scudo_malloc",
];

/// What Rust's own allocations go through; its name was mangled in 1.87.
const RUST: [&str; 4] =
    ["__rustc::__rust_alloc", "__rust_alloc", "__rustc::__rg_alloc", "__rg_alloc"];

/// What C++'s own allocations go through, with the names that people know them by. Variants for
/// alignments and for those that do not throw have defaults that lead to these, or to libc.
const CPP: [(&str, &str); 2] =
    [("_Znwm", "operator new(unsigned long)"), ("_Znam", "operator new[](unsigned long)")];

/// A file, of which that is read that is asked for.
type Data<'a> = &'a ReadCache<File>;
type Elf<'a> = ElfFile<'a, FileHeader64<Endianness>, Data<'a>>;

/// The symbol of the allocator that the program at `path` has for itself; `None` where it has none,
/// or nothing is known of it.
pub(super) fn own_allocator(path: &Path) -> Option<String> {
    static FOUND: Found<Option<String>> = Found::new();
    FOUND.at(path, in_symbols).flatten()
}

/// The same, of the file's symbols.
fn in_symbols(path: &Path) -> Option<String> {
    let file = ReadCache::new(File::open(path).ok()?);
    let elf = Elf::parse(&file).ok()?;
    let all = Table::of(&elf, &file, elf.elf_symbol_table());
    let exported = Table::of(&elf, &file, elf.elf_dynamic_symbol_table());
    let (mut of_rust, mut of_cpp) = (None, BTreeMap::new());
    for function in all.functions().chain(exported.functions()) {
        let (address, name) = (function.address, function.name);
        // What is exported is in front of the preload heap's own, or leads to it, which the heap finds
        // out itself.
        let is_own = KNOWN.iter().any(|start| name.begins(start))
            || name.is("malloc") && !exported.defines("malloc");
        if is_own && let Some(name) = name.text() {
            return Some(name.to_owned());
        }
        if of_rust.is_none() {
            of_rust = rust_s(name).map(|name| (address, name));
        }
        let known = CPP.iter().find(|(mangled, _)| name.is(mangled));
        of_cpp.extend(known.map(|(_, known)| (address, *known)));
    }
    if of_rust.is_none() && of_cpp.is_empty() {
        return None;
    }
    let code = Code::of(&elf, &file, [all, exported])?;
    // Rust's code has calls by pointers only where it fails; C++'s may get its `malloc` from dlsym.
    let is_own = |start, indirect| !code.may_lead_out(start, indirect);
    let of_rust = of_rust.filter(|(start, _)| is_own(*start, Indirect::IsNothing));
    let of_cpp = || of_cpp.into_iter().find(|(start, _)| is_own(*start, Indirect::IsDoubt));
    of_rust.map(|(_, name)| name).or_else(|| of_cpp().map(|(_, name)| name.to_owned()))
}

/// What people call the function of this `name`, where Rust's own allocations go through it.
fn rust_s(name: Name<'_>) -> Option<String> {
    // Mangled by Rust's rules, old or new, or not at all. Most names in C++ begin otherwise.
    if !["_ZN", "__", "_R", "R", "ZN"].iter().any(|start| name.begins(start)) {
        return None;
    }
    let name = name.text().filter(|name| name.contains("__r"))?;
    Some(demangled(name)).filter(|name| RUST.contains(&name.as_str()))
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mimalloc_s_crate_leaves_in_a_program_is_known() {
        let is_known = |name: &str| KNOWN.iter().any(|start| name.starts_with(start));
        assert!(is_known("mi_malloc_aligned") && is_known("_mi_malloc_generic"));
        assert!(!is_known("_ZN8mi_tests9mi_malloc17h0123456789abcdefE") && !is_known("xmi_malloc"));
    }

    #[test]
    fn rust_s_names_are_known_however_they_are_mangled() {
        for name in [
            "__rust_alloc",
            "_RNvCsfLfy6EI15iL_7___rustc12___rust_alloc",
            "_ZN7__rustc12__rust_alloc17h0123456789abcdefE",
        ] {
            assert!(RUST.contains(&&*demangled(name)), "{name}");
        }
        let other = "_RNvCsfLfy6EI15iL_7___rustc14___rust_dealloc";
        assert!(!RUST.contains(&&*demangled(other)));
    }

    #[test]
    fn this_program_has_no_allocator_of_its_own_and_a_folder_none_at_all() {
        assert_eq!(own_allocator(Path::new("/proc/self/exe")), None);
        assert_eq!(own_allocator(Path::new("/proc/self")), None);
        assert_eq!(own_allocator(Path::new("/etc/passwd")), None);
    }
}
