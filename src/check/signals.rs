//! Signals that would end this process, kept for the child: the report is still to be written.
//!
//! Invariant: they are blocked in the thread that made a [`Signals`], and in those that it starts,
//! until the drop. A child starts with none of them blocked: `Process` sees to that.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::child::launch::PASSED_ON;

/// `si_code` of what the kernel sends itself, a terminal's signals among them (sigaction(2)).
const SI_KERNEL: i32 = 0x80;

/// The signals that came.
#[derive(Debug, Default)]
pub(super) struct Signals {
    came: Option<SignalFd>,
}

impl Signals {
    /// What can't be kept ends this process, as any other.
    pub(super) fn keep() -> Self {
        let kept: SigSet = PASSED_ON.into_iter().collect();
        let came = SignalFd::with_flags(&kept, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        let came = came.ok().filter(|_| kept.thread_block().is_ok());
        Self { came }
    }

    /// It can be read when one came.
    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.came.as_ref().map(AsFd::as_fd)
    }

    /// The next one that the child did not get itself: a terminal sends its to the whole group.
    pub(super) fn take(&self) -> Option<rustix::process::Signal> {
        let came = self.came.as_ref()?;
        // One that can't be read is none.
        while let Ok(Some(info)) = came.read_signal() {
            if info.ssi_code != SI_KERNEL {
                let number = i32::try_from(info.ssi_signo).unwrap_or_default();
                return rustix::process::Signal::from_named_raw(number);
            }
        }
        None
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if self.came.is_none() {
            return;
        }
        // What came at last was for the child, which is gone.
        while self.take().is_some() {}
        // It was blocked by the same call.
        let _ = PASSED_ON.into_iter().collect::<SigSet>().thread_unblock();
    }
}
