//! A suppression file: which format it has, and what it holds.
//!
//! The first line that is no comment tells the formats apart: valgrind's blocks start with `{`.

use std::fs;
use std::path::{Path, PathBuf};

use super::lines::{Lines, Wrong};
use super::{Suppression, lsan, valgrind};

/// Why a file gives no suppressions.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SuppressionError {
    /// The file can't be read.
    #[error("{place}: {} cannot be read: {source}", path.display())]
    Unreadable { place: String, path: PathBuf, source: std::io::Error },
    /// The file says something that it can't.
    #[error("{}:{line}: {problem}", path.display())]
    Wrong { path: PathBuf, line: usize, problem: String },
}

/// Reads the file at `path`, which errors and notes call `shown`; `place` is what names it.
pub(crate) fn load(
    path: &Path,
    shown: &Path,
    place: &str,
) -> Result<Vec<Suppression>, SuppressionError> {
    let text = fs::read_to_string(path).map_err(|source| SuppressionError::Unreadable {
        place: place.to_owned(),
        path: shown.to_owned(),
        source,
    })?;
    parse(shown, &text)
}

/// The suppressions in `text`, the file that errors and notes call `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Suppression>, SuppressionError> {
    let mut lines = Lines::new(path, text);
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let read = match first {
        Some(first) if first.starts_with('{') => valgrind::read(&mut lines),
        Some(_) => lsan::read(&mut lines),
        None => Err(Wrong::at(1, "there is no suppression in it; write one, or don't name it")),
    };
    read.map_err(|Wrong { line, problem }| SuppressionError::Wrong {
        path: path.to_owned(),
        line,
        problem,
    })
}

#[cfg(test)]
mod tests;
