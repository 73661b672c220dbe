//! The verdict: what the ages of one traceback's live allocations say.
//!
//! The rule, for `n` measured iterations; the first line that holds decides, and blocks and
//! bytes are those of its right side:
//!
//! ```text
//!   nothing is live at the end            no judgement
//!   leak      live blocks of every        what is live of the measured iterations;
//!             measured iteration          per iteration: that / n
//!   growth    the marks' bytes, or their  live at the end less live at the first mark;
//!             blocks, never shrink and    per iteration: that / (n - 1)
//!             rise in at least two steps
//!   replaced  live blocks of the last     all that is live; per iteration: 0
//!             iteration only
//!   one-time  the rest                    all that is live; per iteration: 0
//! ```
//!
//! A step leads from one mark to the next. With one iteration whatever of it is live is a leak:
//! nothing tells a cache from a leak there but reachability, which is not known here.
//!
//! Invariant of [`History`]: `ages` and `marks` have one element for each measured iteration.

use std::ops::{Add, AddAssign};

use crate::report::Verdict;

/// Blocks and their requested bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Total {
    /// Live blocks.
    pub(crate) blocks: u64,
    /// Requested bytes of these blocks.
    pub(crate) bytes: u64,
}

impl Total {
    /// What is more here than in `earlier`; a child's ledger can't make it wrap.
    fn less(self, earlier: Self) -> Self {
        Self {
            blocks: self.blocks.saturating_sub(earlier.blocks),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }
}

impl Add for Total {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            blocks: self.blocks.saturating_add(other.blocks),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl AddAssign for Total {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// The live allocations of one traceback, by age and over time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct History {
    /// Live at the end, from epochs up to the end of the warm-up.
    pub(crate) warm: Total,
    /// Live at the end, by the measured iteration they were made in.
    pub(crate) ages: Vec<Total>,
    /// Live at the end of each measured iteration, from the warm-up too.
    pub(crate) marks: Vec<Total>,
}

impl History {
    /// The history of a traceback with nothing live over `iterations`.
    pub(crate) fn empty(iterations: usize) -> Self {
        let nothing = vec![Total::default(); iterations];
        Self { warm: Total::default(), ages: nothing.clone(), marks: nothing }
    }

    /// Adds what is live at the end and was made in `epoch`, the warm-up's last being `warmup`.
    pub(crate) fn add(&mut self, warmup: u32, epoch: u32, total: Total) {
        let age = epoch.checked_sub(warmup + 1);
        match age.and_then(|age| self.ages.get_mut(age as usize)) {
            Some(age) => *age += total,
            None => self.warm += total,
        }
    }

    /// Applies the rule; `None` when nothing is live at the end.
    #[must_use]
    pub(crate) fn judge(&self) -> Option<Judgement> {
        let measured = self.ages.iter().fold(Total::default(), |sum, age| sum + *age);
        let live = self.warm + measured;
        let first_mark = self.marks.first().copied().unwrap_or_default();
        if live.blocks == 0 {
            None
        } else if measured.blocks > 0 && self.ages.iter().all(|age| age.blocks > 0) {
            Some(Judgement::new(Verdict::Leak, measured, self.ages.len()))
        } else if self.grows() {
            Some(Judgement::new(Verdict::Growth, live.less(first_mark), self.marks.len() - 1))
        } else if self.ages.last().is_some_and(|last| last.blocks == live.blocks) {
            Some(Judgement::new(Verdict::Replaced, live, 0))
        } else {
            Some(Judgement::new(Verdict::OneTime, live, 0))
        }
    }

    fn grows(&self) -> bool {
        rises(self.marks.iter().map(|mark| mark.bytes))
            || rises(self.marks.iter().map(|mark| mark.blocks))
    }
}

/// Whether `series` never shrinks and rises at least twice.
fn rises(series: impl Iterator<Item = u64> + Clone) -> bool {
    let steps = series.clone().zip(series.skip(1));
    steps.clone().all(|(from, to)| from <= to) && steps.filter(|(from, to)| from < to).count() >= 2
}

/// What the rule says of one traceback.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Judgement {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// The blocks that it is about.
    pub(crate) blocks: u64,
    /// Their requested bytes.
    pub(crate) bytes: u64,
    /// Blocks that an iteration adds.
    pub(crate) blocks_per_iteration: f64,
    /// Requested bytes that an iteration adds.
    pub(crate) bytes_per_iteration: f64,
}

impl Judgement {
    /// `total` came in `iterations`; none of them, and it came once.
    fn new(verdict: Verdict, total: Total, iterations: usize) -> Self {
        let each = |count: u64| match iterations {
            0 => 0.0,
            _ => count as f64 / iterations as f64,
        };
        Self {
            verdict,
            blocks: total.blocks,
            bytes: total.bytes,
            blocks_per_iteration: each(total.blocks),
            bytes_per_iteration: each(total.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(list: &[(u64, u64)]) -> Vec<Total> {
        list.iter().map(|&(blocks, bytes)| Total { blocks, bytes }).collect()
    }

    /// Blocks of 10 bytes.
    fn tens(blocks: &[u64]) -> Vec<Total> {
        blocks.iter().map(|&blocks| Total { blocks, bytes: blocks * 10 }).collect()
    }

    fn history(warm: u64, ages: &[u64], marks: &[u64]) -> History {
        History { warm: tens(&[warm])[0], ages: tens(ages), marks: tens(marks) }
    }

    fn verdict(warm: u64, ages: &[u64], marks: &[u64]) -> Option<Verdict> {
        history(warm, ages, marks).judge().map(|judgement| judgement.verdict)
    }

    #[test]
    fn every_iteration_leaks() {
        assert_eq!(
            history(2, &[1, 1, 1, 1], &[3, 4, 5, 6]).judge(),
            Some(Judgement {
                verdict: Verdict::Leak,
                blocks: 4,
                bytes: 40,
                blocks_per_iteration: 1.0,
                bytes_per_iteration: 10.0,
            })
        );
    }

    #[test]
    fn a_leak_of_different_sizes_is_a_mean() {
        let history = History {
            warm: Total::default(),
            ages: totals(&[(1, 10), (2, 30), (1, 10), (1, 11)]),
            marks: totals(&[(1, 10), (3, 40), (4, 50), (5, 61)]),
        };
        let judgement = history.judge().expect("something is live");
        assert_eq!((judgement.verdict, judgement.blocks, judgement.bytes), (Verdict::Leak, 5, 61));
        assert_eq!(judgement.blocks_per_iteration, 1.25);
        assert_eq!(judgement.bytes_per_iteration, 15.25);
    }

    #[test]
    fn every_second_iteration_grows() {
        assert_eq!(
            history(1, &[1, 0, 1, 0, 1], &[2, 2, 3, 3, 4]).judge(),
            Some(Judgement {
                verdict: Verdict::Growth,
                blocks: 2,
                bytes: 20,
                blocks_per_iteration: 0.5,
                bytes_per_iteration: 5.0,
            })
        );
    }

    #[test]
    fn one_in_a_few_grows_when_seen_twice() {
        let twice = verdict(0, &[0, 1, 0, 0, 1, 0, 0, 0], &[0, 1, 1, 1, 2, 2, 2, 2]);
        assert_eq!(twice, Some(Verdict::Growth));
        let once = verdict(0, &[0, 0, 0, 1, 0, 0, 0, 0], &[0, 0, 0, 1, 1, 1, 1, 1]);
        assert_eq!(once, Some(Verdict::OneTime));
    }

    #[test]
    fn a_vector_that_doubles_grows_in_bytes_alone() {
        let history = History {
            warm: Total::default(),
            ages: totals(&[(0, 0), (0, 0), (0, 0), (0, 0), (1, 256), (0, 0), (0, 0), (0, 0)]),
            marks: totals(&[
                (1, 64),
                (1, 64),
                (1, 128),
                (1, 128),
                (1, 256),
                (1, 256),
                (1, 256),
                (1, 256),
            ]),
        };
        let judgement = history.judge().expect("something is live");
        assert_eq!(
            (judgement.verdict, judgement.blocks, judgement.bytes),
            (Verdict::Growth, 0, 192)
        );
        assert_eq!(judgement.blocks_per_iteration, 0.0);
        assert_eq!(judgement.bytes_per_iteration, 192.0 / 7.0);
    }

    #[test]
    fn a_ring_grows_until_it_is_full() {
        let filling = verdict(2, &[1, 1, 0, 0, 0], &[3, 4, 4, 4, 4]);
        assert_eq!(filling, Some(Verdict::OneTime), "one step after the first mark");
        let longer = verdict(0, &[0, 1, 1, 1, 1], &[1, 2, 3, 4, 4]);
        assert_eq!(longer, Some(Verdict::Growth), "a longer warm-up settles it");
        let full = verdict(0, &[0, 0, 1, 1, 1], &[3, 3, 3, 3, 3]);
        assert_eq!(full, Some(Verdict::OneTime));
    }

    #[test]
    fn a_lazily_freed_batch_is_none() {
        assert_eq!(verdict(0, &[0, 0, 0, 0, 1, 1], &[1, 2, 3, 0, 1, 2]), Some(Verdict::OneTime));
        assert_eq!(verdict(0, &[0, 0, 0, 0, 0, 1], &[1, 2, 0, 1, 0, 1]), Some(Verdict::Replaced));
        assert_eq!(verdict(0, &[0, 0, 0, 0], &[1, 2, 3, 0]), None);
    }

    #[test]
    fn a_cache_with_eviction_is_one_time() {
        let evicts = verdict(0, &[0, 1, 0, 1, 1, 1], &[4, 6, 3, 5, 6, 4]);
        assert_eq!(evicts, Some(Verdict::OneTime));
    }

    #[test]
    fn a_leak_that_starts_late_grows() {
        let late = verdict(0, &[0, 0, 0, 0, 0, 1, 1, 1], &[0, 0, 0, 0, 0, 1, 2, 3]);
        assert_eq!(late, Some(Verdict::Growth));
    }

    #[test]
    fn a_context_made_anew_is_replaced() {
        assert_eq!(
            history(0, &[0, 0, 0, 2], &[2, 2, 2, 2]).judge(),
            Some(Judgement {
                verdict: Verdict::Replaced,
                blocks: 2,
                bytes: 20,
                blocks_per_iteration: 0.0,
                bytes_per_iteration: 0.0,
            })
        );
    }

    #[test]
    fn a_context_made_anew_may_vary_in_size() {
        let history = History {
            warm: Total::default(),
            ages: totals(&[(0, 0), (0, 0), (0, 0), (1, 130)]),
            marks: totals(&[(1, 100), (1, 120), (1, 90), (1, 130)]),
        };
        let judgement = history.judge().expect("something is live");
        assert_eq!((judgement.verdict, judgement.bytes), (Verdict::Replaced, 130));
    }

    #[test]
    fn a_cache_filled_once_is_one_time() {
        let later = history(0, &[0, 3, 0, 0], &[0, 3, 3, 3]).judge().expect("it is live");
        assert_eq!((later.verdict, later.blocks, later.bytes), (Verdict::OneTime, 3, 30));
        assert_eq!((later.blocks_per_iteration, later.bytes_per_iteration), (0.0, 0.0));
        assert_eq!(verdict(3, &[0, 0, 0, 0], &[3, 3, 3, 3]), Some(Verdict::OneTime));
    }

    #[test]
    fn one_iteration_leaks_whatever_it_left() {
        let judgement = history(5, &[2], &[7]).judge().expect("it is live");
        assert_eq!((judgement.verdict, judgement.blocks), (Verdict::Leak, 2));
        assert_eq!(judgement.blocks_per_iteration, 2.0);
        assert_eq!(verdict(5, &[0], &[5]), Some(Verdict::OneTime));
    }

    #[test]
    fn nothing_live_is_no_judgement() {
        assert_eq!(History::empty(3).judge(), None);
        assert_eq!(History::empty(0).judge(), None);
    }

    #[test]
    fn ages_count_from_the_end_of_the_warm_up() {
        let mut history = History::empty(2);
        for epoch in [1, 2, 3, 4, 4] {
            history.add(2, epoch, Total { blocks: 1, bytes: 10 });
        }
        assert_eq!(history, self::history(2, &[1, 2], &[0, 0]));
    }
}
