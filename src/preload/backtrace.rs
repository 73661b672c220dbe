//! Capturing the backtrace of an allocation.
//!
//! Whoever asks for a [`site`] has looked into the thread's [`trace_cache`](super::trace_cache)
//! first. [`capture`] is the one function that knows
//! how to take a backtrace: it walks the thread's frames with [`unwind`](super::unwind).

use core::sync::atomic::Ordering;

use super::book::Book;
use super::interning::site_of;
use super::list::List;
use super::log::Log;
use super::modules::{self, Object};
use super::trace_cache::Traces;
use super::unwind::arch::{Registers, with_registers};
use super::unwind::frame::{Fast, Frame};
use super::unwind::frame_table::{self, Function};
use super::unwind::rule_cache::{self, Known};
use super::unwind::stack::{Live, Stack};
use super::unwind::walk::{Code, End, Visit, walk};
use super::{extent, libgcc, system, thread};
use crate::ledger::site::MAX_FRAMES;

/// A place in the code: where a callee returns to, or where a signal interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The address.
    pub(crate) address: usize,
    /// The address is of the interrupted instruction itself.
    pub(crate) exact: bool,
}

/// The raw backtrace of one allocation, without frames of the preload heap.
#[derive(Debug)]
pub(crate) struct Backtrace {
    frames: List<Place, MAX_FRAMES>,
    truncated: bool,
}

impl Backtrace {
    pub(super) const fn empty() -> Self {
        Self { frames: List::empty(), truncated: false }
    }

    /// The places, innermost first.
    pub(crate) fn frames(&self) -> &[Place] {
        self.frames.items()
    }

    /// Frames further out are missing.
    pub(super) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Keeps the next frame outwards, unless it is the preload heap's; `None` where it is full.
    pub(super) fn keep(&mut self, place: Place) -> Option<()> {
        if self.frames.len() == 0 && modules::is_own(place.address) && !cfg!(test) {
            return Some(());
        }
        self.frames.push(place)
    }
}

/// The site of the calling thread's backtrace, `caller` being the frame that called the entry
/// point; `None` where the ledger is full. Nothing that the thread has seen was the same.
#[cold]
#[inline(never)]
pub(crate) fn site(book: &Book, caller: Fast) -> Option<u32> {
    let generation = modules::generation();
    if libgcc::is_checking()
        && let Some(site) = thread::traces().and_then(|traces| traces.find(caller, generation))
    {
        check_site(book, site, caller);
        return Some(site);
    }
    let context = context(caller);
    if let Some(site) =
        thread::traces().and_then(|traces| traces.find_far(caller, context, generation))
    {
        if libgcc::is_checking() {
            check_site(book, site, caller);
        }
        return Some(site);
    }
    let used = thread::traces().and_then(Traces::enter);
    let log = used.as_ref().map(|used| Log::new(used, caller, generation));
    let mut walked = Walked::new(log.as_ref());
    capture(caller, &mut walked);
    let site = site_of(book, &walked.backtrace, walked.log)?;
    if libgcc::is_checking() && log.is_some() {
        check_site(book, site, caller);
    }
    let (frames, is_whole) = (walked.backtrace.frames.len(), !walked.backtrace.truncated);
    if walked.by_rules
        && let Some(log) = log
    {
        log.keep(frames, is_whole, site, context);
    }
    Some(site)
}

/// Return addresses outside the caller's that tell one way to it from others.
const CONTEXT: usize = 2;

/// What lies next outwards of `caller`, as far as its rules are known: where to look.
fn context(caller: Fast) -> usize {
    let stack = Live::current(caller.sp);
    let mut frame = caller;
    let mut mixed: usize = 0;
    for _ in 0..if stack.has_end() { CONTEXT } else { 0 } {
        let Some(Known::Rule(rule)) = rule_cache::get(frame.pc) else { break };
        let Some(outside) = rule.apply(frame, |at| stack.word(at)) else { break };
        mixed = mixed.rotate_left(21) ^ outside.pc;
        frame = outside;
    }
    mixed
}

/// What a walk has found.
#[derive(Debug)]
pub(crate) struct Walked<'a> {
    backtrace: Backtrace,
    log: Option<&'a Log<'a>>,
    /// All that it depends on, beside the loaded code, is in the log.
    by_rules: bool,
}

impl<'a> Walked<'a> {
    #[inline]
    fn new(log: Option<&'a Log<'a>>) -> Self {
        Self { backtrace: Backtrace::empty(), log, by_rules: false }
    }
}

impl Visit for Walked<'_> {
    #[inline]
    fn frame(&mut self, address: usize, exact: bool) -> Option<()> {
        self.backtrace.keep(Place { address, exact })
    }

    #[inline]
    fn frame_pointer(&mut self, at: &Fast) {
        if let Some(log) = self.log {
            log.frame_pointer(at);
        }
    }

    #[inline]
    fn joins(&mut self, at: &Fast) -> bool {
        self.log.is_some_and(|log| log.joins(at, self.backtrace.frames.len()))
    }
}

/// Takes the calling thread's backtrace from `caller` outwards, to where its log joins the last
/// one if it has one.
#[inline(never)]
pub(crate) fn capture(caller: Fast, walked: &mut Walked<'_>) {
    let end = walk_by_rules(caller, walked);
    match end {
        Some(end) => walked.backtrace.truncated = end == End::Cut,
        None => {
            walked.backtrace.frames.clear();
            walked.log = None;
            // SAFETY: `walk_rows` gets what was walked as its argument and nothing else uses it
            // meanwhile.
            unsafe { with_registers(core::ptr::from_mut(walked).cast(), walk_rows) };
        }
    }
    if end != Some(End::Joined) {
        if libgcc::is_checking() {
            libgcc::check(&walked.backtrace);
        }
        // What was logged of a stack without an end would be asked for page by page ever after.
        walked.by_rules &= !find_stack(&walked.backtrace);
    }
}

/// Finds how far the thread's stack reaches, where nobody has asked yet; whether it did. libc
/// holds a lock of the thread's while it answers, and allocates: an allocation that it makes when
/// the program asks must not ask as well. `backtrace` tells: all of that is code with unwind data.
fn find_stack(backtrace: &Backtrace) -> bool {
    if thread::stack().is_some() {
        return false;
    }
    let asks = extent::asking_function();
    let is_asking = Loaded::default().function(asks, |function| {
        let code = function.start..=function.end;
        backtrace.frames().iter().any(|frame| code.contains(&frame.address))
    });
    if is_asking != Some(false) {
        return false;
    }
    extent::find_thread_stack();
    true
}

/// Walks from `caller` outwards as far as rules lead; `None` where a frame needs more registers.
#[inline]
fn walk_by_rules(caller: Fast, walked: &mut Walked<'_>) -> Option<End> {
    let mut stack = Logged { live: Live::current(caller.sp), log: walked.log };
    let mut code = Loaded::default();
    let frame = Frame::of(caller, |_| None);
    let end = walk(frame, &mut code, &mut stack, walked, true);
    walked.by_rules = end.is_some() && !code.asked;
    end
}

/// Walks from the heap's own frames outwards, with every register that a function has to keep.
unsafe extern "C" fn walk_rows(walked: *mut Walked<'_>, registers: &Registers) {
    // SAFETY: `capture` gave the argument and lent it for the call.
    let walked = unsafe { &mut *walked };
    let mut stack = Logged { live: Live::current(registers.sp()), log: None };
    let end = walk(Frame::new(registers), &mut Loaded::default(), &mut stack, walked, false);
    walked.backtrace.truncated = end != Some(End::Outermost);
}

/// Whether the thread is in the middle of an allocation, which a signal interrupted.
pub(crate) fn is_in_an_allocation() -> bool {
    let mut walked = Walked::new(None);
    // SAFETY: `walk_all` gets it and nothing else uses it meanwhile.
    unsafe { with_registers(&raw mut walked, walk_all) };
    // The innermost frames, of whoever asks, are not kept.
    walked.backtrace.frames().iter().any(|frame| modules::is_own(frame.address))
}

/// Walks from the heap's own frames outwards, by rules if they lead to the end.
unsafe extern "C" fn walk_all(walked: *mut Walked<'_>, registers: &Registers) {
    // SAFETY: the caller lent it for the call.
    let found = unsafe { &mut *walked };
    if let Some(caller) = Frame::new(registers).fast()
        && walk_by_rules(caller, found).is_some()
    {
        return;
    }
    found.backtrace.frames.clear();
    // SAFETY: as above, and it is not used here any more.
    unsafe { walk_rows(walked, registers) }
}

/// The thread's stack, with what was read of it written down.
struct Logged<'a> {
    live: Live,
    log: Option<&'a Log<'a>>,
}

impl Stack for Logged<'_> {
    #[inline]
    fn word(&self, address: usize) -> Option<usize> {
        let value = self.live.word(address)?;
        if let Some(log) = self.log {
            log.push(address, value);
        }
        Some(value)
    }

    fn holds(&self, pointer: usize) -> bool {
        self.live.holds(pointer)
    }

    fn unknown(pointer: usize) -> Self {
        Self { live: Live::unknown(pointer), log: None }
    }
}

/// The unwind data of the loaded objects, the last of which is remembered.
#[derive(Default)]
struct Loaded {
    last: Option<Object>,
    asked: bool,
}

impl Code for Loaded {
    fn function<T>(&mut self, address: usize, f: impl FnOnce(&Function<'_>) -> T) -> Option<T> {
        self.asked = true;
        if !self.last.is_some_and(|object| object.contains(address)) {
            self.last = Object::find(address);
        }
        let object = self.last.as_ref()?;
        let function = frame_table::find(object.unwind_data()?, object.eh_frame_header, address)?;
        Some(f(&function))
    }

    fn is(&self, address: usize, instructions: [u32; 2]) -> bool {
        system::is_code(address, instructions)
    }
}

/// Compares `site`, which was found with the help of earlier walks, with a backtrace taken anew.
#[cold]
fn check_site(book: &Book, site: u32, caller: Fast) {
    let mut walked = Walked::new(None);
    capture(caller, &mut walked);
    if !site_of(book, &walked.backtrace, walked.log).is_some_and(|other| book.is_same(site, other))
    {
        book.header().unwinds_wrong.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    unsafe extern "C" fn capture_from(walked: *mut Walked<'_>, registers: &Registers) {
        let caller = Frame::new(registers).fast().expect("they are known");
        // SAFETY: `capture_here` lent it for the call.
        capture(caller, unsafe { &mut *walked });
    }

    #[inline(never)]
    fn capture_here() -> Backtrace {
        let mut walked = Walked::new(None);
        // SAFETY: `capture_from` gets it and nothing else uses it meanwhile.
        unsafe { with_registers(&raw mut walked, capture_from) };
        walked.backtrace
    }

    #[inline(never)]
    fn depth(n: usize) -> (Vec<usize>, Vec<usize>) {
        if n > 0 {
            let result = depth(n - 1);
            return (result.0, std::hint::black_box(result.1));
        }
        let ours = capture_here().frames().iter().map(|frame| frame.address).collect();
        let mut theirs = Vec::new();
        backtrace::trace(|frame| {
            theirs.push(frame.ip() as usize);
            !frame.ip().is_null()
        });
        (ours, theirs)
    }

    #[test]
    fn the_frames_are_those_that_the_backtrace_crate_sees() {
        let (ours, theirs) = depth(20);
        let theirs = &theirs[..theirs.len() - usize::from(theirs.last() == Some(&0))];
        let common = ours.iter().rev().zip(theirs.iter().rev()).take_while(|(a, b)| a == b).count();
        assert!(common >= 20, "the same callers, {common} of {}", ours.len());
    }

    #[test]
    fn a_deep_stack_is_cut_at_the_outer_end() {
        #[inline(never)]
        fn deep(n: usize) -> Backtrace {
            if n > 0 { std::hint::black_box(deep(n - 1)) } else { capture_here() }
        }
        let backtrace = deep(MAX_FRAMES * 2);
        assert!(backtrace.truncated);
        assert_eq!(backtrace.frames().len(), MAX_FRAMES);
        assert!(!deep(1).truncated);
    }
}
