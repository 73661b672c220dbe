//! Rows in C: what is kept within bounds, freed later, or made anew; threads.

use super::{Row, lost, lost_at_times};

/// Caches, rings, pools: nothing fails.
pub(super) const BOUNDS: &[Row] = &[
    Row::keeps("keeps_within_bounds", "first use", &[("one-time", "fill_cache")]),
    Row::keeps("keeps_within_bounds", "first use", &[("one-time", "fill_cache")]).over(0, 8),
    Row::keeps("keeps_within_bounds", "third call", &[("one-time", "fill_cache")]),
    Row::keeps("keeps_within_bounds", "seventh call", &[("one-time", "fill_cache")]),
    Row::keeps("keeps_within_bounds", "ring of 4", &[("one-time", "push")]),
    Row::keeps("keeps_within_bounds", "arena", &[("one-time", "next_chunk")]),
    Row::keeps("keeps_within_bounds", "table", &[("replaced", "resize_table")]),
    Row::keeps("frees_later", "batch of 4", &[("one-time", "retire")]),
    Row::keeps("frees_later", "one behind", &[("replaced", "free_one_call_later")]),
    Row::keeps("frees_later", "two behind", &[("one-time", "free_two_calls_later")]),
    Row::keeps("frees_later", "stop", &[("one-time", "free_in_stop")]),
];

/// What is made anew in each call.
pub(super) const ANEW: &[Row] = &[
    Row::keeps("makes_anew", "context", &[("replaced", "make_context")]),
    Row::keeps("makes_anew", "two contexts", &[("one-time", "make_context")]),
    Row::keeps("makes_anew", "buffers", &[("one-time", "make_context")]),
    Row::keeps("makes_anew", "string", &[("replaced", "replace_string")]),
    Row::fails("makes_anew", "shell only", &[lost("make_name", 1.0, 9.0)]),
];

/// Threads that leak, and those that keep.
pub(super) const THREADS: &[Row] = &[
    Row::fails("uses_threads", "one", &[lost("forget_in_thread", 1.0, 40.0)]),
    Row::fails("uses_threads", "four", &[lost("forget_in_thread", 4.0, 160.0)]),
    Row::fails("uses_threads", "ended", &[lost("keep_in_local", 1.0, 90.0)]),
    Row::fails("uses_threads", "no destructor", &[lost("set_specific", 1.0, 56.0)]),
    Row::fails("uses_threads", "result", &[lost("make_result", 1.0, 200.0)]),
    Row::keeps("uses_threads", "pool of 4", &[("one-time", "fill_cache_of_thread")]),
];

/// What eight iterations can't tell from growth, nor from one block: more of them have to be run.
pub(super) const MORE_ITERATIONS: &[Row] = &[
    Row::fails("forgets_now_and_then", "one in ten", &[lost_at_times("forget_block", 1, 50)]),
    Row::keeps("keeps_within_bounds", "ring of 16", &[("one-time", "push")]),
    Row::keeps("keeps_within_bounds", "lru of 4", &[("one-time", "use")]),
    Row::keeps("keeps_within_bounds", "lru of 16", &[("one-time", "use")]),
    Row::keeps("keeps_within_bounds", "pool", &[("one-time", "take_object")]),
    Row::keeps("frees_later", "batch of 16", &[]),
    Row::keeps("frees_later", "other thread", &[]),
    Row::keeps("frees_later", "slow thread", &[]),
    Row::keeps("uses_threads", "pool of 16", &[("one-time", "fill_cache_of_thread")]),
];
