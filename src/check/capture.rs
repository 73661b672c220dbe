//! A child's output, read while it runs and kept up to a bound.
//!
//! Invariant: what is read from a pipe is kept under the same lock, so that an empty pipe and a
//! lock that is held mean that all of it is here.

use std::convert::Infallible;
use std::io::{Write, stderr, stdout};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

/// Bytes that are kept of a child's output; the end matters most, so the start goes.
const KEPT: usize = 1 << 20;

/// The output of one child, from all its pipes, in the order it came.
#[derive(Debug)]
pub(crate) struct Capture {
    kept: Arc<Mutex<Kept>>,
    /// Each thread that reads has the first until its pipes end, and nothing is sent.
    reading: (Sender<Infallible>, Receiver<Infallible>),
    pipes: Vec<OwnedFd>,
    wanted: Option<Wanted>,
}

/// A part of a line that is waited for, and whether it came.
#[derive(Debug, Clone)]
struct Wanted {
    text: Arc<[u8]>,
    came: Arc<AtomicBool>,
}

/// What gets what comes.
type Echo = fn(&[u8]);

/// A pipe that is read.
struct Source {
    pipe: OwnedFd,
    echo: Echo,
    wanted: Option<Wanted>,
    /// The end of what came, in which what is wanted may begin.
    tail: Vec<u8>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    dropped: usize,
    /// What came before the [cut](Capture::cut).
    before: Option<String>,
}

impl Default for Capture {
    fn default() -> Self {
        Self { kept: Arc::default(), reading: channel(), pipes: Vec::new(), wanted: None }
    }
}

impl Capture {
    /// One that waits for `text`, which lies in one line.
    pub(crate) fn wanting(text: &str) -> Self {
        let wanted = Wanted { text: text.as_bytes().into(), came: Arc::default() };
        Self { wanted: Some(wanted), ..Self::default() }
    }

    /// Whether that came.
    pub(crate) fn came(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.came.load(Ordering::Acquire))
    }

    /// Reads what a child writes to `outputs`, as far as it has pipes there; with `echo` it is passed on to
    /// this process's own standard output and error as well, as it comes.
    pub(crate) fn read_child(&mut self, outputs: [Option<OwnedFd>; 2], echo: bool) {
        let to = |stream: fn(&[u8])| if echo { stream } else { |_: &[u8]| {} };
        // Nobody reads what is passed on: then it is kept all the same.
        let out = to(|bytes| {
            let mut out = stdout().lock();
            let _ = out.write_all(bytes).and_then(|()| out.flush());
        });
        let err = to(|bytes| _ = stderr().lock().write_all(bytes));
        let echoes: [Echo; 2] = [out, err];
        let pipes = outputs.into_iter().zip(echoes);
        self.read(pipes.filter_map(|(pipe, echo)| Some((pipe?, echo))).collect());
    }

    /// Reads pipes to their ends, in a thread, and gives the function beside each what comes.
    fn read(&mut self, pipes: Vec<(OwnedFd, Echo)>) {
        if pipes.is_empty() {
            return;
        }
        let kept = Arc::clone(&self.kept);
        // Without a second descriptor nobody can see whether a pipe is empty: what comes late
        // then counts as late.
        self.pipes.extend(pipes.iter().filter_map(|(pipe, _)| pipe.try_clone().ok()));
        let reading = self.reading.0.clone();
        let source =
            |(pipe, echo)| Source { pipe, echo, wanted: self.wanted.clone(), tail: vec![] };
        let mut open: Vec<_> = pipes.into_iter().map(source).collect();
        std::thread::spawn(move || {
            let _until_the_end = reading;
            let mut buffer = [0; 16 << 10];
            while !open.is_empty() {
                let polled = |source| PollFd::from_borrowed_fd(source, PollFlags::IN);
                let mut polled: Vec<_> =
                    open.iter().map(|source| polled(source.pipe.as_fd())).collect();
                // An error is an end, as is one of a read: the pipe has nothing more to say.
                match poll(&mut polled, None) {
                    Ok(_) => {}
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(_) => return,
                }
                let came: Vec<_> = polled.iter().map(|it| !it.revents().is_empty()).collect();
                let mut came = came.into_iter();
                open.retain_mut(|source| {
                    came.next() != Some(true) || source.read(&mut buffer, &kept)
                });
            }
        });
    }

    /// All that the child wrote so far is the output; what comes now is only of interest where
    /// something fails.
    pub(crate) fn cut(&self) {
        let patience = Instant::now() + Duration::from_millis(200);
        loop {
            let mut kept = lock(&self.kept);
            let is_empty =
                |pipe: &OwnedFd| matches!(rustix::io::ioctl_fionread(pipe), Ok(0) | Err(_));
            if self.pipes.iter().all(is_empty) || Instant::now() >= patience {
                let text = kept.text();
                *kept = Kept { before: Some(text), ..Kept::default() };
                return;
            }
            drop(kept);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The output before the cut, or all of it without one, and what came behind it, once the
    /// child is gone. A pipe that somebody else still holds is not waited for.
    pub(crate) fn texts(self) -> (String, String) {
        let (own, readers) = self.reading;
        drop(own);
        // It ends as soon as all of them have.
        let _ = readers.recv_timeout(Duration::from_millis(200));
        let mut kept = lock(&self.kept);
        let text = kept.text();
        match kept.before.take() {
            Some(before) => (before, text),
            None => (text, String::new()),
        }
    }
}

impl Source {
    /// Reads what is there; whether more may come.
    fn read(&mut self, buffer: &mut [u8], kept: &Mutex<Kept>) -> bool {
        let mut kept = lock(kept);
        let len = match rustix::io::read(&self.pipe, &mut *buffer) {
            Ok(len @ 1..) => len,
            Err(rustix::io::Errno::INTR) => return true,
            Ok(_) | Err(_) => return false,
        };
        kept.add(&buffer[..len]);
        drop(kept);
        let Self { wanted, tail, .. } = self;
        wanted.take_if(|wanted| wanted.is_in(tail, &buffer[..len]));
        (self.echo)(&buffer[..len]);
        true
    }
}

impl Wanted {
    /// Whether it came with `bytes`, behind the `tail` of what came before, of one pipe.
    fn is_in(&self, tail: &mut Vec<u8>, bytes: &[u8]) -> bool {
        tail.extend_from_slice(bytes);
        let is_it = tail.windows(self.text.len().max(1)).any(|part| *part == *self.text);
        if is_it {
            self.came.store(true, Ordering::Release);
        }
        let rest = tail.len().saturating_sub(self.text.len().saturating_sub(1));
        tail.drain(..rest);
        is_it
    }
}

impl Kept {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * KEPT {
            let over = self.bytes.len() - KEPT;
            self.bytes.drain(..over);
            self.dropped += over;
        }
    }

    fn text(&self) -> String {
        let start = self.bytes.len().saturating_sub(KEPT);
        let dropped = self.dropped + start;
        let text = String::from_utf8_lossy(&self.bytes[start..]);
        if dropped == 0 {
            return text.into_owned();
        }
        // The first line that is left may be half of one.
        let (half, rest) = text.split_once('\n').unwrap_or(("", &text));
        format!("[{} bytes cut]\n{rest}", dropped + half.len())
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Write as _, pipe};

    use super::*;

    fn capture() -> (Capture, PipeWriter) {
        let (reader, writer) = pipe().expect("a pipe");
        let mut capture = Capture::default();
        capture.read(vec![(reader.into(), |_| {})]);
        (capture, writer)
    }

    #[test]
    fn the_end_is_kept() {
        let (capture, mut writer) = capture();
        writer.write_all(&vec![b'a'; 3 * KEPT]).expect("it is read");
        writer.write_all(b"\nthe end").expect("it is read");
        drop(writer);
        let (text, late) = capture.texts();
        assert!(text.ends_with("the end") && late.is_empty());
        assert!(text.starts_with('[') && text.len() < 2 * KEPT, "{}", text.len());
    }

    #[test]
    fn what_is_waited_for_may_come_in_parts() {
        let mut capture = Capture::wanting("on port 80");
        let (reader, mut writer) = pipe().expect("a pipe");
        capture.read(vec![(reader.into(), |_| {})]);
        for part in ["listening on", " po\n on port 8", "\nlistening on p", "ort 8"] {
            writer.write_all(part.as_bytes()).expect("it is read");
            std::thread::sleep(Duration::from_millis(2));
            assert!(!capture.came(), "{part:?}");
        }
        writer.write_all(b"0").expect("it is read");
        let patience = Instant::now() + Duration::from_secs(10);
        while !capture.came() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(capture.came());
        drop(writer);
        assert!(capture.texts().0.ends_with("listening on port 80"));
    }

    #[test]
    fn two_pipes_are_one_text() {
        let (mut capture, mut out) = capture();
        let (reader, mut err) = pipe().expect("a pipe");
        capture.read(vec![(reader.into(), |_| {})]);
        out.write_all(b"out\n").expect("it is read");
        err.write_all(b"err\n").expect("it is read");
        drop((out, err));
        let (text, _) = capture.texts();
        assert!(text == "out\nerr\n" || text == "err\nout\n", "{text:?}");
    }

    #[test]
    fn a_cut_lies_behind_all_that_was_written_before() {
        for _ in 0..50 {
            let (capture, mut writer) = capture();
            writer.write_all(b"before\n").expect("it is read");
            capture.cut();
            writer.write_all(b"behind\n").expect("it is read");
            drop(writer);
            assert_eq!(capture.texts(), ("before\n".to_owned(), "behind\n".to_owned()));
        }
    }
}
