//! The ledger: what the traced child writes and the parent reads.
//!
//! ```text
//!   header | shards | modules | nodes | side table
//!   4 KiB    64 B     1 KiB     16 B    8 B for every 16-byte granule of the heap
//! ```
//!
//! A memfd that the parent made holds it, sparse: a page costs memory once it is written.
//! Both sides compile this module; it imports nothing. The child writes every part, the parent
//! writes the header before the child starts and the epoch while the child waits.
//!
//! Invariants, which the writer keeps and the reader checks:
//! - an entry is one word, so it is there whole or not at all;
//! - a node's parent has a smaller number than the node, so every walk to the root ends;
//! - a node and a module are written before the number that leads to them is.

pub(crate) mod departure;
pub(crate) mod entry;
pub(crate) mod header;
pub(crate) mod layout;
pub(crate) mod module;
pub(crate) mod shard;
pub(crate) mod site;
