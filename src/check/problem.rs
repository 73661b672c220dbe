//! What keeps a check from being one, and what is said of it.

use std::time::Duration;

/// What keeps a check from being one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// The command line or a file is wrong.
    #[error("{0}")]
    Wrong(String),
    /// Nothing can be said of the child's memory.
    #[error("not checked: {0}")]
    NotChecked(String),
    /// The program or a step failed.
    #[error("{0}")]
    Failed(String),
    /// The child was killed because its time was over.
    #[error(
        "{what} timed out: {} took more than {limit:?} (`{by}`){}",
        if *whole { "the whole check, warm-up and iterations together," } else { "it" },
        longest_text(longest)
    )]
    TimedOut {
        what: String,
        limit: Duration,
        /// What gives it more time.
        by: &'static str,
        /// What took the time is all up to there, of more than one iteration.
        whole: bool,
        /// What else took more of the time.
        longest: Option<(String, Duration)>,
    },
    /// A signal ended the child.
    #[error("{what} was killed by signal {signal} ({})", signal_name(*signal))]
    Killed { what: String, signal: i32 },
}

/// The scenario's key that says how long a child may take.
pub(super) const TIMEOUT: &str = "timeout";

impl Problem {
    /// That `what` took more than its own `limit`.
    pub(super) fn timed_out(what: String, limit: Duration) -> Self {
        Self::TimedOut { what, limit, by: TIMEOUT, whole: false, longest: None }
    }

    /// The command's exit status for it.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Wrong(_) => 2,
            Self::NotChecked(_) => 3,
            Self::Failed(_) | Self::TimedOut { .. } | Self::Killed { .. } => 4,
        }
    }
}

/// `problem` of a host whose tracing is `complete`: a heap that was full explains what else went wrong.
pub(crate) fn explained(problem: Problem, complete: &Result<(), Problem>) -> Problem {
    match (&problem, complete) {
        (Problem::Wrong(_) | Problem::TimedOut { .. }, _) => problem,
        (_, Err(Problem::NotChecked(full))) => Problem::NotChecked(format!("{full} ({problem})")),
        _ => problem,
    }
}

fn longest_text(longest: &Option<(String, Duration)>) -> String {
    let text = |(part, took): &(String, Duration)| {
        format!(", of which {} took {took:.0?}", part.trim_end_matches(','))
    };
    longest.as_ref().map_or_else(String::new, text)
}

fn signal_name(signal: i32) -> &'static str {
    nix::sys::signal::Signal::try_from(signal).map_or("unknown", |signal| signal.as_str())
}
