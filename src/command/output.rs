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
            #[cfg(feature = "exports")]
            exports: Exports::open(&options.exports, options.output.as_deref())?,
        })
    }

    /// Says why there is no report of `name`; the exit status. A page without it would look as if
    /// all had been checked.
    pub(super) fn refused(&mut self, name: &str, problem: Problem) -> u8 {
        let outcome = Outcome::refused(name, problem);
        problem_text(&outcome).iter().for_each(|text| say(text));
        #[cfg(feature = "exports")]
        self.exports.add(|| Section::of(&outcome, None, false));
        outcome.status()
    }

    /// Writes what is written when all is known; the exit status, which was `status` so far.
    pub(super) fn finish(&mut self, status: u8) -> u8 {
        #[cfg(feature = "exports")]
        let written = self.exports.finish();
        #[cfg(not(feature = "exports"))]
        let written: Result<(), String> = Ok(());
        match written {
            Ok(()) => status,
            Err(error) => {
                say(&format!("leaksnap: write the report: {error}\n"));
                worse(status, 2)
            }
        }
    }

    /// Writes the report of `outcome`.
    ///
    /// # Errors
    /// Where it can't be written.
    pub(super) fn write(&mut self, outcome: &Outcome) -> io::Result<()> {
        let leaks = outcome.report.any(|group| group.verdict.fails());
        // What fails is shown.
        let all = self.options.all || outcome.fails_strictly();
        // Nothing may look like a clean report where not everything was checked.
        if self.options.format == Format::Text && outcome.problem.is_some() && !leaks {
            return Ok(());
        }
        self.write_report(&outcome.report, all)
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
