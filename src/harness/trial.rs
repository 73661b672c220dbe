//! One trial: a scenario is checked and its verdicts are compared with what was accepted.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::account::{End, Told};
use super::folders::Folders;
#[cfg(feature = "exports")]
use crate::check::Problem;
use crate::check::onlooker::Onlooker;
use crate::check::{self, Outcome, STRICT_TEXT, Wanted};
use crate::error::{Error, end_of};
#[cfg(feature = "exports")]
use crate::export::{Compared, Section};
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
    /// Where its snapshot is, and its page.
    pub(super) folders: Folders,
    /// Where the scenario comes from.
    pub(super) source: Source,
    /// The scenario's name.
    pub(super) name: String,
    /// insta's assertion.
    pub(super) assert: Assert,
    /// How long it may take, where that is to be ensured.
    pub(super) most_time: Option<Duration>,
    /// It is run only where somebody asks for it.
    pub(super) is_ignored: bool,
}

impl Case {
    /// Runs the trial, which `onlooker` sees; leaves with `review` what came of it, and returns it.
    pub(super) fn run(&self, review: &Review, onlooker: &Onlooker) -> Told {
        let start = Instant::now();
        let mut seen = Seen::default();
        let checked = self.check(onlooker, &mut seen);
        #[cfg(feature = "exports")]
        let section = self.folders.pages.as_ref().map(|_| self.section(checked.as_ref()));
        let found = checked.and_then(|(outcome, gate)| self.pass(outcome, &gate, &mut seen));
        let took = start.elapsed();
        let found = found.and_then(|found| self.in_time(took).map(|()| found));
        let leaks = matches!(found, Err(Failure::Unlike(_)));
        let scene = match &self.source {
            Source::File { file, .. } => review.scene(file, seen.line),
            Source::Closure { at: (file, line), .. } => review.scene(file, *line),
        };
        let of = |fails, (unlike, report): &(Unlike, Report)| {
            Some(Finding::of(&self.name, fails, unlike, report, scene))
        };
        let end = match found {
            Ok(None) => {
                review.ran(&self.name, || None);
                End::Passed
            }
            Ok(Some(found)) => {
                review.ran(&self.name, || of(false, &found));
                seen.notes.push(found.0.text);
                End::Passed
            }
            Err(Failure::Unlike(found)) => {
                review.ran(&self.name, || of(true, &found));
                End::Failed(found.0.text)
            }
            Err(Failure::Text(text)) => {
                review.ran(&self.name, || Some(Finding::of_text(&self.name, &text, scene)));
                End::Failed(text)
            }
        };
        // What was passed on is not said again.
        let output = if onlooker.has_echo() { String::new() } else { seen.output };
        let end = match end {
            End::Failed(text) => End::Failed(text + &end_of(&output)),
            other => other,
        };
        #[cfg(feature = "exports")]
        let end = self.with_page(section.as_ref(), end);
        Told { name: self.name.clone(), took, end, leaks, output, notes: seen.notes }
    }

    /// Whether a trial that took as long may pass.
    fn in_time(&self, took: Duration) -> Result<(), Failure> {
        match self.most_time {
            Some(most) if took > most => Err(format!(
                "it took {:.3}s, more than {:.3}s (`--ensure-time`, RUST_TEST_TIME_INTEGRATION)",
                took.as_secs_f64(),
                most.as_secs_f64()
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// Runs the scenario, with what was accepted for it.
    fn check(&self, onlooker: &Onlooker, seen: &mut Seen) -> Result<(Outcome, Gate), Failure> {
        let scenario = match &self.source {
            Source::Closure { path, entry, .. } => {
                Scenario::of_closure(path, &self.name, entry.clone())
            }
            Source::File { file, shown } => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| format!("{}: {error}", shown.display()))?;
                Scenario::parse(shown, &text).map_err(|error| {
                    if let ScenarioError::Wrong { line: wrong, .. } = error {
                        seen.line = wrong;
                    }
                    error.to_string()
                })?
            }
        };
        seen.line = scenario.line();
        let mut gate = Gate::open(&self.folders.snapshots, &self.name, self.file(), self.assert)?;
        if let Some(base) = &self.folders.base {
            gate = gate.with_base(base)?;
        }
        let accepts = |groups: &[Group]| gate.accepts(groups);
        let outcome = check::scenario(
            &scenario,
            self.file(),
            &self.name,
            Wanted::default(),
            onlooker,
            &accepts,
        );
        Ok((outcome, gate))
    }

    /// What a page shows of it. The gate may change what is accepted: this comes before.
    #[cfg(feature = "exports")]
    fn section(&self, checked: Result<&(Outcome, Gate), &Failure>) -> Section {
        match checked {
            Ok((outcome, gate)) => {
                let compared = Compared::with(gate, &outcome.report, Sizes::Requested);
                Section::of(outcome, Some(compared), false)
            }
            Err(failure) => {
                let problem = Problem::Wrong(failure.text().to_owned());
                Section::of(&Outcome::refused(&self.name, problem), None, false)
            }
        }
    }

    /// `end`, with the place of the page, where there is one.
    #[cfg(feature = "exports")]
    fn with_page(&self, section: Option<&Section>, end: End) -> End {
        let (Some(pages), Some(section)) = (&self.folders.pages, section) else { return end };
        let failed = matches!(end, End::Failed(_));
        match (pages.write(&self.name, section, failed), end) {
            (Ok(Some(path)), End::Failed(failure)) => {
                End::Failed(format!("{}\npage: {}\n", failure.trim_end(), path.display()))
            }
            (Ok(_), end) => end,
            (Err(error), End::Failed(failure)) => {
                End::Failed(format!("{failure}\nwrite the page: {error}"))
            }
            (Err(error), _) => End::Failed(format!("write the page: {error}")),
        }
    }

    /// Brings what was found to the gate.
    fn pass(
        &self,
        mut outcome: Outcome,
        gate: &Gate,
        seen: &mut Seen,
    ) -> Result<Option<(Unlike, Report)>, Failure> {
        seen.output = std::mem::take(&mut outcome.output);
        if let Some(problem) = &outcome.problem {
            return Err(Error::new(problem, &outcome).to_string().into());
        }
        if outcome.fails_strictly() {
            return Err(
                format!("{STRICT_TEXT}\n\n{}", text::write_strictly(&outcome.report)).into()
            );
        }
        match gate.pass(&outcome.report, Sizes::Requested) {
            Ok(Passed::Less(unlike)) => Ok(Some((unlike, outcome.report))),
            Ok(Passed::OnBase(count)) => {
                let tracebacks = if count == 1 { "traceback leaks" } else { "tracebacks leak" };
                seen.notes.push(format!("{count} {tracebacks} in {} on the base, too", self.name));
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

/// What was seen of a trial, whatever came of it.
#[derive(Debug, Default)]
struct Seen {
    /// The line of the scenario file that remarks stand at; 0 where there is none.
    line: usize,
    /// What the child wrote.
    output: String,
    /// What is said of a trial that passed.
    notes: Vec<String>,
}

/// Why a trial failed.
#[derive(Debug)]
enum Failure {
    /// What was found, in the report, is not what was accepted.
    Unlike(Box<(Unlike, Report)>),
    /// Anything else.
    Text(String),
}

#[cfg(feature = "exports")]
impl Failure {
    fn text(&self) -> &str {
        match self {
            Self::Unlike(found) => &found.0.text,
            Self::Text(text) => text,
        }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
