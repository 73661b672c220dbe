//! What the tests of this package start, and where.

pub mod cargo;
pub mod run;
pub mod source;
pub mod trials;
