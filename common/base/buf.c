#include "common/base/buf.h"

#include <assert.h>
#include <stdarg.h>

void buf_init(struct buf *b, struct arena *a, size_t cap_first, size_t max_bytes)
{
    assert(max_bytes < SIZE_MAX / 4);
    if (cap_first > max_bytes)
        cap_first = max_bytes;
    *b = (struct buf){ .arena = a, .cap = cap_first, .max = max_bytes };
    b->data = arena_raw(a, cap_first + 1);
    b->data[0] = '\0';
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
    b->data[0] = '\0';
}

static void grow(struct buf *b, size_t want) __attribute__((noinline));
static void grow(struct buf *b, size_t want)
{
    size_t cap = b->cap < 32 ? 64 : 2 * b->cap;
    char *data;

    if (cap < want)
        cap = want;
    if (cap > b->max)
        cap = b->max;
    data = arena_raw(b->arena, cap + 1);
    memcpy(data, b->data, b->len + 1);
    b->data = data;
    b->cap = cap;
}

char *buf_room(struct buf *b, size_t n)
{
    if (n > b->cap - b->len) {
        if (n > b->max - b->len) {
            b->overflow = true;
            return NULL;
        }
        grow(b, b->len + n);
    }
    return b->data + b->len;
}

void buf_put_more(struct buf *b, const void *data, size_t n)
{
    char *p;

    if (n > b->max - b->len) {
        n = b->max - b->len;
        b->overflow = true;
    }
    p = buf_room(b, n);
    if (!p || !n)
        return;
    memcpy(p, data, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    size_t left = b->cap - b->len;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(b->data + b->len, left + 1, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    if ((size_t)n > left) {
        size_t want = (size_t)n;

        b->data[b->len] = '\0';
        if (want > b->max - b->len) {
            want = b->max - b->len;
            b->overflow = true;
        }
        if (want > left)
            grow(b, b->len + want);
        va_start(ap, fmt);
        (void)vsnprintf(b->data + b->len, want + 1, fmt, ap);
        va_end(ap);
        n = (int)want;
    }
    b->len += (size_t)n;
}

void buf_put_i64(struct buf *b, int64_t v)
{
    char digits[24], *p = digits + sizeof(digits);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0)
        *--p = '-';
    buf_put(b, p, (size_t)(digits + sizeof(digits) - p));
}

typedef unsigned char block __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));
typedef block anywhere __attribute__((aligned(1), may_alias));
typedef unsigned char wide __attribute__((vector_size(32)));
typedef uint64_t quarters __attribute__((vector_size(32)));
typedef wide wide_anywhere __attribute__((aligned(1), may_alias));

/* A mask of the bytes that are < 0x20, '"' or '\\'. */
#define ESCAPES(v) (((v) < 0x20) | ((v) == '"') | ((v) == '\\'))

static inline bool any(block mask)
{
    halves h = (halves)mask;

    return h[0] | h[1];
}

#ifdef __x86_64__
#define WIDEST __attribute__((target_clones("avx2", "default"))) /* the program's start chooses */
#else
#define WIDEST
#endif

/* Copies pieces of 128 bytes, up to the first that has a byte which is not written as it is. */
WIDEST static size_t copy_pieces(char *to, const char *s, size_t n)
{
    enum { size = sizeof(wide) };
    size_t i = 0;

    for (; n - i >= 4 * size; i += 4 * size) {
        const wide_anywhere *from = (const wide_anywhere *)(s + i);
        wide_anywhere *at = (wide_anywhere *)(to + i);
        wide v0 = from[0], v1 = from[1], v2 = from[2], v3 = from[3];
        quarters found = (quarters)(ESCAPES(v0) | ESCAPES(v1) | ESCAPES(v2) | ESCAPES(v3));

        if (found[0] | found[1] | found[2] | found[3])
            break;
        at[0] = v0;
        at[1] = v1;
        at[2] = v2;
        at[3] = v3;
    }
    return i;
}

/* Copies what is written as it is, up to the first byte that is not: how many. */
static size_t copy_plain(char *to, const char *s, size_t n)
{
    enum { size = sizeof(block) };
    size_t i = copy_pieces(to, s, n);

    while (i < n && n >= size) {
        size_t at = n - i >= size ? i : n - size; /* the last one overlaps the one before it */
        block v = *(const anywhere *)(s + at);

        if (any((block)ESCAPES(v)))
            break;
        *(anywhere *)(to + at) = v;
        i = at + size;
    }
    for (; i < n && (unsigned char)s[i] >= 0x20 && s[i] != '"' && s[i] != '\\'; i++)
        to[i] = s[i];
    return i;
}

/* As PostgreSQL's escape_json, because the same rows are also written by to_json. */
static void put_escape(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letter[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'
    };
    char esc[6] = { '\\', (char)c };

    if (c >= 0x20) {
        buf_put(b, esc, 2);
    } else if (letter[c]) {
        esc[1] = letter[c];
        buf_put(b, esc, 2);
    } else {
        memcpy(esc + 1, "u00", 3);
        esc[4] = hex[c >> 4];
        esc[5] = hex[c & 15];
        buf_put(b, esc, 6);
    }
}

/* Cut off where the buffer ends, as buf_put does. */
static void put_escaped(struct buf *b, const char *s, size_t n)
{
    while (n) {
        size_t fits = n < b->max - b->len ? n : b->max - b->len;
        size_t plain = copy_plain(buf_room(b, fits), s, fits);

        b->len += plain;
        b->data[b->len] = '\0';
        s += plain;
        n -= plain;
        if (plain == fits) /* the quote behind it finds no room if this did not */
            return;
        put_escape(b, (unsigned char)*s++);
        n--;
    }
}

void buf_put_json_string(struct buf *b, const char *s, size_t n)
{
    size_t plain = 0;

    if (n + 2 <= b->max - b->len) {
        char *p = buf_room(b, n + 2);

        *p = '"';
        plain = copy_plain(p + 1, s, n);
        b->len += plain + 1;
        if (plain == n) { /* nearly all: one look for room, one pass */
            memcpy(p + n + 1, "\"", 2);
            b->len++;
            return;
        }
    } else {
        buf_putc(b, '"');
    }
    put_escaped(b, s + plain, n - plain);
    buf_putc(b, '"');
}
