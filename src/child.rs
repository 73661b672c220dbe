//! The child process, as the parent sees it: started, watched, read, ended.
//!
//! ```text
//!   process  starts and ends it            (the one file that spawns)
//!   ledger_file  makes and reads its ledger   (the one file that maps the ledger)
//!   memory   reads its memory while it stands
//!   pages    what of its addresses is in memory
//!   kernel   pointers that only the kernel keeps
//!   reach    what pointers reach; view: what the child's do
//!   preload_file  the shared object that it is given
//! ```

#[cfg(test)]
mod book_tests;
#[cfg(test)]
mod handshake_tests;
mod kernel;
pub(crate) mod ledger_file;
pub(crate) mod memory;
pub(crate) mod pages;
pub(crate) mod preload_file;
pub(crate) mod process;
pub(crate) mod reach;
pub(crate) mod view;

#[cfg(test)]
mod unwinder_tests;
