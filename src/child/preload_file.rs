//! The preload heap as a file that the loader can open.
//!
//! It lies beside the executable under a name with its hash, so that two versions never share
//! one, written to a temporary name and renamed, so that nobody ever loads half of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::file_state::FileState;
use crate::ledger::header::PRELOAD_PREFIX;

/// The shared object that `build.rs` made; empty where the target can't have one.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preload_heap.so"));

/// What tells it from that of other versions in its file's name; the content is compared whole.
const HASH: &str = env!("LEAKSNAP_PRELOAD_HASH");

/// Why the preload heap can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PreloadError {
    /// This target has none.
    #[error("leaksnap checks Linux with glibc on x86-64 and aarch64; this is another target")]
    Unsupported,
    /// No folder takes the file.
    #[error("write the preload heap to {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Why there is none; `None` where there is one.
pub(crate) fn unsupported() -> Option<PreloadError> {
    OBJECT.is_empty().then_some(PreloadError::Unsupported)
}

/// The path of the preload heap, written where it is not there yet.
///
/// # Errors
/// Where the target has none, or neither the executable's folder nor the user's cache takes it.
pub(crate) fn path() -> Result<PathBuf, PreloadError> {
    if let Some(error) = unsupported() {
        return Err(error);
    }
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_path_buf()));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .map(|cache| cache.join("leaksnap"));
    let mut refused = None;
    for folder in [beside, cache].into_iter().flatten() {
        let path = folder.join(format!("{PRELOAD_PREFIX}{HASH}.so"));
        match provide(&path) {
            Ok(()) => return Ok(path),
            Err(source) => {
                refused.get_or_insert(PreloadError::Write { path, source });
            }
        }
    }
    Err(refused.unwrap_or(PreloadError::Unsupported))
}

/// Makes sure that `path` holds the object, whole and unchanged.
fn provide(path: &Path) -> io::Result<()> {
    // The loader splits LD_PRELOAD at spaces and colons.
    if path.as_os_str().as_bytes().iter().any(|byte| b" :".contains(byte)) {
        let text = "the loader takes no path with a space or a colon";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let there = state(path).filter(FileState::is_out_of_reach);
    if there.is_some_and(|there| is_known(path, there) || is_whole(path, there)) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(OBJECT)?;
    file.as_file().set_permissions(PermissionsExt::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

/// That of the file itself, where `path` is a link.
fn state(path: &Path) -> Option<FileState> {
    fs::symlink_metadata(path).ok().as_ref().map(FileState::of)
}

/// Files that were read to their end, as they were before: each child is given one.
static WHOLE: Mutex<BTreeMap<PathBuf, FileState>> = Mutex::new(BTreeMap::new());

fn is_known(path: &Path, there: FileState) -> bool {
    WHOLE.lock().unwrap_or_else(PoisonError::into_inner).get(path) == Some(&there)
}

/// Whether `path`, which is `there`, holds the object.
fn is_whole(path: &Path, there: FileState) -> bool {
    let is_whole = File::open(path).is_ok_and(|file| holds(file, OBJECT).unwrap_or(false));
    if is_whole {
        WHOLE.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), there);
    }
    is_whole
}

/// Whether `file` holds `content` and no more.
fn holds(mut file: impl Read, content: &[u8]) -> io::Result<bool> {
    // As a whole it would be new pages, which the kernel has to clear, in each start of the command.
    let mut buffer = [0; 16 << 10];
    for part in content.chunks(buffer.len()) {
        let read = &mut buffer[..part.len()];
        file.read_exact(read)?;
        if read != part {
            return Ok(false);
        }
    }
    Ok(file.read(&mut buffer)? == 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_damaged_file_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("heap.so");
        provide(&path).expect("written");
        assert!(!is_known(&path, state(&path).expect("it is there")));
        provide(&path).expect("read");
        assert!(is_known(&path, state(&path).expect("it is there")), "it is read once");
        fs::write(&path, b"half").expect("damaged");
        provide(&path).expect("written again");
        assert_eq!(fs::read(&path).expect("there"), OBJECT);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no temporary");
    }

    #[test]
    fn a_file_holds_what_it_should_where_not_a_byte_differs() {
        for len in [0, 1, (16 << 10) - 1, 16 << 10, (16 << 10) + 1, 50_000] {
            let content: Vec<u8> = (0..=250).cycle().take(len).collect();
            let is_it = |file: &[u8]| holds(file, &content).unwrap_or(false);
            assert!(is_it(&content));
            assert!(!is_it(&[&content[..], &[0]].concat()), "longer than {len}");
            for at in [0, len / 2, len.saturating_sub(1)].into_iter().filter(|at| *at < len) {
                let mut other = content.clone();
                other[at] ^= 1;
                assert!(!is_it(&other) && !is_it(&content[..at]), "{at} of {len}");
            }
        }
    }

    #[test]
    fn what_others_could_change_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other) = (folder.path().join("heap.so"), folder.path().join("other.so"));
        let mode = || fs::symlink_metadata(&path).expect("it is there").mode();
        provide(&path).expect("written");
        assert_eq!(mode() & 0o777, 0o644);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("it is ours");
        provide(&path).expect("written again");
        assert_eq!(mode() & 0o777, 0o644);
        fs::rename(&path, &other).expect("it is ours");
        std::os::unix::fs::symlink(&other, &path).expect("a link");
        provide(&path).expect("written again");
        assert_eq!(mode(), 0o100_644, "it is a file");
    }

    #[test]
    fn a_new_folder_is_the_user_s_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("cache");
        provide(&cache.join("leaksnap/heap.so")).expect("written");
        for folder in [cache.join("leaksnap"), cache] {
            let mode = fs::metadata(folder).expect("it is there").mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }

    #[test]
    fn a_path_that_the_loader_would_split_is_refused() {
        let folder = tempfile::Builder::new().prefix("a b").tempdir().expect("a folder");
        assert!(provide(&folder.path().join("heap.so")).is_err());
    }

    #[test]
    fn it_exports_the_entry_points_and_nothing_else() {
        let path = path().expect("this target has one");
        let output = std::process::Command::new("nm")
            .args(["-D", "--defined-only"])
            .arg(path)
            .output()
            .expect("binutils are there");
        let text = String::from_utf8(output.stdout).expect("nm prints text");
        let mut exported: Vec<_> =
            text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
        let mut listed: Vec<_> = crate::preload::entry_points::names().collect();
        exported.sort_unstable();
        listed.sort_unstable();
        assert_eq!(exported, listed);
    }
}
