//! `leaksnap::check` inside of ordinary tests: what leaks is found and named, what is released is
//! gone, and what could not be checked is an error.

use std::hint::black_box;
use std::process::Command;

use harness_tests::outcome::Outcome;
use leaksnap::report::{Group, Reachability, Report, Verdict};
use leaksnap::{Error, ErrorKind, check};

#[inline(never)]
fn forget_a_box() {
    std::mem::forget(black_box(Box::new([0_u8; 40])));
}

#[inline(never)]
fn forget_a_text(of: &str) {
    std::mem::forget(black_box(of.repeat(3)));
}

fn exit() {
    std::process::exit(3);
}

fn abort() {
    std::process::abort();
}

/// The groups of `report` that fail.
fn failing(report: &Report) -> Vec<&Group> {
    report.groups.iter().filter(|group| group.verdict.fails()).collect()
}

/// Their functions.
fn functions(report: &Report) -> Vec<String> {
    let frames = failing(report).into_iter().flat_map(|group| &group.frames);
    frames.filter_map(|frame| frame.function.as_deref().map(str::to_owned)).collect()
}

/// The error of a check that has none, as kind and text.
#[track_caller]
fn error(checked: Result<Report, Error>) -> (ErrorKind, String) {
    let error = checked.map(drop).expect_err("there is no report");
    (error.kind(), error.to_string())
}

#[test]
fn what_a_thread_loses_for_an_iteration_is_of_that_iteration() {
    let report = check(|run| {
        let (ask, asked) = std::sync::mpsc::channel();
        std::thread::spawn(move || asked.iter().for_each(|()| forget_a_box()));
        run.repeat(8, || ask.send(()))
    })
    .expect("it was checked");
    let [group] = failing(&report)[..] else { panic!("{report}") };
    assert_eq!((group.verdict, group.blocks, group.bytes), (Verdict::Leak, 8, 320), "{report}");
}

#[test]
fn a_leak_is_found_named_and_gone_once_it_is_freed() {
    let report = check(|run| run.repeat(4, forget_a_box)).expect("it was checked");
    assert!(!report.is_clean());
    let [group] = failing(&report)[..] else { panic!("{report}") };
    assert_eq!((group.verdict, group.reachability), (Verdict::Leak, Reachability::Lost));
    assert_eq!((group.blocks, group.bytes, report.iterations), (4, 160, 4));
    assert!(functions(&report).contains(&"checks::forget_a_box".to_owned()), "{report}");
    let name = "a_leak_is_found_named_and_gone_once_it_is_freed";
    assert_eq!(report.scenario.as_deref(), Some(name));
    let panic = std::panic::catch_unwind(|| report.assert_clean()).expect_err("it leaks");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.starts_with(&format!("1 leak in {name}: 1 block, 40 bytes per iteration")));

    let report = check(|run| run.repeat(4, || drop(black_box(Box::new([0_u8; 40])))));
    report.expect("it was checked").assert_clean();
}

#[test]
fn what_a_test_made_before_is_made_again() {
    let text = "a text of the test's own".to_owned();
    let report = check(|run| run.warmup(0).repeat(3, || forget_a_text(&text))).expect("checked");
    assert_eq!(
        (failing(&report)[0].blocks, failing(&report)[0].bytes),
        (3, 3 * 3 * 24),
        "{report}"
    );
}

#[test]
fn checks_of_one_test_know_of_each_other() {
    // Three calls of one place: each child has what those before it came to.
    let mut seen = Vec::new();
    for bytes in [16, 0, 48] {
        let checked = check(|run| {
            run.repeat(8, || match bytes {
                0 => Err("there is nothing to do"),
                _ => {
                    std::mem::forget(black_box(vec![1_u8; bytes]));
                    Ok(())
                }
            })
        });
        // The way to the next call goes by this one's result.
        match checked {
            Ok(report) => seen.push(Some(failing(&report)[0].bytes)),
            Err(error) if error.kind() == ErrorKind::Failed => seen.push(None),
            Err(error) => panic!("{error}"),
        }
        assert!(seen.len() < 3 || seen[0] == Some(8 * 16), "{seen:?}");
    }
    assert_eq!(seen, [Some(8 * 16), None, Some(8 * 48)]);
    check(|run| run.repeat(2, || ())).expect("another place").assert_clean();
}

#[test]
fn an_error_and_a_panic_name_their_step_and_their_place() {
    let parse = |text: &str| text.parse::<u32>();
    let (kind, text) = error(check(|run| {
        run.repeat(8, || {
            run.step("read");
            let number = parse("17")?;
            run.step("parse");
            parse("x").map(|other| number + other)
        })
    }));
    assert_eq!(kind, ErrorKind::Failed);
    let expected = "failed: in step `parse`: invalid digit found in string";
    assert!(
        text.starts_with("harness-tests/tests/checks.rs:") && text.ends_with(expected),
        "{text}"
    );

    let (kind, text) = error(check(|run| {
        run.repeat(8, || {
            run.step("compare");
            assert_eq!(black_box(1), 2, "they differ");
        })
    }));
    assert_eq!(kind, ErrorKind::Failed);
    let expected = "failed: in step `compare`: it panicked at harness-tests/tests/checks.rs:";
    assert!(
        text.contains(expected) && text.contains("left == right` failed: they differ"),
        "{text}"
    );

    // A step ends with its iteration.
    let (_, text) = error(check(|run| {
        run.repeat(2, || run.step("iterate"))?;
        Err::<(), Box<dyn std::error::Error>>("behind it".into())
    }));
    assert!(text.contains("failed: behind it"), "{text}");
}

#[test]
fn a_child_that_ends_or_is_killed_is_an_error() {
    let (kind, text) = error(check(|run| run.repeat(2, exit)));
    assert_eq!(kind, ErrorKind::Failed);
    assert!(text.contains("ended the host with exit code 3"), "{text}");
    let (kind, text) = error(check(|run| run.repeat(2, abort)));
    assert_eq!(kind, ErrorKind::Killed, "{text}");
    let (kind, text) = error(check(|_| ()));
    assert_eq!(kind, ErrorKind::Failed);
    assert!(text.contains("it never called `run.repeat`: nothing was measured"), "{text}");
}

#[test]
fn a_test_that_goes_another_way_in_its_child_is_not_checked() {
    // The child comes to another call, which says so.
    let is_parent = std::env::var_os("LEAKSNAP_RECORD").is_none();
    let checked = match is_parent {
        true => check(|run| run.repeat(2, || ())),
        false => check(|run| run.repeat(2, forget_a_box)),
    };
    let (kind, text) = error(checked);
    assert!(is_parent, "{text}");
    assert_eq!(kind, ErrorKind::NotChecked, "{text}");
    assert!(text.contains("the test, run again up to this call, ended the host with"), "{text}");
    assert!(text.contains("the child came to another call than its parent"), "{text}");
}

#[test]
fn a_thread_that_is_no_test_is_refused() {
    let checked = std::thread::spawn(|| check(|run| run.repeat(2, || ()))).join().expect("it ends");
    let (kind, text) = error(checked);
    assert_eq!(kind, ErrorKind::NotChecked, "{text}");
    assert!(text.contains("this thread has no name; check on the test's own thread"), "{text}");
    let other = std::thread::Builder::new().name("no_such_test".into());
    let checked = other.spawn(|| check(|run| run.repeat(2, || ()))).expect("a thread");
    let (kind, text) = error(checked.join().expect("it ends"));
    assert_eq!(kind, ErrorKind::NotChecked, "{text}");
    assert!(text.contains("the test, run again up to this call, ended the host with exit code 0"));
}

#[test]
fn there_is_no_check_inside_of_a_check() {
    let (kind, text) =
        error(check(|run| run.repeat(2, || check(|inner| inner.repeat(2, || ())).map(drop))));
    assert_eq!(kind, ErrorKind::Failed);
    assert!(text.contains("there is no check inside of another one"), "{text}");
}

#[test]
#[ignore = "the next test runs it"]
fn ignored() {
    check(|run| run.repeat(2, || ())).expect("it was checked").assert_clean();
    check(|run| run.repeat(2, forget_a_box)).expect("it was checked").assert_clean();
}

#[test]
fn an_ignored_test_is_checked_however_libtest_runs_it() {
    let own = std::env::current_exe().expect("a test has a path");
    let named = ["--ignored", "ignored"];
    for more in [&[][..], &["--exact"], &["--nocapture"], &["--test-threads=1"]] {
        let run = Outcome::of(Command::new(&own).args(named).args(more)).ends_with(101);
        let _ = run.says(&[
            "1 leak in ignored: 1 block, 40 bytes per iteration",
            "checks::forget_a_box  ",
            "checks.rs:",
        ]);
    }
}

#[test]
fn main_can_check_with_its_own_arguments() {
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_checks_in_main"));
        Outcome::of(command.args(words)).ends_with(0).out
    };
    assert_eq!(run(&[]), "main: true\nno leaks in main\n");
    assert!(run(&["24"]).starts_with("main: false\n1 leak in main: 1 block, 24 bytes per"));
    // What a process of the child's checks is none of the child's.
    let deeper = run(&["deeper", "36"]);
    let (inner, outer) =
        deeper.split_once("main: false\n1 leak in main: 1 block, 36").expect("both");
    assert!(inner.starts_with("main: false\n1 leak in main: 1 block, 12 bytes"), "{deeper}");
    assert!(outer.starts_with(" bytes per iteration"), "{deeper}");
}

/// What was allocated to prove that the heap is traced is none of it.
#[test]
fn the_most_bytes_at_a_time_are_the_closure_s() {
    let report = check(|run| run.repeat(4, || drop(black_box(vec![1_u8; 30_000]))));
    let most = report.expect("it was checked").tracing.peak_bytes;
    assert!((30_000..60_000).contains(&most), "{most}");
}

#[test]
fn an_allocator_with_memory_of_its_own_is_not_checked() {
    // It may put something around the system's blocks, but not serve others.
    for (kind, code) in [("around", 0), ("own", 1), ("small", 1), ("large", 1)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_other_allocators"));
        let run = Outcome::of(command.env("ALLOCATOR", kind)).ends_with(code);
        let _ = match code {
            0 => run.says(&["1 leak in main: 1 block, 40 bytes per iteration"]),
            _ => run.says(&["not checked: the `#[global_allocator]` has memory of its own"]),
        };
    }
}
