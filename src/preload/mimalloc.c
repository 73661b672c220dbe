/*
 * mimalloc, with an errno of its own, the check that heap.rs numbers its options as this version
 * does (Rust has no header to read them from), and what statistics.rs can't see through its interface.
 *
 * What malloc and free ask the kernel for may be refused where they succeed, and the program's
 * errno has to stay as it is. All that mimalloc asks goes through these functions.
 */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int *program_errno(void)
{
    return &errno;
}

static __thread int heap_errno;
#undef errno
#define errno heap_errno

#define QUIETLY(type, call)              \
    __extension__({                      \
        int *program = program_errno();  \
        int before = *program;           \
        type answer = (call);            \
        heap_errno = *program;           \
        *program = before;               \
        answer;                          \
    })
#define mmap(...) QUIETLY(void *, mmap(__VA_ARGS__))
#define munmap(...) QUIETLY(int, munmap(__VA_ARGS__))
#define madvise(...) QUIETLY(int, madvise(__VA_ARGS__))
#define mprotect(...) QUIETLY(int, mprotect(__VA_ARGS__))
#define prctl(...) QUIETLY(int, prctl(__VA_ARGS__))
#define syscall(...) QUIETLY(long, syscall(__VA_ARGS__))

#include "static.c"

/* mi_malloc, in one function. */
void *leaksnap_heap_malloc(size_t size)
{
    return _mi_theap_malloc_zero_ex(_mi_theap_default(), size, false, 0, NULL);
}

_Static_assert(mi_option_show_errors == 0, "OPTION_SHOW_ERRORS in heap.rs");
_Static_assert(mi_option_disallow_os_alloc == 17, "OPTION_DISALLOW_OS_ALLOC in heap.rs");
_Static_assert(mi_option_arena_max_object_size == 45, "OPTION_ARENA_MAX_OBJECT_SIZE in heap.rs");
_Static_assert(MI_PAGE_MAX_OVERALLOC_ALIGN == 64 * 1024, "MAX_ALIGN in heap.rs");
_Static_assert(MI_ARENA_SLICE_SIZE == 64 * 1024, "SLICE in statistics.rs");
_Static_assert(sizeof(mi_heap_area_t) == 7 * sizeof(void *), "Area in statistics.rs");

/* Slices that hold neither a page of blocks nor mimalloc's own. */
size_t leaksnap_free_slices(void)
{
    size_t free_slices = 0;
    mi_subproc_t *subproc = mi_heap_main()->subproc;

    for (size_t i = 0; i < mi_arenas_get_count(subproc); i++) {
        mi_arena_t *arena = mi_arena_from_index(subproc, i);
        if (arena == NULL)
            continue;
        for (size_t chunk = 0; chunk < mi_bbitmap_chunk_count(arena->slices_free); chunk++)
            for (size_t field = 0; field < MI_BCHUNK_FIELDS; field++)
                free_slices += mi_popcount(mi_atomic_load_relaxed(
                    &arena->slices_free->chunks[chunk].bfields[field]));
    }
    return free_slices;
}
