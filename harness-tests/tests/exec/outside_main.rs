//! Blocks from before main, from after it, and from threads that ended: each has its verdict.

use harness_tests::command::{Checked, Exec};
use harness_tests::program::Program;

#[test]
fn what_is_lost_outside_main_is_a_leak() {
    let program = Program::compile("loses_outside_main.c");
    for place in ["constructor", "atexit", "on_exit", "quick_exit", "destructor", "key"] {
        let checked = Exec::of(program.with([place])).check();
        checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 48, "lose")]);
    }
    Exec::of(program.with(["nowhere"])).check().expect(0, Some(0)).expect_groups(&[]);
}

#[test]
fn what_is_allocated_before_libc_is_up_is_libc_s() {
    let run = Exec::of(Program::compile("loses_outside_main.c").with(["preinit"])).text();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("before the heap was ready"), "{run:?}");
}

#[test]
fn the_heap_serves_when_its_own_destructor_has_run() {
    let library = Program::compile_with("allocates_at_the_end.c", &["-shared", "-fPIC"]);
    let path = library.path();
    let folder = format!("-Wl,-rpath,{}", path.parent().expect("it has a folder").display());
    let path = path.to_str().expect("a plain path");
    let program = Program::compile_with("frees_all.c", &["-Wl,--no-as-needed", path, &folder]);
    for trace in ["1", "0"] {
        let exec = Exec::of(program.with([])).variable("LEAKSNAP_TRACE", trace);
        let run = exec.text();
        assert_eq!(run.text(), "works\n", "{run:?}");
        assert_eq!(run.code, Some(if trace == "1" { 0 } else { 3 }), "{run:?}");
    }
}

const THREADS: u64 = 256;

fn ends_by(how: &str) -> Checked {
    Exec::of(Program::compile("ends_threads.c").with([how])).option(&["--all"]).check()
}

/// The blocks that the threads themselves got: the others are of who started them.
fn own(checked: &Checked) -> Vec<(String, u64, u64)> {
    let groups = checked.groups().into_iter().filter(|group| group.function == "run");
    groups.map(|group| (group.what, group.blocks, group.bytes)).collect()
}

#[track_caller]
fn expect(how: &str, status: i32, verdict: Option<&str>) {
    let checked = ends_by(how);
    checked.expect(status, Some(0));
    let expected = verdict.map(|what| (what.to_owned(), THREADS, THREADS * 64));
    assert_eq!(own(&checked), Vec::from_iter(expected), "{how}: {}", checked.json);
}

#[test]
fn what_only_a_thread_had_is_lost_when_it_ends() {
    for how in ["returns", "cancelled", "local", "value"] {
        expect(how, 1, Some("leak/lost"));
    }
}

#[test]
fn what_only_a_detached_thread_had_is_lost_but_for_stacks_that_libc_keeps() {
    let checked = ends_by("detached");
    checked.expect(1, Some(0));
    let groups = own(&checked);
    let (lost, blocks) = (&groups[0], groups.iter().map(|group| group.1).sum::<u64>());
    assert_eq!((lost.0.as_str(), blocks), ("leak/lost", THREADS), "{}", checked.json);
}

#[test]
fn what_a_thread_gave_or_freed_is_no_leak() {
    expect("destroys", 0, None);
    expect("gives", 0, None);
    expect("keeps", 0, Some("one-time/reachable"));
}

#[test]
fn what_threads_hold_that_do_not_end_is_reachable() {
    expect("stays", 0, Some("one-time/reachable"));
}
