//! A thousand short scenarios: what the harness adds to the time of their children.
//!
//! `MANY_SCENARIOS` says how many, `MANY_ROUNDS` how often. Both sides take turns, on as many
//! threads, and what is printed is a ratio of medians: seconds are a machine's own.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

use harness_tests::trials::Trials;

/// What each scenario runs: it takes ten milliseconds and next to nothing of a processor.
const PROGRAM: [&str; 2] = ["sleep", "0.01"];

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The time that `count` runs of the program take by themselves, on `threads` threads.
fn children(count: usize, threads: usize) -> Duration {
    let (start, started) = (Instant::now(), AtomicUsize::new(0));
    scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while started.fetch_add(1, Ordering::Relaxed) < count {
                    let [program, argument] = PROGRAM;
                    let mut child = Command::new(program);
                    // Output is read, as the harness reads it.
                    let output = child.arg(argument).stdin(Stdio::null()).output();
                    assert!(output.is_ok_and(|output| output.status.success()));
                }
            });
        }
    });
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

#[test]
#[ignore = "takes minutes"]
fn a_thousand_scenarios_take_little_longer_than_their_children() {
    let (count, rounds) = (number("MANY_SCENARIOS", 1000), number("MANY_ROUNDS", 5));
    let threads = available_parallelism().map_or(1, usize::from);
    let text = format!("program = {PROGRAM:?}\n");
    let trials = (0..count).fold(Trials::new(env!("CARGO_BIN_EXE_trials")), |trials, number| {
        trials.scenario(&format!("folder{}/scenario{number}", number % 10), &text)
    });
    let passed = format!("{count} passed; 0 failed");
    let flags = ["--quiet", "--test-threads", &threads.to_string()];
    let timed = |arguments: &[&str], said: &str| {
        let start = Instant::now();
        let _ = trials.run(arguments, &[]).ends_with(0).says(&[said]);
        start.elapsed()
    };
    let (mut own, mut theirs, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        theirs.push(children(count, threads));
        own.push(timed(&flags, &passed));
        lists.push(timed(&["--list", "--format", "terse"], "folder9/scenario9: test\n"));
    }
    let (own, theirs, list) = (median(own), median(theirs), median(lists));
    println!("{count} scenarios on {threads} threads: {own:.3} s, their children: {theirs:.3} s");
    println!("ratio: {:.3}", own / theirs);
    println!("to list them: {list:.3} s, {:.4} of the time of one run of them", list / own);
}
