//! The program `trials` on a folder of scenarios that a test writes.
//!
//! ```text
//!   FOLDER/tests/leaks/NAME.toml                    scenarios
//!   FOLDER/tests/leaks/snapshots/NAME.snap[.new]    accepted and pending snapshots
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::outcome::{Outcome, without_foreign};

/// A folder of scenarios, and the program that has them as trials.
#[derive(Debug)]
pub struct Trials {
    folder: TempDir,
    program: PathBuf,
}

impl Trials {
    /// An empty folder for `program`: `env!("CARGO_BIN_EXE_trials")`, or the same program of
    /// another build.
    ///
    /// # Panics
    /// Where there is no temporary folder.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let trials = Self { folder, program: program.into() };
        fs::create_dir_all(trials.folder().join("tests/leaks")).expect("a folder");
        trials
    }

    /// The folder, which a project would have its `Cargo.toml` in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the scenario `name`.
    ///
    /// # Panics
    /// Where that fails.
    #[must_use]
    pub fn scenario(self, name: &str, text: &str) -> Self {
        write(&self.folder().join(format!("tests/leaks/{name}.toml")), text);
        self
    }

    /// Makes the folder a package, in which cargo-insta looks for snapshots.
    ///
    /// # Panics
    /// Where a file can't be written.
    #[must_use]
    pub fn package(self) -> Self {
        let manifest = "[package]\nname = \"package\"\nedition = \"2024\"\n\n[workspace]\n";
        write(&self.folder().join("Cargo.toml"), manifest);
        write(&self.folder().join("src/lib.rs"), "");
        self
    }

    /// Where the accepted snapshot of the scenario `name` is.
    #[must_use]
    pub fn accepted(&self, name: &str) -> PathBuf {
        self.folder().join(format!("tests/leaks/snapshots/{name}.snap"))
    }

    /// Where its pending snapshot is.
    #[must_use]
    pub fn pending(&self, name: &str) -> PathBuf {
        self.folder().join(format!("tests/leaks/snapshots/{name}.snap.new"))
    }

    /// Accepts `body` for the scenario `name`; the whole text that is now accepted.
    ///
    /// # Panics
    /// Where the file can't be written.
    pub fn accept(&self, name: &str, body: &str) -> String {
        let text = format!("---\nsource: harness-tests/src/bin/trials.rs\n---\n{body}");
        write(&self.accepted(name), &text);
        text
    }

    /// Every file below the folder of the snapshots, by its way from there, sorted.
    ///
    /// # Panics
    /// Where a folder can't be read.
    #[must_use]
    pub fn snapshots(&self) -> Vec<String> {
        let root = self.folder().join("tests/leaks/snapshots");
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let below = path.strip_prefix(&root).expect("it was found below");
                    found.push(below.display().to_string());
                }
            }
        }
        found.sort();
        found
    }

    /// Runs the program with `arguments` and `variables`.
    pub fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        Outcome::of(&mut self.command(arguments, variables))
    }

    /// The program with `arguments` and `variables`, not yet started.
    #[must_use]
    pub fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(&self.program);
        without_foreign(&mut command);
        command
            .args(arguments)
            .env("CARGO_MANIFEST_DIR", self.folder())
            .env("INSTA_WORKSPACE_ROOT", self.folder())
            .envs(variables.iter().copied())
            .current_dir(self.folder());
        command
    }
}

/// The body of a snapshot's text.
///
/// # Panics
/// Where it has no header.
#[must_use]
pub fn body(snapshot: &str) -> &str {
    let rest = snapshot.strip_prefix("---\n").expect("a snapshot starts with its header");
    rest.split_once("\n---\n").expect("the header has an end").1
}

/// The text of the file at `path`.
///
/// # Panics
/// Where it can't be read.
#[must_use]
#[track_caller]
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}
