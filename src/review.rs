//! What a reviewer of a change is shown, where trials run in CI.
//!
//! ```text
//!   finding       a trial's difference -> remarks, each at a line of the repository
//!   github        annotations and the job's summary
//!   code_quality  GitLab's report
//! ```
//! Nothing is written unless the environment asks for it. What is written says no more than the
//! trial did: a reviewer's page is never what decides.

mod code_quality;
mod finding;
mod github;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub(crate) use finding::{Finding, Scene};

/// The variable that names the file of GitLab's report.
const CODE_QUALITY_VARIABLE: &str = "LEAKSNAP_CODE_QUALITY";

/// The variable that keeps annotations and summaries away, with the value `0`.
const ANNOTATE_VARIABLE: &str = "LEAKSNAP_ANNOTATE";

/// The trials that ran, and what came of those that somebody should look at.
type Trials = BTreeMap<String, Option<Finding>>;

/// Who reads of the trials' findings, beside who ran them.
#[derive(Debug)]
pub(crate) struct Review {
    root: PathBuf,
    annotate: bool,
    summary: Option<PathBuf>,
    code_quality: Option<PathBuf>,
    trials: Mutex<Trials>,
}

impl Review {
    /// As the environment says. `manifest` is a folder of the repository.
    pub(crate) fn from_environment(manifest: &Path) -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = |name: &str| variable(name).map(PathBuf::from);
        let annotate = variable("GITHUB_ACTIONS").is_some_and(|value| value == "true")
            && variable(ANNOTATE_VARIABLE).is_none_or(|value| value != "0");
        let told = path("GITHUB_WORKSPACE").or_else(|| path("CI_PROJECT_DIR"));
        let own = || manifest.ancestors().find(|folder| folder.join(".git").exists());
        let root = told.or_else(|| own().map(Path::to_path_buf));
        let root = root.unwrap_or_else(|| manifest.to_path_buf());
        Self {
            root: root.canonicalize().unwrap_or(root),
            annotate,
            summary: path("GITHUB_STEP_SUMMARY").filter(|_| annotate),
            code_quality: path(CODE_QUALITY_VARIABLE),
            trials: Mutex::default(),
        }
    }

    /// The way from the repository's root to `path`; `None` where that is elsewhere.
    pub(crate) fn below(&self, path: &Path) -> Option<PathBuf> {
        // A folder that is not there yet has a place nonetheless.
        let there = path.ancestors().find_map(|folder| Some((folder, folder.canonicalize().ok()?)));
        let (folder, whole) = there?;
        let rest = path.strip_prefix(folder).ok()?;
        Some(whole.strip_prefix(&self.root).ok()?.join(rest))
    }

    /// Where things are, for a trial whose scenario lies at `file`, on `line`.
    pub(crate) fn scene<'a>(&'a self, file: &'a Path, line: usize) -> Scene<'a> {
        Scene { root: &self.root, file, line }
    }

    /// The trial `name` has run. Where somebody reads of it, `finding` is what came of it.
    pub(crate) fn ran(&self, name: &str, finding: impl FnOnce() -> Option<Finding>) {
        if self.annotate || self.code_quality.is_some() {
            self.trials
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(name.to_owned(), finding());
        }
    }

    /// Tells whoever wants to know, when all trials have run.
    ///
    /// # Errors
    /// Where a file can't be written: which one.
    pub(crate) fn tell(&self) -> Result<(), String> {
        // Trials end in any order; a report has one.
        let trials = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
        let findings: Vec<&Finding> = trials.values().flatten().collect();
        if self.annotate {
            eprint!("{}", github::annotations(&findings));
        }
        if let Some(path) = self.summary.as_ref().filter(|_| !findings.is_empty()) {
            let written = github::summarize(path, &findings);
            written.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        match &self.code_quality {
            Some(path) if !trials.is_empty() => code_quality::update(path, &trials),
            _ => Ok(()),
        }
    }
}
