//! Libraries with a `malloc` that nobody but they call: the preload heap's is in front of all others'
//! calls, but not of what was bound when the library was linked.
//!
//! A library that exports its `malloc` and calls it as everybody does (jemalloc, tcmalloc, a
//! sanitizer) has the preload heap's like everybody; its [`operator new`](super::operators) has not.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use object::Endianness;
use object::elf::{DF_SYMBOLIC, DT_FLAGS, DT_SYMBOLIC, FileHeader64, SHT_DYNSYM, SHT_SYMTAB};
use object::elf::{PT_DYNAMIC, STT_FUNC, SectionType};
use object::read::ReadCache;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym};

use super::operators::behind_new;
use super::own_allocator;
use crate::child::file_state::Found;
use crate::child::proc_file;
use crate::ledger::header::PRELOAD_PREFIX;

/// How the names of files begin that are known: libc's, the loader's with a `malloc` for itself, and the
/// C++ libraries, whose `operator new` comes to `malloc`.
const KNOWN: [&str; 7] =
    ["libc.so", "libc-", "libc_malloc_debug", "ld-", "ld.so", "libstdc++.so", "libc++"];

const MALLOC: &[u8] = b"malloc\0";
const NEW: &[u8] = b"_Znwm\0";

/// What a library has of an allocator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Has {
    /// A `malloc` that its own calls come to, whatever is in front: it is hidden, or bound to itself with
    /// all that it exports.
    own_malloc: bool,
    /// A `malloc` for everybody.
    malloc: bool,
    /// An `operator new` for everybody, which is not known to come to the preload heap's `malloc`.
    operators: bool,
}

/// Libraries of a process whose blocks the preload heap does not see, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Apart {
    /// One that has a `malloc` of its own.
    pub(crate) malloc: Option<String>,
    /// One whose `operator new` others have.
    pub(crate) operators: Option<String>,
}

type Header = FileHeader64<Endianness>;

/// Those of process `pid`; none where there is none, or nothing is known of it.
pub(crate) fn apart(pid: u32) -> Apart {
    let maps = proc_file::text(format!("/proc/{pid}/maps")).unwrap_or_default();
    apart_of(pid, with_code(&maps))
}

/// The same, where it is known already which `files` have code in the process.
pub(crate) fn apart_of<'a>(pid: u32, files: impl Iterator<Item = &'a str>) -> Apart {
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let libraries = libraries(files).into_iter().map(Path::new).filter(|path| **path != program);
    let libraries: Vec<_> = libraries.map(|path| (path, has(path))).collect();
    let malloc = libraries.iter().find(|(_, has)| has.own_malloc).map(|(path, _)| *path);
    let with_new = || libraries.iter().filter(|(_, has)| has.operators);
    // Whoever has operators alone calls them itself.
    let own_new = with_new().find(|(_, has)| !has.malloc).map(|(path, _)| *path);
    let of_all: BTreeSet<_> = with_new().map(|(path, _)| *path).collect();
    let operators = own_new.or_else(|| behind_new(pid, &of_all));
    let name = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
    Apart { malloc: malloc.and_then(name), operators: operators.and_then(name) }
}

/// The files in `maps` (proc_pid_maps(5)) that have code.
fn with_code(maps: &str) -> impl Iterator<Item = &str> {
    maps.lines().filter_map(|line| {
        let (_, rest) = line.split_once(' ')?;
        let is_code = rest.as_bytes().get(2) == Some(&b'x');
        Some(&rest[rest.find('/').filter(|_| is_code)?..])
    })
}

/// Those of `files` whose `malloc` is not known.
fn libraries<'a>(files: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let is_known = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        KNOWN.iter().any(|start| name.starts_with(start)) || name.starts_with(PRELOAD_PREFIX)
    };
    files.filter(|path| !is_known(path)).collect()
}

/// What the library at `path` has.
fn has(path: &Path) -> Has {
    static FOUND: Found<Has> = Found::new();
    let in_file = |path: &Path| {
        let has = read(&ReadCache::new(File::open(path).ok()?))?;
        // Where there is no `malloc` to go with it, its code tells.
        let operators = has.operators && (has.malloc || own_allocator(path).is_some());
        Some(Has { operators, ..has })
    };
    FOUND.at(path, |path| in_file(path).unwrap_or_default()).unwrap_or_default()
}

fn read(file: &ReadCache<File>) -> Option<Has> {
    let header = Header::parse(file).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, file).ok()?;
    let dynamic = segments.iter().find(|segment| segment.p_type(endian) == PT_DYNAMIC)?;
    let is_symbolic = dynamic.dynamic(endian, file).ok()??.iter().any(|it| {
        let is_flags = it.tag(endian) == DT_FLAGS;
        it.tag(endian) == DT_SYMBOLIC || is_flags && it.val(endian) & DF_SYMBOLIC.0 != 0
    });
    let sections = header.sections(endian, file).ok()?;
    // Most libraries import it, and no more of them has to be read.
    let defines = |kind, name| defines(kind, name, &sections, endian, file);
    let exports = defines(SHT_DYNSYM, MALLOC);
    let own_malloc = match exports {
        Some(is_defined) => is_defined && is_symbolic,
        None => defines(SHT_SYMTAB, MALLOC).unwrap_or(false),
    };
    let operators = defines(SHT_DYNSYM, NEW) == Some(true);
    Some(Has { own_malloc, malloc: exports == Some(true), operators })
}

/// Whether the function of `name` is defined by the table of `kind`; `None` where it is not in there.
fn defines<'file>(
    kind: SectionType,
    name: &[u8],
    sections: &SectionTable<'file, Header, &'file ReadCache<File>>,
    endian: Endianness,
    file: &'file ReadCache<File>,
) -> Option<bool> {
    let section = sections.iter().find(|it| it.sh_type(endian) == kind)?;
    let names = sections.section(section.link(endian)).ok()?.data(endian, file).ok()?;
    let table = sections.symbols(endian, file, kind).ok()?;
    let is_one = |at: u32| {
        let found = names.get(usize::try_from(at).ok()?..)?.get(..name.len())?;
        (found == name).then_some(())
    };
    let found = table.iter().find(|it| is_one(it.st_name(endian)).is_some())?;
    Some(found.st_type() == STT_FUNC && !found.is_undefined(endian))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_files_with_code_but_for_libc() {
        let maps = "\
1000-2000 r--p 00000000 08:01 12      /lib/data
2000-3000 r-xp 00000000 08:01 12      /lib/a b.so
3000-4000 r-xp 00000000 08:01 12      /lib/x86_64-linux-gnu/libc.so.6
4000-5000 r-xp 00000000 08:01 12      /lib64/ld-linux-x86-64.so.2
5000-6000 r-xp 00000000 00:00 0       [vdso]
6000-7000 rwxp 00000000 00:00 0 
nonsense
";
        assert_eq!(libraries(with_code(maps)), BTreeSet::from(["/lib/a b.so"]));
    }

    #[test]
    fn this_process_s_libraries_have_none() {
        assert_eq!(apart(std::process::id()), Apart::default());
        assert_eq!(apart(0), Apart::default());
        for path in ["/proc/self", "/etc/passwd"] {
            assert_eq!(has(Path::new(path)), Has::default());
        }
    }
}
