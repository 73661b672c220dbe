//! `leaksnap exec`: one whole program.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::output::{Options, Output, say, unwritten};
use crate::check::Problem;
use crate::check::onlooker::Onlooker;
use crate::check::program::{Program, check};
#[cfg(feature = "exports")]
use crate::export::Section;
use crate::scenario::{DEFAULT_HEAP, heap_size};
use crate::suppression::Suppression;
use crate::suppression::file::{SuppressionError, load};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Bytes of the traced heap, with k, m or g
    #[arg(long, value_name = "SIZE", value_parser = heap)]
    heap: Option<u64>,
    /// Check the programs that the program starts, too
    #[arg(long)]
    follow: bool,
    /// Leave out what FILE suppresses, in LeakSanitizer's or valgrind's format; repeatable
    #[arg(long, value_name = "FILE")]
    suppressions: Vec<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

fn heap(text: &str) -> Result<u64, String> {
    heap_size(text).map_err(|problem| format!("it {problem}"))
}

fn suppressions(files: &[PathBuf]) -> Result<Vec<Suppression>, SuppressionError> {
    let mut all = Vec::new();
    for file in files {
        all.extend(load(file, file, "--suppressions")?);
    }
    Ok(all)
}

/// Runs the program and reports; the exit status.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let mut output = match Output::open(&arguments.options) {
        Ok(output) => output,
        Err(error) => {
            say(&format!("leaksnap: {error}\n"));
            return 2;
        }
    };
    let suppressions = match suppressions(&arguments.suppressions) {
        Ok(suppressions) => suppressions,
        Err(error) => {
            let name = arguments.program.first().map(|word| word.to_string_lossy());
            let problem = Problem::Wrong(error.to_string());
            let status = output.refused(&name.unwrap_or_default(), problem);
            return output.finish(status);
        }
    };
    let outcome = check(&Program {
        words: arguments.program.clone(),
        heap: arguments.heap.unwrap_or(DEFAULT_HEAP),
        timeout: None,
        captured: false,
        place: None,
        scenario: None,
        strict: false,
        follow: arguments.follow,
        memory: false,
        // One of the reachable ones may be what a suppression is for.
        all: arguments.options.all || !suppressions.is_empty(),
        onlooker: &Onlooker::default(),
    })
    .suppressed(&suppressions);
    if let Err(error) = output.write(&outcome) {
        return unwritten(&error);
    }
    #[cfg(feature = "exports")]
    output.exports.add(|| Section::of(&outcome, None, arguments.options.all));
    output.finish(outcome.status())
}
