//! A git repository with a program in C, and a scenario that runs it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use harness_tests::outcome::Outcome;
use harness_tests::trials::Trials;

/// The scenario's and the program's name.
pub(super) const NAME: &str = "sessions";

/// Frees its block; the block is made on line 7.
pub(super) const CLEAN: &str = "\
#include <stdlib.h>

char *volatile newest;

__attribute__((noinline)) static void session_new(void)
{
    newest = malloc(40);
}

int main(void)
{
    session_new();
    free(newest);
    return 0;
}
";

/// A git repository with a program in C, and a scenario that runs it.
pub(super) struct Repository {
    pub(super) trials: Trials,
    summary: PathBuf,
}

impl Repository {
    pub(super) fn new() -> Self {
        let text = format!("# what a client does\nprogram = ['./{NAME}']\n");
        let trials = Trials::new(env!("CARGO_BIN_EXE_trials")).scenario(NAME, &text).package();
        let summary = trials.folder().join("summary.md");
        let repository = Self { trials, summary };
        fs::write(repository.path(".gitignore"), "summary.md\ntests/leaks/sessions\n")
            .expect("written");
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.program(CLEAN);
        repository.commit("a program");
        repository
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.trials.folder().join(name)
    }

    pub(super) fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
        let _ = Outcome::of(git.args(arguments).current_dir(self.trials.folder())).ends_with(0);
    }

    pub(super) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// Writes and compiles the program.
    pub(super) fn program(&self, text: &str) {
        fs::create_dir_all(self.path("src")).expect("a folder");
        fs::write(self.path("src/session.c"), text).expect("written");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-g", "-fno-builtin", "-o", &format!("tests/leaks/{NAME}")]);
        compiler.arg("src/session.c").current_dir(self.trials.folder());
        let _ = Outcome::of(&mut compiler).ends_with(0);
    }

    /// The gate, as a job of GitHub's runs it, with more `variables`.
    pub(super) fn gate(&self, variables: &[(&str, &str)]) -> Outcome {
        let _ = fs::remove_file(&self.summary);
        let summary = self.summary.to_str().expect("a name in UTF-8");
        let own = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", summary)];
        self.trials.run(&[], &[&own, variables].concat())
    }

    pub(super) fn summary(&self) -> String {
        fs::read_to_string(&self.summary).unwrap_or_default()
    }
}

/// The program that keeps its block.
pub(super) fn leaky() -> String {
    CLEAN.replace("    free(newest);", "    newest = 0;")
}

/// The lines of `outcome` that the runner takes for commands.
pub(super) fn commands(outcome: &Outcome) -> Vec<&str> {
    outcome.text.lines().filter(|line| line.trim_start().starts_with("::")).collect()
}
