//! A snapshot's body: the accepted tracebacks of a scenario, written and read.
//!
//! ```text
//! leak: 1 block, 96 bytes per iteration
//!     CRYPTO_zalloc  libcrypto.so.3
//!     HMAC_CTX_new  libcrypto.so.3
//!
//! growth: 0 blocks, 27.43 bytes per iteration
//!     grow  plugin.so  grow.c
//! ```
//!
//! ```text
//!   comparison     what was found against what was accepted
//!   alignment      two tracebacks, frame by frame
//!   bare_name      the two names that one compiler has for a function
//!   failure        what a trial says of a difference
//!   patch          a difference as a patch is written
//!   side_by_side   two tracebacks in two columns
//! ```
//!
//! Invariants: the same groups give the same bytes in any order; what was written reads back
//! equal, so that a comparison sees exactly what a reviewer saw; a traceback appears once.

mod alignment;
mod bare_name;
mod comparison;
mod failure;
#[cfg(any(test, feature = "internals"))]
pub(crate) mod input;
mod patch;
mod side_by_side;

use std::collections::BTreeMap;
use std::fmt;

#[cfg(feature = "exports")]
pub(crate) use self::alignment::{Row, rows};
#[cfg(feature = "exports")]
pub(crate) use self::comparison::Change;
pub(crate) use self::comparison::{Difference, compare, exceeds};
pub(crate) use self::failure::{REVIEW, counts, failure_text};

use crate::report::amount::Amount;
use crate::report::{Group, Verdict};
use crate::traceback;

const PER_ITERATION: &str = " per iteration";
const INDENT: &str = "    ";

/// One traceback of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotGroup {
    /// Leak or growth.
    pub(crate) verdict: Verdict,
    /// What an iteration adds.
    pub(crate) amount: Amount,
    /// The lines of the traceback, innermost first.
    pub(crate) frames: Vec<String>,
}

impl fmt::Display for SnapshotGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading())?;
        self.frames.iter().try_for_each(|frame| writeln!(f, "{INDENT}{frame}"))
    }
}

impl SnapshotGroup {
    /// The group's first line.
    pub(crate) fn heading(&self) -> String {
        format!("{}: {}{PER_ITERATION}", self.verdict, self.amount)
    }
}

/// The tracebacks of `groups` that fail, as a snapshot has them.
pub(crate) fn found(groups: &[Group]) -> Vec<SnapshotGroup> {
    let failing = groups.iter().filter(|group| group.verdict.fails());
    let mut found: Vec<SnapshotGroup> = failing
        .map(|group| SnapshotGroup {
            verdict: group.verdict,
            amount: Amount::per_iteration(group),
            frames: traceback::key(&group.frames),
        })
        .collect();
    found.sort_by(|left, right| left.frames.cmp(&right.frames));
    // A program's blocks of one traceback can be lost in part and indirect in part.
    found.dedup_by(|more, first| {
        let same = more.frames == first.frames;
        if same {
            first.amount += more.amount;
        }
        same
    });
    found
}

/// The number of the lines of the header that insta writes above a body, and the body.
pub(crate) fn split(text: &str) -> Option<(usize, &str)> {
    let rest = text.strip_prefix("---\n")?;
    let end = rest.find("\n---\n")?;
    let header = rest[..end].lines().count() + 2;
    Some((header, &rest[end + "\n---\n".len()..]))
}

/// The snapshot's body; empty for no groups.
pub(crate) fn write(groups: &[SnapshotGroup]) -> String {
    let texts: Vec<String> = groups.iter().map(SnapshotGroup::to_string).collect();
    texts.join("\n")
}

/// An accepted snapshot that can't be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the snapshot's body {problem}; restore it, or accept a new one")]
pub(crate) struct SnapshotError {
    /// The line of the body, from 1.
    pub(crate) line: usize,
    problem: &'static str,
}

/// Reads the body of an accepted snapshot. Blank lines around it don't count.
pub(crate) fn parse(body: &str) -> Result<Vec<SnapshotGroup>, SnapshotError> {
    let mut groups: Vec<(usize, SnapshotGroup)> = Vec::new();
    let mut open = false;
    for (index, text) in body.lines().enumerate() {
        let line = index + 1;
        let wrong = |problem| SnapshotError { line, problem };
        if text.trim().is_empty() {
            open = false;
        } else if let Some(frame) = text.strip_prefix(INDENT) {
            let group = groups.last_mut().filter(|_| open);
            let (_, group) = group.ok_or_else(|| wrong("is a frame of no group"))?;
            group.frames.push(frame.trim_end().to_owned());
        } else {
            let group = heading(text).ok_or_else(|| wrong("is no group's heading"))?;
            groups.push((line, group));
            open = true;
        }
    }
    let mut lines = BTreeMap::new();
    for (line, group) in &groups {
        let problem = if group.frames.is_empty() {
            "starts a group without frames"
        } else if lines.insert(&group.frames, line).is_some() {
            "starts a traceback that appears before"
        } else {
            continue;
        };
        return Err(SnapshotError { line: *line, problem });
    }
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

fn heading(text: &str) -> Option<SnapshotGroup> {
    let (name, rest) = text.trim_end().split_once(": ")?;
    let verdict =
        [Verdict::Leak, Verdict::Growth].into_iter().find(|verdict| verdict.to_string() == name)?;
    let amount = Amount::read(rest.strip_suffix(PER_ITERATION)?)?;
    Some(SnapshotGroup { verdict, amount, frames: Vec::new() })
}

#[cfg(test)]
mod tests;
