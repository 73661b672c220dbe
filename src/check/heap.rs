//! A host's heap, looked at between two requests: the kernel says what is in memory, the ledger
//! what is live, mimalloc what it holds. A thread that a plugin started may go on meanwhile.

use std::sync::atomic::Ordering;

use super::Problem;
use super::driver::{Driver, damaged};
use super::tally::Tally;
use crate::child::ledger_file::Live;
use crate::child::{pages, proc_file};
use crate::ledger::shard::BATCH;
use crate::protocol::{Reply, Request};
use crate::report::heap::Heap;
use crate::report::table::Memory;
use crate::symbols::{DebugFiles, Symbols};

/// What a host has allocated before it heard of anything: older than epoch 1, and traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Own {
    /// Bytes that were live when it was looked at.
    bytes: u64,
}

impl Own {
    /// What the host behind `driver` has now, before epoch 1 begins; from here on the most that is
    /// live at a time is counted.
    ///
    /// # Errors
    /// Where the ledger can't be read.
    pub(crate) fn of(driver: &Driver) -> Result<Self, Problem> {
        driver.ledger().restart_most();
        Ok(Self { bytes: Self::within(&driver.live()?) })
    }

    /// What of `live` is its own.
    fn within(live: &[Live]) -> u64 {
        let own = live.iter().filter(|block| !block.is_paused() && block.entry.epoch == 0);
        own.map(|block| block.entry.size).fold(0, u64::saturating_add)
    }
}

/// The heap of the host behind `driver`; `traced` says whether tracing is on.
///
/// # Errors
/// Where the host or the kernel does not tell.
pub(crate) fn look(
    driver: &mut Driver,
    live: &[Live],
    traced: bool,
    own: Own,
) -> Result<Heap, Problem> {
    let held = match driver.hear(&Request::Statistics, "the heap's statistics")? {
        Reply::Statistics(held) => held,
        other => return Err(Problem::Failed(format!("the host answered {other:?}"))),
    };
    let unread = |error| Problem::NotChecked(format!("read the host's pages: {error}"));
    let (pid, ledger) = (driver.process().pid(), driver.ledger());
    let header = ledger.header();
    let (base, size) =
        (header.heap_base.load(Ordering::Relaxed), header.heap_size.load(Ordering::Relaxed));
    let pages = pages::of(pid, base, base.saturating_add(size)).map_err(unread)?;
    let name = proc_file::text(format!("/proc/{pid}/comm")).map_err(unread)?;
    // A block is carved out before it has an entry.
    let in_use = u64::try_from(live.len()).unwrap_or(u64::MAX);
    let threads = u64::try_from(ledger.caches().len()).unwrap_or(u64::MAX);
    // Each thread may keep a batch to itself.
    let batches = if threads > 1 { threads.saturating_mul(BATCH.unsigned_abs()) } else { 0 };
    // What the host had of its own is known; when it freed some of that is not.
    Ok(Heap {
        thread: name.trim_end().to_owned(),
        base,
        size,
        traced,
        page_size: pages.page_size,
        pages: pages.total,
        mapped: pages.mapped,
        unknown: pages.unknown,
        nodes: pages.nodes,
        used: live.iter().map(|block| block.entry.size).fold(0, u64::saturating_add),
        trimmable: held.free_bytes,
        free_chunks: held.blocks.saturating_sub(in_use),
        most: ledger.counts().peak_bytes.saturating_sub(own.bytes),
        most_within: batches.saturating_add(own.bytes.saturating_sub(Own::within(live))),
    })
}

/// The table of what of `live` was traced since epoch `from`.
///
/// # Errors
/// Where the ledger can't be read.
pub(crate) fn table(driver: &Driver, live: &[Live], from: u32) -> Result<Memory, Problem> {
    let host = std::env::current_exe().ok();
    let host = host.as_deref().and_then(std::path::Path::file_name);
    let host = host.map(|name| name.to_string_lossy());
    Tally::new(driver.ledger(), host.as_deref(), &mut Symbols::new(DebugFiles::Ignored))
        .and_then(|mut tally| tally.memory(live, from))
        .map_err(damaged)
}
