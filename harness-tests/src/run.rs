//! A run of a program, bounded in time.
//!
//! Output goes to files, not to pipes: a child that lives on and holds a pipe open must not keep
//! a test from ending.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The longest that a run may take: far more than any needs, on a machine that is busy.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How a program ended, and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Run {
    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Runs `command` with `input` on its standard input.
///
/// # Panics
/// Where it can't be started, or has not ended after [`LIMIT`].
#[must_use]
pub fn run(command: &mut Command, input: &[u8]) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let create = |name: &str| File::create(path(name)).expect("a new file");
    create("stdin").write_all(input).expect("the file takes the input");
    command
        .stdin(File::open(path("stdin")).expect("it is there"))
        .stdout(create("stdout"))
        .stderr(create("stderr"))
        .process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let status = wait(&mut child);
    let read = |name: &str| std::fs::read(path(name)).expect("it is there");
    let stderr = String::from_utf8_lossy(&read("stderr")).into_owned();
    let Some(status) = status else {
        panic!("{command:?} took more than {LIMIT:?}; it wrote\n{stderr}");
    };
    Run { code: status.code(), signal: status.signal(), stdout: read("stdout"), stderr }
}

/// Waits for `child`; kills its process group and gives `None` where it takes too long.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return Some(status);
        }
        if Instant::now() >= deadline {
            // It may be gone by now; the test fails in any case.
            let group = format!("-{}", child.id());
            let _ =
                Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
