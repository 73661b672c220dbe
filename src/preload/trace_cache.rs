//! What each thread has seen: the sites of its last backtraces, with every stack word that the
//! walk read.
//!
//! A walk by rules depends on the caller's stack pointer, return address and (where a rule reads
//! it) frame pointer, on the words it read, and on the loaded code. All unchanged, the result is
//! the same: a hit is a proof, not a guess.
//!
//! ```text
//!   near: few entries, by stack pointer and return address     their words
//!     [entry][entry] ... ------------------------------------> four words; ...
//!   far: many, by the next return addresses outwards as well   entries and words
//!     [tag, position] ... -----------------------------------> [entry]four words; ...[link]
//! ```
//! A program that allocates from many places with few ways to each finds them near; a compiler, which
//! comes to one place in thousands of ways, finds them far. What is found there often comes near.
//!
//! Where nothing is found, the walk writes a [`Log`](super::log::Log), which joins the last one
//! where it can.
//!
//! Invariant of [`Traces`]: one thread at a time owns it ([`thread`](super::thread)). A signal
//! handler that comes in between a look finds its own backtraces, and the look that it
//! interrupted is not believed; one that comes while an entry is made finds the cache busy and
//! does without, as does the rest of a thread whose handler jumped out of there.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use super::entry::Entry;
use super::path::Path;
use super::ring::{Piece, Ring};
use super::unwind::frame::Fast;
use super::unwind::stack::Seen;

/// Sets of the near entries and of the far ones, and how many are in one.
const NEAR: (usize, usize) = (1 << 7, 8);
const FAR: (usize, usize) = (1 << 11, 8);
/// Fours of words that are near, and far.
const NEAR_FOURS: usize = 1 << 13;
const FAR_FOURS: usize = 1 << 15;

/// Of so many that were found far, one comes near: what is asked for often is soon there, and the
/// rest does not drive it out.
const COMES_NEAR: u32 = 4;

const NEAR_SHIFT: u32 = usize::BITS - NEAR.0.trailing_zeros();
const FAR_SHIFT: u32 = usize::BITS - FAR.0.trailing_zeros();

/// Where an entry lies in the ring, and whose it may be: `[tag: 16][position: 48]`. At four million
/// walks a second, positions come again after two years.
const POSITION_BITS: u32 = 48;
const POSITION: usize = (1 << POSITION_BITS) - 1;

/// The cache of one thread. All zero is an empty one.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Traces {
    /// How often an entry was begun and ended: odd while one is being made.
    stamp: AtomicU32,
    /// The last backtrace that was walked.
    pub(crate) path: Path,
    near: [[Cell<Entry>; NEAR.1]; NEAR.0],
    /// Where entries that are not near lie in the ring.
    far: [[Cell<usize>; FAR.1]; FAR.0],
    /// How many were found far, or made.
    found: Cell<u32>,
    /// The words of what is near: one piece each.
    words: Ring<NEAR_FOURS>,
    /// The words of all that is known, with its entries.
    pub(crate) ring: Ring<FAR_FOURS>,
}

impl Traces {
    /// Another thread has it from now on: its stack may be smaller at the same addresses.
    pub(crate) fn forget(&self) {
        self.path.forget();
        self.words.forget();
        self.ring.forget();
        // Whoever had it may have jumped out of a handler that came while an entry was made.
        self.stamp.store(0, Ordering::Relaxed);
    }

    /// An empty cache that stays.
    #[cfg(test)]
    pub(crate) fn empty() -> &'static Self {
        // SAFETY: zero is a valid cache.
        let traces = Box::leak(unsafe { Box::<Self>::new_zeroed().assume_init() });
        traces.forget();
        traces
    }

    #[inline(always)]
    fn near(&self, caller: &Fast) -> &[Cell<Entry>] {
        let set = mixed(caller, 0).wrapping_shr(NEAR_SHIFT);
        self.near.get(set).map_or(&[], <[_; _]>::as_slice)
    }

    /// The set of far entries that that of `caller` and `context` is among, and its tag.
    fn far(&self, caller: &Fast, context: usize) -> (&[Cell<usize>], usize) {
        let mixed = mixed(caller, context);
        let set = self.far.get(mixed.wrapping_shr(FAR_SHIFT));
        (set.map_or(&[], |set| set.as_slice()), mixed << POSITION_BITS)
    }

    /// The site of the backtrace from `caller`, where it is near.
    pub(crate) fn find(&self, caller: Fast, generation: u32) -> Option<u32> {
        self.find_near(caller, generation, |seen, entry| entry.is_mapped(seen))
    }

    /// The same where the stack's end is known: with no call, which would cost registers.
    #[inline(always)]
    pub(crate) fn find_quickly(&self, caller: Fast, generation: u32) -> Option<u32> {
        self.find_near(caller, generation, |_, entry| entry.has_end)
    }

    #[inline(always)]
    fn find_near(
        &self,
        caller: Fast,
        generation: u32,
        is_mapped: impl Fn(&[Seen], &Entry) -> bool,
    ) -> Option<u32> {
        let stamp = self.stamp.load(Ordering::Relaxed);
        if is_busy(stamp) {
            return None;
        }
        compiler_fence(Ordering::SeqCst);
        for entry in self.near(&caller) {
            // SAFETY: a cell of this thread's own; no reference into it outlives the turn.
            let entry = unsafe { &*entry.as_ptr() };
            if entry.is_of(&caller, generation)
                && let Some(seen) = self.words.kept(entry.words)
                && is_mapped(seen, entry)
                // SAFETY: the words were read when the stack pointer was the same, from a stack
                // whose end is known, or can be read now.
                && unsafe { Seen::are_unchanged(seen, entry.base) }
            {
                let site = entry.site;
                compiler_fence(Ordering::SeqCst);
                return (self.stamp.load(Ordering::Relaxed) == stamp).then_some(site);
            }
        }
        None
    }

    /// The site of the backtrace from `caller`, wherever it is. Meanwhile handlers do without: what is
    /// found may come near, and nothing may write over its words until then.
    pub(crate) fn find_far(
        &'static self,
        caller: Fast,
        context: usize,
        generation: u32,
    ) -> Option<u32> {
        let _used = self.enter()?;
        let (set, tag) = self.far(&caller, context);
        let entry = set.iter().find_map(|place| {
            let place = place.get();
            let entry = (place & !POSITION == tag).then(|| self.entry(place))??;
            let is_known = entry.is_of(&caller, generation)
                // Nothing joins another walk on a stack whose end nobody knows: it is one piece.
                && (entry.has_end || entry.is_mapped(self.ring.kept(entry.words)?))
                // SAFETY: as in `find_near`.
                && unsafe { self.ring.are_unchanged(entry.words, entry.base) };
            is_known.then_some(entry)
        })?;
        self.may_come_near(entry);
        Some(entry.site)
    }

    /// The entry at `place`; `None` where it made room.
    fn entry(&self, place: usize) -> Option<Entry> {
        let at = self.ring.position().wrapping_sub(self.age(place));
        Some(Entry::read(self.ring.head(at)?, at.wrapping_add(1)))
    }

    /// How many fours are behind the entry at `place`.
    fn age(&self, place: usize) -> usize {
        self.ring.position().wrapping_sub(place) & POSITION
    }

    /// Starts to make an entry, or to look far; `None` while that goes on further out.
    pub(crate) fn enter(&'static self) -> Option<Use> {
        let stamp = self.stamp.load(Ordering::Relaxed);
        if is_busy(stamp) {
            return None;
        }
        self.stamp.store(stamp.wrapping_add(1), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        Some(Use(self))
    }

    /// Makes `entry`, which is found by `context`.
    pub(crate) fn put(&self, entry: Entry, context: usize) {
        let (set, tag) = self.far(&entry.caller(), context);
        // The oldest goes.
        if let Some(place) = set.iter().max_by_key(|place| self.age(place.get())) {
            let head = entry.words.position.wrapping_sub(1);
            place.set(tag | head & POSITION);
        }
        self.may_come_near(entry);
    }

    /// Has `entry` come near, where it is its turn: first in its set, where the oldest goes.
    fn may_come_near(&self, entry: Entry) {
        let found = self.found.get();
        self.found.set(found.wrapping_add(1));
        if !found.is_multiple_of(COMES_NEAR) {
            return;
        }
        let position = self.words.next();
        let len = self.ring.copy(entry.words, &self.words, position);
        let words = Piece { position, len };
        self.words.keep(words, None);
        let set = self.near(&entry.caller());
        for pair in set.windows(2).rev() {
            if let [newer, older] = pair {
                older.set(newer.get());
            }
        }
        if let [first, ..] = set {
            first.set(Entry { words, ..entry });
        }
    }
}

/// Bits that tell where the entry of `caller` with that `context` is; the upper ones are the best.
#[inline(always)]
fn mixed(caller: &Fast, context: usize) -> usize {
    const FACTOR: usize = 0x9e37_79b9_7f4a_7c15;
    let sum = caller.sp.wrapping_add(caller.pc).wrapping_add(context);
    let mixed = sum.wrapping_mul(FACTOR);
    mixed ^ mixed >> 32
}

#[inline(always)]
fn is_busy(stamp: u32) -> bool {
    stamp & 1 != 0
}

/// The calling thread's cache, for one entry.
#[derive(Debug)]
pub(crate) struct Use(pub(crate) &'static Traces);

impl Drop for Use {
    #[inline]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        let stamp = self.0.stamp.load(Ordering::Relaxed);
        self.0.stamp.store(stamp.wrapping_add(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests;
