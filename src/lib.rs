//! Snapshot tests for memory leaks.
pub mod plugin;
pub mod report;

mod child;
mod ledger;
#[cfg(test)]
mod preload;
#[cfg(test)]
use libmimalloc_sys as _;
