//! Checking a whole program: one iteration, from its start to its exit.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::capture::Capture;
use super::clock::{Clock, LOOK, START};
use super::onlooker::Onlooker;
use super::signals::Signals;
use super::tally::Tally;
use super::{
    Outcome, Problem, Room, activity, completeness, descendants, modules, new_ledger, notes,
    tracing, unseen,
};
use crate::child::family::has_forked_on;
use crate::child::invocation::Invocation;
use crate::child::launch::{CAPTURED, INHERITED};
use crate::child::ledger_file::{LedgerError, Live};
use crate::child::process::{Event, Group, Look, Process, StartError};
use crate::child::program_file::why_silent;
use crate::child::unseen::{self as memory, Unseen};
use crate::child::view::{self, Reached};
use crate::report::{self, Exit};
use crate::symbols::{DebugFiles, Symbols};

/// How often a program is looked at: it comes to its exit once, but for one that executes another
/// from there, or lies.
const MOST_LOOKS: u32 = 16;
/// What is said of as many live blocks is known in a small part of [`AMPLE`].
const FEW: usize = 256;
const AMPLE: Duration = Duration::from_secs(10);

/// How often is looked whether a program that is followed has left processes behind.
const NOTICE: Duration = Duration::from_secs(3);

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
    /// The processes that it starts are checked, too.
    pub(crate) follow: bool,
    /// One-time blocks fail.
    pub(crate) strict: bool,
    /// The memory table is wanted.
    pub(crate) memory: bool,
    /// Groups of reachable blocks are wanted, too.
    pub(crate) all: bool,
    /// Who sees how far it is.
    pub(crate) onlooker: &'a Onlooker,
}

impl Program<'_> {
    fn at_place(&self, text: &str) -> String {
        self.place.iter().fold(text.to_owned(), |text, place| format!("{place}: {text}"))
    }

    fn room(&self) -> Room {
        match self.scenario {
            Some(_) => Room::of_scenario(self.heap),
            None => Room::of_option(self.heap),
        }
    }
}

/// The words of a scenario's program: one that is given by a relative path is looked for from
/// the scenario's folder first, one by its name among the programs of the package that is tested.
pub(crate) fn words(words: &[String], scenario: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
    if let Some(program) = words.first_mut() {
        let is_name = Path::new(program).components().count() == 1;
        let folder = if is_name { programs() } else { scenario.parent().map(Path::to_path_buf) };
        if let Some(folder) = folder
            && let Ok(found) = std::path::absolute(folder.join(&*program))
            && found.is_file()
        {
            *program = found.into();
        }
    }
    words
}

/// Where cargo puts programs, seen from a test.
fn programs() -> Option<PathBuf> {
    let executable = std::env::current_exe().ok()?;
    let folder = executable.parent().filter(|folder| folder.ends_with("deps"))?;
    folder.parent().map(Path::to_path_buf)
}

/// A daemon that forks by itself, or a part of a shell's that goes on behind it.
const FORKED_ON: &str = "it ended while a process that it forked goes on, which was not checked";

/// What was seen of a program that ran.
#[derive(Debug, Default)]
struct Seen {
    exit: Exit,
    at_exit: Option<(Vec<Live>, Reached)>,
    /// What is to be said of that, once it is known.
    groups: Option<Result<Vec<report::Group>, LedgerError>>,
    unseen: Unseen,
    /// What it has forked went on when it ended.
    forked_on: bool,
    timed_out: Option<Problem>,
    unreadable: Option<String>,
}

/// Runs `program` and looks at what is live when it exits.
pub(crate) fn check(program: &Program<'_>) -> Outcome {
    let words = program.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let scenario = program.scenario.map(str::to_owned);
    let mut outcome = Outcome::before(scenario, words, 1, program.strict);
    outcome.problem = run(program, &mut outcome).err();
    outcome
}

/// What `error` is to who named the program, at the place that `at_place` adds.
pub(super) fn not_started(error: &StartError, at_place: impl Fn(&str) -> String) -> Problem {
    match error {
        StartError::Missing { .. } | StartError::Spawn { .. } => {
            Problem::Wrong(at_place(&error.to_string()))
        }
        StartError::Preload(_) | StartError::Ledger(_) => Problem::NotChecked(error.to_string()),
    }
}

fn run(program: &Program<'_>, outcome: &mut Outcome) -> Result<(), Problem> {
    let ledger = new_ledger(program.heap)?;
    let [path, arguments @ ..] = program.words.as_slice() else {
        return Err(Problem::Wrong("there is no program".into()));
    };
    let invocation = Invocation::of(path).with(arguments);
    let streams = if program.captured { CAPTURED } else { INHERITED };
    // In a test it is the harness that the terminal's signals are for.
    let signals = if program.captured { Signals::default() } else { Signals::keep() };
    let look = if program.follow { Look::Followed } else { Look::AtExit };
    let name = program.at_place(&path.to_string_lossy());
    let mut clock = Clock::start(program.timeout, START);
    // In the group of who called, what it reads and Ctrl-C are the terminal's.
    let group = if program.captured { Group::Family } else { Group::Ours };
    let mut child = Process::start(invocation, streams, ledger, look, group)
        .map_err(|error| not_started(&error, |text| program.at_place(text)))?;
    let mut capture = Capture::default();
    program.onlooker.started(child.shared_ledger());
    capture.read_child(child.outputs(), program.onlooker.has_echo());
    clock.enter(&name);
    // What a snapshot may hold has to be the same on every machine.
    let debug_files =
        if program.scenario.is_some() { DebugFiles::Ignored } else { DebugFiles::Read };
    // Programs that start each other have most modules in common.
    let mut symbols = Symbols::new(debug_files);
    let seen = watch(&mut child, program, &signals, &mut clock, &mut symbols)
        .map_err(|error| Problem::Failed(format!("wait for the program: {error}")));
    (outcome.output, _) = capture.texts();
    let mut seen = seen?;
    outcome.report.exit = seen.exit;
    outcome.report.tracing = tracing(child.ledger());
    // Nobody knows what was live at an end that the heap did not see.
    outcome.report.tracing.complete &= seen.at_exit.is_some();
    outcome.report.notes = notes(child.ledger().header());
    unseen::tell(&seen.unseen, &mut outcome.report);
    outcome.report.notes.extend(seen.forked_on.then(|| FORKED_ON.to_owned()));
    let followed = child.descendants();
    let ledgers = followed.iter().flat_map(|(descendants, _)| descendants).map(|it| &it.ledger);
    outcome.modules = modules(ledgers.chain([child.ledger()]));
    let judged = judge(program, &child, &mut seen, &mut symbols, outcome);
    // What was not checked is not complete, whatever was traced. Of programs that it started each part
    // has that for itself.
    outcome.report.tracing.complete &= !matches!(judged, Err(Problem::NotChecked(_)));
    let Some((descendants, others)) = followed else { return judged };
    let (reports, problem) =
        descendants::reports(&descendants, &others, &mut symbols, program.all, program.room());
    outcome.report.descendants = Some(reports);
    // What has no part of its own is missing in the whole.
    outcome.report.tracing.complete &= !others.are_unnamed();
    judged.and(problem.map_or(Ok(()), Err))
}

/// Waits for the end of `child`, whose time is that of `clock`, and looks at it before.
fn watch(
    child: &mut Process,
    program: &Program<'_>,
    signals: &Signals,
    clock: &mut Clock,
    symbols: &mut Symbols,
) -> std::io::Result<Seen> {
    let (mut seen, mut looks) = (Seen::default(), 0);
    // A test's timeout says it; where there is none somebody may wait for good.
    let mut notice = (program.follow && !program.captured).then(|| Instant::now() + NOTICE);
    let others =
        if program.follow { ", at its exit or in what it started," } else { ", at its exit," };
    loop {
        let until = clock.deadline().into_iter().chain(notice).min();
        match child.wait(until, signals.as_fd())? {
            Event::Ended(exit) => {
                // Over is over, also where it ended just behind it.
                seen.timed_out = clock.is_over().then(|| clock.clone().timed_out());
                seen.exit = exit;
                return Ok(seen);
            }
            Event::TimedOut if !clock.is_over() => {
                let left = child.left_behind();
                if !left.is_empty() {
                    say_left(&program.words, &left);
                }
                notice = left.is_empty().then(|| Instant::now() + NOTICE);
            }
            Event::TimedOut => {
                seen.timed_out = Some(clock.clone().timed_out());
                seen.exit = child.end()?;
                return Ok(seen);
            }
            Event::Interrupted => {
                if let Some(signal) = signals.take() {
                    child.signal(signal);
                }
            }
            Event::AtMark => child.release(),
            Event::AtExit => {
                looks += 1;
                clock.enter(LOOK);
                if looks <= MOST_LOOKS {
                    let found = view::look(child.pid(), child.ledger());
                    seen.unreadable = found.as_ref().err().map(ToString::to_string);
                    seen.at_exit = found.ok();
                    seen.groups = None;
                    let reached = seen.at_exit.as_ref().map(|(_, reached)| reached);
                    seen.unseen = memory::of_standing(child.pid(), child.ledger(), reached);
                }
                seen.forked_on = !program.follow && has_forked_on(child.pid());
                let name = program.words.first().map(|name| name.to_string_lossy());
                clock.enter(&(program.at_place(&name.unwrap_or_default()) + others));
                child.release();
                // While it ends there is time, unless its own would be over meanwhile; what is
                // executed in its place makes this nothing.
                let is_short = |(live, _): &(Vec<Live>, _)| live.len() <= FEW;
                let is_soon = |at| at < Instant::now() + AMPLE;
                if looks == 1
                    && seen.at_exit.as_ref().is_some_and(is_short)
                    && !clock.deadline().is_some_and(is_soon)
                {
                    seen.groups = groups(program, child, &seen, symbols);
                }
            }
        }
    }
}

/// What is to be said of what was live at the exit, if that was seen.
fn groups(
    program: &Program<'_>,
    child: &Process,
    seen: &Seen,
    symbols: &mut Symbols,
) -> Option<Result<Vec<report::Group>, LedgerError>> {
    let (live, reached) = seen.at_exit.as_ref()?;
    let tally = Tally::new(child.ledger(), None, symbols);
    Some(tally.and_then(|mut tally| tally.by_reachability(live, Some(reached), program.all)))
}

/// Says whom the command waits for after the program's end.
fn say_left(words: &[OsString], left: &[(String, u32)]) {
    let name = words.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    let names = left.iter().map(|(command, pid)| format!("{command} (pid {pid})"));
    let numbers = left.iter().map(|(_, pid)| format!(" {pid}"));
    let text = format!(
        "leaksnap: waits for {}, which {name} left behind; `kill{}` ends that\n",
        names.collect::<Vec<_>>().join(", "),
        numbers.collect::<String>()
    );
    // Where nobody listens there is nobody to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn judge(
    program: &Program<'_>,
    child: &Process,
    seen: &mut Seen,
    symbols: &mut Symbols,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    let header = child.ledger().header();
    let name = program.words.first().map(Path::new).unwrap_or(Path::new(""));
    let what = || program.at_place(&name.display().to_string());
    let damaged = |error: LedgerError| Problem::NotChecked(error.to_string());
    let groups = seen.groups.take().or_else(|| groups(program, child, seen, symbols));
    if let Some(groups) = groups {
        outcome.report.groups = groups.map_err(damaged)?;
    }
    if let Some((live, _)) = seen.at_exit.as_ref().filter(|_| program.memory) {
        let tally = Tally::new(child.ledger(), None, symbols);
        let memory = tally.and_then(|mut tally| tally.memory(live, 0));
        outcome.memory = memory.map_err(damaged)?;
    }
    if let Some(problem) = &seen.timed_out {
        return Err(problem.clone());
    }
    activity(header, child.pid(), || why_silent(name))?;
    completeness(header, program.room())?;
    if let Some(signal) = seen.exit.signal {
        return Err(Problem::Killed { what: what(), signal });
    }
    if let Some(reason) = &seen.unreadable {
        return Err(Problem::NotChecked(format!("at the program's exit: {reason}")));
    }
    let code = seen.exit.code.unwrap_or_default();
    if seen.at_exit.is_none() {
        let reason = if header.forks.load(Ordering::Relaxed) > 0 {
            "the program handed its work to another process: it forked, and ended without the \
             preload heap seeing its exit"
        } else {
            "the program ended without the preload heap seeing its exit: it called exit_group \
             itself, or executed a program that is not preloaded"
        };
        return Err(Problem::NotChecked(match code {
            0 => reason.into(),
            _ => format!("{reason} (exit code {code})"),
        }));
    }
    unseen::allocator(&seen.unseen)?;
    match code {
        0 => Ok(()),
        _ => Err(Problem::Failed(format!("{} ended with exit code {code}", what()))),
    }
}
