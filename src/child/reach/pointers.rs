//! Which blocks each block points to: read once, in the order of addresses, through one buffer that
//! stays in the processor's cache. What a heap of pointers, text and zeros holds is kept as numbers
//! of blocks alone, so that marking walks over a tenth of the heap's bytes.
//!
//! Invariant: at most [`KEPT`] pointers are kept; the blocks behind those that have them are read
//! again when they are asked for.

use super::Block;
use super::index::Index;

const WORD: usize = 8;
const PAGE: u64 = 4096;

/// Bytes that are read at a time.
const WINDOW: u64 = 256 << 10;

/// The most pointers that are kept, of 8 bytes each.
const KEPT: usize = 32 << 20;

/// A pointer to the start of a block or into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pointer {
    /// The block that it leads to.
    pub(super) to: u32,
    /// Which word of its own block it is; the largest number for all that are behind.
    pub(super) word: u32,
}

/// The pointers of blocks.
#[derive(Debug, Default)]
pub(super) struct Pointers {
    /// Where those of each block end, of the first blocks.
    ends: Vec<u32>,
    all: Vec<Pointer>,
}

impl Pointers {
    /// The pointers that `blocks` hold, as `content` reads them.
    pub(super) fn read<R>(blocks: &[Block], index: &Index, content: &mut Content<R>) -> Self
    where
        R: FnMut(u64, &mut [u8]) -> usize,
    {
        Self::read_some(blocks, index, content, KEPT)
    }

    fn read_some<R>(blocks: &[Block], index: &Index, content: &mut Content<R>, most: usize) -> Self
    where
        R: FnMut(u64, &mut [u8]) -> usize,
    {
        let mut found = Self { ends: Vec::with_capacity(blocks.len()), all: Vec::new() };
        for block in 0..blocks.len() {
            let start = found.all.len();
            content.pointers(blocks, index, block, &mut found.all);
            if found.all.len() > most {
                found.all.truncate(start);
                break;
            }
            found.ends.push(u32::try_from(found.all.len()).unwrap_or(u32::MAX));
        }
        // From now on blocks are asked for in any order.
        content.reads_ahead = false;
        found
    }

    /// The pointers of `block`; `None` where they are not kept.
    #[inline]
    pub(super) fn of(&self, block: u32) -> Option<&[Pointer]> {
        let end = *self.ends.get(block as usize)? as usize;
        let start = block.checked_sub(1).map_or(0, |before| self.ends[before as usize] as usize);
        self.all.get(start..end)
    }

    /// Has the processor fetch what is known of `blocks`: all at once takes as long as one.
    pub(super) fn touch(&self, blocks: &[u32]) {
        let ends = blocks.iter().filter_map(|block| self.ends.get(*block as usize));
        let touched = ends.filter_map(|end| self.all.get((*end as usize).checked_sub(1)?));
        std::hint::black_box(touched.fold(0, |sum, pointer| sum ^ pointer.to));
    }
}

/// What blocks hold, read by `read`: it fills its buffer from an address on, as far as that can be
/// read, and says how many bytes that were.
pub(super) struct Content<R> {
    read: R,
    buffer: Vec<u8>,
    /// What of the memory is in the buffer.
    start: u64,
    end: u64,
    /// What is read with a block are those behind it, too.
    reads_ahead: bool,
}

impl<R: FnMut(u64, &mut [u8]) -> usize> Content<R> {
    pub(super) fn new(read: R) -> Self {
        Self { read, buffer: Vec::new(), start: 0, end: 0, reads_ahead: true }
    }

    /// Adds the pointers of `blocks[at]` to `found`.
    pub(super) fn pointers(
        &mut self,
        blocks: &[Block],
        index: &Index,
        at: usize,
        found: &mut Vec<Pointer>,
    ) {
        let mut from = blocks[at].address;
        let end = content_end(blocks, at);
        let mut word = 0;
        while from < end {
            if from < self.start || from >= self.end {
                let last = if self.reads_ahead { blocks.len() } else { at + 1 };
                self.fill(from, window_end(&blocks[..last], at, from));
            }
            let to = end.min(self.end);
            let piece = &self.buffer[len(from - self.start)..len(to - self.start)];
            let (words, _) = piece.as_chunks::<WORD>();
            for bytes in words {
                let value = u64::from_le_bytes(*bytes);
                if index.spans(value)
                    && let Some(to) = index.find(blocks, value)
                {
                    found.push(Pointer { to, word });
                }
                word = word.saturating_add(1);
            }
            from = to;
        }
    }

    /// Has `from` to `end` in the buffer; what can't be read is zero.
    fn fill(&mut self, from: u64, end: u64) {
        let wanted = len(end - from);
        if self.buffer.len() < wanted {
            // Most windows are far smaller than they may be.
            self.buffer = vec![0; wanted.next_power_of_two()];
        }
        (self.start, self.end) = (from, end);
        let mut at = from;
        while at < end {
            let rest = &mut self.buffer[len(at - from)..len(end - from)];
            let count = match (self.read)(at, rest) {
                0 => {
                    let page = rest.len().min(len(PAGE - at % PAGE));
                    rest[..page].fill(0);
                    page
                }
                count => count,
            };
            at += count as u64;
        }
    }
}

/// Where the content of `blocks[at]` ends. A damaged ledger may have blocks that overlap: no byte is
/// read for two of them.
fn content_end(blocks: &[Block], at: usize) -> u64 {
    let next = blocks.get(at + 1).map_or(u64::MAX, |next| next.address);
    blocks[at].address.saturating_add(blocks[at].size).min(next)
}

/// Where a window ends that starts at `from`, in `blocks[at]`: pages without a block are left out,
/// since reading one that was never touched would make it.
fn window_end(blocks: &[Block], at: usize, from: u64) -> u64 {
    let most = from.saturating_add(WINDOW);
    let mut end = content_end(blocks, at);
    for next in at + 1..blocks.len() {
        if end >= most || blocks[next].address >= end.saturating_add(PAGE) {
            break;
        }
        end = content_end(blocks, next);
    }
    end.min(most)
}

/// A number of bytes, of which there are never more than a window has.
fn len(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x10_0000;

    /// Blocks whose every word points to the block whose number it is, modulo their count; a page
    /// of them is missing.
    fn blocks() -> Vec<Block> {
        let sizes = [16, 0, 40, 700_000, 20, 64];
        let mut at = BASE;
        (0..60)
            .map(|index| {
                let block = Block { address: at, size: sizes[index % sizes.len()] };
                at += block.len().next_multiple_of(16) + if index % 7 == 0 { 9 << 12 } else { 0 };
                block
            })
            .collect()
    }

    const MISSING: std::ops::Range<u64> = BASE + 0x8000..BASE + 0x9000;

    fn value(blocks: &[Block], at: u64) -> u64 {
        blocks[len(at / 8 % blocks.len() as u64)].address + at % 24
    }

    /// The pointers, and the ranges that were read.
    fn read(blocks: &[Block], most: usize) -> (Vec<Vec<Pointer>>, Vec<(u64, u64)>) {
        let mut reads = Vec::new();
        let index = Index::new(blocks);
        let mut content = Content::new(|at: u64, buffer: &mut [u8]| {
            reads.push((at, at + buffer.len() as u64));
            let stop = if at < MISSING.start { MISSING.start } else { u64::MAX };
            if MISSING.contains(&at) {
                return 0;
            }
            let count = buffer.len().min(len(stop - at));
            for (word, at) in buffer[..count].chunks_mut(8).zip((at..).step_by(8)) {
                word.copy_from_slice(&value(blocks, at).to_le_bytes()[..word.len()]);
            }
            count
        });
        let kept = Pointers::read_some(blocks, &index, &mut content, most);
        let mut all: Vec<_> = (0..blocks.len())
            .rev()
            .map(|block| match kept.of(u32::try_from(block).expect("small")) {
                Some(pointers) => pointers.to_vec(),
                None => {
                    let mut found = Vec::new();
                    content.pointers(blocks, &index, block, &mut found);
                    found
                }
            })
            .collect();
        all.reverse();
        (all, reads)
    }

    #[test]
    fn every_word_of_every_block_is_looked_at() {
        let blocks = blocks();
        let (found, reads) = read(&blocks, KEPT);
        let index = Index::new(&blocks);
        for (block, found) in blocks.iter().zip(found) {
            let words = (block.address..block.end()).step_by(8).zip(0_u32..);
            let words = words.filter(|(at, _)| at + 8 <= block.address + block.size);
            let expected: Vec<_> = words
                .filter(|(at, _)| !MISSING.contains(at))
                .filter_map(|(at, word)| {
                    let to = index.find(&blocks, value(&blocks, at))?;
                    Some(Pointer { to, word })
                })
                .collect();
            assert!(found == expected, "{block:?}");
        }
        let holes = blocks.windows(2).map(|pair| (pair[0].end(), pair[1].address));
        for (start, end) in holes.filter(|(start, end)| end - start > 2 * PAGE) {
            let covers = |read: &&(u64, u64)| read.0 <= start && end <= read.1;
            assert_eq!(reads.iter().find(covers), None, "the hole at {start:#x} stays one");
        }
    }

    #[test]
    fn they_are_the_same_whether_they_are_kept_or_not() {
        let blocks = blocks();
        let (kept, few) = read(&blocks, KEPT);
        for most in [0, 1000, 200_000] {
            let (some, many) = read(&blocks, most);
            assert!(kept == some, "at most {most} kept");
            assert!(few.len() < many.len(), "{} reads, and {}", few.len(), many.len());
            let bytes = |reads: &[(u64, u64)]| reads.iter().map(|it| it.1 - it.0).sum::<u64>();
            assert!(bytes(&many) < 3 * bytes(&few), "no block has others read again");
        }
    }
}
