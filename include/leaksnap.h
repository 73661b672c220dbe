/*
 * leaksnap.h: what a program in C or C++ can say to leaksnap. Nothing is to be
 * linked: where the program does not run under leaksnap, the functions do nothing.
 *
 *     for (int round = 0; round < 10; round++) {
 *         work();
 *         leaksnap_mark();
 *     }
 *
 * A scenario with `program` and `warmup` or `repeat` (2 and 8 unless given) checks
 * each of these rounds as an iteration.
 */
#ifndef LEAKSNAP_H
#define LEAKSNAP_H

/*
 * Calls the preload heap's NAME where there is one. Its address comes from the
 * global offset table: compilers and linkers of programs at fixed addresses would
 * otherwise decide that a weak symbol is nowhere.
 */
#if defined(__GNUC__) && defined(__ELF__) && defined(__x86_64__) && !defined(__ILP32__)
#define LEAKSNAP_CALL(NAME)                                                        \
    do {                                                                           \
        void (*function)(void);                                                    \
        __asm__(".weak " NAME "\n\tmovq " NAME "@GOTPCREL(%%rip), %0"              \
                : "=r"(function));                                                 \
        if (function)                                                              \
            function();                                                            \
    } while (0)
#elif defined(__GNUC__) && defined(__ELF__) && defined(__aarch64__)
#define LEAKSNAP_CALL(NAME)                                                        \
    do {                                                                           \
        void (*function)(void);                                                    \
        __asm__(".weak " NAME "\n\tadrp %0, :got:" NAME                            \
                "\n\tldr %0, [%0, #:got_lo12:" NAME "]"                            \
                : "=r"(function));                                                 \
        if (function)                                                              \
            function();                                                            \
    } while (0)
#else
/* There is no preload heap for it. */
#define LEAKSNAP_CALL(NAME) ((void)0)
#endif

/* In the object file they are called otherwise than what they call. */
#if defined(__GNUC__)
#define LEAKSNAP_FUNCTION(NAME)                                                    \
    static __inline__ void NAME(void) __asm__("call_" #NAME);                      \
    static __inline__ void NAME(void)
#else
#define LEAKSNAP_FUNCTION(NAME) static void NAME(void)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * An iteration ends here; the next one begins. The calling thread waits until
 * leaksnap has looked, where a scenario wants iterations; the first of them began
 * with the program. Let one thread call it, while the others have nothing of an
 * iteration in hand.
 */
LEAKSNAP_FUNCTION(leaksnap_mark)
{
    LEAKSNAP_CALL("leaksnap_mark");
}

/*
 * What the calling thread allocates from here on is no leak, whatever becomes of
 * it, until as many calls of leaksnap_resume as there were of leaksnap_pause.
 */
LEAKSNAP_FUNCTION(leaksnap_pause)
{
    LEAKSNAP_CALL("leaksnap_pause");
}

/* Undoes one leaksnap_pause. */
LEAKSNAP_FUNCTION(leaksnap_resume)
{
    LEAKSNAP_CALL("leaksnap_resume");
}

#ifdef __cplusplus
}
#endif

#undef LEAKSNAP_CALL
#undef LEAKSNAP_FUNCTION
#endif
