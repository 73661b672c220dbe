//! One entry of the side table, entered and removed.

use core::sync::atomic::{AtomicU64, Ordering};

use super::Book;
use crate::ledger::entry::Entry;
use crate::ledger::site::PAUSED;
use crate::preload::thread::Words;

/// Where the entry of a block is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    book: &'a Book,
    word: &'a AtomicU64,
    /// Offset of the word behind it.
    next: u64,
}

impl<'a> Place<'a> {
    /// The place at `word` of `book`, `next` being the offset of the word behind it.
    #[inline(always)]
    pub(super) fn new(book: &'a Book, word: &'a AtomicU64, next: u64) -> Self {
        Self { book, word, next }
    }

    /// The site of the block, if it has an entry.
    pub(crate) fn site(self) -> Option<u32> {
        Entry::decode(self.word.load(Ordering::Relaxed), || 0).map(|entry| entry.site)
    }

    /// Enters a block of `size` bytes, made now at `site`, and counts it, unless tracing is
    /// paused.
    #[inline(always)]
    pub(crate) fn enter(self, words: &Words, site: u32, size: usize) {
        let size = size as u64;
        self.store(Entry { site, epoch: self.book.epoch(), size });
        if site == PAUSED {
            return;
        }
        match words.shard() {
            Some(shard) => shard.allocated(size, self.book.header()),
            None => self.book.header().allocated(size),
        }
    }

    /// Removes the entry and counts the free; `None` where there is none.
    #[inline(always)]
    pub(crate) fn remove(self, words: &Words) -> Option<Entry> {
        let word = self.word.load(Ordering::Relaxed);
        self.word.store(0, Ordering::Release);
        let next = || self.next().map_or(0, |next| next.swap(0, Ordering::Relaxed));
        let entry = Entry::decode(word, next)?;
        if entry.site != PAUSED {
            match words.shard() {
                Some(shard) => shard.freed(entry.size, self.book.header()),
                None => self.book.header().freed(entry.size),
            }
        }
        Some(entry)
    }

    /// Takes one [`remove`](Self::remove) back.
    pub(crate) fn restore(self, words: &Words, entry: Entry) {
        self.store(entry);
        if entry.site == PAUSED {
            return;
        }
        match words.shard() {
            Some(shard) => shard.restored(entry.size),
            None => self.book.header().restored(entry.size),
        }
    }

    /// The word behind it, which a large block has to itself.
    fn next(&self) -> Option<&AtomicU64> {
        (self.next < self.book.layout.len).then(|| self.book.word(self.next))
    }

    #[inline(always)]
    fn store(self, entry: Entry) {
        let (word, next) = entry.encode();
        if let Some(size) = next
            && let Some(next) = self.next()
        {
            next.store(size, Ordering::Relaxed);
        }
        self.word.store(word, Ordering::Release);
    }
}
