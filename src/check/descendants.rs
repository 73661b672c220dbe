//! Processes that a checked program started: a report each.

use std::cmp::Reverse;

use super::tally::Tally;
use super::{Problem, activity, completeness, notes, tracing, unseen};
use crate::child::follow::{Descendant, MOST, Unfollowed};
use crate::child::ledger_file::LedgerError;
use crate::report::{Exit, Group, History, Report};
use crate::symbols::DebugFiles;

/// Why a process that was started has no part of its own in a report.
pub(super) fn unfollowed(count: Unfollowed) -> Option<Problem> {
    let Unfollowed { missed, lost } = count;
    let text = match (missed, lost) {
        (0, 0) => return None,
        (0, _) => format!("{lost} of the processes that it started ended before they had a ledger"),
        _ => format!("it started {missed} programs more than can be followed, which are {MOST}"),
    };
    Some(Problem::NotChecked(text))
}

/// The reports of `descendants`, sorted, and the first reason why one of them was not checked. How
/// they ended is their parents' to know.
pub(super) fn reports(
    descendants: &[Descendant],
    debug_files: DebugFiles,
    all: bool,
    heap: u64,
) -> (Vec<Report>, Option<Problem>) {
    let mut found: Vec<_> =
        descendants.iter().map(|descendant| report(descendant, debug_files, all, heap)).collect();
    found.sort_by_cached_key(|(report, problem)| {
        let leaked = |of: fn(&Group) -> u64| {
            let failing = report.groups.iter().filter(|group| group.verdict.fails());
            Reverse(failing.map(of).sum::<u64>())
        };
        let amounts = (leaked(|group| group.bytes), leaked(|group| group.blocks));
        (report.program.clone(), amounts, problem.as_ref().map(ToString::to_string))
    });
    let problem = found.iter().find_map(|(_, problem)| problem.clone());
    (found.into_iter().map(|(report, _)| report).collect(), problem)
}

fn report(
    descendant: &Descendant,
    debug_files: DebugFiles,
    all: bool,
    heap: u64,
) -> (Report, Option<Problem>) {
    let ledger = &descendant.ledger;
    let mut report = Report {
        scenario: None,
        program: vec![descendant.command.clone()],
        exit: Exit::default(),
        tracing: tracing(ledger),
        iterations: 1,
        groups: Vec::new(),
        notes: notes(ledger.header()),
        history: History::default(),
        descendants: None,
    };
    report.tracing.complete &= matches!(descendant.at_exit, Some(Ok(_)));
    unseen::tell(&descendant.unseen, &mut report);
    let problem = match &descendant.at_exit {
        Some(Ok((live, reached))) => Tally::new(ledger, None, debug_files)
            .and_then(|mut tally| tally.by_reachability(live, Some(reached), all))
            .map(|groups| report.groups = groups)
            .err()
            .map(|error| not_checked(&error)),
        Some(Err(error)) => Some(not_checked(error)),
        None => None,
    };
    let silent = "another process has its ledger";
    let checked = activity(ledger.header(), descendant.pid, silent)
        .and_then(|()| completeness(ledger.header(), heap))
        .and_then(|()| problem.map_or(Ok(()), Err))
        .and_then(|()| unseen::allocator(&descendant.unseen))
        .and_then(|()| {
            match &descendant.at_exit {
                Some(_) => Ok(()),
                None if descendant.is_running() => Err("it did not end"),
                None => {
                    Err("it ended without the preload heap seeing its exit: it was killed, called \
                         exit_group itself, or executed a program that is not preloaded")
                }
            }
            .map_err(|reason: &str| Problem::NotChecked(reason.into()))
        });
    (report, checked.err().map(|problem| of(&descendant.command, problem)))
}

fn not_checked(error: &LedgerError) -> Problem {
    Problem::NotChecked(format!("at its exit: {error}"))
}

/// `problem`, as that of the program `command`.
fn of(command: &str, problem: Problem) -> Problem {
    let name = if command.is_empty() { "a program" } else { command };
    match problem {
        Problem::NotChecked(reason) => {
            Problem::NotChecked(format!("{name}, which it started: {reason}"))
        }
        other => other,
    }
}
