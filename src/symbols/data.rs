//! The names of data: which variable of a module an address is in, or else which section.
//!
//! A file that is not the one that was loaded names nothing: both have to start alike, with the
//! build id that linkers place there.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use object::elf::{SHF_ALLOC, SHF_TLS};
use object::read::elf::ElfFile64;
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, ReadCache, ReadRef, SectionFlags, SymbolKind,
};

use super::{Module, name};

/// A module as it was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    /// The file it was loaded from.
    pub(crate) path: PathBuf,
    /// Its first bytes, as they are in memory.
    pub(crate) head: Arc<[u8]>,
}

/// What an address is looked for among.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Among {
    /// The variables that all threads share.
    Data,
    /// Thread-locals: addresses are offsets from their first.
    ThreadLocals,
}

/// The names of the modules' data.
#[derive(Debug, Default)]
pub(crate) struct DataNames {
    /// By file: what tracebacks call the modules that were loaded by a link.
    links: HashMap<PathBuf, Arc<str>>,
    modules: HashMap<PathBuf, Names>,
}

/// Where a name's bytes start, how many they are, and it.
type Named = (u64, u64, String);

/// The names of one module.
#[derive(Debug, Default)]
struct Names {
    data: Vec<Named>,
    thread_locals: Vec<Named>,
    sections: Vec<Named>,
}

impl DataNames {
    /// The names of data; `modules` are those that tracebacks know.
    pub(crate) fn new(modules: &[Option<Module>]) -> Self {
        let links = modules.iter().flatten().filter_map(|module| {
            let file = std::fs::canonicalize(&module.path).ok()?;
            Some((file, super::base_name(&module.path)?))
        });
        Self { links: links.collect(), modules: HashMap::new() }
    }

    /// What `image` is called in tracebacks, too.
    pub(crate) fn module(&self, image: &Image) -> Arc<str> {
        let link = self.links.get(&image.path).cloned();
        link.or_else(|| super::base_name(&image.path)).unwrap_or_default()
    }

    /// The variable of `image` that `address` is in, as `name` or `name+0x10`.
    pub(crate) fn variable(&mut self, image: &Image, among: Among, address: u64) -> Option<String> {
        let names = self.names(image);
        let (start, _, name) = match among {
            Among::Data => find(&names.data, address)?,
            Among::ThreadLocals => find(&names.thread_locals, address)?,
        };
        let name = name::clean(name);
        Some(match address - start {
            0 => name,
            offset => format!("{name}+{offset:#x}"),
        })
    }

    /// The section of `image` that `address` is in.
    pub(crate) fn section(&mut self, image: &Image, address: u64) -> Option<&str> {
        find(&self.names(image).sections, address).map(|(_, _, name)| name.as_str())
    }

    fn names(&mut self, image: &Image) -> &Names {
        // A path that two modules have had was loaded anew: the file can be one of them alone.
        self.modules
            .entry(image.path.clone())
            .or_insert_with(|| Names::read(image).unwrap_or_default())
    }
}

/// The one of `names`, sorted, that `address` is in and that starts nearest to it.
fn find(names: &[Named], address: u64) -> Option<&Named> {
    /// Variables have none inside; what a linker or an assembler makes may.
    const INSIDE: usize = 16;
    let up_to = names.partition_point(|(start, ..)| *start <= address);
    let near = names[..up_to].iter().rev().take(INSIDE);
    near.into_iter().find(|(start, size, _)| address - start < *size)
}

impl Names {
    fn read(image: &Image) -> Option<Self> {
        // What lies there now may be a pipe, whose opening would never end.
        if !image.path.is_file() {
            return None;
        }
        let file = ReadCache::new(File::open(&image.path).ok()?);
        let head = (&file).read_bytes_at(0, image.head.len() as u64).ok()?;
        if image.head.is_empty() || head != &*image.head {
            return None;
        }
        let elf = ElfFile64::<Endianness, _>::parse(&file).ok()?;
        let mut names = Self::default();
        for symbol in elf.symbols().chain(elf.dynamic_symbols()) {
            let list = match symbol.kind() {
                SymbolKind::Data => &mut names.data,
                SymbolKind::Tls => &mut names.thread_locals,
                _ => continue,
            };
            if !symbol.is_undefined()
                && symbol.size() > 0
                && let Ok(name) = symbol.name()
            {
                list.push((symbol.address(), symbol.size(), name.to_owned()));
            }
        }
        for section in elf.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
            let in_memory = sh_flags & (SHF_ALLOC | SHF_TLS) == SHF_ALLOC;
            if in_memory && let Ok(name) = section.name() {
                names.sections.push((section.address(), section.size(), name.to_owned()));
            }
        }
        for list in [&mut names.data, &mut names.thread_locals, &mut names.sections] {
            // Of names for the same bytes the last is found: `environ`, not `__environ`.
            list.sort_unstable_by(|a, b| (a.0, Reverse(a.1), &a.2).cmp(&(b.0, Reverse(b.1), &b.2)));
        }
        Some(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let named = |start, size, name: &str| (start, size, name.to_owned());
        let names = [
            named(0x10, 0x40, "table"),
            named(0x20, 8, "__inner"),
            named(0x20, 8, "inner"),
            named(0x60, 0, "end"),
        ];
        let find = |address| find(&names, address).map(|(_, _, name)| name.as_str());
        assert_eq!(find(0x27), Some("inner"));
        assert_eq!(
            (find(0x10), find(0x28), find(0x4f)),
            (Some("table"), Some("table"), Some("table"))
        );
        assert_eq!((find(0), find(0x50), find(0x60)), (None, None, None));
    }

    #[test]
    fn a_file_that_is_not_the_loaded_one_names_nothing() {
        let path = std::env::current_exe().expect("it has a path");
        let head = std::fs::read(&path).expect("it can be read");
        let of = |head: &[u8]| Names::read(&Image { path: path.clone(), head: head.into() });
        assert!(of(&head[..4096]).is_some_and(|names| !names.data.is_empty()));
        let mut other = head[..4096].to_vec();
        other[4000] ^= 1;
        assert!(of(&other).is_none());
        assert!(of(&[]).is_none());
    }
}
