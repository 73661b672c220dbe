//! How long an iterated scenario is looked at: its window, and longer while something is undecided.
//!
//! ```text
//!   warm-up | window: `repeat` iterations | as many again | twice as many | …
//!           ^ mark  ^ mark ^ mark …       ^ verdict       ^ verdict
//! ```
//! At a verdict, blocks that would fail while something holds them may be about to be freed by
//! another thread: the parent waits, in pauses that double, before it runs more iterations, and
//! longer before its last word. What is lost is not waited for, nor is what was accepted.
//!
//! Invariant: what a verdict says was read at one mark; iterations that fail after the window add
//! nothing to it.

use std::time::{Duration, Instant};

use super::driver::damaged;
use super::tally::{Judged, Marks, Tally};
use super::{Problem, modules};
use crate::child::ledger_file::{LedgerError, LedgerFile};
use crate::child::process::Process;
use crate::child::view;
use crate::report::table::Memory;
use crate::report::{Group, History, Live, Report};
use crate::scenario::MAX_ITERATIONS;
use crate::suppression::module::Modules;
use crate::symbols::{DebugFiles, Symbols};
use crate::verdict::{Total, Window};

/// The longest pause before more iterations are run, and before the last word; all that come
/// before it take as long again.
const PAUSE: Duration = Duration::from_millis(32);
const LAST_PAUSE: Duration = Duration::from_millis(512);

/// How long what has no end of its own may be looked at.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What runs iterations: between two of them its ledger can be read.
pub(super) trait Iterate {
    /// The child.
    fn process(&self) -> &Process;

    /// When its time is over; `None` for never.
    fn deadline(&self) -> Option<Instant>;

    /// Runs the iteration `number`, counted from 1, the warm-up included, whose epoch has begun.
    ///
    /// # Errors
    /// [`Problem::Failed`] where the iteration did, anything else where there can be no more of them.
    fn iterate(&mut self, number: u32) -> Result<(), Problem>;

    /// What the child writes from now on is of no iteration that was asked for.
    fn cut(&mut self);
}

/// What is asked of the iterations.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The iterations that a verdict is about.
    pub(super) window: Window,
    /// The epoch before the first of them.
    pub(super) base: u32,
    /// The base name of the executable whose frames end a traceback.
    pub(super) host: Option<&'a str>,
    /// The memory table is wanted.
    pub(super) memory: bool,
    /// Whether all of these groups that fail were accepted: then nothing more is done about them.
    pub(super) accepts: &'a dyn Fn(&[Group], &Modules) -> bool,
}

impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").field("window", &self.window).finish_non_exhaustive()
    }
}

/// What came of a scenario's iterations.
#[derive(Debug)]
struct Observed {
    judged: Judged,
    /// The table of what the window left, where it was wanted.
    memory: Memory,
    /// Iterations that were run after the window.
    added: u32,
    /// Why there were no more of them.
    stopped_by: Option<Problem>,
    /// What was live after each iteration.
    history: History,
}

/// Runs the iterations of `subject` that are `asked` for, and makes a report and a table of them;
/// whether `subject` goes on: an iteration after the window may have failed.
///
/// # Errors
/// Where an iteration up to the window's end fails, or the ledger can't be read.
pub(super) fn observe(
    subject: &mut impl Iterate,
    asked: Asked<'_>,
    report: &mut Report,
    table: &mut Memory,
) -> Result<bool, Problem> {
    let repeat = asked.window.repeat;
    report.iterations = repeat;
    let symbols = Symbols::new(DebugFiles::Ignored);
    let observed = View { subject, asked, symbols }.observe()?;
    report.groups = observed.judged.groups;
    if let Some(error) = observed.judged.unread {
        report.notes.push(format!("what holds the blocks is not known: {error}"));
    }
    report.history = observed.history;
    *table = observed.memory;
    if observed.added > 0 {
        let were = if observed.added == 1 { "iteration was" } else { "iterations were" };
        report.notes.push(format!(
            "{} more {were} run to decide; the numbers are those of the first {repeat}",
            observed.added
        ));
    }
    if let Some(problem) = &observed.stopped_by {
        report.notes.push(format!("an iteration after the window failed: {problem}"));
    }
    Ok(observed.stopped_by.is_none())
}

/// Iterations that are looked at.
#[derive(Debug)]
struct View<'a, S> {
    subject: &'a mut S,
    asked: Asked<'a>,
    /// What one verdict has found out is there for the next.
    symbols: Symbols,
}

impl<S: Iterate> View<'_, S> {
    /// Runs the warm-up, the window, and on while something is undecided.
    fn observe(&mut self) -> Result<Observed, Problem> {
        let Asked { window, base, .. } = self.asked;
        let mut marks = Marks::new(base);
        let mut warm = Vec::new();
        for number in 1..=window.warmup {
            self.iterate(number)?;
            // The last of them ends at the window's start, which is a mark.
            if number < window.warmup {
                warm.push(marks.glance(self.ledger()).map_err(damaged)?);
            }
        }
        marks.read(self.ledger()).map_err(damaged)?;
        self.measure(&mut marks, 1..=window.repeat, None)?;
        // What decides must not cost the scenario its time.
        let now = Instant::now();
        let left = self.subject.deadline().map(|at| at.saturating_duration_since(now));
        let give_up = now + left.unwrap_or(LONGEST) / 2;
        let mut judged = self.judge(&mut marks)?;
        let mut measured = window.repeat;
        let mut memory = None;
        let mut stopped_by = None;
        while self.is_open(&judged) {
            self.settle(&mut marks, &mut judged, PAUSE, give_up)?;
            let Some(next) = window.next(measured, MAX_ITERATIONS - base) else { break };
            if !self.is_open(&judged) || Instant::now() >= give_up {
                break;
            }
            if measured == window.repeat {
                // What is shown of the window is without what comes now.
                memory = Some(self.table(&marks)?);
                self.subject.cut();
            }
            match self.measure(&mut marks, measured + 1..=next, Some(give_up)) {
                Ok(last) => measured = last,
                Err(problem @ Problem::Failed(_)) => {
                    stopped_by = Some(problem);
                    break;
                }
                Err(problem) => return Err(problem),
            }
            judged = self.judge(&mut marks)?;
        }
        if stopped_by.is_none() {
            self.settle(&mut marks, &mut judged, LAST_PAUSE, give_up)?;
        }
        let memory = match memory {
            Some(memory) => memory,
            None => self.table(&marks)?,
        };
        let added = measured - window.repeat;
        let history = history(window, &warm, marks.totals());
        Ok(Observed { judged, memory, added, stopped_by, history })
    }

    fn ledger(&self) -> &LedgerFile {
        self.subject.process().ledger()
    }

    fn iterate(&mut self, number: u32) -> Result<(), Problem> {
        self.ledger().set_epoch(self.asked.base + number);
        self.subject.iterate(number)
    }

    /// Runs the iterations `which` after the warm-up and reads a mark after each, the last of them
    /// whole: the last of `which`, or the first that ends after `give_up`.
    fn measure(
        &mut self,
        marks: &mut Marks,
        which: std::ops::RangeInclusive<u32>,
        give_up: Option<Instant>,
    ) -> Result<u32, Problem> {
        let last = *which.end();
        for number in which {
            self.iterate(self.asked.window.warmup + number)?;
            let ledger = self.ledger();
            if number == last || give_up.is_some_and(|give_up| Instant::now() >= give_up) {
                marks.read_whole(ledger).map_err(damaged)?;
                return Ok(number);
            }
            marks.read(ledger).map_err(damaged)?;
        }
        Ok(last)
    }

    /// Whether more iterations could change what is to be said.
    fn is_open(&self, judged: &Judged) -> bool {
        judged.rising || self.is_held(judged)
    }

    /// Whether something fails that nobody has accepted, and that may yet be freed.
    fn is_held(&self, judged: &Judged) -> bool {
        judged.held && !(self.asked.accepts)(&judged.groups, &modules([self.ledger()]))
    }

    /// Waits for late frees, in pauses up to `longest`.
    fn settle(
        &mut self,
        marks: &mut Marks,
        judged: &mut Judged,
        longest: Duration,
        give_up: Instant,
    ) -> Result<(), Problem> {
        let mut pause = Duration::from_millis(1);
        while pause <= longest && self.is_held(judged) && Instant::now() + pause < give_up {
            std::thread::sleep(pause);
            pause *= 2;
            if marks.read_again(self.ledger()).map_err(damaged)? {
                *judged = self.judge(marks)?;
            }
        }
        Ok(())
    }

    /// The verdicts at the last mark. Where the child's memory can't be read, what holds the
    /// blocks stays unknown.
    fn judge(&mut self, marks: &mut Marks) -> Result<Judged, Problem> {
        let Asked { window, host, .. } = self.asked;
        let process = self.subject.process();
        let mut tally = Tally::new(process.ledger(), host, &mut self.symbols).map_err(damaged)?;
        let judged = tally.by_age(marks, window, None).map_err(damaged)?;
        // What rose once may be lost: then it is looked at for longer.
        if !judged.rising && !judged.groups.iter().any(|group| group.verdict.fails()) {
            return Ok(judged);
        }
        // Threads go on until they are stopped: what was freed since the mark would look lost.
        match view::look(process.pid(), process.ledger()) {
            Ok((live, reached)) => {
                marks.replace(live);
                tally.by_age(marks, window, Some(&reached)).map_err(damaged)
            }
            Err(LedgerError::Memory(error)) => {
                Ok(Judged { unread: Some(error.to_string()), ..judged })
            }
            Err(error) => Err(damaged(error)),
        }
    }

    fn table(&mut self, marks: &Marks) -> Result<Memory, Problem> {
        let Asked { window, host, memory, .. } = self.asked;
        if !memory {
            return Ok(Memory::default());
        }
        Tally::new(self.subject.process().ledger(), host, &mut self.symbols)
            .and_then(|mut tally| tally.memory(marks.last(), window.warmup + 1))
            .map_err(damaged)
    }
}

/// What was live after each iteration: of the warm-up, but for its last, and at the marks. Without a
/// warm-up the first mark is before any iteration.
fn history(window: Window, warm: &[Total], marks: &[Total]) -> History {
    let skipped = usize::from(window.warmup == 0);
    let live = |&Total { blocks, bytes }: &Total| Live { blocks, bytes };
    let live = warm.iter().chain(marks.iter().skip(skipped)).map(live).collect();
    History { warmup: window.warmup, live }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_has_a_reading_for_each_iteration() {
        let totals: Vec<_> = (0..6).map(|bytes| Total { blocks: 1, bytes }).collect();
        let bytes = |warmup, warm, marks| {
            let history = history(Window { warmup, repeat: 2 }, warm, marks);
            assert_eq!(history.warmup, warmup);
            history.live.iter().map(|live| live.bytes).collect::<Vec<_>>()
        };
        assert_eq!(bytes(0, &[], &totals[..3]), [1, 2]);
        assert_eq!(bytes(1, &[], &totals[..3]), [0, 1, 2]);
        assert_eq!(bytes(3, &totals[..2], &totals[2..5]), [0, 1, 2, 3, 4]);
    }
}
