//! The ledger as the child writes it.
//!
//! Invariant of [`Book`]: `base` is a mapping of a whole ledger of `layout`, which is never
//! unmapped. Other processes read it; what this process wrote there it may believe, since only
//! a program that scribbles over foreign memory changes it.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::ledger::entry::Entry;
use crate::ledger::header::{Header, trouble};
use crate::ledger::layout::{ENTRY, Layout, MODULES};
use crate::ledger::module;
use crate::ledger::site::{NODE, Node, PAUSED, ROOT, SLOT};

/// How far the search for a free slot goes; the table is never more than half full.
const MAX_PROBES: u32 = 4096;

/// A mapped ledger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Book {
    base: *mut u8,
    layout: Layout,
}

impl Book {
    /// The ledger of `layout` that is mapped at `base`.
    ///
    /// # Safety
    /// The invariant of the type holds.
    pub(crate) unsafe fn new(base: *mut u8, layout: Layout) -> Self {
        Self { base, layout }
    }

    /// The first page.
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the header lies at the start, is made of atomics, and is page-aligned.
        unsafe { &*self.base.cast::<Header>() }
    }

    /// Says that the ledger is not complete.
    pub(crate) fn report(&self, what: u32) {
        self.header().trouble.fetch_or(what, Ordering::Relaxed);
    }

    fn word(&self, offset: u64) -> &AtomicU64 {
        let at = self.base.wrapping_add(usize::try_from(offset).unwrap_or_default());
        // SAFETY: every caller's offset is inside the layout and a multiple of 8.
        unsafe { &*at.cast::<AtomicU64>() }
    }

    fn slot(&self, index: u32) -> &AtomicU32 {
        let offset = self.layout.slots_at.wrapping_add(u64::from(index).wrapping_mul(SLOT));
        let at = self.base.wrapping_add(usize::try_from(offset).unwrap_or_default());
        // SAFETY: `index` is cut to the table's size by the caller.
        unsafe { &*at.cast::<AtomicU32>() }
    }

    fn entry_word(&self, granule: u64) -> Option<&AtomicU64> {
        (granule < self.layout.granules())
            .then(|| self.word(self.layout.table_at.wrapping_add(granule.wrapping_mul(ENTRY))))
    }

    /// The site of the block at `granule`, if it has an entry.
    pub(crate) fn site(&self, granule: u64) -> Option<u32> {
        let word = self.entry_word(granule)?.load(Ordering::Relaxed);
        Entry::decode(word, || 0).map(|entry| entry.site)
    }

    /// Takes one [`remove`](Self::remove) back.
    pub(crate) fn restore(&self, granule: u64, entry: Entry) {
        self.store(granule, entry);
        if entry.site == PAUSED {
            return;
        }
        let header = self.header();
        header.frees.fetch_sub(1, Ordering::Relaxed);
        header.live_bytes.fetch_add(entry.size, Ordering::Relaxed);
    }

    fn store(&self, granule: u64, entry: Entry) {
        let (word, next) = entry.encode();
        if let (Some(size), Some(second)) = (next, self.entry_word(granule.wrapping_add(1))) {
            second.store(size, Ordering::Relaxed);
        }
        if let Some(first) = self.entry_word(granule) {
            first.store(word, Ordering::Release);
        }
    }

    /// Enters `entry` at `granule` and counts it, unless tracing is paused.
    pub(crate) fn enter(&self, granule: u64, entry: Entry) {
        self.store(granule, entry);
        if entry.site == PAUSED {
            return;
        }
        let header = self.header();
        header.allocations.fetch_add(1, Ordering::Relaxed);
        let live = header.live_bytes.fetch_add(entry.size, Ordering::Relaxed);
        let live = live.wrapping_add(entry.size);
        if live > header.peak_bytes.load(Ordering::Relaxed) {
            header.peak_bytes.fetch_max(live, Ordering::Relaxed);
        }
    }

    /// Removes the entry at `granule` and counts the free; `None` where the block was not traced.
    pub(crate) fn remove(&self, granule: u64) -> Option<Entry> {
        let first = self.entry_word(granule)?;
        let word = first.load(Ordering::Relaxed);
        if word == 0 {
            return None;
        }
        first.store(0, Ordering::Release);
        let second = self.entry_word(granule.wrapping_add(1));
        let entry =
            Entry::decode(word, || second.map_or(0, |second| second.swap(0, Ordering::Relaxed)))?;
        if entry.site == PAUSED {
            return Some(entry);
        }
        let header = self.header();
        header.frees.fetch_add(1, Ordering::Relaxed);
        header.live_bytes.fetch_sub(entry.size, Ordering::Relaxed);
        Some(entry)
    }

    /// The node for `node`, made where it is new; `None` where the ledger is full.
    pub(crate) fn intern(&self, node: Node) -> Option<u32> {
        let words = node.encode();
        let mask = self.layout.slots.wrapping_sub(1);
        #[allow(clippy::cast_possible_truncation, reason = "cut to the table's size anyway")]
        let mut index = Node::hash(words) as u32 & mask;
        let mut made = None;
        for _ in 0..MAX_PROBES {
            let slot = self.slot(index);
            let mut found = slot.load(Ordering::Acquire);
            if found == ROOT {
                let number = match made {
                    Some(number) => number,
                    None => *made.insert(self.make_node(words)?),
                };
                match slot.compare_exchange(ROOT, number, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => return Some(number),
                    Err(other) => found = other,
                }
            }
            if self.node_words(found) == words {
                return Some(found);
            }
            index = index.wrapping_add(1) & mask;
        }
        self.report(trouble::NODES_FULL);
        None
    }

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
mod tests {
    use super::*;

    /// A ledger in plain memory.
    fn book(nodes: u32) -> (Book, Vec<u64>) {
        let layout = Layout::new(1 << 20, nodes).expect("the sizes are fine");
        let mut memory = vec![0_u64; usize::try_from(layout.len / 8).expect("it fits")];
        // SAFETY: the memory holds a whole ledger; the caller keeps it as long as the book.
        let book = unsafe { Book::new(memory.as_mut_ptr().cast(), layout) };
        book.header().node_count.store(1, Ordering::Relaxed);
        book.header().module_count.store(1, Ordering::Relaxed);
        (book, memory)
    }

    fn node(parent: u32, offset: u64) -> Node {
        Node { parent, module: 1, flags: 0, offset }
    }

    #[test]
    fn entering_and_removing_keeps_the_counts() {
        let (book, _memory) = book(16);
        let (small, large) =
            (Entry { site: 3, epoch: 2, size: 5 }, Entry { site: 4, epoch: 2, size: 1 << 30 });
        book.enter(0, small);
        book.enter(100, large);
        assert_eq!(book.header().live_bytes.load(Ordering::Relaxed), 5 + (1 << 30));
        assert_eq!(book.remove(0), Some(small));
        assert_eq!(book.remove(0), None, "it is gone");
        assert_eq!(book.remove(100), Some(large));
        assert_eq!(book.remove(101), None, "its size is gone with it");
        assert_eq!(book.header().frees.load(Ordering::Relaxed), 2);
        assert_eq!(book.header().live_bytes.load(Ordering::Relaxed), 0);
        assert_eq!(book.header().peak_bytes.load(Ordering::Relaxed), 5 + (1 << 30));
    }

    #[test]
    fn a_paused_block_is_entered_and_not_counted() {
        let (book, _memory) = book(16);
        book.enter(7, Entry { site: PAUSED, epoch: 0, size: 40 });
        assert_eq!(book.site(7), Some(PAUSED));
        assert!(book.remove(7).is_some());
        assert_eq!(book.header().allocations.load(Ordering::Relaxed), 0);
        assert_eq!(book.header().frees.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_last_granule_is_safe() {
        let (book, _memory) = book(16);
        let last = (1 << 20) / 16 - 1;
        book.enter(last, Entry { site: 1, epoch: 0, size: 16 });
        assert!(book.remove(last).is_some());
        book.enter(last + 1, Entry { site: 1, epoch: 0, size: 16 });
        assert_eq!(book.remove(last + 1), None, "there is no such granule");
    }

    #[test]
    fn equal_backtraces_are_one_site() {
        let (book, _memory) = book(64);
        let outer = book.intern(node(ROOT, 10)).expect("there is room");
        let inner = book.intern(node(outer, 20)).expect("there is room");
        assert_eq!(book.intern(node(ROOT, 10)), Some(outer));
        assert_eq!(book.intern(node(outer, 20)), Some(inner));
        assert_ne!(book.intern(node(inner, 20)), Some(inner));
        assert!(outer < inner, "a parent has the smaller number");
    }

    #[test]
    fn a_full_ledger_says_so_and_goes_on() {
        let (book, _memory) = book(4);
        let made: Vec<_> = (0..10).map(|offset| book.intern(node(ROOT, offset))).collect();
        assert_eq!(made.iter().flatten().count(), 3, "node 0 is the root");
        assert_eq!(book.header().trouble.load(Ordering::Relaxed), trouble::NODES_FULL);
        assert_eq!(book.intern(node(ROOT, 0)), made[0], "what is in stays in");
    }

    #[test]
    fn threads_agree_on_the_sites() {
        let (book, _memory) = book(4096);
        let base = book.base as usize;
        let layout = book.layout;
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    // SAFETY: the memory outlives the threads, which are joined below.
                    let book = unsafe { Book::new(base as *mut u8, layout) };
                    (0..500).map(|at| book.intern(node(ROOT, at))).collect::<Vec<_>>()
                })
            })
            .collect();
        let sites: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        assert!(sites.iter().all(|site| site == &sites[0]), "one number for each frame");
    }
}
