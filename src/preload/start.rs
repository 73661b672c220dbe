//! How the preload heap comes up: the states, and the handshake with the parent.
//!
//! ```text
//!   COLD --first call--> STARTING --> READY   the heap serves, the ledger is written
//!                                 \-> ASIDE   the allocator behind serves: no ledger, or not ours
//! ```
//! While libc has no environment yet, COLD stays and libc serves. In a child of `fork` the heap
//! goes on, private memory that it is, and the ledger, which is the parent's, is left alone; where
//! the parent follows, the child gets another one ([`fork`]).

use core::ffi::c_void;
use core::mem;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::book::Book;
use super::system::Errno;
use super::{extent, follow, fork, heap, libgcc, next, operators, symbol, system, thread};
use crate::ledger::header::{Header, LEDGER_VARIABLE, MAGIC, TRACE_VARIABLE, VERSION, mark, state};
use crate::ledger::layout::Layout;

/// The states of the process's heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Nothing was asked yet.
    Cold = 0,
    /// A thread is at it.
    Starting = 1,
    /// The heap serves.
    Ready = 2,
    /// The allocator behind ours serves.
    Aside = 3,
}

static STATE: AtomicU8 = AtomicU8::new(State::Cold as u8);
static BEFORE_READY: AtomicU64 = AtomicU64::new(0);
/// Whether the program's `malloc` was found to lead here.
static IS_IN_FRONT: AtomicBool = AtomicBool::new(false);
/// Whether the process has come to its exit.
static IS_AT_EXIT: AtomicBool = AtomicBool::new(false);
static CLOSED: Book = Book::closed();
static BOOK: AtomicPtr<Book> = AtomicPtr::new(core::ptr::from_ref(&CLOSED).cast_mut());

/// Where the process stands.
pub(crate) fn state() -> State {
    match STATE.load(Ordering::Acquire) {
        0 => State::Cold,
        1 => State::Starting,
        2 => State::Ready,
        _ => State::Aside,
    }
}

/// Whether the heap serves this request; starts it where nobody has.
#[inline]
pub(crate) fn is_ready() -> bool {
    match state() {
        State::Ready => true,
        State::Aside => false,
        State::Cold | State::Starting => start(),
    }
}

/// The ledger, open while this process may write it.
#[inline(always)]
pub(crate) fn page() -> &'static Book {
    // SAFETY: `open` wrote a book there before it set BOOK, and nobody ever moves it; after a
    // fork its page reads as zero, which is a valid book that is closed.
    unsafe { &*BOOK.load(Ordering::Acquire) }
}

/// The ledger, while this process may write it.
#[inline]
pub(crate) fn book() -> Option<&'static Book> {
    Some(page()).filter(|book| book.is_open())
}

#[cold]
fn start() -> bool {
    if !system::has_environment() {
        BEFORE_READY.fetch_add(1, Ordering::Relaxed);
        return false;
    }
    let (cold, starting) = (State::Cold as u8, State::Starting as u8);
    if STATE.compare_exchange(cold, starting, Ordering::AcqRel, Ordering::Acquire).is_err() {
        // Another thread is at it, or this one is, below a function that allocates.
        BEFORE_READY.fetch_add(1, Ordering::Relaxed);
        return state() == State::Ready;
    }
    let ready = Errno::current().keep(|| {
        next::find();
        open_ledger().is_some()
    });
    let state = if ready { State::Ready } else { State::Aside };
    STATE.store(state as u8, Ordering::Release);
    ready
}

/// Claims the ledger, reserves the heap, and starts tracing; `None` where libc has to serve.
fn open_ledger() -> Option<()> {
    let file = system::File::open(system::variable(LEDGER_VARIABLE)?)?;
    let claimed = claim(&file);
    file.close();
    claimed
}

fn claim(file: &system::File) -> Option<()> {
    const PAGE: u64 = 4096;
    if file.len() < PAGE {
        return None;
    }
    let first_page = file.map(PAGE)?;
    // SAFETY: the page is mapped, and a header is made of atomics.
    let header = unsafe { &*first_page.cast::<Header>() };
    if header.magic.load(Ordering::Relaxed) != MAGIC {
        return None;
    }
    follow::introduce(header);
    let own = system::process();
    let owner = header.owner.compare_exchange(0, own, Ordering::AcqRel, Ordering::Acquire);
    let renewed = match owner {
        Ok(_) => false,
        // The same process after an `exec`: the program that counts is the last one.
        Err(owner) if owner == own => true,
        Err(_) => return claim_spare(header),
    };
    follow::begin(header);
    header.child_version.store(VERSION, Ordering::Relaxed);
    if header.parent_version.load(Ordering::Relaxed) != VERSION {
        header.state.store(state::OTHER_VERSION, Ordering::Release);
        return None;
    }
    let (size, nodes) =
        (header.heap_size.load(Ordering::Relaxed), header.nodes.load(Ordering::Relaxed));
    let layout = Layout::new(size, nodes).filter(|layout| layout.len <= file.len())?;
    if renewed {
        clear(file, header, &layout);
    }
    header.images.fetch_add(1, Ordering::Relaxed);
    let no_region = || header.state.store(state::NO_REGION, Ordering::Release);
    let heap_base = usize::try_from(size).ok().and_then(heap::reserve);
    let (Some(base), Some(heap_base)) = (file.map(layout.len), heap_base) else {
        no_region();
        return None;
    };
    header.heap_base.store(heap_base as u64, Ordering::Relaxed);
    let _ = header.node_count.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
    let _ = header.module_count.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
    libgcc::configure();
    extent::find_main_stack();
    thread::watch_ends();
    if system::variable(TRACE_VARIABLE).is_some_and(|value| value.to_bytes() == b"0") {
        header.state.store(state::UNTRACED, Ordering::Release);
        return Some(());
    }
    // SAFETY: the whole ledger is mapped at `base`, for good.
    let book = unsafe { Book::new(base, heap_base, layout) };
    if book.and_then(open).is_none() {
        no_region();
        return None;
    }
    header.state.store(state::ACTIVE, Ordering::Release);
    Some(())
}

/// Claims a ledger that the parent has ready for a program that the traced one starts, and tells it.
fn claim_spare(first: &'static Header) -> Option<()> {
    let file = follow::spare(first)?;
    let claimed = claim(&file);
    file.close();
    follow::tell();
    claimed
}

/// Makes `book` the process's own, on a page that a child of `fork` finds empty; `None` where the
/// kernel has no such page.
pub(crate) fn open(book: Book) -> Option<&'static Book> {
    let place = system::wiped_on_fork()?.cast::<Book>();
    // SAFETY: the place is a fresh page, which a book fits.
    unsafe { place.write(book) };
    BOOK.store(place, Ordering::Release);
    self::book()
}

/// Makes `book` the book of a child of `fork`, on the page that its parent's was on; `None` where
/// that had none. No signal handler may come in between.
pub(crate) fn open_again(book: Book) -> Option<&'static Book> {
    let place = BOOK.load(Ordering::Acquire);
    if core::ptr::eq(place, &CLOSED) {
        return None;
    }
    // SAFETY: it is the page that `open` made, which `fork` wiped, and this is the only thread. What
    // an interrupted allocation goes on with is a book of the same addresses and sizes.
    unsafe { place.write(book) };
    IS_AT_EXIT.store(false, Ordering::Release);
    self::book()
}

/// Forgets what the image before an `exec` left.
fn clear(file: &system::File, header: &Header, layout: &Layout) {
    let state = &header.state;
    state.store(state::SILENT, Ordering::Release);
    file.punch(layout.shards_at, layout.len.wrapping_sub(layout.shards_at));
    for word in [&header.trouble, &header.node_count, &header.module_count, &header.mark] {
        word.store(0, Ordering::Relaxed);
    }
    for word in [&header.live_bytes, &header.peak_bytes] {
        word.store(0, Ordering::Relaxed);
    }
    for word in [
        &header.allocations,
        &header.frees,
        &header.before_ready,
        &header.unwinds_checked,
        &header.unwinds_wrong,
    ] {
        word.store(0, Ordering::Relaxed);
    }
}

/// The constructor: starts the heap where no allocation has, and checks that it is in front.
pub(crate) fn construct() {
    is_ready();
    let Some(book) = book() else { return };
    let header = book.header();
    header.before_ready.fetch_add(BEFORE_READY.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    if !is_in_front() {
        header.state.store(state::INTERPOSED, Ordering::Release);
    } else if operators::are_another_allocator_s() {
        // With a part of its blocks from here, a program with jemalloc 5.3 crashed.
        header.state.store(state::OPERATORS, Ordering::Release);
        STATE.store(State::Aside as u8, Ordering::Release);
        BOOK.store(core::ptr::from_ref(&CLOSED).cast_mut(), Ordering::Release);
    } else {
        IS_IN_FRONT.store(true, Ordering::Release);
        fork::watch(book);
    }
}

/// Whether the program's `malloc` leads to this heap, as far as anybody has looked.
pub(crate) fn leads_here() -> bool {
    IS_IN_FRONT.load(Ordering::Acquire)
}

/// Whether the program's `malloc` is this heap's. The address does not tell: in a program at a
/// fixed address, `malloc` is a stub of the program's own that leads here.
fn is_in_front() -> bool {
    thread::pause();
    let block = allocate(1);
    thread::resume();
    let ours = heap::holds(block as usize);
    free(block);
    ours
}

/// Calls `malloc` as the program does; null where it has none.
fn allocate(size: usize) -> *mut c_void {
    let found = symbol::of_program(c"malloc");
    if found.is_null() {
        return found;
    }
    // SAFETY: dlsym gave `malloc`, which has this type.
    let malloc =
        unsafe { mem::transmute::<*mut c_void, unsafe extern "C" fn(usize) -> *mut c_void>(found) };
    // SAFETY: malloc takes any size.
    unsafe { malloc(size) }
}

/// Calls `free` as the program does, on a block of [`allocate`].
fn free(block: *mut c_void) {
    let found = symbol::of_program(c"free");
    if found.is_null() {
        return;
    }
    // SAFETY: dlsym gave `free`, which has this type.
    let free = unsafe { mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(found) };
    // SAFETY: the block is the program's own malloc's, and nobody else has it.
    unsafe { free(block) }
}

/// The process is about to exit: tells the parent, and waits where the parent asked for it.
pub(crate) fn exit() {
    let Some(book) = book() else { return };
    let header = book.header();
    let mine = header.owner.load(Ordering::Relaxed) == system::process();
    if !mine || IS_AT_EXIT.swap(true, Ordering::AcqRel) {
        return;
    }
    if header.stop_at_exit.load(Ordering::Acquire) == 0 {
        return;
    }
    let frame = libgcc::exit_frame();
    header.exit_thread.store(system::thread(), Ordering::Relaxed);
    header.exit_stack.store(frame.stack as u64, Ordering::Relaxed);
    for (word, value) in header.exit_registers.iter().zip(frame.registers) {
        word.store(value as u64, Ordering::Relaxed);
    }
    header.mark.store(mark::AT_EXIT, Ordering::Release);
    stand(header, mark::AT_EXIT);
}

/// The program says that an iteration ends here: the parent looks, where it asked for that. One
/// thread stands there at a time.
pub(crate) fn mark() {
    let Some(header) = book().map(Book::header) else { return };
    let mine = header.owner.load(Ordering::Relaxed) == system::process();
    if !mine || header.stop_at_marks.load(Ordering::Acquire) == 0 {
        return;
    }
    Errno::current().keep(|| {
        let stands = |now| matches!(mark::kind(now), mark::AT_EXIT | mark::AT_MARK);
        let word = &header.mark;
        let mut now = word.load(Ordering::Acquire);
        loop {
            if header.stop_at_marks.load(Ordering::Acquire) == 0 {
                break;
            }
            if stands(now) {
                wait(word, now);
                now = word.load(Ordering::Acquire);
                continue;
            }
            let (next, order) = (mark::next(now), Ordering::Acquire);
            match word.compare_exchange(now, next, Ordering::AcqRel, order) {
                Ok(_) => break stand(header, next),
                Err(other) => now = other,
            }
        }
    });
}

/// Tells the parent where the process stands, and waits until it has looked.
fn stand(header: &Header, at: u32) {
    system::futex_wake(&header.mark);
    follow::tell();
    wait(&header.mark, at);
}

/// Waits until `word` is another one than `now`, or the parent is gone.
fn wait(word: &AtomicU32, now: u32) {
    let parent = system::parent();
    let is_watched = || follow::is_watched().unwrap_or_else(|| system::parent() == parent);
    // The parent wakes this thread; the second is for a parent that is gone.
    while word.load(Ordering::Acquire) == now && is_watched() {
        system::futex_wait(word, now, 1);
    }
}
