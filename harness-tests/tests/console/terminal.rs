//! A console on a terminal: an editor with history and completion, and Ctrl-C.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness_tests::Workplace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::place;

const PROMPT: &str = "leaksnap# ";

/// A terminal with a console on it.
struct Terminal {
    own: File,
    child: Child,
    seen: String,
}

impl Terminal {
    fn start(place: &Workplace, arguments: &[&str]) -> Self {
        let own =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the kernel has terminals");
        grantpt(&own).and_then(|()| unlockpt(&own)).expect("it is ours");
        let name = ptsname(&own, Vec::new()).expect("it has a name");
        let open = || {
            let name = name.to_str().expect("a plain path");
            let file = OpenOptions::new().read(true).write(true).open(name).expect("it opens");
            Stdio::from(file)
        };
        let mut command = place.command([&["console"], arguments].concat());
        command.stdin(open()).stdout(open()).stderr(open()).env("TERM", "xterm");
        let child = command.spawn().expect("the console starts");
        // The command holds the other ends too.
        drop(command);
        let mut terminal = Self { own: own.into(), child, seen: String::new() };
        terminal.until(PROMPT);
        terminal
    }

    /// Reads until what the console wrote ends with `end`.
    fn until(&mut self, end: &str) {
        self.seen.clear();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.plain().ends_with(end) {
            let mut fds = [PollFd::new(&self.own, PollFlags::IN)];
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            if poll(&mut fds, Some(&second)).is_ok_and(|ready| ready == 0) {
                assert!(Instant::now() < deadline, "no {end:?} in {:?}", self.seen);
                continue;
            }
            let mut buffer = [0; 4096];
            let read = self.own.read(&mut buffer).expect("the console is there");
            self.seen += &String::from_utf8_lossy(&buffer[..read]);
        }
    }

    /// What was seen, without what moves the cursor.
    fn plain(&self) -> String {
        let mut text = String::new();
        let mut letters = self.seen.chars();
        while let Some(letter) = letters.next() {
            match letter {
                // Up to the letter that ends the sequence.
                '\u{1b}' => {
                    let ends = |letter: &char| letter.is_ascii_alphabetic();
                    letters.by_ref().find(ends);
                }
                '\u{7}' | '\r' => {}
                letter => text.push(letter),
            }
        }
        text
    }

    fn write(&mut self, keys: &str) {
        self.own.write_all(keys.as_bytes()).expect("the console is there");
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
        // Whatever is still written has to go somewhere; a terminal without a program is an error.
        let mut buffer = [0; 4096];
        while matches!(self.own.read(&mut buffer), Ok(1..)) {}
        self.child.wait().expect("it ends").code()
    }
}

#[test]
fn words_are_completed_and_lines_come_again() {
    let place = place(&["frees_all"]);
    let mut terminal = Terminal::start(&place, &["--plugin", "./frees_all.so"]);
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
    let mut terminal = Terminal::start(&place, &plugins);
    terminal.write("hang\r");
    terminal.until("about to hang\n");
    // The terminal is not the test's own: what Ctrl-C sends is sent by hand.
    let console = terminal.child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &console]).status();
    assert!(sent.is_ok_and(|status| status.success()));
    terminal.until(&format!("\n{PROMPT}"));
    let expected = "leaksnap: `hang` was interrupted; a new host runs, with the same plugins and \
                    nothing allocated yet";
    assert!(terminal.plain().contains(expected), "{}", terminal.plain());
    assert!(terminal.enter("say hello").contains("\nhello\n"));
    assert_eq!(terminal.end("quit\r"), Some(4));
}
