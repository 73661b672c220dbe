//! Progress on a terminal: there while a scenario is long, gone when it ends, and never in the way
//! of libtest's lines.

use std::path::PathBuf;

use harness_tests::terminal::Terminal;
use harness_tests::trials::Trials;

use super::{CLEAN, pipe, release, trials};

/// Words of a line of progress.
const LIVE: &str = " live, ";

/// Scenarios of which `long` waits at a pipe in each of its three iterations, and `other` at one of
/// its own; and the pipes.
fn waiting() -> (Trials, PathBuf, PathBuf) {
    let trials = trials().scenario("short", CLEAN);
    let (long, other) = (pipe(&trials, "long"), pipe(&trials, "other"));
    let step = format!("wait for {}", long.display());
    let script = format!("read word < {}", other.display());
    let trials = trials
        .scenario(
            "long",
            &format!(
                "plugins = [\"waits_for_a_word\"]\nsteps = [{step:?}]\nwarmup = 1\nrepeat = 2\n"
            ),
        )
        .scenario("other", &format!("program = [\"sh\", \"-c\", {script:?}]\n"));
    (trials, long, other)
}

/// Waits until `text` is on the screen.
#[track_caller]
fn see(terminal: &mut Terminal, text: &str) -> String {
    terminal.until(|terminal| terminal.screen().contains(text));
    terminal.screen()
}

#[track_caller]
fn has_line(screen: &str, line: &str) {
    assert!(screen.lines().any(|other| other == line), "{line:?} is no line of\n{screen}");
}

#[test]
fn lines_of_progress_stand_below_libtest_s_and_go() {
    let (trials, long, other) = waiting();
    let mut terminal = Terminal::start(trials.command(&["--test-threads", "3"], &[]));
    let screen = see(&mut terminal, "long: warm-up 1 of 1, ");
    has_line(&screen, "test short ... ok");
    assert!(screen.contains(LIVE), "{screen}");
    see(&mut terminal, "other: ");
    release(&long);
    let screen = see(&mut terminal, "long: iteration 1 of 2, ");
    // The block that the first iteration has made, and the host's own.
    let line = screen.lines().find(|line| line.starts_with("long: ")).expect("it is there");
    let words: Vec<_> = line.split(&[' ', ','][..]).collect();
    let bytes = words.iter().position(|word| word.starts_with("byte")).expect("an amount");
    assert!(words[bytes - 1].parse::<u64>().is_ok_and(|bytes| bytes >= 1000), "{line}");
    // libtest writes while both lines stand.
    release(&other);
    let screen = see(&mut terminal, "test other ... ok");
    has_line(&screen, "test other ... ok");
    see(&mut terminal, "long: iteration 1 of 2, ");
    release(&long);
    see(&mut terminal, "long: iteration 2 of 2, ");
    release(&long);
    assert_eq!(terminal.end(), Some(0));
    let screen = terminal.screen();
    for line in ["running 3 tests", "test short ... ok", "test other ... ok", "test long  ... ok"] {
        has_line(&screen, line);
    }
    assert!(!screen.contains(LIVE), "{screen}");
    assert!(screen.contains("test result: ok. 3 passed; 0 failed"), "{screen}");
    let shown = terminal.seen();
    assert!(shown.contains("\u{1b}[32mok"), "a terminal has colours: {shown:?}");
}

#[test]
fn one_thread_shows_it_too() {
    let (trials, long, _) = waiting();
    let mut terminal = Terminal::start(trials.command(&["--test-threads=1", "--skip=other"], &[]));
    for words in ["warm-up 1 of 1", "iteration 1 of 2", "iteration 2 of 2"] {
        see(&mut terminal, &format!("long: {words}, "));
        release(&long);
    }
    assert_eq!(terminal.end(), Some(0));
    let screen = terminal.screen();
    has_line(&screen, "test long  ... ok");
    has_line(&screen, "test short ... ok");
    assert!(!screen.contains(LIVE), "{screen}");
}

#[test]
fn what_is_quick_shows_none() {
    let trials = trials().scenario("short", CLEAN).scenario("too", CLEAN);
    let mut terminal = Terminal::start(trials.command(&[], &[]));
    assert_eq!(terminal.end(), Some(0));
    has_line(&terminal.screen(), "test too   ... ok");
    assert!(!terminal.seen().contains(LIVE), "{:?}", terminal.seen());
}

#[test]
fn there_is_none_in_ci_nor_where_lines_would_be_cut() {
    for (flags, variables) in [
        (&[][..], &[("CI", "true")][..]),
        (&["--nocapture"], &[]),
        (&["--quiet"], &[]),
        (&["--format=json"], &[]),
    ] {
        let trials = trials().scenario("slow", "program = [\"sleep\", \"1.6\"]\n");
        let mut terminal = Terminal::start(trials.command(flags, variables));
        assert_eq!(terminal.end(), Some(0), "{flags:?}");
        assert!(!terminal.seen().contains(LIVE), "{flags:?} {:?}", terminal.seen());
    }
}

#[test]
fn there_is_none_on_a_pipe() {
    let trials = trials().scenario("slow", "program = [\"sleep\", \"1.6\"]\n");
    let run = trials.run(&[], &[]).ends_with(0);
    let _ = run.says(&["test slow ... ok"]).is_silent_about(LIVE).is_silent_about("\u{1b}");
}
