//! Measures whole programs: native, on the preload heap untraced and traced, and under the peers.
//!
//! `cargo bench --bench workloads -- [WORKLOAD…] [--runs N] [--peers all|none|LIST] [--json FILE]`
//!
//! Within a workload the kinds take turns, so that what else the machine does meets all of them.
//! Every figure is a ratio to the native run of the same round. A command that fails is an error
//! and gives no figure.

mod figures;
mod measure;
mod peer;
mod program;
mod table;
mod workload;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use figures::{Figures, Series};
use peer::{Kind, Missing, Peers};
use program::{Place, Unready};
use workload::{WORKLOADS, Workload};

/// Measures whole programs: native, with the heap untraced, traced, and under other leak checkers.
#[derive(Debug, Parser)]
#[command(name = "workloads", max_term_width = 100)]
struct Options {
    /// The workloads to measure; all of them where none is named
    #[arg(value_parser = PossibleValuesParser::new(WORKLOADS.iter().map(|workload| workload.name)))]
    workloads: Vec<String>,
    /// How often each is run; fewer than 5 say little
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The other leak checkers: all, none, or some of heaptrack,valgrind,lsan,gperftools
    #[arg(long, default_value = "all")]
    peers: Peers,
    /// Seconds after which valgrind and gperftools, which run once, are cut short
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    limit: u64,
    /// Keep all figures in FILE; its way starts at the folder of the package
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Cargo's word for being asked to measure
    #[arg(long, hide = true)]
    bench: bool,
}

/// All that was measured, as `--json` keeps it.
#[derive(Debug, Serialize)]
struct Measured {
    version: u32,
    runs: u32,
    limit_seconds: u64,
    workloads: Vec<Figures>,
    missing: Vec<Missing>,
    skipped: Vec<Unmeasured>,
    failed: Vec<Unmeasured>,
}

/// A workload without figures.
#[derive(Debug, Serialize)]
struct Unmeasured {
    workload: &'static str,
    why: String,
}

fn main() -> ExitCode {
    if let Some(code) = measure::run_if_asked() {
        return code;
    }
    // As a test there is nothing to do, and nothing to list.
    if !std::env::args().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    match run(&Options::parse()) {
        Ok(measured) if measured.failed.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("workloads: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what `options` name and prints as it goes.
fn run(options: &Options) -> Result<Measured, String> {
    let place = Place::new().map_err(|error| format!("a temporary folder: {error}"))?;
    let (kinds, missing) = options.peers.kinds(&place);
    let mut measured = Measured {
        version: 1,
        runs: options.runs,
        limit_seconds: options.limit,
        workloads: Vec::new(),
        missing,
        skipped: Vec::new(),
        failed: Vec::new(),
    };
    for workload in WORKLOADS.iter().filter(|workload| is_chosen(workload, &options.workloads)) {
        match measure(workload, &kinds, &place, options) {
            Ok(figures) => {
                println!("{}", table::block(&figures));
                measured.workloads.push(figures);
            }
            Err(unready) => {
                println!("{}: {unready}\n", workload.name);
                let list = match unready {
                    Unready::Missing(_) => &mut measured.skipped,
                    Unready::Failed(_) => &mut measured.failed,
                };
                list.push(Unmeasured { workload: workload.name, why: unready.to_string() });
            }
        }
    }
    print!("{}", table::summary(&measured.workloads, &measured.missing, options.limit));
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&measured).expect("figures are finite");
        fs::write(file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(measured)
}

fn is_chosen(workload: &Workload, names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|name| name == workload.name)
}

/// Runs all kinds of `workload`, round by round.
fn measure(
    workload: &Workload,
    kinds: &[Kind],
    place: &Place,
    options: &Options,
) -> Result<Figures, Unready> {
    let program = (workload.prepare)(place)?;
    let orders: Vec<_> = kinds
        .iter()
        .filter_map(|kind| Some((kind, kind.order(&program, place, options.limit)?)))
        .collect();
    // Reads the program's files from the disk, which no kind shall pay for alone.
    for (kind, order) in orders.iter().take(1) {
        kind.measure(order)?;
    }
    let mut series: Vec<_> = orders.iter().map(|(kind, _)| Series::of(**kind)).collect();
    for round in 0..options.runs {
        for (series, (kind, order)) in series.iter_mut().zip(&orders) {
            if round == 0 || !kind.runs_once() {
                series.readings.push(kind.measure(order)?);
            }
        }
    }
    Ok(Figures::of(workload.name, &series))
}
