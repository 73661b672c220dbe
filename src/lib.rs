//! Snapshot tests for memory leaks.
pub mod plugin;
