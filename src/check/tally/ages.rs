//! The groups of an iterated scenario: each traceback by the ages of its live allocations, and
//! those that differ in how deep a recursion was as one, where only together they fail.

use super::marks::{Marks, Series};
use super::sites::{Buckets, Number};
use super::ties::{self, Held};
use super::tracebacks::Traceback;
use super::{Tally, one, recursion, state};
use crate::child::ledger_file::LedgerError;
use crate::child::view::Reached;
use crate::report::{Frame, Group, Reachability, Ties};
use crate::verdict::{History, Judgement, Window};

/// The groups of an iterated scenario.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// The groups, those that fail first.
    pub(crate) groups: Vec<Group>,
    /// Some fail whose blocks are still held: more iterations, or waiting, may acquit them.
    pub(crate) held: bool,
    /// Some pass that rose once: more iterations may convict them.
    pub(crate) rising: bool,
    /// Why the child's memory could not be read, where that would have told more.
    pub(crate) unread: Option<String>,
}

/// The blocks of the newest mark and the totals of all marks, by the keys of their tracebacks.
#[derive(Debug)]
struct Ages<'a> {
    marks: &'a Marks,
    series: Series<'a>,
    window: Window,
    /// The newest epoch of a block.
    newest: u32,
    reached: Option<&'a Reached>,
    blocks: Buckets,
    places: Buckets,
}

/// What is said of the blocks of some keys.
#[derive(Debug)]
struct Told {
    judgement: Judgement,
    /// Of what the iterations left.
    worst: Reachability,
    /// The iterations left some.
    is_measured: bool,
}

/// A group that is to be: the keys whose blocks are in it, the first of which stands for it.
#[derive(Debug)]
struct Gathered {
    keys: Vec<usize>,
    told: Told,
    frames: Vec<Frame>,
}

impl Tally<'_> {
    /// The groups of an iterated scenario. `marks` are the readings at the window's start and at
    /// the end of each iteration since. `reached` says what each block of the last one is.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn by_age(
        &mut self,
        marks: &Marks,
        window: Window,
        reached: Option<&Reached>,
    ) -> Result<Judged, LedgerError> {
        let tracebacks = self.tracebacks.sorted(marks.places().sorted())?;
        let mut keys = vec![None; tracebacks.len()];
        let mut first: Vec<Option<&Traceback>> = vec![None; self.tracebacks.keys()];
        for (place, traceback) in &tracebacks {
            keys[*place] = Some(Number::new(traceback.key));
            first[traceback.key].get_or_insert(traceback);
        }
        let key_of = |place: &Option<Number>| place.and_then(|place| keys[place.get()]);
        let block_keys: Vec<_> = marks.last_places().iter().map(key_of).collect();
        let ages = Ages {
            marks,
            series: marks.series(),
            window,
            newest: marks.last().iter().map(|block| block.entry.epoch).max().unwrap_or_default(),
            reached,
            blocks: Buckets::new(first.len(), &block_keys),
            places: Buckets::new(first.len(), &keys),
        };
        let gathered = self.gather(&ages, &first);
        let mut group_of: Vec<usize> = (0..first.len()).collect();
        for Gathered { keys, .. } in &gathered {
            keys.iter().for_each(|key| group_of[*key] = keys[0]);
        }
        let number_of = |at: usize| block_keys[at].map(|key| group_of[key.get()]);
        let led_to = ties::led_to(marks.last(), reached, |at| {
            number_of(at).filter(|_| ages.is_in_window(at))
        });
        let mut behind = ties::behind(marks.last(), reached, number_of);
        let mut held = Held::default();
        let mut groups = Vec::new();
        let mut judged = Judged::default();
        for Gathered { keys, told: Told { judgement, worst, .. }, frames } in gathered {
            judged.held |= judgement.undecided && judgement.verdict.fails();
            judged.rising |= judgement.undecided && !judgement.verdict.fails();
            if judgement.verdict.fails() && worst == Reachability::Reachable {
                let blocks = keys.iter().flat_map(|key| ages.blocks.of(*key));
                held.add(groups.len(), reached, blocks.filter(|at| ages.is_measured(*at)));
            }
            let left_some = |key: &&usize| ages.blocks.of(**key).any(|at| ages.is_in_window(at));
            let depths = if keys.len() > 1 { keys.iter().filter(left_some).count() } else { 0 };
            let number = keys[0];
            let led_to = led_to.get(&number).copied().unwrap_or_default();
            groups.push((
                number,
                Group {
                    verdict: judgement.verdict,
                    reachability: worst,
                    blocks: judgement.blocks,
                    bytes: judgement.bytes,
                    blocks_per_iteration: judgement.blocks_per_iteration,
                    bytes_per_iteration: judgement.bytes_per_iteration,
                    rises: judgement.rises,
                    frames,
                    ties: Ties {
                        held_by: None,
                        blocks: led_to.blocks,
                        bytes: led_to.bytes,
                        depths,
                        number,
                        behind: behind.remove(&number).unwrap_or_default(),
                    },
                },
            ));
        }
        held.write(&mut groups, marks.last(), self.ledger, &mut self.tracebacks)?;
        judged.groups = self.sorted(groups);
        Ok(judged)
    }

    /// A group for each traceback of which something is live. Those of a recursion that leave
    /// something now at one depth and now at another are one, where that fails.
    fn gather(&self, ages: &Ages<'_>, first: &[Option<&Traceback>]) -> Vec<Gathered> {
        let told = |(key, traceback): (usize, &Option<&Traceback>)| {
            traceback.and_then(|_| ages.tell(&[key]))
        };
        let mut alone: Vec<Option<Told>> = first.iter().enumerate().map(told).collect();
        let families = recursion::families(&self.tracebacks, first, |key| {
            alone[key].as_ref().map(|told| (told.judgement.verdict, told.is_measured))
        });
        let mut gathered = Vec::new();
        for family in families {
            let Some(told) = ages.tell(&family.keys) else { continue };
            if told.judgement.verdict.fails() {
                family.keys.iter().for_each(|key| alone[*key] = None);
                gathered.push(Gathered { keys: family.keys, told, frames: family.frames });
            } else if told.judgement.undecided {
                // Each that passes may be convicted with the others.
                for key in family.keys {
                    if let Some(told) = &mut alone[key] {
                        told.judgement.undecided |= !told.judgement.verdict.fails();
                    }
                }
            }
        }
        for ((key, told), traceback) in (0..).zip(alone).zip(first) {
            if let (Some(told), Some(traceback)) = (told, traceback) {
                let frames = self.tracebacks.frames(traceback);
                gathered.push(Gathered { keys: vec![key], told, frames });
            }
        }
        gathered
    }
}

impl Ages<'_> {
    fn epoch(&self, at: usize) -> u32 {
        self.marks.last()[at].entry.epoch
    }

    fn is_measured(&self, at: usize) -> bool {
        self.epoch(at) > self.window.warmup
    }

    fn is_in_window(&self, at: usize) -> bool {
        self.is_measured(at) && self.epoch(at) <= self.window.warmup + self.window.repeat
    }

    /// What is said of all blocks of `keys` together; `None` where none is live at the end.
    fn tell(&self, keys: &[usize]) -> Option<Told> {
        let mut history = History::empty(self.marks.count().saturating_sub(1));
        let mut worst = Reachability::Unknown;
        // Of the blocks before the newest iteration, and of that one: a program may well hold
        // its last block, and lose it as it makes the next.
        let mut best = [None; 2];
        for key in keys {
            let places = self.places.of(*key);
            places.for_each(|place| self.series.add(place, &mut history.marks));
            for at in self.blocks.of(*key) {
                let block = &self.marks.last()[at];
                history.add(self.window, block.entry.epoch, one(block));
                if self.is_measured(at) {
                    worst = worst.min(state(self.reached, at));
                    let best = &mut best[usize::from(self.epoch(at) == self.newest)];
                    *best = (*best).max(Some(state(self.reached, at)));
                }
            }
        }
        let lost = |best| matches!(best, Reachability::Lost | Reachability::Indirect);
        let is_held = !best[0].or(best[1]).is_some_and(lost);
        let judgement = history.judge(self.window, is_held)?;
        Some(Told { judgement, worst, is_measured: best.iter().any(Option::is_some) })
    }
}
