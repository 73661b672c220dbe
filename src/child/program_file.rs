//! A program's file, as far as it decides whether the preload heap can be loaded into it.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef};

/// The most that the path of a loader takes (`PATH_MAX`).
const LONGEST: u64 = 4096;

/// The bits of a file's mode that give a program other rights than its user's.
const SET_ID: u32 = 0o6000;

/// What loads a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Loader {
    /// Nobody: it is linked statically.
    None,
    /// This one.
    At(PathBuf),
}

impl Loader {
    /// Of the ELF program at `path`; `None` where it is another kind of file, or can't be read.
    pub(super) fn of(path: &Path) -> Option<Self> {
        // The opening of a pipe would not come back.
        if !path.is_file() {
            return None;
        }
        // What patches programs may put the program headers to the file's end.
        let file = ReadCache::new(File::open(path).ok()?);
        let header = FileHeader64::<Endianness>::parse(&file).ok()?;
        let endian = header.endian().ok()?;
        let segments = header.program_headers(endian, &file).ok()?;
        let Some(segment) = segments.iter().find(|segment| segment.p_type(endian) == PT_INTERP)
        else {
            return Some(Self::None);
        };
        let len = segment.p_filesz(endian).min(LONGEST);
        let path = (&file).read_bytes_at(segment.p_offset(endian), len).ok()?;
        let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(Self::At(PathBuf::from(std::ffi::OsStr::from_bytes(path))))
    }

    /// Whether it is musl's, which fails on what was built for glibc.
    pub(super) fn is_of_musl(&self) -> bool {
        let Self::At(path) = self else { return false };
        path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"ld-musl"))
    }
}

/// Why a child's preload heap may have stayed silent: a sentence about the file at `program`.
pub(crate) fn why_silent(program: &Path) -> String {
    let path = on_search_path(program);
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.mode() & SET_ID != 0) {
        return "it is a set-id program, which ignores LD_PRELOAD".to_owned();
    }
    if has_capabilities(&path) {
        return "its file has capabilities, and it ignores LD_PRELOAD".to_owned();
    }
    if !Path::new("/proc/self/fd").exists() {
        return "there is no /proc here, where it finds its ledger".to_owned();
    }
    match Loader::of(&path) {
        None => "it is not a 64-bit ELF program, or starts one that is not preloaded".to_owned(),
        Some(Loader::None) => "it is statically linked, and ignores LD_PRELOAD".to_owned(),
        Some(loader @ Loader::At(_)) if loader.is_of_musl() => {
            "it is linked with musl, another C library".to_owned()
        }
        Some(Loader::At(_)) => {
            "it ended before the loader was done, or another C library loaded it".to_owned()
        }
    }
}

/// Whether the file at `path` gives rights of its own (capabilities(7), "File capabilities").
fn has_capabilities(path: &Path) -> bool {
    rustix::fs::getxattr(path, "security.capability", &mut [0_u8; 64]).is_ok_and(|len| len > 0)
}

/// Where `program` lies: a name is looked for in the folders of `PATH`.
pub(super) fn on_search_path(program: &Path) -> PathBuf {
    if program.components().count() > 1 {
        return program.to_path_buf();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| program.to_path_buf())
}

#[cfg(test)]
mod tests {
    use object::pod::bytes_of_slice;

    use super::*;

    #[test]
    fn a_program_names_its_loader() {
        let own = std::env::current_exe().expect("a test has a path");
        let Some(Loader::At(loader)) = Loader::of(&own) else { panic!("it has a loader") };
        assert!(loader.is_file() && !Loader::At(loader.clone()).is_of_musl(), "{loader:?}");
        assert!(Loader::At("/lib/ld-musl-x86_64.so.1".into()).is_of_musl());
    }

    #[test]
    fn its_headers_may_lie_anywhere() {
        let own = std::env::current_exe().expect("a test has a path");
        let mut program = std::fs::read(&own).expect("it can be read");
        let header = FileHeader64::<Endianness>::parse(&*program).expect("it is a program");
        let endian = header.endian().expect("it has one");
        let segments = header.program_headers(endian, &*program).expect("it has some");
        let headers = bytes_of_slice(segments).to_vec();
        let at = program.len().next_multiple_of(8);
        program.resize(at, 0);
        program.extend(headers);
        // `e_phoff`, behind the identification, the type, the machine, the version and the entry.
        program[32..40].copy_from_slice(&at.to_ne_bytes());
        let folder = tempfile::tempdir().expect("a folder");
        let patched = folder.path().join("patched");
        std::fs::write(&patched, program).expect("a file");
        assert!(matches!(Loader::of(&own), Some(Loader::At(_))));
        assert_eq!(Loader::of(&patched), Loader::of(&own));
    }

    #[test]
    fn what_is_no_program_has_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("script");
        assert_eq!(Loader::of(&path), None);
        std::fs::write(&path, "#!/bin/sh\n").expect("a file");
        assert_eq!(Loader::of(&path), None);
        assert_eq!(Loader::of(folder.path()), None);
    }
}
