//! Waiting until a program is ready.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::{Problem, Run, place};
use crate::scenario::server::Ready;

/// The longest pause between two looks.
const PAUSE: Duration = Duration::from_millis(16);

/// How long an address may take to answer a look.
const ANSWER: Duration = Duration::from_millis(250);

/// That nothing looks ready before there is a program.
pub(super) fn nobody_is(ready: &Ready) -> Result<(), String> {
    let what = match ready {
        Ready::Line(_) => return Ok(()),
        _ if !is_there(ready) => return Ok(()),
        Ready::File(path) => format!("{} is there", path.display()),
        Ready::Tcp(address) => format!("{address} accepts connections"),
        Ready::Unix(path) => format!("{} accepts connections", path.display()),
    };
    Err(format!(
        "{what} before the program was started: it would not be this program that is driven"
    ))
}

/// Whether what a look from outside can see is there.
fn is_there(ready: &Ready) -> bool {
    match ready {
        Ready::Line(_) => false,
        Ready::File(path) => path.exists(),
        Ready::Tcp(address) => TcpStream::connect_timeout(address, ANSWER).is_ok(),
        Ready::Unix(path) => UnixStream::connect(path).is_ok(),
    }
}

impl Run<'_> {
    /// Waits until the program is ready.
    pub(super) fn wait_until(&mut self, ready: &Ready) -> Result<(), Problem> {
        let limit = self.job.scenario.timeout;
        let deadline = Instant::now() + limit;
        let mut pause = Duration::from_millis(1);
        loop {
            let is_ready = self.capture.came() || is_there(ready);
            if Instant::now() >= deadline {
                let place = place(&self.job.scenario.path, self.server.ready.line);
                let what = format!("{place}: {}", awaited(ready));
                return Err(Problem::timed_out(what, limit));
            }
            if is_ready {
                return Ok(());
            }
            self.pass((Instant::now() + pause).min(deadline), "before it was ready")?;
            pause = (pause * 2).min(PAUSE);
        }
    }
}

/// What is waited for.
fn awaited(ready: &Ready) -> String {
    match ready {
        Ready::Line(text) => format!(
            "waiting for the program to print a line with \"{text}\" (to a pipe, which it may have \
             to flush)"
        ),
        Ready::File(path) => format!("waiting for the file {}", path.display()),
        Ready::Tcp(address) => format!("waiting for {address} to accept a connection"),
        Ready::Unix(path) => format!("waiting for {} to accept a connection", path.display()),
    }
}
