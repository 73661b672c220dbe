//! Ledgers that are overwritten with random bytes: the parent always ends, in time and in bounds,
//! and never takes the child for clean without having looked.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use harness_tests::Workplace;
use harness_tests::command::leaksnap;
use harness_tests::program::Program;
use harness_tests::run::run;

/// What the parent may have, in KiB of address space: its own needs and two mapped ledgers' counters,
/// not what a damaged number asks for.
const MOST: u32 = 6 << 20;

/// How long one may take.
const LONGEST: Duration = Duration::from_secs(30);

/// Runs it for each of `seeds`; how often each status came.
fn scribble(seeds: std::ops::Range<u32>, mut once: impl FnMut(u32) -> Command) {
    let mut statuses = BTreeMap::new();
    for seed in seeds.clone() {
        let start = Instant::now();
        let ended = run(&mut once(seed), b"");
        let took = start.elapsed();
        assert!(took < LONGEST, "seed {seed} took {took:?}: {ended:?}");
        let status = ended.code.unwrap_or_else(|| panic!("seed {seed}: {ended:?}"));
        assert!([0, 1, 3, 4].contains(&status), "seed {seed}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "seed {seed}: {ended:?}");
        *statuses.entry(status).or_insert(0) += 1;
    }
    println!("{} seeds: {statuses:?}", seeds.len());
    assert!(statuses.get(&3).is_some_and(|count| *count * 2 > seeds.len()), "{statuses:?}");
}

/// The command with `words`, whose own address space is bounded; `PROGRAM`'s heap is a part of it.
fn bounded(words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let line = format!("ulimit -v {MOST}; exec \"$0\" \"$@\"");
    command.args(["-c", &line]).arg(leaksnap()).args(words);
    command
}

fn programs(seeds: std::ops::Range<u32>) {
    let program = Program::compile("scribbles_over_its_ledger.c");
    scribble(seeds, |seed| {
        let words = program.with([seed.to_string().as_str()]);
        let [path, seed] = &*words.list else { panic!("two words") };
        bounded(&["exec", "--heap", "1g", "--", path, seed])
    });
}

fn hosts(seeds: std::ops::Range<u32>) {
    let work = Workplace::new(leaksnap().to_str().expect("a plain path"));
    work.add_plugin("scribbles_over_the_ledger");
    scribble(seeds, |seed| {
        let text = format!(
            "plugins = [\"scribbles_over_the_ledger.so\"]\nsteps = [\"scribble {seed}\"]\n\
             heap = \"1g\"\ntimeout = \"10s\"\n"
        );
        work.write("it.toml", &text);
        let path = work.path("it.toml");
        bounded(&["run", path.to_str().expect("a plain path")])
    });
}

#[test]
fn a_program_that_scribbles_over_its_ledger() {
    programs(0..60);
}

#[test]
fn a_plugin_that_scribbles_over_the_ledger() {
    hosts(0..20);
}

#[test]
#[ignore = "it takes minutes"]
fn a_thousand_seeds() {
    programs(1000..2000);
    hosts(1000..1200);
}
