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

use crate::child::proc_file;
use crate::ledger::header::PRELOAD_PREFIX;

/// How the names of files begin whose `malloc` is known: libc's, and the loader's for itself.
const KNOWN: [&str; 5] = ["libc.so", "libc-", "libc_malloc_debug", "ld-", "ld.so"];

const NAME: &[u8] = b"malloc\0";

type Header = FileHeader64<Endianness>;

/// Which libraries' calls come to a `malloc` that is not the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Those of a library that was linked so.
    BoundWhenLinked,
    /// Those of any: what was opened with `RTLD_DEEPBIND` finds its own libraries' first.
    BoundToAnyLibrary,
}

/// The name of a library in process `pid` that has a `malloc` of its own; `None` where there is none, or
/// nothing is known of it.
pub(crate) fn with_own_malloc(pid: u32, calls: Calls) -> Option<String> {
    let maps = proc_file::text(format!("/proc/{pid}/maps")).ok()?;
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let is_its = |path: &PathBuf| *path != program && has_own_malloc(path, calls);
    let found = libraries(&maps).into_iter().find(is_its)?;
    Some(found.file_name()?.to_string_lossy().into_owned())
}

/// The files in `maps` (proc_pid_maps(5)) that have code, but for those whose `malloc` is known.
fn libraries(maps: &str) -> BTreeSet<PathBuf> {
    let paths = maps.lines().filter_map(|line| {
        let is_code = line.split(' ').nth(1)?.contains('x');
        let path = Path::new(&line[line.find('/')?..]);
        let name = path.file_name()?.to_str()?;
        let is_known =
            KNOWN.iter().any(|start| name.starts_with(start)) || name.starts_with(PRELOAD_PREFIX);
        (is_code && !is_known).then(|| path.to_path_buf())
    });
    paths.collect()
}

/// Whether the library at `path` has a `malloc` that its own calls come to, whatever is in front: it is
/// hidden, or bound to itself with all that it exports; or one that others' may come to.
fn has_own_malloc(path: &Path, calls: Calls) -> bool {
    // The opening of a pipe would not come back.
    let is_its = |file| read(&ReadCache::new(file), calls).is_some();
    path.is_file() && File::open(path).is_ok_and(is_its)
}

/// `Some` where the file has one.
fn read(file: &ReadCache<File>, calls: Calls) -> Option<()> {
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
        Some(is_defined) => is_defined && (is_symbolic || calls == Calls::BoundToAnyLibrary),
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
        assert_eq!(libraries(maps), BTreeSet::from([PathBuf::from("/lib/a b.so")]));
    }

    #[test]
    fn this_process_s_libraries_have_none() {
        for calls in [Calls::BoundWhenLinked, Calls::BoundToAnyLibrary] {
            assert_eq!(with_own_malloc(std::process::id(), calls), None);
            assert_eq!(with_own_malloc(0, calls), None);
        }
        let has_own_malloc = |path| has_own_malloc(Path::new(path), Calls::BoundWhenLinked);
        assert!(!has_own_malloc("/proc/self") && !has_own_malloc("/etc/passwd"));
    }
}
