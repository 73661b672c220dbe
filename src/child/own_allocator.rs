//! An allocator that a program carries in its own file, under names that the preload heap does not
//! stand in front of: what the file's symbols tell of it.
//!
//! A Rust program allocates by `__rust_alloc`, whoever serves it: the default and `System` lead to
//! libc's `malloc`, and so does an allocator that counts or limits and passes on. So that function's
//! code is followed, call by call, and what leads nowhere out of the file is an allocator of the
//! program's own. Any doubt speaks for `malloc`: a file without symbols, a function that nobody
//! knows, another machine than x86-64.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::Path;

use object::elf::{self, FileHeader64};
use object::read::elf::ElfFile;
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, ReadCache, RelocationFlags, RelocationTarget,
    SymbolKind,
};

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

/// The functions that the preload heap stands in front of, as far as allocators pass on to them.
const TRACED: [&str; 8] = [
    "malloc",
    "calloc",
    "realloc",
    "aligned_alloc",
    "posix_memalign",
    "memalign",
    "valloc",
    "reallocarray",
];

/// What an allocator may ask of others without getting its memory from them; of a name that begins so.
const HARMLESS: [&str; 18] = [
    "mmap",
    "munmap",
    "mremap",
    "madvise",
    "mprotect",
    "brk",
    "sbrk",
    "syscall",
    "sysconf",
    "mem",
    "bcmp",
    "pthread_",
    "sched_",
    "write",
    "nanosleep",
    "__errno_location",
    "__tls_get_addr",
    "clock_",
];

/// Words in the names of functions that are called when all is lost, and lead everywhere.
const LAST_WORDS: [&str; 5] = ["panic", "handle_alloc_error", "_fail", "nwind", "abort"];

/// Functions that are followed; an allocator that needs more is not understood.
const MOST: usize = 400;

type Elf<'a> = ElfFile<'a, FileHeader64<Endianness>, &'a ReadCache<File>>;

/// The symbol of the allocator that the program at `path` has for itself; `None` where it has none,
/// or nothing is known of it.
pub(super) fn own_allocator(path: &Path) -> Option<String> {
    // The opening of a pipe would not come back.
    if !path.is_file() {
        return None;
    }
    let file = ReadCache::new(File::open(path).ok()?);
    let elf = Elf::parse(&file).ok()?;
    let mut functions = BTreeMap::new();
    let mut of_rust = None;
    for symbol in elf.symbols().chain(elf.dynamic_symbols()) {
        let (true, SymbolKind::Text, Ok(name)) =
            (symbol.is_definition(), symbol.kind(), symbol.name())
        else {
            continue;
        };
        if KNOWN.iter().any(|start| name.starts_with(start))
            || name == "malloc" && is_hidden(&elf, name)
        {
            return Some(name.to_owned());
        }
        if name.contains("__r") && RUST.contains(&&*demangled(name)) {
            of_rust.get_or_insert((symbol.address(), name));
        }
        functions.insert(symbol.address(), (symbol.size(), name));
    }
    let (start, name) = of_rust?;
    let code = Code::of(&elf, functions)?;
    (!code.may_lead_out(start)).then(|| demangled(name))
}

/// Whether nobody outside of the file finds `name` there. What is exported is in front of the
/// preload heap's own, or leads to it, which the heap finds out itself.
fn is_hidden(elf: &Elf<'_>, name: &str) -> bool {
    !elf.dynamic_symbols().any(|it| it.is_definition() && it.name() == Ok(name))
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// The code of a program, as far as calls lead through it.
struct Code<'a> {
    /// Sizes and names, by address.
    functions: BTreeMap<u64, (u64, &'a str)>,
    /// What the loader puts where.
    slots: BTreeMap<u64, Slot<'a>>,
    /// Sections with instructions, and whether these are stubs that the linker made.
    sections: Vec<(u64, &'a [u8], bool)>,
}

#[derive(Debug, Clone, Copy)]
enum Slot<'a> {
    /// A function of another file.
    Import(&'a str),
    /// An address of this one.
    Own(u64),
}

impl<'a> Code<'a> {
    /// `None` for a machine whose instructions are not known here.
    fn of(elf: &Elf<'a>, functions: BTreeMap<u64, (u64, &'a str)>) -> Option<Self> {
        if elf.elf_header().e_machine.get(elf.endian()) != elf::EM_X86_64 {
            return None;
        }
        let names: HashMap<_, _> =
            elf.dynamic_symbols().filter_map(|it| Some((it.index(), it.name().ok()?))).collect();
        let slots = elf.dynamic_relocations()?.filter_map(|(at, relocation)| {
            let slot = match (relocation.target(), relocation.flags()) {
                (RelocationTarget::Symbol(symbol), _) => Slot::Import(names.get(&symbol)?),
                (_, RelocationFlags::Elf { r_type: elf::R_X86_64_RELATIVE }) => {
                    Slot::Own(relocation.addend().cast_unsigned())
                }
                _ => return None,
            };
            Some((at, slot))
        });
        let slots = slots.collect();
        let sections = elf.sections().filter_map(|section| {
            let name = section.name().ok()?;
            let is_stubs = name.starts_with(".plt");
            let is_code = section.kind() == object::SectionKind::Text;
            Some((section.address(), section.data().ok().filter(|_| is_code)?, is_stubs))
        });
        let sections = sections.collect();
        Some(Self { functions, slots, sections })
    }

    /// Whether the function at `start` may come to one that the preload heap stands in front of, or
    /// to one of which nobody knows.
    fn may_lead_out(&self, start: u64) -> bool {
        let (mut seen, mut left) = (BTreeSet::from([start]), vec![start]);
        while let Some(at) = left.pop() {
            let Some(body) = self.body(at) else { return true };
            for call in calls(at, body) {
                match self.callee(call) {
                    Some(Slot::Import(name)) if is_traced_or_unknown(name) => return true,
                    Some(Slot::Own(callee)) if seen.insert(callee) => left.push(callee),
                    _ => {}
                }
            }
            if seen.len() > MOST {
                return true;
            }
        }
        false
    }

    /// What `call` comes to; `None` where it is no call, but bytes that look like one, or leads to an end.
    fn callee(&self, call: Call) -> Option<Slot<'a>> {
        let at = match call {
            Call::By(slot) => match self.slots.get(&slot)? {
                Slot::Own(address) => *address,
                import @ Slot::Import(_) => return Some(*import),
            },
            Call::To(at) => at,
        };
        if let Some((_, name)) = self.functions.get(&at) {
            let is_end = LAST_WORDS.iter().any(|word| name.contains(word));
            return (!is_end).then_some(Slot::Own(at));
        }
        let stub = self.bytes(at, STUB).filter(|(_, is_stub)| *is_stub)?.0;
        let jump = calls(at, stub).into_iter().find(|call| matches!(call, Call::By(_)))?;
        self.callee(jump)
    }

    fn body(&self, at: u64) -> Option<&'a [u8]> {
        let (size, _) = self.functions.get(&at).filter(|(size, _)| *size > 0)?;
        self.bytes(at, *size).map(|(bytes, _)| bytes)
    }

    /// The bytes of `[at, at + size)`, and whether they are a stub's.
    fn bytes(&self, at: u64, size: u64) -> Option<(&'a [u8], bool)> {
        self.sections.iter().find_map(|(start, data, is_stubs)| {
            let from = usize::try_from(at.checked_sub(*start)?).ok()?;
            let to = from.checked_add(usize::try_from(size).ok()?)?;
            Some((data.get(from..to)?, *is_stubs))
        })
    }
}

/// Bytes of a stub in a procedure linkage table.
const STUB: u64 = 16;

/// Where control may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// At an address.
    To(u64),
    /// Wherever the word at an address says.
    By(u64),
}

/// What may be calls and jumps out of a function whose bytes at `at` are `body`: nobody decodes them,
/// so that bytes in the middle of an instruction are among them, which hardly ever lead to where a
/// function starts.
fn calls(at: u64, body: &[u8]) -> Vec<Call> {
    let call = |offset: usize| {
        let target = |distance: [u8; 4], length: usize| {
            let end = at.wrapping_add((offset + length) as u64);
            end.wrapping_add_signed(i32::from_le_bytes(distance).into())
        };
        match *body.get(offset..)? {
            [0xe8 | 0xe9, a, b, c, d, ..] => Some(Call::To(target([a, b, c, d], 5))),
            [0x0f, 0x80..=0x8f, a, b, c, d, ..] => Some(Call::To(target([a, b, c, d], 6))),
            [0xff, 0x15 | 0x25, a, b, c, d, ..] => Some(Call::By(target([a, b, c, d], 6))),
            _ => None,
        }
    };
    (0..body.len()).filter_map(call).collect()
}

fn is_traced_or_unknown(import: &str) -> bool {
    let is_harmless = HARMLESS.iter().any(|start| import.starts_with(start));
    let is_end = LAST_WORDS.iter().any(|word| import.contains(word));
    TRACED.contains(&import) || !is_harmless && !is_end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_jumps_are_found_up_to_the_last_byte() {
        // call +1; jne +0x100; jmp *0x10(%rip); jmp -8
        let body = [
            &[0xe8, 1, 0, 0, 0][..],
            &[0x0f, 0x85, 0, 1, 0, 0],
            &[0xff, 0x25, 0x10, 0, 0, 0],
            &[0xe9, 0xf8, 0xff, 0xff, 0xff],
        ];
        let expected = [Call::To(0x1006), Call::To(0x110b), Call::By(0x1021), Call::To(0x100e)];
        assert_eq!(calls(0x1000, &body.concat()), expected);
        assert_eq!(calls(0x1000, &[0xe9, 0, 0, 0]), []);
        assert_eq!(calls(0, &[0xe9, 0, 0, 0, 0x80]), [Call::To(0xffff_ffff_8000_0005)]);
    }

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
    fn what_others_may_be_asked_by_an_allocator_leads_nowhere() {
        for name in ["mmap64", "memset", "pthread_mutex_lock", "_Unwind_Resume", "abort"] {
            assert!(!is_traced_or_unknown(name), "{name}");
        }
        // `memalign` begins as what is harmless does.
        for name in ["malloc", "memalign", "posix_memalign", "g_malloc", "dlsym"] {
            assert!(is_traced_or_unknown(name), "{name}");
        }
    }

    #[test]
    fn this_program_has_no_allocator_of_its_own_and_a_folder_none_at_all() {
        assert_eq!(own_allocator(Path::new("/proc/self/exe")), None);
        assert_eq!(own_allocator(Path::new("/proc/self")), None);
        assert_eq!(own_allocator(Path::new("/etc/passwd")), None);
    }
}
