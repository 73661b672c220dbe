/*
 * mimalloc, with an errno of its own, the check that heap.rs numbers its options as this version
 * does (Rust has no header to read them from), and what the heap needs of its insides.
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
_Static_assert(MI_ARENA_SLICE_SIZE == 64 * 1024, "SLICE in heap.rs");
_Static_assert(MI_MEDIUM_PAGE_SIZE / MI_SMALL_MAX_OBJ_SIZE < MI_SMALL_PAGE_SIZE / sizeof(void *),
               "a small page has the most blocks");

#if MI_PAGE_MAP_FLAT
#error "the page map has two levels on the targets of the preload heap"
#endif

/*
 * Makes the lower level of the page map for `size` bytes at `start`, which costs nothing until
 * a page is there: made on demand it would be below a lock, which fork could leave held.
 */
bool leaksnap_cover(const void *start, size_t size)
{
    mi_process_init();
    size_t last = _mi_page_map_index((const char *)start + size - 1, NULL);
    for (size_t at = _mi_page_map_index(start, NULL); at <= last; at++) {
        mi_submap_t submap = NULL;
        if (!mi_page_map_ensure_submap_at(at, &submap))
            return false;
    }
    return true;
}

/*
 * A block of at least `size` bytes at a multiple of `align`, a power of two. Above 64 KiB,
 * mimalloc itself would go past its arenas, and knows a large block's first 4 MiB alone by address: here
 * the block is as much too large, and the slice where its aligned part starts names its page, too.
 * That name stays behind when the block is freed. It is never asked for: no block starts there
 * until the slice is given to another page, which then has its own name there.
 */
void *leaksnap_malloc_aligned(size_t size, size_t align)
{
    if (align <= MI_PAGE_MAX_OVERALLOC_ALIGN)
        return mi_malloc_aligned(size, align);
    if (size > MI_MAX_ALLOC_SIZE || align > MI_MAX_ALLOC_SIZE - size)
        return NULL;
    uint8_t *block = mi_malloc(size + align - 1);
    if (block == NULL)
        return NULL;
    uint8_t *aligned = _mi_align_up_ptr(block, align);
    if (aligned == block)
        return block;
    mi_page_t *page = _mi_ptr_page(block);
    size_t submap, slice = 0;
    submap = _mi_page_map_index(aligned, &slice);
    if (!mi_page_map_set_range(page, submap, slice, 1)) {
        mi_free(block);
        return NULL;
    }
    mi_page_set_has_interior_pointers(page, true);
    return aligned;
}

/* What the heap holds; `struct Counts` of heap.rs. */
struct leaksnap_counts {
    size_t used_bytes;   /* blocks in use, without the large ones */
    size_t free_bytes;   /* room for blocks in the pages of these */
    size_t free_blocks;  /* how many that is */
    size_t large_blocks; /* blocks with a page to themselves */
    size_t large_bytes;
    size_t carved;       /* blocks that are carved out, in use or free */
    size_t free_slices;  /* slices that hold neither a page of blocks nor mimalloc's own */
};

/*
 * A page's numbers change, and the page may go, while they are read: they are what they were at
 * some moment. Its memory stays.
 */
static bool leaksnap_count_page(size_t slice, size_t count, mi_arena_t *arena, void *to)
{
    MI_UNUSED(count);
    struct leaksnap_counts *counts = to;
    const mi_page_t *page = mi_arena_page_at_slice(arena, slice);
    size_t all = page->reserved, size = page->block_size;
    counts->carved += page->capacity;
    size_t used = page->used < all ? page->used : all;
    if (all == 1) {
        /* Freed by another thread, it is the page's only block that waits for its own thread. */
        bool freed = mi_tf_block(mi_atomic_load_relaxed(&page->xthread_free)) != NULL;
        counts->large_blocks += used != 0 && !freed;
        counts->large_bytes += used != 0 && !freed ? size : 0;
        return true;
    }
    counts->used_bytes += used * size;
    counts->free_bytes += (all - used) * size;
    counts->free_blocks += all - used;
    return true;
}

static size_t leaksnap_free_slices(const mi_arena_t *arena)
{
    size_t free_slices = 0;

    for (size_t chunk = 0; chunk < mi_bbitmap_chunk_count(arena->slices_free); chunk++)
        for (size_t field = 0; field < MI_BCHUNK_FIELDS; field++)
            free_slices += mi_popcount(
                mi_atomic_load_relaxed(&arena->slices_free->chunks[chunk].bfields[field]));
    return free_slices;
}

/* Counts what is in the arenas, of all threads, without a lock. */
void leaksnap_count(struct leaksnap_counts *counts)
{
    mi_heap_t *heap = mi_heap_main();
    mi_forall_arenas(heap, NULL, 0, arena) {
        mi_arena_pages_t *pages = mi_heap_arena_pages(heap, arena);
        counts->free_slices += leaksnap_free_slices(arena);
        if (pages != NULL)
            _mi_bitmap_forall_set(pages->pages, &leaksnap_count_page, arena, counts);
    }
    mi_forall_arenas_end();
}

#define LEAKSNAP_MOST_BLOCKS (MI_SMALL_PAGE_SIZE / sizeof(void *))

struct leaksnap_visit {
    void (*each)(uintptr_t block, size_t size, const void *argument);
    const void *argument;
};

/* Sets the bits of the blocks that `list` leads to. */
static void leaksnap_mark_free(const mi_page_t *page, const mi_block_t *list, uintptr_t *bits)
{
    size_t size = page->block_size;
    for (size_t left = page->capacity; list != NULL && left > 0; left--) {
        size_t offset = (uintptr_t)list - (uintptr_t)page->page_start;
        if (offset % size != 0 || offset / size >= page->capacity)
            return;
        size_t at = offset / size;
        bits[at / MI_INTPTR_BITS] |= (uintptr_t)1 << (at % MI_INTPTR_BITS);
        list = mi_block_next(page, list);
    }
}

static bool leaksnap_visit_page(size_t slice, size_t count, mi_arena_t *arena, void *to)
{
    MI_UNUSED(count);
    const struct leaksnap_visit *visit = to;
    const mi_page_t *page = mi_arena_page_at_slice(arena, slice);
    uintptr_t bits[LEAKSNAP_MOST_BLOCKS / MI_INTPTR_BITS] = {0};
    /* What another thread was about to make is no page yet. */
    if (page->block_size == 0 || page->page_start == NULL || page->capacity > LEAKSNAP_MOST_BLOCKS)
        return true;
    leaksnap_mark_free(page, page->free, bits);
    leaksnap_mark_free(page, page->local_free, bits);
    leaksnap_mark_free(page, mi_page_thread_free(page), bits);
    for (size_t at = 0; at < page->capacity; at++)
        if ((bits[at / MI_INTPTR_BITS] >> (at % MI_INTPTR_BITS) & 1) == 0)
            visit->each((uintptr_t)page->page_start + at * page->block_size, page->block_size,
                        visit->argument);
    return true;
}

/*
 * Calls `each` with every block that is in use, for a process where nobody else runs and other
 * threads may have been stopped anywhere (a child of fork): nothing is written, no list is
 * believed further than its page. A block that was on its way into or out of a list is in use.
 */
void leaksnap_each_block(void (*each)(uintptr_t, size_t, const void *), const void *argument)
{
    struct leaksnap_visit visit = {each, argument};
    mi_heap_t *heap = mi_heap_main();
    mi_forall_arenas(heap, NULL, 0, arena) {
        mi_arena_pages_t *pages = mi_heap_arena_pages(heap, arena);
        if (pages != NULL)
            _mi_bitmap_forall_set(pages->pages, &leaksnap_visit_page, arena, &visit);
    }
    mi_forall_arenas_end();
}

/* Where the block starts that `address` is in, which may be further in than its start. */
uintptr_t leaksnap_block_start(uintptr_t address)
{
    const mi_page_t *page = _mi_ptr_page((const void *)address);
    if (page == NULL || page->block_size == 0 || !mi_page_has_interior_pointers(page))
        return address;
    return (uintptr_t)_mi_page_ptr_unalign(page, (const void *)address);
}

/* Gives free memory back to the kernel: whether there was any. */
bool leaksnap_trim(void)
{
    _Atomic(int64_t) *purged = (_Atomic(int64_t) *)&_mi_subproc()->stats.purged.total;
    int64_t before = mi_atomic_loadi64_relaxed(purged);
    mi_collect(true);
    return mi_atomic_loadi64_relaxed(purged) != before;
}
