//! Damaged input: what the fuzz targets feed.

use crate::preload::unwind::input;

/// Walks a stack by unwind data, both of them made of `bytes`; how many frames were found. The
/// form is that of `src/preload/unwind/input.rs`.
#[must_use]
pub fn walk(bytes: &[u8]) -> Option<usize> {
    input::walk_bytes(bytes)
}
