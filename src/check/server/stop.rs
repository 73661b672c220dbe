//! Stopping a program, and whether it ended as it was asked to.

use std::time::Instant;

use nix::sys::signal::Signal;

use super::drive::Drive;
use super::{LOOK, Problem, Run, place, program};
use crate::check::driver::LAST_PATIENCE;
use crate::child::process::Event;
use crate::report::Exit;
use crate::scenario::server::Stop;

impl Run<'_> {
    /// Stops the program; one that was `driven` as it was asked to be has to end as it should.
    pub(super) fn stop(
        &mut self,
        stop: &Stop,
        driven: bool,
        into: &mut Exit,
    ) -> Result<(), Problem> {
        let now = self.child.wait(Some(Instant::now()), None);
        if let Event::Ended(exit) = now.map_err(|error| self.unwaited(&error))? {
            *into = exit;
            // What went wrong before has been told.
            return if driven { Err(self.ended(exit, "before it was stopped")) } else { Ok(()) };
        }
        let limit = self.job.scenario.timeout;
        let limit = if driven { limit } else { limit.min(LAST_PATIENCE) };
        let line = self.server.stop.line;
        let place = place(&self.job.scenario.path, line);
        let what = format!("{place}: stop");
        let (sent, how, asked) = match stop {
            Stop::Signal(signal) => {
                let number = rustix::process::Signal::from_named_raw(*signal as i32);
                number.into_iter().for_each(|number| self.child.signal(number));
                (Some(*signal), format!("after {signal}"), Ok(()))
            }
            Stop::Command(words) => {
                let words = program::words(words, self.job.file);
                let asked = Drive::start(&words, &place).and_then(|mut command| {
                    let ended = command.wait(limit, &what);
                    if ended.is_err() {
                        self.failed += &command.text();
                    }
                    ended
                });
                (None, "after `stop`".to_owned(), asked)
            }
        };
        let patience = if asked.is_ok() { limit } else { LOOK };
        let start = Instant::now();
        let (exit, by_itself) =
            self.child.finish(patience).map_err(|error| self.unwaited(&error))?;
        *into = exit;
        asked?;
        let what = format!("{}, {how},", self.name());
        let as_asked = |code: i32| Some(code) == sent.map(|signal: Signal| 128 + signal as i32);
        match exit {
            _ if !by_itself || start.elapsed() >= limit => Err(Problem::timed_out(what, limit)),
            Exit { signal: Some(signal), .. } if Some(signal) != sent.map(|sent| sent as i32) => {
                Err(Problem::Killed { what, signal })
            }
            Exit { code: Some(code), .. } if code != 0 && !as_asked(code) => {
                Err(Problem::Failed(format!("{what} ended with exit code {code}")))
            }
            _ => Ok(()),
        }
    }
}
