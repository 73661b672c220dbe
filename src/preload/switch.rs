//! Tracing on and off for all threads of the process.
//!
//! Off, a block is entered without a backtrace; what has one keeps it, and is removed when it is
//! freed: nothing that was attributed is lost or goes stale. A thread's cache of backtraces would
//! go on attributing, so turning tracing off ends the validity of all of them; on an allocation
//! that the switch has overtaken the backtrace is right in any case.

use core::sync::atomic::{AtomicBool, Ordering};

use super::modules;

static OFF: AtomicBool = AtomicBool::new(false);

/// Turns tracing on or off.
pub(crate) fn turn(on: bool) {
    if OFF.swap(!on, Ordering::AcqRel) == on {
        // The switch first: what is cached from here on was looked at with it.
        modules::closing();
        modules::closed();
    }
}

/// Whether tracing is off. Asked where no cache knows the backtrace.
pub(crate) fn is_off() -> bool {
    OFF.load(Ordering::Acquire)
}
