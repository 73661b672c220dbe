//! A thread that waits for a word of a ledger to change, and tells it by a descriptor.
//!
//! It tells each time: an `exec` starts a ledger again, and a child may write there what it likes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::Timespec;
use rustix::io::Errno;
use rustix::thread::futex;

use super::ledger_file::LedgerFile;
use crate::ledger::header::Header;

/// Which word of a header.
type Word = fn(&Header) -> &AtomicU32;

/// As long a thread that is to end sleeps on where the child wrote the word back as it came to sleep.
const LONGEST: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The thread, told to end by the drop. Nobody waits for that, which would take longer than the end of a
/// short program.
#[derive(Debug)]
pub(super) struct Watch {
    ledger: Arc<LedgerFile>,
    word: Word,
    told: Arc<OwnedFd>,
    over: Arc<AtomicBool>,
}

impl Watch {
    /// Watches `word` of `ledger`, and tells of the values that `tells` says.
    pub(super) fn new(
        ledger: &Arc<LedgerFile>,
        word: Word,
        tells: fn(u32) -> bool,
    ) -> Result<Self, Errno> {
        // What was told twice is read once.
        let told = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let over = Arc::new(AtomicBool::new(false));
        let (teller, watched, is_over) = (Arc::clone(&told), Arc::clone(ledger), Arc::clone(&over));
        std::thread::spawn(move || {
            let word = word(watched.header());
            let mut stayed = None;
            loop {
                let now = word.load(Ordering::Acquire);
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                if tells(now) && stayed != Some(now) {
                    let _ = rustix::io::write(&*teller, &1_u64.to_ne_bytes());
                }
                // An early return is one more look.
                let waited = futex::wait(word, futex::Flags::empty(), now, Some(&LONGEST));
                stayed = (waited == Err(Errno::TIMEDOUT)).then_some(now);
            }
        });
        Ok(Self { ledger: Arc::clone(ledger), word, told, over })
    }

    /// It can be read when there is something to tell.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.told.as_fd()
    }

    /// Takes what was told.
    pub(super) fn take(&self) {
        // Where there is nothing it does not block.
        let _ = rustix::io::read(&*self.told, &mut [0; 8]);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let word = (self.word)(self.ledger.header());
        self.over.store(true, Ordering::Release);
        // Whatever stood there is another word now: the thread does not sleep on it again.
        word.fetch_add(1, Ordering::AcqRel);
        let _ = futex::wake(word, futex::Flags::empty(), u32::MAX >> 1);
    }
}
