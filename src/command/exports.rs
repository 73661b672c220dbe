//! `--folded`, `--pprof` and `--html`: reports for other tools, and as a page.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::export::{Section, folded, page, pprof};

/// The forms, and the files they go to.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// Write what leaks to FILE as folded stacks, for flame graphs and speedscope
    #[arg(long, value_name = "FILE")]
    folded: Option<PathBuf>,
    /// Write what leaks to FILE as a profile for pprof
    #[arg(long, value_name = "FILE")]
    pprof: Option<PathBuf>,
    /// Write a page for a browser to FILE, with the verdicts, a plot and a flame graph
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What sections are written as.
type Form = fn(&[Section]) -> io::Result<Vec<u8>>;

/// The files, and what is to go there.
#[derive(Debug, Default)]
pub(super) struct Exports {
    files: Vec<(PathBuf, File, Form)>,
    sections: Vec<Section>,
}

impl Exports {
    /// Opens the files of `options`, before anything is run. `output` is where another report goes.
    ///
    /// # Errors
    /// Where one can't be written, or two of them are one.
    pub(super) fn open(options: &Files, output: Option<&Path>) -> Result<Self, String> {
        let forms: [(&Option<PathBuf>, Form); 3] = [
            (&options.folded, |sections| Ok(folded::write(sections).into_bytes())),
            (&options.pprof, pprof::write),
            (&options.html, |sections| Ok(page::write(sections).into_bytes())),
        ];
        let mut exports = Self::default();
        for (path, form) in forms {
            let Some(path) = path else { continue };
            let others = exports.files.iter().map(|(path, ..)| path.as_path()).chain(output);
            if others.into_iter().any(|other| other == path) {
                return Err(format!("{}: two reports would go there", path.display()));
            }
            let file =
                File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
            exports.files.push((path.clone(), file, form));
        }
        Ok(exports)
    }

    /// Whether any of them is wanted.
    pub(super) fn are_wanted(&self) -> bool {
        !self.files.is_empty()
    }

    /// Adds a run, where any of them is wanted.
    pub(super) fn add(&mut self, section: impl FnOnce() -> Section) {
        if self.are_wanted() {
            self.sections.push(section());
        }
    }

    /// Writes all runs to the files.
    ///
    /// # Errors
    /// Where one can't be written.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        for (path, file, form) in &mut self.files {
            let written = form(&self.sections).and_then(|bytes| file.write_all(&bytes));
            written.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }
}
