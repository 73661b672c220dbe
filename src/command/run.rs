//! `leaksnap run`: scenario files without a test.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{Options, Output, say, show, unwritten};
use super::worse;
use crate::check::onlooker::Onlooker;
use crate::check::{self, Outcome, Problem, Wanted};
#[cfg(feature = "exports")]
use crate::export::{Compared, Section};
#[cfg(feature = "exports")]
use crate::gate::{Gate, Sizes};
use crate::report::Group;
use crate::report::table;
use crate::scenario::{self, Scenario};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Print the heap and the table of what the measured iterations left on it
    #[arg(long)]
    memory: bool,
    /// Print what each scenario's child wrote
    #[arg(long)]
    show_output: bool,
    /// The scenario files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the scenarios and reports; the exit status.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let mut output = match Output::open(&arguments.options) {
        Ok(output) => output,
        Err(error) => {
            say(&format!("leaksnap: {error}\n"));
            return 2;
        }
    };
    let mut status = 0;
    for file in &arguments.files {
        output.of = (arguments.files.len() > 1).then(|| file.clone());
        status = worse(status, one(file, arguments, &mut output));
    }
    output.finish(status)
}

fn one(file: &Path, arguments: &Arguments, output: &mut Output<'_>) -> u8 {
    let name = scenario::name_of(file.parent().unwrap_or(Path::new("")), file);
    let scenario = match Scenario::load(file) {
        Ok(scenario) => scenario,
        Err(error) => return output.refused(&name, Problem::Wrong(error.to_string())),
    };
    #[cfg(feature = "exports")]
    let accepted = match output.exports.are_wanted().then(|| Gate::beside(file)).transpose() {
        Ok(gate) => gate.flatten(),
        Err(error) => return output.refused(&name, Problem::Wrong(error)),
    };
    let nothing_fails = |groups: &[Group]| !groups.iter().any(|group| group.verdict.fails());
    let nobody = Onlooker::default();
    let wanted = Wanted { memory: arguments.memory, all: arguments.options.all };
    let outcome = check::scenario(&scenario, file, &name, wanted, &nobody, &nothing_fails);
    if arguments.show_output || outcome.problem.is_some() {
        show(&outcome.output);
    }
    if arguments.memory && outcome.problem.is_none() {
        let memory = &outcome.memory;
        show(&format!("{}\n{}", table::heap(memory), table::write(&memory.rows, usize::MAX)));
    }
    #[cfg(feature = "exports")]
    output.exports.add(|| {
        let compared = |gate: Gate| Compared::with(&gate, &outcome.report, Sizes::Requested);
        Section::of(&outcome, accepted.map(compared), arguments.options.all)
    });
    finish(&outcome, output)
}

fn finish(outcome: &Outcome, output: &mut Output<'_>) -> u8 {
    if let Err(error) = output.write(outcome) {
        return unwritten(&error);
    }
    outcome.status()
}
