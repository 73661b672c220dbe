//! A child's output, read while it runs and kept up to a bound.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Bytes that are kept of a child's output; the end matters most, so the start goes.
const KEPT: usize = 1 << 20;

/// The output of one child, from all its pipes, in the order it came.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    kept: Arc<Mutex<Kept>>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    dropped: usize,
}

impl Capture {
    /// Reads `pipe` to its end.
    pub(crate) fn read(&mut self, mut pipe: impl Read + Send + 'static) {
        let kept = Arc::clone(&self.kept);
        self.readers.push(std::thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            // An error is an end: the pipe has nothing more to say.
            while let Ok(len @ 1..) = pipe.read(&mut buffer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.bytes.extend_from_slice(&buffer[..len]);
                if kept.bytes.len() > 2 * KEPT {
                    let over = kept.bytes.len() - KEPT;
                    kept.bytes.drain(..over);
                    kept.dropped += over;
                }
            }
        }));
    }

    /// The output so far, once the child is gone. A pipe that somebody else still holds is not
    /// waited for.
    pub(crate) fn text(self) -> String {
        let patience = std::time::Instant::now() + std::time::Duration::from_millis(200);
        while self.readers.iter().any(|reader| !reader.is_finished())
            && std::time::Instant::now() < patience
        {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let start = kept.bytes.len().saturating_sub(KEPT);
        let dropped = kept.dropped + start;
        let text = String::from_utf8_lossy(&kept.bytes[start..]);
        if dropped == 0 {
            return text.into_owned();
        }
        // The first line that is left may be half of one.
        let (half, rest) = text.split_once('\n').unwrap_or(("", &text));
        format!("[{} bytes cut]\n{rest}", dropped + half.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let mut capture = Capture::default();
        let mut long = vec![b'a'; 3 * KEPT];
        long.extend_from_slice(b"\nthe end");
        capture.read(std::io::Cursor::new(long));
        let text = capture.text();
        assert!(text.ends_with("the end"));
        assert!(text.starts_with('[') && text.len() < 2 * KEPT, "{}", text.len());
    }

    #[test]
    fn two_pipes_are_one_text() {
        let mut capture = Capture::default();
        capture.read(&b"out\n"[..]);
        capture.read(&b"err\n"[..]);
        let text = capture.text();
        assert!(text == "out\nerr\n" || text == "err\nout\n", "{text:?}");
    }
}
