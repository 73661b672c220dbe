//! Snapshot tests for memory leaks.
pub mod plugin;
pub mod report;

mod check;
mod child;
mod command;
pub mod host;
mod ledger;
mod protocol;
#[cfg(test)]
mod preload;
mod scenario;
mod snapshot;
mod suppression;
mod symbols;
mod traceback;
mod verdict;
#[cfg(test)]
use libmimalloc_sys as _;
pub use command::run as command;
