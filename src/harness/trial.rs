//! One trial: a scenario is checked and its verdicts are compared with what was accepted.

use std::path::{Path, PathBuf};

use crate::check::{self, Outcome, Problem, STRICT_TEXT};
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
}

impl Case {
    /// Runs the trial; why it failed.
    pub(super) fn run(&self) -> Result<(), String> {
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
        if let Some(problem) = &outcome.problem {
            return Err(failed(problem, &outcome));
        }
        self.compare(&outcome, &gate)
    }

    fn file(&self) -> &Path {
        match &self.source {
            Source::File { file, .. } => file,
            Source::Closure => Path::new(""),
        }
    }

    fn compare(&self, outcome: &Outcome, gate: &Gate) -> Result<(), String> {
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
