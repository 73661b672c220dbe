//! Checking a scenario of steps: the host runs them, and its ledger is read after each iteration.

mod window;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::capture::Capture;
use super::plugin_path;
use super::{Outcome, Problem, activity, completeness, modules, new_ledger, notes, tracing};
use crate::child::ledger_file::{LedgerError, Live};
use crate::child::process::Process;
use crate::protocol::{CONTROL_BYTES, Channel, HOST_VARIABLE, Reply, Request};
use crate::report::table::Memory;
use crate::report::{Exit, Group, Report};
use crate::scenario::{Located, MAX_ITERATIONS, Scenario, Work};
use crate::suppression::module::Modules;
use crate::verdict::Window;

/// How long a host may take to end once it was asked to.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// A scenario for the host.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    /// What to run: steps or a closure.
    pub(crate) scenario: &'a Scenario,
    /// Where the scenario file lies; plugins are found from there.
    pub(crate) file: &'a Path,
    /// The scenario's name.
    pub(crate) name: &'a str,
    /// The memory table is wanted.
    pub(crate) memory: bool,
    /// Whether all of these groups that fail were accepted: then nothing more is done about them.
    pub(crate) accepts: &'a dyn Fn(&[Group], &Modules) -> bool,
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("scenario", &self.scenario).finish_non_exhaustive()
    }
}

/// A host at work.
#[derive(Debug)]
struct Run<'a> {
    job: Job<'a>,
    child: Process,
    channel: Channel,
    capture: Capture,
    deadline: Instant,
}

/// What the host is asked for, and the scenario's line that says so; 0 where no line does.
type Asked = (Request, usize);

/// Runs the scenario of `job`.
pub(crate) fn check(job: &Job<'_>) -> Outcome {
    let program = match &job.scenario.work {
        Work::Host { plugins, steps } => {
            plugins.iter().chain(steps).map(|word| word.value.clone()).collect()
        }
        Work::Closure(name) => vec![name.clone()],
        Work::Program(words) => words.value.clone(),
    };
    let mut outcome = Outcome {
        report: Report {
            scenario: Some(job.name.to_owned()),
            program,
            exit: Exit::default(),
            tracing: crate::report::Tracing::default(),
            iterations: job.scenario.repeat,
            groups: Vec::new(),
            notes: Vec::new(),
        },
        problem: None,
        output: String::new(),
        strict: job.scenario.strict,
        memory: Memory::default(),
        modules: Modules::default(),
    };
    outcome.problem = start(job, &mut outcome).err();
    outcome
}

fn start(job: &Job<'_>, outcome: &mut Outcome) -> Result<(), Problem> {
    let scenario = job.scenario;
    let plugins = plugins(job)?;
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
    let mut run = Run { job: *job, child, channel, capture, deadline };
    let result = run.all(plugins, &mut outcome.report, &mut outcome.memory);
    // A heap that was full explains whatever else went wrong.
    let full = completeness(run.child.ledger().header(), scenario.heap);
    let ended = run.end();
    outcome.report.tracing = tracing(run.child.ledger());
    outcome.report.notes.extend(notes(run.child.ledger().header()));
    outcome.modules = modules(run.child.ledger());
    let (output, late) = run.capture.texts();
    outcome.output = output;
    let (exit, by_itself) = ended.map_err(not_started)?;
    outcome.report.exit = exit;
    if result.is_err() || exit.code != Some(0) {
        outcome.output += &late;
    }
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
        plugins: Vec<Asked>,
        report: &mut Report,
        table: &mut Memory,
    ) -> Result<(), Problem> {
        self.control()?;
        for plugin in plugins {
            self.ask(plugin)?;
        }
        let (window, iteration) = self.iteration()?;
        report.iterations = window.repeat;
        let observed = self.observe(window, &iteration)?;
        report.groups = observed.judged.groups;
        if let Some(error) = observed.judged.unread {
            report.notes.push(format!("what holds the blocks is not known: {error}"));
        }
        *table = observed.memory;
        if observed.added > 0 {
            let were = if observed.added == 1 { "iteration was" } else { "iterations were" };
            report.notes.push(format!(
                "{} more {were} run to decide; the numbers are those of the first {}",
                observed.added, window.repeat
            ));
        }
        if let Some(problem) = observed.stopped_by {
            report.notes.push(format!("an iteration after the window failed: {problem}"));
            return Ok(());
        }
        if let Work::Closure(_) = self.job.scenario.work {
            self.ask((Request::GoOn, 0))?;
        }
        Ok(())
    }

    /// The window, and what each iteration asks for.
    fn iteration(&mut self) -> Result<(Window, Vec<Asked>), Problem> {
        let Scenario { warmup, repeat, .. } = *self.job.scenario;
        let window = Window { warmup, repeat };
        let name = match &self.job.scenario.work {
            Work::Closure(name) => name.clone(),
            Work::Host { steps, .. } => {
                let asked = |step: &Located<String>| (Request::Step(step.value.clone()), step.line);
                return Ok((window, steps.iter().map(asked).collect()));
            }
            Work::Program(_) => return Ok((window, Vec::new())),
        };
        let asked = (Request::Closure(name.clone()), 0);
        match self.hear(&asked.0, &name)? {
            Reply::Repeat { warmup, repeat }
                if u64::from(warmup) + u64::from(repeat) > u64::from(MAX_ITERATIONS) =>
            {
                let text =
                    format!("{name}: more than {MAX_ITERATIONS} iterations, warm-up included");
                Err(Problem::Wrong(text))
            }
            Reply::Repeat { warmup, repeat } => {
                Ok((Window { warmup, repeat }, vec![(Request::Iterate, 0)]))
            }
            other => Err(self.refused(&asked, other)),
        }
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

    /// Asks for what the scenario says.
    fn ask(&mut self, asked: Asked) -> Result<(), Problem> {
        match self.hear(&asked.0, &self.what(&asked))? {
            Reply::Done => Ok(()),
            other => Err(self.refused(&asked, other)),
        }
    }

    fn what(&self, (request, line): &Asked) -> String {
        let place = place(&self.job.scenario.path, *line);
        match request {
            Request::Step(words) => format!("{place}: step `{words}`"),
            Request::Open(path) => format!("{place}: plugin {path}"),
            _ => place,
        }
    }

    fn refused(&self, asked: &Asked, reply: Reply) -> Problem {
        let what = self.what(asked);
        match reply {
            Reply::Refused(reason) => wrong(self.job.scenario, asked.1, &reason),
            Reply::Failed(reason) => Problem::Failed(format!("{what} failed: {reason}")),
            Reply::NoHeap(reason) => Problem::NotChecked(reason),
            other => Problem::Failed(format!("{what}: the host answered {other:?}")),
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
                let limit = self.job.scenario.timeout;
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

/// The scenario's plugins, found.
fn plugins(job: &Job<'_>) -> Result<Vec<Asked>, Problem> {
    let Work::Host { plugins, .. } = &job.scenario.work else { return Ok(Vec::new()) };
    let find = |plugin: &Located<String>| {
        let path = plugin_path::find(&plugin.value, job.file)
            .map_err(|reason| wrong(job.scenario, plugin.line, &reason))?;
        Ok((Request::Open(path.to_string_lossy().into_owned()), plugin.line))
    };
    plugins.iter().map(find).collect()
}

fn damaged(error: LedgerError) -> Problem {
    Problem::NotChecked(error.to_string())
}

fn place(path: &Path, line: usize) -> String {
    match line {
        0 => path.display().to_string(),
        _ => format!("{}:{line}", path.display()),
    }
}

fn wrong(scenario: &Scenario, line: usize, reason: &str) -> Problem {
    Problem::Wrong(format!("{}: {reason}", place(&scenario.path, line)))
}

#[cfg(test)]
mod tests;
