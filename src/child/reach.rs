//! What a program's pointers reach: a conservative mark over its live blocks.
//!
//! A word that holds an address inside a block, at its start or in its middle, counts as a
//! pointer to it, as LeakSanitizer counts them. A block that no root leads to is lost; one that
//! only lost blocks lead to is indirect. Of a ring of lost blocks the first by address is lost
//! and the others are indirect.
//!
//! ```text
//!   index     which block an address is in
//!   pointers  the blocks that each block points to, read once
//!   flood     follows them, level by level
//!   reached   what came of it: states, owners, chains
//! ```

mod flood;
mod index;
mod pointers;
mod reached;

use flood::Flood;
use index::Index;
use pointers::{Content, Pointers};
pub(crate) use reached::Reached;

/// A block by its address in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where it starts: a multiple of the ledger's granule.
    pub(crate) address: u64,
    /// Its requested bytes.
    pub(crate) size: u64,
}

impl Block {
    /// A block of no bytes has its address all the same.
    #[inline]
    fn len(&self) -> u64 {
        self.size.max(1)
    }

    fn end(&self) -> u64 {
        self.address.saturating_add(self.len())
    }
}

/// A word that the program can use without following a pointer, and that may be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    /// Its value.
    pub(crate) word: u64,
    /// Where it lies.
    pub(crate) origin: Origin,
}

/// Where a root lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// At an address outside the heap.
    Memory(u64),
    /// In a register of the thread with this number.
    Register(u32),
    /// In the kernel, with what an epoll instance watches.
    Epoll,
    /// In the kernel, with a timer.
    Timer,
    /// In a block that the process was forked with.
    Inherited,
}

/// Marks what `roots` lead to in `blocks`, which have to be sorted by address. Roots come in
/// classes: what one leads to is said to be held by it, whatever later ones lead to. `read` fills
/// its buffer with what is at an address, as far as it can be read, and says how many bytes that
/// were.
pub(crate) fn mark(
    blocks: &[Block],
    roots: &[Vec<Root>],
    read: impl FnMut(u64, &mut [u8]) -> usize,
) -> Reached {
    debug_assert!(blocks.is_sorted_by_key(|block| block.address), "blocks come sorted");
    let index = Index::new(blocks);
    let mut content = Content::new(read);
    let pointers = Pointers::read(blocks, &index, &mut content);
    let mut flood = Flood::new(blocks.len(), &pointers, |block, found| {
        content.pointers(blocks, &index, block as usize, found);
    });
    for class in roots {
        for root in class {
            if let Some(block) = index.find(blocks, root.word) {
                flood.root(block, root.origin);
            }
        }
        flood.follow();
    }
    flood.rest();
    let trail = flood.into_trail();
    Reached::new(trail, pointers)
}

#[cfg(test)]
mod tests;
