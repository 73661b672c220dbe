//! A child's memory, read while all its threads stand still.
//!
//! ```text
//!   threads   holds them
//!   mapping   what is where, as the kernel says
//!   page_map  which of its pages are there
//!   places    what that is to people: whose data, whose stack
//!   own       what the program made for itself
//! ```

pub(super) mod mapping;
mod own;
mod page_map;
pub(crate) mod places;
mod threads;

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use object::pod::bytes_of_slice_mut;

use self::mapping::{Mapping, Searched};
use self::page_map::PageMap;
use self::places::{Kind, Places};
pub(crate) use self::threads::Thread;
use self::threads::Threads;
use super::proc_file;
use super::reach::{Origin, Root};

/// Bytes that are read at a time, at most. The buffer is made for each look, as large as it needs: what is
/// not needed would be pages that the kernel has to clear.
const CHUNK: usize = 256 << 10;
/// The least page that a kernel has.
const PAGE: u64 = 4096;
const WORD: usize = 8;

/// The memory of a process.
#[derive(Debug)]
pub(crate) struct Memory {
    id: Pid,
    file: File,
}

impl Memory {
    /// The memory of `pid`, whose thread `id` lives.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(crate) fn open(pid: u32, id: u32) -> io::Result<Self> {
        let file = File::open(format!("/proc/{pid}/task/{id}/mem"))?;
        Ok(Self { id: Pid::from_raw(id.cast_signed()), file })
    }

    /// Fills `buffer` from `address` on, as far as the memory can be read; how many bytes that were.
    pub(crate) fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        let Ok(base) = usize::try_from(address) else { return 0 };
        let remote = RemoteIoVec { base, len: buffer.len() };
        match process_vm_readv(self.id, &mut [IoSliceMut::new(buffer)], &[remote]) {
            Ok(count) if count > 0 || buffer.is_empty() => count,
            // What the program has protected from itself, or a kernel without the call. A page at a
            // time: what follows is read the fast way again.
            _ => {
                let page = usize::try_from(PAGE - address % PAGE).unwrap_or_default();
                let len = buffer.len().min(page);
                self.file.read_at(&mut buffer[..len], address).unwrap_or(0)
            }
        }
    }
}

/// A child whose threads stand still.
#[derive(Debug)]
pub(crate) struct Stopped {
    threads: Threads,
    pid: u32,
    mappings: Vec<Mapping>,
    memory: Memory,
    pages: PageMap,
}

impl Stopped {
    /// Stops every thread of `pid`.
    ///
    /// # Errors
    /// Where the child was killed, or the kernel refuses: it may not be traced.
    pub(crate) fn new(pid: u32) -> io::Result<Self> {
        let threads = Threads::stop(pid).map_err(|error| {
            let why = "a debugger holds it, or this system forbids ptrace";
            failed(pid, &format!("stop the program ({why})"), &error)
        })?;
        if threads.0.is_empty() {
            return Err(killed());
        }
        // The first thread may have ended before the others (pthread_exit in main), and its
        // number leads to no memory any more.
        let id = threads.0.first().map_or(pid, |thread| thread.id);
        let folder = format!("/proc/{pid}/task/{id}");
        let unread = |name: &'static str| {
            move |error: io::Error| failed(pid, &format!("open the program's {name}"), &error)
        };
        let maps = proc_file::text(format!("{folder}/maps")).map_err(unread("maps"))?;
        Ok(Self {
            memory: Memory::open(pid, id).map_err(unread("mem"))?,
            pages: PageMap::open(&folder).map_err(unread("pagemap"))?,
            mappings: maps.lines().filter_map(Mapping::read).collect(),
            threads,
            pid,
        })
    }

    /// The threads.
    pub(crate) fn threads_mut(&mut self) -> &mut [Thread] {
        &mut self.threads.0
    }

    /// That every thread has stood still since: only `SIGKILL` ends one that does.
    ///
    /// # Errors
    /// Where one was killed: what was read meanwhile may lack anything.
    pub(crate) fn still_stands(&self) -> io::Result<()> {
        self.threads.still_stand()
    }

    /// What lies where.
    pub(crate) fn places(&self) -> Places {
        Places::new(self.pid, &self.mappings, &self.threads.0, &self.memory)
    }

    /// Every word that may be a root and is an address in `[heap.0, heap.1)`: registers, the live
    /// part of stacks, and all memory that was written but for the heap and what the preload heap has `apart`
    /// for itself. What lives longest comes first: the data of modules, other memory, stacks,
    /// registers. And the [bytes of its own](Self::own_memory): all of them were looked at for that.
    ///
    /// # Errors
    /// Where the memory can't be read.
    pub(crate) fn roots(
        &self,
        heap: (u64, u64),
        apart: &[(u64, u64)],
        places: &Places,
    ) -> io::Result<([Vec<Root>; 4], u64)> {
        let mut roots = <[Vec<Root>; 4]>::default();
        let (mut buffer, mut own) = (Vec::new(), Vec::new());
        for mapping in &self.mappings {
            if mapping.searched == Searched::Nothing {
                continue;
            }
            for (start, end) in mapping.without(heap, apart) {
                let stacks = self.threads.0.iter().map(|thread| thread.stack);
                let stack = stacks.filter(|stack| *stack >= start && *stack < end).min();
                let start = stack.map_or(start, |stack| stack & !(WORD as u64 - 1));
                let kinds = places.kinds(start, end);
                let parts = self.pages.parts(mapping.searched, start, end)?;
                for (start, end) in &parts {
                    self.words(*start, *end, heap, &mut buffer, |at, word| {
                        let kind = kinds.iter().find(|(range, _)| range.contains(&at));
                        let class = kind.map_or(Kind::Other, |(_, kind)| *kind) as usize;
                        roots[class].push(Root { word, origin: Origin::Memory(at) });
                    });
                }
                own.extend(parts.into_iter().filter(|_| mapping.is_own));
            }
        }
        for thread in &self.threads.0 {
            let origin = Origin::Register(thread.id);
            let in_heap = |word: &u64| *word >= heap.0 && *word < heap.1;
            let words = thread.registers.iter().copied().filter(in_heap);
            roots[3].extend(words.map(|word| Root { word, origin }));
        }
        Ok((roots, self.own_bytes(&own, places)))
    }

    /// Every word in the inherited blocks at `ranges`, which are sorted, that is an address in
    /// `[heap.0, heap.1)`.
    ///
    /// # Errors
    /// Where the memory can't be read.
    pub(crate) fn inherited_roots(
        &self,
        ranges: &[(u64, u64)],
        heap: (u64, u64),
    ) -> io::Result<Vec<Root>> {
        let (mut roots, mut buffer) = (Vec::new(), Vec::new());
        // What is near is read together.
        for ranges in ranges.chunk_by(|range, next| next.0 - range.1.min(next.0) < PAGE) {
            let mut rest = ranges.iter().peekable();
            let (start, end) = (ranges[0].0, ranges[ranges.len() - 1].1);
            for (start, end) in self.pages.parts(Searched::Touched, start, end)? {
                self.words(start, end, heap, &mut buffer, |at, word| {
                    while rest.next_if(|range| range.1 <= at).is_some() {}
                    if rest.peek().is_some_and(|range| range.0 <= at) {
                        roots.push(Root { word, origin: Origin::Inherited });
                    }
                });
            }
        }
        Ok(roots)
    }

    /// Fills `buffer` from `address` on, as far as the memory can be read.
    pub(crate) fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        self.memory.read(address, buffer)
    }

    /// Calls `each` with every word from `start` to `end` that is an address in `[heap.0, heap.1)`,
    /// and where it lies.
    fn words(
        &self,
        start: u64,
        end: u64,
        heap: (u64, u64),
        buffer: &mut Vec<u64>,
        mut each: impl FnMut(u64, u64),
    ) {
        let mut at = start;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            if buffer.len() < wanted.div_ceil(WORD) {
                *buffer = vec![0; wanted.div_ceil(WORD)];
            }
            let len = self.read(at, &mut bytes_of_slice_mut(buffer)[..wanted]);
            words_in(&buffer[..len / WORD], heap, |index, word| {
                each(at + (index * WORD) as u64, word);
            });
            // What can't be read (a file that was cut short) holds nothing.
            at += if len == 0 { PAGE - at % PAGE } else { len as u64 };
        }
    }
}

/// Calls `each` with every one of `words` that is an address in `[heap.0, heap.1)`, and its index. There
/// are few: eight are compared without a branch between them. A test's own profile compiles this: where
/// nothing is optimized that has no calls and no checks of bounds either, which a loop over them would.
fn words_in(words: &[u64], heap: (u64, u64), mut each: impl FnMut(usize, u64)) {
    let (start, end) = heap;
    let mut look = |from: usize, words: &[u64]| {
        for (index, word) in words.iter().enumerate() {
            if *word >= start && *word < end {
                each(from + index, *word);
            }
        }
    };
    let (blocks, rest) = words.as_chunks::<8>();
    let mut index = 0;
    while index < blocks.len() {
        let block = &blocks[index];
        let [a, b, c, d, e, f, g, h] = *block;
        let is_any = (a >= start) & (a < end)
            | (b >= start) & (b < end)
            | (c >= start) & (c < end)
            | (d >= start) & (d < end)
            | (e >= start) & (e < end)
            | (f >= start) & (f < end)
            | (g >= start) & (g < end)
            | (h >= start) & (h < end);
        if is_any {
            look(index * 8, block);
        }
        index += 1;
    }
    look(blocks.len() * 8, rest);
}

/// Why `what` was not done to `pid`: it was killed meanwhile, or the kernel refused.
fn failed(pid: u32, what: &str, error: &io::Error) -> io::Error {
    match threads::is_killed(pid, error) {
        true => killed(),
        false => io::Error::new(error.kind(), format!("the kernel refused to {what}: {error}")),
    }
}

/// Nothing but `SIGKILL` ends a program that stands.
fn killed() -> io::Error {
    io::Error::other("it was killed while it was looked at")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_refuses_is_said_with_its_reason() {
        // No process may trace itself.
        let error = Stopped::new(std::process::id()).expect_err("it is refused").to_string();
        let start = "the kernel refused to stop the program (a debugger holds it, or this system \
                     forbids ptrace): ";
        assert!(error.starts_with(start), "{error}");
    }

    #[test]
    fn a_program_that_was_killed_was_not_refused() {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a child");
        child.kill().expect("it is ours");
        // It has ended, and is still there.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&child)), ended).expect("it ends");
        let said = |pid| Stopped::new(pid).expect_err("it is gone").to_string();
        assert_eq!(said(child.id()), "it was killed while it was looked at");
        child.wait().expect("it is ours");
        assert_eq!(said(child.id()), "it was killed while it was looked at");
    }

    #[test]
    fn every_word_of_the_heap_is_found_wherever_it_stands() {
        let heap = (0x7f12_3456_7000, 0x7f12_9000_0000);
        let others = [0, 1, heap.0 - 1, heap.1, heap.1 | 1 << 63, u64::MAX, !heap.0];
        for len in 0..40 {
            let mut words: Vec<_> = others.iter().copied().cycle().take(len).collect();
            let mut expected = Vec::new();
            for at in (0..len).filter(|at| at % 3 == len % 3 || at + 1 == len) {
                words[at] = if at % 2 == 0 { heap.0 } else { heap.1 - 1 };
                expected.push((at, words[at]));
            }
            let mut found = Vec::new();
            words_in(&words, heap, |index, word| found.push((index, word)));
            assert_eq!(found, expected, "of {len}");
        }
    }

    #[test]
    fn this_process_can_read_its_own_memory_but_for_what_is_not_there() {
        let memory = Memory::open(std::process::id(), std::process::id()).expect("it is its own");
        let words = std::hint::black_box([0x1234_5678_u64, 3]);
        let mut buffer = [0; 16];
        assert_eq!(memory.read(words.as_ptr() as u64, &mut buffer), 16);
        assert_eq!(buffer[..8], words[0].to_le_bytes());
        assert_eq!(memory.read(8, &mut buffer), 0);
        assert_eq!(memory.read(u64::MAX - 3, &mut buffer), 0);
    }
}
