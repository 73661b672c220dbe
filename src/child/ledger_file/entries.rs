//! The side table, read: what is live, by address.

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use rustix::fs::SeekFrom;

use super::{LedgerError, LedgerFile, WORD, word_at};
use crate::ledger::entry::Entry;
use crate::ledger::layout::{ENTRY, GRANULE};
use crate::ledger::site::{INHERITED, PAUSED, ROOT, UNTRACED, is_traced};

/// One live allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Live {
    /// Where the block lies in the child.
    pub(crate) address: u64,
    /// What the ledger holds of it.
    pub(crate) entry: Entry,
}

impl Live {
    /// The first address behind it.
    pub(crate) fn end(&self) -> u64 {
        self.address.saturating_add(self.entry.size)
    }

    /// Whether it was allocated while tracing was paused or off: no verdict counts it.
    pub(crate) fn is_paused(&self) -> bool {
        !is_traced(self.entry.site)
    }

    /// Whether the process inherited it when it was forked: its parent answers for it.
    pub(crate) fn is_inherited(&self) -> bool {
        self.entry.site == INHERITED
    }

    /// Whether it was allocated while tracing was off in the whole process.
    pub(crate) fn is_untraced(&self) -> bool {
        self.entry.site == UNTRACED
    }
}

/// Bytes of the table that are read at a time. The buffer is made for each reading: a larger one would
/// be pages that the kernel has to clear.
pub(super) const CHUNK: usize = 64 << 10;

impl LedgerFile {
    /// Every live allocation, by address.
    ///
    /// # Errors
    /// Where the file can't be read, or an entry makes no sense.
    pub(crate) fn live(&self) -> Result<Vec<Live>, LedgerError> {
        let mut live = Vec::new();
        self.each_live(|block| {
            live.push(block);
            ControlFlow::Continue(())
        })?;
        Ok(live)
    }

    /// Whether anything is live that was not inherited.
    ///
    /// # Errors
    /// Where the file can't be read, or an entry makes no sense.
    pub(crate) fn has_live(&self) -> Result<bool, LedgerError> {
        let mut found = false;
        self.each_live(|block| {
            found = !block.is_inherited();
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }

    /// Calls `each` with every live allocation, by address, until it breaks off.
    ///
    /// # Errors
    /// Where the file can't be read, or an entry makes no sense.
    pub(crate) fn each_live(
        &self,
        mut each: impl FnMut(Live) -> ControlFlow<()>,
    ) -> Result<(), LedgerError> {
        let base = self.header().heap_base.load(Ordering::Relaxed);
        if base.checked_add(self.layout.heap_size).is_none() || !base.is_multiple_of(GRANULE) {
            return Err(LedgerError::Damaged("the heap's base is not an address".into()));
        }
        let mut nodes = self.node_count();
        let mut buffer = Vec::new();
        let mut next_free = 0;
        let mut part = self.data(self.layout.table_at)?;
        while let Some((start, end)) = part {
            let mut at = start;
            while at < end {
                let len = (end - at).min(CHUNK as u64);
                // One word more: the size of a large block may lie beyond the chunk.
                let wanted = usize::try_from((len + ENTRY).min(self.layout.len - at))
                    .unwrap_or(CHUNK + WORD);
                // Most parts are a page: what is not needed would be cleared all the same.
                if buffer.len() < wanted {
                    buffer = vec![0_u8; wanted];
                }
                self.file.read_exact_at(&mut buffer[..wanted], at)?;
                let first = (at - self.layout.table_at) / ENTRY;
                let (words, _) = buffer[..wanted].as_chunks::<WORD>();
                let count = usize::try_from(len.div_ceil(ENTRY)).unwrap_or_default();
                // Most are empty. A test's own profile compiles this, with all that iterators call.
                let mut index = 0;
                while index < count.min(words.len()) {
                    let word = u64::from_le_bytes(words[index]);
                    let granule = first + index as u64;
                    index += 1;
                    if word == 0 || granule < next_free {
                        continue;
                    }
                    let following = || word_at(&buffer[..wanted], index * WORD);
                    let Some(entry) = Entry::decode(word, following) else { continue };
                    let granules = entry.size.div_ceil(GRANULE).max(1);
                    let fits = granules <= self.layout.granules().saturating_sub(granule);
                    if entry.site >= nodes {
                        // A thread of the child may have made it since.
                        nodes = self.node_count();
                    }
                    let known = entry.site != ROOT && entry.site < nodes
                        || !is_traced(entry.site) && entry.site <= PAUSED;
                    if !fits || !known {
                        let what = format!("entry {granule} has site {} of {nodes}", entry.site);
                        return Err(LedgerError::Damaged(what));
                    }
                    // A large block's size stands where its second granule's entry would.
                    next_free = granule + if Entry::is_large(word) { 2 } else { 1 };
                    if each(Live { address: base + granule * GRANULE, entry }).is_break() {
                        return Ok(());
                    }
                }
                at += len;
            }
            part = self.data(end)?;
        }
        Ok(())
    }

    /// The first part of the file from `from` on that was written: reading a hole would fill it.
    fn data(&self, from: u64) -> Result<Option<(u64, u64)>, LedgerError> {
        let start = match rustix::fs::seek(self.file.as_fd(), SeekFrom::Data(from)) {
            Ok(start) => start,
            Err(rustix::io::Errno::NXIO) => return Ok(None),
            Err(error) => return Err(LedgerError::Read(error.into())),
        };
        let end = rustix::fs::seek(self.file.as_fd(), SeekFrom::Hole(start))
            .map_err(std::io::Error::from)?;
        Ok(Some((start, end)))
    }
}
