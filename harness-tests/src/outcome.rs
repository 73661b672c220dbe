//! A program that ran to its end: what it said, and how it ended.

use std::process::Command;

/// The environment's say in what the harness and insta do; no test inherits it.
const FOREIGN: [&str; 25] = [
    "CI",
    "CI_PROJECT_DIR",
    "GITHUB_ACTIONS",
    "GITHUB_STEP_SUMMARY",
    "GITHUB_WORKSPACE",
    "TF_BUILD",
    "INSTA_UPDATE",
    "INSTA_FORCE_PASS",
    "INSTA_FORCE_UPDATE",
    "INSTA_OUTPUT",
    "INSTA_PENDING_DIR",
    "INSTA_REQUIRE_FULL_MATCH",
    "INSTA_SNAPSHOT_REFERENCES_FILE",
    "INSTA_WORKSPACE_ROOT",
    "LEAKSNAP_ANNOTATE",
    "LEAKSNAP_BASE",
    "LEAKSNAP_CODE_QUALITY",
    "LEAKSNAP_STRICT",
    "LEAKSNAP_FRAMES",
    "LEAKSNAP_TRACE",
    "RUST_TEST_NOCAPTURE",
    "RUST_TEST_SHUFFLE",
    "RUST_TEST_SHUFFLE_SEED",
    "RUST_TEST_THREADS",
    "RUST_TEST_TIME_INTEGRATION",
];

/// A finished program.
#[must_use]
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub out: String,
    /// That, and what it wrote to standard error.
    pub text: String,
}

impl Outcome {
    /// Runs `command`.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let text = format!("{out}\n{}", String::from_utf8_lossy(&output.stderr));
        Self { code: output.status.code(), out, text }
    }

    /// The same run, which has to have ended with `code`.
    ///
    /// # Panics
    /// Where it did not.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.text);
        self
    }

    /// The same run, which has to have said each of `parts`.
    ///
    /// # Panics
    /// Where it did not.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.text.contains(part), "`{part}` is not in:\n{}", self.text);
        }
        self
    }

    /// The same run, which must not have said `part`.
    ///
    /// # Panics
    /// Where it did.
    #[track_caller]
    pub fn is_silent_about(self, part: &str) -> Self {
        assert!(!self.text.contains(part), "`{part}` is in:\n{}", self.text);
        self
    }
}

/// `command`, without what this test's own environment says to the harness and to insta.
pub(crate) fn without_foreign(command: &mut Command) -> &mut Command {
    FOREIGN.iter().for_each(|name| _ = command.env_remove(name));
    command
}
