//! Memory that a program made for itself, past the preload heap: mappings of no file that are
//! neither a stack, nor a module's data, nor the preload heap's.

use std::io;

use super::mapping::{Searched, without};
use super::places::{Kind, Places};
use super::{PAGE, Stopped};

/// glibc's own words for a thread lie behind its thread pointer, in a page or two.
const BEHIND_POINTER: u64 = 2 * PAGE;

impl Stopped {
    /// Bytes of it that are in memory, without the heap and what the preload heap has `apart`.
    ///
    /// # Errors
    /// Where the kernel does not say what is in memory.
    pub(crate) fn own_memory(&self, heap: (u64, u64), apart: &[(u64, u64)]) -> io::Result<u64> {
        let mut touched = Vec::new();
        for mapping in self.mappings.iter().filter(|mapping| mapping.is_own) {
            for (start, end) in mapping.without(heap, apart) {
                touched.extend(self.pages.parts(Searched::Touched, start, end)?);
            }
        }
        Ok(self.own_bytes(&touched, &self.places()))
    }

    /// The same, of what is `touched` of mappings of the program's own.
    pub(super) fn own_bytes(&self, touched: &[(u64, u64)], places: &Places) -> u64 {
        let stacks: Vec<_> = self.stacks().collect();
        let left = touched.iter().flat_map(|&(start, end)| {
            let kinds = places.kinds(start, end).into_iter();
            let data = kinds.filter(|(_, kind)| *kind == Kind::Data);
            let data: Vec<_> = data.map(|(range, _)| (range.start, range.end)).collect();
            without((start, end), stacks.iter().chain(&data))
        });
        left.map(|(start, end)| end - start).sum()
    }

    /// Where threads' stacks lie, their dead part and thread-locals included. The kernel may have
    /// merged one with what lies above.
    fn stacks(&self) -> impl Iterator<Item = (u64, u64)> {
        self.threads.0.iter().filter_map(|thread| {
            let mapping = self.mappings.iter().find(|mapping| mapping.has(thread.stack))?;
            let pointer = thread.pointer.filter(|pointer| mapping.has(*pointer));
            let end = pointer.map(|pointer| pointer.saturating_add(BEHIND_POINTER));
            Some((mapping.start, end.unwrap_or(mapping.end).min(mapping.end)))
        })
    }
}
