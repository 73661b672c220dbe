//! Which block an address is in.
//!
//! ```text
//!   chunks  16 KiB of addresses each: the blocks that start before it, and its first line
//!   lines   1 KiB each: the blocks that start before it, and a bit for each granule that one starts in
//! ```
//! A block's number is that of the blocks which start up to the address, less one: a look-up counts
//! bits, and reads nothing of the blocks but the one that it finds. Chunks in which no block starts
//! have no lines.
//!
//! Invariants: blocks are sorted, start at granules and lie within the largest heap.

use super::Block;
use crate::ledger::layout::GRANULE;

/// Bytes of a line: a word has a bit for each of its granules.
const LINE: u64 = 64 * GRANULE;
/// Lines of a chunk.
const LINES: u64 = 16;
/// Bytes of a chunk.
const CHUNK: u64 = LINES * LINE;

/// The lines and chunks for some blocks.
#[derive(Debug)]
pub(super) struct Index {
    start: u64,
    /// The end of the last block.
    end: u64,
    chunks: Vec<Chunk>,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, Copy)]
struct Chunk {
    /// Blocks that start before it.
    before: u32,
    /// Its first line; [`NO_LINES`] where no block starts in it.
    lines: u32,
}

const NO_LINES: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// Blocks that start before it.
    before: u32,
    /// The granules that blocks start in.
    starts: u64,
    /// The granules that are as a whole in the last block that starts up to them.
    inside: u64,
}

impl Index {
    pub(super) fn new(blocks: &[Block]) -> Self {
        let first = blocks.first().map_or(0, |block| block.address);
        let last = blocks.last().map_or(0, |block| block.address);
        let start = first - first % CHUNK;
        let end = blocks.last().map_or(start, Block::end);
        let mut index = Self { start, end, chunks: Vec::new(), lines: Vec::new() };
        index.chunks.reserve(place((end - start) / CHUNK) + 1);
        let mut at = 0;
        while at < blocks.len() {
            let chunk = (blocks[at].address - start) / CHUNK;
            index.skip_to(place(chunk), number(at));
            let of_chunk = blocks[at..]
                .iter()
                .take_while(|block| (block.address - start) / CHUNK == chunk)
                .count();
            let last = at.checked_sub(1).map(|last| blocks[last]);
            index.add(last.as_slice(), &blocks[at..at + of_chunk], number(at));
            at += of_chunk;
        }
        // The last block may go on behind the chunk that it starts in.
        if last < end {
            index.skip_to(place((end - 1 - start) / CHUNK) + 1, number(blocks.len()));
        }
        index
    }

    /// Adds chunks without lines, up to `chunk`.
    fn skip_to(&mut self, chunk: usize, before: u32) {
        if self.chunks.len() < chunk {
            self.chunks.resize(chunk, Chunk { before, lines: NO_LINES });
        }
    }

    /// Adds the chunk in which `blocks` start; the block before them may end in it.
    fn add(&mut self, last: &[Block], blocks: &[Block], before: u32) {
        let first = self.lines.len();
        let chunk = self.chunks.len() as u64 * CHUNK;
        self.chunks.push(Chunk { before, lines: number(first) });
        self.lines.resize(first + place(LINES), Line::default());
        let lines = &mut self.lines[first..];
        for block in blocks {
            let granule = (block.address - self.start) / GRANULE % (CHUNK / GRANULE);
            lines[place(granule / 64)].starts |= 1 << (granule % 64);
        }
        let next = blocks.iter().skip(1).map(|next| next.address).chain([u64::MAX]);
        let next =
            blocks.first().map(|first| first.address).into_iter().skip(1 - last.len()).chain(next);
        for (block, next) in last.iter().chain(blocks).zip(next) {
            let offset =
                |address: u64| (address - self.start).saturating_sub(chunk).min(CHUNK) / GRANULE;
            let (from, to) = (offset(block.address), offset(block.end().min(next)));
            set(lines, from, to);
        }
        lines.iter_mut().fold(before, |before, line| {
            line.before = before;
            before + line.starts.count_ones()
        });
    }

    /// Whether `word` may be an address of a block.
    #[inline]
    pub(super) fn spans(&self, word: u64) -> bool {
        word.wrapping_sub(self.start) < self.end - self.start
    }

    /// The block of `blocks`, those that the index was made of, that `word` is in.
    #[inline]
    pub(super) fn find(&self, blocks: &[Block], word: u64) -> Option<u32> {
        let offset = word.wrapping_sub(self.start);
        let chunk = self.chunks.get(place(offset / CHUNK))?;
        let up_to = match chunk.lines {
            NO_LINES => chunk.before,
            lines => {
                let line = self.lines.get(lines as usize + place(offset / LINE % LINES))?;
                let granule = offset / GRANULE % 64;
                let up_to = line.before + (line.starts & (u64::MAX >> (63 - granule))).count_ones();
                if line.inside >> granule & 1 == 1 {
                    return up_to.checked_sub(1);
                }
                up_to
            }
        };
        let found = up_to.checked_sub(1)?;
        let block = blocks.get(found as usize)?;
        (word.wrapping_sub(block.address) < block.len()).then_some(found)
    }
}

/// Has the granules from `from` to `to` inside.
fn set(lines: &mut [Line], from: u64, to: u64) {
    let mut at = from;
    while at < to {
        let end = to.min((at / 64 + 1) * 64);
        lines[place(at / 64)].inside |= u64::MAX >> (64 - (end - at)) << (at % 64);
        at = end;
    }
}

/// A number of blocks or lines: a heap has room for fewer than a u32 counts.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[inline]
fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_has_the_block_that_a_search_finds() {
        let sizes = [16, 0, 1, 4096, 100_000, 24, 24, 24, 7];
        let gaps = [0, 16, 5, 1, 0, 0, 70_000, 3, 900];
        let mut at = 0x1_2340;
        let blocks: Vec<Block> = (0..900)
            .map(|index| {
                let block = Block { address: at, size: sizes[index * 7 % sizes.len()] };
                at += (block.len() + gaps[index * 5 % gaps.len()]).next_multiple_of(GRANULE);
                block
            })
            .collect();
        let index = Index::new(&blocks);
        let search = |word: u64| {
            let index = blocks.partition_point(|block| block.address <= word).checked_sub(1)?;
            (word - blocks[index].address < blocks[index].len()).then_some(number(index))
        };
        for block in &blocks {
            let (start, end) = (block.address, block.end());
            for word in [start - 1, start, end - 1, end, end + 15, start + block.size / 2] {
                assert_eq!(index.find(&blocks, word), search(word), "{word:#x}");
                assert!(index.spans(word) || search(word).is_none());
            }
        }
        for word in [0, 0x1_2000, at + 1_000_000, u64::MAX] {
            assert_eq!(index.find(&blocks, word), None, "{word:#x}");
        }
        assert!(!index.spans(0) && !index.spans(u64::MAX));
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

    #[test]
    fn a_damaged_ledger_s_blocks_overlap() {
        let blocks = [Block { address: 0x2000, size: 1 << 40 }, Block { address: 0x2010, size: 8 }];
        let index = Index::new(&blocks);
        assert_eq!(index.find(&blocks, 0x2008), Some(0));
        assert_eq!(index.find(&blocks, 0x2018), None, "the second starts nearer");
    }
}
