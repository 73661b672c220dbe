/*
 * Frees and allocates in each of THREADS threads, DEPTH calls deep: malloc_loop DEPTH THREADS PAIRS
 * A pair is a free of one of 1000 live blocks and a malloc of 16 to 1024 bytes in its place. All
 * is freed at the end.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define LIVE 1000
#define MOST_THREADS 64

struct state {
    void *live[LIVE];
    uint64_t random;
};

static int depth;
static long pairs;

static __attribute__((noinline)) void work(struct state *state)
{
    uint64_t random = state->random;
    for (long i = 0; i < pairs; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        void **block = &state->live[(random >> 32) % LIVE];
        free(*block);
        *block = malloc(16 + (random & 0xffffff) % 1009);
        /* A compiler may leave out blocks that nobody writes to. */
        *(char volatile *)*block = 1;
    }
}

static __attribute__((noinline)) int descend(struct state *state, int calls)
{
    if (calls <= 0) {
        work(state);
        return 0;
    }
    /* What is done after the call keeps it from being a jump. */
    char volatile frame[24] = {1};
    return descend(state, calls - 1) + frame[0];
}

static void *run(void *number)
{
    struct state *state = calloc(1, sizeof *state);
    if (state == NULL)
        abort();
    state->random = 88172645463325252u + (uintptr_t)number;
    if (descend(state, depth) != depth)
        abort();
    for (int i = 0; i < LIVE; i++)
        free(state->live[i]);
    free(state);
    return NULL;
}

int main(int count, char **words)
{
    if (count != 4) {
        fprintf(stderr, "usage: malloc_loop DEPTH THREADS PAIRS\n");
        return 2;
    }
    depth = atoi(words[1]);
    uintptr_t threads = strtoul(words[2], NULL, 10);
    pairs = atol(words[3]);
    if (threads == 0 || threads > MOST_THREADS)
        return 2;
    pthread_t others[MOST_THREADS];
    for (uintptr_t i = 1; i < threads; i++)
        if (pthread_create(&others[i], NULL, run, (void *)i) != 0)
            return 2;
    run(NULL);
    for (uintptr_t i = 1; i < threads; i++)
        pthread_join(others[i], NULL);
    return 0;
}
