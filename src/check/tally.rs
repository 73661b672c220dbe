//! From live allocations to groups: the sites of one ledger, named, judged and grouped by what
//! their tracebacks have in common.
//!
//! ```text
//!   ages        iterations: what the ages of a traceback's blocks say
//!   recursion   tracebacks that differ in how deep a recursion was
//!   marks       what each site had live after each iteration
//!   sites       numbers in place of sites, so that what is known of them lies in rows
//!   tracebacks  what the sites are called
//!   ties        what holds the blocks, and what they lead to
//! ```

mod ages;
mod marks;
mod recursion;
mod sites;
mod ties;
mod tracebacks;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;

pub(crate) use self::ages::Judged;
pub(crate) use self::marks::Marks;
use self::sites::{Buckets, Number, Places};
use self::ties::Held;
use self::tracebacks::{Traceback, Tracebacks};
use crate::child::ledger_file::{LedgerError, LedgerFile, Live};
use crate::child::view::Reached;
use crate::report::table::{Memory, TableRow};
use crate::report::{Group, Reachability, Rises, Ties, Verdict};
use crate::symbols::Symbols;
use crate::verdict::Total;

/// The sites of one ledger, with names.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    ledger: &'a LedgerFile,
    tracebacks: Tracebacks<'a>,
}

impl<'a> Tally<'a> {
    /// A tally of what is in `ledger`; `host` is the base name of the executable that ran the
    /// steps, and `symbols` is what other tallies of the same report have found out.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn new(
        ledger: &'a LedgerFile,
        host: Option<&'a str>,
        symbols: &'a mut Symbols,
    ) -> Result<Self, LedgerError> {
        Ok(Self { ledger, tracebacks: Tracebacks::new(ledger, host, symbols)? })
    }

    /// The groups of a whole program: what is lost or indirect leaked, what is reachable did not;
    /// where nobody knows, nothing is said to leak. `reached` says what each block of `live` is.
    /// Reachable ones are looked at where `all` are wanted: names take longer than the rest.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn by_reachability(
        &mut self,
        live: &[Live],
        reached: Option<&Reached>,
        all: bool,
    ) -> Result<Vec<Group>, LedgerError> {
        let wanted = |at: usize, block: &Live| {
            !block.is_paused() && (all || state(reached, at) != Reachability::Reachable)
        };
        let mut places = Places::new();
        let mut totals: Vec<[Total; STATES.len()]> = Vec::new();
        for (at, block) in live.iter().enumerate().filter(|(at, block)| wanted(*at, block)) {
            let place = places.of(block.entry.site);
            if place == totals.len() {
                totals.push(Default::default());
            }
            totals[place][state(reached, at) as usize] += one(block);
        }
        let tracebacks = self.tracebacks.sorted(places.sorted())?;
        let mut keys = vec![0; tracebacks.len()];
        tracebacks.iter().for_each(|(place, it)| keys[*place] = it.key);
        let key_of = |at: usize| {
            let block = &live[at];
            let place = wanted(at, block).then(|| places.known(block.entry.site))??;
            Some(Number::new(keys[place]))
        };
        let group = |key: usize, state: Reachability| key * STATES.len() + state as usize;
        let number_of = |at| key_of(at).map(|key| group(key.get(), state(reached, at)));
        let led_to = ties::led_to(live, reached, number_of);
        let mut behind = ties::behind(live, reached, number_of);
        let block_keys: Vec<_> = (0..live.len())
            .map(|at| key_of(at).filter(|_| all && state(reached, at) == Reachability::Reachable))
            .collect();
        let reachable = Buckets::new(self.tracebacks.keys(), &block_keys);
        let mut held = Held::default();
        let mut found: Vec<[Option<(Total, &Traceback)>; STATES.len()]> =
            vec![Default::default(); self.tracebacks.keys()];
        for (place, traceback) in &tracebacks {
            for (group, total) in found[traceback.key].iter_mut().zip(totals[*place]) {
                if total.blocks > 0 {
                    group.get_or_insert((Total::default(), traceback)).0 += total;
                }
            }
        }
        let mut groups = Vec::new();
        for (key, found) in found.into_iter().enumerate() {
            for (reachability, found) in STATES.into_iter().zip(found) {
                let Some((total, traceback)) = found else { continue };
                let leaked = matches!(reachability, Reachability::Lost | Reachability::Indirect);
                let each = |count: u64| if leaked { count as f64 } else { 0.0 };
                let number = group(key, reachability);
                let behind = behind.remove(&number).unwrap_or_default();
                let mut ties = Ties { number, behind, ..Ties::default() };
                match reachability {
                    Reachability::Lost => {
                        let led_to = led_to.get(&number).copied().unwrap_or_default();
                        (ties.blocks, ties.bytes) = (led_to.blocks, led_to.bytes);
                    }
                    Reachability::Reachable => held.add(groups.len(), reached, reachable.of(key)),
                    Reachability::Indirect | Reachability::Unknown => {}
                }
                groups.push((
                    key,
                    Group {
                        verdict: if leaked { Verdict::Leak } else { Verdict::OneTime },
                        reachability,
                        blocks: total.blocks,
                        bytes: total.bytes,
                        blocks_per_iteration: each(total.blocks),
                        bytes_per_iteration: each(total.bytes),
                        rises: Rises::default(),
                        frames: self.tracebacks.frames(traceback),
                        ties,
                    },
                ));
            }
        }
        held.write(&mut groups, live, self.ledger, &mut self.tracebacks)?;
        Ok(self.sorted(groups))
    }

    /// The heap, and a table of what is live from epoch `from` on.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn memory(&mut self, live: &[Live], from: u32) -> Result<Memory, LedgerError> {
        let mut places = Places::new();
        let mut totals: Vec<(Total, &Live)> = Vec::new();
        let measured = |block: &&Live| !block.is_paused() && block.entry.epoch >= from;
        for block in live.iter().filter(measured) {
            let place = places.of(block.entry.site);
            if place == totals.len() {
                totals.push((Total::default(), block));
            }
            let (total, sample) = &mut totals[place];
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
        // Sites that differ in frames that are left out are one row.
        let mut rows: HashMap<Vec<usize>, usize> = HashMap::new();
        let mut epochs = Vec::new();
        for (place, traceback) in self.tracebacks.sorted(places.sorted())? {
            let (Total { blocks, bytes }, sample) = totals[place];
            let (address, epoch) = (sample.address, sample.entry.epoch);
            match rows.entry(self.tracebacks.numbers(&traceback).to_vec()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(epochs.len());
                    epochs.push(epoch);
                    let frames = self.tracebacks.frames(&traceback);
                    memory.rows.push(TableRow { bytes, count: blocks, sample: address, frames });
                }
                Entry::Occupied(known) => {
                    let row = &mut memory.rows[*known.get()];
                    row.bytes = row.bytes.saturating_add(bytes);
                    row.count = row.count.saturating_add(blocks);
                    if epoch >= epochs[*known.get()] {
                        (row.sample, epochs[*known.get()]) = (address, epoch);
                    }
                }
            }
        }
        Ok(memory)
    }

    /// Those that fail first, what is indirect behind what may lead to it, then the largest; the same groups always come in the same order.
    /// With each comes the key of its traceback.
    fn sorted(&self, mut groups: Vec<(usize, Group)>) -> Vec<Group> {
        let ranks = self.tracebacks.ranks();
        groups.sort_unstable_by_key(|(key, group)| {
            let is_indirect = group.reachability == Reachability::Indirect;
            let rank = (!group.verdict.fails(), is_indirect, Reverse(group.bytes));
            (rank, group.reachability, &ranks[*key])
        });
        groups.into_iter().map(|(_, group)| group).collect()
    }
}

/// Every state, in its place.
const STATES: [Reachability; 4] =
    [Reachability::Lost, Reachability::Indirect, Reachability::Reachable, Reachability::Unknown];

/// What `reached` says of block `at`.
fn state(reached: Option<&Reached>, at: usize) -> Reachability {
    reached.map_or(Reachability::Unknown, |reached| reached.state(at))
}

fn one(block: &Live) -> Total {
    Total { blocks: 1, bytes: block.entry.size }
}

#[cfg(test)]
mod tests;
