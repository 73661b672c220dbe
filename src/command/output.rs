//! Where a report goes, and in which form.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};

#[cfg(feature = "exports")]
use super::exports::{self, Exports};
use super::{problem_text, worse};
use crate::check::{Outcome, Problem};
#[cfg(feature = "exports")]
use crate::export::Section;
use crate::report::{Report, json, text};

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// The JSON report, version 1
    Json,
}

/// The options on the report.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The form of the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
    /// Write the report to FILE instead of standard error
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Report live allocations that are no leaks as well
    #[arg(long)]
    pub(super) all: bool,
    #[cfg(feature = "exports")]
    #[command(flatten)]
    exports: exports::Files,
}

/// A place for reports.
#[derive(Debug)]
pub(super) struct Output<'a> {
    options: &'a Options,
    file: Option<File>,
    /// Of several files the one whose outcome comes next.
    pub(super) of: Option<PathBuf>,
    /// The runs, for the other forms of a report.
    #[cfg(feature = "exports")]
    pub(super) exports: Exports,
}

impl<'a> Output<'a> {
    /// Opens what `options` name, before anything is run.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub(super) fn open(options: &'a Options) -> Result<Self, String> {
        let file = options
            .output
            .as_ref()
            .map(|path| File::create(path).map_err(|error| format!("{}: {error}", path.display())));
        Ok(Self {
            options,
            file: file.transpose()?,
            of: None,
            #[cfg(feature = "exports")]
            exports: Exports::open(&options.exports, options.output.as_deref())?,
        })
    }

    /// Says why there is no report of `name`; the exit status. A page without it would look as if
    /// all had been checked.
    pub(super) fn refused(&mut self, name: &str, problem: Problem) -> u8 {
        let outcome = Outcome::refused(name, problem);
        // Who reads the file alone shall not find nothing there.
        let written = match self.options.format {
            Format::Json if self.file.is_some() => self.write_report(&outcome.report, false),
            Format::Json | Format::Text => Ok(()),
        };
        let written = written.and_then(|()| self.problem(&outcome));
        #[cfg(feature = "exports")]
        self.exports.add(|| Section::of(&outcome, None, false));
        match written {
            Ok(()) => outcome.status(),
            Err(error) => worse(outcome.status(), unwritten(&error)),
        }
    }

    /// Writes what is written when all is known; the exit status, which was `status` so far.
    pub(super) fn finish(&mut self, status: u8) -> u8 {
        #[cfg(feature = "exports")]
        let written = self.exports.finish();
        #[cfg(not(feature = "exports"))]
        let written: Result<(), String> = Ok(());
        match written {
            Ok(()) => status,
            Err(error) => worse(status, unwritten(&error)),
        }
    }

    /// Writes the report of `outcome`.
    ///
    /// # Errors
    /// Where it can't be written.
    pub(super) fn write(&mut self, outcome: &Outcome) -> io::Result<()> {
        let leaks = outcome.report.any(|group| group.verdict.fails());
        match self.options.format {
            // Nothing may look like a clean report where not everything was checked.
            Format::Text if outcome.problem.is_some() && !leaks => {}
            // What fails is shown.
            Format::Text if outcome.fails_strictly() => {
                self.text(&text::write_strictly(&outcome.report))?;
            }
            Format::Text | Format::Json => {
                let all = self.options.all || outcome.fails_strictly();
                self.write_report(&outcome.report, all)?;
            }
        }
        self.problem(outcome)
    }

    /// Says what keeps `outcome` from being clean beside what leaks; a text has it, too.
    fn problem(&mut self, outcome: &Outcome) -> io::Result<()> {
        let Some(text) = problem_text(outcome, self.of.as_deref()) else { return Ok(()) };
        if self.options.format == Format::Text && self.file.is_some() {
            self.text(&text)?;
        }
        say(&text);
        Ok(())
    }

    /// Writes `report`; groups that pass are left out unless `all` are wanted.
    ///
    /// # Errors
    /// Where it can't be written.
    pub(super) fn write_report(&mut self, report: &Report, all: bool) -> io::Result<()> {
        self.text(&match self.options.format {
            Format::Json => json::write(report, all),
            Format::Text => text::write(report, all),
        })
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(text.as_bytes()),
            None => {
                say(text);
                Ok(())
            }
        }
    }
}

/// Says that a report could not be written; the exit status.
pub(super) fn unwritten(error: &dyn std::fmt::Display) -> u8 {
    say(&format!("leaksnap: write the report: {error}\n"));
    2
}

/// Writes to standard error. Where nobody listens any longer the exit status has to do.
pub(super) fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Something that was to be written to standard output was not.
static UNWRITTEN: AtomicBool = AtomicBool::new(false);

/// Writes to standard output. Where that takes no more it is said once, and the command ends with
/// [`shown`].
pub(super) fn show(text: &str) {
    let mut out = io::stdout().lock();
    note(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Takes note of what came of writing to standard output. A reader that has had enough is no error.
pub(super) fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
        && !UNWRITTEN.swap(true, Ordering::Relaxed)
    {
        say(&format!("leaksnap: standard output: {error}\n"));
    }
}

/// The exit status, which was `status` so far, with what became of standard output.
pub(super) fn shown(status: u8) -> u8 {
    if UNWRITTEN.load(Ordering::Relaxed) { worse(status, 2) } else { status }
}
