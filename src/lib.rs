//! Snapshot tests for memory leaks.
pub mod plugin;
pub mod report;

mod child;
pub mod host;
mod ledger;
mod protocol;
#[cfg(test)]
mod preload;
mod scenario;
mod symbols;
mod traceback;
mod verdict;
#[cfg(test)]
use libmimalloc_sys as _;
