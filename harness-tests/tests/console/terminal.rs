//! A console on a terminal: an editor with history and completion, and Ctrl-C.

use std::process::Command;

use harness_tests::Workplace;
use harness_tests::terminal::Terminal;

use super::place;

const PROMPT: &str = "leaksnap# ";

/// A terminal with a console on it.
struct Editor(Terminal);

impl Editor {
    fn start(place: &Workplace, arguments: &[&str]) -> Self {
        let command = place.command([&["console"], arguments].concat());
        let mut editor = Self(Terminal::start(command));
        editor.until(PROMPT);
        editor
    }

    /// Reads until what the console wrote ends with `end`.
    fn until(&mut self, end: &str) {
        self.0.forget();
        self.0.until(|terminal| terminal.plain().ends_with(end));
    }

    fn plain(&self) -> String {
        self.0.plain()
    }

    fn write(&mut self, keys: &str) {
        self.0.write(keys);
    }

    /// Types `keys` and a return; what was seen up to the next prompt.
    fn enter(&mut self, keys: &str) -> String {
        self.write(&format!("{keys}\r"));
        // The edited line is drawn behind a prompt, again and again.
        self.until(&format!("\n{PROMPT}"));
        self.plain()
    }

    fn end(mut self, keys: &str) -> Option<i32> {
        self.write(keys);
        self.0.end()
    }
}

#[test]
fn words_are_completed_and_lines_come_again() {
    let place = place(&["frees_all"]);
    let mut terminal = Editor::start(&place, &["--plugin", "./frees_all.so"]);
    assert!(terminal.enter("say hello").contains("\nhello\n"));
    let again = terminal.enter("\u{1b}[A again");
    assert!(again.contains("\nhello again\n"), "the line before, and a word: {again}");
    let shown = terminal.enter("sho\tmem\tmai\t");
    assert!(shown.contains("  base 0x") && shown.contains("name 'main heap'"), "{shown}");
    let checked = terminal.enter("leak-check { ch\t}");
    assert!(checked.contains("no leaks in churn"), "{checked}");
    // A plugin beside the executable, by its name.
    let loaded = terminal.enter("load plugin crypto_openssl_f\t");
    assert!(!loaded.contains("leaksnap:"), "{loaded}");
    assert!(terminal.enter("show plugins").contains("\ncrypto_openssl_forgets_hmac_key\n"));
    terminal.write("never\u{3}");
    terminal.until(&format!("\n{PROMPT}"));
    let helped = terminal.enter("help quit");
    assert!(helped.contains("end the session"), "Ctrl-C gives up a line: {helped}");
    assert_eq!(terminal.end("\u{4}"), Some(0), "Ctrl-D is the end");
}

#[test]
fn ctrl_c_gives_up_a_command_and_not_the_session() {
    let place = place(&["hangs_in_step", "frees_all"]);
    let plugins = ["--plugin", "./hangs_in_step.so", "--plugin", "./frees_all.so"];
    let mut terminal = Editor::start(&place, &plugins);
    terminal.write("hang\r");
    terminal.until("about to hang\n");
    // The terminal is not the test's own: what Ctrl-C sends is sent by hand.
    let console = terminal.0.process().to_string();
    let sent = Command::new("kill").args(["-INT", &console]).status();
    assert!(sent.is_ok_and(|status| status.success()));
    terminal.until(&format!("\n{PROMPT}"));
    let expected = "leaksnap: `hang` was interrupted; a new host runs, with the same plugins and \
                    nothing allocated yet";
    assert!(terminal.plain().contains(expected), "{}", terminal.plain());
    assert!(terminal.enter("say hello").contains("\nhello\n"));
    assert_eq!(terminal.end("quit\r"), Some(4));
}

#[test]
fn output_that_ends_within_a_line_gets_its_end() {
    let place = place(&["ends_within_a_line"]);
    let plugins = ["--plugin", "./ends_within_a_line.so"];
    let mut terminal = Editor::start(&place, &plugins);
    let whole = "first\nhalf a line\n";
    assert!(terminal.enter("half").ends_with(&format!("\n{whole}{PROMPT}")));
    let failed = terminal.enter("half failing");
    let error = "leaksnap: `half failing` failed: no key\n";
    assert!(failed.ends_with(&format!("\n{whole}{error}{PROMPT}")), "{failed}");
    let checked = terminal.enter("leak-check { half forgetting }");
    assert!(checked.contains(&format!("\n{whole}1 leak in half forgetting: 1 block")), "{checked}");
    assert_eq!(terminal.end("quit\r"), Some(4));

    // The same from a pipe, and where what a step prints is captured.
    let run = super::replay(&place, &plugins, "half\nhalf failing\nleak-check { half }\n");
    let text = format!(
        "{PROMPT}half\n{whole}{PROMPT}half failing\n{whole}{PROMPT}leak-check {{ half }}\n{whole}no \
         leaks in half\n"
    );
    assert_eq!((run.code, run.text()), (Some(4), text));
    place.write("it.toml", "plugins = [\"ends_within_a_line.so\"]\nsteps = [\"half\", \"half\"]\n");
    let ended = place.run(["run", "--show-output", "it.toml"]);
    assert_eq!((ended.status, ended.stdout), (Some(0), whole.repeat(2 * 10)));
}

/// What is pasted or typed while nothing runs: each line is a command, and one of the history.
#[test]
fn a_pasted_block_is_a_command_for_each_line() {
    let place = place(&["frees_all"]);
    // As a terminal sends a block of lines, and as one whose marks another program has left on.
    for (before, behind) in [("", ""), ("\u{1b}[200~", "\u{1b}[201~")] {
        let mut terminal = Editor::start(&place, &["--plugin", "./frees_all.so"]);
        assert!(!terminal.0.seen().contains("[?2004h"), "no marks are asked for");
        terminal
            .write(&format!("{before}say hello one\rsay hello two\r\rsay hello three\r{behind}"));
        terminal.until(&format!("\nhello three\n{PROMPT}"));
        let shown = terminal.plain();
        assert!(shown.contains("\nhello one\n") && shown.contains("\nhello two\n"), "{shown}");
        let up = "\u{1b}[A";
        assert!(
            terminal.enter(&format!("{up}{up}")).contains("\nhello two\n"),
            "a line is one of the history"
        );
        // The last line of a block may have no end yet.
        terminal.write(&format!("{before}say hello four\rsay hello fi{behind}"));
        terminal.until(&format!("\nhello four\n{PROMPT}say hello fi"));
        assert!(terminal.enter("ve").contains("\nhello five\n"));
        assert_eq!(terminal.end("quit\r"), Some(0));
    }
}

#[test]
fn what_is_typed_ahead_while_a_command_runs_is_run_behind_it() {
    let place = place(&["waits_for_a_word", "frees_all"]);
    let plugins = ["--plugin", "./waits_for_a_word.so", "--plugin", "./frees_all.so"];
    let fifo = place.path("word");
    assert!(Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()));
    for (before, behind) in [("", ""), ("\u{1b}[200~", "\u{1b}[201~")] {
        let mut terminal = Editor::start(&place, &plugins);
        // The first is read with the command, the others while it runs, and the last one has no end.
        terminal.write("wait for word\rsay hello one\rsay hello tw");
        terminal.until("wait for word\n");
        terminal.write(&format!("o\r{before}say hello three\rsay hello four\r{behind}"));
        let more = "say hello more\r".repeat(200);
        terminal.write(&more);
        terminal.write("say hello fi");
        // The kernel's echo; what the commands write comes behind it.
        terminal.until("say hello more\nsay hello fi");
        assert!(!terminal.plain().contains("\nhello"), "it still waits: {}", terminal.plain());
        std::fs::write(&fifo, "go").expect("it is read");
        terminal.until(&format!("{PROMPT}say hello fi"));
        let shown = terminal.plain();
        let ran = |word: &str| shown.matches(&format!("\nhello {word}\n")).count();
        assert_eq!(["one", "two", "three", "four"].map(ran), [1; 4], "{shown}");
        assert_eq!(ran("more"), 200, "{shown}");
        assert!(terminal.enter("ve").contains("\nhello five\n"));
        assert_eq!(terminal.end("quit\r"), Some(0), "{before:?}");
    }
}
