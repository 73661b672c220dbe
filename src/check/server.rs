//! Checking a program that stays up: it is started, driven from outside by one command for each
//! iteration, and stopped. Its ledger is read after each drive, while it waits for the next one.
//!
//! ```text
//!   start --ready--> drive, rest, mark | drive, rest, mark | … --stop--> end
//! ```
//! A drive's command is not preloaded. When it has ended, the program may still be about to take note
//! of that: a mark is read when it rests, or after a while.

mod drive;
mod ready;
mod stop;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::drive::Drive;
use super::capture::Capture;
use super::job::{self, Job, place};
use super::rest::{For, LOOK, Rest};
use super::window::{self, Iterate};
use super::{
    FORKED, Outcome, Problem, Room, activity, completeness, modules, new_ledger, notes, program,
    tracing, unseen,
};
use crate::child::family::children;
use crate::child::invocation::Invocation;
use crate::child::launch::CAPTURED;
use crate::child::process::{Event, Group, Look, Process};
use crate::child::program_file::why_silent;
use crate::child::status;
use crate::child::unseen::{self as memory, Unseen};
use crate::report::table::Memory;
use crate::report::{Exit, Report};
use crate::scenario::Scenario;
use crate::scenario::server::{Places, Ready, Server, Stop};
use crate::verdict::Window;

/// A program that runs.
#[derive(Debug)]
struct Run<'a> {
    job: Job<'a>,
    server: &'a Server,
    /// The words of the program and of a drive.
    program: Vec<OsString>,
    drive: Vec<OsString>,
    child: Process,
    capture: Capture,
    rest: Rest,
    /// What the drive that failed wrote.
    failed: String,
    /// Allocations, and the faults of children, before the first drive.
    before: (u64, u64),
}

/// Runs the scenario of `job`, which is `server`.
pub(super) fn check(job: &Job<'_>, server: &Server) -> Outcome {
    let mut outcome = job::unknown(job);
    let result = run(job, server, &mut outcome);
    outcome.with(result)
}

fn run(job: &Job<'_>, server: &Server, outcome: &mut Outcome) -> Result<(), Problem> {
    let path = &job.scenario.path;
    let failed = |error: std::io::Error| Problem::NotChecked(format!("start the program: {error}"));
    let folder = tempfile::tempdir().map_err(failed)?;
    let temp = folder.path().to_string_lossy().into_owned();
    let places = Places { port: free_port().map_err(failed)?, temp };
    let fill = |words: &[String]| {
        let words: Vec<_> = words.iter().map(|word| places.fill(word)).collect();
        program::words(&words, job.file)
    };
    let at = |line: usize, text: &str| format!("{}: {text}", place(path, line));
    let ready = Ready::read(&places.fill(&server.ready.value))
        .map_err(|problem| Problem::Wrong(at(server.ready.line, &format!("`ready` {problem}"))))?;
    ready::nobody_is(&ready)
        .map_err(|problem| Problem::NotChecked(at(server.ready.line, &problem)))?;
    let mut capture = match &ready {
        Ready::Line(text) => Capture::wanting(text),
        _ => Capture::default(),
    };
    let program = fill(&server.program.value);
    let [name, arguments @ ..] = program.as_slice() else {
        return Err(Problem::Wrong(at(server.program.line, "there is no program")));
    };
    let invocation = Invocation::of(name).with(arguments);
    let mut child = Process::start(
        invocation,
        CAPTURED,
        new_ledger(job.scenario.heap)?,
        Look::WhenAsked,
        Group::Ended,
    )
    .map_err(|error| program::not_started(&error, |text| at(server.program.line, text)))?;
    job.onlooker.started(child.shared_ledger());
    capture.read_child(child.outputs(), job.onlooker.has_echo());
    let (drive, rest, before) = (fill(&server.drive.value), Rest::new(), (0, 0));
    let (job, failed) = (*job, String::new());
    let mut run = Run { job, server, program, drive, child, capture, rest, failed, before };
    let result = run.all(&ready, &mut outcome.report, &mut outcome.memory);
    let unseen = match result {
        Ok(()) => memory::of_running(run.child.pid()),
        Err(_) => Unseen::default(),
    };
    let result = result.and_then(|()| unseen::allocator(&unseen));
    let stop = match &server.stop.value {
        Stop::Signal(signal) => Stop::Signal(*signal),
        Stop::Command(words) => Stop::Command(words.iter().map(|word| places.fill(word)).collect()),
    };
    let stopped = run.stop(&stop, result.is_ok(), &mut outcome.report.exit);
    let Run { child, capture, failed, .. } = run;
    let full = completeness(child.ledger().header(), Room::of_scenario(job.scenario.heap));
    outcome.report.tracing = tracing(child.ledger());
    // Without a window nobody knows what stays.
    outcome.report.tracing.complete &= result.is_ok();
    unseen::tell(&unseen, &mut outcome.report);
    outcome.report.notes.extend(notes(child.ledger().header()));
    outcome.modules = modules([child.ledger()]);
    let (output, late) = capture.texts();
    outcome.output = output;
    if result.is_err() || stopped.is_err() {
        outcome.output += &late;
        outcome.output += &failed;
    }
    match (result, full) {
        (Err(Problem::NotChecked(reason)), _) => Err(Problem::NotChecked(reason)),
        (Err(problem), Err(Problem::NotChecked(full))) => {
            Err(Problem::NotChecked(format!("{full} ({problem})")))
        }
        (Err(problem), _) => Err(problem),
        (Ok(()), full) => full.and(stopped),
    }
}

impl Run<'_> {
    fn all(
        &mut self,
        ready: &Ready,
        report: &mut Report,
        table: &mut Memory,
    ) -> Result<(), Problem> {
        self.wait_until(ready)?;
        let name = self.program.first().map(std::path::Path::new).unwrap_or("".as_ref());
        let header = self.child.ledger().header();
        activity(header, self.child.pid(), || why_silent(name))?;
        self.rest(For::Long, "once it was ready")?;
        self.before = self.work();
        let Job { memory, accepts, scenario, .. } = self.job;
        let window = Window { warmup: scenario.warmup, repeat: scenario.repeat };
        let asked = window::Asked { window, base: 0, host: None, memory, accepts };
        self.job.onlooker.measures(asked.window);
        window::observe(self, asked, report, table)?;
        let note = self.what_was_driven()?;
        report.notes.extend(note);
        Ok(())
    }

    /// The program's allocations, and those of children that can be known by other signs.
    fn work(&self) -> (u64, u64) {
        let faults = status::faults_of_children(self.child.pid());
        (self.child.ledger().counts().allocations, faults)
    }

    /// Proves that it was this process that the drives were for, as far as that shows: what a child
    /// that it forked allocates is in no ledger.
    fn what_was_driven(&self) -> Result<Option<String>, Problem> {
        let running = children(self.child.pid()).len();
        let (allocations, faults) = self.work();
        let had_children = running > 0 || faults != self.before.1;
        match (allocations == self.before.0, had_children) {
            (true, true) => Err(Problem::NotChecked(format!(
                "{} allocated nothing while it was driven, and has processes of its own that may \
                 have answered; have it serve in the process that is started",
                self.name()
            ))),
            (true, false) => Ok(Some("it allocated nothing while it was driven".into())),
            (false, true) => Ok(Some(FORKED.into())),
            (false, false) => Ok(None),
        }
    }

    /// Waits until the program rests.
    fn rest(&mut self, long: For, when: &str) -> Result<(), Problem> {
        self.rest.begin();
        while self.rest.is_due(&self.child, long) {
            self.pass(Instant::now() + LOOK, when)?;
        }
        Ok(())
    }

    /// Waits until `deadline`.
    fn pass(&mut self, deadline: Instant, when: &str) -> Result<(), Problem> {
        loop {
            match self.child.wait(Some(deadline), None).map_err(|error| self.unwaited(&error))? {
                Event::Ended(exit) => return Err(self.ended(exit, when)),
                Event::TimedOut => return Ok(()),
                Event::AtExit | Event::AtMark | Event::Interrupted => self.child.release(),
            }
        }
    }

    fn unwaited(&self, error: &std::io::Error) -> Problem {
        Problem::Failed(format!("wait for {}: {error}", self.name()))
    }

    fn name(&self) -> String {
        let line = self.server.program.line;
        let name = self.program.first().map(|name| name.to_string_lossy()).unwrap_or_default();
        format!("{}: {name}", place(&self.job.scenario.path, line))
    }

    /// That the program ended before it was to.
    fn ended(&self, exit: Exit, when: &str) -> Problem {
        match exit {
            Exit { signal: Some(signal), .. } => {
                Problem::Killed { what: format!("{}, {when},", self.name()), signal }
            }
            Exit { code, .. } => Problem::Failed(format!(
                "{} ended with exit code {} {when}; it has to stay up, in the foreground",
                self.name(),
                code.unwrap_or_default()
            )),
        }
    }

    /// Runs the command of a drive; `when` says which.
    fn drive(&mut self, when: &str) -> Result<(), Problem> {
        let line = self.server.drive.line;
        let place = place(&self.job.scenario.path, line);
        let what = format!("{place}: drive, {when},");
        let limit = self.job.scenario.timeout;
        let deadline = Instant::now() + limit;
        let mut drive = Drive::start(&self.drive, &place)?;
        let result = loop {
            let event = self.child.wait(Some(deadline), Some(drive.as_fd()));
            match event.map_err(|error| self.unwaited(&error))? {
                Event::Ended(exit) => break Err(self.ended(exit, when)),
                Event::TimedOut => {
                    break Err(Problem::timed_out(what, limit));
                }
                Event::AtExit | Event::AtMark => self.child.release(),
                Event::Interrupted => match drive.finish(&what) {
                    Ok(()) if Instant::now() < deadline => return Ok(()),
                    Ok(()) => {
                        break Err(Problem::timed_out(what, limit));
                    }
                    // A program that crashed is why its client fails.
                    Err(problem) => {
                        let soon = Instant::now() + Duration::from_millis(50);
                        break self.pass(soon, when).and(Err(problem));
                    }
                },
            }
        };
        self.failed = drive.text();
        result
    }
}

impl Iterate for Run<'_> {
    fn process(&self) -> &Process {
        &self.child
    }

    fn deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.job.scenario.timeout)
    }

    fn iterate(&mut self, number: u32) -> Result<(), Problem> {
        let when = format!("in iteration {number}");
        self.drive(&when)?;
        let Scenario { warmup, repeat, .. } = *self.job.scenario;
        self.rest(For::after(number, warmup, repeat), &when)
    }

    fn cut(&mut self) {
        self.capture.cut();
    }
}

/// A TCP port that nobody has, and that no other scenario of this process got.
fn free_port() -> std::io::Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        if given.len() > 10_000 {
            given.clear();
        }
        if given.insert(port) {
            return Ok(port);
        }
    }
}
