//! Which block an address is in.
//!
//! The addresses that blocks span are cut into parts of equal size, about as many as there are
//! blocks; each knows the first block that starts in it or behind it. A look-up reads two words
//! that lie beside each other, and a block or two.

use super::Block;

/// The parts, for blocks that are sorted by address.
#[derive(Debug)]
pub(super) struct Index {
    start: u64,
    /// The end of the last block.
    end: u64,
    shift: u32,
    /// One more than there are parts: a part's blocks end where the next one's start.
    first: Vec<u32>,
}

impl Index {
    pub(super) fn new(blocks: &[Block]) -> Self {
        let start = blocks.first().map_or(0, |block| block.address);
        let last = blocks.last().map_or(0, |block| block.address);
        let end = blocks.last().map_or(0, |last| last.end());
        let most = blocks.len() as u64 * 2;
        let mut shift = 0;
        while (last - start) >> shift > most {
            shift += 1;
        }
        let parts = part(last - start, shift) + 1;
        let mut first = Vec::with_capacity(parts + 1);
        for (index, block) in (0..).zip(blocks) {
            let part = part(block.address - start, shift);
            while first.len() <= part {
                first.push(index);
            }
        }
        first.push(u32::try_from(blocks.len()).unwrap_or(u32::MAX));
        Self { start, end, shift, first }
    }

    /// From where to where blocks lie.
    pub(super) fn range(&self) -> (u64, u64) {
        (self.start, self.end)
    }

    /// Whether `word` may be an address of a block.
    #[inline]
    pub(super) fn spans(&self, word: u64) -> bool {
        word.wrapping_sub(self.start) < self.end - self.start
    }

    /// The block of `blocks`, those that the index was made of, that `word` is in.
    pub(super) fn find(&self, blocks: &[Block], word: u64) -> Option<usize> {
        find(blocks, word, self.part_of(word)?)
    }

    /// Calls `each` with the block of each of `words` that is in one. What a step needs of memory
    /// is asked for of all words before the next step: no look-up waits for another one's.
    pub(super) fn find_all(&self, blocks: &[Block], words: &[u64], mut each: impl FnMut(usize)) {
        // With a few there is nothing to wait for that the processor does not see itself.
        const FEW: usize = 8;
        const TOGETHER: usize = 64;
        for words in words.chunks(TOGETHER) {
            if words.len() > FEW {
                let parts = words.iter().filter_map(|word| self.part_of(*word));
                let touched = parts.filter_map(|(_, to)| blocks.get(to.saturating_sub(1)));
                std::hint::black_box(touched.fold(0, |sum, block| sum ^ block.address));
            }
            words.iter().filter_map(|word| self.find(blocks, *word)).for_each(&mut each);
        }
    }

    /// From which block to which those start that start in the part of `word`.
    #[inline]
    fn part_of(&self, word: u64) -> Option<(usize, usize)> {
        let offset = word.checked_sub(self.start)?;
        // What is behind the last block's start is in the last part.
        let part = part(offset, self.shift).min(self.first.len().checked_sub(2)?);
        Some((*self.first.get(part)? as usize, *self.first.get(part + 1)? as usize))
    }
}

/// The block that `word` is in: one of those in its part, or the last before them.
#[inline]
fn find(blocks: &[Block], word: u64, (from, to): (usize, usize)) -> Option<usize> {
    let behind = blocks.get(from..to)?.iter().take_while(|block| block.address <= word).count();
    let index = (from + behind).checked_sub(1)?;
    let block = blocks.get(index)?;
    // Where the part is not known, the block may be anywhere.
    (word.checked_sub(block.address)? < block.len()).then_some(index)
}

#[inline]
fn part(offset: u64, shift: u32) -> usize {
    usize::try_from(offset >> shift).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_has_the_block_that_a_search_finds() {
        let sizes = [16, 0, 1, 4096, 100_000, 24, 24, 24, 7];
        let gaps = [0, 16, 5, 1, 0, 0, 70_000, 3, 900];
        let mut at = 0x1000;
        let blocks: Vec<Block> = (0..900)
            .map(|index| {
                let block = Block { address: at, size: sizes[index * 7 % sizes.len()] };
                at += block.len() + gaps[index * 5 % gaps.len()];
                block
            })
            .collect();
        let index = Index::new(&blocks);
        assert!(index.first.len() <= 2 * blocks.len() + 2, "{}", index.first.len());
        let search = |word: u64| {
            let index = blocks.partition_point(|block| block.address <= word).checked_sub(1)?;
            (word - blocks[index].address < blocks[index].len()).then_some(index)
        };
        let mut words = vec![0, u64::MAX];
        for block in &blocks {
            for word in [block.address.wrapping_sub(1), block.address, block.end() - 1, block.end()]
            {
                assert_eq!(index.find(&blocks, word), search(word), "{word:#x}");
                words.push(word);
                assert!(index.spans(word) || search(word).is_none());
            }
        }
        let mut found = Vec::new();
        index.find_all(&blocks, &words, |block| found.push(block));
        assert_eq!(found, words.iter().copied().filter_map(search).collect::<Vec<_>>());
        for word in [0, 0xfff, at + 1_000_000, u64::MAX] {
            assert_eq!(index.find(&blocks, word), None, "{word:#x}");
            assert!(!index.spans(word));
        }
    }

    #[test]
    fn one_block_and_none() {
        let none = Index::new(&[]);
        assert!(!none.spans(0) && none.find(&[], 0).is_none());
        let one = [Block { address: 0x2000, size: 0 }];
        let index = Index::new(&one);
        assert_eq!(index.find(&one, 0x2000), Some(0), "a block of no bytes has its address");
        assert_eq!(index.find(&one, 0x2001), None);
    }
}
