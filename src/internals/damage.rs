//! Damaged input: what the fuzz targets feed. A function says how much it found, where that is not
//! refused; each form is told in the file that it calls.

use crate::preload::unwind::input as unwind;
use crate::{check, host, scenario, snapshot, suppression, trace};

/// Walks a stack by unwind data, both of them made of `bytes`; how many frames were found.
#[must_use]
pub fn walk(bytes: &[u8]) -> Option<usize> {
    unwind::walk_bytes(bytes)
}

/// Reads and judges a ledger made of `bytes`; how many groups were found.
#[must_use]
pub fn judge_ledger(bytes: &[u8]) -> Option<usize> {
    check::input::judge(bytes).ok()
}

/// Reads `bytes` as a scenario file; how many steps or words of a program it has.
#[must_use]
pub fn read_scenario(bytes: &[u8]) -> Option<usize> {
    scenario::input::read(bytes)
}

/// Reads `bytes` as a file of suppressions and matches them; how many they are.
#[must_use]
pub fn read_suppressions(bytes: &[u8]) -> Option<usize> {
    suppression::input::read(bytes)
}

/// Reads `bytes` as two saved traces and compares them; how many groups grew.
#[must_use]
pub fn compare_traces(bytes: &[u8]) -> Option<usize> {
    trace::input::compare(bytes)
}

/// Reads `bytes` as two bodies of snapshots and compares them; how many tracebacks both have.
#[must_use]
pub fn compare_snapshots(bytes: &[u8]) -> Option<usize> {
    snapshot::input::compare(bytes)
}

/// Registers and runs commands with what a plugin may have for texts, as `bytes` say; how many
/// were registered.
#[must_use]
pub fn run_commands(bytes: &[u8]) -> Option<usize> {
    host::input::run(bytes)
}
