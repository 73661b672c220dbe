//! Checking a scenario of steps: the host runs them, and its ledger is read after each iteration.

mod window;

use std::path::Path;
use std::time::Instant;

use super::capture::Capture;
use super::driver::{Driver, LAST_PATIENCE, Output, not_started};
use super::plugin_path;
use super::{Outcome, Problem, completeness, modules, notes, tracing};
use crate::protocol::{Reply, Request};
use crate::report::table::Memory;
use crate::report::{Exit, Group, History, Report};
use crate::scenario::{Located, MAX_ITERATIONS, Scenario, Work};
use crate::suppression::module::Modules;
use crate::verdict::Window;

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

/// A scenario on a host at work.
#[derive(Debug)]
struct Run<'a> {
    job: Job<'a>,
    driver: &'a mut Driver,
    capture: Capture,
    /// The epoch before the first iteration.
    base: u32,
    /// The epoch of the newest iteration.
    newest: u32,
    /// What the steps print is shown of the first iteration alone.
    once: bool,
}

/// What the host is asked for, and the scenario's line that says so; 0 where no line does.
type Asked = (Request, usize);

/// Runs the scenario of `job`.
pub(crate) fn check(job: &Job<'_>) -> Outcome {
    let mut outcome = unknown(job);
    outcome.problem = start(job, &mut outcome).err();
    outcome
}

/// Runs the scenario of `job`, whose plugins are open, on a host that has run other things up to
/// epoch `base`; also the newest epoch. What the steps print is shown once.
pub(crate) fn check_on(job: &Job<'_>, driver: &mut Driver, base: u32) -> (Outcome, u32) {
    let mut outcome = unknown(job);
    let (capture, newest) = (Capture::default(), base);
    let mut run = Run { job: *job, driver, capture, base, newest, once: true };
    let result = run.iterations(&mut outcome.report, &mut outcome.memory);
    let newest = run.newest;
    let full = completeness(driver.ledger().header(), job.scenario.heap);
    outcome.problem = result.and(full).err();
    outcome.report.tracing = tracing(driver.ledger());
    outcome.modules = modules([driver.ledger()]);
    (outcome, newest)
}

/// The outcome of `job` before anything was run.
fn unknown(job: &Job<'_>) -> Outcome {
    let program = match &job.scenario.work {
        Work::Host { plugins, steps } => {
            plugins.iter().chain(steps).map(|word| word.value.clone()).collect()
        }
        Work::Closure(name) => vec![name.clone()],
        Work::Program(words) => words.value.clone(),
    };
    Outcome {
        report: Report {
            scenario: Some(job.name.to_owned()),
            program,
            exit: Exit::default(),
            tracing: crate::report::Tracing::default(),
            iterations: job.scenario.repeat,
            groups: Vec::new(),
            notes: Vec::new(),
            history: History::default(),
            descendants: None,
        },
        problem: None,
        output: String::new(),
        strict: job.scenario.strict,
        memory: Memory::default(),
        modules: Modules::default(),
    }
}

fn start(job: &Job<'_>, outcome: &mut Outcome) -> Result<(), Problem> {
    let scenario = job.scenario;
    let plugins = plugins(job)?;
    let mut driver = Driver::start(scenario.heap, scenario.timeout, Output::Captured)?;
    let mut capture = Capture::default();
    let child = driver.child().child();
    child.stdout.take().into_iter().for_each(|pipe| capture.read(pipe));
    child.stderr.take().into_iter().for_each(|pipe| capture.read(pipe));
    let deadline = driver.deadline();
    let mut run = Run { job: *job, driver: &mut driver, capture, base: 0, newest: 0, once: false };
    let result = run.all(plugins, &mut outcome.report, &mut outcome.memory);
    let capture = run.capture;
    // A heap that was full explains whatever else went wrong.
    let full = completeness(driver.ledger().header(), scenario.heap);
    let ended = driver.end();
    outcome.report.tracing = tracing(driver.ledger());
    outcome.report.notes.extend(notes(driver.ledger().header()));
    outcome.modules = modules([driver.ledger()]);
    let (output, late) = capture.texts();
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
        self.driver.control()?;
        for plugin in plugins {
            self.ask(plugin)?;
        }
        self.iterations(report, table)
    }

    /// Runs the iterations and makes a report of them.
    fn iterations(&mut self, report: &mut Report, table: &mut Memory) -> Result<(), Problem> {
        let (window, iteration) = self.iteration()?;
        report.iterations = window.repeat;
        let observed = self.observe(window, &iteration)?;
        report.groups = observed.judged.groups;
        if let Some(error) = observed.judged.unread {
            report.notes.push(format!("what holds the blocks is not known: {error}"));
        }
        report.history = observed.history;
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
        match self.driver.hear(&asked.0, &name)? {
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

    /// Asks for what the scenario says.
    fn ask(&mut self, asked: Asked) -> Result<(), Problem> {
        let what = self.what(&asked);
        match self.driver.hear(&asked.0, &what)? {
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

fn place(path: &Path, line: usize) -> String {
    match line {
        0 => path.display().to_string(),
        _ => format!("{}:{line}", path.display()),
    }
}

fn wrong(scenario: &Scenario, line: usize, reason: &str) -> Problem {
    Problem::Wrong(format!("{}: {reason}", place(&scenario.path, line)))
}
