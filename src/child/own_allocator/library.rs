//! Libraries with a `malloc` that nobody but they call: the preload heap's is in front of all others'
//! calls, but not of what was bound when the library was linked.
//!
//! A library that exports its `malloc` and calls it as everybody does (jemalloc, tcmalloc, a
//! sanitizer) has the preload heap's like everybody.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use object::Endianness;
use object::elf::{DF_SYMBOLIC, DT_FLAGS, DT_SYMBOLIC, FileHeader64, SHT_DYNSYM, SHT_SYMTAB};
use object::elf::{PT_DYNAMIC, STT_FUNC, SectionType};
use object::read::ReadCache;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym};

use crate::child::file_state::Found;
use crate::child::proc_file;
use crate::ledger::header::PRELOAD_PREFIX;

/// How the names of files begin whose `malloc` is known: libc's, and the loader's for itself.
const KNOWN: [&str; 5] = ["libc.so", "libc-", "libc_malloc_debug", "ld-", "ld.so"];

const NAME: &[u8] = b"malloc\0";

type Header = FileHeader64<Endianness>;

/// The name of a library in process `pid` that has a `malloc` of its own; `None` where there is none, or
/// nothing is known of it.
pub(crate) fn with_own_malloc(pid: u32) -> Option<String> {
    let maps = proc_file::text(format!("/proc/{pid}/maps")).ok()?;
    own_malloc_in(pid, with_code(&maps))
}

/// The same, where it is known already which `files` have code in the process.
pub(crate) fn own_malloc_in<'a>(pid: u32, files: impl Iterator<Item = &'a str>) -> Option<String> {
    let libraries = libraries(files);
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let found = libraries.into_iter().find(|path| **path != program && has_own_malloc(path))?;
    Some(found.file_name()?.to_string_lossy().into_owned())
}

/// The files in `maps` (proc_pid_maps(5)) that have code.
fn with_code(maps: &str) -> impl Iterator<Item = &str> {
    maps.lines().filter_map(|line| {
        let is_code = line.split(' ').nth(1)?.contains('x');
        let file = &line[line.find('/')?..];
        is_code.then_some(file)
    })
}

/// Those of `files` whose `malloc` is not known.
fn libraries<'a>(files: impl Iterator<Item = &'a str>) -> BTreeSet<&'a Path> {
    let is_known = |path: &&Path| {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return true };
        KNOWN.iter().any(|start| name.starts_with(start)) || name.starts_with(PRELOAD_PREFIX)
    };
    files.map(Path::new).filter(|path| !is_known(path)).collect()
}

/// Whether the library at `path` has a `malloc` that its own calls come to, whatever is in front: it is
/// hidden, or bound to itself with all that it exports.
fn has_own_malloc(path: &Path) -> bool {
    static FOUND: Found<bool> = Found::new();
    let in_file =
        |path: &Path| File::open(path).is_ok_and(|file| read(&ReadCache::new(file)).is_some());
    FOUND.at(path, in_file).unwrap_or(false)
}

/// `Some` where the file has one.
fn read(file: &ReadCache<File>) -> Option<()> {
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
    let is_own = match malloc_in(SHT_DYNSYM, &sections, endian, file) {
        Some(is_defined) => is_defined && is_symbolic,
        None => malloc_in(SHT_SYMTAB, &sections, endian, file)?,
    };
    is_own.then_some(())
}

/// Whether a `malloc` is defined by the table of `kind`; `None` where there is none.
fn malloc_in<'file>(
    kind: SectionType,
    sections: &SectionTable<'file, Header, &'file ReadCache<File>>,
    endian: Endianness,
    file: &'file ReadCache<File>,
) -> Option<bool> {
    let section = sections.iter().find(|it| it.sh_type(endian) == kind)?;
    let names = sections.section(section.link(endian)).ok()?.data(endian, file).ok()?;
    let table = sections.symbols(endian, file, kind).ok()?;
    let is_malloc = |at: u32| {
        let name = names.get(usize::try_from(at).ok()?..)?.get(..NAME.len())?;
        (name == NAME).then_some(())
    };
    let found = table.iter().find(|it| is_malloc(it.st_name(endian)).is_some())?;
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
        assert_eq!(libraries(with_code(maps)), BTreeSet::from([Path::new("/lib/a b.so")]));
    }

    #[test]
    fn this_process_s_libraries_have_none() {
        assert_eq!(with_own_malloc(std::process::id()), None);
        assert_eq!(with_own_malloc(0), None);
        assert!(
            !has_own_malloc(Path::new("/proc/self")) && !has_own_malloc(Path::new("/etc/passwd"))
        );
    }
}
