//! What a check is asked for: a scenario, and who waits for its outcome.

use std::path::Path;

use super::Outcome;
use super::onlooker::Onlooker;
use crate::report::Group;
use crate::scenario::{Scenario, Work};
use crate::suppression::module::Modules;

/// A scenario to check.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    /// What to run.
    pub(crate) scenario: &'a Scenario,
    /// Where the scenario file lies; plugins are found from there.
    pub(crate) file: &'a Path,
    /// The scenario's name.
    pub(crate) name: &'a str,
    /// The memory table is wanted.
    pub(crate) memory: bool,
    /// Who sees how far it is.
    pub(crate) onlooker: &'a Onlooker,
    /// Whether all of these groups that fail were accepted: then nothing more is done about them.
    pub(crate) accepts: &'a dyn Fn(&[Group], &Modules) -> bool,
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("scenario", &self.scenario).finish_non_exhaustive()
    }
}

/// The outcome of `job` before anything was run.
pub(super) fn unknown(job: &Job<'_>) -> Outcome {
    let program = match &job.scenario.work {
        Work::Host { plugins, steps } => {
            plugins.iter().chain(steps).map(|word| word.value.clone()).collect()
        }
        Work::Closure { name, .. } => vec![name.clone()],
        Work::Program(words) | Work::Marked(words) => words.value.clone(),
        Work::Server(server) => server.program.value.clone(),
    };
    let Scenario { repeat, strict, .. } = *job.scenario;
    Outcome::before(Some(job.name.to_owned()), program, repeat, strict)
}

/// Where in the file at `path` that is; line 0 is none.
pub(super) fn place(path: &Path, line: usize) -> String {
    match line {
        0 => path.display().to_string(),
        _ => format!("{}:{line}", path.display()),
    }
}
