//! A list that threads share out among themselves while they work on it: two at a time begin at
//! the ends of one part of it, and meet where they meet.
//!
//! ```text
//!   thread 0                thread 1   thread 2                thread 3
//!   [ done ][ next ][ left ][ done ]   [ done ][ left ][ next ][ done ]
//! ```
//! How long an item takes is not known before. What is near each other in the list stays with one
//! thread, but for one place in each part: what is taken from the middle of another thread's items
//! instead has both read the same units of debug information, at every such place.
//!
//! Invariant: each index is given out once.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Items that are given out together.
const BATCH: usize = 16;

/// What is left of each part of the list.
#[derive(Debug)]
pub(super) struct Shares(Vec<Mutex<Range<usize>>>);

impl Shares {
    /// A list of `len` items for `threads` threads, of which there is at least one.
    pub(super) fn new(len: usize, threads: usize) -> Self {
        let start = |thread: usize| len * thread.min(threads) / threads;
        let parts = (0..threads).step_by(2);
        Self(parts.map(|first| Mutex::new(start(first)..start(first + 2))).collect())
    }

    /// What `thread` is to do next; `None` where nothing is left for it.
    pub(super) fn take(&self, thread: usize) -> Option<Range<usize>> {
        let mut left = self.0[thread / 2].lock().unwrap_or_else(PoisonError::into_inner);
        let count = left.len().min(BATCH);
        let batch = if thread.is_multiple_of(2) {
            left.start..left.start + count
        } else {
            left.end - count..left.end
        };
        *left =
            if thread.is_multiple_of(2) { batch.end..left.end } else { left.start..batch.start };
        (count > 0).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_is_given_out_once() {
        for (len, threads) in [(0, 1), (1, 1), (1, 3), (100, 1), (100, 7), (1000, 2), (1001, 5)] {
            let shares = Shares::new(len, threads);
            let mut given = vec![0; len];
            let mut working: Vec<usize> = (0..threads).collect();
            while !working.is_empty() {
                // The later ones are faster.
                working.retain(|thread| {
                    (0..=*thread).all(|_| {
                        let batch = shares.take(*thread);
                        assert!(batch.as_ref().is_none_or(|batch| batch.len() <= BATCH));
                        batch.clone().into_iter().flatten().for_each(|at| given[at] += 1);
                        batch.is_some()
                    })
                });
            }
            assert!(given.iter().all(|times| *times == 1), "{len} {threads} {given:?}");
        }
    }

    #[test]
    fn two_threads_meet_where_the_slower_one_is() {
        let shares = Shares::new(20 * BATCH, 2);
        let batch = |at: usize| Some(at * BATCH..(at + 1) * BATCH);
        assert_eq!(shares.take(0), batch(0));
        (1..20).rev().for_each(|at| assert_eq!(shares.take(1), batch(at)));
        assert_eq!([shares.take(0), shares.take(1)], [None, None]);
    }

    #[test]
    fn one_thread_has_a_part_of_its_own() {
        let shares = Shares::new(90, 3);
        let last: Vec<_> = std::iter::from_fn(|| shares.take(2)).flatten().collect();
        assert_eq!(last, (60..90).collect::<Vec<_>>());
    }
}
