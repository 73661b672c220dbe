//! What a child is told of the test that it runs again: a file in JSON, which nobody but this
//! executable reads.

use std::fs::File;
use std::io::{self, BufReader, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::protocol::RECORD_VARIABLE;
use crate::report::Report;

/// One call, and what it came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Made {
    /// Its file, line and column.
    pub(super) place: String,
    pub(super) result: Result<Report, Error>,
}

/// Which call the child is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// The process that waits for the child.
    pub(super) parent: u32,
    /// The thread's name, which is the test's.
    pub(super) thread: String,
    /// The call's file, line and column.
    pub(super) place: String,
    /// The calls that this thread made before.
    pub(super) earlier: Vec<Made>,
}

/// A record, until it is dropped; no folder has it.
#[derive(Debug)]
pub(super) struct RecordFile {
    file: File,
    place: String,
}

impl Record {
    /// The record that this process was started with; `None` where it was started without. What
    /// a child starts itself has the variable, too, and is not meant.
    pub(super) fn of_this_process() -> Option<Result<&'static Self, String>> {
        static RECORD: OnceLock<Option<Result<Record, String>>> = OnceLock::new();
        let read = || {
            let path = PathBuf::from(std::env::var_os(RECORD_VARIABLE)?);
            let file = File::open(&path).map(BufReader::new);
            let read = file.and_then(|file| serde_json::from_reader(file).map_err(io::Error::from));
            let read: io::Result<Record> = read;
            match read {
                Ok(record) if record.parent != parent() => None,
                Ok(record) => Some(Ok(record)),
                Err(error) => Some(Err(format!("read the record at {}: {error}", path.display()))),
            }
        };
        RECORD.get_or_init(read).as_ref().map(|record| record.as_ref().map_err(Clone::clone))
    }
}

/// The process that started this one.
fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

impl RecordFile {
    /// Writes `record` where the child can read it.
    ///
    /// # Errors
    /// Where there is no place for it.
    pub(super) fn write(record: &Record) -> io::Result<Self> {
        let mut file = tempfile::tempfile()?;
        serde_json::to_writer(&mut file, record)?;
        file.flush()?;
        file.rewind()?;
        Ok(Self { file, place: record.place.clone() })
    }

    /// The path that a child finds it by.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// The recorded call's file, line and column.
    pub(super) fn place(&self) -> &str {
        &self.place
    }
}
