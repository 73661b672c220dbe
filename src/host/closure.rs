//! A scenario that is a closure: run in a child of its own, on the traced heap.
//!
//! ```text
//!   closure   iteration by iteration, as the parent asks
//!   object    an iteration that makes, uses and drops one object
//!   panic     where it was
//! ```
//! The closure says how often it wants to be iterated; the parent then asks for one iteration at
//! a time, as it does with steps.

mod object;
pub(super) mod panic;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::tracing::Tracing;
use crate::protocol::{Channel, Reply, Request};

/// Iterations before the window, where the closure says nothing.
const DEFAULT_WARMUP: u32 = 2;

/// A scenario in Rust; made by [`scenario`] or registered by
/// [`#[scenario]`](macro@crate::scenario).
pub struct ClosureScenario {
    name: Cow<'static, str>,
    is_ignored: bool,
    body: Box<Function>,
}

/// What can be run by any thread.
type Function = dyn Fn(&Run<'_>) -> Result<(), String> + Send + Sync;

/// What is run once, its result as text.
pub(crate) type Body<'a> = Box<dyn FnOnce(&Run<'_>) -> Result<(), String> + 'a>;

impl fmt::Debug for ClosureScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClosureScenario").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a scenario and an iteration may return: nothing, or a `Result` whose error fails the trial.
///
/// ```
/// use leaksnap::IntoResult;
///
/// assert_eq!(().into_result(), Ok(()));
/// assert_eq!("17".parse::<u32>().into_result(), Ok(()));
/// assert_eq!("x".parse::<u32>().into_result(), Err("invalid digit found in string".into()));
/// ```
#[diagnostic::on_unimplemented(
    message = "a scenario and an iteration return nothing, or a `Result`, not `{Self}`",
    label = "returns `{Self}`",
    note = "`drop(…)` what is made, or end it with `;`"
)]
pub trait IntoResult {
    /// The result, with the error as text: with its sources, where its alternate form has them.
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
        self.map(drop).map_err(|error| format!("{error:#}"))
    }
}

/// What a scenario returns that goes on with the error of its iterations.
///
/// ```no_run
/// fn number(run: &leaksnap::Run) -> leaksnap::Result {
///     run.repeat(8, || "17".parse::<u32>())
/// }
/// let report = leaksnap::check(number);
/// ```
pub type Result<T = (), E = RunError> = std::result::Result<T, E>;

/// An iteration that failed, or could not be run.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RunError(String);

/// A scenario that runs `body` in a child process of its own. `body` calls [`Run::repeat`] or
/// [`Run::frees_all`] once; what it does around that is not measured.
///
/// ```no_run
/// leaksnap::main!("tests/leaks", scenarios: [
///     leaksnap::scenario("push", |run| run.repeat(8, || { vec![1, 2, 3].push(4); })),
/// ]);
/// ```
pub fn scenario<R: IntoResult>(
    name: &'static str,
    body: impl Fn(&Run<'_>) -> R + Send + Sync + 'static,
) -> ClosureScenario {
    ClosureScenario::new(name.into(), false, move |run| body(run).into_result())
}

/// A running scenario, as its closure sees it.
#[derive(Debug)]
pub struct Run<'a> {
    channel: RefCell<&'a mut Channel>,
    tracing: &'a Tracing,
    warmup: Cell<u32>,
    step: Cell<Option<&'static str>>,
    repeated: Cell<bool>,
    over: Cell<bool>,
}

impl<'a> Run<'a> {
    /// A run of which `channel`'s other end hears, on the heap that `tracing` switches.
    pub(super) fn new(channel: &'a mut Channel, tracing: &'a Tracing) -> Self {
        Self {
            channel: RefCell::new(channel),
            tracing,
            warmup: Cell::new(DEFAULT_WARMUP),
            step: Cell::new(None),
            repeated: Cell::new(false),
            over: Cell::new(false),
        }
    }

    /// Sets the iterations before the window; 2 where it is not called. Call it before
    /// [`repeat`](Self::repeat).
    ///
    /// ```no_run
    /// # fn load() {}
    /// let report = leaksnap::check(|run| run.warmup(5).repeat(8, load));
    /// ```
    pub fn warmup(&self, iterations: u32) -> &Self {
        self.warmup.set(iterations);
        self
    }

    /// Names what comes next: an error or a panic says in which step it was. A step ends with the
    /// next one, and with its iteration.
    ///
    /// ```no_run
    /// # fn connect() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// # fn parse(text: &str) -> Result<u32, std::num::ParseIntError> { text.parse() }
    /// let report = leaksnap::check(|run| {
    ///     run.repeat(8, || {
    ///         run.step("connect");
    ///         let text = connect()?;
    ///         run.step("parse");
    ///         Ok::<_, Box<dyn std::error::Error>>(parse(&text)?)
    ///     })
    /// });
    /// ```
    pub fn step(&self, name: &'static str) {
        self.step.set(Some(name));
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
    ///
    /// ```no_run
    /// let report = leaksnap::check(|run| run.repeat(8, || "17".parse::<u32>()));
    /// ```
    pub fn repeat<R: IntoResult>(&self, times: u32, mut iteration: impl FnMut() -> R) -> Result {
        self.iterations(times, None, &mut || iteration().into_result())
    }

    fn iterations(
        &self,
        times: u32,
        object: Option<&str>,
        iteration: &mut dyn FnMut() -> Result<(), String>,
    ) -> Result {
        assert!(!self.repeated.get(), "a scenario has its iterations once");
        assert!(times > 0, "`repeat` needs at least one iteration");
        self.repeated.set(true);
        self.iterate(times, object, iteration).map_err(|error| {
            self.over.set(true);
            RunError(format!("the parent is gone: {error}"))
        })?
    }

    fn iterate(
        &self,
        times: u32,
        object: Option<&str>,
        iteration: &mut dyn FnMut() -> Result<(), String>,
    ) -> io::Result<Result> {
        let mut channel = self.channel.borrow_mut();
        let object = object.map(str::to_owned);
        channel.send(&Reply::Repeat { warmup: self.warmup.get(), repeat: times, object })?;
        loop {
            match channel.receive()? {
                Some(Request::Iterate) => {
                    self.step.set(None);
                    match self.tracing.traced(|| call(iteration)) {
                        Ok(()) => channel.send(&Reply::Done)?,
                        Err(reason) => {
                            // The answer now: whatever the scenario makes of the error, it failed.
                            let reason = self.placed(&reason);
                            channel.send(&Reply::Failed(reason.clone()).bounded())?;
                            self.over.set(true);
                            return Ok(Err(RunError(reason)));
                        }
                    }
                }
                Some(Request::GoOn) => {
                    self.step.set(None);
                    return Ok(Ok(()));
                }
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// `reason` with the step that it belongs to.
    fn placed(&self, reason: &str) -> String {
        match self.step.get() {
            Some(step) => format!("in step `{step}`: {reason}"),
            None => reason.to_owned(),
        }
    }

    /// Runs `body` to its end; the reply, unless the parent has heard it or is gone.
    pub(super) fn finish(self, body: Body<'_>) -> Option<Reply> {
        let result = catch_unwind(AssertUnwindSafe(|| body(&self)));
        if self.over.get() {
            return None;
        }
        Some(match result {
            Ok(Ok(())) if !self.repeated.get() => {
                Reply::Failed("it never called `run.repeat`: nothing was measured".into())
            }
            Ok(Ok(())) => Reply::Done,
            Ok(Err(reason)) => Reply::Failed(self.placed(&reason)),
            Err(payload) => Reply::Failed(self.placed(&panic::text(&*payload))),
        })
    }
}

/// A frame that no optimisation removes: tracebacks end above it.
#[inline(never)]
fn call(iteration: &mut dyn FnMut() -> Result<(), String>) -> Result<(), String> {
    std::hint::black_box(iteration())
}

impl ClosureScenario {
    pub(crate) fn new(
        name: Cow<'static, str>,
        is_ignored: bool,
        body: impl Fn(&Run<'_>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { name, is_ignored, body: Box::new(body) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is run only where somebody asks for it.
    pub(crate) fn is_ignored(&self) -> bool {
        self.is_ignored
    }

    pub(crate) fn body(&self) -> Body<'_> {
        Box::new(|run| (self.body)(run))
    }
}
