//! Which objects' `operator new` is that of another allocator, as the loader has bound it.
//!
//! jemalloc and tcmalloc export operators of their own beside a `malloc`. The preload heap is in front of the
//! `malloc` alone, and it asks for the operators when the program starts: an object that is opened later
//! may be the first in C++, or bring such an allocator with it. Where two libraries have the operators, only
//! the loader knows whose an object got, and has written it down there.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::path::Path;

use object::{Object, ObjectSymbol, ReadCache, RelocationTarget};

use super::Elf;
use crate::child::file_state::Found;
use crate::child::memory::Memory;
use crate::child::memory::mapping::Mapping;
use crate::child::proc_file;

/// How the names of the operators begin, in all their variants.
const NAMES: [&[u8]; 2] = [b"_Znwm", b"_Znam"];

/// The first of `allocators`, files with the operators, that an object of process `pid` got them from.
pub(super) fn behind_new<'a>(pid: u32, allocators: &BTreeSet<&'a Path>) -> Option<&'a Path> {
    if allocators.is_empty() {
        return None;
    }
    let maps = proc_file::text(format!("/proc/{pid}/maps")).ok()?;
    let parts: Vec<_> = maps.lines().filter_map(Mapping::read).collect();
    let memory = Memory::open(pid, pid).ok()?;
    let word = |at: u64| {
        let mut word = [0; 8];
        (memory.read(at, &mut word) == word.len()).then(|| u64::from_le_bytes(word))
    };
    let at_start = parts.iter().filter(|part| {
        part.offset == 0
            && part.name.starts_with('/')
            && !allocators.contains(Path::new(&part.name))
    });
    let targets = at_start.flat_map(|part| {
        slots(Path::new(&part.name))
            .into_iter()
            .filter_map(|slot| word(part.start.wrapping_add(slot)))
    });
    let file_at = |at: u64| parts.iter().find(|part| part.has(at));
    targets.filter_map(file_at).find_map(|part| allocators.get(Path::new(&part.name)).copied())
}

/// Where the loader writes down whose operators the object at `path` has, from its first byte in memory on.
fn slots(path: &Path) -> Vec<u64> {
    static FOUND: Found<Vec<u64>> = Found::new();
    FOUND.at(path, |path| in_file(path).unwrap_or_default()).unwrap_or_default()
}

fn in_file(path: &Path) -> Option<Vec<u64>> {
    let file = ReadCache::new(File::open(path).ok()?);
    let elf = Elf::parse(&file).ok()?;
    let is_one = |name: &[u8]| NAMES.iter().any(|start| name.starts_with(start));
    let wanted: HashSet<_> = elf
        .dynamic_symbols()
        .filter(|symbol| symbol.is_undefined() && symbol.name_bytes().is_ok_and(is_one))
        .map(|symbol| symbol.index())
        .collect();
    // A program at a fixed address begins there.
    let start = elf.relative_address_base();
    let relocations = elf.dynamic_relocations().filter(|_| !wanted.is_empty())?;
    let is_wanted = |target| matches!(target, RelocationTarget::Symbol(at) if wanted.contains(&at));
    let slots = relocations.filter(|(_, relocation)| is_wanted(relocation.target()));
    Some(slots.map(|(at, _)| at.wrapping_sub(start)).collect())
}
