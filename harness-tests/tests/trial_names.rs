//! Trials by their names: listed, chosen, and with a snapshot of their own each.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use harness_tests::trials::{Trials, body, read};

/// What a trial needs that is only listed or clean.
const CLEAN: &str = "program = [\"/bin/true\"]\n";

fn clean(names: &[&str]) -> Trials {
    let trials = Trials::new(env!("CARGO_BIN_EXE_trials"));
    names.iter().fold(trials, |trials, name| trials.scenario(name, CLEAN))
}

const LEAKY: &str = "plugins = [\"leaks_per_call\"]\nsteps = [\"forget\"]\n";

/// The trials that a run's output says it ran.
fn ran(out: &str) -> Vec<&str> {
    let lines = out.lines().filter_map(|line| line.strip_prefix("test "));
    lines.filter_map(|line| Some(line.split_once(" ... ")?.0.trim_end())).collect()
}

#[test]
fn nextest_s_list_has_a_line_for_each_trial_and_nothing_else() {
    let trials = clean(&["b", "a", "sub/a", "sub__a", "x.y"]);
    let list = ["--list", "--format", "terse"];
    let run = trials.run(&list, &[]).ends_with(0);
    assert_eq!(run.out, "a: test\nb: test\nsub/a: test\nsub__a: test\nx.y: test\n");
    let run = trials.run(&[&list[..], &["--ignored"]].concat(), &[]).ends_with(0);
    assert_eq!(run.out, "");
}

#[test]
fn a_list_reads_no_scenario() {
    let trials = clean(&["a"]).scenario("wrong", "no such = key");
    let run = trials.run(&["--list", "--format", "terse"], &[]).ends_with(0);
    assert_eq!(run.out, "a: test\nwrong: test\n");
}

#[test]
fn trials_are_chosen_as_libtest_does() {
    let trials = clean(&["a", "ab", "sub/a", "x.y"]);
    let chosen = |arguments: &[&str]| {
        let run = trials.run(&[arguments, &["--test-threads", "1"]].concat(), &[]).ends_with(0);
        ran(&run.out).join(" ")
    };
    assert_eq!(chosen(&[]), "a ab sub/a x.y");
    assert_eq!(chosen(&["a"]), "a ab sub/a");
    assert_eq!(chosen(&["a", "--exact"]), "a");
    assert_eq!(chosen(&["--exact", "sub/a", "--nocapture"]), "sub/a");
    assert_eq!(chosen(&["--exact", "x.y"]), "x.y");
    assert_eq!(chosen(&["--exact", "b"]), "");
    assert_eq!(chosen(&["--skip", "ab"]), "a sub/a x.y");
    assert_eq!(chosen(&["--skip", "a", "--exact"]), "ab sub/a x.y");
    assert_eq!(chosen(&["--ignored"]), "");
    assert_eq!(chosen(&["--include-ignored", "ab"]), "ab");
}

#[test]
fn a_trial_by_its_exact_name_looks_at_no_other_scenario() {
    let trials = clean(&["a"]);
    // Two names that read the same fail a search through the folder.
    for name in [b"\xfe.toml", b"\xff.toml"] {
        let path = trials.folder().join("tests/leaks").join(OsStr::from_bytes(name));
        std::fs::write(path, CLEAN).expect("a file");
    }
    let _ = trials.run(&[], &[]).ends_with(2).says(&["there are two scenarios"]);
    let run = trials.run(&["a", "--exact", "--nocapture"], &[]).ends_with(0);
    assert_eq!(ran(&run.out), ["a"]);
}

#[test]
fn scenarios_in_folders_share_no_snapshot() {
    let trials = Trials::new(env!("CARGO_BIN_EXE_trials"))
        .scenario("sub/a", LEAKY)
        .scenario("sub__a", LEAKY)
        .scenario("a", CLEAN);
    let run = trials.run(&[], &[]).ends_with(101);
    let _ = run.says(&["1 passed; 2 failed", "in sub/a is not", "in sub__a is not"]);
    assert_eq!(trials.snapshots(), ["sub/a.snap.new", "sub__a.snap.new"]);

    let pending = read(&trials.pending("sub/a"));
    let _ = trials.accept("sub/a", body(&pending));
    let run = trials.run(&["--test-threads", "1"], &[]).ends_with(101);
    let _ = run.says(&["2 passed; 1 failed", "in sub__a is not"]).is_silent_about("in sub/a");
    assert_eq!(trials.snapshots(), ["sub/a.snap", "sub__a.snap.new"]);
}
