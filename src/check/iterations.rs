//! Checking a scenario of steps: the host runs them, and its ledger is read after each iteration.

use std::time::Instant;

use super::capture::Capture;
use super::driver::{Driver, LAST_PATIENCE, Output, not_started};
use super::job::{Job, place, unknown};
use super::plugin_path;
use super::rest::{For, Rest};
use super::window::{self, Iterate};
use super::{
    FORKED, Outcome, Problem, Room, completeness, explained, modules, notes, tracing, unseen,
};
use crate::child::family::children;
use crate::child::process::Process;
use crate::child::{status, unseen as memory};
use crate::protocol::{Reply, Request};
use crate::report::table::Memory;
use crate::report::{Exit, Report};
use crate::scenario::{Entry, Located, MAX_ITERATIONS, Scenario, Work};
use crate::verdict::Window;

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
    window: Window,
    /// What each iteration asks for.
    iteration: Vec<Asked>,
    /// What the steps print is shown of the first iteration alone.
    once: bool,
    rest: Rest,
}

/// What the host is asked for, and the scenario's line that says so; 0 where no line does.
type Asked = (Request, usize);

/// What is run of a scenario.
struct Plan {
    window: Window,
    /// What each iteration asks for.
    iteration: Vec<Asked>,
    /// What each iteration makes and drops, where it has a name.
    object: Option<String>,
}

/// Runs the scenario of `job`.
pub(crate) fn check(job: &Job<'_>) -> Outcome {
    let mut outcome = unknown(job);
    let result = start(job, &mut outcome);
    outcome.with(result)
}

/// Runs the scenario of `job`, whose plugins are open, on a host that has run other things up to
/// epoch `base`; also the newest epoch. What the steps print is shown once.
pub(crate) fn check_on(job: &Job<'_>, driver: &mut Driver, base: u32) -> (Outcome, u32) {
    let mut outcome = unknown(job);
    let mut run = Run { base, newest: base, once: true, ..Run::new(job, driver) };
    let result = run.iterations(&mut outcome.report, &mut outcome.memory);
    let newest = run.newest;
    let full = completeness(driver.ledger().header(), Room::of_option(job.scenario.heap));
    let result = result.map_err(|problem| explained(problem, &full));
    outcome.report.tracing = tracing(driver.ledger());
    // Without a window nobody knows what stays.
    outcome.report.tracing.complete &= result.is_ok();
    outcome.modules = modules([driver.ledger()]);
    (outcome.with(result.and(full)), newest)
}

fn start(job: &Job<'_>, outcome: &mut Outcome) -> Result<(), Problem> {
    let scenario = job.scenario;
    let plugins = plugins(job)?;
    let entry = match &scenario.work {
        Work::Closure { entry, .. } => entry,
        _ => &Entry::Main,
    };
    let mut driver = Driver::start(entry, scenario.heap, scenario.timeout, Output::Captured)?;
    let mut capture = Capture::default();
    job.onlooker.started(driver.process().shared_ledger());
    capture.read_child(driver.child().outputs(), job.onlooker.has_echo());
    let mut run = Run { capture, ..Run::new(job, &mut driver) };
    let result = run.all(plugins, &mut outcome.report, &mut outcome.memory);
    let capture = run.capture;
    let full = completeness(driver.ledger().header(), Room::of_scenario(scenario.heap));
    let ended = driver.end();
    let timed_out = driver.timed_out();
    outcome.report.tracing = tracing(driver.ledger());
    // Without a window nobody knows what stays.
    outcome.report.tracing.complete &= result.is_ok();
    outcome.report.notes.extend(notes(driver.ledger().header()));
    outcome.modules = modules([driver.ledger()]);
    let (output, late) = capture.texts();
    outcome.output = entry.without_heading(output);
    let (exit, by_itself) = ended.map_err(not_started)?;
    outcome.report.exit = exit;
    if result.is_err() || exit.code != Some(0) {
        outcome.output += &late;
    }
    result.map_err(|problem| explained(problem, &full)).and(full)?;
    match exit {
        _ if !by_itself => Err(timed_out.unwrap_or_else(|| {
            Problem::Failed(format!("the host did not end {LAST_PATIENCE:?} after its last step"))
        })),
        Exit { code: Some(0), .. } => timed_out.map_or(Ok(()), Err),
        Exit { signal: Some(signal), .. } => {
            Err(Problem::Killed { what: "the host, at its exit,".into(), signal })
        }
        Exit { code, .. } => {
            let code = code.unwrap_or_default();
            Err(Problem::Failed(format!("the host ended with exit code {code}")))
        }
    }
}

impl<'a> Run<'a> {
    /// The scenario of `job` on a host that has run nothing.
    fn new(job: &Job<'a>, driver: &'a mut Driver) -> Self {
        Self {
            job: *job,
            driver,
            capture: Capture::default(),
            base: 0,
            newest: 0,
            window: Window { warmup: 0, repeat: 0 },
            iteration: Vec::new(),
            once: false,
            rest: Rest::new(),
        }
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
        if let Work::Closure { .. } = self.job.scenario.work {
            self.driver.control_in_rust()?;
        }
        for plugin in plugins {
            self.ask(plugin)?;
        }
        self.iterations(report, table)
    }

    /// Runs the iterations and makes a report of them.
    fn iterations(&mut self, report: &mut Report, table: &mut Memory) -> Result<(), Problem> {
        let Plan { window, iteration, object } = self.plan()?;
        self.job.onlooker.measures(window);
        (self.window, self.iteration) = (window, iteration);
        self.rest(For::Long);
        let host = self.host();
        let Job { memory, accepts, .. } = self.job;
        let (base, host) = (self.base, host.as_deref());
        let before = self.driver.ledger().allocations();
        let children = self.children();
        let asked = window::Asked { window, base, host, memory, accepts };
        let goes_on = window::observe(self, asked, report, table)?;
        self.driver.iteration(0);
        if self.children() != children {
            report.notes.push(FORKED.into());
        }
        if let Some(object) = object {
            self.is_made(&object, &before)?;
            if report.groups.iter().any(|group| group.verdict.fails()) {
                report.notes.push(object_note(&object));
            }
        }
        let driver = &*self.driver;
        unseen::allocator(&memory::of_host(driver.process().pid(), driver.plugins()))?;
        if goes_on && let Work::Closure { .. } = self.job.scenario.work {
            self.ask((Request::GoOn, 0))?;
        }
        Ok(())
    }

    /// Waits until the host rests, where it has threads that may be at what an iteration gave them to do.
    fn rest(&mut self, long: For) {
        let driver = &*self.driver;
        if driver.has_other_threads() {
            self.rest.wait(driver.process(), long, driver.deadline());
        }
    }

    /// The processes that the host has started, and the signs of those that it has waited for.
    fn children(&self) -> (Vec<u32>, u64) {
        let host = self.driver.process().pid();
        (children(host), status::faults_of_children(host))
    }

    /// The executable whose frames end a traceback. A closure's own code is in it.
    fn host(&self) -> Option<String> {
        let is_closure = matches!(self.job.scenario.work, Work::Closure { .. });
        let host = std::env::current_exe().ok().filter(|_| !is_closure)?;
        host.file_name().map(|name| name.to_string_lossy().into_owned())
    }

    /// What is to be run.
    fn plan(&mut self) -> Result<Plan, Problem> {
        let Scenario { warmup, repeat, .. } = *self.job.scenario;
        let window = Window { warmup, repeat };
        let name = match &self.job.scenario.work {
            Work::Closure { name, .. } => name.clone(),
            Work::Host { steps, .. } => {
                let asked = |step: &Located<String>| (Request::Step(step.value.clone()), step.line);
                let iteration = steps.iter().map(asked).collect();
                return Ok(Plan { window, iteration, object: None });
            }
            Work::Program(_) | Work::Marked(_) | Work::Server(_) => {
                return Ok(Plan { window, iteration: Vec::new(), object: None });
            }
        };
        let asked = (Request::Closure(name.clone()), 0);
        let what = self.what(&asked);
        match self.driver.hear(&asked.0, &what)? {
            Reply::Repeat { warmup, repeat, .. }
                if u64::from(warmup) + u64::from(repeat) > u64::from(MAX_ITERATIONS) =>
            {
                let text =
                    format!("{what}: more than {MAX_ITERATIONS} iterations, warm-up included");
                Err(Problem::Wrong(text))
            }
            Reply::Repeat { warmup, repeat, object } => {
                let (window, iteration) = (Window { warmup, repeat }, vec![(Request::Iterate, 0)]);
                Ok(Plan { window, iteration, object })
            }
            other => Err(self.refused(&asked, other)),
        }
    }

    /// Whether the heap saw that `object` was made: a thread, which had allocated as often as one
    /// of `before`, did so again for each iteration. What other threads do now and then is no sign.
    fn is_made(&self, object: &str, before: &[u64]) -> Result<(), Problem> {
        let iterations = u64::from(self.newest - self.base);
        let after = self.driver.ledger().allocations();
        if after.iter().zip(before).any(|(now, then)| now.saturating_sub(*then) >= iterations) {
            return Ok(());
        }
        Err(Problem::NotChecked(format!(
            "`{object}` was made, used and dropped without an allocation on the traced heap for \
             each time; does it have a heap of its own?"
        )))
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

impl Iterate for Run<'_> {
    fn process(&self) -> &Process {
        self.driver.process()
    }

    fn deadline(&self) -> Option<Instant> {
        self.driver.deadline()
    }

    fn iterate(&mut self, number: u32) -> Result<(), Problem> {
        self.driver.iteration(number);
        if self.once && number == 2 {
            self.ask((Request::Show(false), 0))?;
        }
        self.newest = self.base + number;
        self.iteration.clone().into_iter().try_for_each(|asked| self.ask(asked))?;
        self.rest(For::after(number, self.window.warmup, self.window.repeat));
        Ok(())
    }

    fn cut(&mut self) {
        self.capture.cut();
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

fn object_note(object: &str) -> String {
    format!("what is left was allocated while `{object}` was made, used or dropped")
}

fn wrong(scenario: &Scenario, line: usize, reason: &str) -> Problem {
    Problem::Wrong(format!("{}: {reason}", place(&scenario.path, line)))
}
