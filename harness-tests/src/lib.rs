//! Everything together: the harness and the command on the fixtures.
//!
//! ```text
//!   cargo     cargo, cargo-insta and nextest, on projects of a test's own
//!   command   the `leaksnap` command, built once, and runs of it
//!   console   `leaksnap console`, a command at a time
//!   hazards   the table of hazards: rows, and what runs them
//!   model     the model of expected verdicts: rows, and what checks them
//!   outcome   what a tool or the harness said, and how it ended
//!   program   fixtures/programs, compiled; programs of the system
//!   run       a bounded run of a program: status and output
//!   source    the repository's files in Rust, for the rules of the house
//!   terminal  a program on a terminal of its own
//!   trials    the harness on scenarios of a test's own, and their snapshots
//!   user      a crate outside the workspace, on the packages as users get them
//!   workplace a temporary folder with scenarios, and runs in it
//! ```

pub mod cargo;
pub mod command;
pub mod console;
pub mod hazards;
pub mod model;
pub mod outcome;
pub mod program;
pub mod run;
pub mod source;
pub mod terminal;
pub mod trials;
pub mod user;
mod workplace;

pub use workplace::{Ended, Workplace, plugin};
