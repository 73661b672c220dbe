//! Snapshot tests for memory leaks.
pub mod plugin;
pub mod report;

mod ledger;
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
static X: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preload_heap.so"));
