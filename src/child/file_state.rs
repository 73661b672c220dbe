//! What tells a file from the one that was there before.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The coarsest clock of a file system (FAT): a file that was changed as lately may be changed once
/// more without that showing.
const COARSEST: Duration = Duration::from_secs(2);

/// What the kernel says of a file. Whoever changes the file changes this, but for the superuser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileState {
    is_file: bool,
    mode: u32,
    owner: u32,
    /// Device and number.
    which: (u64, u64),
    size: u64,
    /// When it was changed last.
    changed: (i64, i64),
}

impl FileState {
    /// That of a file with `metadata`.
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            is_file: metadata.is_file(),
            mode: metadata.mode(),
            owner: metadata.uid(),
            which: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether nobody else can change the file after it was looked at.
    pub(super) fn is_out_of_reach(&self) -> bool {
        const OTHERS_WRITE: u32 = 0o022;
        let is_trusted = self.owner == 0 || self.owner == rustix::process::geteuid().as_raw();
        self.is_file && is_trusted && self.mode & OTHERS_WRITE == 0
    }

    /// Whether a later change is sure to show.
    fn is_settled(&self) -> bool {
        let (seconds, nanos) = self.changed;
        let changed = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
        let Some((seconds, nanos)) = changed else { return true };
        let changed = UNIX_EPOCH.checked_add(Duration::new(seconds, nanos));
        let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        age.is_some_and(|age| age > COARSEST)
    }
}

/// What was found in files, kept as long as they are the same: a thousand scenarios run the same program.
#[derive(Debug)]
pub(super) struct Found<T>(Mutex<BTreeMap<FileState, T>>);

impl<T: Clone> Found<T> {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// What `read` finds in the file at `path`, or found before; `None` where there is no file, or
    /// nothing that its opening may wait for.
    pub(super) fn at(&self, path: &Path, read: impl FnOnce(&Path) -> T) -> Option<T> {
        let state = fs::metadata(path).ok().as_ref().map(FileState::of)?;
        // The opening of a pipe would not come back.
        if !state.is_file {
            return None;
        }
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(&state) {
            return Some(found.clone());
        }
        let found = read(path);
        if state.is_settled() {
            known().insert(state, found.clone());
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_is_the_same_is_read_once_and_what_may_have_changed_again() {
        let found = Found::new();
        let reads = Cell::new(0);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let read = |path: &Path| {
            reads.set(reads.get() + 1);
            fs::read(path).expect("it is there")
        };
        for text in ["one", "two", "two"] {
            fs::write(&path, text).expect("a file");
            // It was changed a moment ago, and may be once more.
            assert_eq!(found.at(&path, read), Some(text.into()));
        }
        assert_eq!(reads.replace(0), 3);
        let old = Path::new("/etc/passwd");
        for _ in 0..3 {
            assert_eq!(found.at(old, read), fs::read(old).ok());
        }
        assert_eq!(reads.get(), 1);
        assert_eq!(found.at(folder.path(), read), None);
        assert_eq!(found.at(&folder.path().join("none"), read), None);
    }
}
