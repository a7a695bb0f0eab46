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

void buf_put(struct buf *b, const void *data, size_t n)
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

void buf_putc(struct buf *b, char c)
{
    char *p = buf_room(b, 1);

    if (!p)
        return;
    p[0] = c;
    p[1] = '\0';
    b->len++;
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

/* A mask of the bytes that are < 0x20, '"' or '\\'. */
static inline block escapes(const char *s)
{
    block v;

    memcpy(&v, s, sizeof(v));
    return (block)((v < 0x20) | (v == '"') | (v == '\\'));
}

static inline bool any(block mask)
{
    uint64_t w[2];

    memcpy(w, &mask, sizeof(w));
    return w[0] | w[1];
}

static size_t plain_prefix(const char *s, size_t n)
{
    enum { size = sizeof(block), four = 4 * size };
    size_t i = 0;

    while (n - i >= four && !any(escapes(s + i) | escapes(s + i + size) |
                                 escapes(s + i + 2 * size) | escapes(s + i + 3 * size)))
        i += four;
    while (n - i >= size && !any(escapes(s + i)))
        i += size;
    while (i < n && (unsigned char)s[i] >= 0x20 && s[i] != '"' && s[i] != '\\')
        i++;
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

void buf_put_json_string(struct buf *b, const char *s, size_t n)
{
    size_t plain = plain_prefix(s, n);
    char *p = plain == n ? buf_room(b, n + 2) : NULL;

    if (p) { /* nearly all: one look for room, one copy */
        *p = '"';
        memcpy(p + 1, s, n);
        memcpy(p + 1 + n, "\"", 2);
        b->len += n + 2;
        return;
    }
    buf_putc(b, '"');
    for (size_t i = 0;;) {
        buf_put(b, s + i, plain);
        i += plain;
        if (i == n)
            break;
        put_escape(b, (unsigned char)s[i++]);
        plain = plain_prefix(s + i, n - i);
    }
    buf_putc(b, '"');
}
