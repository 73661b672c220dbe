//! Snapshot tests for memory leaks: a leak in C, C++ or Rust fails `cargo test` with the traceback
//! that made it. Accepting one is reviewing a snapshot: `cargo insta review`.
//!
#![doc = include_str!("guide.md")]
#![cfg_attr(
    not(feature = "command"),
    allow(
        dead_code,
        unused_imports,
        reason = "rooms have doors that the command alone goes through"
    )
)]

pub mod plugin;
pub mod report;

#[cfg(test)]
mod case_file;
mod check;
mod child;
#[cfg(feature = "command")]
mod command;
#[cfg(test)]
mod damage;
mod error;
#[cfg(feature = "exports")]
mod export;
mod gate;
#[doc(hidden)]
pub mod harness;
mod host;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
#[allow(dead_code, reason = "the child's half is for the preload heap")]
mod ledger;
#[cfg(any(test, feature = "internals"))]
#[allow(dead_code, reason = "without exports nobody calls the entry points")]
mod preload;
mod protocol;
mod rerun;
mod review;
mod scenario;
mod snapshot;
mod suppression;
mod symbols;
#[cfg(any(feature = "command", feature = "internals"))]
mod trace;
mod traceback;
#[cfg(doc)]
pub mod troubleshooting;
mod verdict;

#[cfg(feature = "command")]
pub use command::run as command;
pub use error::{Error, ErrorKind};
pub use host::closure::{ClosureScenario, IntoResult, Result, Run, RunError, scenario};
#[doc(hidden)]
pub use insta;
#[doc(hidden)]
pub use inventory;
/// Registers a function as a scenario, with a child process of its own.
///
/// The function takes a `&`[`Run`] and returns nothing or a [`Result`](IntoResult). In a target with
/// Rust's own harness (the library's tests, a file below `tests/`) it is an ordinary test, called
/// `no_leaks` in a module of the function's name:
///
/// ```
/// // `cargo test` runs the test `parses::no_leaks`
/// # fn parse(_: &str) -> Result<u32, std::num::ParseIntError> { Ok(17) }
/// #[leaksnap::scenario]
/// fn parses(run: &leaksnap::Run) -> leaksnap::Result {
///     run.repeat(8, || parse("17"))
/// }
/// ```
///
/// In a target with `harness = false` it is a trial of [`main!`], beside the scenario files.
///
/// Its name is the way to it inside of the crate, with `/`: `x509/parses` for `parses` in the module
/// `x509`. Two scenarios of one name are an error. What it leaks may be accepted: the snapshot lies
/// where [`main!`] has its own, and with Rust's harness in `snapshots/` beside the source file, in a
/// folder of the crate's name, so that no two tests share one.
///
/// With `#[ignore]` it is run where somebody asks for it. A crate that is not tested doesn't need it:
/// in a library it stands below `#[cfg(test)]`.
pub use leaksnap_attribute::scenario;
pub use rerun::check;
// Its sources are in the preload heap; only its unit tests and benches link it.
#[cfg(any(test, feature = "internals"))]
use libmimalloc_sys as _;
