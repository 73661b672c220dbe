//! Which node a frame has: a hash table of node numbers that grows with them. It is the process's
//! own memory; the parent reads nodes alone.
//!
//! A table that is half full is followed by one four times as large, twice where it is large already.
//! Until all numbers are in the new one, what isn't found there is looked for in the old one, too, which
//! stays readable for good. The thread that makes one may be stopped amid it: where the last eighth is
//! left, another goes ahead. Threads that come at the wrong moment may make a second node for a frame: both
//! mean the same, and the parent puts together what has the same traceback.
//!
//! Invariant of [`Table`]: a table that is reachable is never unmapped, and `mask + 1` slots, a
//! power of two, follow its head.

use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use super::system;
use super::unwind::arch::prefetch;

// A slot is `[hash: 32][number: 32]`, 0 where it is free.
const NUMBER_BITS: u32 = 32;
const FREE: u64 = 0;

/// How far a search goes; a table is never more than half full.
const MAX_PROBES: u32 = 4096;

const FIRST_SLOTS: u32 = 1 << 12;
const GROWTH: u32 = 4;
/// A table of so many slots grows by 2: what it does not need is memory that the kernel has to clear.
const LARGE: u32 = 1 << 20;
const HUGE_PAGE: usize = 2 << 20;

/// Bytes of all tables that this process has, or was forked with.
static BYTES: AtomicU64 = AtomicU64::new(0);

/// How many bytes the tables take, at most.
pub(crate) fn bytes() -> u64 {
    BYTES.load(Ordering::Relaxed)
}

/// One hash table, by its address: a reference to its head would not reach the slots.
#[derive(Debug, Clone, Copy)]
struct Table(NonNull<Head>);

/// What lies in front of the slots.
#[repr(C, align(64))]
#[derive(Debug)]
struct Head {
    mask: u32,
    /// All that is in `older` is here.
    complete: AtomicBool,
    /// A larger one is being made.
    outgrown: AtomicBool,
    older: Option<Table>,
}

/// Where a search ended.
enum Found {
    Number(u32),
    Free(&'static AtomicU64),
    Full,
}

impl Deref for Table {
    type Target = Head;

    #[inline(always)]
    fn deref(&self) -> &Head {
        // SAFETY: the type's invariant; what changes is an atomic.
        unsafe { self.0.as_ref() }
    }
}

impl Table {
    fn new(slots: u32, older: Option<Self>) -> Option<Self> {
        let bytes = (slots as usize).checked_mul(size_of::<AtomicU64>())?;
        let len = bytes.checked_add(size_of::<Head>())?;
        let at = NonNull::new(system::reserve(len, HUGE_PAGE)?)?.cast::<Head>();
        if bytes >= HUGE_PAGE {
            system::prefer_huge_pages(at.as_ptr().cast(), len);
        }
        let complete = AtomicBool::new(older.is_none());
        let mask = slots.wrapping_sub(1);
        // SAFETY: the memory is fresh, large enough and aligned; zero slots are free ones.
        unsafe { at.write(Head { mask, complete, outgrown: AtomicBool::new(false), older }) };
        BYTES.fetch_add(len as u64, Ordering::Relaxed);
        Some(Self(at))
    }

    fn slot(self, index: u32) -> &'static AtomicU64 {
        let first = self.0.as_ptr().wrapping_add(1).cast::<AtomicU64>();
        let at = first.wrapping_add((index & self.mask) as usize);
        // SAFETY: the type's invariant; the index is cut to the number of slots.
        unsafe { &*at }
    }

    #[inline(always)]
    fn find(self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Found {
        for probe in 0..MAX_PROBES.min(self.mask) {
            let slot = self.slot(hash.wrapping_add(probe));
            let word = slot.load(Ordering::Acquire);
            if word == FREE {
                return Found::Free(slot);
            }
            let (known, number) = parts(word);
            if known == hash && is(number) {
                return Found::Number(number);
            }
        }
        Found::Full
    }

    /// What is not here yet, in those that this one follows.
    #[inline(always)]
    fn find_before(self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut table = self;
        while !table.complete.load(Ordering::Acquire) {
            table = table.older?;
            if let Found::Number(number) = table.find(hash, &mut is) {
                return Some(number);
            }
        }
        None
    }

    /// Takes `slot` for `number`; false where somebody was faster.
    fn take(slot: &AtomicU64, hash: u32, number: u32) -> bool {
        let word = u64::from(hash) << NUMBER_BITS | u64::from(number);
        slot.compare_exchange(FREE, word, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn put(self, hash: u32, number: u32) {
        while let Found::Free(slot) = self.find(hash, |other| other == number) {
            if Self::take(slot, hash, number) {
                return;
            }
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "its halves")]
fn parts(word: u64) -> (u32, u32) {
    ((word >> NUMBER_BITS) as u32, word as u32)
}

/// What the table knows of a hash: the better half.
fn upper(hash: u64) -> u32 {
    parts(hash).0
}

/// The index of one ledger's nodes.
#[derive(Debug)]
pub(crate) struct Index {
    newest: AtomicPtr<Head>,
}

impl Index {
    /// That of a process that keeps no ledger.
    pub(crate) const fn none() -> Self {
        Self { newest: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// An empty one; `None` where the kernel has no memory.
    pub(crate) fn new() -> Option<Self> {
        let Table(first) = Table::new(FIRST_SLOTS, None)?;
        Some(Self { newest: AtomicPtr::new(first.as_ptr()) })
    }

    fn newest(&self) -> Table {
        let newest = self.newest.load(Ordering::Acquire);
        // SAFETY: `new` and `grow_for` put whole tables there, which are never unmapped.
        Table(unsafe { NonNull::new_unchecked(newest) })
    }

    /// Something of `hash` is looked for in a moment.
    #[inline(always)]
    pub(crate) fn expect(&self, hash: u64) {
        prefetch(self.newest().slot(upper(hash)));
    }

    /// The number for which `is` says so, among those of `hash`, or the one that `make` gives.
    #[inline(always)]
    pub(crate) fn find_or_make(
        &self,
        hash: u64,
        mut is: impl FnMut(u32) -> bool,
        make: impl FnOnce() -> Option<u32>,
    ) -> Option<u32> {
        let hash = upper(hash);
        let table = self.newest();
        if let Found::Number(number) = table.find(hash, &mut is) {
            return Some(number);
        }
        if let Some(number) = table.find_before(hash, &mut is) {
            return Some(number);
        }
        let made = make()?;
        // Making it may have made the table grow.
        let table = self.newest();
        loop {
            match table.find(hash, &mut is) {
                Found::Number(number) => return Some(number),
                Found::Full => return None,
                Found::Free(slot) => {
                    if Table::take(slot, hash, made) {
                        return Some(made);
                    }
                }
            }
        }
    }

    /// Grows where `count` numbers fill half of it; whether it did.
    pub(crate) fn grow_for(&self, count: u32) -> bool {
        let older = self.newest();
        if count <= older.mask / 2 {
            return false;
        }
        let is_complete = older.complete.load(Ordering::Acquire);
        let is_first = is_complete && !older.outgrown.swap(true, Ordering::AcqRel);
        if !is_first && count <= older.mask.wrapping_sub(older.mask / 8) {
            return false;
        }
        let slots = older.mask.wrapping_add(1);
        let slots = slots.saturating_mul(if slots < LARGE { GROWTH } else { 2 });
        // Without memory the old one goes on until it is full.
        let Some(table) = Table::new(slots, Some(older)) else { return false };
        let at = |Table(head)| head.as_ptr();
        let put =
            self.newest.compare_exchange(at(older), at(table), Ordering::AcqRel, Ordering::Acquire);
        if put.is_err() {
            // Somebody was faster; the kernel gave no page but the first.
            return false;
        }
        for index in 0..=older.mask {
            let word = older.slot(index).load(Ordering::Acquire);
            if word != FREE {
                let (hash, number) = parts(word);
                table.put(hash, number);
            }
        }
        // What comes late into an older one is never here.
        table.complete.store(is_complete, Ordering::Release);
        true
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::arithmetic_side_effects, reason = "a test may panic")]
mod tests {
    use super::*;

    /// So many numbers; under Miri fewer, enough for a second table whoever makes it.
    const fn up_to(count: u32) -> u32 {
        if cfg!(miri) { 4000 } else { count }
    }

    fn hash(number: u32) -> u64 {
        // Many share one.
        u64::from((number / 3).wrapping_mul(0x9e37_79b9)) << NUMBER_BITS
    }

    #[test]
    fn every_number_is_found_while_it_grows() {
        let index = Index::new().expect("there is memory");
        for number in 1..up_to(200_000) {
            let made = index.find_or_make(hash(number), |other| other == number, || Some(number));
            assert_eq!(made, Some(number));
            index.grow_for(number);
            let earlier = 1 + number / 2;
            let make = || None;
            let found = index.find_or_make(hash(earlier), |other| other == earlier, make);
            assert_eq!(found, Some(earlier));
        }
        assert!(index.newest().mask >= 2 * up_to(200_000), "it grew");
    }

    #[test]
    fn threads_find_what_others_made() {
        let index = Index::new().expect("there is memory");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 1..up_to(50_000) {
                        let found = index.find_or_make(
                            hash(number),
                            |other| other == number,
                            || Some(number),
                        );
                        assert_eq!(found, Some(number));
                        index.grow_for(number);
                    }
                });
            }
        });
    }

    #[test]
    fn a_thread_that_stands_while_it_makes_a_table_keeps_nobody_from_growing() {
        type Stops = fn(Table);
        let stops: [Stops; 2] = [
            |table| table.outgrown.store(true, Ordering::Relaxed),
            |table| table.complete.store(false, Ordering::Relaxed),
        ];
        for stops in stops {
            let index = Index::new().expect("there is memory");
            for number in 1..up_to(100_000) {
                let newest = index.newest();
                if newest.older.is_none() || newest.mask >= 1 << 16 {
                    stops(newest);
                }
                let made =
                    index.find_or_make(hash(number), |other| other == number, || Some(number));
                assert_eq!(made, Some(number));
                index.grow_for(number);
                let earlier = 1 + number / 2;
                let found = index.find_or_make(hash(earlier), |other| other == earlier, || None);
                assert_eq!(found, Some(earlier));
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "millions of probes")]
    fn nothing_is_made_where_nothing_can_be() {
        let index = Index::new().expect("there is memory");
        assert_eq!(index.find_or_make(7 << NUMBER_BITS, |_| false, || None), None);
        // Nothing equals anything, and all have one hash: the search ends.
        let made = (1..5000)
            .filter_map(|number| index.find_or_make(7 << NUMBER_BITS, |_| false, || Some(number)));
        assert!(made.count() <= MAX_PROBES as usize);
    }
}
