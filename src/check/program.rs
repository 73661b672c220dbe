//! Checking a whole program: one iteration, from its start to its exit.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::capture::Capture;
use super::tally::Tally;
use super::{Outcome, Problem, activity, completeness, modules, new_ledger, notes, tracing};
use crate::child::ledger_file::{LedgerError, Live};
use crate::child::process::{Event, Process, StartError, why_silent};
use crate::child::view::{self, Reached};
use crate::report::table::Memory;
use crate::report::{Exit, Report};
use crate::suppression::module::Modules;
use crate::symbols::DebugFiles;

/// A program to check.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    /// The program and its arguments; at least one.
    pub(crate) words: Vec<OsString>,
    /// Bytes of its heap.
    pub(crate) heap: u64,
    /// How long it may take.
    pub(crate) timeout: Option<Duration>,
    /// Its output is kept for the outcome, and it gets no input; else both are the caller's.
    pub(crate) captured: bool,
    /// Where it is named, for what is said about it.
    pub(crate) place: Option<String>,
    /// The scenario that names it.
    pub(crate) scenario: Option<&'a str>,
    /// One-time blocks fail.
    pub(crate) strict: bool,
    /// The memory table is wanted.
    pub(crate) memory: bool,
    /// Groups of reachable blocks are wanted, too.
    pub(crate) all: bool,
}

impl Program<'_> {
    fn at_place(&self, text: &str) -> String {
        self.place.iter().fold(text.to_owned(), |text, place| format!("{place}: {text}"))
    }
}

/// The words of a scenario's program: one that is given by a relative path is looked for from
/// the scenario's folder first.
pub(crate) fn words(words: &[String], scenario: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
    if let Some(program) = words.first_mut()
        && Path::new(program).components().count() > 1
        && let Some(folder) = scenario.parent()
        && let Ok(beside) = std::path::absolute(folder.join(&*program))
        && beside.is_file()
    {
        *program = beside.into();
    }
    words
}

/// What was seen of a program that ran.
#[derive(Debug, Default)]
struct Seen {
    exit: Exit,
    at_exit: Option<(Vec<Live>, Reached)>,
    timed_out: bool,
    unreadable: Option<String>,
}

/// Runs `program` and looks at what is live when it exits.
pub(crate) fn check(program: &Program<'_>) -> Outcome {
    let words = program.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut outcome = Outcome {
        report: Report {
            scenario: program.scenario.map(str::to_owned),
            program: words,
            exit: Exit::default(),
            tracing: crate::report::Tracing::default(),
            iterations: 1,
            groups: Vec::new(),
            notes: Vec::new(),
        },
        problem: None,
        output: String::new(),
        strict: program.strict,
        memory: Memory::default(),
        modules: Modules::default(),
    };
    outcome.problem = run(program, &mut outcome).err();
    outcome
}

fn run(program: &Program<'_>, outcome: &mut Outcome) -> Result<(), Problem> {
    let ledger = new_ledger(program.heap)?;
    let [path, arguments @ ..] = program.words.as_slice() else {
        return Err(Problem::Wrong("there is no program".into()));
    };
    let mut command = Command::new(path);
    command.args(arguments);
    if program.captured {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    // In a test it is the harness that the terminal's signals are for.
    let signals = if program.captured { Signals::default() } else { Signals::forward() };
    let mut child = Process::start(command, ledger, true).map_err(|error| match error {
        StartError::Missing { .. } | StartError::Spawn { .. } => {
            Problem::Wrong(program.at_place(&error.to_string()))
        }
        StartError::Preload(_) | StartError::Ledger(_) => Problem::NotChecked(error.to_string()),
    })?;
    let mut capture = Capture::default();
    child.child().stdout.take().into_iter().for_each(|pipe| capture.read(pipe));
    child.child().stderr.take().into_iter().for_each(|pipe| capture.read(pipe));
    let seen = watch(&mut child, program, &signals)
        .map_err(|error| Problem::Failed(format!("wait for the program: {error}")));
    (outcome.output, _) = capture.texts();
    let seen = seen?;
    outcome.report.exit = seen.exit;
    outcome.report.tracing = tracing(child.ledger());
    // Nobody knows what was live at an end that the heap did not see.
    outcome.report.tracing.complete &= seen.at_exit.is_some();
    outcome.report.notes = notes(child.ledger().header());
    outcome.modules = modules(child.ledger());
    judge(program, &child, &seen, outcome)
}

fn watch(child: &mut Process, program: &Program<'_>, signals: &Signals) -> std::io::Result<Seen> {
    let deadline = program.timeout.map(|timeout| Instant::now() + timeout);
    let mut seen = Seen::default();
    loop {
        match child.wait(deadline, signals.woken.as_ref().map(AsFd::as_fd))? {
            Event::Ended(exit) => {
                seen.exit = exit;
                return Ok(seen);
            }
            Event::TimedOut => {
                seen.timed_out = true;
                seen.exit = child.end()?;
                return Ok(seen);
            }
            Event::Interrupted => {
                if let Some(signal) = signals.take() {
                    child.signal(signal);
                }
            }
            Event::AtExit => {
                match view::look(child) {
                    Ok(found) => seen.at_exit = Some(found),
                    Err(error) => seen.unreadable = Some(error.to_string()),
                }
                child.release();
            }
        }
    }
}

fn judge(
    program: &Program<'_>,
    child: &Process,
    seen: &Seen,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let header = child.ledger().header();
    let name = program.words.first().map(Path::new).unwrap_or(Path::new(""));
    let what = || program.at_place(&name.display().to_string());
    let damaged = |error: LedgerError| Problem::NotChecked(error.to_string());
    if let Some((live, reached)) = &seen.at_exit {
        // What a snapshot may hold has to be the same on every machine.
        let debug_files =
            if program.scenario.is_some() { DebugFiles::Ignored } else { DebugFiles::Read };
        let mut tally = Tally::new(child.ledger(), None, debug_files).map_err(damaged)?;
        let groups = tally.by_reachability(live, Some(reached), program.all);
        outcome.report.groups = groups.map_err(damaged)?;
        if program.memory {
            outcome.memory = tally.memory(live, 0).map_err(damaged)?;
        }
    }
    if seen.timed_out {
        let limit = program.timeout.unwrap_or_default();
        return Err(Problem::TimedOut { what: what(), limit });
    }
    activity(header, child.pid(), why_silent(name))?;
    completeness(header, program.heap)?;
    if let Some(reason) = &seen.unreadable {
        return Err(Problem::NotChecked(format!("at the program's exit: {reason}")));
    }
    if let Some(signal) = seen.exit.signal {
        return Err(Problem::Killed { what: what(), signal });
    }
    let code = seen.exit.code.unwrap_or_default();
    if seen.at_exit.is_none() {
        let reason = "the program ended without the preload heap seeing its exit: it called \
                      exit_group itself, or executed a program that is not preloaded";
        return Err(Problem::NotChecked(match code {
            0 => reason.into(),
            _ => format!("{reason} (exit code {code})"),
        }));
    }
    match code {
        0 => Ok(()),
        _ => Err(Problem::Failed(format!("{} ended with exit code {code}", what()))),
    }
}

/// Signals that would end this process, kept for the child: the terminal sends some of them to
/// both, and the report is still to be written.
#[derive(Debug, Default)]
struct Signals {
    came: Arc<AtomicUsize>,
    woken: Option<UnixStream>,
    registered: Vec<signal_hook::SigId>,
}

impl Signals {
    /// What can't be registered ends this process, as any other.
    fn forward() -> Self {
        let came = Arc::new(AtomicUsize::new(0));
        let Ok((woken, waker)) = UnixStream::pair() else { return Self::default() };
        let mut registered = Vec::new();
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP] {
            let number = signal as i32;
            let value = usize::try_from(number).unwrap_or_default();
            let flag = signal_hook::flag::register_usize(number, Arc::clone(&came), value);
            let pipe = waker
                .try_clone()
                .and_then(|waker| signal_hook::low_level::pipe::register(number, waker));
            registered.extend(flag.into_iter().chain(pipe));
        }
        Self { came, woken: Some(woken), registered }
    }

    /// The last signal that the child did not get itself: the terminal sends the first two to the
    /// whole group.
    fn take(&self) -> Option<Signal> {
        if let Some(mut woken) = self.woken.as_ref() {
            // One byte came with each signal; more of them only mean another look.
            let _ = woken.read(&mut [0]);
        }
        let number = i32::try_from(self.came.swap(0, Ordering::AcqRel)).ok()?;
        Signal::try_from(number)
            .ok()
            .filter(|signal| matches!(signal, Signal::SIGTERM | Signal::SIGHUP))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}
