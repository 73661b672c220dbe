//! The model of expected verdicts: every row is found exactly, and nothing else is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use harness_tests::model::Model;

/// How often the long test runs the model, where `MODEL_RUNS` does not say.
const RUNS: u32 = 100;

#[test]
fn every_row_is_found_exactly_and_nothing_else() {
    let model = model();
    expect_no_difference(&model);
}

#[test]
#[ignore = "it takes half an hour"]
fn every_row_is_found_a_hundred_times_on_a_busy_machine() {
    let runs = std::env::var("MODEL_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let model = model();
    let busy = Busy::start(2 * thread::available_parallelism().map_or(1, usize::from));
    for run in 1..=runs {
        let start = Instant::now();
        expect_no_difference(&model);
        println!("run {run} of {runs}: {:.1} s", start.elapsed().as_secs_f64());
    }
    drop(busy);
}

fn model() -> Model {
    Model::new(env!("CARGO_BIN_EXE_session"), env!("CARGO_BIN_EXE_model_closures"))
}

fn expect_no_difference(model: &Model) {
    let (rows, silent) = model.count();
    let differences = model.differences();
    assert!(
        differences.is_empty(),
        "{} of {rows} scenarios, {silent} of them silent:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// Threads that keep the machine busy until the drop, also of a test that fails.
struct Busy {
    threads: Vec<thread::JoinHandle<()>>,
}

/// The threads are to end.
static OVER: AtomicBool = AtomicBool::new(false);

impl Busy {
    fn start(count: usize) -> Self {
        let spin = || {
            while !OVER.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        };
        Self { threads: (0..count).map(|_| thread::spawn(spin)).collect() }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        OVER.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("it only spins");
        }
    }
}
