//! Snapshot tests for memory leaks.
pub mod plugin;
pub mod report;

mod child;
pub mod host;
mod ledger;
mod protocol;
#[cfg(test)]
mod preload;
#[cfg(test)]
use libmimalloc_sys as _;
