//! `leaksnap exec`: one whole program.

use std::ffi::OsString;

use clap::Args;

use super::output::{Options, Output, say};
use super::problem_text;
use crate::check::program::{Program, check};
use crate::scenario::{DEFAULT_HEAP, heap_size};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Bytes of the traced heap, with k, m or g
    #[arg(long, value_name = "SIZE", value_parser = heap)]
    heap: Option<u64>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

fn heap(text: &str) -> Result<u64, String> {
    heap_size(text).map_err(|problem| format!("it {problem}"))
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
    let outcome = check(&Program {
        words: arguments.program.clone(),
        heap: arguments.heap.unwrap_or(DEFAULT_HEAP),
        timeout: None,
        captured: false,
        place: None,
        scenario: None,
        strict: false,
        memory: false,
        all: arguments.options.all,
    });
    if let Err(error) = output.write(&outcome) {
        say(&format!("leaksnap: write the report: {error}\n"));
        return 2;
    }
    if let Some(text) = problem_text(&outcome) {
        say(&text);
    }
    outcome.status()
}
