//! What a program's pointers reach: a conservative mark over its live blocks.
//!
//! A word that holds an address inside a block, at its start or in its middle, counts as a
//! pointer to it, as LeakSanitizer counts them. A block that no root leads to is lost; one that
//! only lost blocks lead to is indirect. Of a ring of lost blocks the first by address is lost
//! and the others are indirect.

use crate::report::Reachability;

/// A block by its address in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where it starts.
    pub(crate) address: u64,
    /// Its requested bytes.
    pub(crate) size: u64,
}

/// The live blocks of a child, sorted by address, with what is known of each.
#[derive(Debug)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    states: Vec<Reachability>,
}

impl Blocks {
    /// The blocks, which have to be sorted by address and must not overlap; none is reached yet.
    pub(crate) fn new(blocks: Vec<Block>) -> Self {
        debug_assert!(blocks.is_sorted_by_key(|block| block.address), "blocks come sorted");
        let states = vec![Reachability::Lost; blocks.len()];
        Self { blocks, states }
    }

    /// What is known of each block, in the order they were given.
    pub(crate) fn states(&self) -> &[Reachability] {
        &self.states
    }

    fn find(&self, word: u64) -> Option<usize> {
        let after = self.blocks.partition_point(|block| block.address <= word);
        let index = after.checked_sub(1)?;
        let block = self.blocks[index];
        // A block of no bytes has its address all the same.
        (word - block.address < block.size.max(1)).then_some(index)
    }

    /// Marks what `roots` lead to; `read` fills its buffer with a block's content, as far as it
    /// can be read, and says how many bytes that were.
    pub(crate) fn mark(
        &mut self,
        roots: impl IntoIterator<Item = u64>,
        mut read: impl FnMut(u64, &mut [u8]) -> usize,
    ) {
        let mut seen = vec![false; self.blocks.len()];
        for root in roots {
            if let Some(index) = self.find(root).filter(|index| !seen[*index]) {
                self.states[index] = Reachability::Reachable;
                self.flood(index, Reachability::Reachable, &mut seen, &mut read);
            }
        }
        for index in 0..self.blocks.len() {
            if !seen[index] {
                self.flood(index, Reachability::Indirect, &mut seen, &mut read);
            }
        }
    }

    /// Follows the pointers from `start`; what they lead to gets `state`, a lost block that was
    /// seen before included: it is not the first of its own after all.
    fn flood(
        &mut self,
        start: usize,
        state: Reachability,
        seen: &mut [bool],
        read: &mut impl FnMut(u64, &mut [u8]) -> usize,
    ) {
        const WORD: usize = 8;
        let mut buffer = Vec::new();
        let mut open = vec![start];
        seen[start] = true;
        while let Some(index) = open.pop() {
            let block = self.blocks[index];
            buffer.resize(usize::try_from(block.size).unwrap_or(usize::MAX), 0);
            let len = read(block.address, &mut buffer);
            for word in buffer[..len].chunks_exact(WORD) {
                let word = word.try_into().map_or(0, u64::from_le_bytes);
                let Some(next) = self.find(word).filter(|next| *next != start) else { continue };
                if self.states[next] == Reachability::Lost {
                    self.states[next] = state;
                }
                if !std::mem::replace(&mut seen[next], true) {
                    open.push(next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reachability::{Indirect, Lost, Reachable};

    /// Four blocks of 32 bytes, at 0x1000, 0x1100, 0x1200, 0x1300; `pointers` are the words of
    /// each.
    fn states(roots: &[u64], pointers: [&[u64]; 4]) -> Vec<Reachability> {
        let address = |index: u64| 0x1000 + index * 0x100;
        let blocks = (0..4).map(|index| Block { address: address(index), size: 32 }).collect();
        let mut blocks = Blocks::new(blocks);
        blocks.mark(roots.iter().copied(), |at, buffer| {
            let index = usize::try_from((at - 0x1000) / 0x100).expect("a block");
            for (word, value) in buffer.chunks_exact_mut(8).zip(pointers[index]) {
                word.copy_from_slice(&value.to_le_bytes());
            }
            pointers[index].len() * 8
        });
        blocks.states().to_vec()
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
        assert_eq!(blocks.states(), [Reachable]);
    }
}
