//! The child's side: walks, sites, and a ledger that this process writes itself.
//!
//! Invariant of [`Ledger`]: `book` is on a mapping of the whole of `file`, which is never unmapped.

use std::ffi::CString;
use std::fmt;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::Ordering;

use crate::child::ledger_file::LedgerFile;
use crate::ledger::entry::Entry;
use crate::ledger::layout::{GRANULE, Layout};
use crate::ledger::module::{PATH_AT, PATH_LEN_AT, RECORD};
use crate::ledger::site::Node;
use crate::preload::book::Book;
use crate::preload::modules::Object;
use crate::preload::unwind::arch::{Registers, with_registers};
use crate::preload::unwind::frame::{Fast, Frame};
use crate::preload::unwind::frame_table::{self, Function};
use crate::preload::unwind::stack::Live;
use crate::preload::unwind::walk::{Code, Visit, walk};
use crate::preload::{backtrace, system, trace_cache};

/// Where the modelled heap lies.
const HEAP_BASE: u64 = 0x7f00_0000_0000;

/// The frame of a function that asked for it.
#[derive(Debug, Clone, Copy)]
pub struct Caller(Fast);

impl Caller {
    /// Calls `f` with the frame of the function that calls this one.
    #[inline(always)]
    pub fn with<R>(f: impl FnOnce(Self) -> R) -> R {
        let mut work = (Some(f), None);
        // SAFETY: `call` takes a pointer to such a pair, and nothing else uses it meanwhile.
        unsafe { with_registers(&raw mut work, call) };
        work.1.expect("`call` has put it there")
    }

    /// Walks from the caller outwards as the heap does after a miss of its trace cache, until
    /// `addresses` is full; how many were found.
    pub fn walk(self, addresses: &mut [usize]) -> usize {
        let mut kept = Kept { addresses, len: 0 };
        let mut stack = Live::current(self.0.sp);
        let frame = Frame::of(self.0, |_| None);
        let _ = walk(frame, &mut Loaded::default(), &mut stack, &mut kept, true);
        kept.len
    }

    /// The site of the caller's backtrace in `ledger`.
    pub fn site(self, ledger: &Ledger) -> Option<u32> {
        static ONCE: Once = Once::new();
        // The heap does so when it starts; without it a thread gets no trace cache.
        ONCE.call_once(|| system::watch_thread_ends(trace_cache::release));
        backtrace::site(&ledger.book, self.0)
    }
}

unsafe extern "C" fn call<F: FnOnce(Caller) -> R, R>(
    work: *mut (Option<F>, Option<R>),
    registers: &Registers,
) {
    // SAFETY: `Caller::with` gave the argument and lent it for the call.
    let work = unsafe { &mut *work };
    let fast = Frame::new(registers).fast();
    if let (Some(f), Some(fast)) = (work.0.take(), fast) {
        work.1 = Some(f(Caller(fast)));
    }
}

struct Kept<'a> {
    addresses: &'a mut [usize],
    len: usize,
}

impl Visit for Kept<'_> {
    fn frame(&mut self, address: usize, _: bool) -> Option<()> {
        *self.addresses.get_mut(self.len)? = address;
        self.len += 1;
        Some(())
    }

    fn frame_pointer(&mut self) {}
}

/// The unwind data of the loaded objects.
#[derive(Default)]
struct Loaded(Option<Object>);

impl Code for Loaded {
    fn function<T>(&mut self, address: usize, f: impl FnOnce(&Function<'_>) -> T) -> Option<T> {
        if !self.0.is_some_and(|object| object.contains(address)) {
            self.0 = Object::find(address);
        }
        let object = self.0.as_ref()?;
        let function = frame_table::find(object.unwind_data()?, object.eh_frame_header, address)?;
        Some(f(&function))
    }
}

/// A ledger that this process writes as a child does, and reads as its parent does.
pub struct Ledger {
    pub(super) file: LedgerFile,
    book: Book,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Ledger {
    /// A ledger for a heap of `heap` bytes and `nodes` distinct frames.
    ///
    /// # Panics
    /// Where the kernel has no memory for it.
    #[must_use]
    pub fn new(heap: u64, nodes: u32) -> Self {
        let layout = Layout::new(heap, nodes).expect("the sizes are possible");
        let file = LedgerFile::create(heap, nodes).expect("the kernel has memfds");
        let path = CString::new(file.path()).expect("a path of digits");
        let opened = system::File::open(&path).expect("it is this process's own");
        let base = opened.map(layout.len).expect("there is room for the mapping");
        opened.close();
        // SAFETY: the whole ledger is mapped at `base`, for good.
        let book = unsafe { Book::new(base, layout) };
        let header = book.header();
        header.heap_base.store(HEAP_BASE, Ordering::Relaxed);
        header.node_count.store(1, Ordering::Relaxed);
        header.module_count.store(1, Ordering::Relaxed);
        Self { file, book }
    }

    /// Enters a block of `size` bytes at `granule`.
    #[inline]
    pub fn enter(&self, granule: u64, site: u32, epoch: u32, size: u64) {
        self.book.enter(granule, Entry { site, epoch, size });
    }

    /// Removes the block at `granule`; whether there was one.
    #[inline]
    pub fn remove(&self, granule: u64) -> bool {
        self.book.remove(granule).is_some()
    }

    /// The node of a frame; `None` where the ledger is full.
    #[inline]
    pub fn intern(&self, parent: u32, module: u16, offset: u64) -> Option<u32> {
        self.book.intern(Node { parent, module, flags: 0, offset })
    }

    /// The number of a module that is loaded from `path`.
    pub fn add_module(&self, path: &Path) -> Option<u16> {
        let bytes = path.as_os_str().as_encoded_bytes();
        let mut record = [0; RECORD];
        record.get_mut(PATH_AT..PATH_AT + bytes.len())?.copy_from_slice(bytes);
        let len = u16::try_from(bytes.len()).ok()?;
        record[PATH_LEN_AT..PATH_LEN_AT + 2].copy_from_slice(&len.to_le_bytes());
        self.book.add_module(&record)
    }

    /// How many granules a heap of `bytes` has.
    #[must_use]
    pub fn granules(bytes: u64) -> u64 {
        bytes / GRANULE
    }
}
