//! Every scenario file below `tests/leaks/` is a trial.

leaksnap::main!("tests/leaks", snapshots: "../snapshots");
