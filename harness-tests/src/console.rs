//! `leaksnap console`, a command at a time, so that its host can be looked at between two.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A session that stands between two commands.
#[derive(Debug)]
pub struct Console {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    asked: u32,
}

impl Console {
    /// Starts `command`.
    ///
    /// # Panics
    /// Where it can't be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the console starts");
        let input = child.stdin.take().expect("it is a pipe");
        let output = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Self { child, input, output, asked: 0 }
    }

    /// Has the console run `command`; what it wrote to standard output, without the echo.
    ///
    /// # Panics
    /// Where the console has ended.
    pub fn ask(&mut self, command: &str) -> String {
        self.asked += 1;
        // A comment does nothing but show that all before it is done.
        let mark = format!("# asked {}", self.asked);
        let written = write!(self.input, "{command}\n{mark}\n").and_then(|()| self.input.flush());
        written.expect("the console reads");
        let (mark, mut text) = (format!("leaksnap# {mark}\n"), String::new());
        while !text.ends_with(&mark) {
            let read = self.output.read_line(&mut text).expect("it writes text");
            assert!(read > 0, "the console ended: {text}");
        }
        let text = text.strip_suffix(&mark).expect("it is there");
        let (echo, text) = text.split_once('\n').expect("an echo");
        assert_eq!(echo, format!("leaksnap# {command}"));
        text.to_owned()
    }

    /// The number of the console's own process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// The number of the host's process, as the kernel has it.
    ///
    /// # Panics
    /// Where the console has no child.
    #[must_use]
    pub fn host(&self) -> u32 {
        let is_host = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The name, which may hold anything, is in parentheses.
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
            parent == Some(&self.child.id().to_string())
        };
        let processes = fs::read_dir("/proc").expect("it is mounted").flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.into_iter().find(is_host).expect("the console has a host")
    }

    /// Ends the session; the exit status, and what was written to standard error.
    ///
    /// # Panics
    /// Where it can't be waited for.
    #[must_use]
    pub fn end(self) -> (Option<i32>, String) {
        let Self { mut child, input, .. } = self;
        drop(input);
        let mut text = String::new();
        let stderr = child.stderr.as_mut().expect("it is a pipe");
        stderr.read_to_string(&mut text).expect("it writes text");
        (child.wait().expect("it ends").code(), text)
    }
}
