//! Unwinding: from a thread's registers to the return addresses of its frames.
//!
//! ```text
//!   walk -> rule_cache                            a known return address: one word says it all
//!        -> frame_table -> row -> frame           any other: where the caller's registers are
//!        -> stack                                 their words
//! ```
//! Nothing here allocates, locks, panics or formats. Unwind data is read through a
//! [`window::Window`], the stack through a [`stack::Stack`]: both refuse what lies outside, so
//! that neither a damaged table nor a damaged stack leads anywhere else.
//!
//! What ends a walk: a return address that is undefined or zero is the outermost frame; code
//! without unwind data (hand-written, generated) and data that make no sense cut it short.

pub(crate) mod expression;
pub(crate) mod frame;
pub(crate) mod frame_table;
#[cfg(any(test, feature = "internals"))]
pub(crate) mod input;
pub(crate) mod row;
pub(crate) mod rule_cache;
pub(crate) mod stack;
pub(crate) mod walk;
pub(crate) mod window;

#[cfg(target_arch = "aarch64")]
#[path = "unwind/aarch64.rs"]
pub(crate) mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "unwind/x86_64.rs"]
pub(crate) mod arch;

#[cfg(test)]
mod tests;
