//! Rows in C++ and Rust.

use super::{Row, grown, indirect, kept, lost};

pub(super) const CPP: &[Row] = &[
    Row::fails("forgets_objects", "new", &[lost("forget_new", 1.0, 16.0)]),
    Row::fails("forgets_objects", "new array", &[lost("forget_new_array", 1.0, 120.0)]),
    Row::fails("forgets_objects", "release", &[lost("forget_released", 1.0, 16.0)]),
    // Two reference counts and a vtable before a node's two pointers and two counts.
    Row::fails("forgets_objects", "cycle", &[lost("make_node", 2.0, 96.0)]),
    Row::fails("forgets_objects", "throw", &[lost("make_parser", 1.0, 100.0)]),
    Row::fails("forgets_objects", "destructor", &[lost("Derived::Derived", 1.0, 90.0)]),
    Row::fails(
        "forgets_objects",
        "capture",
        &[lost("capture_itself", 1.0, 16.0), indirect("capture_itself", 1.0, 48.0)],
    ),
    Row::fails(
        "forgets_objects",
        "string",
        &[lost("forget_string", 1.0, 32.0), indirect("forget_string", 1.0, 61.0)],
    ),
    Row::fails("keeps_containers", "vector", &[grown("grow_vector", 0, 112)]),
    Row::fails("keeps_containers", "map", &[kept("grow_map", 1.0, 48.0)]),
    Row::fails("keeps_containers", "string", &[grown("grow_string", 0, 1400)]),
    Row::fails(
        "keeps_containers",
        "hash table",
        &[kept("grow_hash_table", 40.0, 960.0), grown("grow_hash_table", 0, 3312)],
    ),
    Row::keeps("keeps_containers", "static local", &[("one-time", "primes")]),
    Row::keeps("keeps_containers", "thread local", &[("one-time", "keep_thread_local")]),
    Row::keeps("keeps_containers", "function", &[("replaced", "replace_function")]),
    Row::keeps("keeps_containers", "window", &[("one-time", "move_window")]),
];

pub(super) const RUST: &[Row] = &[
    Row::fails(
        "forgets_in_rust",
        "box leak",
        &[lost("forgets_in_rust::forgotten::leak_box", 1.0, 80.0)],
    ),
    Row::fails(
        "forgets_in_rust",
        "mem forget",
        &[lost("forgets_in_rust::forgotten::forget_string", 1.0, 26.0)],
    ),
    Row::fails(
        "forgets_in_rust",
        "rc cycle",
        &[lost("forgets_in_rust::forgotten::make_node", 2.0, 112.0)],
    ),
    Row::fails(
        "forgets_in_rust",
        "manually drop",
        &[lost("forgets_in_rust::forgotten::never_drop", 1.0, 132.0)],
    ),
    Row::fails(
        "forgets_in_rust",
        "into raw",
        &[lost("forgets_in_rust::forgotten::lose_raw", 1.0, 45.0)],
    ),
    Row::fails(
        "forgets_in_rust",
        "thread",
        &[lost("forgets_in_rust::forgotten::forget_last_words", 1.0, 150.0)],
    ),
    Row::fails(
        "forgets_in_rust",
        "vector",
        &[grown("forgets_in_rust::kept::grow_vector", 0, 6400)],
    ),
    Row::fails("forgets_in_rust", "map", &[kept("forgets_in_rust::kept::make_session", 1.0, 70.0)]),
    Row::keeps("forgets_in_rust", "resized map", &[]),
    Row::keeps("forgets_in_rust", "once", &[("one-time", "forgets_in_rust::kept::make_table")]),
    Row::keeps(
        "forgets_in_rust",
        "thread local",
        &[("one-time", "forgets_in_rust::kept::keep_scratch")],
    ),
    Row::keeps("forgets_in_rust", "queue", &[("one-time", "forgets_in_rust::kept::drain_late")]),
];
