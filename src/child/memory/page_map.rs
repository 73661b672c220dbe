//! Which of a process's pages are there, as the kernel has them (proc_pid_pagemap(5)): a word for each.
//!
//! Pages have the kernel's size, which on aarch64 may be 16 or 64 KiB.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::CHUNK;
use super::mapping::Searched;

const WORD: usize = 8;

/// Bits 63 and 62 of a word, in its last byte: present, swapped.
const THERE: u8 = 0xc0;
/// Bit 61: a file's, or shared memory.
const OF_FILE: u8 = 0x20;

/// The pages of one process.
#[derive(Debug)]
pub(super) struct PageMap {
    file: File,
    page: u64,
}

impl PageMap {
    /// That of the thread whose folder in `/proc` is `folder`.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(super) fn open(folder: &str) -> io::Result<Self> {
        let page = rustix::param::page_size() as u64;
        Ok(Self { file: File::open(format!("{folder}/pagemap"))?, page })
    }

    /// The parts of `[start, end)` that are `searched`: reading a page that was never touched would make it.
    ///
    /// # Errors
    /// Where the kernel does not say.
    pub(super) fn parts(
        &self,
        searched: Searched,
        start: u64,
        end: u64,
    ) -> io::Result<Vec<(u64, u64)>> {
        let is_searched: fn([u8; WORD]) -> bool = match searched {
            Searched::Nothing => return Ok(Vec::new()),
            Searched::Whole => return Ok(vec![(start, end)]),
            Searched::Touched => |word| word[7] & THERE != 0,
            Searched::Copied => |word| word[7] & THERE != 0 && word[7] & OF_FILE == 0,
        };
        let read = |buffer: &mut [u8], at| self.file.read_at(buffer, at);
        parts(read, self.page, is_searched, (start, end))
    }
}

/// The parts of `range` whose pages of `size` bytes have a word that `is_searched`, in what `read` gives from
/// an offset on.
fn parts(
    read: impl Fn(&mut [u8], u64) -> io::Result<usize>,
    size: u64,
    is_searched: fn([u8; WORD]) -> bool,
    (start, end): (u64, u64),
) -> io::Result<Vec<(u64, u64)>> {
    let mut parts: Vec<(u64, u64)> = Vec::new();
    let (first, last) = (start / size, end.div_ceil(size));
    let mut buffer = vec![0; CHUNK.min(usize::try_from(last - first).unwrap_or(CHUNK) * WORD)];
    let mut page = first;
    while page < last {
        let len = read(&mut buffer, page * WORD as u64)?;
        if len < WORD {
            break;
        }
        let (words, _) = buffer[..len].as_chunks::<WORD>();
        // A test's own profile compiles this: no iterators where there are many.
        let mut index = 0;
        while index < words.len() && page < last {
            if is_searched(words[index]) {
                let (from, to) = ((page * size).max(start), ((page + 1) * size).min(end));
                match parts.last_mut() {
                    Some(part) if part.1 == from => part.1 = to,
                    _ => parts.push((from, to)),
                }
            }
            index += 1;
            page += 1;
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_every_size_are_where_the_kernel_has_their_words() {
        for size in [4 << 10, 16 << 10, 64 << 10] {
            // The third, fourth and last one of seven, from page 100 on.
            let words = |buffer: &mut [u8], at: u64| {
                let first = usize::try_from(at).expect("small") / WORD;
                for (index, word) in buffer.as_chunks_mut::<WORD>().0.iter_mut().enumerate() {
                    let is_there = [102, 103, 106].contains(&(first + index));
                    *word = if is_there { (1_u64 << 63).to_le_bytes() } else { [0; WORD] };
                }
                Ok(buffer.len())
            };
            let touched = |start, end| {
                parts(words, size, |word| word[7] & THERE != 0, (start, end)).expect("it is read")
            };
            let at = |page: u64| page * size;
            let whole = [(at(102), at(104)), (at(106), at(107))];
            assert_eq!(touched(at(100), at(107)), whole, "pages of {size}");
            let cut = [(at(103) + 16, at(104)), (at(106), at(106) + 8)];
            assert_eq!(touched(at(103) + 16, at(106) + 8), cut, "pages of {size}");
            assert_eq!(touched(at(104), at(106)), [], "pages of {size}");
        }
    }
}
