//! A saved memory trace: what was live at one moment, by traceback.
//!
//! ```text
//!   saved         the array that VPP's `save memory-trace` writes
//!   json_report   the JSON report, version 1, of this crate
//!   object        an object of either, by its members' names
//!   growth        what two traces have between them, and verdicts
//!   recursion     what differs in how deep a recursion was
//! ```
//! Rows are told apart by their traceback alone: of an array by the whole text of each frame, of a
//! report by what groups there (offsets count where no symbol is known). The sample, an address
//! that moves with each allocation, is not looked at. A bare address means the same in two traces of
//! one process only.
//!
//! Invariants: a row has at least one frame; the sums of all objects and of all bytes are numbers
//! of 64 bits, and so is every part of them.

pub(crate) mod growth;
#[cfg(any(test, feature = "internals"))]
pub(crate) mod input;
mod json_report;
mod object;
mod recursion;
pub(crate) mod saved;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde_json::error::Category;

use crate::report::Frame;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// An array of objects.
    Saved,
    /// A JSON report.
    Report,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Saved => "saved memory trace",
            Self::Report => "JSON report",
        })
    }
}

/// Objects and their bytes, as the trace counts them: requested bytes or usable ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Live {
    objects: u64,
    bytes: u64,
}

impl Live {
    fn plus(self, other: Self) -> Option<Self> {
        let objects = self.objects.checked_add(other.objects)?;
        Some(Self { objects, bytes: self.bytes.checked_add(other.bytes)? })
    }

    /// What is more than `other`, and nothing where that is less.
    fn less(self, other: Self) -> Self {
        Self {
            objects: self.objects.saturating_sub(other.objects),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// All that is live of one traceback.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    live: Live,
    frames: Vec<Frame>,
}

/// What was live at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trace {
    /// The form of its file.
    pub(crate) form: Form,
    /// It has all that was live: a report without `--all` has what failed alone.
    pub(crate) is_whole: bool,
    /// How many iterations left it, where its file says so.
    pub(crate) iterations: Option<u32>,
    rows: BTreeMap<Vec<String>, Row>,
    all: Live,
}

impl Trace {
    fn new(form: Form) -> Self {
        Self { form, is_whole: true, iterations: None, rows: BTreeMap::new(), all: Live::default() }
    }

    /// Whether nothing was live.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds what is live of the traceback `key`, which is [`plain`] and may have rows already.
    fn add(&mut self, key: Vec<String>, frames: Vec<Frame>, live: Live) -> Result<(), String> {
        if frames.is_empty() {
            return Err("its traceback is empty".to_owned());
        }
        let too_much = || "it makes more objects or bytes than fit in 64 bits".to_owned();
        self.all = self.all.plus(live).ok_or_else(too_much)?;
        let row = self.rows.entry(key).or_insert(Row { live: Live::default(), frames });
        // No part exceeds the sum.
        row.live = row.live.plus(live).ok_or_else(too_much)?;
        Ok(())
    }
}

/// That no frame of `key` has what would be a line of its own in a report, a snapshot or an error.
fn plain(key: &[String]) -> Result<(), String> {
    match key.iter().position(|text| text.chars().any(char::is_control)) {
        Some(at) => Err(format!("frame {} of its traceback has a control character", at + 1)),
        None => Ok(()),
    }
}

/// A file that is no trace, or one that says too little.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TraceError {
    /// The file is wrong.
    #[error("{0}")]
    Wrong(String),
    /// Its own tracing was none, or not a whole one.
    #[error("not checked: {0}; what is not checked is not clean")]
    NotChecked(String),
}

/// Reads the trace in the file at `path`.
///
/// # Errors
/// Where the file can't be read, or is no trace: with the place, and what to do.
pub(crate) fn read(path: &Path) -> Result<Trace, TraceError> {
    let name = path.display().to_string();
    let text = fs::read(path).map_err(|error| TraceError::Wrong(format!("{name}: {error}")))?;
    parse(&name, &text)
}

/// Reads `text`, which errors call `name`.
fn parse(name: &str, text: &[u8]) -> Result<Trace, TraceError> {
    // Some editors put a mark of UTF-8 in front.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => saved::parse(name, text),
        Some(b'{') => json_report::parse(name, text),
        Some(_) => Err(TraceError::Wrong(format!(
            "{name}: it is no memory trace; save one with VPP's `save memory-trace`, or with \
             `leaksnap run --all --format json`"
        ))),
        None => Err(TraceError::Wrong(format!("{name}: it is empty; save the trace again"))),
    }
}

/// What is wrong with a file's JSON, with the place. `form` says what it should have been.
fn wrong_json(name: &str, form: &str, error: &serde_json::Error) -> TraceError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    let step = match error.classify() {
        Category::Eof => "the file is cut off: save it again",
        Category::Syntax | Category::Io => "the file is damaged: save it again",
        Category::Data => form,
    };
    TraceError::Wrong(format!("{name}:{line}:{column}: {what}; {step}"))
}

#[cfg(test)]
mod tests;
