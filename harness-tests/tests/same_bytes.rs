//! The same program gives the same snapshot: in each run, on any number of threads, in debug and
//! release of the harness.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use harness_tests::cargo::{cargo, repository, target};
use harness_tests::outcome::Outcome;
use harness_tests::trials::{Trials, body, read};

const PLUGIN: &str = "crypto_openssl_forgets_hmac_key";

/// Runs on one thread, and as many on eight.
const RUNS: usize = 25;

/// Two scenarios with the plugin of this test's own profile, whatever the harness's is.
fn trials(program: &Path) -> Trials {
    let folder = Path::new(env!("CARGO_BIN_EXE_trials")).parent().expect("a program has a folder");
    let plugin = folder.join(format!("deps/lib{PLUGIN}.so"));
    let text = format!(
        "plugins = [{:?}]\nsteps = [\"test crypto\"]\nwarmup = 1\nrepeat = 2\n",
        plugin.display().to_string()
    );
    Trials::new(program).scenario("a", &text).scenario("b", &text)
}

/// The bodies of the snapshots that a run writes.
fn bodies(trials: &Trials, arguments: &[&str]) -> BTreeSet<String> {
    let run = trials.run(arguments, &[("INSTA_UPDATE", "new")]).ends_with(101);
    let pending: Vec<_> = ["a", "b"].map(|name| trials.pending(name)).into();
    let bodies = pending.iter().filter(|path| path.exists()).map(|path| {
        let text = read(path);
        fs::remove_file(path).expect("it is there");
        body(&text).to_owned()
    });
    let bodies: BTreeSet<_> = bodies.collect();
    assert!(!bodies.is_empty(), "{}", run.text);
    bodies
}

#[test]
fn in_every_run_on_any_number_of_threads() {
    let trials = trials(Path::new(env!("CARGO_BIN_EXE_trials")));
    let mut found = BTreeSet::new();
    for _ in 0..RUNS {
        found.extend(bodies(&trials, &["--test-threads", "1", "--exact", "a"]));
        found.extend(bodies(&trials, &["--test-threads", "8"]));
    }
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found.first().is_some_and(|body| body.contains("generate_digest")), "{found:#?}");
}

#[test]
fn in_debug_and_release_of_the_harness() {
    let mine = bodies(&trials(Path::new(env!("CARGO_BIN_EXE_trials"))), &[]);
    let other = bodies(&trials(&other_profile()), &[]);
    assert_eq!(mine, other);
}

/// `trials` in the profile that this test does not have.
fn other_profile() -> PathBuf {
    let folder = target().join("other-profile");
    let mut build = cargo(repository(), &folder);
    build.args(["build", "-p", "harness-tests", "--bin", "trials"]);
    let profile = if cfg!(debug_assertions) { "release" } else { "debug" };
    if profile == "release" {
        build.arg("--release");
    }
    let _ = Outcome::of(&mut build).ends_with(0);
    folder.join(profile).join("trials")
}
