//! What leaked, what did not, and where it was allocated.

use harness_tests::command::{Checked, Exec, Leak};
use harness_tests::program::Program;

fn check(source: &str, arguments: &[&str]) -> Checked {
    Exec::of(Program::compile(source).with(arguments.iter().copied())).check()
}

#[test]
fn a_lost_block_is_a_leak() {
    let checked = check("loses_a_block.c", &[]);
    checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 3, 300, "forget")]);
    let frames = &checked.report["groups"][0]["frames"];
    let outer = frames[1]["function"].as_str();
    assert_eq!(outer, Some("main"), "the traceback goes on to its caller");
    assert_eq!(frames.as_array().map(Vec::len), Some(2), "and ends there");
    assert_eq!(frames[0]["line"].as_u64(), Some(7));
}

#[test]
fn what_only_lost_blocks_lead_to_is_indirect() {
    let checked = check("loses_a_list.c", &[]);
    checked.expect(1, Some(0));
    // Whether one call is inlined is the compiler's: the nodes may be of one traceback or two.
    let groups = checked.groups();
    let sum = |what: &str, function: &str| {
        let of = groups.iter().filter(|group| group.what == what && group.function == function);
        of.map(|group| (group.blocks, group.bytes)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    };
    assert_eq!(sum("leak/lost", "make_head"), (1, 24));
    assert_eq!(sum("leak/indirect", "make_node"), (3, 144));
    assert_eq!(checked.report["summary"]["leaked_bytes"].as_u64(), Some(168));
}

#[test]
fn blocks_at_any_alignment_are_lost_and_kept_as_others() {
    let exec = Exec::of(Program::compile("loses_aligned_blocks.c").with([]));
    let checked = exec.option(&["--all", "--heap", "16g"]).check();
    checked.expect(1, Some(0)).expect_groups(&[
        ("leak/lost", 26, 26 * 1000, "get"),
        ("leak/lost", 26, 26 * 3000, "grow"),
        ("one-time/reachable", 26, 26 * 1000, "get"),
    ]);
}

#[test]
fn what_a_global_leads_to_is_no_leak() {
    let program = Program::compile("keeps_everything.c");
    let exec = Exec::of(program.with(["global"]));
    exec.check().expect(0, Some(0)).expect_groups(&[]);
    let all = Exec::of(program.with(["global"])).option(&["--all"]).check();
    all.expect(0, Some(0)).expect_groups(&[("one-time/reachable", 3, 192, "keep_in_a_list")]);
}

#[test]
fn a_pointer_into_the_middle_keeps_a_block() {
    let exec = Exec::of(Program::compile("keeps_everything.c").with(["interior"]));
    exec.check().expect(0, Some(0)).expect_groups(&[]);
}

#[test]
fn what_an_odd_place_keeps_is_no_leak() {
    let program = Program::compile("keeps_in_odd_places.c");
    for (place, function, bytes) in [
        ("epoll", "keep_in_epoll", 120),
        ("timer", "keep_in_timer", 130),
        ("signal stack", "keep_as_a_signal_stack", 16384),
        ("sealed", "keep_in_a_sealed_page", 135),
        ("shared", "keep_in_a_shared_page", 125),
        ("sealed data", "keep_in_sealed_data", 145),
        ("relocated data", "keep_in_relocated_data", 150),
        ("sealed copy", "keep_in_a_file", 155),
        ("shared view", "keep_in_a_file", 155),
        ("private view", "keep_in_a_file", 155),
    ] {
        let checked = Exec::of(program.with([place])).option(&["--all"]).check();
        checked.expect(0, Some(0));
        checked.expect_groups(&[("one-time/reachable", 1, bytes, function)]);
    }
    Exec::of(program.with(["thread's signal stack"])).check().expect(0, Some(0)).expect_groups(&[]);
    for (place, function, bytes) in
        [("nowhere", "keep_nowhere", 140), ("former signal stack", "keep_as_a_signal_stack", 16384)]
    {
        let checked = Exec::of(program.with([place])).check();
        checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 1, bytes, function)]);
    }
}

#[test]
fn a_page_that_the_program_protected_from_itself_keeps_a_block() {
    let exec = Exec::of(Program::compile("keeps_everything.c").with(["guarded"]));
    exec.check().expect(0, Some(0)).expect_groups(&[]);
}

/// The groups of `function`, where keeping it is up to a thread that still runs.
fn kept_by_a_thread(how: &str, function: &str) -> Vec<(String, u64, u64)> {
    let program = Program::compile("keeps_everything.c");
    let checked = Exec::of(program.with([how])).option(&["--all"]).check();
    checked.expect(0, Some(0));
    let groups = checked.groups();
    let of = groups.into_iter().filter(|group| group.function == function);
    of.map(|group| (group.what, group.blocks, group.bytes)).collect()
}

#[test]
fn the_stack_of_another_thread_keeps_blocks() {
    let kept = kept_by_a_thread("stack", "keep_on_the_stack");
    assert_eq!(kept, [("one-time/reachable".to_owned(), 4, 800)]);
}

#[test]
fn a_thread_local_of_another_thread_keeps_a_block() {
    let kept = kept_by_a_thread("tls", "keep_in_a_thread_local");
    assert_eq!(kept, [("one-time/reachable".to_owned(), 1, 300)]);
}

#[test]
fn the_frame_that_calls_exit_keeps_a_block() {
    let exec = Exec::of(Program::compile("keeps_everything.c").with(["frame"]));
    exec.check().expect(0, Some(0)).expect_groups(&[]);
}

#[test]
fn what_was_freed_is_nowhere() {
    let exec = Exec::of(Program::compile("frees_all.c").with([])).option(&["--all"]);
    let checked = exec.check();
    checked.expect(0, Some(0)).expect_groups(&[]);
    let tracing = &checked.report["tracing"];
    // Eight blocks, and one that realloc moved; each was freed.
    assert!(tracing["allocations"].as_u64() >= Some(9), "{tracing}");
    assert_eq!(tracing["allocations"], tracing["frees"]);
}

#[test]
fn a_stale_pointer_in_a_dead_frame_keeps_nothing() {
    let checked = check("leaves_stale_pointers.c", &[]);
    checked
        .expect(1, Some(0))
        .expect_groups(&[("leak/lost", 32, 2304, "main"), ("leak/lost", 1, 90, "fill_a_frame")]);
}

#[test]
fn a_thread_that_ended_leaks_what_its_old_stack_leads_to() {
    let checked = check("leaks_in_a_thread.c", &[]);
    checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 64, 5120, "lose_in_thread")]);
}

#[test]
fn threads_that_come_and_go_at_the_exit_leak_nothing() {
    let program = Program::compile("starts_threads_for_ever.c");
    for _ in 0..10 {
        let checked = Exec::of(program.with([])).check();
        checked.expect(0, Some(0)).expect_groups(&[]);
    }
}

#[test]
fn what_new_gave_leaks_by_the_function_that_asked() {
    let checked = check("leaks_an_array.cpp", &[]);
    checked.expect(1, Some(0));
    let groups = checked.groups();
    let lost: Vec<_> = groups.iter().filter(|group| group.what == "leak/lost").collect();
    assert_eq!(lost.len(), 1, "{groups:?}");
    assert!(lost[0].function.starts_with("forget_pairs"), "{groups:?}");
    // The array of pairs and the string's own object; the string's text is indirect.
    let string = 32;
    let sum: u64 = lost.iter().map(|group| group.bytes).sum();
    assert!([160, 160 + string].contains(&sum), "{groups:?}");
    assert_eq!(checked.report["summary"]["leaked_blocks"].as_u64(), Some(3));
    assert_eq!(checked.report["summary"]["leaked_bytes"].as_u64(), Some(160 + string + 46));
}

#[test]
fn a_program_with_a_gap_between_its_segments_has_whole_tracebacks() {
    // glibc tells a segment of such a program, and not where it starts.
    for flags in [
        ["-pie", "-Wl,--section-start=.far=0x400000"],
        ["-no-pie", "-Wl,--section-start=.far=0x900000"],
    ] {
        let program = Program::compile_with("has_a_gap.c", &flags);
        let checked = Exec::of(program.with([])).check();
        checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 77, "make")]);
        let frames = checked.report["groups"][0]["frames"].as_array().expect("a traceback");
        let functions: Vec<_> = frames.iter().map(|frame| &frame["function"]).collect();
        assert_eq!(functions, ["make", "go_far", "main"], "{flags:?}");
        Exec::of(program.with(["free"])).check().expect(0, Some(0)).expect_groups(&[]);
    }
}

#[test]
fn a_library_that_was_closed_keeps_its_name() {
    let library = |name: &str, size: &str| {
        let flags = [&format!("-DNAME={name}"), &format!("-DSIZE={size}"), "-shared", "-fPIC"];
        Program::compile_with("loses_in_a_library.c", &flags)
    };
    // The loader puts the second where the first was.
    let (first, second) = (library("lose_first", "123"), library("lose_second", "45"));
    let paths = [&first, &second].map(|library| library.with([]).list.remove(0));
    let program = Program::compile("closes_libraries.c");
    let calls = [&paths[0], "lose_first", &paths[1], "lose_second", &paths[0], "lose_first"];
    let checked = Exec::of(program.with(calls)).check();
    checked
        .expect(1, Some(0))
        .expect_groups(&[("leak/lost", 2, 246, "lose_first"), ("leak/lost", 1, 45, "lose_second")]);
}

#[test]
fn a_program_at_a_fixed_address_is_checked() {
    let program = Program::compile_with("takes_the_address_of_malloc.c", &["-no-pie", "-fno-pic"]);
    let checked = Exec::of(program.with([])).check();
    checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 24, "lose_a_block")]);
}

#[test]
fn a_thread_may_ask_for_its_stack_before_it_allocates() {
    // Rust's threads do. The heap asks libc the same at a thread's first allocation, which libc
    // makes while it answers, with a lock held.
    let checked = check("asks_for_its_stack.c", &[]);
    checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 3, 99, "ask")]);
}

#[test]
fn a_main_heap_of_the_program_s_own_is_left_alone() {
    let exec = Exec::of(Program::compile("has_a_main_heap.c").with([])).option(&["--all"]);
    let (native, checked) = (exec.natively(), exec.check());
    assert!(native.text().contains("malloc's outside"), "{native:?}");
    assert_eq!(checked.run.text(), native.text(), "it does what it does without");
    // The names of three sessions are lost with what pointed to them. The others are held from the
    // main heap, whose own blocks are none of malloc's.
    let names = ["leak/lost", "one-time/reachable"].map(|what| {
        let groups = checked.groups();
        let of = |group: &&Leak| group.what == what && group.bytes == 13 * group.blocks;
        groups.iter().find(of).map(|group| group.blocks)
    });
    checked.expect(1, Some(0));
    assert_eq!(names, [Some(3), Some(997)], "{}", checked.json);
    assert_eq!(checked.report["summary"]["leaked_bytes"].as_u64(), Some(39));
}
