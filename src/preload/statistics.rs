//! What mimalloc holds, for whoever looks at the heap: read while the other threads go on, each
//! number by itself.
//!
//! Nothing here is on the path of an allocation; it allocates nothing and takes no lock.

use super::heap::{self, SLICE};

/// What the heap holds; `protocol.rs` has the same for the parent.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Statistics {
    /// Bytes that are in no page of blocks and hold nothing of mimalloc's own.
    pub(crate) free_bytes: u64,
    /// Blocks that are carved out, in use or free.
    pub(crate) blocks: u64,
}

impl Statistics {
    /// Those of now.
    pub(crate) fn now() -> Self {
        let counts = heap::counts();
        let free = counts.free_slices.saturating_mul(SLICE);
        Self { free_bytes: free as u64, blocks: counts.carved as u64 }
    }
}
