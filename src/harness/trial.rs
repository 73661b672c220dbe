//! One trial: a scenario is checked and its verdicts are compared with what was accepted.

use std::path::{Path, PathBuf};

use crate::check::{self, STRICT_TEXT};
use crate::error::Error;
use crate::gate::{Assert, Gate, Passed, Sizes, Unlike};
use crate::report::{Group, Report, text};
use crate::review::{Finding, Review};
use crate::scenario::{Entry, Scenario, ScenarioError};

/// Where a scenario comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// A file, and the path by which messages call it.
    File { file: PathBuf, shown: PathBuf },
    /// A closure of the executable, which messages call `path`, and the file and line that it is at;
    /// empty and 0 where nobody knows.
    Closure { path: String, entry: Entry, at: (PathBuf, usize) },
}

/// A scenario as a trial.
#[derive(Debug)]
pub(super) struct Case {
    /// The folder of all snapshots.
    pub(super) snapshots: PathBuf,
    /// Where the base has them, where a change is compared with that.
    pub(super) base: Option<PathBuf>,
    /// Where the scenario comes from.
    pub(super) source: Source,
    /// The scenario's name.
    pub(super) name: String,
    /// insta's assertion.
    pub(super) assert: Assert,
}

impl Case {
    /// Runs the trial, and leaves what came of it with `review`; why it failed.
    pub(super) fn run(&self, review: &Review) -> Result<(), String> {
        let mut line = 0;
        let found = self.check(&mut line);
        let scene = match &self.source {
            Source::File { file, .. } => review.scene(file, line),
            Source::Closure { at: (file, line), .. } => review.scene(file, *line),
        };
        let of = |fails, (unlike, report): &(Unlike, Report)| {
            Some(Finding::of(&self.name, fails, unlike, report, scene))
        };
        match found {
            Ok(None) => review.ran(&self.name, || None),
            Ok(Some(found)) => {
                println!("note: {}", found.0.text);
                review.ran(&self.name, || of(false, &found));
            }
            Err(Failure::Unlike(found)) => {
                review.ran(&self.name, || of(true, &found));
                return Err(found.0.text);
            }
            Err(Failure::Text(text)) => {
                review.ran(&self.name, || Some(Finding::of_text(&self.name, &text, scene)));
                return Err(text);
            }
        }
        Ok(())
    }

    fn check(&self, line: &mut usize) -> Result<Option<(Unlike, Report)>, Failure> {
        let scenario = match &self.source {
            Source::Closure { path, entry, .. } => {
                Scenario::of_closure(path, &self.name, entry.clone())
            }
            Source::File { file, shown } => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| format!("{}: {error}", shown.display()))?;
                Scenario::parse(shown, &text).map_err(|error| {
                    if let ScenarioError::Wrong { line: wrong, .. } = error {
                        *line = wrong;
                    }
                    error.to_string()
                })?
            }
        };
        *line = scenario.line();
        let mut gate = Gate::open(&self.snapshots, &self.name, self.file(), self.assert)?;
        if let Some(base) = &self.base {
            gate = gate.beside(base)?;
        }
        let accepts = |groups: &[Group]| gate.accepts(groups);
        let outcome = check::scenario(&scenario, self.file(), &self.name, false, &accepts);
        if let Some(problem) = &outcome.problem {
            return Err(Error::new(problem, &outcome).to_string().into());
        }
        if outcome.fails_strictly() {
            return Err(format!("{STRICT_TEXT}\n\n{}", text::write(&outcome.report, true)).into());
        }
        match gate.pass(&outcome.report, Sizes::Requested) {
            Ok(Passed::Less(unlike)) => Ok(Some((unlike, outcome.report))),
            Ok(Passed::OnBase(count)) => {
                let tracebacks = if count == 1 { "traceback leaks" } else { "tracebacks leak" };
                println!("note: {count} {tracebacks} in {} on the base, too", self.name);
                Ok(None)
            }
            Ok(Passed::AsAccepted | Passed::Forced) => Ok(None),
            Err(unlike) => Err(Failure::Unlike(Box::new((unlike, outcome.report)))),
        }
    }

    fn file(&self) -> &Path {
        match &self.source {
            Source::File { file, .. } => file,
            Source::Closure { .. } => Path::new(""),
        }
    }
}

/// Why a trial failed.
#[derive(Debug)]
enum Failure {
    /// What was found, in the report, is not what was accepted.
    Unlike(Box<(Unlike, Report)>),
    /// Anything else.
    Text(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
