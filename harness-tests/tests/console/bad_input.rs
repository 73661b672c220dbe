//! What is wrong is said in one line, and the session goes on; the exit status tells.

use super::{place, replay, said};

/// Each line, what is said of it, and the status.
const CASES: [(&str, &str, i32); 20] = [
    ("nonsense", "no command `nonsense`; `help` lists those there are", 2),
    ("forgetful", "no command `forgetful`; `help` lists those there are", 2),
    ("help you", "no command starts with `you`; `help` lists those there are", 2),
    (
        "leak-check { forget",
        "`leak-check { forget`: a brace is not closed; write `leak-check { COMMAND }`",
        2,
    ),
    (
        "leak-check forget }",
        "`leak-check forget }`: a brace is not opened; write `leak-check { COMMAND }`",
        2,
    ),
    (
        "leak-check { nonsense }",
        "leak-check: no command `nonsense`; there are: fail loudly, fail silently, forget",
        2,
    ),
    (
        "memory-trace on api-segment",
        "`memory-trace on api-segment`: write `memory-trace on|off [main-heap]`",
        2,
    ),
    (
        "show memory everything",
        "`show memory everything`: write `show memory [main-heap] [verbose]` or `show memory map`",
        2,
    ),
    ("load plugin", "`load plugin`: write `load plugin NAME|PATH`", 2),
    ("load plugin ./gone.so", "no plugin `./gone.so`: looked for ./gone.so", 2),
    ("load plugin ./leaks_per_call.so", "plugin `./leaks_per_call.so` is open already", 2),
    (
        "load plugin has_no_entry.so",
        "FOLDER/has_no_entry.so is not a plugin: it has no symbol `leaksnap_plugin`; define it with \
         LEAKSNAP_PLUGIN of leaksnap_plugin.h, or with leaksnap::plugin!",
        2,
    ),
    (
        "load plugin takes_the_console_s_words.so",
        "plugin FOLDER/takes_the_console_s_words.so did not start: its command `show memory` would be \
         `show memory` of the console; rename it",
        2,
    ),
    (
        "save memory-trace a b",
        "`save memory-trace a b`: FILE is one name; one with spaces stands in quotes; write `save \
         memory-trace \"a b\"`",
        2,
    ),
    ("save memory-trace \"\"", "`save memory-trace \"\"`: write `save memory-trace FILE`", 2),
    (
        "save memory-trace /dev/full",
        "save memory-trace /dev/full: No space left on device (os error 28); save it elsewhere",
        2,
    ),
    (
        "save memory-trace nowhere/t.json",
        "save memory-trace nowhere/t.json: No such file or directory (os error 2); save it elsewhere",
        2,
    ),
    ("fail loudly", "`fail loudly` failed: no key", 4),
    ("fail silently", "`fail silently` failed: it returned -5", 4),
    ("leak-check { fail loudly }", "leak-check: step `fail loudly` failed: no key", 4),
];

#[test]
fn each_wrong_line_is_one_line_and_the_session_goes_on() {
    let place =
        place(&["leaks_per_call", "fails_in_step", "has_no_entry", "takes_the_console_s_words"]);
    let plugins = ["--plugin", "./leaks_per_call.so", "--plugin", "./fails_in_step.so"];
    let folder = place.path("");
    let folder = folder.to_str().expect("a plain path").trim_end_matches('/');
    for (line, error, status) in CASES {
        let input = format!("memory-trace on\n{line}\nforget\nshow memory\nquit\nforget\n");
        let run = replay(&place, &plugins, &input);
        let stderr = run.stderr.replace(folder, "FOLDER");
        assert_eq!(stderr, format!("leaksnap: {error}\n"), "{line}");
        assert_eq!(run.code, Some(status), "{line}");
        let text = run.text();
        assert!(said(&text, "show memory").contains(" forget_block + 0x"), "{line}: {text}");
        assert_eq!(text.matches("leaksnap# forget\n").count(), 1, "{line}: `quit` is the end");
    }
}

#[test]
fn the_most_serious_line_decides() {
    let place = place(&["leaks_per_call", "fails_in_step"]);
    let plugins = ["--plugin", "./leaks_per_call.so", "--plugin", "./fails_in_step.so"];
    let (leak, failure, wrong) = ("leak-check { forget }\n", "fail loudly\n", "nonsense\n");
    for (input, status) in [
        (String::new(), 0),
        ("\n  \n# nothing\nhelp\nshow plugins\n".to_owned(), 0),
        (leak.to_owned(), 1),
        (format!("{failure}{leak}"), 4),
        (format!("{leak}{wrong}{failure}"), 2),
    ] {
        let run = replay(&place, &plugins, &input);
        assert_eq!(run.code, Some(status), "{input}: {}", run.stderr);
    }
}

#[test]
fn a_line_need_not_be_text_nor_end() {
    let place = place(&[]);
    let mut command = place.command(["console"]);
    let run = harness_tests::run::run(&mut command, b"\xff\xfe\r\nhelp quit");
    assert_eq!(run.code, Some(2));
    assert_eq!(
        run.stderr,
        "leaksnap: no command `\u{fffd}\u{fffd}`; `help` lists those there are\n"
    );
    let help = format!("leaksnap# help quit\n{:<32} end the session\n", "quit");
    assert!(run.text().ends_with(&help), "{}", run.text());
}

#[test]
fn a_wrong_command_line_starts_nothing() {
    let place = place(&[]);
    for (arguments, error) in [
        (&["--heap", "1k"][..], "it is \"1k\"; it has to be from 32m to 64g"),
        (&["--timeout", "1h"], "it is \"1h\"; write a number and ms, s or m, such as \"60s\""),
        (&["--plugin"], "a value is required for '--plugin <P>'"),
        (&["script.txt"], "unexpected argument 'script.txt' found"),
    ] {
        let ended = place.run([&["console"], arguments].concat());
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ended.stderr.contains(error), "{}", ended.stderr);
    }
}

#[test]
fn a_plugin_of_the_command_line_that_is_not_there_is_said() {
    let run = replay(&place(&[]), &["--plugin", "gone.so"], "help quit\n");
    assert_eq!(run.code, Some(2));
    assert_eq!(run.stderr, "leaksnap: no plugin `gone.so`: looked for gone.so\n");
    assert!(run.text().contains("end the session"), "{}", run.text());
}

#[test]
fn what_is_not_traced_is_not_checked() {
    let place = place(&["eats_heap"]);
    let mut command = place.command(["console"]);
    let run = harness_tests::run::run(command.env("LEAKSNAP_TRACE", "0"), b"help\n");
    let text = "leaksnap: not checked: LEAKSNAP_TRACE=0 turned tracing off; what is not checked is not \
                clean\n";
    assert_eq!((run.code, run.stderr.as_str(), run.text().as_str()), (Some(3), text, ""));

    let arguments = ["console", "--heap", "32m", "--plugin", "./eats_heap.so"];
    let input = "memory-trace on\neat\nshow memory\nsave memory-trace it.json\n";
    let run = harness_tests::run::run(&mut place.command(arguments), input.as_bytes());
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    let full = "not checked: the heap of 32 MiB was full; raise `--heap`; what is not checked is not clean";
    assert_eq!(run.stderr.matches(full).count(), 2, "{}", run.stderr);
    assert!(!place.path("it.json").exists());
}
