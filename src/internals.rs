//! What benches and fuzz targets reach of the rooms inside: no part of the API, and compiled only
//! with the feature `internals`.
//!
//! ```text
//!   child   a thread's stack walked, a backtrace's site, a ledger written
//!   damage  a walk over bytes that a fuzz target made
//!   parent  that ledger read and judged, blocks marked, code symbolized
//! ```
//! Thin on purpose: a function here calls what the two sides call themselves, and holds no logic
//! of its own that could be measured instead.

pub mod child;
pub mod damage;
pub mod parent;
