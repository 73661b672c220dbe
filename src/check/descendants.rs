//! Processes that a checked program started: a report each.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::tally::Tally;
use super::{Problem, Room, activity, completeness, notes, tracing, unseen};
use crate::child::follow::{Descendant, MOST, Unfollowed};
use crate::child::ledger_file::LedgerError;
use crate::report::{Exit, Group, History, Report, Tracing};
use crate::symbols::Symbols;

/// Why a program that was started was not checked of which nothing but its name is known.
const SILENT: &str = "the preload heap did not become active: it is statically linked or set-id, was \
                      started without LD_PRELOAD in its environment, or was killed before";

/// Why a process that was started has no part of its own in a report.
fn unfollowed(count: &Unfollowed) -> Option<String> {
    let Unfollowed { missed, lost, crowded, .. } = count;
    Some(match (missed, lost, crowded) {
        (0, 0, 0) => return None,
        (0, 0, _) => format!(
            "so many processes executed a program at once that of {crowded} nobody knows whether \
             they came up with the preload heap"
        ),
        (0, ..) => {
            format!("{lost} of the processes that it started ended before they had a ledger")
        }
        _ => format!("it started {missed} programs more than can be followed, which are {MOST}"),
    })
}

/// The reports of `descendants` and of those of `others` whose names are known, sorted, and which of all
/// were not checked. How they ended is their parents' to know.
pub(super) fn reports(
    descendants: &[Descendant],
    others: &Unfollowed,
    symbols: &mut Symbols,
    all: bool,
    room: Room,
) -> (Vec<Report>, Option<Problem>) {
    let mut found: Vec<_> =
        descendants.iter().map(|descendant| report(descendant, symbols, all, room)).collect();
    found.extend(others.silent.iter().map(|command| {
        let problem = Problem::NotChecked(SILENT.into());
        (empty(command), Some(problem))
    }));
    found.sort_by_cached_key(|(report, problem)| {
        let leaked = |of: fn(&Group) -> u64| {
            let failing = report.groups.iter().filter(|group| group.verdict.fails());
            Reverse(failing.map(of).sum::<u64>())
        };
        let amounts = (leaked(|group| group.bytes), leaked(|group| group.blocks));
        (report.program.clone(), amounts, problem.as_ref().map(ToString::to_string))
    });
    let problems = found.iter().filter_map(|(report, problem)| {
        let command = report.program.first().map_or("", String::as_str);
        Some((command, problem.as_ref()?))
    });
    let problem = together(problems, unfollowed(others));
    (found.into_iter().map(|(report, _)| report).collect(), problem)
}

/// The problems of programs as one, each of them named: those that have the same behind each other; and
/// what there is to tell of `others`.
fn together<'a>(
    problems: impl Iterator<Item = (&'a str, &'a Problem)>,
    others: Option<String>,
) -> Option<Problem> {
    let mut reasons: Vec<(String, BTreeMap<&str, usize>)> = Vec::new();
    for (command, problem) in problems {
        let reason = match problem {
            Problem::NotChecked(reason) => reason.clone(),
            other => other.to_string(),
        };
        let at = reasons.iter().position(|(known, _)| *known == reason).unwrap_or_else(|| {
            reasons.push((reason, BTreeMap::new()));
            reasons.len() - 1
        });
        *reasons[at].1.entry(command).or_default() += 1;
    }
    let text = reasons.into_iter().map(|(reason, names)| {
        let names = names.into_iter().map(|(name, count)| {
            let name = if name.is_empty() { "a program" } else { name };
            if count == 1 { name.to_owned() } else { format!("{name} ({count} times)") }
        });
        format!("{}, which it started: {reason}", names.collect::<Vec<_>>().join(", "))
    });
    let text = text.chain(others).collect::<Vec<_>>().join("; ");
    (!text.is_empty()).then_some(Problem::NotChecked(text))
}

/// The report of a program, called by `command`, of which nothing is known.
fn empty(command: &str) -> Report {
    Report {
        scenario: None,
        program: vec![command.to_owned()],
        exit: Exit::default(),
        tracing: Tracing::default(),
        iterations: 1,
        groups: Vec::new(),
        notes: Vec::new(),
        history: History::default(),
        descendants: None,
    }
}

fn report(
    descendant: &Descendant,
    symbols: &mut Symbols,
    all: bool,
    room: Room,
) -> (Report, Option<Problem>) {
    let ledger = &descendant.ledger;
    let mut report = empty(&descendant.command);
    report.tracing = tracing(ledger);
    report.notes = notes(ledger.header());
    report.tracing.complete &= matches!(descendant.at_exit, Some(Ok(_)));
    unseen::tell(&descendant.unseen, &mut report);
    let problem = match &descendant.at_exit {
        Some(Ok((live, reached))) => Tally::new(ledger, None, symbols)
            .and_then(|mut tally| tally.by_reachability(live, Some(reached), all))
            .map(|groups| report.groups = groups)
            .err()
            .map(|error| not_checked(&error)),
        Some(Err(error)) => Some(not_checked(error)),
        None => None,
    };
    let silent = || "another process has its ledger".into();
    let checked = activity(ledger.header(), descendant.pid, silent)
        .and_then(|()| completeness(ledger.header(), room))
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
    report.tracing.complete &= checked.is_ok();
    (report, checked.err())
}

fn not_checked(error: &LedgerError) -> Problem {
    Problem::NotChecked(format!("at its exit: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_were_not_checked_are_named_and_reasons_are_told_once() {
        let problem = |reason: &str| Problem::NotChecked(reason.to_owned());
        let (full, killed) = (problem("the heap was full"), problem("it was killed"));
        let all = [("b", &full), ("a", &killed), ("a", &full), ("a", &full), ("", &full)];
        let text = "a program, a (2 times), b, which it started: the heap was full; a, which it \
                    started: it was killed";
        assert_eq!(together(all.into_iter(), None), Some(problem(text)));
        assert_eq!(together([].into_iter(), None), None);
        let more = together([("a", &full)].into_iter(), Some("more".to_owned()));
        assert_eq!(more, Some(problem("a, which it started: the heap was full; more")));
    }

    #[test]
    fn what_could_not_be_written_down_is_told() {
        let crowded = Unfollowed { crowded: 3, ..Unfollowed::default() };
        let text = unfollowed(&crowded).unwrap_or_default();
        assert!(text.contains("of 3 nobody knows"), "{text}");
        assert_eq!(unfollowed(&Unfollowed::default()), None);
    }
}
