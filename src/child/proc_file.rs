//! The texts of procfs. Names in them are bytes: what is not UTF-8 is replaced, and so fit to be shown
//! and for nothing else.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes that are read at a time: their sizes are nothing that the kernel tells, and most are less.
const USUAL: usize = 8 << 10;

/// The text of the file at `path`.
///
/// # Errors
/// Where it can't be read.
pub(crate) fn text(path: impl AsRef<Path>) -> io::Result<String> {
    let mut bytes = Vec::with_capacity(USUAL);
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}
