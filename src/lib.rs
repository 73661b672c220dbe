//! Snapshot tests for memory leaks.
pub mod plugin;
pub mod report;

mod check;
mod child;
mod command;
pub mod host;
mod ledger;
#[cfg(test)]
mod preload;
mod protocol;
mod scenario;
mod snapshot;
mod suppression;
mod symbols;
mod traceback;
mod verdict;
pub use command::run as command;
#[cfg(test)]
use libmimalloc_sys as _;
