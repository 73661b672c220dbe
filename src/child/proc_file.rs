//! The texts of procfs. Names in them are bytes: what is not UTF-8 is replaced, and so fit to be shown
//! and for nothing else.

use std::io;
use std::path::Path;

/// The text of the file at `path`.
///
/// # Errors
/// Where it can't be read.
pub(crate) fn text(path: impl AsRef<Path>) -> io::Result<String> {
    let bytes = std::fs::read(path)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}
