#ifndef BASE_ARENA_H
#define BASE_ARENA_H
/*
 * Memory with one lifetime: everything allocated here, and every deferred destructor (run in
 * reverse order), goes at arena_free() or arena_reset().  Never returns NULL: out of memory aborts,
 * and the supervisor restarts.  Not thread-safe; one arena belongs to one request, message or job.
 *
 * Release builds carve allocations out of blocks (first one arena_block_bytes); under SAN=1
 * (CMS365_ARENA_MALLOC) each is a malloc of its own, so that AddressSanitizer sees overruns.
 */
#include "common/base/base.h"

#include <stdarg.h>

enum { arena_block_bytes = 8 * 1024 };

struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *a);  /* NULL is fine */
void arena_reset(struct arena *a); /* empties it, keeping the first block for the next use */
void *arena_alloc(struct arena *a, size_t size) /* zeroed, aligned for any type */
    __attribute__((malloc, returns_nonnull, alloc_size(2)));
/* Not zeroed, for large buffers that are written at once. */
void *arena_raw(struct arena *a, size_t size)
    __attribute__((malloc, returns_nonnull, alloc_size(2)));
char *arena_strdup(struct arena *a, const char *s) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *a, const char *s, size_t n) __attribute__((returns_nonnull));
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3)
    __attribute__((returns_nonnull));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
    __attribute__((returns_nonnull, format(printf, 2, 0)));
/* Runs fn(ptr) when the arena goes: PGresult, json_t, CURL. */
void arena_defer(struct arena *a, void (*fn)(void *), void *ptr);
size_t arena_used(const struct arena *a); /* bytes handed out since the last reset */
#endif
