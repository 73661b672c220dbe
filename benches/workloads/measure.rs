//! Runs one command and reads from the kernel what it and all it waited for took.
//!
//! The kernel adds up children for a process as a whole. So each command has a process of its own
//! that runs nothing else: this executable again, with `--measure` and an order.

use std::env;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

const WORD: &str = "--measure";

/// Variables of the caller that would make one kind into another.
const NOT_INHERITED: [&str; 5] =
    ["GLIBC_TUNABLES", "HEAPCHECK", "LD_PRELOAD", "LEAKSNAP_CHECK_UNWINDER", "LEAKSNAP_TRACE"];

/// A command to measure.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The program and its arguments.
    pub(crate) words: Vec<String>,
    /// What its environment has besides the caller's.
    pub(crate) variables: Vec<(String, String)>,
    /// Where its standard error goes.
    pub(crate) messages: PathBuf,
    /// After how many seconds it is killed; only a command of one process can be.
    pub(crate) limit: Option<u64>,
}

/// What a command took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// Its exit code, which one that was killed does not have.
    pub(crate) code: Option<i32>,
    /// Whether it reached its limit: it would have taken more.
    pub(crate) cut: bool,
    /// Seconds on the clock.
    pub(crate) wall: f64,
    /// Seconds of user and system time.
    pub(crate) cpu: f64,
    /// Of the process that had most. What the measuring process has, about 3 MiB, is the least
    /// that can be read: it counts for what it starts.
    pub(crate) peak_rss_kib: f64,
}

/// Runs `order` in a process of its own.
///
/// # Errors
/// Where there is no reading: the program could not be started.
pub(crate) fn measured(order: &Order) -> Result<Reading, String> {
    let own = env::current_exe().map_err(|error| format!("the bench's own file: {error}"))?;
    let text = serde_json::to_string(order).map_err(|error| format!("the order: {error}"))?;
    let mut command = Command::new(own);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    let output = command
        .args([WORD, &text])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("start the measuring process: {error}"))?;
    if !output.status.success() {
        return Err(format!("the measuring process ended with {}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("the reading: {error}"))
}

/// What `main` does first: in a measuring process it is all there is to do.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut words = env::args().skip(1);
    if words.next()? != WORD {
        return None;
    }
    match words.next().ok_or("no order".to_owned()).and_then(|text| answer(&text)) {
        Ok(reading) => {
            println!("{reading}");
            Some(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("workloads: {error}");
            Some(ExitCode::FAILURE)
        }
    }
}

fn answer(text: &str) -> Result<String, String> {
    let order: Order = serde_json::from_str(text).map_err(|error| format!("order: {error}"))?;
    let program = order.words.first().ok_or("an order without a program")?;
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let messages = File::create(&order.messages).map_err(failed)?;
    let mut command = Command::new(program);
    command.args(&order.words[1..]).envs(order.variables.iter().cloned());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(messages);

    let start = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    let (status, cut) = end(&mut child, order.limit.map(Duration::from_secs)).map_err(failed)?;
    let wall = start.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| failed(error.into()))?;
    let reading = Reading {
        code: status.code(),
        cut,
        wall,
        cpu: seconds(usage.user_time()) + seconds(usage.system_time()),
        #[expect(clippy::cast_precision_loss, reason = "no machine has so many KiB")]
        peak_rss_kib: usage.max_rss() as f64,
    };
    serde_json::to_string(&reading).map_err(|error| format!("reading: {error}"))
}

/// Waits for `child`, up to `limit`; how it ended, and whether it had to be killed.
fn end(child: &mut Child, limit: Option<Duration>) -> std::io::Result<(ExitStatus, bool)> {
    let mut cut = false;
    if let Some(limit) = limit {
        let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        let until = Timespec::try_from(limit).map_err(std::io::Error::other)?;
        cut = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&until))? == 0;
        if cut {
            child.kill()?;
        }
    }
    Ok((child.wait()?, cut))
}

fn seconds(time: TimeVal) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no program runs for so many microseconds")]
    let microseconds = time.num_microseconds() as f64;
    microseconds / 1e6
}
