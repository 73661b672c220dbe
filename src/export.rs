//! Reports in the forms of other tools, and as a page: folded stacks for speedscope and flame
//! graphs, profiles for `pprof`, HTML for a browser. Compiled with the feature `exports` alone.
//!
//! ```text
//!   folded   a line for each stack
//!   pprof    profile.proto, compressed
//!   page     one HTML file that needs nothing else
//! ```
//! Several runs go into one file, each a [`Section`]. Invariants: the same sections give the same
//! bytes; what was not checked is a section too, which says so.

pub(crate) mod folded;
pub(crate) mod page;
pub(crate) mod pprof;

use std::path::PathBuf;

use crate::check::{Outcome, Problem, STRICT_TEXT};
use crate::gate::{Gate, Sizes};
use crate::report::{Group, Report, text};
use crate::snapshot::Difference;

/// One checked run.
#[derive(Debug)]
pub(crate) struct Section {
    /// What was found.
    pub(crate) report: Report,
    /// What kept it from being found, or else fails.
    pub(crate) problem: Option<Problem>,
    /// A strict scenario has something live once.
    pub(crate) strictly: bool,
    /// How that differs from what was accepted, where there is a snapshot.
    pub(crate) compared: Option<Compared>,
    /// Groups that pass are wanted, too.
    pub(crate) all: bool,
}

/// What was found against a snapshot.
#[derive(Debug)]
pub(crate) struct Compared {
    /// The snapshot's file, which is not there where nothing was accepted.
    pub(crate) snapshot: PathBuf,
    /// What the base has passes, too.
    pub(crate) has_base: bool,
    /// The difference.
    pub(crate) difference: Difference,
}

impl Compared {
    /// `report` against what `gate` accepts.
    pub(crate) fn with(gate: &Gate, report: &Report, sizes: Sizes) -> Self {
        let difference = gate.difference(report, sizes);
        Self { snapshot: gate.path(), has_base: gate.has_base(), difference }
    }

    /// Whether anything was accepted, or is on the base.
    pub(crate) fn has_accepted(&self) -> bool {
        let Difference { grown, moved, shrunk, vanished, same, .. } = &self.difference;
        self.has_base
            || !vanished.is_empty()
            || [grown, moved, shrunk, same].iter().any(|changes| !changes.is_empty())
    }
}

/// What came of a run, in one word. Only the last two may look like success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody knows.
    NotChecked,
    /// The program, a step or a file is at fault.
    Failed,
    /// Something fails that nobody has accepted.
    Leaks,
    /// What leaks was accepted.
    Accepted,
    /// Nothing leaks.
    Clean,
}

impl Section {
    /// The section of `outcome`, and how it differs from what was accepted, where that is known.
    pub(crate) fn of(outcome: &Outcome, compared: Option<Compared>, all: bool) -> Self {
        let strictly = outcome.fails_strictly();
        // What fails is shown.
        let all = all || strictly;
        let Outcome { report, problem, .. } = outcome;
        // What was not seen is not gone.
        let compared = compared.filter(|_| problem.is_none());
        Self { report: report.clone(), problem: problem.clone(), strictly, compared, all }
    }

    /// What it is called: by its scenario, else by its program.
    pub(crate) fn name(&self) -> &str {
        text::subject(&self.report)
    }

    /// What came of it.
    pub(crate) fn state(&self) -> State {
        let fails = self.report.any(|group| group.verdict.fails());
        match &self.problem {
            Some(Problem::NotChecked(_)) => return State::NotChecked,
            Some(_) => return State::Failed,
            None => {}
        }
        match &self.compared {
            _ if self.strictly => State::Failed,
            Some(compared) if fails && !compared.difference.fails() => State::Accepted,
            _ if fails => State::Leaks,
            _ if self.is_complete() => State::Clean,
            _ => State::NotChecked,
        }
    }

    fn is_complete(&self) -> bool {
        let all = self.report.descendants.iter().flatten().chain([&self.report]);
        all.into_iter().all(|report| report.tracing.active && report.tracing.complete)
    }

    /// Why it fails, where that is not what leaks.
    pub(crate) fn problem_text(&self) -> Option<String> {
        let strict = self.strictly.then(|| STRICT_TEXT.to_owned());
        self.problem.as_ref().map(ToString::to_string).or(strict)
    }

    /// The wanted groups, each with the name of the program that the report's own has started, where
    /// it is that one's.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (Option<&str>, &Group)> {
        let others = self.report.descendants.iter().flatten();
        let others = others.map(|report| (Some(text::subject(report)), report));
        let all = [(None, &self.report)].into_iter().chain(others);
        let groups = all
            .flat_map(|(started, report)| report.groups.iter().map(move |group| (started, group)));
        groups.filter(|(_, group)| self.all || group.verdict.fails())
    }
}

/// The names of `sections`, no two of them the same.
pub(crate) fn names(sections: &[Section]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for section in sections {
        let numbered = |number: usize| match number {
            1 => section.name().to_owned(),
            _ => format!("{} ({number})", section.name()),
        };
        let mut free = (1..).map(numbered).filter(|name| !names.contains(name));
        names.extend(free.next());
    }
    names
}

#[cfg(test)]
mod samples;
