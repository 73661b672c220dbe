//! The ways in which a program can end, and what its children have to do with it.

use std::time::{Duration, Instant};

use harness_tests::command::{Checked, Exec};
use harness_tests::program::Program;

fn ends_by(way: &str) -> Checked {
    Exec::of(Program::compile("ends_by.c").with([way, "77"])).check()
}

/// The program ended well, and its lost block was found.
#[track_caller]
fn is_seen(way: &str) {
    ends_by(way).expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 77, "lose")]);
}

#[test]
fn a_return_from_main_is_seen() {
    is_seen("return");
}

#[test]
fn exit_deep_in_a_call_is_seen() {
    is_seen("exit");
}

#[test]
fn an_exit_without_destructors_is_seen() {
    is_seen("_exit");
    is_seen("_Exit");
}

#[test]
fn quick_exit_is_seen() {
    is_seen("quick_exit");
}

#[test]
fn an_exit_in_another_thread_is_seen() {
    let program = Program::compile("exits_in_a_thread.c");
    let lost = [("leak/lost", 1, 70, "lose_in_thread")];
    let check = |how| Exec::of(program.with([how])).check();
    check("exit").expect(1, Some(0)).expect_groups(&lost);
    // The first thread is gone by then.
    check("pthread_exit").expect(1, Some(0)).expect_groups(&lost);
}

#[test]
fn a_signal_to_the_command_goes_to_the_program() {
    let start = Instant::now();
    let line = "kill -TERM $PPID; sleep 20 & wait";
    let checked = Exec::of(["sh", "-c", line].into_iter().collect()).check();
    checked.expect(4, None);
    assert_eq!(checked.report["exit"]["signal"].as_i64(), Some(15));
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn an_exit_code_is_the_program_s_failure() {
    let checked = ends_by("code");
    checked.expect(4, Some(7)).expect_groups(&[("leak/lost", 1, 77, "lose")]);
    let stderr = &checked.run.stderr;
    assert!(stderr.contains("ended with exit code 7"), "{stderr}");
}

#[test]
fn a_signal_is_the_program_s_failure() {
    for (way, number, name) in [("abort", 6, "SIGABRT"), ("kill", 9, "SIGKILL")] {
        let checked = ends_by(way);
        checked.expect(4, None);
        assert_eq!(checked.report["exit"]["signal"].as_i64(), Some(number));
        let expected = format!("was killed by signal {number} ({name})");
        assert!(checked.run.stderr.contains(&expected), "{}", checked.run.stderr);
    }
}

#[test]
fn a_report_in_a_file_is_never_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report");
    let path = file.to_str().expect("it is text");
    for (way, status, says) in [
        ("kill", 4, "was killed by signal 9 (SIGKILL)"),
        ("syscall", 3, "not checked: the program ended without the preload heap seeing its exit"),
        ("return", 1, "1 leak in "),
    ] {
        let program = Program::compile("ends_by.c").with([way, "77"]);
        let run = Exec::of(program).option(&["--output", path]).text();
        let text = std::fs::read_to_string(&file).expect("it was written");
        assert_eq!(run.code, Some(status), "{}", run.stderr);
        assert!(text.contains(says) && !text.contains("no leaks"), "{way}: {text}");
        assert!(way == "return" || run.stderr == text, "{way}: {} and {text}", run.stderr);
    }
    let missing = ["--suppressions", "/no/such/file", "--output", path];
    for format in ["text", "json"] {
        let program = Program::compile("ends_by.c").with(["return"]);
        let run = Exec::of(program).option(&missing).option(&["--format", format]).text();
        let text = std::fs::read_to_string(&file).expect("it was written");
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        let says = if format == "text" { "/no/such/file" } else { "\"active\": false" };
        assert!(text.contains(says), "{format}: {text}");
    }
}

#[test]
fn an_exit_past_libc_is_not_checked() {
    let checked = ends_by("syscall");
    checked.expect(3, Some(0)).expect_groups(&[]);
    let stderr = &checked.run.stderr;
    assert!(stderr.contains("without the preload heap seeing its exit"), "{stderr}");
    assert_eq!(checked.report["tracing"]["complete"], false, "nobody may take it for clean");
}

#[test]
fn a_program_that_goes_to_the_background_is_not_checked() {
    let checked = ends_by("daemon");
    checked.expect(3, Some(0)).expect_groups(&[]);
    let reason = "not checked: the program handed its work to another process: it forked, and ended \
                  without the preload heap seeing its exit";
    assert!(checked.run.stderr.contains(reason), "{}", checked.run.stderr);
}

#[test]
fn after_an_exec_the_last_program_counts() {
    ends_by("exec").expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 33, "lose")]);
}

#[test]
fn a_shell_that_executes_a_program_is_that_program() {
    let program = Program::compile("ends_by.c");
    let words = program.with([]).list.join(" ");
    let line = format!("exec {words} return 77");
    let words = ["sh", "-c", &line].into_iter().collect();
    Exec::of(words).check().expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 77, "lose")]);
}

#[test]
fn an_exec_into_a_program_that_is_not_preloaded_is_not_checked() {
    let inner = Program::compile_with("loses_a_block.c", &["-static"]);
    let line = format!("exec {}", inner.with([]).list[0]);
    let words = ["sh", "-c", &line].into_iter().collect();
    let checked = Exec::of(words).check();
    checked.expect(3, Some(0)).expect_groups(&[]);
    assert_eq!(checked.report["tracing"]["complete"], false, "nobody may take it for clean");
}

#[test]
fn an_exec_without_the_environment_is_not_checked() {
    let inner = Program::compile("loses_a_block.c");
    let inner = &inner.with([]).list[0];
    for words in [["env", "-i", inner].as_slice(), &["env", "-u", "LEAKSNAP_LEDGER", inner]] {
        let checked = Exec::of(words.iter().copied().collect()).check();
        checked.expect(3, Some(0)).expect_groups(&[]);
    }
}

/// The program loses 55 bytes; what its children lose is not its own.
#[track_caller]
fn children_do_not_count(how: &str) -> Duration {
    let exec = Exec::of(Program::compile("forks.c").with([how]));
    let start = Instant::now();
    exec.check().expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 55, "lose")]);
    start.elapsed()
}

#[test]
fn a_child_of_fork_does_not_count() {
    children_do_not_count("exit");
    children_do_not_count("_exit");
}

#[test]
fn a_child_that_executes_another_program_does_not_count() {
    children_do_not_count("vfork");
    children_do_not_count("spawn");
}

#[test]
fn a_child_that_lives_on_is_not_waited_for() {
    children_do_not_count("daemon");
    for (how, goes_on) in [("daemon", true), ("exit", false), ("spawn", false)] {
        let run = Exec::of(Program::compile("forks.c").with([how])).text();
        let note = "note: it ended while a process that it forked goes on, which was not checked\n";
        assert_eq!(run.stderr.contains(note), goes_on, "{how}: {run:?}");
    }
}

#[test]
fn forks_among_allocating_threads_do_not_hang() {
    let taken = children_do_not_count("threads");
    assert!(taken < Duration::from_secs(60), "200 forks took {taken:?}");
}

#[test]
fn a_program_without_descriptors_is_seen() {
    let exec = Exec::of(Program::compile("closes_everything.c").with([]));
    exec.check().expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 21, "lose")]);
}

#[test]
fn a_shell_and_its_children_are_bounded() {
    // A shell pipeline: children that the shell waits for, all of them with the heap.
    let line = "for i in 1 2 3 4 5; do (echo $i; sleep 0.01) & done; wait; echo | cat";
    let checked = Exec::of(["sh", "-c", line].into_iter().collect()).check();
    assert_eq!(checked.report["exit"]["code"].as_i64(), Some(0), "{checked:?}");
    let mut lines: Vec<_> = checked.run.text().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["", "1", "2", "3", "4", "5"]);
}

#[test]
fn a_free_of_what_is_not_allocated_ends_the_program_as_with_glibc() {
    // gcc removes pairs of malloc and free that it knows.
    let program = Program::compile_with("frees_twice.c", &["-O0", "-fno-builtin"]);
    for how in ["twice", "inside", "between", "realloc"] {
        let checked = Exec::of(program.with([how])).check();
        checked.expect(4, None);
        assert_eq!(checked.report["exit"]["signal"].as_i64(), Some(6), "{how}: it aborts");
    }
}
