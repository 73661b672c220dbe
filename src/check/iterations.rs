//! Checking a scenario of steps: the host runs them, and its ledger is read after each iteration.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::capture::Capture;
use super::plugin_path;
use super::tally::Tally;
use super::{Outcome, Problem, activity, completeness, new_ledger, notes, tracing};
use crate::child::ledger_file::{LedgerError, Live};
use crate::child::process::Process;
use crate::child::view;
use crate::protocol::{CONTROL_BYTES, Channel, HOST_VARIABLE, Reply, Request};
use crate::report::table::Memory;
use crate::report::{Exit, Report};
use crate::scenario::{Located, Scenario};
use crate::symbols::DebugFiles;

/// How long a host may take to end once it was asked to.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// A host at work.
#[derive(Debug)]
struct Run<'a> {
    scenario: &'a Scenario,
    child: Process,
    channel: Channel,
    deadline: Instant,
}

/// Runs the `plugins` and `steps` of `scenario`. `memory`: the memory table is wanted.
pub(crate) fn check(
    scenario: &Scenario,
    file: &Path,
    name: &str,
    plugins: &[Located<String>],
    steps: &[Located<String>],
    memory: bool,
) -> Outcome {
    let words = plugins.iter().chain(steps).map(|word| word.value.clone()).collect();
    let mut outcome = Outcome {
        report: Report {
            scenario: Some(name.to_owned()),
            program: words,
            exit: Exit::default(),
            tracing: crate::report::Tracing::default(),
            iterations: scenario.repeat,
            groups: Vec::new(),
            notes: Vec::new(),
        },
        problem: None,
        output: String::new(),
        memory: Memory::default(),
    };
    outcome.problem = start(scenario, file, plugins, steps, memory, &mut outcome).err();
    outcome
}

fn start(
    scenario: &Scenario,
    file: &Path,
    plugins: &[Located<String>],
    steps: &[Located<String>],
    memory: bool,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let mut paths = Vec::new();
    for plugin in plugins {
        let found = plugin_path::find(&plugin.value, file);
        let path = found.map_err(|reason| wrong(scenario, plugin.line, &reason))?;
        paths.push(Located { value: path, line: plugin.line });
    }
    let not_started = |error: io::Error| Problem::NotChecked(format!("start the host: {error}"));
    let ledger = new_ledger(scenario.heap)?;
    let (here, there) = UnixStream::pair().map_err(not_started)?;
    let mut command = Command::new(std::env::current_exe().map_err(not_started)?);
    command.env(HOST_VARIABLE, "1").stdin(OwnedFd::from(there));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Process::start(command, ledger, false)
        .map_err(|error| Problem::NotChecked(error.to_string()))?;
    let mut capture = Capture::default();
    child.child().stdout.take().into_iter().for_each(|pipe| capture.read(pipe));
    child.child().stderr.take().into_iter().for_each(|pipe| capture.read(pipe));
    let channel = Channel::new(here);
    let deadline = Instant::now() + scenario.timeout;
    let mut run = Run { scenario, child, channel, deadline };
    let result = run.all(&paths, steps, memory, &mut outcome.report, &mut outcome.memory);
    // A heap that was full explains whatever else went wrong.
    let full = completeness(run.child.ledger().header(), scenario.heap);
    let ended = run.end();
    outcome.report.tracing = tracing(run.child.ledger().header());
    outcome.report.notes = notes(run.child.ledger().header());
    outcome.output = capture.text();
    let (exit, by_itself) = ended.map_err(not_started)?;
    outcome.report.exit = exit;
    match (result, full) {
        (Err(problem @ (Problem::Wrong(_) | Problem::TimedOut { .. })), _) => Err(problem),
        (Err(problem), Err(Problem::NotChecked(full))) => {
            Err(Problem::NotChecked(format!("{full} ({problem})")))
        }
        (Err(problem), _) => Err(problem),
        (Ok(()), Err(full)) => Err(full),
        (Ok(()), Ok(())) if !by_itself && Instant::now() < deadline => Err(Problem::Failed(
            format!("the host did not end {LAST_PATIENCE:?} after its last step"),
        )),
        (Ok(()), Ok(())) if !by_itself => {
            let what = "the host, at its exit,".into();
            Err(Problem::TimedOut { what, limit: scenario.timeout })
        }
        (Ok(()), Ok(())) => match outcome.report.exit {
            Exit { code: Some(0), .. } => Ok(()),
            Exit { signal: Some(signal), .. } => {
                Err(Problem::Killed { what: "the host, at its exit,".into(), signal })
            }
            Exit { code, .. } => {
                let code = code.unwrap_or_default();
                Err(Problem::Failed(format!("the host ended with exit code {code}")))
            }
        },
    }
}

impl Run<'_> {
    fn all(
        &mut self,
        plugins: &[Located<std::path::PathBuf>],
        steps: &[Located<String>],
        memory: bool,
        report: &mut Report,
        table: &mut Memory,
    ) -> Result<(), Problem> {
        self.control()?;
        for plugin in plugins {
            let path = plugin.value.to_string_lossy().into_owned();
            self.ask(&Request::Open(path), plugin.line)?;
        }
        let Scenario { warmup, repeat, .. } = *self.scenario;
        let mut marks = Vec::new();
        for epoch in 1..=warmup + repeat {
            self.child.ledger().set_epoch(epoch);
            for step in steps {
                self.ask(&Request::Step(step.value.clone()), step.line)?;
            }
            if epoch > warmup {
                marks.push(self.live()?);
            }
        }
        let host = std::env::current_exe().unwrap_or_default();
        let host = host.file_name().map(|name| name.to_string_lossy().into_owned());
        let ledger = self.child.ledger();
        let mut tally =
            Tally::new(ledger, host.as_deref(), DebugFiles::Ignored).map_err(damaged)?;
        report.groups = tally.by_age(&marks, warmup, None).map_err(damaged)?;
        let last = marks.last().map(Vec::as_slice).unwrap_or_default();
        if report.groups.iter().any(|group| group.verdict.fails()) {
            // It explains, it does not decide: what can't be read stays unknown.
            if let Ok(reached) = view::reachability(&self.child, last) {
                report.groups = tally.by_age(&marks, warmup, Some(&reached)).map_err(damaged)?;
            }
        }
        if memory {
            *table = tally.memory(last, warmup + 1).map_err(damaged)?;
        }
        Ok(())
    }

    /// Proves that this host's heap is traced: one known allocation counts as one, and is gone
    /// once it was freed.
    fn control(&mut self) -> Result<(), Problem> {
        let reply = self.prove(&Request::Allocate)?;
        let (header, pid) = (self.child.ledger().header(), self.child.pid());
        activity(header, pid, "the host's loader ignored LD_PRELOAD")?;
        let unproven = |what: &str| Problem::NotChecked(format!("the control allocation {what}"));
        let address = match reply {
            Reply::Allocated(address) => address,
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

    /// Asks for a part of the proof: where the host fails at it no step has, but nothing can be
    /// checked.
    fn prove(&mut self, request: &Request) -> Result<Reply, Problem> {
        self.hear(request, "the host's start").map_err(|problem| match problem {
            Problem::Failed(_) | Problem::Killed { .. } => Problem::NotChecked(problem.to_string()),
            other => other,
        })
    }

    fn live(&self) -> Result<Vec<Live>, Problem> {
        self.child.ledger().live().map_err(damaged)
    }

    /// Asks for what the scenario says at `line`.
    fn ask(&mut self, request: &Request, line: usize) -> Result<(), Problem> {
        let place = place(&self.scenario.path, line);
        let what = match request {
            Request::Step(words) => format!("{place}: step `{words}`"),
            Request::Open(path) => format!("{place}: plugin {path}"),
            other => format!("{place}: {other:?}"),
        };
        match self.hear(request, &what)? {
            Reply::Done => Ok(()),
            Reply::Refused(reason) => Err(wrong(self.scenario, line, &reason)),
            Reply::Failed(reason) => Err(Problem::Failed(format!("{what} failed: {reason}"))),
            Reply::NoHeap(reason) => Err(Problem::NotChecked(reason)),
            Reply::Allocated(_) => {
                Err(Problem::Failed(format!("{what}: the host answered something else")))
            }
        }
    }

    /// Says `request` and hears the reply; `what` is what the request is about.
    fn hear(&mut self, request: &Request, what: &str) -> Result<Reply, Problem> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let heard = self
            .channel
            .set_timeout(left)
            .and_then(|()| self.channel.send(request))
            .and_then(|()| self.channel.receive());
        match heard {
            Ok(Some(reply)) => Ok(reply),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                let limit = self.scenario.timeout;
                Err(Problem::TimedOut { what: what.to_owned(), limit })
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(Problem::Failed(format!("{what}: the host answered nonsense: {error}")))
            }
            // The host is gone, or the socket between us is.
            Ok(None) | Err(_) => Err(self.gone(what)),
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
    fn end(&mut self) -> io::Result<(Exit, bool)> {
        // A host that is gone has said why already.
        let _ = self.channel.send(&Request::Quit);
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.child.finish(left.min(LAST_PATIENCE))
    }
}

fn damaged(error: LedgerError) -> Problem {
    Problem::NotChecked(error.to_string())
}

fn place(path: &Path, line: usize) -> String {
    format!("{}:{line}", path.display())
}

fn wrong(scenario: &Scenario, line: usize, reason: &str) -> Problem {
    Problem::Wrong(format!("{}: {reason}", place(&scenario.path, line)))
}

#[cfg(test)]
mod tests;
