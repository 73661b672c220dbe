//! A program on a terminal of its own: keys go in, and what is on the screen is looked at.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Lines and columns of the screen.
const SIZE: (NonZeroU16, NonZeroU16) =
    (NonZeroU16::new(60).unwrap(), NonZeroU16::new(120).unwrap());

/// How long a program may take to write what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a program on it.
pub struct Terminal {
    own: File,
    child: Child,
    screen: vt100::Parser,
    seen: String,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("child", &self.child).finish_non_exhaustive()
    }
}

impl Terminal {
    /// Starts `command` on a terminal of 60 lines of 120 columns.
    ///
    /// # Panics
    /// Where it can't be started.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let own =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the kernel has terminals");
        grantpt(&own).and_then(|()| unlockpt(&own)).expect("it is ours");
        let (lines, columns) = SIZE;
        let size =
            Winsize { ws_row: lines.get(), ws_col: columns.get(), ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&own, size).expect("it has a size");
        let name = ptsname(&own, Vec::new()).expect("it has a name");
        let open = || {
            let name = name.to_str().expect("a plain path");
            let file = OpenOptions::new().read(true).write(true).open(name).expect("it opens");
            Stdio::from(file)
        };
        command.stdin(open()).stdout(open()).stderr(open()).env("TERM", "xterm");
        let child = command.spawn().expect("the program starts");
        // The command holds the other ends too.
        drop(command);
        let screen = vt100::Parser::new(lines, columns, 0);
        Self { own: own.into(), child, screen, seen: String::new() }
    }

    /// The number of the program's process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Reads what the program writes until `is_done`.
    ///
    /// # Panics
    /// Where that takes too long, or the program is gone before.
    #[track_caller]
    pub fn until(&mut self, mut is_done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_done(self) {
            let mut fds = [PollFd::new(&self.own, PollFlags::IN)];
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            if poll(&mut fds, Some(&second)).is_ok_and(|ready| ready == 0) {
                assert!(Instant::now() < deadline, "it is not in {:?}", self.seen);
                continue;
            }
            assert!(self.read(), "the program is gone; it wrote {:?}", self.seen);
        }
    }

    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        // A terminal without a program is an error.
        let Ok(read @ 1..) = self.own.read(&mut buffer) else { return false };
        self.screen.process(&buffer[..read]);
        self.seen += &String::from_utf8_lossy(&buffer[..read]);
        true
    }

    /// What is on the screen, without empty lines at its end.
    #[must_use]
    pub fn screen(&self) -> String {
        self.screen.screen().contents()
    }

    /// All that was written since the last [`forget`](Self::forget).
    #[must_use]
    pub fn seen(&self) -> &str {
        &self.seen
    }

    /// The same without what moves the cursor.
    #[must_use]
    pub fn plain(&self) -> String {
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

    /// What was written until now is no longer looked at.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// Types `keys`.
    ///
    /// # Panics
    /// Where the program is gone.
    pub fn write(&mut self, keys: &str) {
        self.own.write_all(keys.as_bytes()).expect("the program is there");
    }

    /// Reads until the program has ended; its exit code.
    ///
    /// # Panics
    /// Where it can't be waited for.
    pub fn end(&mut self) -> Option<i32> {
        while self.read() {}
        self.child.wait().expect("it ends").code()
    }
}
