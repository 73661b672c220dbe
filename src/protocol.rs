//! What the parent and the host say to each other: a line of JSON each, over a socket that is the
//! host's standard input.
//!
//! The parent asks, the host does it and answers once; before that it tells of lines that a command's
//! output leaves open. While it waits for the next request the
//! host stands still and allocates nothing: the ledger can be read.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The variable that makes a process the host: one whose `main` asks.
pub(crate) const HOST_VARIABLE: &str = "LEAKSNAP_HOST";

/// The variable that makes a test the host, at the call that its record names: a path.
pub(crate) const RECORD_VARIABLE: &str = "LEAKSNAP_RECORD";

/// Bytes of the block that shows that the heap is traced.
pub(crate) const CONTROL_BYTES: u64 = 4242;

/// Bytes of the blocks that show that what code in Rust allocates is traced: an allocator may serve the
/// small ones, or the large ones, from memory of its own.
pub(crate) const CONTROL_IN_RUST: [u64; 6] = [8, 40, 200, 1000, 5000, 100_000];

/// A longer line is no message of ours.
pub(crate) const LONGEST: usize = 1 << 20;

/// Bytes of the longest reason: JSON writes six letters for some of them.
const LONGEST_REASON: usize = 128 << 10;
const _: () = assert!(6 * LONGEST_REASON + 4096 < LONGEST, "a whole reply fits");

/// What the parent wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Allocate the control block, traced.
    Allocate,
    /// Allocate others by Rust's own allocator, traced: one of each of [`CONTROL_IN_RUST`].
    AllocateInRust,
    /// Free the control blocks.
    Free,
    /// Open the plugin at this path.
    Open(String),
    /// Run this command.
    Step(String),
    /// Tracing is on, or off, for all threads from now on.
    Trace(bool),
    /// What commands print is shown, or dropped, from now on.
    Show(bool),
    /// Name the commands.
    Commands,
    /// Say what the heap holds.
    Statistics,
    /// Start the closure of this name, up to its first iteration.
    Closure(String),
    /// Run one iteration of the closure.
    Iterate,
    /// Let the closure go on behind its iterations, to its end.
    GoOn,
    /// End.
    Quit,
}

/// What the host answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// It is done.
    Done,
    /// The closure wants to be iterated so often. Each iteration makes and drops `object`, where it
    /// is named.
    Repeat { warmup: u32, repeat: u32, object: Option<String> },
    /// The commands by their words, with what `help` says of each.
    Commands(Vec<(String, String)>),
    /// What the heap holds.
    Statistics(Statistics),
    /// The control block lies here, and this thread made it: the one that does what is asked.
    Allocated { address: u64, thread: u32 },
    /// The control blocks of Rust's own allocator lie here, in the order of their sizes.
    AllocatedInRust(Vec<u64>),
    /// The preload heap is not in this process.
    NoHeap(String),
    /// It can't be done; the reason.
    Refused(String),
    /// The command ran and failed; the reason.
    Failed(String),
    /// No answer yet: what the command has printed now ends within a line, or not.
    Printed { within_a_line: bool },
    /// An exception left a command of the plugin that lies here: the host ends.
    Thrown(String),
}

/// What the heap holds, as the preload heap's `statistics.rs` has it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Statistics {
    /// Bytes that are in no page of blocks and hold nothing of the heap's own.
    pub(crate) free_bytes: u64,
    /// Blocks that are carved out, in use or free.
    pub(crate) blocks: u64,
}

impl Reply {
    /// The same with texts that fit a line: a plugin may give any.
    #[must_use]
    pub(crate) fn bounded(mut self) -> Self {
        match &mut self {
            Self::Refused(reason) | Self::Failed(reason) | Self::Thrown(reason) => {
                cut(reason, LONGEST_REASON);
            }
            Self::Commands(commands) => {
                let most = LONGEST_REASON / (2 * commands.len()).max(1);
                for (words, help) in commands {
                    cut(words, most);
                    cut(help, most);
                }
            }
            _ => {}
        }
        self
    }
}

/// Leaves `most` bytes of `text`, and a sign that there were more.
fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
}

/// One end of the socket.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: BufReader<UnixStream>,
    deadline: Option<Instant>,
}

impl Channel {
    /// An end that speaks over `stream`, on no other descriptor: the host keeps that one out of
    /// the plugins' way.
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream: BufReader::new(stream), deadline: None }
    }

    /// Says `message`.
    ///
    /// # Errors
    /// Where the other end is gone.
    pub(crate) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_string(message)?;
        line.push('\n');
        self.stream.get_ref().write_all(line.as_bytes())
    }

    /// Hears the next message; `None` where the other end is gone.
    ///
    /// # Errors
    /// Where the deadline passed, or the line is no message.
    pub(crate) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut line = Vec::new();
        loop {
            if let Some(deadline) = self.deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                // Without a patience at all the socket would wait for ever.
                let patience = left.max(Duration::from_millis(1));
                self.stream.get_ref().set_read_timeout(Some(patience))?;
                // One that says a little now and then has said nothing.
                if left.is_zero() && !line.is_empty() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            let heard = match self.stream.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                heard => heard?,
            };
            let end = heard.iter().position(|byte| *byte == b'\n');
            let len = end.map_or(heard.len(), |end| end + 1);
            line.extend_from_slice(&heard[..len]);
            self.stream.consume(len);
            match (len, end) {
                (0, _) if line.is_empty() => return Ok(None),
                (1.., None) if line.len() < LONGEST => {}
                _ => return Ok(Some(serde_json::from_slice(&line)?)),
            }
        }
    }

    /// Waits for the next message, and has [`receive`](Self::receive) wait no longer for its end.
    ///
    /// # Errors
    /// `TimedOut` after `timeout`, `Interrupted` where `interrupt` can be read first.
    pub(crate) fn wait(
        &mut self,
        timeout: Duration,
        interrupt: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let deadline = Instant::now() + timeout.max(Duration::from_millis(1));
        self.deadline = Some(deadline);
        if !self.stream.buffer().is_empty() {
            return Ok(());
        }
        let stream = self.stream.get_ref();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut fds: Vec<_> = [Some(stream.as_fd()), interrupt]
                .into_iter()
                .flatten()
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
                .collect();
            match poll(&mut fds, Some(&left)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) if !fds[0].revents().is_empty() => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::Interrupted.into()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_together_is_not_waited_for() {
        let (here, there) = UnixStream::pair().expect("sockets");
        let (mut parent, mut host) = (Channel::new(here), Channel::new(there));
        for within_a_line in [true, false] {
            host.send(&Reply::Printed { within_a_line }).expect("sent");
        }
        for within_a_line in [true, false] {
            parent.wait(Duration::from_secs(1), None).expect("it is here");
            let heard = parent.receive().expect("it is whole");
            assert_eq!(heard, Some(Reply::Printed { within_a_line }));
        }
    }

    #[test]
    fn messages_survive_and_an_end_is_seen() {
        let (here, there) = UnixStream::pair().expect("sockets");
        let (mut parent, mut host) = (Channel::new(here), Channel::new(there));
        let request = Request::Step("say \"hello\"\nworld".into());
        parent.send(&request).expect("sent");
        parent.send(&Request::Quit).expect("sent");
        assert_eq!(host.receive().expect("heard"), Some(request));
        assert_eq!(host.receive().expect("heard"), Some(Request::Quit));
        drop(parent);
        assert_eq!(host.receive::<Request>().expect("an end"), None);
    }

    #[test]
    fn a_wait_ends_by_a_message_an_interrupt_or_in_time() {
        let (here, there) = UnixStream::pair().expect("sockets");
        let (mut parent, mut host) = (Channel::new(here), Channel::new(there));
        let (interrupt, mut interrupts) = UnixStream::pair().expect("sockets");
        let mut wait = |millis| {
            let waited = parent.wait(Duration::from_millis(millis), Some(interrupt.as_fd()));
            waited.map_err(|error| error.kind())
        };
        assert_eq!(wait(20), Err(io::ErrorKind::TimedOut));
        interrupts.write_all(b"!").expect("sent");
        assert_eq!(wait(10_000), Err(io::ErrorKind::Interrupted));
        host.send(&Reply::Done).expect("sent");
        assert_eq!(wait(10_000), Ok(()), "what was said counts");
    }

    #[test]
    fn a_reason_of_any_length_is_heard() {
        for letter in ["a", "é", "\u{1}"] {
            let (here, there) = UnixStream::pair().expect("sockets");
            let (mut parent, mut host) = (Channel::new(here), Channel::new(there));
            let reply = Reply::Failed(format!("x{}", letter.repeat(2 << 20)));
            let said = std::thread::spawn(move || host.send(&reply.bounded()).map(|()| host));
            let Some(Reply::Failed(heard)) = parent.receive().expect("a message") else {
                panic!("the reply is another one")
            };
            assert!(heard.starts_with(&format!("x{letter}")) && heard.ends_with("…"));
            said.join().expect("it ends").expect("sent");
        }
        let short = Reply::Commands(vec![("a b".into(), "helps".into()); 10]);
        assert_eq!(short.clone().bounded(), short);
    }

    #[test]
    fn one_that_says_a_little_now_and_then_is_not_waited_for() {
        let (here, mut there) = UnixStream::pair().expect("sockets");
        let mut parent = Channel::new(here);
        let start = Instant::now();
        let drip = std::thread::spawn(move || {
            for _ in 0..300 {
                if there.write_all(b" ").is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        parent.wait(Duration::from_millis(200), None).expect("something comes");
        let error = parent.receive::<Reply>().expect_err("it is no message");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        drop(parent);
        drip.join().expect("it only writes");
    }

    #[test]
    fn a_line_without_an_end_is_bounded() {
        let (here, mut there) = UnixStream::pair().expect("sockets");
        let mut parent = Channel::new(here);
        let flood = std::thread::spawn(move || while there.write_all(&[b'x'; 4096]).is_ok() {});
        assert!(parent.receive::<Reply>().is_err());
        drop(parent);
        flood.join().expect("it only writes");
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let (mut here, there) = UnixStream::pair().expect("sockets");
        let mut host = Channel::new(there);
        here.write_all(b"{\"Format\": \"disk\"}\n").expect("sent");
        assert!(host.receive::<Request>().is_err());
    }
}
