//! What trials leave behind. libtest-mimic says which of them failed, and why; what else there is to
//! say is told from here, when all have run: a line of ours in between would cut one of its own.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _, stdout};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::flags::{Flags, Format};
use super::junit;

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It passed.
    Passed,
    /// It failed, and why.
    Failed(String),
    /// It was not run, and why.
    Skipped(String),
}

/// One trial.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// Its name.
    pub(super) name: String,
    /// How long it took.
    pub(super) took: Duration,
    /// How it ended.
    pub(super) end: End,
    /// It failed because of what leaks, and of nothing else.
    pub(super) leaks: bool,
    /// What its child wrote, where that was not passed on.
    pub(super) output: String,
    /// What is to be said of it, pass or not.
    pub(super) notes: Vec<String>,
}

/// All trials that ended so far.
#[derive(Debug, Default)]
pub(super) struct Account {
    entries: Mutex<Vec<Told>>,
}

impl Account {
    /// Keeps what came of a trial.
    pub(super) fn keep(&self, entry: Told) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// Whether one of them failed.
    pub(super) fn has_failed(&self) -> bool {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().any(|entry| matches!(entry.end, End::Failed(_)))
    }

    /// Says what `flags` want to hear, in the order of the names.
    ///
    /// # Errors
    /// Where it can't be written.
    pub(super) fn tell(&self, flags: &Flags) -> io::Result<()> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        let mut text = String::new();
        if flags.show_output {
            text += &successes(&entries);
        }
        for note in entries.iter().flat_map(|entry| &entry.notes) {
            let _ = writeln!(text, "note: {note}");
        }
        match flags.format() {
            Format::Pretty | Format::Terse => {
                if flags.report_time {
                    text += &times(entries);
                }
                write(flags, &text)
            }
            // A document has no room for words.
            Format::Json => {
                if flags.report_time {
                    text += &times(entries);
                }
                eprint!("{text}");
                Ok(())
            }
            Format::Junit => {
                eprint!("{text}");
                write(flags, &junit::document(&entries))
            }
        }
    }
}

/// Writes `text` to where libtest-mimic has written.
fn write(flags: &Flags, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let Some(path) = flags.logfile() else {
        let mut out = stdout().lock();
        return out.write_all(text.as_bytes()).and_then(|()| out.flush());
    };
    // It has made it anew for this run; a JUnit document is alone in it.
    let is_alone = flags.format() == Format::Junit;
    let mut options = OpenOptions::new();
    options.create(true).write(true).append(!is_alone).truncate(is_alone);
    options.open(path)?.write_all(text.as_bytes())
}

/// What the children of those wrote that passed, as libtest shows it.
fn successes(entries: &[Told]) -> String {
    let passed = || entries.iter().filter(|entry| entry.end == End::Passed);
    let mut text = "successes:\n".to_owned();
    for Told { name, output, .. } in passed().filter(|entry| !entry.output.is_empty()) {
        let _ = writeln!(text, "\n---- {name} stdout ----\n{}", output.trim_end());
    }
    text += "\nsuccesses:\n";
    passed().for_each(|entry| _ = writeln!(text, "    {}", entry.name));
    text + "\n"
}

/// How long each took, the longest first.
fn times(mut entries: Vec<Told>) -> String {
    entries.retain(|entry| !matches!(entry.end, End::Skipped(_)));
    entries.sort_by_key(|entry| Reverse(entry.took));
    let mut text = "times:\n".to_owned();
    for Told { name, took, .. } in entries {
        let _ = writeln!(text, "    {:>8.3}s  {name}", took.as_secs_f64());
    }
    text + "\n"
}
