//! A thread that waits for a word of a ledger to change, and tells it by a descriptor.
//!
//! It tells each time: an `exec` starts a ledger again, and a child may write there what it likes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::futex;

use super::ledger_file::LedgerFile;
use crate::ledger::header::Header;

/// Which word of a header.
type Word = fn(&Header) -> &AtomicU32;

/// The thread, ended by the drop.
#[derive(Debug)]
pub(super) struct Watch {
    ledger: Arc<LedgerFile>,
    word: Word,
    told: Arc<OwnedFd>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches `word` of `ledger`, and tells of the values that `tells` says.
    pub(super) fn new(
        ledger: &Arc<LedgerFile>,
        word: Word,
        tells: fn(u32) -> bool,
    ) -> Result<Self, rustix::io::Errno> {
        // What was told twice is read once.
        let told = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let over = Arc::new(AtomicBool::new(false));
        let (teller, watched, is_over) = (Arc::clone(&told), Arc::clone(ledger), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            let word = word(watched.header());
            loop {
                let now = word.load(Ordering::Acquire);
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                if tells(now) {
                    let _ = rustix::io::write(&*teller, &1_u64.to_ne_bytes());
                }
                // An early return is one more look.
                let _ = futex::wait(word, futex::Flags::empty(), now, None);
            }
        });
        Ok(Self { ledger: Arc::clone(ledger), word, told, over, thread: Some(thread) })
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
        let Some(thread) = self.thread.take() else { return };
        // Whatever stood there is another word now: the thread does not sleep on it again.
        while !thread.is_finished() {
            word.fetch_add(1, Ordering::AcqRel);
            let _ = futex::wake(word, futex::Flags::empty(), u32::MAX >> 1);
            std::thread::yield_now();
        }
        // The thread has nothing to panic about, and its result is the descriptor.
        let _ = thread.join();
    }
}
