//! Everything together: the harness and the command on the fixtures.
//!
//! ```text
//!   command   the `leaksnap` command, built once, and runs of it
//!   program   fixtures/programs, compiled; programs of the system
//!   run       a bounded run of a program: status and output
//!   workplace a temporary folder with scenarios, and runs in it
//! ```

pub mod command;
pub mod program;
pub mod run;
mod workplace;

pub use workplace::{Ended, Workplace};
