//! One trial: a scenario is checked and its verdicts are compared with what was accepted.

use std::path::{Path, PathBuf};

use crate::check::{self, Outcome, STRICT_TEXT};
use crate::error::Error;
use crate::gate::{Assert, Gate, Passed, Sizes};
use crate::report::{Group, text};
use crate::scenario::{Entry, Scenario};

/// Where a scenario comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// A file, and the path by which messages call it.
    File { file: PathBuf, shown: PathBuf },
    /// A closure of the executable, which messages call `path`.
    Closure { path: String, entry: Entry },
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
            Source::Closure { path, entry } => {
                Scenario::of_closure(path, &self.name, entry.clone())
            }
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
            return Err(Error::new(problem, &outcome).to_string());
        }
        self.compare(&outcome, &gate)
    }

    fn file(&self) -> &Path {
        match &self.source {
            Source::File { file, .. } => file,
            Source::Closure { .. } => Path::new(""),
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
