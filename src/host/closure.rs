//! A scenario that is a closure: run in a child of its own, on the traced heap.
//!
//! The closure says how often it wants to be iterated; the parent then asks for one iteration at
//! a time, as it does with steps.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::tracing::Tracing;
use crate::protocol::{Channel, Reply, Request};

/// Iterations before the window, where the closure says nothing.
const DEFAULT_WARMUP: u32 = 2;

/// A scenario in Rust; made by [`scenario`].
pub struct ClosureScenario {
    name: &'static str,
    body: Body,
}

/// What runs, its result as text.
type Body = Box<dyn Fn(&mut Run<'_>) -> Result<(), String> + Send + Sync>;

impl fmt::Debug for ClosureScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClosureScenario").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a scenario and an iteration may return: nothing, or a `Result` whose error fails the trial.
pub trait IntoResult {
    /// The result, with the error as text.
    ///
    /// # Errors
    /// Where it was one.
    fn into_result(self) -> Result<(), String>;
}

impl IntoResult for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<T, E: fmt::Display> IntoResult for Result<T, E> {
    fn into_result(self) -> Result<(), String> {
        self.map(drop).map_err(|error| error.to_string())
    }
}

/// An iteration that failed, or could not be run.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RunError(String);

/// A scenario that runs `body` in a child process of its own. `body` calls [`Run::repeat`] once;
/// what it does around that is not measured.
///
/// ```no_run
/// leaksnap::main!("tests/leaks", scenarios: [
///     leaksnap::scenario("push", |run| run.repeat(8, || { vec![1, 2, 3].push(4); })),
/// ]);
/// ```
pub fn scenario<R: IntoResult>(
    name: &'static str,
    body: impl Fn(&mut Run<'_>) -> R + Send + Sync + 'static,
) -> ClosureScenario {
    ClosureScenario { name, body: Box::new(move |run| body(run).into_result()) }
}

/// A running scenario, as its closure sees it.
#[derive(Debug)]
pub struct Run<'a> {
    channel: &'a mut Channel,
    tracing: &'a Tracing,
    warmup: u32,
    repeated: bool,
    over: bool,
}

impl Run<'_> {
    /// Sets the iterations before the window; 2 where it is not called. Call it before
    /// [`repeat`](Self::repeat).
    pub fn warmup(&mut self, iterations: u32) -> &mut Self {
        self.warmup = iterations;
        self
    }

    /// Runs `iteration` for the warm-up and then `times` times, each in an epoch of its own; and up
    /// to 128 times, or twice as often, where that does not tell a leak from a cache that fills. An error or
    /// a panic of one of those ends them, and fails nothing.
    ///
    /// # Errors
    /// Where an iteration returned an error; no further one is run. Returned from the scenario
    /// it fails the trial, as does an error that is dropped: what was not run is not clean.
    ///
    /// # Panics
    /// Where it is called twice, or with no iterations; the trial fails with the message.
    pub fn repeat<R: IntoResult>(
        &mut self,
        times: u32,
        mut iteration: impl FnMut() -> R,
    ) -> Result<(), RunError> {
        assert!(!self.repeated, "`repeat` is called once in a scenario");
        assert!(times > 0, "`repeat` needs at least one iteration");
        self.repeated = true;
        let mut iteration = || iteration().into_result();
        self.iterate(times, &mut iteration).map_err(|error| {
            self.over = true;
            RunError(format!("the parent is gone: {error}"))
        })?
    }

    fn iterate(
        &mut self,
        times: u32,
        iteration: &mut dyn FnMut() -> Result<(), String>,
    ) -> io::Result<Result<(), RunError>> {
        self.channel.send(&Reply::Repeat { warmup: self.warmup, repeat: times })?;
        loop {
            match self.channel.receive()? {
                Some(Request::Iterate) => match self.tracing.traced(|| call(iteration)) {
                    Ok(()) => self.channel.send(&Reply::Done)?,
                    Err(reason) => {
                        // The answer now: whatever the scenario makes of the error, it failed.
                        self.channel.send(&Reply::Failed(reason.clone()))?;
                        self.over = true;
                        return Ok(Err(RunError(reason)));
                    }
                },
                Some(Request::GoOn) => return Ok(Ok(())),
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

/// A frame that no optimisation removes: tracebacks end above it.
#[inline(never)]
fn call(iteration: &mut dyn FnMut() -> Result<(), String>) -> Result<(), String> {
    std::hint::black_box(iteration())
}

impl ClosureScenario {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the closure to its end; the reply, unless the parent has heard it or is gone.
    pub(super) fn run(&self, channel: &mut Channel, tracing: &Tracing) -> Option<Reply> {
        let warmup = DEFAULT_WARMUP;
        let mut run = Run { channel, tracing, warmup, repeated: false, over: false };
        let result = catch_unwind(AssertUnwindSafe(|| (self.body)(&mut run)));
        if run.over {
            return None;
        }
        Some(match result {
            Ok(Ok(())) if !run.repeated => {
                Reply::Failed("it never called `run.repeat`: nothing was measured".into())
            }
            Ok(Ok(())) => Reply::Done,
            Ok(Err(reason)) => Reply::Failed(reason),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                Reply::Failed(format!("it panicked: {}", text.unwrap_or("with no message")))
            }
        })
    }
}
