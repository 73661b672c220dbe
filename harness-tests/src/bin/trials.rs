//! The harness, for tests that bring scenarios of their own: those below `tests/leaks/` in the
//! folder that `CARGO_MANIFEST_DIR` names when it is run. Cargo tells a test where a program of
//! its package is, and not where another test is.

leaksnap::main!("tests/leaks");
