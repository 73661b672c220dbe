//! A ledger for each child of `fork`, where the parent follows.
//!
//! ```text
//!   prepare  (in the process that forks)  one more is expected
//!   child    (nobody else runs)           a spare ledger is mapped over the old one, at the same
//!                                         addresses; what is in use on the heap is entered as
//!                                         inherited; then it is no longer expected
//!   parent   where there was no fork      nobody is expected
//! ```
//! A signal handler may fork in the middle of an allocation, which goes on in the child with what it
//! knew of the parent's ledger: where nobody follows, such a child gets a ledger that nobody sees.
//!
//! The child begins with no frames and no modules: its parent goes on writing its own. What threads
//! remember of the old ledger is told apart by its generation.
//!
//! Invariants: libc calls the handlers of its `fork` alone, not of `vfork`, `posix_spawn` or a
//! system call of the program's own, whose children find the book's page wiped or share all memory.
//! The child makes system calls, and neither allocates nor locks.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::book::Book;
use super::system::Errno;
use super::{backtrace, follow, heap, modules, start, system, thread};
use crate::ledger::header::{Header, VERSION, state, trouble};
use crate::ledger::layout::Layout;

unsafe extern "C" {
    fn __register_atfork(
        prepare: extern "C" fn(),
        parent: extern "C" fn(),
        child: extern "C" fn(),
        object: *mut c_void,
    ) -> c_int;
}

/// Where the process's ledger is mapped, and for which heap: a child finds the book's page wiped.
static LEDGER: AtomicUsize = AtomicUsize::new(0);
static HEAP: AtomicUsize = AtomicUsize::new(0);
static HEAP_SIZE: AtomicU64 = AtomicU64::new(0);
static NODES: AtomicU32 = AtomicU32::new(0);

/// This process was forked in the middle of an allocation: a block may have been on its way.
static MIDWAY: AtomicBool = AtomicBool::new(false);

/// Whether a block without an entry may be a live one, whose allocation a signal handler interrupted
/// to fork: what is in use by the heap's account, and what is by the ledger's, are a moment apart.
#[cold]
pub(crate) fn may_have_missed_a_block() -> bool {
    MIDWAY.load(Ordering::Relaxed)
}

/// Has the children of this process, which keeps `book`, get ledgers where they need some. Called
/// once.
pub(crate) fn watch(book: &Book) {
    let (ledger, heap, layout) = book.place_in_memory();
    LEDGER.store(ledger, Ordering::Relaxed);
    HEAP.store(heap, Ordering::Relaxed);
    HEAP_SIZE.store(layout.heap_size, Ordering::Relaxed);
    NODES.store(layout.nodes, Ordering::Relaxed);
    // No object: the preload heap is never unloaded.
    // SAFETY: the handlers may be called from any thread.
    unsafe { __register_atfork(prepare, parent, child, core::ptr::null_mut()) };
}

/// Just before the fork: these handlers were the first, and libc calls the last one first.
extern "C" fn prepare() {
    // Here, where rules are remembered: each child would walk as if for the first time.
    let is_midway = start::page().is_open() && backtrace::is_in_an_allocation();
    thread::words().set_midway(is_midway);
    let Some(first) = follow::first() else { return };
    first.expected.fetch_add(1, Ordering::AcqRel);
    thread::words().begin_fork(Errno::current());
}

/// Right after it.
extern "C" fn parent() {
    let ledger = LEDGER.load(Ordering::Relaxed) as *const Header;
    // SAFETY: a whole ledger is mapped there, for good; a header is made of atomics.
    let header = unsafe { &*ledger };
    header.forks.fetch_add(1, Ordering::Relaxed);
    let Some(first) = follow::first() else { return };
    if thread::words().end_fork(Errno::current()) {
        first.expected.fetch_sub(1, Ordering::AcqRel);
        follow::tell();
    }
}

/// The same in the child.
extern "C" fn child() {
    let first = follow::first();
    if thread::words().is_midway() {
        MIDWAY.store(true, Ordering::Relaxed);
    } else if first.is_none() {
        return;
    }
    let errno = Errno::current();
    if first.is_some() {
        thread::words().end_fork(errno);
    }
    errno.keep(|| {
        let signals = system::block_signals();
        let is_followed = first.and_then(follow::spare).is_some_and(|file| {
            // SAFETY: this process has no open book, and its one thread is here.
            let claimed = claim(|base, len| unsafe { file.map_over(base, len) }, file.len());
            file.close();
            claimed.is_some()
        });
        if !is_followed && may_have_missed_a_block() {
            // SAFETY: as above.
            claim(|base, len| unsafe { system::cover(base, len) }, u64::MAX);
        }
        if let Some(first) = first {
            first.expected.fetch_sub(1, Ordering::AcqRel);
            follow::tell();
        }
        system::unblock_signals(signals);
    });
}

/// Makes the ledger that `map` puts over the old one, which has `room` bytes, this process's.
fn claim(map: impl FnOnce(*mut u8, u64) -> Option<*mut u8>, room: u64) -> Option<()> {
    let (heap_size, nodes) = (HEAP_SIZE.load(Ordering::Relaxed), NODES.load(Ordering::Relaxed));
    let layout = Layout::new(heap_size, nodes).filter(|layout| layout.len <= room)?;
    let base = LEDGER.load(Ordering::Relaxed) as *mut u8;
    // SAFETY: a whole ledger is mapped there, for good; a header is made of atomics.
    let header = unsafe { &*base.cast::<Header>() };
    // What is opened apart stays so.
    let inherited = header.trouble.load(Ordering::Relaxed) & (trouble::APART | trouble::DEEP);
    map(base, layout.len)?;
    follow::introduce(header);
    header.trouble.fetch_or(inherited, Ordering::Relaxed);
    header.child_version.store(VERSION, Ordering::Relaxed);
    header.images.store(1, Ordering::Relaxed);
    header.node_count.store(1, Ordering::Relaxed);
    header.module_count.store(1, Ordering::Relaxed);
    let heap = HEAP.load(Ordering::Relaxed);
    header.heap_base.store(heap as u64, Ordering::Relaxed);
    // SAFETY: the whole ledger is mapped at `base`, for good.
    let book = unsafe { Book::new(base, heap, layout) };
    let is_open = book.and_then(open).is_some();
    let state = if is_open { state::ACTIVE } else { state::NO_REGION };
    header.state.store(state, Ordering::Release);
    header.owner.store(system::process(), Ordering::Release);
    Some(())
}

fn open(book: Book) -> Option<()> {
    let book = start::open_again(book)?;
    modules::renumber();
    thread::stay_alone(book);
    heap::each_block(&|block, size| {
        if let Some(place) = book.place(block) {
            place.inherit(size);
        }
    });
    Some(())
}
