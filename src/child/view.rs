//! What of a child's live blocks its own pointers reach, while it stands.

use std::io;
use std::sync::atomic::Ordering;

use super::kernel;
use super::ledger_file::{LedgerError, LedgerFile, Live};
use super::memory::Stopped;
use super::memory::places::{Kind, Place, Places};
use super::reach::{self, Block};
use crate::ledger::header::mark;
use crate::report::Reachability;

/// What is known of some live blocks, by their order.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    marked: reach::Reached,
    places: Places,
    own: u64,
}

/// How a block is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Where the root lies.
    pub(crate) root: Place,
    /// The blocks between the root and the block, and the offset in each of the pointer to the
    /// next, where that is known.
    pub(crate) between: Vec<(usize, Option<u64>)>,
}

impl Reached {
    /// The files that have code in the child; none where nobody had to look at it.
    pub(super) fn code(&self) -> impl Iterator<Item = &str> {
        self.places.code()
    }

    /// Bytes in memory that the child made for itself, beside the heap, stacks, modules' data and what the
    /// preload heap has; 0 where nobody had to look at it.
    pub(super) fn own_bytes(&self) -> u64 {
        self.own
    }

    /// What is known of `block`.
    pub(crate) fn state(&self, block: usize) -> Reachability {
        self.marked.state(block)
    }

    /// The lost block that leads to `block`, where that is indirect: the first by address of those
    /// that do.
    pub(crate) fn owner(&self, block: usize) -> Option<usize> {
        self.marked.owner(block)
    }

    /// Of `blocks` the reachable one whose chain is the first to tell of: the shortest from the
    /// roots that live longest.
    pub(crate) fn nearest(&self, blocks: impl IntoIterator<Item = usize>) -> Option<usize> {
        self.marked.nearest(blocks)
    }

    /// What holds `block`; `None` where nothing does.
    pub(crate) fn chain(&self, block: usize) -> Option<Chain> {
        let chain = self.marked.chain(block)?;
        let next = chain.between.iter().skip(1).chain([&block]);
        let between = chain.between.iter().zip(next);
        let between = between.map(|(from, to)| (*from, self.marked.offset(*from, *to)));
        Some(Chain { root: self.places.at(chain.origin), between: between.collect() })
    }
}

/// A mark of blocks that are no child's.
#[cfg(any(test, feature = "internals"))]
impl From<reach::Reached> for Reached {
    fn from(marked: reach::Reached) -> Self {
        Self { marked, ..Self::default() }
    }
}

/// The live blocks of the process `pid` that has `ledger` and stands at its exit or waits for a request, and what each of
/// them is; not those that it inherited. Its threads run until they are stopped: the ledger that counts is the one after that.
///
/// # Errors
/// Where the ledger or the child's memory can't be read.
pub(crate) fn look(pid: u32, ledger: &LedgerFile) -> Result<(Vec<Live>, Reached), LedgerError> {
    if !ledger.has_live()? {
        return Ok(Default::default());
    }
    let stopped = stop(pid, ledger).map_err(LedgerError::Memory)?;
    let mut live = ledger.live()?;
    let inherited = take_inherited(&mut live);
    // Their bytes are read: blocks that overlap may be more than the heap is.
    if let Some(pair) = live.windows(2).find(|pair| pair[0].end() > pair[1].address) {
        let what = format!("the block at {:#x} reaches into the next", pair[0].address);
        return Err(LedgerError::Damaged(what));
    }
    let reached = reached(pid, ledger, &stopped, &live, &inherited).map_err(LedgerError::Memory)?;
    // What could not be read because the program was killed would look like no pointers at all.
    stopped.still_stands().map_err(LedgerError::Memory)?;
    Ok((live, reached))
}

/// Takes what was inherited out of `live`: where these blocks begin and end, at the next one at last.
fn take_inherited(live: &mut Vec<Live>) -> Vec<(u64, u64)> {
    let mut inherited = Vec::new();
    for (at, block) in live.iter().enumerate().filter(|(_, block)| block.is_inherited()) {
        let next = live.get(at + 1).map_or(u64::MAX, |next| next.address);
        inherited.push((block.address, block.end().min(next)));
    }
    live.retain(|block| !block.is_inherited());
    inherited
}

fn stop(pid: u32, ledger: &LedgerFile) -> io::Result<Stopped> {
    let mut stopped = Stopped::new(pid)?;
    let header = ledger.header();
    if header.mark.load(Ordering::Acquire) == mark::AT_EXIT {
        // Below the frame that called `exit` lies what `main` left: dead, and full of pointers.
        let id = header.exit_thread.load(Ordering::Relaxed);
        let registers = header.exit_registers.iter().map(|word| word.load(Ordering::Relaxed));
        if let Some(thread) = stopped.threads_mut().iter_mut().find(|thread| thread.id == id) {
            thread.stack = thread.stack.max(header.exit_stack.load(Ordering::Relaxed));
            thread.registers = registers.collect();
        }
    }
    Ok(stopped)
}

fn reached(
    pid: u32,
    ledger: &LedgerFile,
    stopped: &Stopped,
    live: &[Live],
    inherited: &[(u64, u64)],
) -> io::Result<Reached> {
    let header = ledger.header();
    let base = header.heap_base.load(Ordering::Relaxed);
    let end = base.saturating_add(header.heap_size.load(Ordering::Relaxed));
    let places = stopped.places();
    let (mut roots, own) = stopped.roots((base, end), &ledger.caches(), &places)?;
    let own = own.saturating_sub(header.tables.load(Ordering::Relaxed));
    let others = &mut roots[Kind::Other as usize];
    others.extend(kernel::roots(pid));
    // What of them is held, and by what, is the parent's account: all of it may hold something.
    others.extend(stopped.inherited_roots(inherited, (base, end))?);
    let block = |live: &Live| Block { address: live.address, size: live.entry.size };
    let blocks: Vec<_> = live.iter().map(block).collect();
    let marked = reach::mark(&blocks, &roots, |address, buffer| stopped.read(address, buffer));
    Ok(Reached { marked, places, own })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::Entry;
    use crate::ledger::site::INHERITED;

    #[test]
    fn what_was_inherited_is_apart_and_ends_at_the_next_block() {
        let block = |address, site, size| Live { address, entry: Entry { site, epoch: 0, size } };
        let (a, b) = (block(0x1000, INHERITED, 64), block(0x1040, INHERITED, 64));
        let (own, c) = (block(0x1060, 3, 16), block(0x2000, INHERITED, 16));
        let mut live = vec![a, b, own, c];
        let inherited = take_inherited(&mut live);
        assert_eq!(inherited, [(0x1000, 0x1040), (0x1040, 0x1060), (0x2000, 0x2010)]);
        assert_eq!(live, [own]);
    }
}
