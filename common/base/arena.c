#include "common/base/arena.h"

#include <assert.h>

enum { align_bytes = _Alignof(max_align_t), block_bytes_max = 256 * 1024 };

/* A destructor is a cell in the arena's own memory, newest first. */
struct cleanup {
    struct cleanup *next;
    void (*fn)(void *);
    void *ptr;
};

struct block {
    struct block *next;
    _Alignas(max_align_t) unsigned char data[];
};

struct arena {
    struct cleanup *cleanups;
    struct block *blocks; /* newest first; big ones behind the one being carved */
    struct block *second; /* carved when the first is full; kept over a reset */
    unsigned char *at, *end;
    size_t used, grow;
    _Alignas(max_align_t) unsigned char first[];
};

static void *must_malloc(size_t n)
{
    void *p = malloc(n);

    if (!p)
        abort();
    return p;
}

static void run_cleanups(struct arena *a)
{
    while (a->cleanups) {
        struct cleanup *c = a->cleanups;

        a->cleanups = c->next;
        c->fn(c->ptr);
    }
}

static void free_blocks(struct arena *a)
{
    for (struct block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        if (b != a->second)
            free(b);
    }
    a->blocks = NULL;
}

#ifdef CMS365_ARENA_MALLOC
enum { first_bytes = 0, second_bytes = 0 };

void *arena_raw(struct arena *a, size_t size)
{
    struct block *b = must_malloc(sizeof(*b) + size);

    b->next = a->blocks;
    a->blocks = b;
    a->used += size;
    return b->data;
}
#else
enum {
    first_bytes = arena_block_bytes - (int)sizeof(struct arena),
    second_bytes = 2 * arena_block_bytes
};

static size_t round_up(size_t n)
{
    assert(n < SIZE_MAX / 4);
    return (n + align_bytes - 1) & ~(size_t)(align_bytes - 1);
}

/* Out of line: the current block is too small. */
static void *carve_new(struct arena *a, size_t size) __attribute__((noinline));
static void *carve_new(struct arena *a, size_t size)
{
    struct block *b;

    /* What is large in comparison gets a block of its own; carving goes on where it was. */
    if (size > a->grow / 4) {
        b = must_malloc(sizeof(*b) + size);
        b->next = a->blocks;
        a->blocks = b;
        return b->data;
    }
    /* Most requests need the second block too, and none needs a third. */
    if (a->grow > second_bytes || !a->second)
        b = must_malloc(sizeof(*b) + a->grow);
    else
        b = a->second;
    if (a->grow == second_bytes)
        a->second = b;
    b->next = a->blocks;
    a->blocks = b;
    a->at = b->data + size;
    a->end = b->data + a->grow;
    if (a->grow < block_bytes_max)
        a->grow *= 2;
    return b->data;
}

void *arena_raw(struct arena *a, size_t size)
{
    size_t n = round_up(size ? size : 1);
    void *p = a->at;

    a->used += size;
    if (n > (size_t)(a->end - a->at))
        return carve_new(a, n);
    a->at += n;
    return p;
}
#endif

static void rewind_first(struct arena *a)
{
    a->at = a->first;
    a->end = a->first + (first_bytes & ~(align_bytes - 1));
    a->used = 0;
    a->grow = second_bytes;
}

struct arena *arena_new(void)
{
    struct arena *a = must_malloc(sizeof(*a) + first_bytes);

    a->cleanups = NULL;
    a->blocks = NULL;
    a->second = NULL;
    rewind_first(a);
    return a;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    run_cleanups(a);
    free_blocks(a);
    free(a->second);
    free(a);
}

void arena_reset(struct arena *a)
{
    run_cleanups(a);
    free_blocks(a);
    rewind_first(a);
}

void *arena_alloc(struct arena *a, size_t size)
{
    return memset(arena_raw(a, size), 0, size);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *p = arena_raw(a, len + 1);

    memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    size_t n = strlen(s) + 1;

    return memcpy(arena_raw(a, n), s, n);
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    char small[256];
    va_list again;
    int n;
    char *p;

    va_copy(again, ap);
    n = vsnprintf(small, sizeof(small), fmt, ap);
    if (n < 0)
        abort();
    p = arena_raw(a, (size_t)n + 1);
    if ((size_t)n < sizeof(small))
        memcpy(p, small, (size_t)n + 1);
    else
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *p;

    va_start(ap, fmt);
    p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}

void arena_defer(struct arena *a, void (*fn)(void *), void *ptr)
{
    size_t used = a->used;
    struct cleanup *c = arena_raw(a, sizeof(*c));

    assert(fn);
    a->used = used;
    c->fn = fn;
    c->ptr = ptr;
    c->next = a->cleanups;
    a->cleanups = c;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}
