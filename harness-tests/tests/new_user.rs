//! From an empty crate to a failing leak test, as a new user goes: the lines and the commands are
//! counted.

use std::fs;
use std::path::Path;

use harness_tests::cargo::{self, cargo};
use harness_tests::outcome::Outcome;
use harness_tests::package;

/// What the user writes: the function of the crate that leaks, and its test.
const LIBRARY: &str = r#"
pub fn greet(name: &str) -> &'static str {
    Box::leak(format!("hello, {name}").into_boxed_str())
}

#[cfg(test)]
#[leaksnap::scenario]
fn greets(run: &leaksnap::Run) -> leaksnap::Result {
    run.repeat(8, || drop(greet("world")))
}
"#;

/// The same with Rust's own words around it.
const TEST: &str = r#"
#[test]
fn greets() -> Result<(), leaksnap::Error> {
    leaksnap::check(|run| run.repeat(8, || drop(new_user::greet("world"))))?.assert_clean();
    Ok(())
}
"#;

/// What the user types behind `cargo`; where the package lies is crates.io's to know.
const COMMANDS: [&[&str]; 2] = [&["add", "--dev", "leaksnap"], &["test"]];

/// An empty crate, as `cargo new` makes it, in `folder`.
fn empty(folder: &Path) {
    let mut init = cargo(folder, &target());
    let _ = Outcome::of(init.args(["init", "--lib", "--vcs", "none", "--name", "new_user"]))
        .ends_with(0);
    package::give_to(folder);
}

fn target() -> std::path::PathBuf {
    cargo::target().join("new-user")
}

/// Types the commands; the last one's outcome.
fn run(folder: &Path) -> Outcome {
    let [add, test] = COMMANDS;
    let mut add_command = cargo(folder, &target());
    add_command.args(add).arg("--path").arg(package::leaksnap());
    let _ = Outcome::of(&mut add_command).ends_with(0);
    Outcome::of(cargo(folder, &target()).args(test))
}

#[test]
fn ten_lines_and_two_commands_fail_a_leak() {
    let _turn = cargo::turn(&target());
    let folder = tempfile::tempdir().expect("a temporary folder");
    empty(folder.path());
    let lines = LIBRARY.lines().filter(|line| !line.is_empty()).count();
    assert!(lines <= 10, "{lines} lines");
    fs::write(folder.path().join("src/lib.rs"), LIBRARY).expect("written");
    let run = run(folder.path());
    println!("{}", run.text);
    let _ = run.ends_with(101);
}
