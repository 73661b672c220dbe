//! One trial: a scenario is checked and its verdicts are compared with what was accepted.

use std::path::{Path, PathBuf};

use super::golden::{Assert, Golden};
use crate::check::{self, Outcome, Problem, STRICT_TEXT};
use crate::report::{Group, text};
use crate::scenario::Scenario;
use crate::snapshot::{self, SnapshotGroup};

/// The variable that makes vanished tracebacks fail.
const STRICT_VARIABLE: &str = "LEAKSNAP_STRICT";

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
        let golden = Golden::new(&self.snapshots, &self.name, self.file());
        let (accepted, body) = golden.accepted()?.unwrap_or_default();
        let accepts =
            |groups: &[Group]| !snapshot::compare(&accepted, &snapshot::found(groups)).fails();
        let outcome = check::scenario(&scenario, self.file(), &self.name, false, &accepts);
        if let Some(problem) = &outcome.problem {
            return Err(failed(problem, &outcome));
        }
        self.compare(&outcome, &golden, &accepted, &body)
    }

    fn file(&self) -> &Path {
        match &self.source {
            Source::File { file, .. } => file,
            Source::Closure => Path::new(""),
        }
    }

    /// Compares what was found with what was `accepted`, which is written as `accepted_body`.
    fn compare(
        &self,
        outcome: &Outcome,
        golden: &Golden,
        accepted: &[SnapshotGroup],
        accepted_body: &str,
    ) -> Result<(), String> {
        let report = &outcome.report;
        if outcome.fails_strictly() {
            return Err(format!("{STRICT_TEXT}\n\n{}", text::write(report, true)));
        }
        let found = snapshot::found(&report.groups);
        let difference = snapshot::compare(accepted, &found);
        if !difference.fails() && !difference.is_outdated() {
            if !accepted.is_empty() {
                // The same, if in other words: it stays as it is, and insta is told that it is
                // needed.
                golden.assert(self.assert, accepted_body);
            }
            golden.forget_pending();
            return Ok(());
        }
        let mut message = snapshot::failure_text(&self.name, accepted, report, &difference);
        // A suppression that hides less than it was meant to says so there.
        message += &text::notes(report);
        let strict = std::env::var_os(STRICT_VARIABLE).is_some_and(|value| value == "1");
        if found.is_empty() {
            // Clean is no snapshot: there is nothing to review, only a file to remove.
            golden.forget_pending();
            let gone = format!(
                "nothing leaks in {} any longer: remove {}",
                self.name,
                golden.path().display()
            );
            if strict {
                return Err(gone);
            }
            println!("note: {gone}");
            return Ok(());
        }
        let may_pass = golden.assert(self.assert, &snapshot::write(&difference.proposed()));
        if may_pass {
            return Ok(());
        }
        if difference.fails() || strict {
            return Err(message);
        }
        println!(
            "note: {} of the accepted tracebacks of {} leak less or no longer; `cargo insta \
             review` makes the snapshot smaller",
            difference.shrunk.len() + difference.vanished.len(),
            self.name
        );
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
