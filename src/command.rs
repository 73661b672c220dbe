//! The `leaksnap` command.
//!
//! Exit status: 0 nothing leaked; 1 leaks; 2 the command line or a file is wrong; 3 not checked;
//! 4 the program or a step failed. Of several scenarios the most serious one decides: 3, then 2,
//! then 4, then 1.

mod console;
mod diff;
mod exec;
#[cfg(feature = "exports")]
mod exports;
mod init;
mod manual;
mod output;
mod reviewed;
mod run;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::check::{Outcome, Problem, STRICT_TEXT};

/// Finds memory leaks in programs and in plugins, with the traceback that made them.
#[derive(Debug, Parser)]
#[command(name = "leaksnap", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Traces one whole program and reports what it lost
    Exec(exec::Arguments),
    /// Runs commands of plugins by hand, with the heap traced and shown
    Console(console::Arguments),
    /// Runs scenario files without a test
    Run(run::Arguments),
    /// Compares two saved memory traces, VPP's or two JSON reports, and reports what grew
    Diff(diff::Arguments),
    /// Gives the crate in the current folder its first leak test
    Init(init::Arguments),
    /// Prints completions for a shell
    Completions(manual::Completions),
    /// Prints a manual page
    Man(manual::Manual),
}

/// Runs the command with `arguments`, the program's name first, and says how it ended.
///
/// ```no_run
/// std::process::ExitCode::from(leaksnap::command(["leaksnap", "exec", "--", "git", "log"]));
/// ```
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    if let Some(code) = crate::host::run_if_asked(&[]) {
        return code;
    }
    let status = match Arguments::try_parse_from(arguments) {
        Ok(Arguments { command: Verb::Exec(arguments) }) => exec::run(&arguments),
        Ok(Arguments { command: Verb::Run(arguments) }) => run::run(&arguments),
        Ok(Arguments { command: Verb::Console(arguments) }) => console::run(&arguments),
        Ok(Arguments { command: Verb::Diff(arguments) }) => diff::run(&arguments),
        Ok(Arguments { command: Verb::Init(arguments) }) => init::run(&arguments),
        Ok(Arguments { command: Verb::Completions(arguments) }) => {
            manual::complete(&arguments, Arguments::command())
        }
        Ok(Arguments { command: Verb::Man(arguments) }) => {
            manual::man(&arguments, Arguments::command())
        }
        Err(error) => {
            let printed = error.print();
            if error.use_stderr() {
                // Where nobody listens any longer the exit status has to do.
                2
            } else {
                output::note(printed);
                0
            }
        }
    };
    ExitCode::from(output::shown(status))
}

/// The most serious of two exit statuses.
fn worse(one: u8, other: u8) -> u8 {
    const BY_RANK: [u8; 5] = [3, 2, 4, 1, 0];
    BY_RANK.into_iter().find(|status| [one, other].contains(status)).unwrap_or(one)
}

/// What went wrong, for people; nothing where nothing did. `file`, which the outcome is of, is named
/// where the text does not do so by itself.
fn problem_text(outcome: &Outcome, file: Option<&Path>) -> Option<String> {
    let of = |text: &str| match file.map(|file| file.display().to_string()) {
        Some(file) if !text.contains(&file) => format!("leaksnap: {file}: "),
        _ => "leaksnap: ".to_owned(),
    };
    let Some(problem) = outcome.problem.as_ref() else {
        return outcome.fails_strictly().then(|| format!("{}{STRICT_TEXT}\n", of(STRICT_TEXT)));
    };
    let note = match problem {
        Problem::NotChecked(_) => "; what is not checked is not clean",
        _ => "",
    };
    Some(format!("{}{problem}{note}\n", of(&problem.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_most_serious_status_decides() {
        for (one, other, worst) in [(0, 1, 1), (1, 4, 4), (4, 2, 2), (2, 3, 3), (0, 0, 0)] {
            assert_eq!((worse(one, other), worse(other, one)), (worst, worst));
        }
    }
}
