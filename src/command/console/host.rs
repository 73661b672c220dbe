//! The host behind a session.
//!
//! What is traced has an epoch of at least 1: older is what the host itself allocated before it
//! heard of anything, which no number of what was traced counts.

use std::os::fd::OwnedFd;
use std::time::Duration;

use super::Trouble;
use super::session::Setup;
use crate::check::driver::{Driver, LAST_PATIENCE, Output};
use crate::check::heap::Own;
use crate::check::{Problem, Room, completeness, explained, heap};
use crate::protocol::{Reply, Request};
use crate::report::Exit;
use crate::report::table::Memory;
use crate::scenario::Entry;

/// A host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) driver: Driver,
    /// Bytes of its heap.
    heap: u64,
    own: Own,
}

impl Host {
    /// A host that has heard of nothing but whether it is traced; `interrupts` can be read when
    /// what it was asked for is to be given up.
    pub(super) fn start(
        setup: Setup,
        interrupts: Option<&OwnedFd>,
        traced: bool,
    ) -> Result<Self, Trouble> {
        let (mut driver, own) = ready(setup, interrupts).map_err(|problem| trouble(&problem))?;
        match driver.hear(&Request::Trace(traced), "the tracing's switch") {
            Ok(Reply::Done) => Ok(Self { driver, heap: setup.heap, own }),
            Ok(other) => {
                let text = format!("the host answered {other:?}");
                Err(trouble(&Problem::NotChecked(text)))
            }
            Err(problem) => Err(trouble(&problem)),
        }
    }

    /// Ends it, which may take `limit`; nothing is to be done where it is lost.
    pub(super) fn end(&mut self, limit: Duration) -> Result<u8, Trouble> {
        if self.driver.is_lost() {
            return Ok(0);
        }
        self.driver.grant();
        let failed = |text: String| Err(Trouble { status: 4, text });
        match self.driver.end() {
            Ok((_, false)) => failed(format!(
                "the host did not end {:?} after it was asked to, and was killed",
                limit.min(LAST_PATIENCE)
            )),
            Ok((Exit { code: Some(0), .. }, true)) => Ok(0),
            Ok((Exit { signal: Some(signal), .. }, true)) => {
                let what = "the host, at its exit,".to_owned();
                Err(trouble(&Problem::Killed { what, signal }))
            }
            Ok((Exit { code, .. }, true)) => {
                failed(format!("the host ended with exit code {}", code.unwrap_or_default()))
            }
            Err(error) => failed(format!("the host is gone: {error}")),
        }
    }

    /// Asks for `request`, which has one answer if it works.
    pub(super) fn ask(&mut self, request: &Request, what: &str) -> Result<Reply, Trouble> {
        match self.hear(request, what).map_err(|problem| trouble(&problem))? {
            Reply::Refused(reason) => Err(Trouble::input(reason)),
            Reply::Failed(reason) => {
                Err(Trouble { status: 4, text: format!("{what} failed: {reason}") })
            }
            Reply::NoHeap(reason) => Err(trouble(&Problem::NotChecked(reason))),
            reply => Ok(reply),
        }
    }

    /// The same; where the host is lost by it, with what that may come from.
    fn hear(&mut self, request: &Request, what: &str) -> Result<Reply, Problem> {
        self.driver.hear(request, what).map_err(|problem| match self.driver.is_lost() {
            true => explained(problem, &self.completeness()),
            false => problem,
        })
    }

    fn completeness(&self) -> Result<(), Problem> {
        completeness(self.driver.ledger().header(), Room::of_option(self.heap))
    }

    /// Turns tracing on or off.
    pub(super) fn switch(&mut self, on: bool) -> Result<(), Trouble> {
        self.ask(&Request::Trace(on), "the tracing's switch").map(drop)
    }

    /// The sizes of the blocks that were allocated while tracing was off.
    pub(super) fn untraced(&self) -> Result<Vec<u64>, Trouble> {
        let live = self.driver.live().map_err(|problem| trouble(&problem))?;
        let untraced = live.iter().filter(|block| block.is_untraced());
        Ok(untraced.map(|block| block.entry.size).collect())
    }

    /// The lines on the heap, and the table.
    pub(super) fn look(&mut self, traced: bool) -> Result<(String, Memory), Trouble> {
        let mut look = || {
            let live = self.driver.live()?;
            let heap = heap::look(&mut self.driver, &live, traced, self.own)?;
            let memory = heap::table(&self.driver, &live, 1)?;
            Ok((crate::report::heap::write(&heap), memory))
        };
        look().map_err(|problem| trouble(&problem))
    }

    /// The table alone.
    pub(super) fn table(&self) -> Result<Memory, Trouble> {
        let table = || heap::table(&self.driver, &self.driver.live()?, 1);
        table().map_err(|problem| trouble(&problem))
    }

    /// Whether all that was to be traced was.
    pub(super) fn complete(&self) -> Result<(), Trouble> {
        self.completeness().map_err(|problem| trouble(&problem))
    }
}

/// A host that is traced, and what it has of its own.
fn ready(setup: Setup, interrupts: Option<&OwnedFd>) -> Result<(Driver, Own), Problem> {
    let mut driver = Driver::start(&Entry::Main, setup.heap, setup.limit, Output::Shared)?;
    driver.control()?;
    if let Some(interrupt) = interrupts.and_then(|interrupts| interrupts.try_clone().ok()) {
        driver.interrupt_by(interrupt);
    }
    let own = Own::of(&driver)?;
    driver.ledger().set_epoch(1);
    Ok((driver, own))
}

/// What `problem` is in a session.
pub(super) fn trouble(problem: &Problem) -> Trouble {
    let note = match problem {
        Problem::NotChecked(_) => "; what is not checked is not clean",
        _ => "",
    };
    Trouble { status: problem.status(), text: format!("{problem}{note}") }
}

/// A reply that no request has.
pub(super) fn unexpected(reply: &Reply) -> Trouble {
    Trouble { status: 4, text: format!("the host answered {reply:?}") }
}
