//! Processes that a checked program forks, with `--follow`: each answers for what it allocated itself
//! after the fork, in a part of its own.

use harness_tests::command::{Checked, Exec};
use harness_tests::program::Program;

/// A part of a report: its command, what was lost, blocks, bytes, the innermost functions.
type Part = (String, u64, u64, String);

fn workers(how: &str) -> Checked {
    let program = Program::compile("forks_workers.c").with([how]);
    Exec::of(program).option(&["--follow"]).check()
}

/// The parts of what was started; each has one group at the most.
fn parts(checked: &Checked) -> Vec<Part> {
    let all = checked.report["descendants"].as_array().expect("they were followed");
    let part = |it: &serde_json::Value| {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let number = |name: &str| it["summary"][name].as_u64().expect("a number");
        assert!(number("groups") < 2, "{it}");
        let function = text(&it["groups"][0]["frames"][0]["function"]);
        (text(&it["command"]), number("leaked_blocks"), number("leaked_bytes"), function)
    };
    all.iter().map(part).collect()
}

fn part(blocks: u64, bytes: u64, function: &str) -> Part {
    ("forks_workers".to_owned(), blocks, bytes, function.to_owned())
}

fn clean() -> Part {
    part(0, 0, "")
}

/// The parts where the parent lost its 77 bytes and all was checked.
#[track_caller]
fn checked_parts(how: &str) -> Vec<Part> {
    let checked = workers(how);
    checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 77, "lose")]);
    parts(&checked)
}

#[test]
fn each_answers_for_what_it_lost_itself() {
    assert_eq!(checked_parts("loses"), [part(1, 55, "lose")]);
}

#[test]
fn what_was_inherited_can_be_freed_and_resized() {
    assert_eq!(checked_parts("frees"), [clean()]);
}

#[test]
fn what_was_made_larger_is_its_own() {
    assert_eq!(checked_parts("resizes"), [part(1, 155, "resize")]);
}

#[test]
fn what_hangs_on_inherited_blocks_is_not_lost() {
    assert_eq!(checked_parts("hangs_on"), [clean()]);
}

#[test]
fn an_inherited_block_is_its_parent_s_to_lose() {
    assert_eq!(checked_parts("forgets"), [clean()]);
}

#[test]
fn what_was_freed_holds_nothing_whoever_made_it() {
    assert_eq!(checked_parts("drops"), [part(2, 110, "keep")]);
}

#[test]
fn a_second_free_ends_the_child_as_in_its_parent() {
    let checked = workers("twice");
    checked.expect(3, Some(0));
    assert!(checked.run.stderr.contains("free(): invalid pointer"), "{}", checked.run.stderr);
}

#[test]
fn a_daemon_without_descriptors_is_followed_to_its_end() {
    assert_eq!(checked_parts("daemon"), [part(1, 55, "lose"), clean()]);
}

#[test]
fn children_of_children_have_parts_in_the_order_of_what_they_lost() {
    let expected = [part(1, 55, "lose"), part(1, 44, "lose"), part(1, 33, "lose")];
    for _ in 0..3 {
        assert_eq!(checked_parts("family"), expected);
    }
}

#[test]
fn a_child_that_executes_a_program_has_one_part() {
    assert_eq!(checked_parts("execs"), [("true".to_owned(), 0, 0, String::new())]);
    assert_eq!(checked_parts("misses"), [part(1, 55, "lose")]);
}

#[test]
fn a_child_that_is_killed_is_not_checked() {
    let checked = workers("is_killed");
    checked.expect(3, Some(0)).expect_groups(&[("leak/lost", 1, 77, "lose")]);
    let reason = "leaksnap: not checked: forks_workers, which it started: it ended without the \
                  preload heap seeing its exit: it was killed";
    assert!(checked.run.stderr.contains(reason), "{}", checked.run.stderr);
    assert_eq!(checked.report["descendants"][0]["tracing"]["complete"], false);
}

#[test]
fn children_that_are_killed_while_they_are_looked_at_end_for_their_parent() {
    let checked = workers("are_killed");
    checked.expect_groups(&[("leak/lost", 1, 77, "lose")]);
    assert_eq!(checked.report["exit"]["code"], 0, "{}", checked.json);
    for (index, part) in parts(&checked).into_iter().enumerate() {
        let is_whole = checked.report["descendants"][index]["tracing"]["complete"] == true;
        // What was seen of one that was not checked is nothing.
        assert_eq!(part.2, if is_whole { 55 } else { 0 }, "{}", checked.json);
    }
}

#[test]
fn past_libc_and_by_vfork_nobody_touches_a_ledger() {
    for how in ["clones", "vforks"] {
        assert_eq!(checked_parts(how), [], "{how}");
    }
}

#[test]
fn nobody_waits_for_a_child_that_could_not_be_made() {
    let start = std::time::Instant::now();
    assert_eq!(checked_parts("fails"), []);
    assert!(start.elapsed().as_secs() < 8, "{:?}", start.elapsed());
}

#[test]
fn a_fork_is_left_alone_where_nobody_follows() {
    let program = Program::compile("forks_workers.c").with(["loses"]);
    let checked = Exec::of(program).check();
    checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 77, "lose")]);
    assert_eq!(checked.report.get("descendants"), None, "{}", checked.json);
}

#[test]
fn forks_in_a_signal_handler_harm_nobody() {
    let program = Program::compile("forks_in_a_signal_handler.c");
    let program_again = program.with([]);
    let checked = Exec::of(program.with([])).option(&["--follow"]).check();
    checked.expect(0, Some(0)).expect_groups(&[]);
    let expected = ("forks_in_a_signal_handler".to_owned(), 0, 0, String::new());
    assert_eq!(parts(&checked), vec![expected; 60]);
    // Where nobody follows, the children have ledgers that nobody sees.
    let checked = Exec::of(program_again).check();
    checked.expect(0, Some(0)).expect_groups(&[]);
}

#[test]
#[ignore = "takes a minute: nine threads and who looks at them share the processors"]
fn among_allocating_threads_200_children_have_true_parts() {
    let program = Program::compile("forks.c").with(["threads"]);
    let checked = Exec::of(program).option(&["--follow"]).check();
    checked.expect(1, Some(0)).expect_groups(&[("leak/lost", 1, 55, "lose")]);
    let expected = ("forks".to_owned(), 1, 1000, "lose".to_owned());
    assert_eq!(parts(&checked), vec![expected; 200]);
}
