//! A child's threads, held by `ptrace`.
//!
//! Invariant of [`Threads`]: every thread of the child that is listed stands still until the drop,
//! which lets it go. All calls come from the thread that made it, as `ptrace` wants.

use std::io;

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::child::proc_file;

/// A thread that stands still.
#[derive(Debug, Clone)]
pub(crate) struct Thread {
    /// Its number.
    pub(crate) id: u32,
    /// Where the live part of its stack begins.
    pub(crate) stack: u64,
    /// What it holds in registers.
    pub(crate) registers: Vec<u64>,
    /// Where its thread-local storage is, where the architecture says so in a register that is read.
    pub(super) pointer: Option<u64>,
    /// The signal that it has yet to get.
    pending: Option<Signal>,
}

/// Threads that stand still, let go by the drop, and their process.
#[derive(Debug)]
pub(super) struct Threads(pub(super) Vec<Thread>, u32);

impl Threads {
    /// Stops every thread of `pid`.
    pub(super) fn stop(pid: u32) -> io::Result<Self> {
        let mut threads = Self(Vec::new(), pid);
        // A thread may start another before it is stopped: look until nobody is new.
        loop {
            let known = threads.0.len();
            for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
                let id = entry?.file_name().to_str().and_then(|name| name.parse().ok());
                let Some(id) = id else { continue };
                if threads.0.iter().all(|thread| thread.id != id)
                    && let Some(thread) = stop(pid, id)?
                {
                    threads.0.push(thread);
                }
            }
            if threads.0.len() == known {
                return Ok(threads);
            }
        }
    }
}

impl Threads {
    /// That none of them was killed: the kernel knows no registers of a thread that does not stand.
    pub(super) fn still_stand(&self) -> io::Result<()> {
        let killed =
            |error: io::Error| io::Error::new(error.kind(), "it was killed while it was looked at");
        self.0.iter().try_for_each(|thread| registers(thread.id).map(drop).map_err(killed))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let Self(threads, process) = self;
        let (first, others): (Vec<_>, Vec<_>) =
            threads.iter().partition(|thread| thread.id == *process);
        others.into_iter().for_each(|thread| let_go(thread.id, thread.pending));
        // Last: it ends after the others. One that was killed before it could be listed was seized, too.
        let is_let_go = |thread: &Thread| ptrace::detach(pid(thread.id), thread.pending).is_ok();
        if !first.first().is_some_and(|thread| is_let_go(thread)) {
            hand_over(*process);
        }
    }
}

/// Lets thread `id`, which is not its process's first, go; it was seized. One that was killed
/// meanwhile is this process's to reap, or the program never ends.
fn let_go(id: u32, pending: Option<Signal>) {
    if ptrace::detach(pid(id), pending).is_err() {
        let _ = waitpid(pid(id), Some(WaitPidFlag::__WALL));
    }
}

/// Has the end of `process`, which may have been killed while it was held, go to whoever started it:
/// the kernel tells a parent only after who held its child has been told. Where that is the same,
/// nothing is to be done, nor where it was never seized.
fn hand_over(process: u32) {
    let status = proc_file::text(format!("/proc/{process}/status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let own = std::process::id();
    if parent.is_some_and(|parent| parent.trim().parse() != Ok(own)) {
        let _ = waitpid(pid(process), Some(WaitPidFlag::__WALL));
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed())
}

/// Stops thread `id` of `pid`; `None` where it ended, before or meanwhile.
fn stop(pid: u32, id: u32) -> io::Result<Option<Thread>> {
    match seize(pid, id) {
        Ok(thread) => Ok(Some(thread)),
        // The kernel says EPERM of a thread that ended and is not reaped: the first one, while
        // others run.
        Err(_) if has_ended(pid, id) => Ok(None),
        Err(error) => Err(error),
    }
}

fn seize(process: u32, id: u32) -> io::Result<Thread> {
    ptrace::seize(pid(id), ptrace::Options::empty())?;
    let seized = interrupt(id);
    if seized.is_err() && id != process {
        let_go(id, None);
    }
    seized
}

/// Stops a thread that was seized.
fn interrupt(id: u32) -> io::Result<Thread> {
    ptrace::interrupt(pid(id))?;
    // Whoever started the child wants to know how it ended: a stop alone is waited for.
    let thread = rustix::process::Pid::from_raw(id.cast_signed()).ok_or(Errno::SRCH)?;
    let stopped = waitid(WaitId::Pid(thread), WaitIdOptions::STOPPED)?;
    // It may have stopped for a signal instead, which is still to be delivered; other stops have
    // their event in the next byte (ptrace(2)).
    let pending = stopped.and_then(|status| status.trapping_signal());
    let pending = pending.and_then(|signal| Signal::try_from(signal).ok());
    let (stack, registers, pointer) = registers(id)?;
    Ok(Thread { id, stack, registers, pointer, pending })
}

/// Whether `error`, which came of looking at `pid`, is that it was killed.
pub(super) fn is_killed(pid: u32, error: &io::Error) -> bool {
    let is_gone = error.raw_os_error() == Some(Errno::SRCH.raw_os_error());
    let status = || proc_file::text(format!("/proc/{pid}/status")).unwrap_or_default();
    is_gone || has_ended(pid, pid) && has_no_other(pid) || has_to_die(&status())
}

/// Whether `pid` has no thread but its first.
fn has_no_other(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    threads.map_or(true, |threads| threads.count() <= 1)
}

/// Whether `status` (proc_pid_status(5)) has `SIGKILL` among the signals that are on their way.
fn has_to_die(status: &str) -> bool {
    let signals = status.lines().filter_map(|line| {
        let (name, bits) = line.split_once(':')?;
        let is_pending = matches!(name, "SigPnd" | "ShdPnd");
        is_pending.then(|| u64::from_str_radix(bits.trim(), 16).unwrap_or_default())
    });
    signals.into_iter().any(|bits| bits >> (Signal::SIGKILL as u32 - 1) & 1 == 1)
}

/// Whether thread `id` of `pid` is gone or a zombie (proc_pid_stat(5): the state follows the name,
/// which may have parentheses itself). One that can't be looked at for another reason, as where this
/// process has no more descriptors, is not.
fn has_ended(pid: u32, id: u32) -> bool {
    let is_over =
        |text: String| text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']));
    let is_gone = |error: io::Error| {
        error.kind() == io::ErrorKind::NotFound
            || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
    };
    proc_file::text(format!("/proc/{pid}/task/{id}/stat")).map_or_else(is_gone, is_over)
}

/// Where the live part of the stack begins, what may be pointers, and the thread pointer.
type Registers = (u64, Vec<u64>, Option<u64>);

#[cfg(target_arch = "x86_64")]
fn registers(id: u32) -> io::Result<Registers> {
    /// Bytes below the stack pointer that a leaf function may use (System V AMD64 ABI 3.2.2).
    const RED_ZONE: u64 = 128;
    let r = ptrace::getregs(pid(id))?;
    let all = [
        r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
        r.r14, r.r15,
    ];
    Ok((r.rsp.saturating_sub(RED_ZONE), all.to_vec(), Some(r.fs_base)))
}

#[cfg(target_arch = "aarch64")]
fn registers(id: u32) -> io::Result<Registers> {
    let set = ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(pid(id))?;
    Ok((set.sp, set.regs.to_vec(), None))
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn registers(_: u32) -> io::Result<Registers> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_told_from_a_refusal() {
        let own = std::process::id();
        let error = |number: Errno| io::Error::from_raw_os_error(number.raw_os_error());
        assert!(is_killed(own, &error(Errno::SRCH)), "the kernel knows no such tracee");
        assert!(!is_killed(own, &error(Errno::PERM)), "this process lives");
        let status =
            |pending| format!("Name:\tit\nSigPnd:\t{pending}\nSigBlk:\tffffffffffffffff\n");
        assert!(has_to_die(&status("0000000000000100")));
        assert!(has_to_die("ShdPnd: 0000000000000900"));
        for pending in ["0000000000000200", "0000000000000000", "", "nonsense"] {
            assert!(!has_to_die(&status(pending)), "{pending}");
        }
    }
}
