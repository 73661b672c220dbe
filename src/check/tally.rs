//! From live allocations to groups: the sites of one ledger, named, judged and grouped by what
//! their tracebacks have in common.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;

use crate::child::ledger_file::{LedgerError, LedgerFile, Live};
use crate::ledger::site::{Node, flag};
use crate::report::table::{Memory, TableRow};
use crate::report::{Frame, Group, Reachability, Verdict};
use crate::symbols::{CodeAddress, DebugFiles, Symbolizer};
use crate::traceback;
use crate::verdict::{History, Total};

/// What each live block's address was found to be.
pub(crate) type Reached = HashMap<u64, Reachability>;

/// The sites of one ledger, with names.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    ledger: &'a LedgerFile,
    symbolizer: Symbolizer,
    host: Option<&'a str>,
}

impl<'a> Tally<'a> {
    /// A tally of what is in `ledger`; `host` is the base name of the executable that ran the
    /// steps.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn new(
        ledger: &'a LedgerFile,
        host: Option<&'a str>,
        debug_files: DebugFiles,
    ) -> Result<Self, LedgerError> {
        Ok(Self { ledger, symbolizer: Symbolizer::new(ledger.modules()?, debug_files), host })
    }

    /// The groups of an iterated scenario. `marks` are the readings at the end of each measured
    /// iteration; epochs up to `warmup` are the warm-up's. `reached` is about the last reading.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn by_age(
        &mut self,
        marks: &[Vec<Live>],
        warmup: u32,
        reached: Option<&Reached>,
    ) -> Result<Vec<Group>, LedgerError> {
        let histories = histories(marks, warmup);
        let worst = worst(marks.last().map(Vec::as_slice).unwrap_or_default(), warmup, reached);
        let mut groups: BTreeMap<Vec<String>, (History, Reachability, Vec<Frame>)> =
            BTreeMap::new();
        for (site, frames) in self.tracebacks(histories.keys().copied().collect())? {
            let Some(history) = histories.get(&site) else { continue };
            let reachability = worst.get(&site).copied().unwrap_or(Reachability::Unknown);
            groups
                .entry(traceback::key(&frames))
                .and_modify(|(merged, state, _)| {
                    merged.merge(history);
                    *state = (*state).min(reachability);
                })
                .or_insert_with(|| (history.clone(), reachability, frames));
        }
        let judged = groups.into_values().filter_map(|(history, reachability, frames)| {
            let judgement = history.judge()?;
            Some(Group {
                verdict: judgement.verdict,
                reachability,
                blocks: judgement.blocks,
                bytes: judgement.bytes,
                blocks_per_iteration: judgement.blocks_per_iteration,
                bytes_per_iteration: judgement.bytes_per_iteration,
                frames,
            })
        });
        Ok(sorted(judged.collect()))
    }

    /// The groups of a whole program: what is lost or indirect leaked, what is reachable did not;
    /// where nobody knows, nothing is said to leak.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn by_reachability(
        &mut self,
        live: &[Live],
        reached: Option<&Reached>,
    ) -> Result<Vec<Group>, LedgerError> {
        let mut totals: BTreeMap<(u32, Reachability), Total> = BTreeMap::new();
        for block in live.iter().filter(|block| !block.is_paused()) {
            let state = reached.and_then(|reached| reached.get(&block.address).copied());
            let key = (block.entry.site, state.unwrap_or(Reachability::Unknown));
            *totals.entry(key).or_default() += one(block);
        }
        let sites: BTreeSet<u32> = totals.keys().map(|(site, _)| *site).collect();
        let frames: BTreeMap<u32, Vec<Frame>> = self.tracebacks(sites)?.into_iter().collect();
        let mut groups: BTreeMap<(Vec<String>, Reachability), (Total, Vec<Frame>)> =
            BTreeMap::new();
        for ((site, state), total) in totals {
            let Some(frames) = frames.get(&site) else { continue };
            groups
                .entry((traceback::key(frames), state))
                .or_insert_with(|| (Total::default(), frames.clone()))
                .0 += total;
        }
        let judged = groups.into_iter().map(|((_, reachability), (total, frames))| {
            let leaked = matches!(reachability, Reachability::Lost | Reachability::Indirect);
            let each = |count: u64| if leaked { count as f64 } else { 0.0 };
            Group {
                verdict: if leaked { Verdict::Leak } else { Verdict::OneTime },
                reachability,
                blocks: total.blocks,
                bytes: total.bytes,
                blocks_per_iteration: each(total.blocks),
                bytes_per_iteration: each(total.bytes),
                frames,
            }
        });
        Ok(sorted(judged.collect()))
    }

    /// The heap, and a table of what is live from epoch `from` on.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn memory(&mut self, live: &[Live], from: u32) -> Result<Memory, LedgerError> {
        let mut totals: BTreeMap<u32, (Total, &Live)> = BTreeMap::new();
        let measured = |block: &&Live| !block.is_paused() && block.entry.epoch >= from;
        for block in live.iter().filter(measured) {
            let (total, sample) =
                totals.entry(block.entry.site).or_insert((Total::default(), block));
            *total += one(block);
            if block.entry.epoch >= sample.entry.epoch {
                *sample = block;
            }
        }
        let (header, counts) = (self.ledger.header(), self.ledger.counts());
        let mut memory = Memory {
            base: header.heap_base.load(Ordering::Relaxed),
            size: header.heap_size.load(Ordering::Relaxed),
            live_bytes: counts.live_bytes,
            peak_bytes: counts.peak_bytes,
            rows: Vec::new(),
        };
        for (site, frames) in self.named(&totals.keys().copied().collect())? {
            if let Some((total, sample)) = totals.get(&site) {
                let (bytes, count) = (total.bytes, total.blocks);
                memory.rows.push(TableRow { bytes, count, sample: sample.address, frames });
            }
        }
        Ok(memory)
    }

    fn tracebacks(&mut self, sites: BTreeSet<u32>) -> Result<Vec<(u32, Vec<Frame>)>, LedgerError> {
        let host = self.host;
        let named = self.named(&sites)?;
        Ok(named
            .into_iter()
            .map(|(site, frames)| (site, traceback::normalize(frames, host)))
            .collect())
    }

    /// The backtraces of `sites`, with names.
    fn named(&mut self, sites: &BTreeSet<u32>) -> Result<Vec<(u32, Vec<Frame>)>, LedgerError> {
        let mut backtraces = Vec::new();
        for site in sites {
            let nodes = self.ledger.backtrace(*site)?;
            backtraces.push((*site, nodes.iter().map(code_address).collect::<Vec<_>>()));
        }
        let all: Vec<_> = backtraces.iter().flat_map(|(_, frames)| frames).copied().collect();
        let names = self.symbolizer.symbolize_all(&all);
        let frames = |addresses: &[CodeAddress]| {
            addresses.iter().filter_map(|address| names.get(address)).flatten().cloned().collect()
        };
        Ok(backtraces.iter().map(|(site, addresses)| (*site, frames(addresses))).collect())
    }
}

fn code_address(node: &Node) -> CodeAddress {
    (node.module, node.offset, node.flags & flag::EXACT != 0)
}

fn one(block: &Live) -> Total {
    Total { blocks: 1, bytes: block.entry.size }
}

/// The history of every site that is live at any of `marks`.
fn histories(marks: &[Vec<Live>], warmup: u32) -> BTreeMap<u32, History> {
    let mut histories: BTreeMap<u32, History> = BTreeMap::new();
    for (index, mark) in marks.iter().enumerate() {
        let is_last = index + 1 == marks.len();
        // What was made before the first iteration, by opening plugins, is no iteration's.
        let counted = |block: &&Live| !block.is_paused() && block.entry.epoch > 0;
        for block in mark.iter().filter(counted) {
            let history =
                histories.entry(block.entry.site).or_insert_with(|| History::empty(marks.len()));
            history.marks[index] += one(block);
            if is_last {
                let age = block.entry.epoch.checked_sub(warmup + 1);
                match age.and_then(|age| history.ages.get_mut(age as usize)) {
                    Some(age) => *age += one(block),
                    None => history.warm += one(block),
                }
            }
        }
    }
    histories
}

/// The worst that is known of each site's blocks that are younger than the warm-up.
fn worst(live: &[Live], warmup: u32, reached: Option<&Reached>) -> HashMap<u32, Reachability> {
    let mut worst = HashMap::new();
    let Some(reached) = reached else { return worst };
    for block in live.iter().filter(|block| block.entry.epoch > warmup) {
        if let Some(state) = reached.get(&block.address) {
            let known = worst.entry(block.entry.site).or_insert(*state);
            *known = (*known).min(*state);
        }
    }
    worst
}

/// Those that fail first, then the largest; the same groups always come in the same order.
fn sorted(mut groups: Vec<Group>) -> Vec<Group> {
    groups.sort_by_cached_key(|group| {
        let rank = (!group.verdict.fails(), std::cmp::Reverse(group.bytes));
        (rank, group.reachability, traceback::key(&group.frames))
    });
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::Entry;
    use crate::ledger::site::PAUSED;

    fn block(address: u64, site: u32, epoch: u32, size: u64) -> Live {
        Live { address, entry: Entry { site, epoch, size } }
    }

    #[test]
    fn a_history_has_ages_of_the_end_and_totals_of_every_mark() {
        let first = vec![block(16, 5, 1, 10), block(32, 5, 3, 20)];
        let second = vec![block(32, 5, 3, 20), block(48, 5, 4, 20), block(64, 6, 4, 1)];
        let histories = histories(&[first, second], 2);
        let total = |blocks, bytes| Total { blocks, bytes };
        let five = &histories[&5];
        assert_eq!(five.warm, total(0, 0), "the block of the warm-up is gone at the end");
        assert_eq!(five.ages, [total(1, 20), total(1, 20)]);
        assert_eq!(five.marks, [total(2, 30), total(2, 40)]);
        assert_eq!(histories[&6].marks, [total(0, 0), total(1, 1)]);
    }

    #[test]
    fn what_was_allocated_in_a_pause_or_before_the_first_iteration_has_no_history() {
        assert!(histories(&[vec![block(16, PAUSED, 3, 10)]], 2).is_empty());
        assert!(histories(&[vec![block(16, 5, 0, 10)]], 2).is_empty());
    }

    #[test]
    fn the_worst_block_of_the_window_speaks_for_its_site() {
        let live = [block(16, 5, 1, 1), block(32, 5, 3, 1), block(48, 5, 4, 1)];
        let states = [Reachability::Lost, Reachability::Reachable, Reachability::Indirect];
        let reached = live.iter().map(|block| block.address).zip(states).collect();
        assert_eq!(worst(&live, 2, Some(&reached))[&5], Reachability::Indirect);
    }
}
