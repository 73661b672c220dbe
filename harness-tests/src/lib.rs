//! Everything together: the harness and the command on the fixtures.

mod workplace;

pub use workplace::{Ended, Workplace};
