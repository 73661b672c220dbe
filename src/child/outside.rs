//! Commands beside a child.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::family;
use super::invocation::Invocation;
use super::launch::{self, Launched, Streams};
use crate::report::Exit;

/// A command that runs beside a child, without the preload heap, in a process group of its own. The
/// drop kills the group of one that has not ended, and reaps it.
#[derive(Debug)]
pub(crate) struct Outside {
    pid: Pid,
    /// What can be read of its output and error, until somebody does.
    outputs: [Option<OwnedFd>; 2],
    pidfd: OwnedFd,
    ended: bool,
}

impl Outside {
    /// Starts `invocation` with `streams`.
    ///
    /// # Errors
    /// Where the kernel does not start it.
    pub(crate) fn start(invocation: &Invocation, streams: Streams) -> io::Result<Self> {
        let Launched { pid, outputs } =
            launch::launch(invocation, streams, &launch::passed_on(), true)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Self { pid, outputs, pidfd, ended: false })
    }

    /// What can be read of its output and error, where that was asked for and nobody has it yet.
    pub(crate) fn outputs(&mut self) -> [Option<OwnedFd>; 2] {
        std::mem::take(&mut self.outputs)
    }

    /// It can be read once the command has ended.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// How the command ended, which is waited for.
    ///
    /// # Errors
    /// Where the kernel can't wait for it.
    pub(crate) fn finish(&mut self) -> io::Result<Exit> {
        let exit = launch::wait(self.pid)?;
        self.ended = true;
        Ok(exit)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if !self.ended {
            family::end_group(self.pid);
            // Nothing can be done about one that can't be reaped.
            let _ = launch::wait(self.pid);
        }
    }
}
