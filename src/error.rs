//! Why there is no report of a check: what [`check`](crate::check()) says instead.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::{Outcome, Problem};

/// Lines of a child's output that a failure shows.
const OUTPUT_LINES: usize = 40;

/// What kept a check from being one. As text it has the place of the check, what went wrong, and
/// the end of the child's output.
///
/// ```no_run
/// use leaksnap::ErrorKind;
///
/// let error = leaksnap::check(|run| run.repeat(8, || "x".parse::<u32>())).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Failed);
/// assert!(error.to_string().contains("invalid digit found in string"));
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    kind: ErrorKind,
    text: String,
}

/// The kind of an [`Error`].
///
/// ```no_run
/// # let error = leaksnap::check(|run| run.repeat(8, || ())).unwrap_err();
/// if error.kind() == leaksnap::ErrorKind::NotChecked {
///     panic!("this is no proof that nothing leaks: {error}");
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// It was asked for what can't be.
    Wrong,
    /// Nothing can be said of the child's memory.
    NotChecked,
    /// What was checked returned an error, panicked, or ended its process.
    Failed,
    /// It took too long.
    TimedOut,
    /// A signal ended the child.
    Killed,
}

/// What a failure shows of the child's `output`.
pub(crate) fn end_of(output: &str) -> String {
    let lines: Vec<_> = output.lines().collect();
    if lines.is_empty() {
        return String::new();
    }
    let last = &lines[lines.len().saturating_sub(OUTPUT_LINES)..];
    format!("\n\nthe end of its output:\n{}", last.join("\n"))
}

impl Error {
    /// What was asked for can't be, and why.
    pub(crate) fn wrong(text: String) -> Self {
        Self { kind: ErrorKind::Wrong, text }
    }

    /// Nothing can be said, and why.
    pub(crate) fn not_checked(text: String) -> Self {
        Self { kind: ErrorKind::NotChecked, text }
    }

    /// The problem of `outcome`, with what the child said last.
    pub(crate) fn new(problem: &Problem, outcome: &Outcome) -> Self {
        let kind = match problem {
            Problem::Wrong(_) => ErrorKind::Wrong,
            Problem::NotChecked(_) => ErrorKind::NotChecked,
            Problem::Failed(_) => ErrorKind::Failed,
            Problem::TimedOut { .. } => ErrorKind::TimedOut,
            Problem::Killed { .. } => ErrorKind::Killed,
        };
        let mut text = problem.to_string();
        if kind == ErrorKind::NotChecked {
            text += "\nwhat is not checked is not clean; no snapshot was touched";
        }
        text += &end_of(&outcome.output);
        Self { kind, text }
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The text: what a test that returns the error, or unwraps it, shows of it.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
