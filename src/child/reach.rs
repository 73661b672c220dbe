//! What a program's pointers reach: a conservative mark over its live blocks.
//!
//! A word that holds an address inside a block, at its start or in its middle, counts as a
//! pointer to it, as LeakSanitizer counts them. A block that no root leads to is lost; one that
//! only lost blocks lead to is indirect. Of a ring of lost blocks the first by address is lost
//! and the others are indirect.

mod content;
mod index;

use crate::report::Reachability;
use content::Content;
use index::Index;

/// A block by its address in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where it starts.
    pub(crate) address: u64,
    /// Its requested bytes.
    pub(crate) size: u64,
}

impl Block {
    /// A block of no bytes has its address all the same.
    fn len(&self) -> u64 {
        self.size.max(1)
    }

    fn end(&self) -> u64 {
        self.address.saturating_add(self.len())
    }
}

/// The live blocks of a child, sorted by address, with what is known of each.
#[derive(Debug)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    index: Index,
    found: Found,
}

/// What is known of each block, and which are still to be looked into.
#[derive(Debug)]
struct Found {
    states: Vec<Reachability>,
    seen: Vec<bool>,
    open: Vec<usize>,
}

/// Blocks whose words are looked up together.
const TOGETHER: usize = 64;

/// Words that are kept until they are looked up.
const WORDS: usize = 1024;

impl Blocks {
    /// The blocks, which have to be sorted by address and must not overlap; none is reached yet.
    pub(crate) fn new(blocks: Vec<Block>) -> Self {
        debug_assert!(blocks.is_sorted_by_key(|block| block.address), "blocks come sorted");
        let states = vec![Reachability::Lost; blocks.len()];
        let found = Found { states, seen: vec![false; blocks.len()], open: Vec::new() };
        Self { index: Index::new(&blocks), blocks, found }
    }

    /// What is known of each block, in the order they were given.
    pub(crate) fn into_states(self) -> Vec<Reachability> {
        self.found.states
    }

    /// Marks what `roots` lead to; `read` fills its buffer with what is at an address, as far as
    /// it can be read, and says how many bytes that were.
    pub(crate) fn mark(
        &mut self,
        roots: impl IntoIterator<Item = u64>,
        read: impl FnMut(u64, &mut [u8]) -> usize,
    ) {
        let mut content = Content::new(self.index.range(), read);
        for root in roots {
            if let Some(index) = self.index.find(&self.blocks, root) {
                self.found.reach(index, Reachability::Reachable);
            }
        }
        self.flood(None, Reachability::Reachable, &mut content);
        for start in 0..self.blocks.len() {
            if !self.found.seen[start] {
                self.found.seen[start] = true;
                self.found.open.push(start);
                self.flood(Some(start), Reachability::Indirect, &mut content);
            }
        }
    }

    /// Follows the pointers of the open blocks; what they lead to gets `state`, a lost block that
    /// was seen before included: it is not the first of its own after all. What leads back to
    /// `start` says nothing.
    fn flood<R: FnMut(u64, &mut [u8]) -> usize>(
        &mut self,
        start: Option<usize>,
        state: Reachability,
        content: &mut Content<R>,
    ) {
        const WORD: usize = 8;
        let Self { blocks, index, found } = self;
        let mut words: Vec<u64> = Vec::new();
        let look_up = |words: &mut Vec<u64>, found: &mut Found| {
            index.find_all(blocks, words, |next| {
                if Some(next) != start {
                    found.reach(next, state);
                }
            });
            words.clear();
        };
        while !found.open.is_empty() {
            let first = found.open.len().saturating_sub(TOGETHER);
            let batch = found.open.split_off(first);
            content.touch(batch.iter().map(|at| blocks[*at].address));
            for at in batch {
                let block = blocks[at];
                // A damaged ledger may have blocks that overlap: no byte is read twice.
                let next = blocks.get(at + 1).map_or(u64::MAX, |next| next.address);
                let end = block.address.saturating_add(block.size).min(next);
                content.pieces(block.address, end, |piece| {
                    let all = piece.chunks_exact(WORD);
                    let all = all.map(|word| word.try_into().map_or(0, u64::from_le_bytes));
                    words.extend(all.filter(|word| index.spans(*word)));
                    if words.len() >= WORDS {
                        look_up(&mut words, found);
                    }
                });
            }
            look_up(&mut words, found);
        }
    }
}

impl Found {
    /// Something leads to the block at `index`.
    fn reach(&mut self, index: usize, state: Reachability) {
        if self.states[index] == Reachability::Lost {
            self.states[index] = state;
        }
        if !std::mem::replace(&mut self.seen[index], true) {
            self.open.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use Reachability::{Indirect, Lost, Reachable};

    /// Four blocks of 32 bytes, at 0x1000, 0x1100, 0x1200, 0x1300; `pointers` are the words of
    /// each.
    fn states(roots: &[u64], pointers: [&[u64]; 4]) -> Vec<Reachability> {
        let address = |index: u64| 0x1000 + index * 0x100;
        let blocks = (0..4).map(|index| Block { address: address(index), size: 32 }).collect();
        let mut blocks = Blocks::new(blocks);
        let memory: HashMap<u64, u64> = (0..)
            .zip(pointers)
            .flat_map(|(index, words)| (address(index)..).step_by(8).zip(words.iter().copied()))
            .collect();
        blocks.mark(roots.iter().copied(), |at, buffer| {
            for (word, at) in buffer.chunks_exact_mut(8).zip((at..).step_by(8)) {
                let value = memory.get(&at).copied().unwrap_or_default();
                word.copy_from_slice(&value.to_le_bytes());
            }
            buffer.len()
        });
        blocks.into_states()
    }

    #[test]
    fn without_roots_everything_is_lost() {
        assert_eq!(states(&[], [&[], &[], &[], &[]]), [Lost, Lost, Lost, Lost]);
    }

    #[test]
    fn a_chain_from_a_root_is_reachable() {
        let found = states(&[0x1000], [&[7, 0x1100], &[0x1200], &[], &[]]);
        assert_eq!(found, [Reachable, Reachable, Reachable, Lost]);
    }

    #[test]
    fn a_pointer_into_the_middle_counts_and_one_past_the_end_does_not() {
        assert_eq!(states(&[0x101f, 0x1120], [&[], &[], &[], &[]])[..2], [Reachable, Lost]);
    }

    #[test]
    fn what_only_lost_blocks_lead_to_is_indirect() {
        let found = states(&[], [&[0x1100], &[0x1200], &[], &[]]);
        assert_eq!(found, [Lost, Indirect, Indirect, Lost]);
        let backwards = states(&[], [&[], &[], &[0x1000], &[0x1200]]);
        assert_eq!(backwards, [Indirect, Lost, Indirect, Lost]);
    }

    #[test]
    fn of_a_ring_one_is_lost() {
        let found = states(&[], [&[0x1100], &[0x1000], &[0x1200], &[]]);
        assert_eq!(found, [Lost, Indirect, Lost, Lost], "a pointer to itself says nothing");
    }

    #[test]
    fn a_block_of_no_bytes_is_found_by_its_address() {
        let mut blocks = Blocks::new(vec![Block { address: 0x2000, size: 0 }]);
        blocks.mark([0x2000], |_, _| 0);
        assert_eq!(blocks.into_states(), [Reachable]);
    }
}
