//! What lies at an address of a child, outside its heap: a module's data, a stack, thread-local
//! storage. Where that is not certain, what is said is less.
//!
//! Modules are recognised by their ELF headers as the child has them in memory: its files may be
//! others by now.

use std::ops::Range;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};

use super::mapping::Mapping;
use super::threads::Thread;
use super::{Memory, PAGE};
use crate::child::proc_file;
use crate::child::reach::Origin;
use crate::symbols::data::Image;

/// Bytes of a module's start that are read: its headers, and mostly its build id.
const HEAD: usize = 4096;

/// Bytes from the thread pointer on that are glibc's own for the thread (x86-64, from 2.31 on).
const CONTROL_BLOCK: u64 = 0x900;

/// What glibc sets aside at least, between stack and thread-locals, for libraries that are opened
/// later (2.36, `_dl_tls_static_surplus_init`). No frame is in it, and no thread-local is below it
/// but for those of libraries that are counted by themselves.
const SURPLUS: u64 = 1520;

/// What lies at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The data of a module, at an address of its file.
    Data(Image, u64),
    /// A thread-local of the program itself, at an offset among its thread-locals.
    ThreadLocal(Image, u64, Owner),
    /// A thread's storage for thread-locals.
    ThreadStorage(Owner),
    /// A thread's stack.
    Stack(Owner),
    /// Either of the two.
    StackOrStorage(Owner),
    /// A register of a thread.
    Register(Owner),
    /// The kernel, with what an epoll instance watches.
    Epoll,
    /// The kernel, with a timer.
    Timer,
    /// A block of the heap that the process was forked with.
    Inherited,
    /// A mapping, by what the kernel calls it; empty where it has no name.
    Mapping(String),
}

/// A thread, as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Its number.
    pub(crate) id: u32,
    /// Its name.
    pub(crate) name: String,
    /// It is the one that runs `main`.
    pub(crate) is_main: bool,
}

/// What an address may be, in the order of roots: what lives longest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A module's.
    Data,
    /// Any other memory, thread-local storage as far as it is known.
    Other,
    /// A thread's, which may well have left it behind.
    Stack,
}

/// What lies where in a child.
#[derive(Debug, Default)]
pub(crate) struct Places {
    modules: Vec<Module>,
    threads: Vec<Extent>,
    mappings: Vec<Mapping>,
}

/// A module that is loaded.
#[derive(Debug)]
struct Module {
    image: Image,
    /// What is added to its file's addresses.
    bias: u64,
    /// Its writable segments, in memory.
    data: Vec<Range<u64>>,
    thread_locals: Option<Locals>,
    is_program: bool,
}

/// The thread-locals of a module.
#[derive(Debug)]
struct Locals {
    size: u64,
    align: u64,
    /// Bytes from their start to the first address that is so aligned.
    before: u64,
}

/// A thread's memory.
#[derive(Debug)]
struct Extent {
    owner: Owner,
    /// Where its stack begins, and where the mapping ends that it is in.
    stack: Range<u64>,
    pointer: Option<u64>,
}

impl Places {
    pub(super) fn new(pid: u32, mappings: &[Mapping], threads: &[Thread], memory: &Memory) -> Self {
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let modules = mappings.iter().filter(|mapping| mapping.name.starts_with('/'));
        let modules = modules.filter(|mapping| mapping.offset == 0).filter_map(|mapping| {
            let mut head = vec![0; HEAD];
            let count = memory.read(mapping.start, &mut head);
            head.truncate(count);
            Module::read(Path::new(&mapping.name), mapping.start, head, &program)
        });
        let threads = threads.iter().map(|thread| {
            let id = thread.id;
            let name = proc_file::text(format!("/proc/{pid}/task/{id}/comm"));
            let name = name.unwrap_or_default().trim_end().to_owned();
            let owner = Owner { id, name, is_main: id == pid };
            let mapping = mappings.iter().find(|mapping| mapping.has(thread.stack));
            let stack = thread.stack..mapping.map_or(thread.stack, |mapping| mapping.end);
            Extent { owner, stack, pointer: thread.pointer }
        });
        let (modules, threads) = (modules.collect(), threads.collect());
        Self { modules, threads, mappings: mappings.to_vec() }
    }

    /// The files that have code there, as often as they are mapped so.
    pub(crate) fn code(&self) -> impl Iterator<Item = &str> {
        let files = self.mappings.iter().filter(|it| it.is_code && it.name.starts_with('/'));
        files.map(|mapping| mapping.name.as_str())
    }

    /// What lies at `origin`.
    pub(crate) fn at(&self, origin: Origin) -> Place {
        let address = match origin {
            Origin::Memory(address) => address,
            Origin::Register(id) => {
                let mut owners = self.threads.iter().map(|thread| &thread.owner);
                let unknown = || Owner { id, name: String::new(), is_main: false };
                let owner = owners.find(|owner| owner.id == id).cloned();
                return Place::Register(owner.unwrap_or_else(unknown));
            }
            Origin::Epoll => return Place::Epoll,
            Origin::Timer => return Place::Timer,
            Origin::Inherited => return Place::Inherited,
        };
        if let Some(module) = self.module_of(address) {
            return Place::Data(module.image.clone(), address.wrapping_sub(module.bias));
        }
        if let Some(place) = self.threads.iter().find_map(|thread| self.of_thread(thread, address))
        {
            return place;
        }
        let mapping = self.mappings.iter().find(|mapping| mapping.has(address));
        Place::Mapping(mapping.map(|mapping| mapping.name.clone()).unwrap_or_default())
    }

    /// The parts of `[start, end)` that are modules' data or stacks: there are many roots, and few of
    /// these in each mapping.
    pub(super) fn kinds(&self, start: u64, end: u64) -> Vec<(Range<u64>, Kind)> {
        let data = self.modules.iter().flat_map(|module| module.data.iter().cloned());
        let data = data.map(|range| (range, Kind::Data));
        let stacks = self.threads.iter().map(|thread| {
            let own = thread.pointer.map(|pointer| self.own_thread_locals(pointer).1.start);
            let own = own.filter(|own| thread.stack.contains(own));
            (thread.stack.start..own.unwrap_or(thread.stack.end), Kind::Stack)
        });
        let is_near = |(range, _): &(Range<u64>, Kind)| range.start < end && start < range.end;
        data.chain(stacks).filter(is_near).collect()
    }

    fn module_of(&self, address: u64) -> Option<&Module> {
        self.modules.iter().find(|module| module.data.iter().any(|data| data.contains(&address)))
    }

    /// The program, and where a thread has the program's own thread-locals: the ABI fixes it, since
    /// their code has the distance built in. An empty range where there are none.
    fn own_thread_locals(&self, pointer: u64) -> (Option<&Module>, Range<u64>) {
        let program = self.modules.iter().find(|module| module.is_program);
        let locals = program.and_then(|program| program.thread_locals.as_ref());
        let range = locals.and_then(|locals| locals.below(pointer));
        (program, range.unwrap_or(pointer..pointer))
    }

    /// What lies at `address`, if it is the thread's. Below the thread pointer are the program's own
    /// thread-locals, below those the libraries', and where these begin only the loader knows.
    ///
    /// ```text
    ///   stack ... | libraries' | the program's | pointer: control block
    /// ```
    fn of_thread(&self, thread: &Extent, address: u64) -> Option<Place> {
        let owner = || thread.owner.clone();
        let on_stack = thread.stack.contains(&address);
        let Some(pointer) = thread.pointer else {
            return on_stack.then(|| Place::StackOrStorage(owner()));
        };
        if (pointer..pointer.saturating_add(CONTROL_BLOCK)).contains(&address) {
            return Some(Place::ThreadStorage(owner()));
        }
        if let (Some(program), own) = self.own_thread_locals(pointer)
            && own.contains(&address)
        {
            let image = program.image.clone();
            return Some(Place::ThreadLocal(image, address - own.start, owner()));
        }
        let all = self.modules.iter().filter_map(|module| module.thread_locals.as_ref());
        let all = all.map(|locals| locals.size.saturating_add(locals.align));
        let all = all.fold(SURPLUS, u64::saturating_add);
        let may_be_storage = (pointer.saturating_sub(all)..pointer).contains(&address);
        match (on_stack, may_be_storage) {
            (true, true) => Some(Place::StackOrStorage(owner())),
            (true, false) => Some(Place::Stack(owner())),
            (false, _) => None,
        }
    }
}

impl Module {
    /// The module whose first bytes are `head`, at `start`.
    fn read(path: &Path, start: u64, head: Vec<u8>, program: &Path) -> Option<Self> {
        let header = FileHeader64::<Endianness>::parse(&*head).ok()?;
        let endian = header.endian().ok()?;
        let segments = header.program_headers(endian, &*head).ok()?;
        let of_kind = |kind| segments.iter().filter(move |it| it.p_type(endian) == kind);
        let first = of_kind(elf::PT_LOAD).next()?;
        let bias = start.wrapping_sub(first.p_vaddr(endian) & !(PAGE - 1));
        let data = of_kind(elf::PT_LOAD).filter(|it| it.p_flags(endian).0 & elf::PF_W.0 != 0);
        let data = data.map(|it| {
            let start = bias.wrapping_add(it.p_vaddr(endian));
            start..start.saturating_add(it.p_memsz(endian))
        });
        let data = data.collect();
        let thread_locals = of_kind(elf::PT_TLS).next().and_then(|it| {
            let align = it.p_align(endian).max(1);
            let before = it.p_vaddr(endian).wrapping_neg() & (align - 1);
            align.is_power_of_two().then(|| Locals { size: it.p_memsz(endian), align, before })
        });
        let image = Image { path: PathBuf::from(path), head: head.into() };
        Some(Self { image, bias, data, thread_locals, is_program: path == program })
    }
}

impl Locals {
    /// Where they are, if they are the first below the thread pointer (Drepper, "ELF Handling For
    /// Thread-Local Storage", variant II; glibc 2.36, `_dl_determine_tlsoffset`).
    fn below(&self, pointer: u64) -> Option<Range<u64>> {
        let Self { size, align, before } = *self;
        let distance = size.saturating_sub(before).checked_next_multiple_of(align)? + before;
        let start = pointer.checked_sub(distance)?;
        Some(start..start + size)
    }
}
