//! The child process, as the parent sees it: started, watched, read, ended.
//!
//! ```text
//!   launch   starts it, and commands beside it, which are outside   (the one file that spawns)
//!   process  watches and ends it
//!   status   what its threads do while they run; family: whom it has started
//!   watch    waits for its words; follow: the programs that it starts; departures: those without the heap
//!   ledger_file  makes and reads its ledger   (the one file that maps the ledger)
//!   memory   reads its memory while it stands
//!   pages    what of its addresses is in memory
//!   proc_file  the texts of procfs, whose names may be any bytes
//!   kernel   pointers that only the kernel keeps
//!   reach    what pointers reach; view: what the child's do
//!   file_state  whether a file is the one that was read before
//!   unseen   what the preload heap does not see; own_allocator: what the program's file tells of it
//!   preload_file  the shared object that it is given; program_file: whether it can take it
//! ```

#[cfg(test)]
mod book_tests;
mod departures;
pub(crate) mod family;
mod file_state;
pub(crate) mod follow;
#[cfg(test)]
mod handshake_tests;
pub(crate) mod invocation;
mod kernel;
pub(crate) mod launch;
pub(crate) mod ledger_file;
pub(crate) mod memory;
pub(crate) mod outside;
mod own_allocator;
pub(crate) mod pages;
pub(crate) mod preload_file;
pub(crate) mod proc_file;
pub(crate) mod process;
pub(crate) mod program_file;
pub(crate) mod reach;
pub(crate) mod status;
pub(crate) mod unseen;
pub(crate) mod view;
mod watch;

#[cfg(test)]
mod unwinder_tests;
