//! The preload heap: what runs in the child, below its `malloc`.
//!
//! ```text
//!   entry_points -> allocation -> trace_cache (sites that the thread has seen; ring: the words)
//!                              -> backtrace -> unwind (frames; extent: how far stacks reach)
//!                              |            -> log (what a walk read; path: where the next joins)
//!                              |            -> modules, book -> index (nodes by their frames)
//!                              -> heap (mimalloc in a bounded region)
//!                              -> book (the ledger, written)
//!                              -> next (other allocators, by address)
//!                -> mallinfo (what the heap says of itself to the program)
//!   loader: objects that are opened apart
//!   exec: who executes another program;
//!   follow: ledgers of what the program starts; fork: how its children get theirs
//!   start: the state machine, the handshake; thread: a few words, a place; system: the kernel
//!   switch: tracing on and off for all threads; statistics: what mimalloc holds
//!   operators: whose C++'s `new` is
//!   interpreted: what Miri has instead of assembly and mappings
//! ```
//!
//! Compiled into a shared object of its own (`cdylib.rs`), and into the library's unit tests
//! without exports. Rules of the path below an entry point: no panic, no formatting, no `std`,
//! no lock that `fork` can leave held, `errno` untouched where the manual says so.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

pub(crate) mod allocation;
pub(crate) mod backtrace;
pub(crate) mod book;
pub(crate) mod entry;
pub(crate) mod entry_points;
pub(crate) mod exec;
pub(crate) mod extent;
pub(crate) mod follow;
pub(crate) mod fork;
pub(crate) mod heap;
pub(crate) mod index;
pub(crate) mod interning;
#[cfg(miri)]
pub(crate) mod interpreted;
pub(crate) mod libc_table;
pub(crate) mod libgcc;
pub(crate) mod list;
pub(crate) mod loader;
pub(crate) mod log;
pub(crate) mod mallinfo;
pub(crate) mod modules;
pub(crate) mod next;
pub(crate) mod operators;
pub(crate) mod path;
pub(crate) mod ring;
pub(crate) mod start;
pub(crate) mod statistics;
pub(crate) mod switch;
pub(crate) mod symbol;
pub(crate) mod system;
pub(crate) mod thread;
pub(crate) mod trace_cache;
pub(crate) mod unwind;
