//! Tracing on and off: what was allocated meanwhile is counted, and nothing is lost.

use super::{place, replay, said};

#[test]
fn what_was_allocated_while_tracing_was_off_is_counted_and_what_was_traced_stays() {
    let place = place(&["leaks_per_call", "frees_all"]);
    // `forget` forgets a block of 48 bytes.
    let input = "load plugin leaks_per_call.so\nload plugin frees_all.so\nmemory-trace on\nforget\n\
                 forget\nmemory-trace off\nshow memory\nforget\nforget\nforget\nchurn\n\
                 show memory main-heap\nmemory-trace on main-heap\n# again\nmemory-trace on\n\
                 forget\nshow memory verbose\n";
    let run = replay(&place, &[], input);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.text());
    let text = run.text();
    let table = |command: &str| {
        let shown = said(&text, command);
        let (heap, table) = shown.split_once("Traceback\n").expect("a table");
        let rows: Vec<_> =
            table.lines().filter(|line| line.contains("forget_block + 0x")).collect();
        let numbers = rows.iter().map(|row| row.split_whitespace().take(2).collect::<Vec<_>>());
        (heap.contains(", traced, "), numbers.collect::<Vec<_>>())
    };
    assert_eq!(table("show memory"), (false, vec![vec!["96", "2"]]), "nothing is forgotten");
    assert_eq!(table("show memory main-heap"), (false, vec![vec!["96", "2"]]));
    assert_eq!(table("show memory verbose"), (true, vec![vec!["144", "3"]]));

    // Both times the loader's blocks for the plugins, of which the second time there are no more.
    let count = |command: &str| -> (u64, u64) {
        let line = said(&text, command);
        let rest = line.strip_prefix("allocated while tracing was off, and of unknown traceback: ");
        let numbers = rest.unwrap_or_else(|| panic!("{command}: {line}"));
        let mut numbers = numbers.split(|letter: char| !letter.is_ascii_digit());
        let mut next = || numbers.find(|digits| !digits.is_empty())?.parse().ok();
        (next().expect("blocks"), next().expect("bytes"))
    };
    let (first, second) = (count("memory-trace on"), count("memory-trace on main-heap"));
    assert!(first.0 > 0, "{first:?}");
    assert_eq!((second.0 - first.0, second.1 - first.1), (3, 3 * 48));
}

#[test]
fn no_table_is_shown_before_anything_was_traced() {
    let run = replay(
        &place(&["leaks_per_call"]),
        &["--plugin", "./leaks_per_call.so"],
        "forget\nshow memory\n",
    );
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let shown = run.text();
    let shown = said(&shown, "show memory");
    assert!(shown.starts_with("Thread 0 session\n  base 0x"), "{shown}");
    assert!(!shown.contains("Traceback") && !shown.contains("traced,"), "{shown}");
    assert!(shown.ends_with("\n      max traced 0\n"), "{shown}");
}

#[test]
fn threads_that_a_plugin_started_are_switched_too() {
    // Its thread forgets a block when `forget` says so, and was started before.
    let input = "memory-trace on\nload plugin starts_thread.so\nforget\nmemory-trace off\nforget\n\
                 forget\nshow memory verbose\n";
    let run = replay(&place(&["starts_thread"]), &[], input);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.text());
    let text = run.text();
    let shown = said(&text, "show memory verbose");
    let rows: Vec<_> = shown.lines().filter(|line| line.contains("forget_in_thread")).collect();
    assert_eq!(rows.len(), 1, "{shown}");
    assert_eq!(rows[0].split_whitespace().nth(1), Some("1"), "{shown}");
}

#[test]
fn leak_check_traces_by_itself_and_leaves_the_switch_as_it_was() {
    let input = "leak-check { churn }\nleak-check { forget }\nleak-check { forget }\n\
                 leak-check { say hello }\nforget\nshow memory verbose\n";
    let plugins = ["--plugin", "./leaks_per_call.so", "--plugin", "./frees_all.so"];
    let run = replay(&place(&["leaks_per_call", "frees_all"]), &plugins, input);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""), "{}", run.text());
    let text = run.text();
    assert_eq!(said(&text, "leak-check { churn }"), "no leaks in churn\n");
    // What the first check left is none of the second one's.
    let leak = "1 leak in forget: 1 block, 48 bytes per iteration\n";
    assert_eq!(text.matches(leak).count(), 2, "{text}");
    assert_eq!(text.matches("leak, lost: 8 blocks, 384 bytes").count(), 2, "{text}");
    let hello = said(&text, "leak-check { say hello }");
    assert_eq!(hello, "hello\nno leaks in say hello\n", "what it prints is shown once");
    let shown = said(&text, "show memory verbose");
    let row = shown.lines().find(|line| line.contains(" forget_block + 0x")).expect("a row");
    assert_eq!(row.split_whitespace().nth(1), Some("20"), "both checks' blocks: {shown}");
}
