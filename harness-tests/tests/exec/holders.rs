//! What `leaksnap exec --all` says of who holds a program's blocks.

use harness_tests::command::Exec;
use harness_tests::program::Program;

/// The line above the frames of `function`, where the program keeps its blocks as `how` says.
fn holder(how: &str, function: &str) -> String {
    let program = Program::compile("keeps_everything.c");
    let text = Exec::of(program.with([how])).option(&["--all"]).text().stderr;
    let lines: Vec<_> = text.lines().collect();
    let frame = lines.iter().position(|line| line.starts_with(&format!("    {function}  ")));
    let above = frame.and_then(|frame| lines.get(frame.checked_sub(1)?));
    let holder = above.and_then(|line| line.strip_prefix("  held by "));
    holder.unwrap_or_else(|| panic!("nothing holds {function}:\n{text}")).to_owned()
}

/// `text` with a thread's number as `N`.
fn without_number(text: &str) -> String {
    let digits = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.split_once("thread ").map(|(_, rest)| rest);
    let number = number.and_then(|rest| rest.split(' ').find(digits));
    number.map_or(text.to_owned(), |number| text.replace(number, "N"))
}

#[test]
fn a_global_variable() {
    let holder = holder("global", "keep_in_a_list");
    assert!(holder.starts_with("list in keeps_everything"), "{holder}");
    assert!(!holder.contains("->"), "the nearest of the list's nodes is told of: {holder}");
}

#[test]
fn the_frame_of_main() {
    assert_eq!(holder("frame", "main"), "the stack of the main thread");
}

#[test]
fn the_stack_of_another_thread() {
    let holder = without_number(&holder("stack", "keep_on_the_stack"));
    if cfg!(target_arch = "x86_64") {
        assert!(holder.starts_with("the stack of thread N (keeps_everyt"), "{holder}");
    } else {
        assert!(
            holder.starts_with("the stack or the thread-local storage of thread N"),
            "{holder}"
        );
    }
}

#[test]
fn a_thread_local_of_another_thread() {
    let holder = without_number(&holder("tls", "keep_in_a_thread_local"));
    if cfg!(target_arch = "x86_64") {
        let start = "thread-local thread_local_block in keeps_everything";
        assert!(holder.starts_with(start), "{holder}");
        assert!(holder.contains(", of thread N (keeps_everyt"), "{holder}");
    } else {
        assert!(
            holder.starts_with("the stack or the thread-local storage of thread N"),
            "{holder}"
        );
    }
}

#[test]
fn a_program_that_may_not_be_stopped_is_not_checked() {
    let program = Program::compile("has_a_debugger.c");
    let exec = Exec::of(program.with([]));
    let checked = exec.check();
    checked.expect(3, Some(0));
    let reason = "leaksnap: not checked: at the program's exit: read the program's memory: the \
                  kernel refused to stop the program";
    assert!(checked.run.stderr.starts_with(reason), "{}", checked.run.stderr);
    assert!(!exec.text().stderr.contains("no leaks"), "{}", exec.text().stderr);
}
