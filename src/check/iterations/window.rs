//! How long a scenario is looked at: its window, and longer while something is undecided.
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

use super::{Asked, Run};
use crate::check::driver::damaged;
use crate::check::tally::{Judged, Marks, Tally};
use crate::check::{Problem, modules};
use crate::child::ledger_file::LedgerError;
use crate::child::view;
use crate::protocol::Request;
use crate::report::table::Memory;
use crate::report::{History, Live};
use crate::scenario::{MAX_ITERATIONS, Work};
use crate::symbols::DebugFiles;
use crate::verdict::{Total, Window};

/// The longest pause before more iterations are run, and before the last word; all that come
/// before it take as long again.
const PAUSE: Duration = Duration::from_millis(32);
const LAST_PAUSE: Duration = Duration::from_millis(512);

/// What came of a scenario's iterations.
#[derive(Debug)]
pub(super) struct Observed {
    /// The groups.
    pub(super) judged: Judged,
    /// The table of what the window left, where it was wanted.
    pub(super) memory: Memory,
    /// Iterations that were run after the window.
    pub(super) added: u32,
    /// Why there were no more of them.
    pub(super) stopped_by: Option<Problem>,
    /// What was live after each iteration.
    pub(super) history: History,
}

impl Run<'_> {
    /// Runs `iteration` for the warm-up, for the window, and on while something is undecided.
    pub(super) fn observe(
        &mut self,
        window: Window,
        iteration: &[Asked],
    ) -> Result<Observed, Problem> {
        let mut marks = Marks::new(self.driver.ledger(), self.base);
        let mut warm = Vec::new();
        for epoch in 1..=window.warmup {
            self.iterate(epoch, iteration)?;
            // The last of them ends at the window's start, which is a mark.
            if epoch < window.warmup {
                warm.push(marks.glance(self.driver.ledger()).map_err(damaged)?);
            }
        }
        marks.read(self.driver.ledger()).map_err(damaged)?;
        self.measure(&mut marks, window, 1..=window.repeat, iteration, None)?;
        // What decides must not cost the scenario its time.
        let now = Instant::now();
        let give_up = now + self.driver.deadline().saturating_duration_since(now) / 2;
        let mut judged = self.judge(&mut marks, window)?;
        let mut measured = window.repeat;
        let mut memory = None;
        let mut stopped_by = None;
        while self.is_open(&judged) {
            self.settle(&mut marks, window, &mut judged, PAUSE, give_up)?;
            let Some(next) = window.next(measured, MAX_ITERATIONS - self.base) else { break };
            if !self.is_open(&judged) || Instant::now() >= give_up {
                break;
            }
            if measured == window.repeat {
                // What is shown of the window is without what comes now.
                memory = Some(self.table(&marks, window)?);
                self.capture.cut();
            }
            match self.measure(&mut marks, window, measured + 1..=next, iteration, Some(give_up)) {
                Ok(last) => measured = last,
                Err(problem @ Problem::Failed(_)) => {
                    stopped_by = Some(problem);
                    break;
                }
                Err(problem) => return Err(problem),
            }
            judged = self.judge(&mut marks, window)?;
        }
        if stopped_by.is_none() {
            self.settle(&mut marks, window, &mut judged, LAST_PAUSE, give_up)?;
        }
        let memory = match memory {
            Some(memory) => memory,
            None => self.table(&marks, window)?,
        };
        let added = measured - window.repeat;
        let history = history(window, &warm, marks.totals());
        Ok(Observed { judged, memory, added, stopped_by, history })
    }

    fn iterate(&mut self, epoch: u32, iteration: &[Asked]) -> Result<(), Problem> {
        if self.once && epoch == 2 {
            self.ask((Request::Show(false), 0))?;
        }
        self.newest = self.base + epoch;
        self.driver.ledger().set_epoch(self.newest);
        iteration.iter().try_for_each(|asked| self.ask(asked.clone()))
    }

    /// Runs the iterations `which` after the warm-up and reads a mark after each, the last of them
    /// whole: the last of `which`, or the first that ends after `give_up`.
    fn measure(
        &mut self,
        marks: &mut Marks,
        window: Window,
        which: std::ops::RangeInclusive<u32>,
        iteration: &[Asked],
        give_up: Option<Instant>,
    ) -> Result<u32, Problem> {
        let last = *which.end();
        for number in which {
            self.iterate(window.warmup + number, iteration)?;
            let ledger = self.driver.ledger();
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
        judged.held && !(self.job.accepts)(&judged.groups, &modules([self.driver.ledger()]))
    }

    /// Waits for late frees, in pauses up to `longest`.
    fn settle(
        &mut self,
        marks: &mut Marks,
        window: Window,
        judged: &mut Judged,
        longest: Duration,
        give_up: Instant,
    ) -> Result<(), Problem> {
        let mut pause = Duration::from_millis(1);
        while pause <= longest && self.is_held(judged) && Instant::now() + pause < give_up {
            std::thread::sleep(pause);
            pause *= 2;
            if marks.read_again(self.driver.ledger()).map_err(damaged)? {
                *judged = self.judge(marks, window)?;
            }
        }
        Ok(())
    }

    /// The verdicts at the last mark. Where the child's memory can't be read, what holds the
    /// blocks stays unknown.
    fn judge(&mut self, marks: &mut Marks, window: Window) -> Result<Judged, Problem> {
        let host = self.host();
        let ledger = self.driver.ledger();
        let mut tally =
            Tally::new(ledger, host.as_deref(), DebugFiles::Ignored).map_err(damaged)?;
        let judged = tally.by_age(marks, window, None).map_err(damaged)?;
        // What rose once may be lost: then it is looked at for longer.
        if !judged.rising && !judged.groups.iter().any(|group| group.verdict.fails()) {
            return Ok(judged);
        }
        // Threads go on until they are stopped: what was freed since the mark would look lost.
        match view::look(self.driver.process().pid(), self.driver.ledger()) {
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

    fn table(&self, marks: &Marks, window: Window) -> Result<Memory, Problem> {
        if !self.job.memory {
            return Ok(Memory::default());
        }
        let host = self.host();
        let ledger = self.driver.ledger();
        Tally::new(ledger, host.as_deref(), DebugFiles::Ignored)
            .and_then(|mut tally| tally.memory(marks.last(), window.warmup + 1))
            .map_err(damaged)
    }

    /// The executable whose frames end a traceback. A closure's own code is in it.
    fn host(&self) -> Option<String> {
        let is_closure = matches!(self.job.scenario.work, Work::Closure(_));
        let host = std::env::current_exe().ok().filter(|_| !is_closure)?;
        host.file_name().map(|name| name.to_string_lossy().into_owned())
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
