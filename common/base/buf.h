#ifndef BASE_BUF_H
#define BASE_BUF_H
/*
 * A growing byte string with a cap.  Writers never fail one by one: an append that would pass
 * `max` sets `overflow` and drops what is too much; the owner asks once, at the end.  The bytes
 * live in the arena given (growth leaves the old bytes to the arena) and are always followed by a
 * NUL that `len` does not count.
 */
#include "common/base/arena.h"

struct buf {
    struct arena *arena;
    char *data;
    size_t len, cap, max;
    bool overflow;
};

void buf_init(struct buf *b, struct arena *a, size_t cap_first, size_t max_bytes);
void buf_reset(struct buf *b);
/* Room for n bytes at data + len, or NULL on overflow; the caller adds to len what it wrote. */
char *buf_room(struct buf *b, size_t n);
void buf_put_more(struct buf *b, const void *data, size_t n); /* buf_put, when it must grow */
static inline void buf_put(struct buf *b, const void *data, size_t n)
{
    if (!n || n > b->cap - b->len) {
        buf_put_more(b, data, n);
        return;
    }
    memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
}
static inline void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s)); /* here, so that the length of a literal is known */
}
static inline void buf_putc(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_put_i64(struct buf *b, int64_t v);
/* A JSON string with its quotes.  The input must be UTF-8 (str_utf8_ok). */
void buf_put_json_string(struct buf *b, const char *s, size_t n);
#endif
