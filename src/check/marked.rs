//! Checking a program that marks the end of its iterations itself, with `include/leaksnap.h`: it
//! stands at each mark until its ledger was read.

use std::time::Instant;

use super::capture::Capture;
use super::clock::{Clock, LOOK, START};
use super::job::{self, Job, place};
use super::rest::{For, Rest};
use super::window::{self, Iterate};
use super::{
    Outcome, Problem, Room, activity, completeness, modules, new_ledger, notes, program, tracing,
    unseen,
};
use crate::child::invocation::Invocation;
use crate::child::launch::CAPTURED;
use crate::child::process::{Event, Group, Look, Process};
use crate::child::program_file::why_silent;
use crate::child::status;
use crate::child::unseen as memory;
use crate::report::Exit;
use crate::scenario::Located;
use crate::verdict::Window;

/// A program that runs.
#[derive(Debug)]
struct Run {
    child: Process,
    capture: Capture,
    clock: Clock,
    /// It stands at a mark.
    stands: bool,
    /// What it is called in what is said about it.
    name: String,
    /// The program that did not come to a mark.
    path: std::path::PathBuf,
    /// The iterations that the scenario asks for.
    window: Window,
    rest: Rest,
}

/// Runs the scenario of `job`, the program of `words`.
pub(super) fn check(job: &Job<'_>, words: &Located<Vec<String>>) -> Outcome {
    let mut outcome = job::unknown(job);
    let result = run(job, words, &mut outcome);
    outcome.with(result)
}

fn run(job: &Job<'_>, words: &Located<Vec<String>>, outcome: &mut Outcome) -> Result<(), Problem> {
    let scenario = job.scenario;
    let at = |text: &str| format!("{}: {text}", place(&scenario.path, words.line));
    let program = program::words(&words.value, job.file);
    let [name, arguments @ ..] = program.as_slice() else {
        return Err(Problem::Wrong(at("there is no program")));
    };
    let invocation = Invocation::of(name).with(arguments);
    let called = at(&name.to_string_lossy());
    let mut clock = Clock::start(Some(scenario.timeout), START);
    let mut child = Process::start(
        invocation,
        CAPTURED,
        new_ledger(scenario.heap)?,
        Look::AtMarks,
        Group::Family,
    )
    .map_err(|error| program::not_started(&error, at))?;
    clock.enter(&called);
    let mut capture = Capture::default();
    job.onlooker.started(child.shared_ledger());
    capture.read_child(child.outputs(), job.onlooker.has_echo());
    let window = Window { warmup: scenario.warmup, repeat: scenario.repeat };
    let (stands, rest, name, path) = (false, Rest::new(), called, name.into());
    let mut run = Run { child, capture, clock, stands, name, path, window, rest };
    let Job { memory, accepts, .. } = *job;
    let asked = window::Asked { window, base: 0, host: None, memory, accepts };
    job.onlooker.measures(asked.window);
    let observed = window::observe(&mut run, asked, &mut outcome.report, &mut outcome.memory);
    let stands =
        observed.is_ok().then(|| memory::of_standing(run.child.pid(), run.child.ledger(), None));
    let unseen = stands.unwrap_or_default();
    let ended = run.end(observed.is_ok());
    let full = completeness(run.child.ledger().header(), Room::of_scenario(scenario.heap));
    outcome.report.tracing = tracing(run.child.ledger());
    // Without a window nobody knows what stays.
    outcome.report.tracing.complete &= observed.is_ok();
    unseen::tell(&unseen, &mut outcome.report);
    outcome.report.notes.extend(notes(run.child.ledger().header()));
    outcome.modules = modules([run.child.ledger()]);
    let (output, late) = run.capture.texts();
    outcome.output = output + &late;
    outcome.report.exit = ended.as_ref().copied().unwrap_or_default();
    match (observed, full) {
        (Err(Problem::Failed(problem)), Err(Problem::NotChecked(full))) => {
            Err(Problem::NotChecked(format!("{full} ({problem})")))
        }
        (Err(problem), _) | (Ok(_), Err(problem)) => Err(problem),
        (Ok(_), Ok(())) => match unseen::allocator(&unseen).and(ended)? {
            Exit { code: Some(0), .. } => Ok(()),
            Exit { signal: Some(signal), .. } => Err(Problem::Killed { what: run.name, signal }),
            Exit { code, .. } => {
                let code = code.unwrap_or_default();
                Err(Problem::Failed(format!("{} ended with exit code {code}", run.name)))
            }
        },
    }
}

impl Run {
    /// How the program ended after its last mark that is looked at; what has failed is ended at once.
    fn end(&mut self, goes_on: bool) -> Result<Exit, Problem> {
        let unwaited = |error| Problem::Failed(format!("wait for {}: {error}", self.name));
        if !goes_on {
            return self.child.end().map_err(unwaited);
        }
        self.child.look_no_more();
        self.clock.iteration(0);
        self.clock.enter(&format!("{}, after its last mark,", self.name));
        let left = self.clock.left();
        match self.child.finish(left).map_err(unwaited)? {
            (exit, true) if !self.clock.is_over() => Ok(exit),
            _ => Err(self.timed_out()),
        }
    }

    /// Waits until the program's other threads rest, while one stands at a mark.
    fn rest(&mut self, long: For) {
        if status::has_threads_beside(self.child.pid(), &[self.child.pid()]) {
            self.rest.wait(&self.child, long, self.clock.deadline());
        }
    }

    fn timed_out(&self) -> Problem {
        self.clock.clone().timed_out()
    }

    /// That the program ended before its mark `number`.
    fn ended(&self, exit: Exit, number: u32) -> Problem {
        let Self { name, window, .. } = self;
        let wanted = window.warmup + window.repeat;
        let header = self.child.ledger().header();
        if let Err(problem) = activity(header, self.child.pid(), || why_silent(&self.path)) {
            return problem;
        }
        match exit {
            Exit { signal: Some(signal), .. } => Problem::Killed { what: name.clone(), signal },
            Exit { code: Some(0), .. } if number == 1 => Problem::NotChecked(format!(
                "{name} never called `leaksnap_mark` (include/leaksnap.h), which ends an iteration; \
                 without `warmup` and `repeat` its whole run is checked"
            )),
            Exit { code: Some(0), .. } => {
                let had = number - 1;
                let text = format!("{name} ended after {had} marks");
                match had < wanted {
                    true => Problem::NotChecked(format!(
                        "{text}; `warmup` and `repeat` are {wanted} together"
                    )),
                    // What the window says stands.
                    false => Problem::Failed(text),
                }
            }
            Exit { code, .. } => {
                let code = code.unwrap_or_default();
                Problem::Failed(format!("{name} ended with exit code {code}"))
            }
        }
    }
}

impl Iterate for Run {
    fn process(&self) -> &Process {
        &self.child
    }

    fn deadline(&self) -> Option<Instant> {
        self.clock.deadline()
    }

    fn iterate(&mut self, number: u32) -> Result<(), Problem> {
        if self.clock.is_over() {
            return Err(self.timed_out());
        }
        self.clock.iteration(number);
        self.clock.enter(&self.name);
        if std::mem::take(&mut self.stands) {
            self.child.release();
        }
        let event = self.child.wait(self.clock.deadline(), None);
        match event.map_err(|error| Problem::Failed(format!("wait for {}: {error}", self.name)))? {
            Event::AtMark if !self.clock.is_over() => {
                self.stands = true;
                self.clock.enter(LOOK);
                self.rest(For::after(number, self.window.warmup, self.window.repeat));
                let header = self.child.ledger().header();
                activity(header, self.child.pid(), || why_silent(&self.path))
            }
            Event::Ended(exit) => Err(self.ended(exit, number)),
            _ => Err(self.timed_out()),
        }
    }

    fn cut(&mut self) {
        self.capture.cut();
    }
}
