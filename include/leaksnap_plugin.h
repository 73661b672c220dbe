/*
 * leaksnap_plugin.h: plugins of the leaksnap host, in C or C++.
 *
 * A plugin is a shared object that defines one data symbol, `leaksnap_plugin`.
 * The host checks its `abi`, calls `start` once, and from then on runs the
 * commands that `start` registered, in one thread, one at a time. The host
 * never closes a plugin while a command of it runs.
 *
 *     static int hello(void *context, const struct leaksnap_call *call)
 *     {
 *         (void)context;
 *         call->print(call, "hello\n", 6);
 *         return 0;
 *     }
 *     static int start(const struct leaksnap_host *host)
 *     {
 *         return host->register_command(host, "say hello", "greets", hello, 0);
 *     }
 *     LEAKSNAP_PLUGIN("hello", start, 0);
 */
#ifndef LEAKSNAP_PLUGIN_H
#define LEAKSNAP_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows by one whenever a structure below changes its meaning or its layout. */
#define LEAKSNAP_PLUGIN_ABI 1u

struct leaksnap_call;
struct leaksnap_host;

/*
 * A command. Returns 0 when it worked. Anything else fails the step; what was
 * given to `call->fail` is then the reason. No exception may leave it: one that
 * does ends the host.
 */
typedef int (*leaksnap_command)(void *context, const struct leaksnap_call *call);

/* One invocation of a command; valid until the command returns. */
struct leaksnap_call {
    /* The words after the command's own, NUL-terminated, argv[argc] == NULL. */
    uint32_t argc;
    uint32_t reserved;
    const char *const *argv;
    /*
     * Writes `length` bytes of UTF-8 to the command's output. A last line that
     * the command leaves without an end gets one.
     */
    void (*print)(const struct leaksnap_call *call, const char *text, size_t length);
    /* Says why the command is about to return non-zero. */
    void (*fail)(const struct leaksnap_call *call, const char *reason, size_t length);
};

/* What the host offers; valid while `start` runs. */
struct leaksnap_host {
    uint32_t abi;
    uint32_t reserved;
    /*
     * Registers `words` ("test crypto"), one to four words of printable ASCII
     * with single spaces between them, which don't start with the console's own
     * ("help", "show memory"). Both strings are copied. Returns 0, or non-zero
     * where the words are malformed or taken: return that from `start`.
     */
    int (*register_command)(const struct leaksnap_host *host, const char *words,
                            const char *help, leaksnap_command run, void *context);
};

/* What the data symbol `leaksnap_plugin` holds. */
struct leaksnap_plugin {
    uint32_t abi; /* LEAKSNAP_PLUGIN_ABI */
    uint32_t reserved;
    const char *name;
    /* Registers the commands. Non-zero: the plugin can't be used. */
    int (*start)(const struct leaksnap_host *host);
    /* Called once before the plugin is closed; may be NULL. */
    void (*stop)(void);
};

#if defined(__GNUC__)
#define LEAKSNAP_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define LEAKSNAP_PLUGIN_EXPORT
#endif

/*
 * The entry; LEAKSNAP_PLUGIN defines it. Declared here it has C's name, and is
 * exported, in C++ and under -fvisibility=hidden too.
 */
LEAKSNAP_PLUGIN_EXPORT extern const struct leaksnap_plugin leaksnap_plugin;

#define LEAKSNAP_PLUGIN(NAME, START, STOP)                                         \
    const struct leaksnap_plugin leaksnap_plugin = {LEAKSNAP_PLUGIN_ABI, 0u, NAME, START, STOP}

#ifdef __cplusplus
}
#endif
#endif
