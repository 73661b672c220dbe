//! What is written down of a process that executes another program, in the ledger of the first one,
//! where its parent follows: the program that comes up with the preload heap takes it away, what did
//! not come up stays. So a program without the heap has a name.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How many processes may be on their way at a time.
pub(crate) const DEPARTURES: usize = 32;

/// Bytes of a program's name that fit.
pub(crate) const NAME: usize = 56;

/// One of them.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Departure {
    /// The process; 0 where the place is free.
    pub(crate) process: AtomicU32,
    /// The file's name without folders, as far as it fits, and zeros.
    pub(crate) name: [AtomicU64; NAME / 8],
}

impl Departure {
    /// Takes the place for `process`; whether it was free.
    pub(crate) fn take(&self, process: u32) -> bool {
        self.process.compare_exchange(0, process, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Frees the place if it is that of `process`.
    pub(crate) fn free(&self, process: u32) {
        let _ = self.process.compare_exchange(process, 0, Ordering::AcqRel, Ordering::Relaxed);
    }
}
