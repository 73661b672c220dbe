//! What it says when it can't say whether something leaks, or stops at an error: what each message
//! means, and what to do.
#![doc = include_str!("troubleshooting.md")]
