//! `leaksnap console`: the host's command line by hand, with VPP's words.
//!
//! ```text
//!   input       lines: from an editor on a terminal, else from standard input
//!   completion  what the editor offers
//!   line        what a line says
//!   session     what is done for a line
//!   host        the host that the lines are about
//!   map         what is mapped there
//! ```
//! What a command has to say goes to standard output, what is wrong to standard error, in one
//! line; the session goes on. The exit status is that of the most serious command, by the rank
//! that [`worse`](super::worse) has: 3 not checked, 2 bad input, 4 a command of a plugin failed or
//! ended the host, 1 a `leak-check` found leaks, 0 none of these.

mod completion;
mod host;
mod input;
mod line;
mod map;
mod session;

use std::time::Duration;

use clap::Args;

use super::output::say;
use super::worse;
use crate::scenario::{self, DEFAULT_HEAP, DEFAULT_TIMEOUT, heap_size};
use input::Input;
use line::Line;
use session::{Session, Setup};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Open the plugin P first, a name or a path; repeatable
    #[arg(long = "plugin", value_name = "P")]
    plugins: Vec<String>,
    /// Bytes of the traced heap, with k, m or g
    #[arg(long, value_name = "SIZE", value_parser = heap)]
    heap: Option<u64>,
    /// How long a command may take, or a leak-check with its warm-up and all its iterations, with ms,
    /// s or m
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    timeout: Option<Duration>,
}

fn heap(text: &str) -> Result<u64, String> {
    heap_size(text).map_err(|problem| format!("it {problem}"))
}

fn timeout(text: &str) -> Result<Duration, String> {
    scenario::duration(text).map_err(|problem| format!("it {problem}"))
}

/// What is wrong with a command, in one line, and the exit status for it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    status: u8,
    text: String,
}

impl Trouble {
    /// The input is wrong.
    fn input(text: impl Into<String>) -> Self {
        Self { status: 2, text: text.into() }
    }
}

/// Runs the session; the exit status.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let setup = Setup {
        heap: arguments.heap.unwrap_or(DEFAULT_HEAP),
        limit: arguments.timeout.unwrap_or(DEFAULT_TIMEOUT),
    };
    let mut input = match Input::open() {
        Ok(input) => input,
        Err(error) => {
            say(&format!("leaksnap: open the terminal: {error}\n"));
            return 2;
        }
    };
    let mut session = match Session::start(setup, input.interrupts()) {
        Ok(session) => session,
        Err(trouble) => return told(Err(trouble)),
    };
    let open = |plugin: &String| told(session.run(&Line::Load(plugin.clone())));
    let mut status = arguments.plugins.iter().map(open).fold(0, worse);
    loop {
        input.offer(session.commands());
        let text = match input.next() {
            Ok(Some(text)) => text,
            Ok(None) => break,
            Err(error) => {
                say(&format!("leaksnap: read a command: {error}\n"));
                status = worse(status, 2);
                break;
            }
        };
        let done = match line::read(&text) {
            Ok(Some(Line::Quit)) => break,
            Ok(Some(line)) => session.run(&line),
            Ok(None) => continue,
            Err(text) => Err(Trouble::input(text)),
        };
        status = worse(status, told(done));
    }
    worse(status, told(session.end()))
}

/// Says what is wrong, where something is; the exit status.
fn told(done: Result<u8, Trouble>) -> u8 {
    done.unwrap_or_else(|Trouble { status, text }| {
        // One line, whatever a plugin gave for a reason.
        say(&format!("leaksnap: {}\n", text.replace(['\n', '\r'], " ")));
        status
    })
}
