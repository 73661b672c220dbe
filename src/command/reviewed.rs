//! `leaksnap diff OLD.snap NEW.snap`: two snapshots, compared by traceback. It is what cargo-insta
//! shows instead of a comparison of lines where `INSTA_DIFF_TOOL` says so.

use std::fs;
use std::path::Path;

use super::output::show;
use crate::snapshot::{self, SnapshotGroup};

/// Whether both files are snapshots by their names.
pub(super) fn are_snapshots(files: [&Path; 2]) -> bool {
    files.iter().all(|file| file.extension().is_some_and(|extension| extension == "snap"))
}

/// Shows how `after` differs from `before`; the exit status: 1 where something is new or more.
///
/// # Errors
/// Where one can't be read or is damaged: with its place.
pub(super) fn compare(before: &Path, after: &Path) -> Result<u8, String> {
    let difference = snapshot::compare(&read(before)?, &read(after)?);
    show(&difference.to_string());
    Ok(u8::from(difference.fails()))
}

/// What is in a snapshot, which may lack the header, as those that cargo-insta hands over do.
fn read(file: &Path) -> Result<Vec<SnapshotGroup>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let (header, body) = snapshot::split(&text).unwrap_or((0, &text));
    snapshot::parse(body)
        .map_err(|error| format!("{}:{}: {error}", file.display(), header + error.line))
}
