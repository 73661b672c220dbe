//! Processes that executed a program which did not come up with the preload heap, as far as the
//! program that executed it wrote that down (`preload/exec.rs`).
//!
//! A place that a process has left for good, as it is gone, is this side's to free: what it says is
//! kept, and compared with the ledgers at the end. While it lives it may still take it away itself.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ledger::header::Header;

/// A process that executed a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Departed {
    pub(super) process: u32,
    /// The program's file, without folders.
    pub(super) command: String,
}

/// The most that are kept: a child may write what it likes, as often as it likes.
const MOST: usize = 4096;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Departures {
    gone: Vec<Departed>,
    /// How many more there were.
    more: u32,
}

impl Departures {
    /// Makes room in `first`: takes what is written there of processes that are gone.
    pub(super) fn see(&mut self, first: &Header) {
        self.take(first, |process| !Path::new(&format!("/proc/{process}")).exists());
    }

    /// All that is written in `first`, and was, and how many more there were.
    pub(super) fn finish(mut self, first: &Header) -> (Vec<Departed>, u32) {
        self.take(first, |_| true);
        (self.gone, self.more)
    }

    fn take(&mut self, first: &Header, is_over: impl Fn(u32) -> bool) {
        for place in &first.departures {
            let process = place.process.load(Ordering::Acquire);
            if process != 0 && is_over(process) {
                match self.gone.len() < MOST {
                    true => self.gone.push(Departed { process, command: text(&place.name) }),
                    false => self.more = self.more.saturating_add(1),
                }
                place.free(process);
            }
        }
    }
}

/// The text that a child has written into `words`, up to its end, fit to be printed.
pub(super) fn text(words: &[AtomicU64]) -> String {
    let bytes = words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
    let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_of_the_gone_is_kept_and_the_living_may_take_theirs_away() {
        let (own, gone) = (std::process::id(), u32::MAX);
        let (first, mut departures) = (Header::default(), Departures::default());
        for (place, process) in first.departures.iter().zip([own, gone]) {
            assert!(place.take(process) && !place.take(7));
            place.name[0].store(u64::from_le_bytes(*b"na\nme\0\0\0"), Ordering::Relaxed);
        }
        departures.see(&first);
        let is_free = |at: usize| first.departures[at].process.load(Ordering::Relaxed) == 0;
        assert!(!is_free(0) && is_free(1));
        let departed = |process| Departed { process, command: "na\u{fffd}me".to_owned() };
        assert_eq!(departures.finish(&first), (vec![departed(gone), departed(own)], 0));
        assert!(is_free(0));
    }

    #[test]
    fn what_a_child_writes_again_and_again_is_counted() {
        let (first, mut departures) = (Header::default(), Departures::default());
        for _ in 0..MOST + 3 {
            assert!(first.departures[5].take(u32::MAX));
            departures.see(&first);
        }
        let (gone, more) = departures.finish(&first);
        assert_eq!((gone.len(), more), (MOST, 3));
    }
}
