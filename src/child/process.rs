//! A child on the preload heap, from its start to its end.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use rustix::thread::futex;

use super::family;
use super::follow::{Descendant, Follow, Unfollowed};
use super::invocation::Invocation;
use super::launch::{self, Launched, Streams};
use super::ledger_file::{LedgerError, LedgerFile};
use super::preload_file::{self, PreloadError};
use super::program_file::{Loader, on_search_path};
use super::watch::Watch;
use crate::ledger::header::{LEDGER_VARIABLE, mark};
use crate::report::Exit;

/// The variable that glibc takes its tunables from.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Why a child could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The preload heap can't be given to it.
    #[error(transparent)]
    Preload(#[from] PreloadError),
    /// Its ledger can't be made.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is no such program.
    #[error("there is no program {}", program.display())]
    Missing { program: PathBuf },
    /// The kernel did not start it.
    #[error("start {}: {source}", program.display())]
    Spawn { program: PathBuf, source: io::Error },
}

/// What a watched child did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It stands at its exit until [`Process::release`].
    AtExit,
    /// It stands at a mark of its own until then.
    AtMark,
    /// It ended.
    Ended(Exit),
    /// The deadline passed.
    TimedOut,
    /// The caller's own descriptor can be read.
    Interrupted,
}

/// When a child is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Whenever somebody asks: it is told what to do.
    WhenAsked,
    /// Wherever it marks the end of an iteration, until that is [no longer
    /// wanted](Process::look_no_more).
    AtMarks,
    /// When it is about to exit.
    AtExit,
    /// The same, and so are the programs that it starts.
    Followed,
}

/// The process group that a child is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// The one that this process is in: the terminal's signals and input are for the child, too.
    Ours,
    /// The same; where the child is killed, so is whomever it started.
    Family,
    /// One of its own, which a terminal's signals are not for.
    Led,
    /// The same, which ends with it in any case.
    Ended,
}

/// A child with its ledger. Dropping it kills and reaps the child.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    /// What can be read of its output and error, until somebody does.
    outputs: [Option<OwnedFd>; 2],
    ledger: Arc<LedgerFile>,
    pidfd: OwnedFd,
    /// Its process group.
    group: Group,
    stops: Option<Watch>,
    ended: Option<Exit>,
    follow: Option<Follow>,
}

impl Process {
    /// Starts `invocation` with `streams`, the preload heap and `ledger`. Unless it is looked at when
    /// somebody asks, the child stops before it exits, until it is [released](Self::release). It is in
    /// `group`.
    ///
    /// # Errors
    /// Where the preload heap can't be written, or the program can't be started.
    pub(crate) fn start(
        mut invocation: Invocation,
        streams: Streams,
        ledger: LedgerFile,
        look: Look,
        group: Group,
    ) -> Result<Self, StartError> {
        let program = invocation.program().to_path_buf();
        let mut preload = OsString::from(preload_file::path()?);
        if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
            preload.push(":");
            preload.push(others);
        }
        // It has to work, if unchecked; musl's loader would not start it.
        if !Loader::of(&on_search_path(&program)).is_some_and(|loader| loader.is_of_musl()) {
            invocation = invocation.with_variable("LD_PRELOAD", preload);
        }
        let invocation = invocation
            .with_variable(LEDGER_VARIABLE, ledger.path())
            .with_variable(TUNABLES, tunables(std::env::var_os(TUNABLES)));
        let stop_at_exit = matches!(look, Look::AtExit | Look::Followed);
        let stop_at_marks = look == Look::AtMarks;
        ledger.header().stop_at_exit.store(u32::from(stop_at_exit), Ordering::Release);
        ledger.header().stop_at_marks.store(u32::from(stop_at_marks), Ordering::Release);
        let ledger = Arc::new(ledger);
        let follow = (look == Look::Followed).then(|| Follow::new(&ledger)).transpose()?;
        let leads = matches!(group, Group::Led | Group::Ended);
        let launched = launch::launch(&invocation, streams, &launch::passed_on(), leads);
        let Launched { pid, outputs } = launched.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StartError::Missing { program: program.clone() },
            _ => StartError::Spawn { program: program.clone(), source },
        })?;
        let failed = |source: rustix::io::Errno| {
            let (program, source) = (program.clone(), source.into());
            StartError::Spawn { program, source }
        };
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(&failed)?;
        let stands = |now| matches!(mark::kind(now), mark::AT_EXIT | mark::AT_MARK);
        let watch = || Watch::new(&ledger, |header| &header.mark, stands);
        let stops = (stop_at_exit || stop_at_marks).then(watch).transpose().map_err(failed)?;
        Ok(Self { pid, outputs, ledger, pidfd, group, stops, ended: None, follow })
    }

    /// The child's process number.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
    }

    /// The child's ledger.
    pub(crate) fn ledger(&self) -> &LedgerFile {
        &self.ledger
    }

    /// The same, for who looks at it from another thread.
    pub(crate) fn shared_ledger(&self) -> &Arc<LedgerFile> {
        &self.ledger
    }

    /// What can be read of its output and error, where that was asked for and nobody has it yet.
    pub(crate) fn outputs(&mut self) -> [Option<OwnedFd>; 2] {
        std::mem::take(&mut self.outputs)
    }

    /// Waits until something happens, at most to `deadline`, or until `interrupt` can be read.
    ///
    /// # Errors
    /// Where the kernel can't wait for the child.
    pub(crate) fn wait(
        &mut self,
        deadline: Option<Instant>,
        interrupt: Option<BorrowedFd<'_>>,
    ) -> io::Result<Event> {
        loop {
            let mut until = deadline;
            if let Some(exit) = self.ended {
                let Some(follow) = &mut self.follow else { return Ok(Event::Ended(exit)) };
                if !follow.is_running().map_err(io::Error::other)? {
                    return Ok(Event::Ended(exit));
                }
                until = deadline.into_iter().chain(follow.deadline()).min();
            }
            let left = until.map(|at| at.saturating_duration_since(Instant::now()));
            let timeout = left.map(|left| Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            let told = self.stops.as_ref().map(Watch::as_fd);
            let running = self.ended.is_none().then(|| self.pidfd.as_fd());
            let sources = [running, told, interrupt];
            let others = self.follow.iter().flat_map(Follow::sources);
            let mut fds: Vec<_> = sources
                .into_iter()
                .flatten()
                .chain(others)
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
                .collect();
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) if until == deadline => return Ok(Event::TimedOut),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let mut polled = fds.iter().map(|fd| !fd.revents().is_empty());
            let mut came = sources.iter().map(|fd| fd.is_some() && polled.next() == Some(true));
            let mut next = || came.next() == Some(true);
            let (ended, told, interrupted) = (next(), next(), next());
            let followed = polled.any(|came| came);
            if followed && let Some(follow) = &mut self.follow {
                follow.see().map_err(io::Error::other)?;
            }
            if ended {
                self.reap()?;
                continue;
            }
            if interrupted {
                return Ok(Event::Interrupted);
            }
            if told && let Some(watch) = &self.stops {
                watch.take();
                // A child that says this again and again has no more time for it.
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return Ok(Event::TimedOut);
                }
                match mark::kind(self.ledger.header().mark.load(Ordering::Acquire)) {
                    mark::AT_EXIT => {
                        let pid = self.pid();
                        self.follow.iter_mut().for_each(|follow| follow.wait_for_children(pid));
                        return Ok(Event::AtExit);
                    }
                    mark::AT_MARK => return Ok(Event::AtMark),
                    _ => {}
                }
            }
        }
    }

    /// Lets a child that stands at its exit or at a mark go on.
    pub(crate) fn release(&self) {
        release(&self.ledger);
    }

    /// The child stops nowhere any more.
    pub(crate) fn look_no_more(&self) {
        let header = self.ledger.header();
        header.stop_at_exit.store(0, Ordering::Release);
        header.stop_at_marks.store(0, Ordering::Release);
        self.release();
    }

    /// Sends the child a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            // It may have ended in the meantime.
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
        } else if let Some(follow) = &self.follow {
            follow.signal(signal);
        }
    }

    /// The processes that the child started, and how many more could not be followed; none where
    /// nobody follows.
    pub(crate) fn descendants(&mut self) -> Option<(Vec<Descendant>, Unfollowed)> {
        self.follow.take().map(Follow::finish)
    }

    /// The processes that the child started and left behind, by their commands and numbers; none while
    /// it runs itself.
    pub(crate) fn left_behind(&self) -> Vec<(String, u32)> {
        let follow = self.follow.as_ref().filter(|_| self.ended.is_some());
        follow.map(Follow::running).unwrap_or_default()
    }

    /// Kills the child where it still runs, and says how it ended.
    ///
    /// # Errors
    /// Where the kernel can't wait for the child.
    pub(crate) fn end(&mut self) -> io::Result<Exit> {
        // While it lives it is known whom it started.
        let is_killed = self.group == Group::Family && self.ended.is_none();
        let family = if is_killed { family::descendants(self.pid()) } else { Vec::new() };
        self.signal(Signal::KILL);
        let exit = self.reap();
        for (_, process) in family {
            // It may have ended by itself.
            let _ = rustix::process::pidfd_send_signal(process, Signal::KILL);
        }
        if let Some(follow) = &self.follow {
            follow.signal(Signal::KILL);
        }
        exit
    }

    /// Waits for the end of a child that is about to end by itself, at most `patience`: then it is
    /// killed. How it ended, and whether by itself.
    ///
    /// # Errors
    /// Where the kernel can't wait for the child.
    pub(crate) fn finish(&mut self, patience: Duration) -> io::Result<(Exit, bool)> {
        let deadline = Instant::now() + patience;
        loop {
            match self.wait(Some(deadline), None)? {
                Event::Ended(exit) => return Ok((exit, true)),
                Event::AtExit | Event::AtMark => self.release(),
                Event::Interrupted => {}
                Event::TimedOut => return Ok((self.end()?, false)),
            }
        }
    }

    fn reap(&mut self) -> io::Result<Exit> {
        if let Some(exit) = self.ended {
            return Ok(exit);
        }
        if self.group == Group::Ended {
            family::end_group(self.pid);
        }
        let exit = launch::wait(self.pid)?;
        self.ended = Some(exit);
        self.stops = None;
        Ok(exit)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about a child that can't be reaped.
        let _ = self.end();
    }
}

/// Lets the program of `ledger`, which stands at its exit or at a mark, go on.
pub(super) fn release(ledger: &LedgerFile) {
    let word = &ledger.header().mark;
    // Nobody else writes it while the child stands.
    word.store(mark::released(word.load(Ordering::Acquire)), Ordering::Release);
    // Nobody may be waiting: then there is nobody to wake.
    let _ = futex::wake(word, futex::Flags::empty(), u32::MAX >> 1);
}

/// `given` and one more: glibc (from 2.34) shall not keep the stacks of threads that ended, whose
/// pointers would look like the program's.
fn tunables(given: Option<OsString>) -> OsString {
    let mut tunables = given.unwrap_or_default();
    if !tunables.is_empty() {
        tunables.push(":");
    }
    tunables.push("glibc.pthread.stack_cache_size=0");
    tunables
}
