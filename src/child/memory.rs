//! A child's memory, read while all its threads stand still.
//!
//! Invariant of [`Stopped`]: every thread of the child that is listed is held by `ptrace` until
//! the drop, which lets it go. All calls come from the thread that made it, as `ptrace` wants.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;
const PAGE: u64 = 4096;
const WORD: usize = 8;

/// A child whose threads stand still.
#[derive(Debug)]
pub(crate) struct Stopped {
    threads: Threads,
    mappings: Vec<Mapping>,
    memory: File,
    pages: File,
}

/// A thread that stands still.
#[derive(Debug, Clone)]
pub(crate) struct Thread {
    /// Its number.
    pub(crate) id: u32,
    /// Where the live part of its stack begins.
    pub(crate) stack: u64,
    /// What it holds in registers.
    pub(crate) registers: Vec<u64>,
    /// The signal that it has yet to get.
    pending: Option<Signal>,
}

/// Threads that stand still, let go by the drop.
#[derive(Debug)]
struct Threads(Vec<Thread>);

/// A line of `/proc/PID/maps` (proc_pid_maps(5)) that may hold pointers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
}

impl Stopped {
    /// Stops every thread of `pid`.
    ///
    /// # Errors
    /// Where the kernel refuses: the child ended, or may not be traced.
    pub(crate) fn new(pid: u32) -> io::Result<Self> {
        let threads = Threads::stop(pid)?;
        // The first thread may have ended before the others (pthread_exit in main), and its
        // number leads to no memory any more.
        let id = threads.0.first().map_or(pid, |thread| thread.id);
        let proc = |name: &str| format!("/proc/{pid}/task/{id}/{name}");
        let maps = std::fs::read_to_string(proc("maps"))?;
        Ok(Self {
            memory: File::open(proc("mem"))?,
            pages: File::open(proc("pagemap"))?,
            mappings: maps.lines().filter_map(mapping).collect(),
            threads,
        })
    }

    /// The threads.
    pub(crate) fn threads_mut(&mut self) -> &mut [Thread] {
        &mut self.threads.0
    }

    /// Every word that may be a root: registers, the live part of stacks, and all writable
    /// memory but for `[heap.0, heap.1)` and what the preload heap has `apart` for itself.
    ///
    /// # Errors
    /// Where the memory can't be read.
    pub(crate) fn roots(&self, heap: (u64, u64), apart: &[(u64, u64)]) -> io::Result<Vec<u64>> {
        let in_heap = |word: &u64| *word >= heap.0 && *word < heap.1;
        let mut roots: Vec<u64> = self
            .threads
            .0
            .iter()
            .flat_map(|thread| &thread.registers)
            .copied()
            .filter(in_heap)
            .collect();
        let mut buffer = vec![0; CHUNK];
        for mapping in &self.mappings {
            for (start, end) in without(mapping, heap, apart) {
                let stacks = self.threads.0.iter().map(|thread| thread.stack);
                let stack = stacks.filter(|stack| *stack >= start && *stack < end).min();
                let start = stack.map_or(start, |stack| stack & !(WORD as u64 - 1));
                for (start, end) in self.present(start, end)? {
                    self.words(start, end, &mut buffer, |word| {
                        roots.extend(Some(word).filter(in_heap));
                    });
                }
            }
        }
        Ok(roots)
    }

    /// Fills `buffer` from `address` on, as far as the memory can be read.
    pub(crate) fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        self.memory.read_at(buffer, address).unwrap_or(0)
    }

    fn words(&self, start: u64, end: u64, buffer: &mut [u8], mut each: impl FnMut(u64)) {
        let mut at = start;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            let len = self.read(at, &mut buffer[..wanted]);
            for word in buffer[..len].chunks_exact(WORD) {
                each(word.try_into().map_or(0, u64::from_le_bytes));
            }
            // What can't be read (a file that was cut short) holds nothing.
            at += if len == 0 { PAGE - at % PAGE } else { len as u64 };
        }
    }

    /// The parts of `[start, end)` that hold anything: reading a page that was never touched
    /// would make it (pagemap of proc_pid_pagemap(5): bit 63 present, bit 62 swapped).
    fn present(&self, start: u64, end: u64) -> io::Result<Vec<(u64, u64)>> {
        let mut parts: Vec<(u64, u64)> = Vec::new();
        let (first, last) = (start / PAGE, end.div_ceil(PAGE));
        let mut buffer = vec![0; CHUNK.min(usize::try_from(last - first).unwrap_or(CHUNK) * WORD)];
        let mut page = first;
        while page < last {
            let len = self.pages.read_at(&mut buffer, page * WORD as u64)?;
            if len < WORD {
                break;
            }
            for word in buffer[..len]
                .chunks_exact(WORD)
                .take(usize::try_from(last - page).unwrap_or(usize::MAX))
            {
                let word = word.try_into().map_or(0, u64::from_le_bytes);
                if word >> 62 != 0 {
                    let (from, to) = ((page * PAGE).max(start), ((page + 1) * PAGE).min(end));
                    match parts.last_mut() {
                        Some(part) if part.1 == from => part.1 = to,
                        _ => parts.push((from, to)),
                    }
                }
                page += 1;
            }
        }
        Ok(parts)
    }
}

impl Threads {
    fn stop(pid: u32) -> io::Result<Self> {
        let mut threads = Self(Vec::new());
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

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in &self.0 {
            // A thread that was killed meanwhile needs no letting go.
            let _ = ptrace::detach(pid(thread.id), thread.pending);
        }
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed())
}

/// Stops thread `id` of `pid`; `None` where it ended, before or meanwhile.
fn stop(pid: u32, id: u32) -> io::Result<Option<Thread>> {
    match seize(id) {
        Ok(thread) => Ok(Some(thread)),
        // The kernel says EPERM of a thread that ended and is not reaped: the first one, while
        // others run.
        Err(_) if has_ended(pid, id) => Ok(None),
        Err(error) => Err(error),
    }
}

fn seize(id: u32) -> io::Result<Thread> {
    ptrace::seize(self::pid(id), ptrace::Options::empty())?;
    ptrace::interrupt(self::pid(id))?;
    let stopped = waitpid(self::pid(id), Some(WaitPidFlag::__WALL))?;
    // It may have stopped for a signal instead, which is still to be delivered.
    let pending = match stopped {
        WaitStatus::Stopped(_, signal) => Some(signal),
        _ => None,
    };
    let (stack, registers) = registers(id)?;
    Ok(Thread { id, stack, registers, pending })
}

/// Whether thread `id` of `pid` is gone or a zombie (proc_pid_stat(5): the state follows the name,
/// which may have parentheses itself).
fn has_ended(pid: u32, id: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/task/{id}/stat")) else {
        return true;
    };
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

#[cfg(target_arch = "x86_64")]
fn registers(id: u32) -> io::Result<(u64, Vec<u64>)> {
    /// Bytes below the stack pointer that a leaf function may use (System V AMD64 ABI 3.2.2).
    const RED_ZONE: u64 = 128;
    let r = ptrace::getregs(pid(id))?;
    let all = [
        r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
        r.r14, r.r15,
    ];
    Ok((r.rsp.saturating_sub(RED_ZONE), all.to_vec()))
}

#[cfg(target_arch = "aarch64")]
fn registers(id: u32) -> io::Result<(u64, Vec<u64>)> {
    let set = ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(pid(id))?;
    Ok((set.sp, set.regs.to_vec()))
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn registers(_: u32) -> io::Result<(u64, Vec<u64>)> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A line of `maps` whose memory may hold pointers: writable, not a device, not a ledger.
fn mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let path = fields.nth(3).unwrap_or_default();
    let device = path.starts_with("/dev/") && !path.starts_with("/dev/shm/") && path != "/dev/zero";
    if !permissions.starts_with("rw") || device || path.starts_with("/memfd:leaksnap-ledger") {
        return None;
    }
    let address = |text| u64::from_str_radix(text, 16).ok();
    Some(Mapping { start: address(start)?, end: address(end)? })
}

/// `mapping` without `[heap.0, heap.1)` and what is `apart`.
fn without(mapping: &Mapping, heap: (u64, u64), apart: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut parts = vec![(mapping.start, mapping.end)];
    for cut in std::iter::once(&heap).chain(apart).filter(|cut| cut.0 < cut.1) {
        let left = |(start, end): (u64, u64)| {
            let (below, above) = ((start, end.min(cut.0)), (start.max(cut.1), end));
            [below, above].into_iter().filter(|(start, end)| start < end)
        };
        parts = parts.into_iter().flat_map(left).collect();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps_are_chosen_by_what_they_may_hold() {
        let rw = "7f00-8000 rw-p 00000000 00:00 0 ";
        assert_eq!(mapping(rw), Some(Mapping { start: 0x7f00, end: 0x8000 }));
        assert_eq!(mapping("7f00-8000 r--p 00000000 00:00 0   /lib/x.so"), None);
        assert_eq!(mapping("7f00-8000 rw-s 00000000 00:06 9   /dev/dri/card0"), None);
        let ledger = "7f00-8000 rw-s 00000000 00:01 9   /memfd:leaksnap-ledger (deleted)";
        assert_eq!(mapping(ledger), None);
    }

    #[test]
    fn the_heap_is_cut_out_of_what_the_kernel_merged_with_it() {
        let parts = |start, end| without(&Mapping { start, end }, (100, 200), &[]);
        assert_eq!(parts(0, 50), [(0, 50)]);
        assert_eq!(parts(50, 250), [(50, 100), (200, 250)]);
        assert_eq!(parts(100, 200), []);
        assert_eq!(parts(120, 300), [(200, 300)]);
    }

    #[test]
    fn what_the_preload_heap_has_for_itself_is_cut_out_too() {
        let mapping = Mapping { start: 0, end: 300 };
        let apart = [(0, 0), (250, 260), (10, 20), (400, 500)];
        assert_eq!(
            without(&mapping, (100, 200), &apart),
            [(0, 10), (20, 100), (200, 250), (260, 300)]
        );
    }
}
