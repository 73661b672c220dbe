//! GitLab's code quality report: an array of objects with `description`, `check_name`,
//! `fingerprint`, `severity` and `location` (GitLab documentation, "Code Quality report format").
//!
//! Several test executables, and with nextest a process for each trial, write to one file: each
//! takes it under a lock, replaces what is there of its own trials, and leaves the others'.

use std::fs::{File, OpenOptions};
use std::hash::Hasher;
use std::io::{Read, Seek, Write};
use std::path::Path;

use fnv::FnvHasher;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::Trials;
use super::finding::{Finding, Remark};

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    description: String,
    check_name: String,
    fingerprint: String,
    severity: String,
    location: Location,
}

#[derive(Debug, Serialize, Deserialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Debug, Serialize, Deserialize)]
struct Lines {
    begin: usize,
}

/// Brings the report at `path` up to date with the `trials` that ran.
///
/// # Errors
/// Where the file can't be read or written, or is no such report: the file and what to do.
pub(super) fn update(path: &Path, trials: &Trials) -> Result<(), String> {
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let mut file: File = file.map_err(named)?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| named(error.into()))?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(named)?;
    let mut entries: Vec<Entry> = if text.trim().is_empty() {
        Vec::new()
    } else {
        serde_json::from_str(&text).map_err(|error| {
            format!(
                "{}:{}: it is no code quality report ({error}); remove it",
                path.display(),
                error.line()
            )
        })?
    };
    let checks: Vec<_> = trials.keys().map(|trial| check_name(trial)).collect();
    entries.retain(|entry| !checks.contains(&entry.check_name));
    entries.extend(trials.values().flatten().filter(|finding| finding.fails).flat_map(of));
    entries.sort_by(|left, right| left.fingerprint.cmp(&right.fingerprint));
    // Strings and numbers alone can't fail to be written.
    let text = serde_json::to_string_pretty(&entries).unwrap_or_default() + "\n";
    file.rewind().and_then(|()| file.set_len(0)).map_err(named)?;
    file.write_all(text.as_bytes()).map_err(named)
}

fn of(finding: &Finding) -> impl Iterator<Item = Entry> {
    finding.remarks.iter().map(|remark| entry(finding, remark))
}

fn entry(finding: &Finding, remark: &Remark) -> Entry {
    let (path, begin) = match &remark.place {
        Some(place) => (place.file.clone(), place.line),
        // GitLab wants a file; a closure's trial that fails elsewhere has none.
        None => ("Cargo.toml".to_owned(), 1),
    };
    Entry {
        description: format!("{}: {}", finding.trial, remark.title),
        check_name: check_name(&finding.trial),
        fingerprint: fingerprint(finding, remark),
        severity: "major".to_owned(),
        location: Location { path, lines: Lines { begin } },
    }
}

fn check_name(trial: &str) -> String {
    format!("leaksnap/{trial}")
}

/// The same for the same traceback in every run, whatever line it moved to.
fn fingerprint(finding: &Finding, remark: &Remark) -> String {
    let mut hash = FnvHasher::default();
    let key = remark.key.iter().map(String::as_str);
    for part in [finding.trial.as_str()].into_iter().chain(key) {
        hash.write(part.as_bytes());
        hash.write_u8(b'\n');
    }
    format!("{:016x}", hash.finish())
}
