//! A list that threads share out among themselves while they work on it.
//!
//! ```text
//!   thread 0                    thread 1
//!   [ done ][ next ][  left   ] [ done ][ next ][ left ]
//!                       ^ taken over by whoever has nothing left
//! ```
//! Each begins with a run of neighbours and goes on from there: what is near each other in the list
//! mostly stays with one thread. How long an item takes is not known before.
//!
//! Invariant: each index is given out once.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Items that are given out together.
const BATCH: usize = 16;

/// What is left of the list for each thread.
#[derive(Debug)]
pub(super) struct Shares(Mutex<Vec<Range<usize>>>);

impl Shares {
    /// A list of `len` items for `threads` threads, of which there is at least one.
    pub(super) fn new(len: usize, threads: usize) -> Self {
        let start = |thread| len * thread / threads;
        Self(Mutex::new((0..threads).map(|it| start(it)..start(it + 1)).collect()))
    }

    /// What `thread` is to do next; `None` where nothing is left.
    pub(super) fn take(&self, thread: usize) -> Option<Range<usize>> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left[thread].is_empty() {
            let most = left.iter_mut().max_by_key(|share| share.len())?;
            let middle = most.start + most.len() / 2;
            let taken = middle..most.end;
            most.end = middle;
            left[thread] = taken;
        }
        let share = &mut left[thread];
        let batch = share.start..share.end.min(share.start + BATCH);
        share.start = batch.end;
        (!batch.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_is_given_out_once() {
        for (len, threads) in [(0, 1), (1, 1), (1, 3), (100, 1), (100, 7), (1000, 2), (1001, 4)] {
            let shares = Shares::new(len, threads);
            let mut given = vec![0; len];
            // The last thread is the fastest, the first one never comes.
            let mut turn = threads.saturating_sub(1);
            while let Some(batch) = shares.take(turn) {
                assert!(batch.len() <= BATCH, "{batch:?}");
                batch.for_each(|at| given[at] += 1);
                turn = if turn > 1 { turn - 1 } else { threads - 1 };
            }
            assert!(given.iter().all(|times| *times == 1), "{len} {threads} {given:?}");
        }
    }

    #[test]
    fn neighbours_stay_with_one_thread() {
        let shares = Shares::new(20 * BATCH, 2);
        let batch = |at: usize| Some(at * BATCH..(at + 1) * BATCH);
        assert_eq!(shares.take(0), batch(0));
        (10..20).for_each(|at| assert_eq!(shares.take(1), batch(at)));
        // Nine are left to the first thread: the second takes over the latter half of them.
        assert_eq!(shares.take(1).map(|batch| batch.start), Some(BATCH + 9 * BATCH / 2));
        assert_eq!(shares.take(0), batch(1));
    }
}
