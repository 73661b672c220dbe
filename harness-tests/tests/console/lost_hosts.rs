//! A host that crashes, ends or hangs in a command: one line says so, and another one runs.

use std::process::Command;
use std::time::{Duration, Instant};

use harness_tests::console::Console;

use super::{place, replay, said};

const AND: &str = "; a new host runs, with the same plugins and nothing allocated yet\n";

#[test]
fn a_command_that_ends_the_host_is_one_line_and_the_session_goes_on() {
    let place = place(&["crashes_in_step", "exits_in_step", "leaks_per_call"]);
    let plugins = ["crashes_in_step", "exits_in_step", "leaks_per_call"];
    let plugins: Vec<_> = plugins.iter().map(|name| format!("./{name}.so")).collect();
    let plugins: Vec<_> = plugins.iter().flat_map(|path| ["--plugin", path.as_str()]).collect();
    for (line, error) in [
        ("crash", "`crash` was killed by signal 11 (SIGSEGV)"),
        ("leave 3", "`leave 3` ended the host with exit code 3"),
        ("leak-check { crash }", "leak-check: step `crash` was killed by signal 11 (SIGSEGV)"),
    ] {
        let input = format!(
            "memory-trace on\nforget\n{line}\nshow memory\nforget\nshow memory main-heap\n\
             leak-check {{ forget }}\n"
        );
        let run = replay(&place, &plugins, &input);
        assert_eq!(run.stderr, format!("leaksnap: {error}{AND}"), "{line}");
        assert_eq!(run.code, Some(4), "{line}: it counts for more than a leak");
        let text = run.text();
        // Tracing is on as it was; what was traced went with the host.
        let shown = said(&text, "show memory");
        assert!(shown.contains(", traced, ") && !shown.contains("forget_block"), "{shown}");
        let shown = said(&text, "show memory main-heap");
        assert!(shown.contains("       48        1 0x"), "{shown}");
        assert!(text.contains("1 leak in forget: 1 block"), "{text}");
    }
}

#[test]
fn a_command_that_hangs_is_given_up() {
    let place = place(&["hangs_in_step", "frees_all"]);
    let arguments =
        ["--timeout", "1s", "--plugin", "./hangs_in_step.so", "--plugin", "./frees_all.so"];
    let run = replay(&place, &arguments, "hang\nsay hello\nleak-check { hang }\nsay hello again\n");
    let expected = format!(
        "leaksnap: `hang` timed out: it took more than 1s (`--timeout`){AND}\
         leaksnap: leak-check: step `hang`, in iteration 1, timed out: it took more than 1s (`--timeout`){AND}"
    );
    assert_eq!((run.code, run.stderr.as_str()), (Some(4), expected.as_str()));
    assert!(run.text().contains("\nhello\n") && run.text().ends_with("\nhello again\n"));
}

#[test]
fn a_check_whose_iterations_together_take_too_long_says_so() {
    let place = place(&["hangs_in_step"]);
    let arguments = ["--timeout", "1s", "--plugin", "./hangs_in_step.so"];
    let run = replay(&place, &arguments, "leak-check { hang 300 }\n");
    let whole = ", timed out: the whole check, warm-up and iterations together, took more than 1s \
                 (`--timeout`)";
    let start = "leaksnap: leak-check: step `hang 300`, in iteration ";
    assert!(run.stderr.starts_with(start) && run.stderr.contains(whole), "{}", run.stderr);
    assert_eq!(run.code, Some(4));
    let help = place.run(["console", "--help"]).stdout;
    assert!(help.contains("a leak-check with its warm-up and all its iterations"), "{help}");
}

#[test]
fn a_heap_that_was_full_explains_a_crash() {
    let place = place(&["eats_heap"]);
    for (line, what) in [
        ("eat blindly", "`eat blindly`"),
        ("leak-check { eat blindly }", "leak-check: step `eat blindly`"),
    ] {
        let mut command = place.command(["console", "--heap", "32m", "--plugin", "./eats_heap.so"]);
        let run = harness_tests::run::run(&mut command, format!("{line}\n").as_bytes());
        let expected = format!(
            "leaksnap: not checked: the heap of 32 MiB was full; raise `--heap` ({what} was killed by \
             signal 11 (SIGSEGV)); what is not checked is not clean{AND}"
        );
        assert_eq!((run.code, run.stderr), (Some(3), expected), "{line}");
    }
}

#[test]
fn what_goes_wrong_at_the_host_s_end_is_said() {
    let place = place(&["crashes_in_step", "hangs_at_stop"]);
    let run = replay(&place, &["--plugin", "./crashes_in_step.so"], "crash at stop\n");
    let expected = "leaksnap: the host, at its exit, was killed by signal 11 (SIGSEGV)\n";
    assert_eq!((run.code, run.stderr.as_str()), (Some(4), expected));
    let run = replay(&place, &["--timeout", "1s", "--plugin", "./hangs_at_stop.so"], "do it\n");
    let expected = "leaksnap: the host did not end 1s after it was asked to, and was killed\n";
    assert_eq!((run.code, run.stderr.as_str()), (Some(4), expected));
}

#[test]
fn a_host_that_somebody_killed_is_replaced_by_the_next_command() {
    let place = place(&["frees_all"]);
    let mut console = Console::start(&mut place.command(["console", "--plugin", "./frees_all.so"]));
    assert_eq!(console.ask("say hello"), "hello\n");
    let host = console.host();
    let killed = Command::new("kill").args(["-KILL", &host.to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    assert_eq!(console.ask("say hello"), "");
    assert_ne!(console.host(), host);
    assert_eq!(console.ask("say hello"), "hello\n");
    let error = format!("leaksnap: `say hello` was killed by signal 9 (SIGKILL){AND}");
    assert_eq!(console.end(), (Some(4), error));
}

#[test]
fn a_host_ends_with_its_console() {
    let place = place(&[]);
    let mut console = Console::start(&mut place.command(["console"]));
    let _ = console.ask("help");
    let host = console.host();
    let killed = Command::new("kill").args(["-KILL", &console.process().to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    let deadline = Instant::now() + Duration::from_secs(20);
    let runs = || std::path::Path::new(&format!("/proc/{host}")).exists();
    while runs() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!runs(), "the host is still there");
    assert_eq!(console.end().0, None);
}
