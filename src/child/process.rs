//! Starting, watching and ending a child on the preload heap: the one file that spawns.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::futex;

use super::ledger_file::{LedgerError, LedgerFile};
use super::preload_file::{self, PreloadError};
use crate::ledger::header::{LEDGER_VARIABLE, mark};
use crate::report::Exit;

/// The variable that glibc takes its tunables from.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Why a child could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The preload heap can't be given to it.
    #[error(transparent)]
    Preload(#[from] PreloadError),
    /// Its ledger can't be made.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is no such program.
    #[error("there is no program {}", program.display())]
    Missing { program: PathBuf },
    /// The kernel did not start it.
    #[error("start {}: {source}", program.display())]
    Spawn { program: PathBuf, source: io::Error },
}

/// What a watched child did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It stands at its exit until [`Process::release`].
    AtExit,
    /// It ended.
    Ended(Exit),
    /// The deadline passed.
    TimedOut,
    /// The caller's own descriptor can be read.
    Interrupted,
}

/// A child with its ledger. Dropping it kills and reaps the child.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    ledger: Arc<LedgerFile>,
    pidfd: OwnedFd,
    at_exit: Option<Watch>,
    ended: Option<Exit>,
}

/// The thread that waits for the mark and tells it by a descriptor.
#[derive(Debug)]
struct Watch {
    told: Arc<OwnedFd>,
    thread: JoinHandle<()>,
}

impl Process {
    /// Starts `command` with the preload heap and `ledger`. With `stop_at_exit` the child stops
    /// before it exits, until it is [released](Self::release).
    ///
    /// # Errors
    /// Where the preload heap can't be written, or the program can't be started.
    pub(crate) fn start(
        mut command: Command,
        ledger: LedgerFile,
        stop_at_exit: bool,
    ) -> Result<Self, StartError> {
        let mut preload = OsString::from(preload_file::path()?);
        if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
            preload.push(":");
            preload.push(others);
        }
        command.env("LD_PRELOAD", preload).env(LEDGER_VARIABLE, ledger.path());
        command.env(TUNABLES, tunables(std::env::var_os(TUNABLES)));
        ledger.header().stop_at_exit.store(u32::from(stop_at_exit), Ordering::Release);
        let program = PathBuf::from(command.get_program());
        let child = command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StartError::Missing { program: program.clone() },
            _ => StartError::Spawn { program: program.clone(), source },
        })?;
        let failed = |source: rustix::io::Errno| {
            let (program, source) = (program.clone(), source.into());
            StartError::Spawn { program, source }
        };
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(&failed)?;
        let ledger = Arc::new(ledger);
        let at_exit = stop_at_exit.then(|| watch(&ledger)).transpose().map_err(failed)?;
        Ok(Self { child, ledger, pidfd, at_exit, ended: None })
    }

    /// The child's process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child's ledger.
    pub(crate) fn ledger(&self) -> &LedgerFile {
        &self.ledger
    }

    /// The child as `std` has it, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until something happens, at most to `deadline`, or until `interrupt` can be read.
    ///
    /// # Errors
    /// Where the kernel can't wait for the child.
    pub(crate) fn wait(
        &mut self,
        deadline: Option<Instant>,
        interrupt: Option<BorrowedFd<'_>>,
    ) -> io::Result<Event> {
        if let Some(exit) = self.ended {
            return Ok(Event::Ended(exit));
        }
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let timeout = left.map(|left| Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            let told = self.at_exit.as_ref().map(|watch| watch.told.as_fd());
            let sources = [Some(self.pidfd.as_fd()), told, interrupt];
            let mut fds: Vec<_> = sources
                .iter()
                .flatten()
                .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
                .collect();
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return Ok(Event::TimedOut),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let mut polled = fds.iter().map(|fd| !fd.revents().is_empty());
            let mut came = sources.iter().map(|fd| fd.is_some() && polled.next() == Some(true));
            let mut next = || came.next() == Some(true);
            let (ended, told, interrupted) = (next(), next(), next());
            if ended {
                return self.reap().map(Event::Ended);
            }
            if interrupted {
                return Ok(Event::Interrupted);
            }
            if told {
                self.end_watch();
                if self.ledger.header().mark.load(Ordering::Acquire) == mark::AT_EXIT {
                    return Ok(Event::AtExit);
                }
            }
        }
    }

    /// Lets a child that stands at its exit go on.
    pub(crate) fn release(&self) {
        let word = &self.ledger.header().mark;
        word.store(mark::RELEASED, Ordering::Release);
        // Nobody may be waiting: then there is nobody to wake.
        let _ = futex::wake(word, futex::Flags::empty(), u32::MAX >> 1);
    }

    /// Sends the child a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.ended.is_none()
            && let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32)
        {
            // It may have ended in the meantime.
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
        }
    }

    /// Kills the child where it still runs, and says how it ended.
    ///
    /// # Errors
    /// Where the kernel can't wait for the child.
    pub(crate) fn end(&mut self) -> io::Result<Exit> {
        self.signal(Signal::SIGKILL);
        self.reap()
    }

    /// Waits for the end of a child that is about to end by itself, at most `patience`: then it is
    /// killed. How it ended, and whether by itself.
    ///
    /// # Errors
    /// Where the kernel can't wait for the child.
    pub(crate) fn finish(&mut self, patience: Duration) -> io::Result<(Exit, bool)> {
        let deadline = Instant::now() + patience;
        loop {
            match self.wait(Some(deadline), None)? {
                Event::Ended(exit) => return Ok((exit, true)),
                Event::AtExit => self.release(),
                Event::Interrupted => {}
                Event::TimedOut => return Ok((self.end()?, false)),
            }
        }
    }

    fn reap(&mut self) -> io::Result<Exit> {
        use std::os::unix::process::ExitStatusExt;
        if let Some(exit) = self.ended {
            return Ok(exit);
        }
        let status = self.child.wait()?;
        let exit = Exit { code: status.code(), signal: status.signal() };
        self.ended = Some(exit);
        self.end_watch();
        Ok(exit)
    }

    fn end_watch(&mut self) {
        let Some(watch) = self.at_exit.take() else { return };
        let word = &self.ledger.header().mark;
        if word.load(Ordering::Acquire) == mark::RUNNING {
            word.store(mark::RELEASED, Ordering::Release);
            let _ = futex::wake(word, futex::Flags::empty(), u32::MAX >> 1);
        }
        // The thread has nothing to panic about, and its result is the descriptor.
        let _ = watch.thread.join();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about a child that can't be reaped.
        let _ = self.end();
    }
}

/// `given` and one more: glibc (from 2.34) shall not keep the stacks of threads that ended, whose
/// pointers would look like the program's.
fn tunables(given: Option<OsString>) -> OsString {
    let mut tunables = given.unwrap_or_default();
    if !tunables.is_empty() {
        tunables.push(":");
    }
    tunables.push("glibc.pthread.stack_cache_size=0");
    tunables
}

fn watch(ledger: &Arc<LedgerFile>) -> Result<Watch, rustix::io::Errno> {
    let told = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
    let (teller, ledger) = (Arc::clone(&told), Arc::clone(ledger));
    let thread = std::thread::spawn(move || {
        let word = &ledger.header().mark;
        while word.load(Ordering::Acquire) == mark::RUNNING {
            // An early return is one more look.
            let _ = futex::wait(word, futex::Flags::empty(), mark::RUNNING, None);
        }
        let _ = rustix::io::write(&*teller, &1_u64.to_ne_bytes());
    });
    Ok(Watch { told, thread })
}

/// Why a child's preload heap may have stayed silent: a sentence about the file at `program`.
pub(crate) fn why_silent(program: &Path) -> &'static str {
    use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
    use std::os::unix::fs::MetadataExt;
    const SET_ID: u32 = 0o6000;
    let path = on_search_path(program);
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.mode() & SET_ID != 0) {
        return "it is a set-id program, which ignores LD_PRELOAD";
    }
    let Ok(bytes) = std::fs::read(&path) else { return "it ignored LD_PRELOAD" };
    let Ok(elf) = ElfFile64::<object::Endianness>::parse(&*bytes) else {
        return "it is not a 64-bit ELF program, or starts one that is not preloaded";
    };
    let endian = elf.endian();
    let headers = elf.elf_header().program_headers(endian, &*bytes).unwrap_or_default();
    if headers.iter().any(|header| header.p_type(endian) == object::elf::PT_INTERP) {
        "it ended before the loader was done, or another C library loaded it"
    } else {
        "it is statically linked, and ignores LD_PRELOAD"
    }
}

fn on_search_path(program: &Path) -> PathBuf {
    if program.components().count() > 1 {
        return program.to_path_buf();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| program.to_path_buf())
}
