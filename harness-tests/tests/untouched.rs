//! A trial that was not checked, or whose scenario is wrong or failed, fails, and leaves the
//! accepted snapshot and the pending one as they were, whatever insta was told.

use std::collections::BTreeMap;
use std::fs;
use std::time::SystemTime;

use harness_tests::{Ended, Workplace};

const ACCEPTED: &str = "\
---
source: tests/leaks.rs
---
leak: 1 block, 48 bytes per iteration
    forget_block  leaks_per_call.so  leaks_per_call.c
    forget  leaks_per_call.so  leaks_per_call.c
";
const PENDING: &str = "---\nsource: tests/leaks.rs\n---\nnobody has reviewed this\n";

/// Each scenario, and how its failure starts.
const FAILING: [(&str, &str, &str); 16] = [
    (
        "crash",
        "plugins = ['crashes_in_step.so']\nsteps = ['crash']",
        "2: step `crash` was killed by signal 11 (SIGSEGV)",
    ),
    (
        "crash_at_stop",
        "plugins = ['crashes_in_step.so']\nsteps = ['crash at stop']",
        "the host, at its exit, was killed by signal 11 (SIGSEGV)",
    ),
    (
        "exit",
        "plugins = ['exits_in_step.so']\nsteps = ['leave 0']",
        "2: step `leave 0` ended the host with exit code 0",
    ),
    (
        "fail",
        "plugins = ['fails_in_step.so']\nsteps = ['fail loudly']",
        "2: step `fail loudly` failed: no key",
    ),
    (
        "full",
        "plugins = ['eats_heap.so']\nsteps = ['eat']\nheap = '32m'",
        "not checked: the heap of 32 MiB was full; raise `heap`",
    ),
    (
        "hang",
        "plugins = ['hangs_in_step.so']\nsteps = ['hang']\ntimeout = '1s'",
        "2: step `hang`, in iteration 1, timed out: it took more than 1s (`timeout`)",
    ),
    ("missing", "plugins = ['gone.so']\nsteps = ['a']", "1: no plugin `gone.so`: looked for "),
    (
        "no_entry",
        "plugins = ['has_no_entry.so']\nsteps = ['a']",
        "1: FOLDER/tests/leaks/has_no_entry.so is not a plugin",
    ),
    ("no_program", "program = ['no_such_program']", "1: there is no program no_such_program"),
    (
        "no_step",
        "plugins = ['frees_all.so']\nsteps = ['turn']",
        "2: no command `turn`; there are: churn, say hello",
    ),
    (
        "other_abi",
        "plugins = ['has_other_abi.so']\nsteps = ['a']",
        "1: plugin FOLDER/tests/leaks/has_other_abi.so has ABI 99, this leaksnap has ABI 1",
    ),
    (
        "static_program",
        "program = ['./is_static']",
        "not checked: the preload heap did not become active: it is statically linked",
    ),
    (
        "suppressions",
        "plugins = ['leaks_per_call.so']\nsteps = ['forget']\nsuppressions = ['suppressions.toml']",
        "1: `plugins = [\"leaks_per_call.so\"]` is no suppression; write `leak:` and a pattern",
    ),
    (
        "suppressions_gone",
        "plugins = ['leaks_per_call.so']\nsteps = ['forget']\nsuppressions = ['gone.supp']",
        "3: tests/leaks/gone.supp cannot be read: No such file or directory (os error 2)",
    ),
    ("unknown_key", "steps = ['a']\ncolour = 1", "2: unknown key `colour`"),
    (
        "unused",
        "plugins = ['leaks_per_call.so']\nsteps = ['forget']\nignore = ['nothing']",
        "3: \"nothing\" in `ignore` matches no traceback; remove it",
    ),
];

/// A folder with the scenarios in `FAILING`, or one that leaks, each with both snapshots.
fn workplace(scenarios: &[(&str, &str)]) -> Workplace {
    let work = Workplace::new(env!("CARGO_BIN_EXE_trials"));
    for (name, text) in scenarios {
        work.write(&format!("tests/leaks/{name}.toml"), &text.replace('\'', "\""));
        work.write(&format!("tests/leaks/snapshots/{name}.snap"), ACCEPTED);
        work.write(&format!("tests/leaks/snapshots/{name}.snap.new"), PENDING);
        if let Some(plugin) = text.split('\'').nth(1).and_then(|name| name.strip_suffix(".so"))
            && plugin != "gone"
        {
            let link = format!("tests/leaks/{plugin}");
            if !work.path(&format!("{link}.so")).exists() {
                work.add_plugin_as(plugin, &format!("{link}.so"));
            }
        }
    }
    work.add_static_program("tests/leaks/is_static");
    work
}

fn run(work: &Workplace, variables: &[(&str, &str)]) -> Ended {
    let mut command = work.command(["--test-threads=2"]);
    command.env("CARGO_MANIFEST_DIR", work.path("")).envs(variables.iter().copied());
    work.end(&mut command)
}

/// Every file of the snapshots, with what is in it and when it was written.
fn snapshots(work: &Workplace) -> BTreeMap<String, (String, SystemTime)> {
    let entries =
        fs::read_dir(work.path("tests/leaks/snapshots")).expect("the folder of the snapshots");
    entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let text = fs::read_to_string(entry.path()).expect("a text");
            let time = entry.metadata().and_then(|data| data.modified()).expect("a time");
            (entry.file_name().to_string_lossy().into_owned(), (text, time))
        })
        .collect()
}

#[test]
fn by_trials_that_fail() {
    let scenarios: Vec<_> = FAILING.iter().map(|(name, text, _)| (*name, *text)).collect();
    let work = workplace(&scenarios);
    let before = snapshots(&work);
    assert_eq!(before.len(), 2 * FAILING.len());
    for update in ["auto", "always", "new", "unseen", "no", "force"] {
        let ended = run(&work, &[("INSTA_UPDATE", update)]);
        assert_eq!(ended.status, Some(101), "{update}: {}", ended.stdout);
        assert_eq!(snapshots(&work), before, "{update}");
        for (name, _, error) in FAILING {
            let place = if error.as_bytes()[0].is_ascii_digit() {
                format!("tests/leaks/{name}.toml:{error}")
            } else {
                error.to_owned()
            };
            let text = format!("---- {name} ----\n{place}");
            assert!(ended.stdout.contains(&text), "{text}\nis not in\n{}", ended.stdout);
        }
        let count = format!("0 passed; {} failed", FAILING.len());
        assert!(ended.stdout.contains(&count), "{}", ended.stdout);
    }
}

#[test]
fn by_trials_whose_ledger_is_full() {
    let work = workplace(&[("it", "plugins = ['frees_all.so']\nsteps = ['churn']")]);
    let before = snapshots(&work);
    let ended = run(&work, &[("LEAKSNAP_FRAMES", "64"), ("INSTA_UPDATE", "always")]);
    assert_eq!(ended.status, Some(101));
    let text = "what is not checked is not clean; no snapshot was touched\n";
    assert!(ended.stdout.contains(text), "{}", ended.stdout);
    assert_eq!(snapshots(&work), before);
}

#[test]
fn but_a_trial_that_was_checked_writes() {
    let leaks = "plugins = ['leaks_per_call.so']\nsteps = ['forget', 'forget']";
    let work = workplace(&[("it", leaks)]);
    let before = snapshots(&work);
    let ended = run(&work, &[("INSTA_UPDATE", "new")]);
    assert_eq!(ended.status, Some(101), "{}", ended.stdout);
    let after = snapshots(&work);
    assert_eq!(after["it.snap"], before["it.snap"]);
    let pending = &after["it.snap.new"].0;
    assert!(pending.contains("leak: 2 blocks, 96 bytes per iteration\n"), "{pending}");
}

#[test]
fn but_a_trial_that_is_as_accepted_has_nothing_pending() {
    let work = workplace(&[("it", "plugins = ['leaks_per_call.so']\nsteps = ['forget']")]);
    let before = snapshots(&work);
    let ended = run(&work, &[]);
    assert_eq!(ended.status, Some(0), "{}", ended.stdout);
    let after = snapshots(&work);
    assert_eq!(after.keys().collect::<Vec<_>>(), ["it.snap"]);
    assert_eq!(after["it.snap"], before["it.snap"]);
}
