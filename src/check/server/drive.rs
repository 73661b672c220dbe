//! A command that is run beside the program, to its end; the end of what it wrote is kept.

use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Capture, Problem};
use crate::child::invocation::Invocation;
use crate::child::launch::CAPTURED;
use crate::child::outside::Outside;
use crate::report::Exit;

/// A command that runs.
#[derive(Debug)]
pub(super) struct Drive {
    command: Outside,
    capture: Capture,
}

impl Drive {
    /// Starts the command of `words`, which is named at `place`.
    pub(super) fn start(words: &[OsString], place: &str) -> Result<Self, Problem> {
        let [program, arguments @ ..] = words else {
            return Err(Problem::Wrong(format!("{place}: there is no command")));
        };
        let invocation = Invocation::of(program).with(arguments);
        let name = program.display();
        let mut command = Outside::start(&invocation, CAPTURED).map_err(|error| {
            Problem::Wrong(match error.kind() {
                io::ErrorKind::NotFound => format!("{place}: there is no program {name}"),
                _ => format!("{place}: start {name}: {error}"),
            })
        })?;
        let mut capture = Capture::default();
        // Its output is shown where it fails.
        capture.read_child(command.outputs(), false);
        Ok(Self { command, capture })
    }

    /// It can be read once the command has ended.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.command.as_fd()
    }

    /// That the command, which is waited for, ended as it should.
    pub(super) fn finish(&mut self, what: &str) -> Result<(), Problem> {
        let failed = |text: String| Problem::Failed(format!("{what} {text}"));
        let exit = self.command.finish();
        match exit.map_err(|error| failed(format!("can't be waited for: {error}")))? {
            Exit { code: Some(0), .. } => Ok(()),
            Exit { signal: Some(signal), .. } => {
                Err(failed(format!("was ended by signal {signal}")))
            }
            Exit { code, .. } => {
                Err(failed(format!("ended with exit code {}", code.unwrap_or_default())))
            }
        }
    }

    /// The same, within `limit`.
    pub(super) fn wait(&mut self, limit: Duration, what: &str) -> Result<(), Problem> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut polled = [PollFd::from_borrowed_fd(self.as_fd(), PollFlags::IN)];
            match poll(&mut polled, Some(&left)) {
                Ok(came) if came == 0 || Instant::now() >= deadline => {
                    return Err(Problem::timed_out(what.to_owned(), limit));
                }
                Ok(_) => return self.finish(what),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Problem::Failed(format!("{what}: {error}"))),
            }
        }
    }

    /// What the command wrote, below a line that says so; the command is ended.
    pub(super) fn text(self) -> String {
        let Self { command, capture } = self;
        drop(command);
        match capture.texts().0 {
            text if text.is_empty() => text,
            text => format!("\n--- what the command wrote that failed:\n{text}"),
        }
    }
}
