//! Cargo, its subcommands, and where it builds.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::outcome::{Outcome, without_foreign};

/// The cargo-insta that accepts snapshots in tests.
const INSTA_VERSION: &str = "1.49.0";

/// The repository's folder.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the repository")
}

/// The folder that cargo builds the running test in, above the profile's.
///
/// # Panics
/// Where the test was not built by cargo.
#[must_use]
pub fn target() -> PathBuf {
    let executable = std::env::current_exe().expect("the test's own path");
    // target/PROFILE/deps/TEST
    executable.ancestors().nth(3).expect("cargo builds tests in `deps`").to_path_buf()
}

/// One process or thread at a time has `folder`, until it drops this.
///
/// # Panics
/// Where the folder can't be made.
#[must_use]
pub fn turn(folder: &Path) -> fs::File {
    fs::create_dir_all(folder).expect("a folder");
    let lock = fs::File::create(folder.join(".lock")).expect("a lock file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    lock
}

/// `cargo`, which works in `folder` and builds in `target`, with what is already downloaded.
#[must_use]
pub fn cargo(folder: &Path, target: &Path) -> Command {
    environment(std::env::var_os("CARGO").unwrap_or("cargo".into()), folder, target)
}

/// Cargo's subcommand nextest.
///
/// # Panics
/// Where it is not installed: that it works with the harness is not assumed.
#[must_use]
pub fn nextest(folder: &Path, target: &Path) -> Command {
    let mut version = cargo(folder, target);
    let found = Outcome::of(version.args(["nextest", "--version"])).code == Some(0);
    assert!(found, "cargo-nextest is missing: `cargo install cargo-nextest --locked`");
    let mut command = cargo(folder, target);
    command.arg("nextest");
    // A run inside a run: the outer one's say is not for the inner one.
    let outer = std::env::vars_os().map(|(name, _)| name);
    outer
        .filter(|name| name.to_string_lossy().starts_with("NEXTEST"))
        .for_each(|name| _ = command.env_remove(name));
    command
}

/// cargo-insta, installed below the target folder where it is not there yet.
///
/// # Panics
/// Where it can't be installed.
#[must_use]
pub fn insta(folder: &Path, target: &Path) -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    environment(PROGRAM.get_or_init(install_insta), folder, target)
}

fn install_insta() -> PathBuf {
    let root = self::target().join("tools");
    // Several tests want it at the same time: the first installs, the others wait.
    let _turn = turn(&root);
    // It asks for the crates of every platform, of which a build downloads its own alone.
    let mut fetch = cargo(repository(), &root);
    fetch.env_remove("CARGO_NET_OFFLINE").args(["fetch", "--locked"]);
    let _ = Outcome::of(&mut fetch).ends_with(0);
    let program = root.join("bin/cargo-insta");
    let version = Command::new(&program).arg("--version").output();
    let wanted = format!("cargo-insta {INSTA_VERSION}\n");
    if !version.is_ok_and(|output| output.stdout == wanted.as_bytes()) {
        let mut install = cargo(repository(), &root);
        // It builds in a temporary folder then.
        install.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_NET_OFFLINE");
        install.args(["install", "cargo-insta", "--locked"]);
        install.args(["--force", "--version", INSTA_VERSION, "--root"]).arg(&root);
        let _ = Outcome::of(&mut install).ends_with(0);
    }
    program
}

/// `program`, which works in `folder`; a cargo in it builds in `target`.
pub(crate) fn environment(program: impl AsRef<OsStr>, folder: &Path, target: &Path) -> Command {
    let mut command = Command::new(program);
    without_foreign(&mut command);
    command.current_dir(folder).env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true");
    command.env("CARGO_TERM_COLOR", "never");
    // What cargo says to this test it would say to the harness that the command starts.
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
    command
}
