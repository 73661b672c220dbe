//! What can't be checked is status 3 with the reason, and never looks clean; and memory that the
//! heap never saw is passed on.

use harness_tests::Workplace;
use harness_tests::command::{Exec, leaksnap};
use harness_tests::program::Program;

/// The program works as ever, and the command says `reason`.
#[track_caller]
fn is_not_checked(exec: &Exec, reason: &str) {
    let checked = exec.check();
    checked.expect(3, Some(0));
    assert!(checked.run.stderr.starts_with("leaksnap: not checked: "), "{}", checked.run.stderr);
    assert!(checked.run.stderr.contains(reason), "{}", checked.run.stderr);
    let tracing = &checked.report["tracing"];
    assert_eq!(tracing["complete"], false, "nobody may take it for clean: {tracing}");
    assert!(!exec.text().stderr.contains("no leaks"), "{}", exec.text().stderr);
}

#[test]
fn a_static_program() {
    let program = Program::compile_with("loses_a_block.c", &["-static"]);
    is_not_checked(&Exec::of(program.with([])), "it is statically linked");
}

#[test]
fn a_program_with_a_malloc_of_its_own() {
    let program = Program::compile_with("has_its_own_malloc.c", &["-rdynamic"]);
    let exec = Exec::of(program.with([]));
    is_not_checked(&exec, "another malloc is in front of the preload heap's");
    assert_eq!(exec.text().text(), "works\n");
}

#[test]
fn a_ledger_without_room_for_the_frames() {
    let program = Program::compile("allocates_deep.c");
    let exec = Exec::of(program.with([])).variable("LEAKSNAP_FRAMES", "64");
    is_not_checked(&exec, "more than 64 distinct frames; raise LEAKSNAP_FRAMES");
    Exec::of(program.with([])).check().expect(0, Some(0));
}

#[test]
fn a_heap_without_room_for_the_blocks() {
    let program = Program::compile("touches_64_mib.c");
    let exec = Exec::of(program.with([])).option(&["--heap", "32m"]);
    is_not_checked(&exec, "the heap of 32 MiB was full");
    assert_eq!(exec.text().text(), "some\n", "malloc failed and the program went on");
    let enough = Exec::of(program.with([])).option(&["--heap", "256m"]);
    let checked = enough.check();
    checked.expect(0, Some(0));
    assert_eq!(checked.run.text(), "all\n");
}

#[test]
fn a_heap_without_room_for_a_block_to_grow() {
    let program = Program::compile("outgrows_its_heap.c");
    let exec = Exec::of(program.with([])).option(&["--heap", "32m"]);
    is_not_checked(&exec, "the heap of 32 MiB was full");
    assert_eq!(exec.text().text(), "some\n", "realloc failed and the block stayed");
    let checked = Exec::of(program.with([])).option(&["--heap", "256m"]).check();
    checked.expect(0, Some(0));
    assert_eq!(checked.run.text(), "all\n");
}

#[test]
fn a_heap_of_any_size_that_is_allowed_serves() {
    let program = Program::compile("touches_64_mib.c");
    for size in ["96m", "15g", "16g", "31g", "64g"] {
        let checked = Exec::of(program.with([])).option(&["--heap", size]).check();
        checked.expect(0, Some(0));
        assert_eq!(checked.run.text(), "all\n", "{size}");
    }
}

#[test]
fn an_address_space_without_room_for_the_heap() {
    let program = Program::compile("frees_all.c");
    for kib in ["100000", "300000", "1000000"] {
        let line = format!("ulimit -v {kib}; exec {}", program.with([]).list[0]);
        let exec = Exec::of(["sh", "-c", &line].into_iter().collect());
        is_not_checked(&exec, "raise the limits on address space");
    }
}

#[test]
fn a_heap_without_room_for_an_alignment() {
    let exec = Exec::of(Program::compile("loses_aligned_blocks.c").with([]));
    let checked = exec.option(&["--heap", "512m"]).check();
    checked.expect(3, Some(2));
    let stderr = &checked.run.stderr;
    assert!(stderr.contains("not checked: the heap of 512 MiB was full"), "{stderr}");
}

#[test]
fn what_libc_gave_before_the_heap_was_ready_is_noted_and_passed_on() {
    let program = Program::compile_with("allocates_in_a_resolver.c", &["-Wl,-z,now"]);
    let run = Exec::of(program.with([])).text();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.text(), "42 early resized\n");
    let note =
        "note: libc allocation requested before the heap was ready, defaulting to libc (2 times)";
    assert!(run.stderr.lines().any(|line| line == note), "{}", run.stderr);
    let other = Exec::of(Program::compile("frees_all.c").with([])).text();
    assert!(!other.stderr.contains("note:"), "{}", other.stderr);
}

#[test]
fn what_libc_gave_past_the_heap_is_passed_on() {
    let exec = Exec::of(Program::compile("takes_from_libc.c").with([]));
    assert_eq!(exec.natively().text(), "works\n");
    let checked = exec.check();
    checked.expect(0, Some(0));
    assert_eq!(checked.run.text(), "works\n");
}

#[test]
fn names_that_are_not_utf_8_are_no_obstacle() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"x\xffy"));
    std::fs::copy(Program::compile("loses_a_block.c").path(), path).expect("the folder takes it");
    let words = ["sh", "-c", "exec ./\"$(printf 'x\\377y')\""].into_iter().collect();
    let checked = Exec::of(words).folder(folder.path()).check();
    checked.expect(1, Some(0));
}

/// What `leaksnap run` and then `leaksnap diff` on its report twice say of a scenario: their statuses,
/// whether the report is complete, and what the second one writes.
fn run_and_diff(scenario: &str) -> (Option<i32>, bool, Option<i32>, String) {
    let place = Workplace::new(leaksnap().to_str().expect("a plain path"));
    place.write("it.toml", scenario);
    let run = place.run(["run", "--all", "--format", "json", "--output", "it.json", "it.toml"]);
    let report = std::fs::read_to_string(place.path("it.json")).expect("there is a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("it is JSON");
    let diff = place.run(["diff", "it.json", "it.json"]);
    let is_complete = report["tracing"]["complete"] == true;
    (run.status, is_complete, diff.status, diff.stderr)
}

#[test]
fn a_report_without_a_verdict_is_not_complete() {
    let too_few = "program = [\"true\"]\nrepeat = 4\n";
    let fails = "program = [\"false\"]\nrepeat = 4\n";
    let no_such_step = "steps = [\"no such step\"]\n";
    let hangs = "program = [\"sleep\", \"61\"]\nready = \"never\"\ndrive = [\"true\"]\ntimeout = \"300ms\"\n";
    for (scenario, status) in [(too_few, 3), (fails, 4), (no_such_step, 2), (hangs, 4)] {
        let (run, is_complete, diff, said) = run_and_diff(scenario);
        assert_eq!((run, is_complete, diff), (Some(status), false, Some(3)), "{scenario}: {said}");
        assert!(said.contains("not checked: it.json: its tracing was not complete"), "{said}");
    }
    // It was looked at, whatever it ended with.
    let (run, is_complete, diff, said) = run_and_diff("program = [\"false\"]\n");
    assert_eq!((run, is_complete, diff), (Some(4), true, Some(0)), "{said}");
}
