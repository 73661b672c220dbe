//! The verdict: what the ages of one traceback's live allocations say.
//!
//! A window of `n` iterations was asked for; the rule looks at it first, and the first line that
//! holds decides. Blocks and bytes are those of its right side:
//!
//! ```text
//!   nothing is live at the end            no judgement
//!   leak      live blocks of every        what is live of the window;
//!             iteration of the window     per iteration: that / n
//!   growth    the marks' bytes, or their  live at the window's end less live at its start;
//!             blocks, climb               per iteration: that / n
//!   replaced  live blocks of the last     all that is live; per iteration: 0
//!             iteration only
//!   one-time  the rest                    all that is live; per iteration: 0
//! ```
//!
//! Marks are the readings at the window's start and at the end of each iteration. They climb if
//! they never shrink and rise in at least two steps. Blocks climb even if they shrink now and then,
//! if each third of the marks (two or more) lies wholly above the third before it; of bytes that
//! says nothing, since entries of a full cache differ in size.
//!
//! A list that a program forgets looks like a ring that fills: a block stays of each iteration.
//! Two things tell them apart. What no pointer leads to can't be given back: if the blocks of a
//! failing traceback are *all* lost, but for those of the newest iteration, which a program may
//! hold until it makes the next, the rule's word stands. While some are held, or where a
//! traceback rose in one step of the window alone, it is undecided, and more iterations are run
//! (by [`check`](crate::check), up to a bound). The rule is then applied to all of them, and:
//!
//! ```text
//!   it has stopped    its blocks (for growth: what climbs, blocks or bytes) were at no new high in
//!                     the second half of all iterations, warm-up included; or in the last `n` of
//!                     them, while each of these left a block: as many went. It passes
//!   it goes on        undecided while it fails and is held, or has risen once; at the bound the
//!                     rule's word stands
//! ```
//! The second half, since a vector that doubles grows once in each doubling of the iterations: it
//! is never quiet for as long as it took to get there. So a ring is told from a leak if it is full
//! `n` iterations before the bound, and any other cache if it is full in half of what the bound
//! allows. A lost block that came once is looked for in four windows, whenever it came.
//!
//! More iterations never make something fail that neither failed nor rose in the window, and the
//! numbers are those of the window: what one traceback needs to be decided does not change what
//! is said of another.
//!
//! Invariant of [`History`]: `ages` has one element for each iteration, `marks` one more: the
//! first is the window's start.

use std::ops::{Add, AddAssign, RangeInclusive};

use crate::report::{Rises, Verdict};

/// Blocks and their requested bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Total {
    /// Live blocks.
    pub(crate) blocks: u64,
    /// Requested bytes of these blocks.
    pub(crate) bytes: u64,
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

/// The iterations that a scenario asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Iterations before the window, which are the epochs from 1 on.
    pub(crate) warmup: u32,
    /// Iterations in the window: at least one.
    pub(crate) repeat: u32,
}

impl Window {
    /// The most iterations that are measured, where the window is no longer than half of that; of a
    /// longer one it is twice as many.
    const MOST: u32 = 128;
    /// As many windows are looked at where a lost block came once: it is one, and may be more.
    const LOST: usize = 4;

    /// How many iterations are to be measured in all where `measured` leave something undecided;
    /// `None` where those were the most. `limit` is the most that a ledger tells apart.
    pub(crate) fn next(self, measured: u32, limit: u32) -> Option<u32> {
        let most = self.repeat.saturating_mul(2).max(Self::MOST);
        let most = most.min(limit.saturating_sub(self.warmup));
        Some(measured.saturating_mul(2).min(most)).filter(|next| *next > measured)
    }
}

/// The live allocations of one traceback, by age and over time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct History {
    /// Live at the end, from epochs up to the end of the warm-up.
    pub(crate) warm: Total,
    /// Live at the end, by the iteration they were made in.
    pub(crate) ages: Vec<Total>,
    /// Live at the window's start and at the end of each iteration, from the warm-up too.
    pub(crate) marks: Vec<Total>,
}

impl History {
    /// The history of a traceback with nothing live over `iterations`.
    pub(crate) fn empty(iterations: usize) -> Self {
        let nothing = vec![Total::default(); iterations];
        let marks = vec![Total::default(); iterations + 1];
        Self { warm: Total::default(), ages: nothing, marks }
    }

    /// Adds what is live at the end and was made in `epoch`.
    pub(crate) fn add(&mut self, window: Window, epoch: u32, total: Total) {
        let age = epoch.checked_sub(window.warmup + 1);
        match age.and_then(|age| self.ages.get_mut(age as usize)) {
            Some(age) => *age += total,
            None => self.warm += total,
        }
    }

    /// Applies the rule; `None` when nothing is live at the end. `held` says whether a pointer may
    /// lead to any of the blocks.
    #[must_use]
    pub(crate) fn judge(&self, window: Window, held: bool) -> Option<Judgement> {
        let live = self.warm + sum(&self.ages);
        if live.blocks == 0 {
            return None;
        }
        let repeat = self.ages.len().min(window.repeat as usize);
        let asked = Part { ages: &self.ages[..repeat], marks: &self.marks[..=repeat] };
        let all = Part { ages: &self.ages, marks: &self.marks };
        let (failing, undecided) = match asked.fails(|_| true) {
            Some(verdict) if !held => (Some(verdict), false),
            Some(_) => all.goes_on(window, held),
            None if asked.rose_once() => all.goes_on(window, held),
            None => (None, false),
        };
        let (verdict, total, each) = match failing {
            Some(Verdict::Leak) => (Verdict::Leak, sum(asked.ages), repeat),
            Some(_) => (Verdict::Growth, asked.gain(), repeat),
            None if self.ages.last().is_some_and(|last| last.blocks == live.blocks) => {
                (Verdict::Replaced, live, 0)
            }
            None => (Verdict::OneTime, live, 0),
        };
        Some(Judgement::new(verdict, total, each, asked.rises(), undecided))
    }
}

/// The first iterations of a history.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    ages: &'a [Total],
    marks: &'a [Total],
}

/// What of a total climbs.
type Measure = fn(&Total) -> u64;

const MEASURES: [Measure; 2] = [|total| total.bytes, |total| total.blocks];

impl Part<'_> {
    /// The verdict, where it is one that fails, on what `counts`.
    fn fails(&self, counts: impl Fn(Measure) -> bool) -> Option<Verdict> {
        let [bytes, blocks] = MEASURES;
        let climbs = |measure| counts(measure) && self.climbs(measure);
        if counts(blocks) && !self.ages.is_empty() && self.ages.iter().all(|age| age.blocks > 0) {
            Some(Verdict::Leak)
        } else if climbs(bytes) || climbs(blocks) || counts(blocks) && self.climbs_in_bands() {
            Some(Verdict::Growth)
        } else {
            None
        }
    }

    /// The verdict on a traceback that failed or rose once in the window, and whether more
    /// iterations could change it.
    fn goes_on(&self, window: Window, held: bool) -> (Option<Verdict>, bool) {
        let goes_on = |measure| !self.has_stopped(measure, window);
        // What is lost does not stop being lost.
        let failing = if held { self.fails(goes_on) } else { self.fails(|_| true) };
        match failing {
            None if held => (None, self.rose_once() && MEASURES.into_iter().any(goes_on)),
            None => (None, self.ages.len() < Window::LOST * window.repeat as usize),
            failing => (failing, held),
        }
    }

    fn climbs(&self, measure: Measure) -> bool {
        let series = || self.marks.iter().map(measure);
        let steps = || series().zip(series().skip(1));
        steps().all(|(from, to)| from <= to) && steps().filter(|(from, to)| from < to).count() >= 2
    }

    fn climbs_in_bands(&self) -> bool {
        let third = self.marks.len() / 3;
        // What is left over is the start.
        let thirds = self.marks.rchunks_exact(third.max(1)).take(3);
        let bands: Vec<_> = thirds.map(|part| band(part.iter().map(|mark| mark.blocks))).collect();
        third >= 2 && bands.windows(2).all(|pair| pair[0].start() > pair[1].end())
    }

    /// Whether the marks never shrink, and rise in one step.
    fn rose_once(&self) -> bool {
        let shrinks = |pair: &[Total]| MEASURES.iter().any(|of| of(&pair[0]) > of(&pair[1]));
        !self.marks.windows(2).any(shrinks) && self.rises().steps == 1
    }

    /// The steps in which blocks or bytes rose.
    fn rises(&self) -> Rises {
        let rose = |pair: &[Total]| MEASURES.iter().any(|of| of(&pair[1]) > of(&pair[0]));
        let mut steps = (1..).zip(self.marks.windows(2)).filter(|(_, pair)| rose(pair));
        let first = steps.next().map_or(0, |(step, _)| step);
        let rose = steps.count() + usize::from(first > 0);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Rises { steps: number(rose), first, of: number(self.ages.len()) }
    }

    /// Whether the last new high is too long ago.
    fn has_stopped(&self, measure: Measure, window: Window) -> bool {
        let (mut high, mut last) = (u64::MAX, 0);
        for (at, value) in self.marks.iter().map(measure).enumerate() {
            if at > 0 && value > high {
                last = at;
            }
            high = if at == 0 { value } else { high.max(value) };
        }
        let (warmup, all) = (window.warmup as usize, self.ages.len());
        let turns_over = all.checked_sub(window.repeat as usize).is_some_and(|since| {
            last <= since && self.ages[since..].iter().all(|age| age.blocks > 0)
        });
        turns_over || last == 0 || 2 * (warmup + last) < warmup + all
    }

    /// What is live at its end and was not at its start; a child's ledger can't make it wrap.
    fn gain(&self) -> Total {
        let [first, last] =
            [self.marks.first(), self.marks.last()].map(|mark| mark.copied().unwrap_or_default());
        Total {
            blocks: last.blocks.saturating_sub(first.blocks),
            bytes: last.bytes.saturating_sub(first.bytes),
        }
    }
}

/// From the lowest of `values` to the highest.
fn band(values: impl Iterator<Item = u64> + Clone) -> RangeInclusive<u64> {
    values.clone().min().unwrap_or_default()..=values.max().unwrap_or_default()
}

fn sum(totals: &[Total]) -> Total {
    totals.iter().fold(Total::default(), |sum, total| sum + *total)
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
    /// In which iterations of the window it rose.
    pub(crate) rises: Rises,
    /// More iterations could change the verdict.
    pub(crate) undecided: bool,
}

impl Judgement {
    /// `total` came in `iterations`; none of them, and it came once.
    fn new(
        verdict: Verdict,
        total: Total,
        iterations: usize,
        rises: Rises,
        undecided: bool,
    ) -> Self {
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
            rises,
            undecided,
        }
    }
}

#[cfg(test)]
mod tests;
