//! Memory that a program made for itself, past the preload heap: mappings of no file that are
//! neither a stack, nor a module's data, nor the preload heap's.

use std::io;

use super::mapping::Searched;
use super::places::Kind;
use super::{PAGE, Stopped};

/// glibc's own words for a thread lie behind its thread pointer, in a page or two.
const BEHIND_POINTER: u64 = 2 * PAGE;

impl Stopped {
    /// Bytes of it that are in memory, without the heap and what the preload heap has `apart`.
    ///
    /// # Errors
    /// Where the kernel does not say what is in memory.
    pub(crate) fn own_memory(&self, heap: (u64, u64), apart: &[(u64, u64)]) -> io::Result<u64> {
        let mut apart = apart.to_vec();
        apart.extend(self.stacks());
        let (places, mut bytes) = (self.places(), 0);
        for mapping in self.mappings.iter().filter(|mapping| mapping.is_own) {
            let data = places.kinds(mapping.start, mapping.end).into_iter();
            let data = data.filter(|(_, kind)| *kind == Kind::Data);
            let data = data.map(|(range, _)| (range.start, range.end));
            let apart: Vec<_> = apart.iter().copied().chain(data).collect();
            for (start, end) in mapping.without(heap, &apart) {
                let parts = self.parts(Searched::Touched, start, end)?;
                bytes += parts.iter().map(|(start, end)| end - start).sum::<u64>();
            }
        }
        Ok(bytes)
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
