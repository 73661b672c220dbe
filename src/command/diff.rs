//! `leaksnap diff`: two saved traces, and what grew between them.
//!
//! Nothing is run and nothing is traced here: the report's `exit` is empty, and its `tracing` says
//! that both files were read whole, with no counts, which traces don't have.

mod notes;
mod pair;

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{Format, Options, Output, say, show};
use super::reviewed;
use crate::check::Problem;
#[cfg(feature = "exports")]
use crate::export::{Compared, Section};
use crate::gate::{self, Gate, Passed, Sizes};
use crate::report::{Exit, History, Report, Tracing};
use crate::trace::growth::{self, Growth};
use crate::trace::{Form, TraceError};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// How often the command ran between the two: only what grew in step with it is a leak
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    iterations: Option<u32>,
    /// Fail only what the snapshot NAME does not have; `cargo insta review` accepts more
    #[arg(long, value_name = "NAME", value_parser = snapshot_name)]
    snapshot: Option<String>,
    /// Where the snapshots are
    #[arg(long, value_name = "FOLDER", default_value = "snapshots", requires = "snapshot")]
    snapshots: PathBuf,
    /// The earlier trace: what VPP's `save memory-trace` wrote, or a JSON report with `--all`;
    /// or an older snapshot (`.snap`)
    before: PathBuf,
    /// The later one, of the same process; or a newer snapshot
    after: PathBuf,
}

/// A path below the folder of the snapshots, with no way out of it.
fn snapshot_name(text: &str) -> Result<String, String> {
    let is_name = |part: &str| !["", ".", ".."].contains(&part) && !part.contains(['\\', '\0']);
    match text.split('/').all(is_name) {
        true => Ok(text.to_owned()),
        false => Err("it has to be a name, or names with `/` between them".to_owned()),
    }
}

/// Compares the traces and reports; the exit status.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let mut output = match Output::open(&arguments.options) {
        Ok(output) => output,
        Err(error) => {
            say(&format!("leaksnap: {error}\n"));
            return 2;
        }
    };
    let status = compare(arguments, &mut output).unwrap_or_else(|error| {
        let name = format!("{} since {}", arguments.after.display(), arguments.before.display());
        let problem = match error {
            TraceError::Wrong(reason) => Problem::Wrong(reason),
            TraceError::NotChecked(reason) => Problem::NotChecked(reason),
        };
        output.refused(&name, problem)
    });
    output.finish(status)
}

fn compare(arguments: &Arguments, output: &mut Output<'_>) -> Result<u8, TraceError> {
    if reviewed::are_snapshots([&arguments.before, &arguments.after]) {
        let is_for_traces = arguments.iterations.is_some() || arguments.snapshot.is_some();
        if is_for_traces || arguments.options.output.is_some() {
            let text = "`--iterations`, `--output` and `--snapshot` are for traces, not for two \
                        snapshots: their comparison goes to standard output";
            return Err(TraceError::Wrong(text.to_owned()));
        }
        return reviewed::compare(&arguments.before, &arguments.after).map_err(TraceError::Wrong);
    }
    let gate = open_gate(arguments).map_err(TraceError::Wrong)?;
    let Arguments { before, after, options, iterations, .. } = arguments;
    let [earlier, later] = pair::read(arguments)?;
    let growth = growth::between(&earlier, &later, *iterations);
    for (path, trace) in [(before, &earlier), (after, &later)] {
        // What was accepted fails no more, whatever else the file would have had.
        if !trace.is_whole && (!growth.fails() || gate.is_some()) {
            return Err(TraceError::NotChecked(format!(
                "{} has what failed alone; write it again with `--all`",
                path.display()
            )));
        }
    }
    let suspicions = notes::suspicions(arguments, [&earlier, &later], &growth);
    if gate.is_some() && !suspicions.is_empty() {
        // A snapshot is touched by what is sure alone.
        return Err(TraceError::NotChecked(suspicions.join("; ")));
    }
    let mut notes = notes::of(arguments, [&earlier, &later], &growth);
    notes.extend(suspicions);
    let report = report(arguments, &growth, notes);
    let sizes = match later.form {
        Form::Saved => Sizes::Usable,
        Form::Report => Sizes::Requested,
    };
    #[cfg(feature = "exports")]
    output.exports.add(|| section(arguments, &growth, &report, gate.as_ref(), sizes));
    let written = match options.format {
        Format::Json => output.write_report(&report, options.all),
        Format::Text => output.write_report(&for_people(arguments, &growth, &report), options.all),
    };
    written.map_err(|error| TraceError::Wrong(format!("write the report: {error}")))?;
    Ok(match gate {
        None => u8::from(growth.fails()),
        Some(gate) => pass(&gate, &Report { groups: growth.without_addresses(), ..report }, sizes),
    })
}

/// The gate of `--snapshot`, opened before a trace is read.
fn open_gate(arguments: &Arguments) -> Result<Option<Gate>, String> {
    let Some(name) = &arguments.snapshot else { return Ok(None) };
    let here = |error: std::io::Error| format!("the working directory: {error}");
    // insta would look for the workspace that this command was built in.
    gate::quiet(&[("INSTA_WORKSPACE_ROOT", &std::env::current_dir().map_err(here)?)]);
    let folder = std::path::absolute(&arguments.snapshots).map_err(here)?;
    let assert = |name: &str, body: &str| insta::assert_snapshot!(name, body);
    Gate::open(&folder, name, Path::new(""), assert).map(Some)
}

fn report(arguments: &Arguments, growth: &Growth, notes: Vec<String>) -> Report {
    let Arguments { before, after, iterations, snapshot, .. } = arguments;
    Report {
        history: History::default(),
        descendants: None,
        scenario: snapshot.clone(),
        program: [before, after].map(|path| path.display().to_string()).into(),
        exit: Exit::default(),
        tracing: Tracing { active: true, complete: true, ..Tracing::default() },
        iterations: iterations.unwrap_or(1),
        groups: growth.groups.clone(),
        notes,
    }
}

/// The report that names the files, and frames as they have them.
fn for_people(arguments: &Arguments, growth: &Growth, report: &Report) -> Report {
    let Arguments { before, after, .. } = arguments;
    Report {
        scenario: Some(format!("{} since {}", after.display(), before.display())),
        groups: growth.as_written(),
        ..report.clone()
    }
}

/// The report for a page: with the frames that are compared, where there is a snapshot.
#[cfg(feature = "exports")]
fn section(
    arguments: &Arguments,
    growth: &Growth,
    report: &Report,
    gate: Option<&Gate>,
    sizes: Sizes,
) -> Section {
    let (report, compared) = match gate {
        None => (for_people(arguments, growth, report), None),
        Some(gate) => {
            let report = Report { groups: growth.without_addresses(), ..report.clone() };
            let compared = Compared::with(gate, &report, sizes);
            (report, Some(compared))
        }
    };
    Section { report, problem: None, strictly: false, compared, all: arguments.options.all }
}

/// Brings `report` to the gate, and says what came of it on standard output, where no report is.
fn pass(gate: &Gate, report: &Report, sizes: Sizes) -> u8 {
    let leaks = report.groups.iter().any(|group| group.verdict.fails());
    let (status, text) = match gate.pass(report, sizes) {
        Ok(Passed::AsAccepted) if leaks => (0, format!("as accepted in {}", gate.path().display())),
        Ok(Passed::AsAccepted | Passed::Forced | Passed::OnBase(_)) => return 0,
        Ok(Passed::Less(unlike)) => (0, format!("note: {}", unlike.text)),
        Err(unlike) => (1, unlike.text),
    };
    show(&format!("{}\n", text.trim_end()));
    status
}
