/* Cursors: places in a list, on the wire.
 *
 *   base64url( version | flags | for each key: length, 2 bytes, 0xFFFF is null, and the text | MAC
 * )
 *
 * The MAC also covers what the place is in: another list's cursor is as invalid as a forged one. */
#include "common/kit/query_int.h"

#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/route.h"

#include <assert.h>

enum {
    cursor_version = 1,
    cursor_head_bytes = 2,
    cursor_mac_bytes = 16,
    cursor_null = 0xFFFF,
    flag_back = 1,
    flag_inclusive = 2,
    raw_bytes_max = query_cursor_bytes_max / 4 * 3,
};

static int by_name(const void *x, const void *y)
{
    const struct query_arg *const *a = x, *const *b = y;
    int c = strcmp((*a)->name, (*b)->name);
    return c ? c : strcmp((*a)->value, (*b)->value);
}

static void put_text(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s) + 1); /* with the NUL, so that no two texts run into one */
}

void query_identify(struct buf *b, const struct query_scope *s, const struct query *q)
{
    const struct query_arg **filters = arena_alloc(b->arena, (s->nargs + 1) * sizeof(*filters));
    size_t n = 0;
    put_text(b, s->e->name);
    put_text(b, vis_class_name(q->vc));
    buf_printf(b, "%lld", vis_uses_uid(s->e, q->vc) ? (long long)s->uid : 0LL);
    put_text(b, "");
    for (size_t i = 0; i < q->nsort; i++) {
        buf_putc(b, q->sort[i].desc ? '-' : '+');
        put_text(b, q->sort[i].field->name);
    }
    put_text(b, "");
    for (size_t i = 0; i < s->nargs; i++)
        if (str_starts(s->args[i].name, "filter[") || str_eq(s->args[i].name, "updated_since"))
            filters[n++] = &s->args[i];
    qsort(filters, n, sizeof(*filters), by_name);
    for (size_t i = 0; i < n; i++) {
        put_text(b, filters[i]->name);
        put_text(b, filters[i]->value);
    }
}

int query_make_cursor(struct arena *a, const struct query_scope *s, const struct query *q,
                      const struct query_place *place, const char **ret, struct err *err)
{
    struct buf raw, list;
    unsigned char mac[sha256_bytes];
    buf_init(&raw, a, 128, raw_bytes_max);
    buf_init(&list, a, 256, 128 * 1024);
    buf_putc(&raw, cursor_version);
    buf_putc(&raw, (char)((place->back ? flag_back : 0) | (place->inclusive ? flag_inclusive : 0)));
    for (size_t i = 0; i < q->nsort; i++) {
        size_t n = place->keys[i] ? strlen(place->keys[i]) : cursor_null;
        raw.overflow |= place->keys[i] && n >= cursor_null;
        buf_putc(&raw, (char)(n >> 8));
        buf_putc(&raw, (char)(n & 0xFF));
        if (place->keys[i])
            buf_put(&raw, place->keys[i], n);
    }
    query_identify(&list, s, q);
    const struct sha256_part parts[] = {
        { raw.data,  raw.len  },
        { list.data, list.len }
    };
    keyring_sign(s->keys, "cursor", parts, ARRAY_LEN(parts), mac);
    buf_put(&raw, mac, cursor_mac_bytes);
    if (raw.overflow || list.overflow)
        return err_at(err, E_invalid_parameter, "sort",
                      "The values that the rows are sorted by are too long for a cursor; sort by "
                      "fewer fields, or page by offset.");
    *ret = b64url_encode(a, raw.data, raw.len);
    return 0;
}

static int bad_cursor(struct err *err)
{
    return err_at(err, E_invalid_parameter, "cursor",
                  "cursor is not one that this list gave: it belongs to the same path, reader, "
                  "sort and filters that it was given for.");
}

/* The MAC holds, so this is what query_make_cursor wrote; read as if it were not. */
static bool read_keys(struct arena *a, const unsigned char *p, const unsigned char *end,
                      const struct query *q, struct query_place *ret)
{
    for (size_t i = 0; i < q->nsort; i++) {
        if (end - p < 2)
            return false;
        size_t n = (size_t)p[0] << 8 | p[1];
        p += 2;
        if (n == cursor_null) {
            if (!query_nullable(q->sort[i].field))
                return false;
            continue;
        }
        if ((size_t)(end - p) < n || !str_utf8_ok((const char *)p, n))
            return false;
        ret->keys[i] = arena_strndup(a, (const char *)p, n);
        p += n;
    }
    return p == end;
}

int query_open_cursor(struct arena *a, const struct query_scope *s, struct query *q,
                      struct err *err)
{
    struct query_place place = { .set = true };
    struct buf list;
    void *raw;
    size_t n;
    if (!*q->cursor) {
        q->place = (struct query_place){ 0 };
        return 0;
    }
    if (!b64url_decode(a, q->cursor, &raw, &n) || n < cursor_head_bytes + cursor_mac_bytes)
        return bad_cursor(err);
    const unsigned char *p = raw;
    n -= cursor_mac_bytes;
    buf_init(&list, a, 256, 128 * 1024);
    query_identify(&list, s, q);
    const struct sha256_part parts[] = {
        { p,         n        },
        { list.data, list.len }
    };
    if (list.overflow ||
        !keyring_verify(s->keys, "cursor", parts, ARRAY_LEN(parts), p + n, cursor_mac_bytes))
        return bad_cursor(err);
    place.back = p[1] & flag_back;
    place.inclusive = p[1] & flag_inclusive;
    if (p[0] != cursor_version || !read_keys(a, p + cursor_head_bytes, p + n, q, &place))
        return bad_cursor(err);
    q->place = place;
    return 0;
}
