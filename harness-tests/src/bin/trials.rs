//! The harness, for tests that bring scenarios of their own: cargo tells a test where a program
//! of its package is, and not where another test is.

leaksnap::main!("tests/leaks");
