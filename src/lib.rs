//! Snapshot tests for memory leaks: a leak fails `cargo test` with its traceback.
//!
//! A custom harness starts a scenario in a child process on a traced heap, compares what is still
//! allocated before and after, and fails the test when a traceback appears that nobody has
//! accepted. Accepting one is reviewing a snapshot: `cargo insta review`.
//!
//! ```toml
//! [[test]]
//! name = "leaks"
//! harness = false
//! ```
//! ```no_run
//! // tests/leaks.rs, complete: every scenario file below tests/leaks/ is a test
//! leaksnap::main!("tests/leaks");
//! ```
//!
//! A scenario file names plugins and the steps that they run, or a whole program:
//!
//! ```toml
//! plugins = ["crypto_openssl"]
//! steps   = ["test crypto"]
//! ```
//!
//! Plugins are written in C with `include/leaksnap_plugin.h`, or in Rust with [`plugin!`].

pub mod plugin;
pub mod report;

#[cfg(test)]
mod case_file;
mod check;
mod child;
mod command;
#[cfg(test)]
mod damage;
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
mod scenario;
mod snapshot;
mod suppression;
mod symbols;
mod trace;
mod traceback;
mod verdict;

pub use command::run as command;
pub use host::closure::{ClosureScenario, IntoResult, Run, RunError, scenario};
#[doc(hidden)]
pub use insta;
// Its sources are in the preload heap; only its unit tests and benches link it.
#[cfg(any(test, feature = "internals"))]
use libmimalloc_sys as _;
