//! CPython's own tests, with every object of the interpreter in the heap.
//!
//! A test that ends otherwise in one of the two runs is run again, alone, three times in each way.
//! It is flaky, and said to be, where the runs without the heap have every outcome that the runs
//! with it have; otherwise the heap has changed it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use harness_tests::command::{Checked, Exec};
use harness_tests::run::Run;

/// The system's: another one in front of it on the path may lack the tests, or have an allocator
/// of its own.
const PYTHON: &str = "/usr/bin/python3";

const RUNS_OF_A_FLAKY_TEST: usize = 3;

/// Each test's name, and how it ended.
type Outcomes = BTreeMap<String, String>;

/// `selection` of the tests of `module`, which write their outcomes to `file`.
fn exec(module: &str, selection: &[String], file: &Path) -> Exec {
    assert!(Path::new(PYTHON).exists(), "there is no {PYTHON} here: apt install python3");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/outcomes.py");
    let file_name = file.to_str().expect("temporary folders have plain names");
    let words = [PYTHON, script, file_name, module].into_iter().map(str::to_owned);
    Exec::of(words.chain(selection.iter().cloned()).collect())
        .folder(file.parent().expect("a file in a folder"))
        .variable("PYTHONMALLOC", "malloc")
        // The system's folders stay as they are, whoever runs this.
        .variable("PYTHONDONTWRITEBYTECODE", "1")
}

/// The outcomes that a program with this `code` wrote.
fn outcomes(file: &Path, code: Option<i32>, stderr: &str) -> Outcomes {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let outcomes: Outcomes = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error} in {text:?}; exit code {code:?}\n{stderr}"));
    let bad = ["failed", "error", "unexpected success"];
    let all_passed = outcomes.values().all(|outcome| !bad.contains(&outcome.as_str()));
    assert_eq!(code, Some(i32::from(!all_passed)), "{outcomes:#?}\n{stderr}");
    outcomes
}

fn natively(module: &str, selection: &[String]) -> (Run, Outcomes) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("outcomes.json");
    let run = exec(module, selection, &file).natively();
    let outcomes = outcomes(&file, run.code, &run.stderr);
    (run, outcomes)
}

fn traced(module: &str, selection: &[String]) -> (Checked, Outcomes) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("outcomes.json");
    let checked = exec(module, selection, &file).check();
    checked.expect_traced(10_000);
    let code = checked.report["exit"]["code"].as_i64().and_then(|code| i32::try_from(code).ok());
    let outcomes = outcomes(&file, code, &checked.run.stderr);
    (checked, outcomes)
}

/// The names of tests that are not the same in both.
fn different(one: &Outcomes, other: &Outcomes) -> BTreeSet<String> {
    let names = one.keys().chain(other.keys());
    names.filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

/// Runs a part of the tests in both ways at the same time; gives the outcomes, and those with the heap.
fn part(module: &str, selection: &[String]) -> (Outcomes, Outcomes) {
    let ((run, alone), (checked, with)) = std::thread::scope(|scope| {
        let alone = scope.spawn(|| natively(module, selection));
        let with = traced(module, selection);
        (alone.join().expect("the run without the heap"), with)
    });
    assert_eq!(checked.run.text(), run.text(), "what {module} prints");
    (alone, with)
}

/// Whether the test `name` ends with the heap in ways that it has without, too.
fn is_flaky(module: &str, name: &str, alone: &Outcomes, with: &Outcomes) -> bool {
    let mut seen = [alone, with].map(|first| BTreeSet::from([first.get(name).cloned()]));
    for _ in 0..RUNS_OF_A_FLAKY_TEST {
        let (alone, with) = part(module, &[name.to_owned()]);
        seen[0].insert(alone.get(name).cloned());
        seen[1].insert(with.get(name).cloned());
    }
    eprintln!("{name}: without the heap {:?}, with it {:?}", seen[0], seen[1]);
    seen[1].is_subset(&seen[0])
}

/// Runs all tests of `module`, in `parts` parts side by side: most of those that take long wait.
/// Gives how many passed with the heap, and those that the heap has changed.
fn changed(module: &str, parts: usize) -> (usize, BTreeSet<String>) {
    let both = std::thread::scope(|scope| {
        let run = |at| scope.spawn(move || part(module, &[format!("{at}/{parts}")]));
        let runs: Vec<_> = (0..parts).map(run).collect();
        runs.into_iter().map(|run| run.join().expect("a part")).collect::<Vec<_>>()
    });
    let (mut alone, mut with) = (Outcomes::new(), Outcomes::new());
    for (one, other) in both {
        alone.extend(one);
        with.extend(other);
    }
    let passed = with.values().filter(|outcome| *outcome == "ok").count();
    println!("{module}: {} tests, {passed} ok with the heap", with.len());
    let mut changed = different(&alone, &with);
    changed.retain(|name| !is_flaky(module, name, &alone, &with));
    (passed, changed)
}

/// Every test of `module` ends as ever, and at least `least` pass.
#[track_caller]
fn ends_as_ever(module: &str, parts: usize, least: usize) {
    let (passed, changed) = changed(module, parts);
    assert!(changed.is_empty(), "otherwise with the heap: {changed:#?}");
    assert!(passed >= least, "{passed} tests of {module} passed");
}

#[test]
fn json() {
    ends_as_ever("test.test_json", 1, 150);
}

#[test]
fn regular_expressions() {
    ends_as_ever("test.test_re", 1, 130);
}

#[test]
fn tls() {
    ends_as_ever("test.test_ssl", 4, 130);
}

#[test]
fn threads() {
    ends_as_ever("test.test_threading", 2, 150);
}

/// What else starts threads and programs, forks, maps memory, calls C, or allocates much.
const MORE: [&str; 24] = [
    "test_atexit",
    "test_bz2",
    "test_cmd_line",
    "test_ctypes",
    "test_decimal",
    "test_dict",
    "test_exceptions",
    "test_faulthandler",
    "test_fork1",
    "test_gc",
    "test_hashlib",
    "test_io",
    "test_lzma",
    "test_mmap",
    "test_multiprocessing_fork",
    "test_pickle",
    "test_queue",
    "test_select",
    "test_signal",
    "test_subprocess",
    "test_thread",
    "test_threadsignals",
    "test_weakref",
    "test_zlib",
];

#[test]
#[ignore = "takes about five minutes"]
fn more_modules() {
    let mut changed_anywhere = BTreeSet::new();
    for module in MORE {
        let (passed, changed) = changed(&format!("test.{module}"), 4);
        assert!(passed > 0, "{module}");
        changed_anywhere.extend(changed);
    }
    assert!(changed_anywhere.is_empty(), "otherwise with the heap: {changed_anywhere:#?}");
}

#[test]
fn a_test_that_the_heap_changes_is_named() {
    let (passed, changed) = changed("preloaded", 1);
    let expected = "preloaded.Tests.test_of_the_environment";
    assert_eq!(changed.into_iter().collect::<Vec<_>>(), [expected]);
    assert_eq!(passed, 1);
}
