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

/// What a scenario's closure may return: nothing, or a `Result` whose error fails the trial.
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

impl<E: fmt::Display> IntoResult for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

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
}

impl Run<'_> {
    /// Sets the iterations before the window; 2 where it is not called. Call it before
    /// [`repeat`](Self::repeat).
    pub fn warmup(&mut self, iterations: u32) -> &mut Self {
        self.warmup = iterations;
        self
    }

    /// Runs `iteration` for the warm-up and then `times` times, each in an epoch of its own.
    ///
    /// # Panics
    /// Where it is called twice, with no iterations, or when the parent is gone; the trial fails
    /// with the message.
    pub fn repeat<R>(&mut self, times: u32, mut iteration: impl FnMut() -> R) {
        assert!(!self.repeated, "`repeat` is called once in a scenario");
        assert!(times > 0, "`repeat` needs at least one iteration");
        self.repeated = true;
        let mut iteration = || drop(iteration());
        if let Err(error) = self.iterate(times, &mut iteration) {
            panic!("the parent is gone: {error}");
        }
    }

    fn iterate(&mut self, times: u32, iteration: &mut dyn FnMut()) -> io::Result<()> {
        self.channel.send(&Reply::Repeat { warmup: self.warmup, repeat: times })?;
        loop {
            match self.channel.receive()? {
                Some(Request::Iterate) => {
                    self.tracing.traced(|| call(iteration));
                    self.channel.send(&Reply::Done)?;
                }
                Some(Request::GoOn) => return Ok(()),
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

/// A frame that no optimisation removes: tracebacks end above it.
#[inline(never)]
fn call(iteration: &mut dyn FnMut()) {
    iteration();
    std::hint::black_box(());
}

impl ClosureScenario {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn run(&self, channel: &mut Channel, tracing: &Tracing) -> Reply {
        let mut run = Run { channel, tracing, warmup: DEFAULT_WARMUP, repeated: false };
        match catch_unwind(AssertUnwindSafe(|| (self.body)(&mut run))) {
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
        }
    }
}
