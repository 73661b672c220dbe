/*
 * mimalloc, and the check that heap.rs numbers its options as this version does:
 * Rust has no header to read them from.
 */
#include "static.c"

_Static_assert(mi_option_show_errors == 0, "OPTION_SHOW_ERRORS in heap.rs");
_Static_assert(mi_option_disallow_os_alloc == 17, "OPTION_DISALLOW_OS_ALLOC in heap.rs");
_Static_assert(mi_option_arena_max_object_size == 45, "OPTION_ARENA_MAX_OBJECT_SIZE in heap.rs");
_Static_assert(MI_PAGE_MAX_OVERALLOC_ALIGN == 64 * 1024, "MAX_ALIGN in heap.rs");
