//! The code of a program, followed call by call: whether it comes to the preload heap's functions.

use std::collections::BTreeSet;
use std::ops::Range;

use object::elf;
use object::{
    Object, ObjectSection, ObjectSegment, ReadRef, RelocationFlags, RelocationTarget, SectionKind,
};

use super::table::{Function, Table};
use super::{Data, Elf};

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
const HARMLESS: [&str; 19] = [
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
    NEW_HANDLER,
];

/// Words in the names of functions that are called when all is lost, and lead everywhere.
const LAST_WORDS: [&str; 7] =
    ["panic", "handle_alloc_error", "_fail", "nwind", "abort", "__cxa_", "bad_alloc"];

/// What an `operator new` asks whom to call, by a pointer, when it has nothing left.
const NEW_HANDLER: &str = "_ZSt15get_new_handlerv";

/// Functions that are followed; an allocator that needs more is not understood.
const MOST: usize = 400;

/// The code of a program, as far as calls lead through it.
pub(super) struct Code<'a> {
    functions: ByAddress<Function<'a>>,
    /// What the loader puts where.
    slots: ByAddress<Slot<'a>>,
    sections: Vec<Section>,
    /// Where anything of the file lies in memory.
    extent: Range<u64>,
    data: Data<'a>,
}

/// What lies at addresses, of which the last one that was told of counts.
struct ByAddress<T>(Vec<(u64, T)>);

/// A section with instructions.
struct Section {
    address: u64,
    /// Where in the file it lies.
    offset: u64,
    size: u64,
    /// The linker made it, of stubs.
    is_stubs: bool,
}

/// What a call is whose callee nobody knows: by a pointer, or to code without a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Indirect {
    /// It may lead out.
    IsDoubt,
    /// None of an allocator's.
    IsNothing,
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
    pub(super) fn of(elf: &Elf<'a>, data: Data<'a>, tables: [Table<'a>; 2]) -> Option<Self> {
        if elf.elf_header().e_machine.get(elf.endian()) != elf::EM_X86_64 {
            return None;
        }
        let [_, exported] = tables;
        let slots = elf.dynamic_relocations()?.filter_map(|(at, relocation)| {
            let slot = match (relocation.target(), relocation.flags()) {
                (RelocationTarget::Symbol(symbol), _) => Slot::Import(exported.name_at(symbol.0)?),
                (_, RelocationFlags::Elf { r_type: elf::R_X86_64_RELATIVE }) => {
                    Slot::Own(relocation.addend().cast_unsigned())
                }
                _ => return None,
            };
            Some((at, slot))
        });
        let slots = slots.collect();
        let functions = tables.into_iter().flat_map(Table::functions);
        let functions = functions.map(|function| (function.address, function)).collect();
        let len = data.len().ok()?;
        let code = elf.sections().filter(|section| section.kind() == SectionKind::Text);
        let sections = code.filter_map(|section| {
            let (offset, size) = section.file_range()?;
            let is_stubs = section.name().ok()?.starts_with(".plt");
            let is_there = offset.checked_add(size).is_some_and(|end| end <= len);
            is_there.then(|| Section { address: section.address(), offset, size, is_stubs })
        });
        let loaded = || elf.segments().filter(|segment| segment.size() > 0);
        let ends = loaded().map(|segment| segment.address().saturating_add(segment.size()));
        let extent = loaded().map(|segment| segment.address()).min()?..ends.max()?;
        Some(Self { functions, slots, sections: sections.collect(), extent, data })
    }

    /// Whether the function at `start` may come to one that the preload heap stands in front of, or
    /// to one of which nobody knows.
    pub(super) fn may_lead_out(&self, start: u64, indirect: Indirect) -> bool {
        let (mut seen, mut left) = (BTreeSet::from([start]), vec![start]);
        while let Some(at) = left.pop() {
            let Some(body) = self.body(at) else { return true };
            let calls = calls(at, body);
            if indirect == Indirect::IsDoubt && self.has_doubt(at, body, &calls) {
                return true;
            }
            for call in calls {
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

    /// Whether the function at `at`, whose bytes are `body`, may call what nobody knows.
    fn has_doubt(&self, at: u64, body: &[u8], calls: &[Call]) -> bool {
        let is_unknown = |call: &Call| match *call {
            Call::By(slot) => self.slots.at(slot).is_none() && self.extent.contains(&slot),
            Call::To(to) => {
                let is_inside = (at..at + body.len() as u64).contains(&to);
                let stub = self.bytes(to, STUB);
                let is_named = self.functions.at(to).is_some();
                !is_inside && !is_named && stub.is_some_and(|(_, is_stub)| !is_stub)
            }
        };
        let asks_whom = |call: &Call| match self.callee(*call) {
            Some(Slot::Import(name)) => name == NEW_HANDLER,
            Some(Slot::Own(at)) => self.functions.at(at).is_some_and(|it| it.name.is(NEW_HANDLER)),
            None => false,
        };
        calls.iter().any(is_unknown) || has_call_by_pointer(body) && !calls.iter().any(asks_whom)
    }

    /// What `call` comes to; `None` where it is no call, but bytes that look like one, or leads to an end.
    fn callee(&self, mut call: Call) -> Option<Slot<'a>> {
        // A stub leads to a slot, and a slot to no other stub: in a damaged file it may, and round and round.
        for _ in 0..2 {
            let at = match call {
                Call::By(slot) => match self.slots.at(slot)? {
                    Slot::Own(address) => address,
                    import @ Slot::Import(_) => return Some(import),
                },
                Call::To(at) => at,
            };
            if let Some(function) = self.functions.at(at) {
                let name = function.name.text()?;
                let is_end = LAST_WORDS.iter().any(|word| name.contains(word));
                return (!is_end).then_some(Slot::Own(at));
            }
            let stub = self.bytes(at, STUB).filter(|(_, is_stub)| *is_stub)?.0;
            call = calls(at, stub).into_iter().find(|call| matches!(call, Call::By(_)))?;
        }
        None
    }

    fn body(&self, at: u64) -> Option<&'a [u8]> {
        let function = self.functions.at(at).filter(|function| function.size > 0)?;
        self.bytes(at, function.size).map(|(bytes, _)| bytes)
    }

    /// The bytes of `[at, at + size)`, and whether they are a stub's.
    fn bytes(&self, at: u64, size: u64) -> Option<(&'a [u8], bool)> {
        self.sections.iter().find_map(|section| {
            let from = at.checked_sub(section.address)?;
            let is_inside = from.checked_add(size)? <= section.size;
            let bytes = || self.data.read_bytes_at(section.offset + from, size).ok();
            Some((is_inside.then(bytes)??, section.is_stubs))
        })
    }
}

impl<T> FromIterator<(u64, T)> for ByAddress<T> {
    fn from_iter<I: IntoIterator<Item = (u64, T)>>(all: I) -> Self {
        let mut all: Vec<_> = all.into_iter().collect();
        // What is told of later stays behind what has the same address.
        all.sort_by_key(|(address, _)| *address);
        Self(all)
    }
}

impl<T: Copy> ByAddress<T> {
    fn at(&self, address: u64) -> Option<T> {
        let end = self.0.partition_point(|(at, _)| *at <= address);
        let (at, found) = self.0.get(end.checked_sub(1)?)?;
        (*at == address).then_some(*found)
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

/// Whether `body` may call or jump by a pointer in a register, or in memory that a register leads to
/// (`ff /2` and `ff /4`).
fn has_call_by_pointer(body: &[u8]) -> bool {
    let of_word = |word: &[u8]| {
        let (is_by_register, kind) = (word[1] & 0xc7 != 5, word[1] >> 3 & 7);
        word[0] == 0xff && is_by_register && matches!(kind, 2 | 4)
    };
    body.windows(2).any(of_word)
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
    fn what_is_told_last_of_an_address_counts() {
        let all = [(7, 'a'), (3, 'b'), (7, 'c'), (5, 'd'), (3, 'e')];
        let all: ByAddress<_> = all.into_iter().collect();
        let found = [0, 3, 4, 5, 7, 8, u64::MAX].map(|at| all.at(at));
        assert_eq!(found, [None, Some('e'), None, Some('d'), Some('c'), None, None]);
        assert_eq!(ByAddress::<()>::from_iter([]).at(0), None);
    }

    #[test]
    fn a_stub_is_followed_and_one_that_leads_to_itself_is_no_call() {
        let mut file = tempfile::tempfile().expect("a file");
        // jmp *0x10(%rip), to the slot at 0x2016.
        std::io::Write::write_all(
            &mut file,
            &[0xff, 0x25, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        )
        .expect("it is written");
        let file = object::ReadCache::new(file);
        let code = |slot| Code {
            functions: ByAddress(Vec::new()),
            slots: [(0x2016, slot)].into_iter().collect(),
            sections: vec![Section { address: 0x2000, offset: 0, size: STUB, is_stubs: true }],
            extent: 0..0x3000,
            data: &file,
        };
        let imported = code(Slot::Import("malloc")).callee(Call::To(0x2000));
        assert!(matches!(imported, Some(Slot::Import("malloc"))));
        assert!(code(Slot::Own(0x2000)).callee(Call::To(0x2000)).is_none());
        assert!(code(Slot::Own(0x2000)).callee(Call::By(0x2016)).is_none());
    }

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
    fn calls_by_pointers_are_told_from_those_by_a_place() {
        // call *%rax; jmp *%rdx; call *8(%rdi); call *(%rsp)
        for body in [[0xff, 0xd0], [0xff, 0xe2], [0xff, 0x57], [0xff, 0x14]] {
            assert!(has_call_by_pointer(&body), "{body:x?}");
        }
        // call *0x10(%rip); inc %eax; push (%rax); call 0x...; nothing
        for body in [&[0xff, 0x15, 0x10, 0, 0, 0][..], &[0xff, 0xc0], &[0xff, 0x30], &[0xe8], &[]] {
            assert!(!has_call_by_pointer(body), "{body:x?}");
        }
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
}
