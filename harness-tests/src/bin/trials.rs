//! Trials of the scenarios below `scenarios/` in the folder that `CARGO_MANIFEST_DIR` names when
//! it is run: a test chooses one of its own.

leaksnap::main!("scenarios", snapshots: "snapshots");
