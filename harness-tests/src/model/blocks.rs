//! Rows in C: blocks that are forgotten, and what is kept for good.

use super::{Row, grown, indirect, kept, lost, lost_at_times};

/// Blocks that are lost one by one.
pub(super) const FORGOTTEN: &[Row] = &[
    Row::fails("forgets_blocks", "one", &[lost("forget_one", 1.0, 24.0)]),
    Row::fails("forgets_blocks", "three", &[lost("forget_three", 3.0, 120.0)]),
    // 30, 10, 20, 30, 10, 20, 30, 10 in the window.
    Row::fails("forgets_blocks", "sizes", &[lost("forget_sizes", 1.0, 160.0 / 8.0)]),
    Row::fails(
        "forgets_blocks",
        "two places",
        &[lost("forget_left", 1.0, 32.0), lost("forget_right", 1.0, 64.0)],
    ),
    // Two calls in one line of one caller are two tracebacks by address, and one by name.
    Row::fails(
        "forgets_blocks",
        "two callers",
        &[lost("forget_for_a_caller", 1.0, 16.0), lost("forget_for_a_caller", 2.0, 96.0)],
    ),
    Row::fails("forgets_blocks", "overwrite", &[lost("overwrite_pointer", 1.0, 72.0)]),
    Row::fails("forgets_blocks", "early return", &[lost("return_early", 1.0, 100.0)]),
    Row::fails("forgets_blocks", "zero", &[lost("forget_nothing_sized", 1.0, 0.0)]),
    Row::fails("forgets_blocks", "one", &[lost("forget_one", 1.0, 24.0)]).over(0, 3),
];

/// Blocks that libc allocates for its caller.
pub(super) const FROM_LIBC: &[Row] = &[
    Row::fails("forgets_what_libc_gave", "calloc", &[lost("forget_calloc", 1.0, 60.0)]),
    Row::fails(
        "forgets_what_libc_gave",
        "aligned_alloc",
        &[lost("forget_aligned_alloc", 1.0, 512.0)],
    ),
    Row::fails(
        "forgets_what_libc_gave",
        "posix_memalign",
        &[lost("forget_posix_memalign", 1.0, 100.0)],
    ),
    Row::fails("forgets_what_libc_gave", "memalign", &[lost("forget_memalign", 1.0, 65.0)]),
    Row::fails("forgets_what_libc_gave", "realloc", &[lost("forget_realloc", 1.0, 700.0)]),
    Row::fails("forgets_what_libc_gave", "reallocarray", &[lost("forget_reallocarray", 1.0, 77.0)]),
    Row::fails("forgets_what_libc_gave", "strdup", &[lost("forget_strdup", 1.0, 20.0)]),
    Row::fails("forgets_what_libc_gave", "strndup", &[lost("forget_strndup", 1.0, 9.0)]),
    Row::counted("forgets_what_libc_gave", "asprintf", &["forget_asprintf"]),
    Row::counted("forgets_what_libc_gave", "getline", &["forget_getline"]),
    Row::counted("forgets_what_libc_gave", "memstream", &["forget_memstream"]),
];

/// Blocks that are lost with what they lead to.
pub(super) const STRUCTURES: &[Row] = &[
    Row::fails(
        "loses_structures",
        "tree",
        &[lost("make_root", 1.0, 40.0), indirect("make_node", 6.0, 240.0)],
    ),
    Row::fails("loses_structures", "ring", &[lost("make_node", 3.0, 120.0)]),
    Row::fails(
        "loses_structures",
        "interior",
        &[lost("make_embedded", 1.0, 80.0), indirect("make_embedded", 2.0, 160.0)],
    ),
    Row::fails("loses_structures", "outer only", &[lost("free_outer_only", 4.0, 120.0)]),
    Row::fails("loses_structures", "shell only", &[lost("make_node", 1.0, 40.0)]),
];

/// What a teardown leaves behind.
pub(super) const TEARDOWN: &[Row] = &[
    Row::fails("forgets_in_teardown", "sa", &[lost("fill_sa", 2.0, 256.0)]),
    Row::fails("forgets_in_teardown", "hash keys", &[lost("copy_key", 5.0, 80.0)]),
    Row::counted("forgets_in_teardown", "regcomp", &["miss_pattern_on_early_return"]),
    Row::fails("forgets_in_teardown", "name heaps", &[lost("name_of_heap", 3.0, 120.0)]),
];

/// Blocks that some iterations leave.
pub(super) const NOW_AND_THEN: &[Row] = &[
    Row::fails("forgets_now_and_then", "every second", &[lost_at_times("forget_block", 4, 200)]),
    Row::fails("forgets_now_and_then", "one in three", &[lost_at_times("forget_block", 3, 150)]),
    Row::fails("forgets_now_and_then", "late", &[lost_at_times("forget_block", 4, 200)]),
    Row::fails("forgets_now_and_then", "bursts", &[lost_at_times("forget_block", 8, 400)]),
];

/// What can still be reached, and is ever more.
pub(super) const KEPT: &[Row] = &[
    Row::fails("keeps_more_and_more", "list", &[kept("prepend", 1.0, 16.0)]),
    Row::fails("keeps_more_and_more", "vector", &[grown("append", 0, 112)]),
    Row::fails("keeps_more_and_more", "sessions", &[kept("prepend", 2.0, 32.0)]),
    Row::fails("keeps_more_and_more", "log", &[grown("append_to_log", 0, 800)]),
    Row::fails("keeps_more_and_more", "no eviction", &[kept("cache_without_eviction", 1.0, 200.0)]),
];

/// Blocks that a recursion makes at another depth in each call.
pub(super) const DESCENDS: &[Row] = &[
    Row::fails("descends", "forget deeper", &[lost("forget_below", 1.0, 70.0)]),
    Row::fails("descends", "forget deeper", &[lost("forget_below", 1.0, 70.0)]).over(0, 3),
    Row::fails("descends", "forget by turns", &[lost("forget_below", 1.0, 70.0)]),
    Row::fails("descends", "forget in two functions", &[lost("forget_leaf", 1.0, 60.0)]),
    Row::fails("descends", "append", &[kept("append", 1.0, 16.0)]),
    Row::keeps("descends", "buffers", &[("one-time", "fill_buffers")]),
];
