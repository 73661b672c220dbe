//! One trial: a scenario is checked and its verdicts are compared with what was accepted.

use std::path::{Path, PathBuf};

#[cfg(feature = "exports")]
use super::pages::Pages;
use crate::check::{self, Outcome, Problem, STRICT_TEXT};
#[cfg(feature = "exports")]
use crate::export::{Compared, Section};
use crate::gate::{Assert, Gate, Passed, Sizes};
use crate::report::{Group, text};
use crate::scenario::Scenario;

/// Lines of a child's output that a failure shows.
const OUTPUT_LINES: usize = 40;

/// Where a scenario comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// A file, and the path by which messages call it.
    File { file: PathBuf, shown: PathBuf },
    /// A closure of the executable.
    Closure,
}

/// A scenario as a trial.
#[derive(Debug)]
pub(super) struct Case {
    /// The folder of all snapshots.
    pub(super) snapshots: PathBuf,
    /// Where the scenario comes from.
    pub(super) source: Source,
    /// The scenario's name.
    pub(super) name: String,
    /// insta's assertion.
    pub(super) assert: Assert,
    /// Where its page goes.
    #[cfg(feature = "exports")]
    pub(super) pages: Option<Pages>,
}

impl Case {
    /// Runs the trial; why it failed.
    pub(super) fn run(&self) -> Result<(), String> {
        let checked = self.check();
        #[cfg(feature = "exports")]
        let section = self.pages.as_ref().map(|_| self.section(checked.as_ref()));
        let result = checked.and_then(|(outcome, gate)| self.pass(&outcome, &gate));
        #[cfg(feature = "exports")]
        let result = self.with_page(section.as_ref(), result);
        result
    }

    /// Runs the scenario, with what was accepted for it.
    fn check(&self) -> Result<(Outcome, Gate), String> {
        let scenario = match &self.source {
            Source::Closure => Scenario::of_closure(&self.name),
            Source::File { file, shown } => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| format!("{}: {error}", shown.display()))?;
                Scenario::parse(shown, &text).map_err(|error| error.to_string())?
            }
        };
        let gate = Gate::open(&self.snapshots, &self.name, self.file(), self.assert)?;
        let accepts = |groups: &[Group]| gate.accepts(groups);
        let outcome = check::scenario(&scenario, self.file(), &self.name, false, &accepts);
        Ok((outcome, gate))
    }

    /// What a page shows of it. The gate may change what is accepted: this comes before.
    #[cfg(feature = "exports")]
    fn section(&self, checked: Result<&(Outcome, Gate), &String>) -> Section {
        match checked {
            Ok((outcome, gate)) => {
                let compared = Compared::with(gate, &outcome.report, Sizes::Requested);
                Section::of(outcome, Some(compared), false)
            }
            Err(error) => {
                let problem = Problem::Wrong(error.clone());
                Section::of(&Outcome::refused(&self.name, problem), None, false)
            }
        }
    }

    /// `result`, with the place of the page, where there is one.
    #[cfg(feature = "exports")]
    fn with_page(
        &self,
        section: Option<&Section>,
        result: Result<(), String>,
    ) -> Result<(), String> {
        let (Some(pages), Some(section)) = (&self.pages, section) else { return result };
        match (pages.write(&self.name, section, result.is_err()), result) {
            (Ok(Some(path)), Err(failure)) => {
                Err(format!("{}\npage: {}\n", failure.trim_end(), path.display()))
            }
            (Ok(_), result) => result,
            (Err(error), Ok(())) => Err(format!("write the page: {error}")),
            (Err(error), Err(failure)) => Err(format!("{failure}\nwrite the page: {error}")),
        }
    }

    fn file(&self) -> &Path {
        match &self.source {
            Source::File { file, .. } => file,
            Source::Closure => Path::new(""),
        }
    }

    /// Brings what was found to the gate.
    fn pass(&self, outcome: &Outcome, gate: &Gate) -> Result<(), String> {
        if let Some(problem) = &outcome.problem {
            return Err(failed(problem, outcome));
        }
        if outcome.fails_strictly() {
            return Err(format!("{STRICT_TEXT}\n\n{}", text::write(&outcome.report, true)));
        }
        if let Passed::Less(note) = gate.pass(&outcome.report, Sizes::Requested)? {
            println!("note: {note}");
        }
        Ok(())
    }
}

/// What a trial says that was not checked, or whose child failed.
fn failed(problem: &Problem, outcome: &Outcome) -> String {
    let mut text = problem.to_string();
    if matches!(problem, Problem::NotChecked(_)) {
        text += "\nwhat is not checked is not clean; no snapshot was touched";
    }
    let lines: Vec<_> = outcome.output.lines().collect();
    if !lines.is_empty() {
        let last = &lines[lines.len().saturating_sub(OUTPUT_LINES)..];
        text += "\n\nthe end of its output:\n";
        text += &last.join("\n");
    }
    text
}
