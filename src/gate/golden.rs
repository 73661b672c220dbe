//! An accepted snapshot, as a file, and insta, which keeps and reviews it.

use std::cell::Cell;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::report::Verdict;
use crate::report::amount::{Amount, Rate};
use crate::snapshot::{self, SnapshotGroup};

/// insta's assertion of a body under a name.
pub(crate) type Assert = fn(&str, &str);

/// Where a scenario's snapshot is.
#[derive(Debug)]
pub(super) struct Golden {
    folder: PathBuf,
    name: String,
    whole_name: String,
    scenario: PathBuf,
}

/// What a snapshot's header says of it, so that it can be reviewed without its scenario. Nothing
/// of it is ever compared.
#[derive(Debug, Serialize)]
struct Info<'a> {
    scenario: &'a str,
    verdict: String,
    tracebacks: usize,
    blocks_per_iteration: Rate,
    bytes_per_iteration: Rate,
}

impl<'a> Info<'a> {
    fn of(scenario: &'a str, groups: &[SnapshotGroup]) -> Self {
        let mut amount = Amount::default();
        groups.iter().for_each(|group| amount += group.amount);
        let has = |verdict: &Verdict| groups.iter().any(|group| group.verdict == *verdict);
        let verdicts = [Verdict::Leak, Verdict::Growth].into_iter().filter(has);
        let verdicts: Vec<_> = verdicts.map(|verdict| verdict.to_string()).collect();
        Self {
            scenario,
            verdict: verdicts.join(", "),
            tracebacks: groups.len(),
            blocks_per_iteration: amount.blocks,
            bytes_per_iteration: amount.bytes,
        }
    }
}

/// What came of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proposed {
    /// insta was told to let it pass.
    Passes,
    /// It is pending.
    Pending,
    /// It is not: why, and what to do.
    Unwritten(String),
}

/// Compares bodies alone, where insta is told to compare headers as well: what was accepted is no
/// longer what it was when its header was written.
#[derive(Debug, Clone, Copy)]
struct ByBody;

impl insta::Comparator for ByBody {
    fn matches(&self, reference: &insta::Snapshot, test: &insta::Snapshot) -> bool {
        reference.contents() == test.contents()
    }

    fn dyn_clone(&self) -> Box<dyn insta::Comparator> {
        Box::new(*self)
    }
}

impl Golden {
    /// The snapshot of the scenario `name` below `root`; scenarios in folders have theirs in
    /// folders of the same name, so that two never share one. A closure has no file: an empty path.
    pub(super) fn new(root: &Path, whole_name: &str, scenario: &Path) -> Self {
        let (folder, name) = match whole_name.rsplit_once('/') {
            Some((folder, name)) => (root.join(folder), name),
            None => (root.to_path_buf(), whole_name),
        };
        let (name, whole_name) = (name.to_owned(), whole_name.to_owned());
        Self { folder, name, whole_name, scenario: scenario.to_path_buf() }
    }

    /// The accepted snapshot's file.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.snap", self.name))
    }

    /// What was accepted, and the text it is written in; `None` where there is no file.
    ///
    /// # Errors
    /// Where the file can't be read or is damaged: with its place.
    pub(super) fn accepted(&self) -> Result<Option<(Vec<SnapshotGroup>, String)>, String> {
        let path = self.path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(format!(
                    "{}: it is no text (UTF-8); {}",
                    path.display(),
                    restore(&path)
                ));
            }
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let (header, body) = snapshot::split(&text).ok_or_else(|| {
            format!("{}:1: it has no insta header; {}", path.display(), restore(&path))
        })?;
        let groups = snapshot::parse(body)
            .map_err(|error| format!("{}:{}: {error}", path.display(), header + error.line))?;
        Ok(Some((groups, body.to_owned())))
    }

    /// Tells insta that the accepted snapshot, `groups` in the words of `body`, is needed and
    /// stays as it is, whatever else its header says.
    pub(super) fn keep(&self, assert: Assert, groups: &[SnapshotGroup], body: &str) {
        let mut settings = self.settings(groups);
        settings.set_comparator(Box::new(ByBody));
        let _ = self.assert(assert, &settings, body);
    }

    /// Lets insta compare `groups` with the accepted ones. It writes the pending snapshot, unless it
    /// was told not to; `difference` is what a reviewer reads there before anything else.
    pub(super) fn propose(
        &self,
        assert: Assert,
        groups: &[SnapshotGroup],
        difference: &str,
    ) -> Proposed {
        let mut settings = self.settings(groups);
        settings.set_description(difference.trim_end());
        let body = snapshot::write(groups);
        match self.assert(assert, &settings, &body) {
            Ok(()) => Proposed::Passes,
            Err(_) if self.is_pending(&body) => Proposed::Pending,
            // That is what it says where it has written all that it was to write.
            Err(said) if said.starts_with("snapshot assertion") => Proposed::Unwritten(format!(
                "no pending snapshot was written, as {}: run it again with `INSTA_UPDATE=new`, then `cargo \
                 insta review`",
                why_not_written()
            )),
            Err(said) => Proposed::Unwritten(format!(
                "no snapshot was written: {}: {}",
                self.pending().display(),
                reason(&said)
            )),
        }
    }

    /// Whether `body` is what a review would show.
    fn is_pending(&self, body: &str) -> bool {
        // Then insta puts it elsewhere.
        let elsewhere = std::env::var_os("INSTA_PENDING_DIR").is_some_and(|it| !it.is_empty());
        let text = fs::read_to_string(self.pending()).unwrap_or_default();
        elsewhere || snapshot::split(&text).is_some_and(|(_, there)| there.trim() == body.trim())
    }

    /// The pending snapshot's file.
    fn pending(&self) -> PathBuf {
        self.folder.join(format!("{}.snap.new", self.name))
    }

    fn settings(&self, groups: &[SnapshotGroup]) -> insta::Settings {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&self.folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        if !self.scenario.as_os_str().is_empty() {
            settings.set_input_file(&self.scenario);
        }
        settings.set_info(&Info::of(&self.whole_name, groups));
        settings
    }

    /// insta's assertion of `body`.
    ///
    /// # Errors
    /// Where it fails: what insta says.
    fn assert(&self, assert: Assert, settings: &insta::Settings, body: &str) -> Result<(), String> {
        SILENT.set(true);
        let result = catch_unwind(AssertUnwindSafe(|| {
            settings.bind(|| assert(&self.name, body));
        }));
        SILENT.set(false);
        result.map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default().to_owned()
        })
    }

    /// Removes a pending snapshot that nothing is pending for any longer.
    pub(super) fn forget_pending(&self) {
        // insta puts it elsewhere where it was told to; then this one never was.
        let _ = fs::remove_file(self.pending());
    }
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Keeps insta's own difference and its panic's message off the terminal: the gate says it. What
/// `more` says to insta holds, too, where the environment does not say otherwise.
pub(crate) fn quiet(more: &[(&str, &Path)]) {
    let output = ("INSTA_OUTPUT", Path::new("none"));
    for (variable, value) in more.iter().copied().chain([output]) {
        // With other threads insta says what it likes.
        if std::env::var_os(variable).is_none() && is_only_thread() {
            // SAFETY: no other thread looks at the environment, because there is none.
            unsafe { std::env::set_var(variable, value) };
        }
    }
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !SILENT.get() {
            others(info);
        }
    }));
}

/// Why insta leaves pending snapshots unwritten.
fn why_not_written() -> String {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match std::env::var("INSTA_UPDATE") {
        Ok(update) if !["", "auto"].contains(&update.as_str()) => {
            format!("`INSTA_UPDATE` is `{update}`")
        }
        _ => ["CI", "TF_BUILD"]
            .iter()
            .find(|name| is_set(name))
            .map_or_else(|| "insta is configured so".to_owned(), |name| format!("`{name}` is set")),
    }
}

/// The system's message in insta's panic with an error, which is for those who debug it.
fn reason(said: &str) -> &str {
    let message = said.split_once("message: \"").and_then(|(_, rest)| rest.split_once('"'));
    message.map_or(said, |(message, _)| message)
}

fn is_only_thread() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// What to do about a snapshot that somebody damaged.
fn restore(path: &Path) -> String {
    format!(
        "restore it (`git checkout -- {}`), or remove it and accept again what is found",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_in_folders_have_snapshots_in_folders() {
        let path = |name| Golden::new(Path::new("snapshots"), name, Path::new("x.toml")).path();
        assert_eq!(path("a"), Path::new("snapshots/a.snap"));
        assert_eq!(path("sub/a"), Path::new("snapshots/sub/a.snap"));
        assert_ne!(path("sub/a"), path("sub__a"));
    }

    #[test]
    fn a_damaged_snapshot_is_named_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let golden = Golden::new(folder.path(), "a", Path::new("a.toml"));
        assert_eq!(golden.accepted(), Ok(None));
        let write = |text: &str| fs::write(golden.path(), text).expect("written");
        write("---\nsource: tests/leaks.rs\n---\nleak: 1 block, 8 bytes per iteration\n    f  m\n");
        let (groups, _) = golden.accepted().expect("well-formed").expect("there");
        assert_eq!(groups.len(), 1);
        write("---\nsource: tests/leaks.rs\n---\nleak: many\n");
        let error = golden.accepted().expect_err("damaged");
        assert!(error.contains("a.snap:4: "), "{error}");
        write("leak: 1 block");
        assert!(golden.accepted().expect_err("damaged").contains("a.snap:1: "));
        fs::write(golden.path(), b"---\nsource: a\n---\nleak: \xff").expect("written");
        let error = golden.accepted().expect_err("damaged");
        let path = golden.path().display().to_string();
        assert!(
            error.starts_with(&format!("{path}: it is no text (UTF-8); restore it")),
            "{error}"
        );
        assert!(error.contains(&format!("`git checkout -- {path}`")), "{error}");
    }
}
