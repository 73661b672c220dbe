//! Closures that fail, each in its own way; for the test of what their trials say.

leaksnap::main!("no/such/folder", scenarios: [
    leaksnap::scenario("iteration_fails", |run| run.repeat(8, || "x".parse::<u32>())),
    leaksnap::scenario("error_is_dropped", |run| {
        let _ = run.repeat(8, || Err::<(), _>("it went wrong"));
    }),
    leaksnap::scenario("setup_fails", |run| {
        let number: u32 = "y".parse()?;
        run.repeat(number, || ())?;
        Ok::<(), Box<dyn std::error::Error>>(())
    }),
    leaksnap::scenario("panics", |run| run.repeat(8, || assert!(run_time(), "never"))),
    leaksnap::scenario("never_repeats", |_| ()),
    leaksnap::scenario("repeats_too_often", |run| run.repeat(20_000, || ())),
]);

fn run_time() -> bool {
    std::env::args_os().count() > 1000
}
