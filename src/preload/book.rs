//! The ledger as the child writes it.
//!
//! Invariant of [`Book`]: `base` is a mapping of a whole ledger of `layout`, which is never
//! unmapped, and `table` its side table. Other processes read it; what this process wrote there it may believe, since only
//! a program that scribbles over foreign memory changes it.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

mod place;

pub(crate) use self::place::Place;
use super::index::{self, Index};
use crate::ledger::header::{Header, trouble};
use crate::ledger::layout::{GRANULE, Layout, MODULES};
use crate::ledger::module;
use crate::ledger::shard::{SHARD, SHARDS, Shard};
use crate::ledger::site::{Interned, NODE, Node};

/// A mapped ledger.
#[derive(Debug)]
pub(crate) struct Book {
    /// Null in a child of `fork`: the book's page is wiped there.
    base: AtomicPtr<u8>,
    table: AtomicPtr<AtomicU64>,
    heap_base: usize,
    layout: Layout,
    index: Index,
}

impl Book {
    /// The book of a process that keeps none.
    pub(crate) const fn closed() -> Self {
        Self {
            base: AtomicPtr::new(core::ptr::null_mut()),
            table: AtomicPtr::new(core::ptr::null_mut()),
            heap_base: 0,
            layout: Layout::NONE,
            index: Index::none(),
        }
    }

    /// The ledger of `layout` that is mapped at `base`, for the heap at `heap_base`; `None`
    /// where the kernel has no memory.
    ///
    /// # Safety
    /// The invariant of the type holds.
    pub(crate) unsafe fn new(base: *mut u8, heap_base: usize, layout: Layout) -> Option<Self> {
        let index = Index::new()?;
        let table_at = usize::try_from(layout.table_at).ok()?;
        let table = AtomicPtr::new(base.wrapping_add(table_at).cast());
        let book = Self { base: AtomicPtr::new(base), table, heap_base, layout, index };
        book.tell_tables();
        Some(book)
    }

    /// Has the parent know how much memory is the index's.
    #[cold]
    fn tell_tables(&self) {
        self.header().tables.store(index::bytes(), Ordering::Relaxed);
    }

    /// Where it is mapped, where its heap lies, and where what is in it.
    pub(crate) fn place_in_memory(&self) -> (usize, usize, Layout) {
        (self.base.load(Ordering::Relaxed) as usize, self.heap_base, self.layout)
    }

    /// Whether the ledger is this process's.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        !self.base.load(Ordering::Relaxed).is_null()
    }

    /// What lies `offset` bytes from the start, which is inside the layout.
    #[inline(always)]
    fn at<T>(&self, offset: u64) -> *const T {
        let offset = usize::try_from(offset).unwrap_or_default();
        self.base.load(Ordering::Relaxed).wrapping_add(offset).cast_const().cast()
    }

    /// The first page.
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the header lies at the start, is made of atomics, and is page-aligned.
        unsafe { &*self.at::<Header>(0) }
    }

    /// Says that the ledger is not complete.
    pub(crate) fn report(&self, what: u32) {
        self.header().trouble.fetch_or(what, Ordering::Relaxed);
    }

    /// Shard `number`.
    pub(crate) fn shard(&self, number: usize) -> Option<&Shard> {
        let offset = u64::try_from(number).ok()?.wrapping_mul(SHARD);
        let at = self.layout.shards_at.wrapping_add(offset);
        // SAFETY: the shards lie there, are made of atomics, and start at whole lines.
        (number < SHARDS).then(|| unsafe { &*self.at::<Shard>(at) })
    }

    /// The word of the side table behind `word`.
    fn word_behind(&self, word: &AtomicU64) -> Option<&AtomicU64> {
        // From the ledger's start: the reference reaches its own word alone.
        let start = self.base.load(Ordering::Relaxed).addr();
        let offset = core::ptr::from_ref(word).addr().wrapping_sub(start).wrapping_add(8) as u64;
        (offset < self.layout.len).then(|| self.word(offset))
    }

    fn word(&self, offset: u64) -> &AtomicU64 {
        // SAFETY: every caller's offset is inside the layout and a multiple of 8.
        unsafe { &*self.at::<AtomicU64>(offset) }
    }

    /// The place of the entry of `block`; `None` where that is not in the heap, or the book is
    /// closed.
    #[inline(always)]
    pub(crate) fn place(&self, block: usize) -> Option<Place<'_>> {
        let offset = block.wrapping_sub(self.heap_base) as u64;
        if offset >= self.layout.heap_size {
            return None;
        }
        let granule = offset >> GRANULE.trailing_zeros();
        let table = self.table.load(Ordering::Relaxed);
        let at = table.wrapping_add(usize::try_from(granule).unwrap_or_default());
        // SAFETY: the side table has a word for each granule of the heap.
        Some(Place::new(self, unsafe { &*at }))
    }

    /// The epoch of what is allocated now.
    #[inline(always)]
    fn epoch(&self) -> u32 {
        self.header().epoch.load(Ordering::Relaxed)
    }

    /// The frame at `offset` of `module` whose caller is `outside`, made where it is new; `None`
    /// where the ledger is full.
    #[inline(always)]
    pub(crate) fn intern(
        &self,
        outside: Interned,
        module: u16,
        flags: u16,
        offset: u64,
    ) -> Option<Interned> {
        let words = Node { parent: outside.number, module, flags, offset }.encode();
        let hash = Interned::hash_with(outside.hash, module, flags, offset);
        let is = |number: u32| self.node_words(number) == words;
        let made = || self.make_node(words);
        let number = self.index.find_or_make(hash, is, made);
        if number.is_none() {
            self.report(trouble::NODES_FULL);
        }
        Some(Interned { number: number?, hash })
    }

    /// A node of `hash` is looked for in a moment.
    #[inline(always)]
    pub(crate) fn expect(&self, hash: u64) {
        self.index.expect(hash);
    }

    /// Whether two sites are of one backtrace.
    pub(crate) fn is_same(&self, mut one: u32, mut other: u32) -> bool {
        while one != other {
            let [a, b] = [one, other].map(|number| Node::decode(self.node_words(number)));
            if (a.module, a.flags, a.offset) != (b.module, b.flags, b.offset) {
                return false;
            }
            (one, other) = (a.parent, b.parent);
        }
        true
    }

    #[cold]
    fn make_node(&self, words: (u64, u64)) -> Option<u32> {
        let count = &self.header().node_count;
        let number = count.fetch_add(1, Ordering::Relaxed);
        if number >= self.layout.nodes {
            // Keeps the count from wrapping around.
            count.store(self.layout.nodes, Ordering::Relaxed);
            self.report(trouble::NODES_FULL);
            return None;
        }
        let at = self.node_at(number);
        self.word(at).store(words.0, Ordering::Relaxed);
        self.word(at.wrapping_add(8)).store(words.1, Ordering::Relaxed);
        if self.index.grow_for(number) {
            self.tell_tables();
        }
        Some(number)
    }

    fn node_words(&self, number: u32) -> (u64, u64) {
        let at = self.node_at(number.min(self.layout.nodes.wrapping_sub(1)));
        let second = self.word(at.wrapping_add(8)).load(Ordering::Relaxed);
        (self.word(at).load(Ordering::Relaxed), second)
    }

    fn node_at(&self, number: u32) -> u64 {
        self.layout.nodes_at.wrapping_add(u64::from(number).wrapping_mul(NODE))
    }

    /// How many module records there are, number 0 included.
    pub(crate) fn module_count(&self) -> u16 {
        let count = self.header().module_count.load(Ordering::Acquire).min(MODULES);
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    /// A copy of module record `number`.
    pub(crate) fn module(&self, number: u16) -> [u8; module::RECORD] {
        let mut record = [0; module::RECORD];
        for (index, bytes) in record.chunks_exact_mut(8).enumerate() {
            let word = self.module_word(number, index).load(Ordering::Relaxed);
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        record
    }

    /// Keeps `record` under a number of its own; `None` where the ledger is full.
    pub(crate) fn add_module(&self, record: &[u8; module::RECORD]) -> Option<u16> {
        let count = &self.header().module_count;
        let number = count.fetch_add(1, Ordering::AcqRel).max(1);
        if number >= MODULES {
            count.store(MODULES, Ordering::Relaxed);
            self.report(trouble::MODULES_FULL);
            return None;
        }
        let number = u16::try_from(number).ok()?;
        for (index, bytes) in record.chunks_exact(8).enumerate() {
            let word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
            self.module_word(number, index).store(word, Ordering::Relaxed);
        }
        core::sync::atomic::fence(Ordering::Release);
        Some(number)
    }

    fn module_word(&self, number: u16, index: usize) -> &AtomicU64 {
        let record = u64::from(number).wrapping_mul(module::RECORD as u64);
        let offset = record.wrapping_add((index as u64).wrapping_mul(8));
        self.word(self.layout.modules_at.wrapping_add(offset))
    }
}

const _: () = assert!(MODULES <= 1 << 12, "a module's number fits twelve bits of modules.rs");

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests;
