//! The child's side: walks, sites, and a ledger that this process writes itself.
//!
//! Invariant of [`Ledger`]: `book` is on a mapping of the whole of `file`, which is never unmapped.

use std::ffi::CString;
use std::fmt;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::Ordering;

use crate::child::ledger_file::LedgerFile;
use crate::ledger::layout::{GRANULE, Layout};
use crate::ledger::module::{PATH_AT, PATH_LEN_AT, RECORD};
use crate::ledger::site::Interned;
use crate::preload::book::{Book, Place};
use crate::preload::modules::Object;
use crate::preload::unwind::arch::{Registers, with_registers};
use crate::preload::unwind::frame::{Fast, Frame};
use crate::preload::unwind::frame_table::{self, Function};
use crate::preload::unwind::stack::Live;
use crate::preload::unwind::walk::{Code, Visit, walk};
use crate::preload::{allocation, extent, start, system, thread};

/// Where the modelled heap lies.
const HEAP_BASE: usize = 0x7f00_0000_0000;

/// What the heap does when it starts.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        extent::find_main_stack();
        thread::watch_ends();
    });
}

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
        prepare();
        let mut kept = Kept { addresses, len: 0 };
        let mut stack = Live::current(self.0.sp);
        let frame = Frame::of(self.0, |_| None);
        let _ = walk(frame, &mut Loaded::default(), &mut stack, &mut kept, true);
        kept.len
    }

    /// The site of the caller's backtrace in `ledger`.
    pub fn site(self, ledger: &Ledger) -> u32 {
        allocation::site(ledger.book, thread::words(), self.0)
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

    fn is(&self, address: usize, instructions: [u32; 2]) -> bool {
        system::is_code(address, instructions)
    }
}

/// An interned backtrace.
#[derive(Debug, Clone, Copy)]
pub struct Site(Interned);

impl Site {
    /// The backtrace of no frame.
    pub const ROOT: Self = Self(Interned::ROOT);

    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0.number
    }
}

/// A ledger that this process writes as a child does, and reads as its parent does.
pub struct Ledger {
    pub(super) file: LedgerFile,
    book: &'static Book,
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
        let book = unsafe { Book::new(base, HEAP_BASE, layout) };
        prepare();
        // Threads count where their first ledger is.
        let book = book.and_then(start::open).expect("there is memory");
        let header = book.header();
        header.heap_base.store(HEAP_BASE as u64, Ordering::Relaxed);
        header.node_count.store(1, Ordering::Relaxed);
        header.module_count.store(1, Ordering::Relaxed);
        Self { file, book }
    }

    /// Begins epoch `epoch`.
    pub fn begin(&self, epoch: u32) {
        self.file.set_epoch(epoch);
    }

    fn place(&self, granule: u64) -> Option<Place<'_>> {
        let offset = usize::try_from(granule * GRANULE).ok()?;
        self.book.place(HEAP_BASE.wrapping_add(offset))
    }

    /// Enters a block of `size` bytes at `granule`, where that is in the heap.
    #[inline]
    pub fn enter(&self, granule: u64, site: u32, size: u64) {
        if let (Some(place), Ok(size)) = (self.place(granule), usize::try_from(size)) {
            place.enter(thread::words(), site, size);
        }
    }

    /// Removes the block at `granule`; whether there was one.
    #[inline]
    pub fn remove(&self, granule: u64) -> bool {
        self.place(granule).is_some_and(|place| place.remove(thread::words()).is_some())
    }

    /// The frame at `offset` of `module` that was called from `outside`, [`Site::ROOT`] for
    /// nobody; `None` where the ledger is full.
    #[inline]
    pub fn intern(&self, outside: Site, module: u16, offset: u64) -> Option<Site> {
        self.book.intern(outside.0, module, 0, offset).map(Site)
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
