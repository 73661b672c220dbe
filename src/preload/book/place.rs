//! One entry of the side table, entered and removed.

use core::sync::atomic::{AtomicU64, Ordering};

use super::Book;
use crate::ledger::entry::{Entry, LARGE};
use crate::ledger::shard::Shard;
use crate::ledger::site::{INHERITED, is_traced};
use crate::preload::thread::Words;

/// Where the entry of a block is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    book: &'a Book,
    word: &'a AtomicU64,
}

impl<'a> Place<'a> {
    /// The place at `word` of `book`.
    #[inline(always)]
    pub(super) fn new(book: &'a Book, word: &'a AtomicU64) -> Self {
        Self { book, word }
    }

    /// The site of the block, if it has an entry.
    pub(crate) fn site(self) -> Option<u32> {
        Entry::decode(self.word.load(Ordering::Relaxed), || 0).map(|entry| entry.site)
    }

    /// Enters a block of `size` bytes, made now at `site`, and counts it, unless tracing is
    /// paused.
    pub(crate) fn enter(self, words: &Words, site: u32, size: usize) {
        match words.shard() {
            _ if !is_traced(site) => self.store(site, size),
            shard => {
                self.store(site, size);
                let (size, header) = (size as u64, self.book.header());
                shard.map_or_else(|| header.allocated(size), |own| own.allocated(size, header));
            }
        }
    }

    /// The same for a `site` that is [traced](is_traced), where the thread's own `shard` has room for
    /// the count, and the size for its word: with no call, which would cost registers.
    #[inline(always)]
    pub(crate) fn enters_plainly(self, shard: &Shard, site: u32, size: usize) -> bool {
        let is_plain = (size as u64) < LARGE && shard.takes_allocated(size as u64);
        if is_plain {
            self.store(site, size);
        }
        is_plain
    }

    /// [`remove`](Self::remove) of what was entered [plainly](Self::enters_plainly).
    #[inline(always)]
    pub(crate) fn removes_plainly(self, shard: &Shard) -> bool {
        let size = Entry::plain_size(self.word.load(Ordering::Relaxed));
        let is_plain = size.is_some_and(|size| shard.takes_freed(size));
        if is_plain {
            self.word.store(0, Ordering::Release);
        }
        is_plain
    }

    #[inline(always)]
    fn store(self, site: u32, size: usize) {
        self.put(Entry { site, epoch: self.book.epoch(), size: size as u64 });
    }

    /// Enters a block of `size` bytes that a child of `fork` inherited.
    pub(crate) fn inherit(self, size: usize) {
        self.store(INHERITED, size);
    }

    /// Removes the entry and counts the free; `None` where there is none.
    #[inline(always)]
    pub(crate) fn remove(self, words: &Words) -> Option<Entry> {
        let word = self.word.load(Ordering::Relaxed);
        self.word.store(0, Ordering::Release);
        let next = || self.next().map_or(0, |next| next.swap(0, Ordering::Relaxed));
        let entry = Entry::decode(word, next)?;
        if is_traced(entry.site) {
            match words.shard() {
                Some(shard) => shard.freed(entry.size, self.book.header()),
                None => self.book.header().freed(entry.size),
            }
        }
        Some(entry)
    }

    /// Takes one [`remove`](Self::remove) back.
    pub(crate) fn restore(self, words: &Words, entry: Entry) {
        self.put(entry);
        if !is_traced(entry.site) {
            return;
        }
        match words.shard() {
            Some(shard) => shard.restored(entry.size),
            None => self.book.header().restored(entry.size),
        }
    }

    /// The word behind it, which a large block has to itself.
    fn next(&self) -> Option<&AtomicU64> {
        self.book.word_behind(self.word)
    }

    #[inline(always)]
    fn put(self, entry: Entry) {
        let (word, next) = entry.encode();
        if let Some(size) = next
            && let Some(next) = self.next()
        {
            next.store(size, Ordering::Relaxed);
        }
        self.word.store(word, Ordering::Release);
    }
}
