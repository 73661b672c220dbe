//! A check inside of an ordinary test, which a child runs again up to the same call.
//!
//! ```text
//!   parent: the test                        child: the same executable, this test alone
//!   ----------------                        -------------------------------------------
//!   check #1: a child    ---------------->  check #1: it is the host; the test goes no further
//!     Ok(report)
//!   check #2: a child, whose record has     check #1: Ok(report), from the record
//!     what #1 came to    ---------------->  check #2: it is the host
//! ```
//! A closure can hold anything that the test made before: no process can be given one, but it can
//! make it again. Earlier calls return what they returned in the parent, so that the test goes the
//! same way.
//!
//! Invariant: a child that comes to another call than the recorded one, or to none, never
//! answers its parent, who says "not checked".

mod record;

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::panic::Location;
use std::path::Path;

use crate::check::onlooker::Onlooker;
use crate::check::{self, Outcome, Wanted};
use crate::error::Error;
use crate::host;
use crate::host::closure::{Body, IntoResult, Run};
use crate::report::Report;
use crate::scenario::{Entry, Scenario};
use record::{Made, Record, RecordFile};

/// The name that the standard library gives the first thread.
const MAIN: &str = "main";

thread_local! {
    /// What the calls of this thread came to.
    static MADE: RefCell<Vec<Made>> = const { RefCell::new(Vec::new()) };
    /// In a child, the calls that this thread came to.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// Checks `body`, in a child process of its own on the traced heap: a scenario inside of an
/// ordinary `#[test]`. What was found is a value; [`Report::assert_clean`] fails the test where
/// that is a leak.
///
/// ```no_run
/// # fn parse(_: &[u8]) {}
/// #[test]
/// fn parsing_leaks_nothing() -> Result<(), leaksnap::Error> {
///     let certificate = std::fs::read("tests/cert.der").unwrap();
///     leaksnap::check(|run| run.repeat(8, || parse(&certificate)))?.assert_clean();
///     Ok(())
/// }
/// ```
///
/// The child is the test executable, started again with this test alone: what stands before the
/// call is run there, too, and nothing of what stands behind it. Several checks in a test are one
/// child each; there the earlier ones return what they returned here. So a test has to come to its
/// checks in the same way each time, and on its own thread, which has the test's name. In `main`,
/// as in an example or a harness of one's own, it can be called too: the child gets the arguments
/// of this process.
///
/// # Errors
/// Where an iteration or `body` returned an error, panicked or ended the child; where the child
/// never came to this call, or its memory could not be traced: what is not checked is not clean.
#[track_caller]
pub fn check<R: IntoResult>(body: impl FnOnce(&Run<'_>) -> R) -> Result<Report, Error> {
    let place = Location::caller();
    let name = thread_name(place)?;
    let body = Box::new(|run: &Run<'_>| body(run).into_result());
    match enter(place, &name, body)? {
        Turn::Known(result) => result,
        Turn::First(call) => {
            let scenario = Scenario::of_closure(&call.place, &name, call.entry());
            let outcome = check::scenario(
                &scenario,
                Path::new(""),
                &name,
                Wanted::default(),
                &Onlooker::default(),
                &|_| false,
            );
            call.finish(result(outcome))
        }
    }
}

fn result(outcome: Outcome) -> Result<Report, Error> {
    match &outcome.problem {
        Some(problem) => Err(Error::new(problem, &outcome)),
        None => Ok(outcome.report),
    }
}

/// What a call is, here and now.
pub(crate) enum Turn {
    /// In a child, one that came before: what came of it.
    Known(Result<Report, Error>),
    /// In the parent: it is to be made.
    First(Call),
}

/// A call that is to be made, in the parent.
#[derive(Debug)]
pub(crate) struct Call {
    /// The call's place in the source.
    pub(crate) place: String,
    arguments: Vec<OsString>,
    /// What libtest writes first.
    heading: String,
    record: RecordFile,
}

/// Comes to the call at `place`, whose scenario is called `name`. In the child that was started
/// for it this runs `body` as the host's closure, and never returns.
///
/// # Errors
/// Where it can't be made here, or was not to be.
pub(crate) fn enter(place: &Location<'_>, name: &str, body: Body<'_>) -> Result<Turn, Error> {
    let shown = shown(place);
    if host::is_running() {
        return Err(Error::wrong(format!("{shown}: there is no check inside of another one")));
    }
    let thread = thread_name(place)?;
    let here = place.to_string();
    if let Some(record) = Record::of_this_process() {
        let record = record.map_err(|error| Error::not_checked(format!("{shown}: {error}")))?;
        let number = CALLS.replace(CALLS.get() + 1);
        return match record.earlier.get(number) {
            _ if record.thread != thread => Err(strayed(&shown)),
            Some(made) if made.place == here => Ok(Turn::Known(made.result.clone())),
            None if number == record.earlier.len() && record.place == here => {
                let mut body = Some(body);
                let code = host::run(&mut |asked| body.take_if(|_| asked == name));
                // Neither the rest of the test nor the harness has anything to say here.
                std::process::exit(i32::from(code != std::process::ExitCode::SUCCESS))
            }
            _ => Err(strayed(&shown)),
        };
    }
    let arguments = match thread.as_str() {
        MAIN => std::env::args_os().skip(1).collect(),
        test => arguments(test),
    };
    let heading = format!("\nrunning 1 test\ntest {thread} ... ");
    let earlier = MADE.with_borrow(Clone::clone);
    let record = Record { parent: std::process::id(), thread, place: here, earlier };
    let record = RecordFile::write(&record)
        .map_err(|error| Error::not_checked(format!("{shown}: write the record: {error}")))?;
    Ok(Turn::First(Call { place: shown, arguments, heading, record }))
}

/// What libtest runs one test by, whose output the parent reads.
fn arguments(test: &str) -> Vec<OsString> {
    let options = ["--exact", "--include-ignored", "--nocapture", "--test-threads=1"];
    std::iter::once(test).chain(options).map(OsString::from).collect()
}

fn strayed(place: &str) -> Error {
    Error::not_checked(format!(
        "{place}: the child came to another call than its parent; a test has to come to its \
         checks in the same way each time"
    ))
}

/// The name of this thread, which is the test's.
pub(crate) fn thread_name(place: &Location<'_>) -> Result<String, Error> {
    std::thread::current().name().map(str::to_owned).ok_or_else(|| {
        Error::not_checked(format!(
            "{}: this thread has no name; check on the test's own thread, by whose name a child \
             finds the test",
            shown(place)
        ))
    })
}

/// `place` as messages have it.
fn shown(place: &Location<'_>) -> String {
    format!("{}:{}", place.file(), place.line())
}

impl Call {
    /// How the child comes to the call.
    pub(crate) fn entry(&self) -> Entry {
        Entry::Call {
            arguments: self.arguments.clone(),
            record: self.record.path(),
            heading: self.heading.clone(),
        }
    }

    /// `result` is what the call came to; later children are told.
    fn finish(self, result: Result<Report, Error>) -> Result<Report, Error> {
        let place = self.record.place().to_owned();
        MADE.with_borrow_mut(|made| made.push(Made { place, result: result.clone() }));
        result
    }
}
