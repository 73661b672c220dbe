//! cargo-nextest: a process for each trial, which it lists, parts, repeats, and ends.

use std::fs;
use std::path::Path;

use harness_tests::cargo;
use harness_tests::outcome::Outcome;
use harness_tests::plugin;
use harness_tests::trials::read;
use harness_tests::user::work;

use super::{Downstream, LEAK};

/// nextest in `folder`.
fn nextest(folder: &Path, arguments: &[&str]) -> Outcome {
    Outcome::of(cargo::nextest(folder, &work("build")).args(arguments))
}

/// Processes that run the executable `program`, or have `word` in their command line.
fn processes(program: &Path, word: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("it is mounted").flatten();
    let named = |entry: &fs::DirEntry| {
        let runs = fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == program);
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        (runs || words.contains(word)).then_some(words)
    };
    entries.filter_map(|entry| named(&entry)).collect()
}

#[test]
fn nextest_lists_and_runs_the_trials() {
    let downstream = Downstream::new();
    let nextest = |arguments: &[&str]| nextest(downstream.folder(), arguments);
    let list = nextest(&["list", "--message-format", "oneline"]).ends_with(0);
    let _ = list.says(&["downstream::leaks program\n", "downstream::leaks session\n"]);
    let _ = nextest(&["run"]).ends_with(0).says(&["2 tests run: 2 passed"]);

    // Each part has one of them.
    let parts = ["count:1/2", "count:2/2"].map(|part| {
        let run = nextest(&["run", "--partition", part]).ends_with(0);
        run.says(&["1 test run: 1 passed"]).text.contains("downstream::leaks session")
    });
    assert_ne!(parts[0], parts[1]);

    let failed = nextest(&["run", "--features", "leaky", "--no-fail-fast"]);
    let _ = failed.ends_with(100).says(&LEAK).says(&["2 tests run: 1 passed, 1 failed"]);
    assert!(downstream.pending().exists());
    let _ = downstream.insta(&["accept"]).ends_with(0);
    let _ = nextest(&["run", "--features", "leaky"]).ends_with(0);
}

#[test]
fn nextest_tries_again_warns_and_ends_what_hangs_with_all_its_children() {
    let downstream = Downstream::new();
    let marker = downstream.folder().join("marker");
    let script = format!("test -e {0} || {{ touch {0}; exit 3; }}", marker.display());
    downstream
        .write("tests/leaks/flaky.toml", &format!("program = [\"sh\", \"-c\", {script:?}]\n"));
    let run = nextest(downstream.folder(), &["run", "flaky", "--retries", "1"]).ends_with(0);
    let _ = run.says(&["TRY 1 FAIL", "TRY 2 PASS", "ended with exit code 3", "1 passed (1 flaky)"]);

    // A step that hangs, and a program that takes long with a child of its own.
    let hangs = plugin("hangs_in_step");
    let hangs = format!("plugins = [{:?}]\nsteps = [\"hang\"]\n", hangs.display().to_string());
    downstream.write("tests/leaks/hangs.toml", &hangs);
    // No other run's, which may have left some behind.
    let word = &format!("86398.{}", std::process::id());
    let script = format!("sleep {word} & sleep {word}");
    downstream
        .write("tests/leaks/sleeps.toml", &format!("program = [\"sh\", \"-c\", {script:?}]\n"));
    let accepted =
        "---\nsource: tests/leaks.rs\n---\nleak: 1 block, 8 bytes per iteration\n    f  m\n";
    downstream.write("tests/leaks/snapshots/hangs.snap", accepted);
    downstream.write("tests/leaks/snapshots/sleeps.snap", accepted);
    downstream.write(
        ".config/nextest.toml",
        "[profile.default]\nslow-timeout = { period = \"1s\", terminate-after = 2, grace-period = \"1s\" }\n",
    );
    let executable = downstream.executable();
    let ended = nextest(downstream.folder(), &["run", "hangs", "sleeps", "--no-fail-fast"]);
    let ended = ended.ends_with(100);
    let _ = ended.says(&["SLOW [", "TIMEOUT [", "2 tests run: 0 passed, 2 timed out"]);
    assert_eq!(processes(&executable, word), [""; 0]);
    for name in ["hangs", "sleeps"] {
        let snapshot = downstream.folder().join(format!("tests/leaks/snapshots/{name}.snap"));
        assert_eq!(read(&snapshot), accepted);
        assert!(!snapshot.with_extension("snap.new").exists());
    }
}

#[test]
fn an_archive_is_run_in_another_folder() {
    let downstream = Downstream::new();
    let archive = work("leaky.tar.zst");
    let file = archive.to_str().expect("a plain path");
    let _ =
        nextest(downstream.folder(), &["archive", "--features", "leaky", "--archive-file", file])
            .ends_with(0);
    // The sources are elsewhere, and where they were there is nothing.
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let sources = elsewhere.path().join("sources");
    fs::rename(downstream.folder(), &sources).expect("it moves");
    let remap = sources.to_str().expect("a plain path");
    let run = |more: &[&str]| {
        let words = ["run", "--archive-file", file, "--workspace-remap", remap, "--no-fail-fast"];
        nextest(elsewhere.path(), &[&words, more].concat())
    };
    let failed = run(&[]).ends_with(100).says(&LEAK);
    let _ = failed.says(&["2 tests run: 1 passed, 1 failed"]);
    let snapshots = sources.join("tests/leaks/snapshots");
    let pending = snapshots.join("session.snap.new");
    assert!(read(&pending).contains("leak: 1 block, 4096 bytes per iteration\n"));
    fs::rename(&pending, snapshots.join("session.snap")).expect("it is accepted");
    let _ = run(&[]).ends_with(0).says(&["2 tests run: 2 passed"]);
    let _ = run(&["--partition", "count:2/2"]).ends_with(0).says(&["1 test run: 1 passed"]);
    // It is put back for the temporary folder's own end.
    fs::rename(&sources, downstream.folder()).expect("it moves");
}
