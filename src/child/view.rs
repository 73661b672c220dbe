//! What of a child's live blocks its own pointers reach, while it stands.

use std::io;
use std::sync::atomic::Ordering;

use super::ledger_file::{LedgerError, Live};
use super::memory::Stopped;
use super::process::Process;
use super::reach::{Block, Blocks};
use crate::ledger::header::mark;
use crate::report::Reachability;

/// The live blocks of a child that stands at its exit, and what each of them is. Other
/// threads run until they are stopped: the ledger that counts is the one after that.
///
/// # Errors
/// Where the ledger or the child's memory can't be read.
pub(crate) fn look(child: &Process) -> Result<(Vec<Live>, Vec<Reachability>), LedgerError> {
    if !child.ledger().has_live()? {
        return Ok(Default::default());
    }
    let stopped = stop(child).map_err(LedgerError::Memory)?;
    let live = child.ledger().live()?;
    let reached = reached(child, &stopped, &live).map_err(LedgerError::Memory)?;
    Ok((live, reached))
}

/// What each of `live` is; `child` waits for a request, and its threads with it.
///
/// # Errors
/// Where the child's memory can't be read.
pub(crate) fn reachability(child: &Process, live: &[Live]) -> io::Result<Vec<Reachability>> {
    reached(child, &stop(child)?, live)
}

fn stop(child: &Process) -> io::Result<Stopped> {
    let mut stopped = Stopped::new(child.pid())?;
    let header = child.ledger().header();
    if header.mark.load(Ordering::Acquire) == mark::AT_EXIT {
        // Below the frame that called `exit` lies what `main` left: dead, and full of pointers.
        let id = header.exit_thread.load(Ordering::Relaxed);
        let registers = header.exit_registers.iter().map(|word| word.load(Ordering::Relaxed));
        if let Some(thread) = stopped.threads_mut().iter_mut().find(|thread| thread.id == id) {
            thread.stack = thread.stack.max(header.exit_stack.load(Ordering::Relaxed));
            thread.registers = registers.collect();
        }
    }
    Ok(stopped)
}

fn reached(child: &Process, stopped: &Stopped, live: &[Live]) -> io::Result<Vec<Reachability>> {
    let header = child.ledger().header();
    let base = header.heap_base.load(Ordering::Relaxed);
    let end = base.saturating_add(header.heap_size.load(Ordering::Relaxed));
    let roots = stopped.roots((base, end), &child.ledger().caches())?;
    let block = |live: &Live| Block { address: live.address, size: live.entry.size };
    let mut blocks = Blocks::new(live.iter().map(block).collect());
    blocks.mark(roots, |address, buffer| stopped.read(address, buffer));
    Ok(blocks.into_states())
}
