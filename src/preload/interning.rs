//! From a backtrace to its site: a node of the ledger for each frame, with all outside it.
//!
//! The hashes of all frames come first. A program with many backtraces has an index larger than
//! the processor's caches, and its slots are on their way while the other hashes are made.

use super::backtrace::{Backtrace, Place};
use super::book::Book;
use super::list::List;
use super::log::Log;
use super::modules::{self, Object};
use crate::ledger::module::NO_MODULE;
use crate::ledger::site::{Interned, MAX_FRAMES, flag};

/// What a node says of one frame.
#[derive(Debug, Clone, Copy)]
struct Frame {
    module: u16,
    flags: u16,
    offset: u64,
}

/// Tells frames' modules; those of one backtrace are mostly the last one's.
struct Modules<'a> {
    book: &'a Book,
    last: Option<(Object, u16)>,
}

impl Modules<'_> {
    #[inline(always)]
    fn frame(&mut self, place: Place) -> Frame {
        if !self.last.is_some_and(|(object, _)| object.contains(place.address)) {
            let found = Object::find(place.address);
            self.last = found.map(|object| (object, modules::number(self.book, &object)));
        }
        let known = self.last.filter(|(_, number)| *number != NO_MODULE);
        let (bias, module) = known.map_or((0, NO_MODULE), |(object, module)| (object.bias, module));
        let offset = place.address.wrapping_sub(bias) as u64;
        Frame { module, flags: if place.exact { flag::EXACT } else { 0 }, offset }
    }
}

/// The site of `backtrace`, with what lies outside where its `log` says that it joined the last
/// one; `None` where the ledger is full. The log gets the nodes.
pub(crate) fn site_of(book: &Book, backtrace: &Backtrace, log: Option<&Log<'_>>) -> Option<u32> {
    let joined = log.and_then(Log::joined);
    let mut outside = joined.map_or(Interned::ROOT, |joint| joint.node);
    let mut flags = if backtrace.is_truncated() { flag::TRUNCATED } else { 0 };
    let mut modules = Modules { book, last: None };
    let mut frames = List::<Frame, MAX_FRAMES>::empty();
    let mut hash = outside.hash;
    for place in backtrace.frames().iter().rev() {
        let mut frame = modules.frame(*place);
        frame.flags |= core::mem::take(&mut flags);
        hash = Interned::hash_with(hash, frame.module, frame.flags, frame.offset);
        book.expect(hash);
        frames.push(frame)?;
    }
    for (inner, frame) in (0..frames.len()).rev().zip(frames.items()) {
        outside = book.intern(outside, frame.module, frame.flags, frame.offset)?;
        if let Some(log) = log {
            log.name(inner, outside);
        }
    }
    if outside == Interned::ROOT {
        // Nothing could be unwound: one nameless frame, so that the allocation has a site.
        outside = book.intern(outside, NO_MODULE, flag::TRUNCATED, 0)?;
    }
    Some(outside.number)
}
