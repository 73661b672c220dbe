//! The command line of a leak test: libtest's flags, what they mean, and what they print.

#[path = "surface/libtest.rs"]
mod libtest;
#[path = "surface/meaning.rs"]
mod meaning;
#[path = "surface/progress.rs"]
mod progress;

use std::path::PathBuf;
use std::process::Command;

use harness_tests::outcome::Outcome;
use harness_tests::trials::Trials;

/// A scenario that is clean.
const CLEAN: &str = "program = [\"/bin/true\"]\n";

/// A scenario that says something, once for the warm-up and once for the window, and is clean.
const SAYS: &str =
    "plugins = [\"frees_all\"]\nsteps = [\"say hello there\"]\nwarmup = 1\nrepeat = 1\n";

/// A scenario that says something and leaks.
const LEAKS: &str =
    "plugins = [\"frees_all\", \"leaks_per_call\"]\nsteps = [\"say hello leak\", \"forget\"]\n";

fn trials() -> Trials {
    Trials::new(env!("CARGO_BIN_EXE_trials"))
}

/// A pipe with a name in the folder of `trials`, which a scenario waits at.
fn pipe(trials: &Trials, name: &str) -> PathBuf {
    let path = trials.folder().join(name);
    let _ = Outcome::of(Command::new("mkfifo").arg(&path)).ends_with(0);
    path
}

/// Lets whatever waits at `pipe` go on; waits until it is there.
fn release(pipe: &PathBuf) {
    std::fs::write(pipe, "go\n").expect("somebody reads it");
}
