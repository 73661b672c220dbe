//! A host at work, as the parent drives it: started, asked, ended.
//!
//! Invariant: a request is answered once, and the next one is asked only then. A driver whose host
//! was not heard in time, or is gone, is of no further use.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::clock::{Clock, LOOK};
use super::{Problem, activity, new_ledger};
use crate::child::invocation::Invocation;
use crate::child::launch::Stream;
use crate::child::ledger_file::{LedgerError, LedgerFile, Live};
use crate::child::process::{Group, Look, Process};
use crate::child::status;
use crate::protocol::{
    CONTROL_BYTES, CONTROL_IN_RUST, Channel, HOST_VARIABLE, RECORD_VARIABLE, Reply, Request,
};
use crate::report::Exit;
use crate::scenario::Entry;

/// How long a host may take to end once it was asked to.
pub(crate) const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that an allocator may put around a block, however small that is.
const MOST_AROUND: u64 = 256;

/// Whose the host's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// The parent reads it from pipes.
    Captured,
    /// It is the parent's own; and so that the terminal's signals are not, the host is in a
    /// process group by itself.
    Shared,
}

/// A host, and how long it may take.
#[derive(Debug)]
pub(crate) struct Driver {
    child: Process,
    channel: Channel,
    /// What its start is called.
    start: &'static str,
    clock: Clock,
    interrupt: Option<OwnedFd>,
    /// What a command has printed ends within a line.
    within_a_line: bool,
    lost: bool,
    /// The host's thread that answers, once it has.
    thread: u32,
    /// The plugins that the host has opened.
    plugins: Vec<PathBuf>,
}

impl Driver {
    /// Starts a host by its `entry` with a heap of `heap` bytes, which may take `limit` until
    /// [`grant`](Self::grant) says otherwise.
    ///
    /// # Errors
    /// Where it can't be started.
    pub(crate) fn start(
        entry: &Entry,
        heap: u64,
        limit: Duration,
        output: Output,
    ) -> Result<Self, Problem> {
        let ledger = new_ledger(heap)?;
        let (here, there) = UnixStream::pair().map_err(not_started)?;
        let host = Invocation::of(std::env::current_exe().map_err(not_started)?);
        let (host, start) = match entry {
            Entry::Main => (host.with_variable(HOST_VARIABLE, "1"), "the host's start"),
            Entry::Call { arguments, record, .. } => {
                let host = host.with(arguments).with_variable(RECORD_VARIABLE, record);
                (host, "the test, run again up to this call,")
            }
        };
        let there = Stream::Given(there.into());
        let (streams, group) = match output {
            Output::Captured => ([there, Stream::Piped, Stream::Piped], Group::Ours),
            Output::Shared => ([there, Stream::Inherited, Stream::Inherited], Group::Led),
        };
        let clock = Clock::start(Some(limit), start);
        let clock = if output == Output::Shared { clock.given_by("--timeout") } else { clock };
        let child = Process::start(host, streams, ledger, Look::WhenAsked, group)
            .map_err(|error| Problem::NotChecked(error.to_string()))?;
        let channel = Channel::new(here);
        let (interrupt, within_a_line, lost) = (None, false, false);
        let (thread, plugins) = (0, Vec::new());
        Ok(Self { child, channel, start, clock, interrupt, within_a_line, lost, thread, plugins })
    }

    /// While `interrupt` can be read, what is asked for is given up.
    pub(crate) fn interrupt_by(&mut self, interrupt: OwnedFd) {
        self.interrupt = Some(interrupt);
    }

    /// From now on the host has its whole time again.
    pub(crate) fn grant(&mut self) {
        self.clock = self.clock.again(LOOK);
    }

    /// When the host's time is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.clock.deadline()
    }

    /// What is asked for from now on is of this iteration, from 1; 0 is none.
    pub(crate) fn iteration(&mut self, number: u32) {
        self.clock.iteration(number);
    }

    /// That the host's time is over, where it is, and what took it.
    pub(crate) fn timed_out(&self) -> Option<Problem> {
        self.clock.is_over().then(|| self.clock.clone().timed_out())
    }

    /// Whether the host is gone, or was given up.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether the last that a command printed, of a host that is lost, has no end of its line.
    pub(crate) fn is_within_a_line(&self) -> bool {
        self.within_a_line
    }

    /// The host's process.
    pub(crate) fn child(&mut self) -> &mut Process {
        &mut self.child
    }

    /// The same, to look at.
    pub(crate) fn process(&self) -> &Process {
        &self.child
    }

    /// Whether the host has threads beside the one that answers and its first one, which waits for
    /// that where it is another.
    pub(crate) fn has_other_threads(&self) -> bool {
        status::has_threads_beside(self.child.pid(), &[self.child.pid(), self.thread])
    }

    /// The plugins that the host has opened.
    pub(crate) fn plugins(&self) -> impl Iterator<Item = &Path> {
        self.plugins.iter().map(PathBuf::as_path)
    }

    /// The host's ledger.
    pub(crate) fn ledger(&self) -> &LedgerFile {
        self.child.ledger()
    }

    /// Proves that this host's heap is traced: one known allocation counts as one, and is gone
    /// once it was freed.
    ///
    /// # Errors
    /// Where it is not, or the host does not answer.
    pub(crate) fn control(&mut self) -> Result<(), Problem> {
        let reply = self.prove(&Request::Allocate)?;
        let (header, pid) = (self.child.ledger().header(), self.child.pid());
        activity(header, pid, || "the host's loader ignored LD_PRELOAD".into())?;
        let unproven = |what: &str| Problem::NotChecked(format!("the control allocation {what}"));
        let address = match reply {
            Reply::Allocated { address, thread } => {
                self.thread = thread;
                address
            }
            Reply::NoHeap(reason) => return Err(Problem::NotChecked(reason)),
            other => return Err(unproven(&format!("was answered with {other:?}"))),
        };
        let is_control = |live: &&Live| live.entry.size == CONTROL_BYTES && !live.is_paused();
        let found: Vec<_> =
            self.live()?.iter().filter(is_control).map(|live| live.address).collect();
        if found != [address] {
            return Err(unproven(&format!("was counted {} times, not once", found.len())));
        }
        if self.prove(&Request::Free)? != Reply::Done {
            return Err(unproven("could not be freed"));
        }
        if self.live()?.iter().any(|live| live.address == address) {
            return Err(unproven("is still there after it was freed"));
        }
        Ok(())
    }

    /// Proves that what code in Rust allocates in this host is traced, too, whatever its size: the
    /// executable's allocator may be another one, or put something of its own around a block.
    ///
    /// # Errors
    /// Where it is not, or the host does not answer.
    pub(crate) fn control_in_rust(&mut self) -> Result<(), Problem> {
        let reply = self.prove(&Request::AllocateInRust)?;
        let live = self.live()?;
        let holds = |live: &Live, bytes: u64, address: u64| {
            let size = live.entry.size;
            let is_control = (bytes..=bytes + bytes.max(MOST_AROUND)).contains(&size);
            let within = address.checked_sub(live.address).is_some_and(|offset| offset < size);
            is_control && within && !live.is_paused()
        };
        let is_traced = match reply {
            Reply::AllocatedInRust(found) if found.len() == CONTROL_IN_RUST.len() => {
                let mut wanted = CONTROL_IN_RUST.into_iter().zip(found);
                wanted.all(|(bytes, at)| live.iter().any(|live| holds(live, bytes, at)))
            }
            _ => false,
        };
        if self.prove(&Request::Free)? != Reply::Done || !is_traced {
            return Err(Problem::NotChecked(
                "the `#[global_allocator]` has memory of its own, which is not traced; give the \
                 test the system's allocator"
                    .into(),
            ));
        }
        // The host waits for what is asked next: the largest of the blocks is no peak of the closure's.
        self.ledger().restart_most();
        Ok(())
    }

    /// Asks for a part of the proof: where the host fails at it no step has, but nothing can be
    /// checked.
    fn prove(&mut self, request: &Request) -> Result<Reply, Problem> {
        self.hear(request, self.start).map_err(|problem| match problem {
            Problem::Failed(_) | Problem::Killed { .. } => Problem::NotChecked(problem.to_string()),
            other => other,
        })
    }

    /// Every live allocation.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn live(&self) -> Result<Vec<Live>, Problem> {
        self.child.ledger().live().map_err(damaged)
    }

    /// Says `request` and hears the reply; `what` is what the request is about.
    ///
    /// # Errors
    /// Where none comes in time, or the host is gone.
    pub(crate) fn hear(&mut self, request: &Request, what: &str) -> Result<Reply, Problem> {
        if let Some(problem) = self.timed_out() {
            // What is not asked any more did not take the time.
            self.lost = true;
            return Err(problem);
        }
        self.clock.enter(what);
        let heard = self.exchange(request);
        self.lost = !matches!(&heard, Ok(Some(reply)) if !matches!(reply, Reply::Thrown(_)));
        match heard {
            Ok(Some(Reply::Thrown(plugin))) => {
                // It ends by itself; how is no news.
                let _ = self.child.finish(LAST_PATIENCE);
                Err(Problem::Failed(format!(
                    "{what} was left by an exception, which plugin {plugin} has to catch"
                )))
            }
            Ok(Some(reply)) => {
                if let (Request::Open(path), Reply::Done) = (request, &reply) {
                    self.plugins.push(path.into());
                }
                // Over is over, also where the reply came just behind it.
                let late = self.timed_out();
                self.clock.enter(LOOK);
                late.map_or(Ok(reply), Err)
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(self.clock.clone().timed_out())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                let interrupt = self.interrupt.as_ref();
                // What came is heard of once.
                interrupt.map(|interrupt| rustix::io::read(interrupt, &mut [0; 64]));
                Err(Problem::Failed(format!("{what} was interrupted")))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(Problem::Failed(format!("{what}: the host answered nonsense: {error}")))
            }
            // The host is gone, or the socket between us is.
            Ok(None) | Err(_) => Err(self.gone(what)),
        }
    }

    /// Says `request` and hears the answer to it.
    fn exchange(&mut self, request: &Request) -> io::Result<Option<Reply>> {
        self.within_a_line = false;
        self.channel.send(request)?;
        loop {
            let interrupt = self.interrupt.as_ref().map(AsFd::as_fd);
            self.channel.wait(self.clock.left(), interrupt)?;
            match self.channel.receive()? {
                // One that goes on saying so has not answered.
                Some(Reply::Printed { .. }) if self.clock.is_over() => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Some(Reply::Printed { within_a_line }) => self.within_a_line = within_a_line,
                // The host has ended its line before.
                Some(reply) => {
                    self.within_a_line = false;
                    return Ok(Some(reply));
                }
                None => return Ok(None),
            }
        }
    }

    fn gone(&mut self, what: &str) -> Problem {
        match self.child.finish(LAST_PATIENCE) {
            Ok((_, false)) => Problem::Failed(format!("{what} cut the host off from its parent")),
            Ok((Exit { signal: Some(signal), .. }, _)) => {
                Problem::Killed { what: what.to_owned(), signal }
            }
            Ok((Exit { code, .. }, _)) => {
                let code = code.unwrap_or_default();
                Problem::Failed(format!("{what} ended the host with exit code {code}"))
            }
            Err(error) => Problem::Failed(format!("{what}: the host is gone: {error}")),
        }
    }

    /// How the host ended, and whether by itself.
    ///
    /// # Errors
    /// Where the kernel can't wait for it.
    pub(crate) fn end(&mut self) -> io::Result<(Exit, bool)> {
        self.clock.iteration(0);
        self.clock.enter("the host, at its exit,");
        // A host that is gone has said why already.
        let _ = self.channel.send(&Request::Quit);
        let left = self.clock.left();
        self.child.finish(left.min(LAST_PATIENCE))
    }
}

/// The kernel would not start a host.
pub(crate) fn not_started(error: io::Error) -> Problem {
    Problem::NotChecked(format!("start the host: {error}"))
}

/// The ledger can't be read.
pub(crate) fn damaged(error: LedgerError) -> Problem {
    Problem::NotChecked(error.to_string())
}

#[cfg(test)]
mod tests;
