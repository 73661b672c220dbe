//! `leaksnap exec` on whole programs, as people call it.

#[path = "exec/allocators.rs"]
mod allocators;
#[path = "exec/command_line.rs"]
mod command_line;
#[path = "exec/exits.rs"]
mod exits;
#[path = "exec/holders.rs"]
mod holders;
#[path = "exec/not_checked.rs"]
mod not_checked;
#[path = "exec/outside_main.rs"]
mod outside_main;
#[path = "exec/transparency.rs"]
mod transparency;
#[path = "exec/verdicts.rs"]
mod verdicts;
