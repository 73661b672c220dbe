//! Libraries with a `malloc` that nobody but they call: the preload heap's is in front of all others'
//! calls, but not of what was bound when the library was linked.
//!
//! A library that exports its `malloc` and calls it as everybody does (jemalloc, tcmalloc, a
//! sanitizer) has the preload heap's like everybody.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{DF_SYMBOLIC, DT_FLAGS, DT_SYMBOLIC, FileHeader64, SHT_DYNSYM, SHT_SYMTAB};
use object::elf::{PT_DYNAMIC, STT_FUNC, SectionType};
use object::read::ReadCache;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym};

/// How the names of files begin whose `malloc` is known: libc's, and the loader's for itself.
const KNOWN: [&str; 5] = ["libc.so", "libc-", "libc_malloc_debug", "ld-", "ld.so"];

type Header = FileHeader64<Endianness>;

/// The name of a library in process `pid` that has a `malloc` of its own; `None` where there is none, or
/// nothing is known of it.
pub(crate) fn with_own_malloc(pid: u32) -> Option<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let found =
        libraries(&maps).into_iter().find(|path| *path != program && has_own_malloc(path))?;
    Some(found.file_name()?.to_string_lossy().into_owned())
}

/// The files in `maps` (proc_pid_maps(5)) that have code, but for those whose `malloc` is known.
fn libraries(maps: &str) -> BTreeSet<PathBuf> {
    let paths = maps.lines().filter_map(|line| {
        let is_code = line.split(' ').nth(1)?.contains('x');
        let path = Path::new(&line[line.find('/')?..]);
        let name = path.file_name()?.to_str()?;
        let is_known = KNOWN.iter().any(|start| name.starts_with(start))
            || name.starts_with(crate::child::preload_file::NAME_PREFIX);
        (is_code && !is_known).then(|| path.to_path_buf())
    });
    paths.collect()
}

/// Whether the library at `path` has a `malloc` that its own calls come to, whatever is in front: it is
/// hidden, or bound to itself with all that it exports.
fn has_own_malloc(path: &Path) -> bool {
    // The opening of a pipe would not come back.
    path.is_file() && File::open(path).is_ok_and(|file| read(&ReadCache::new(file)).is_some())
}

/// `Some` where the file has one.
fn read(file: &ReadCache<File>) -> Option<()> {
    let header = Header::parse(file).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, file).ok()?;
    let dynamic = segments.iter().find(|segment| segment.p_type(endian) == PT_DYNAMIC)?;
    let is_symbolic = dynamic.dynamic(endian, file).ok()??.iter().any(|it| {
        let is_flags = it.tag(endian) == DT_FLAGS;
        it.tag(endian) == DT_SYMBOLIC || is_flags && it.val(endian) & u64::from(DF_SYMBOLIC.0) != 0
    });
    let sections = header.sections(endian, file).ok()?;
    let has = |kind| has_malloc(&sections, endian, file, kind).unwrap_or(false);
    // What is exported is in both tables.
    let is_own = if is_symbolic {
        has(SHT_DYNSYM) || has(SHT_SYMTAB)
    } else {
        has(SHT_SYMTAB) && !has(SHT_DYNSYM)
    };
    is_own.then_some(())
}

/// Whether the table of `kind` has a function `malloc`.
fn has_malloc<'file>(
    sections: &SectionTable<'file, Header, &'file ReadCache<File>>,
    endian: Endianness,
    file: &'file ReadCache<File>,
    kind: SectionType,
) -> Option<bool> {
    let (_, section) = sections.enumerate().find(|(_, it)| it.sh_type(endian) == kind)?;
    let names = sections.section(section.link(endian)).ok()?.data(endian, file).ok()?;
    // Names may share their ends. Of most libraries no further byte has to be read.
    if !std::str::from_utf8(names).ok()?.contains("malloc\0") {
        return None;
    }
    let table = sections.symbols(endian, file, kind).ok()?;
    let mut defined =
        table.iter().filter(|it| it.st_type() == STT_FUNC && !it.is_undefined(endian));
    Some(defined.any(|it| it.name(endian, table.strings()) == Ok(b"malloc")))
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
        assert_eq!(libraries(maps), BTreeSet::from([PathBuf::from("/lib/a b.so")]));
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
