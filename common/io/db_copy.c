#include "common/io/db_copy.h"

#include "common/io/db_internal.h"

#include <endian.h>

/* The signature, whose last byte is a NUL; no flags, no extension. */
enum {
    head_bytes = 11 + 4 + 4,
    end_bytes = 2,
    array_head_bytes = 20,
    text_oid = 25,
    uuid_oid = 2950,
    uuid_bytes = 16
};
#define null_length UINT32_MAX
static const char head[head_bytes] = "PGCOPY\n\377\r\n";
#define postgres_epoch_us INT64_C(946684800000000) /* 2000-01-01, Unix */

/* Big-endian, as all of the format. */
static void put(struct db_copy *c, uint64_t v, size_t bytes)
{
    char out[8];
    for (size_t i = 0; i < bytes; i++)
        out[i] = (char)(v >> 8 * (bytes - 1 - i));
    buf_put(&c->b, out, bytes);
}

void db_copy_init(struct db_copy *c, struct arena *a, size_t likely_bytes, size_t max_bytes)
{
    c->rows = 0;
    buf_init(&c->b, a, likely_bytes + head_bytes + end_bytes, max_bytes + head_bytes + end_bytes);
    buf_put(&c->b, head, head_bytes);
}

void db_copy_row(struct db_copy *c, unsigned columns)
{
    put(c, columns, 2);
    c->rows++;
}

void db_copy_null(struct db_copy *c)
{
    put(c, null_length, 4);
}

void db_copy_time(struct db_copy *c, int64_t unix_us)
{
    put(c, 8, 4);
    put(c, (uint64_t)(unix_us - postgres_epoch_us), 8);
}

void db_copy_bytes(struct db_copy *c, const void *data, size_t n)
{
    put(c, n, 4);
    buf_put(&c->b, data, n);
}

/* --- arrays --- */

static void put_array_head(struct db_copy *c, size_t bytes, bool has_null, uint32_t type, size_t n)
{
    put(c, bytes, 4);
    put(c, 1, 4); /* dimensions */
    put(c, has_null, 4);
    put(c, type, 4);
    put(c, n, 4);
    put(c, 1, 4); /* the first is number 1 */
}

/* Thousands a statement: written in place, with one look at the room.  `bytes` is known where it is
 * called, so that each loop is of one width. */
static inline __attribute__((always_inline)) void put_numbers(char *p, const int64_t *v, size_t n,
                                                              uint32_t bytes, int64_t less)
{
    const uint32_t length = htobe32(bytes);
    for (size_t i = 0; i < n; i++, p += 4 + bytes) {
        const uint64_t big = htobe64((uint64_t)(v[i] - less));
        memcpy(p, &length, 4);
        memcpy(p + 4, (const char *)&big + 8 - bytes, bytes);
    }
}

void db_copy_ints(struct db_copy *c, enum db_copy_ints type, const int64_t *v, size_t n)
{
    static const struct {
        uint32_t oid, bytes; /* pg_type.dat */
    } types[] = {
        [COPY_SMALLINTS] = { 21,   2 },
        [COPY_INTEGERS] = { 23,   4 },
        [COPY_BIGINTS] = { 20,   8 },
        [COPY_TIMES] = { 1184, 8 }
    };
    const size_t bytes = n * (4 + types[type].bytes);
    put_array_head(c, array_head_bytes + bytes, false, types[type].oid, n);
    char *p = buf_room(&c->b, bytes);
    if (!p)
        return;
    switch (type) {
    case COPY_SMALLINTS:
        put_numbers(p, v, n, 2, 0);
        break;
    case COPY_INTEGERS:
        put_numbers(p, v, n, 4, 0);
        break;
    case COPY_BIGINTS:
    case COPY_TIMES:
        put_numbers(p, v, n, 8, type == COPY_TIMES ? postgres_epoch_us : 0);
        break;
    }
    c->b.len += bytes;
}

void db_copy_texts(struct db_copy *c, const char *const *v, size_t n)
{
    size_t bytes = 4 * n;
    bool has_null = false;
    for (size_t i = 0; i < n; i++) {
        bytes += v[i] ? strlen(v[i]) : 0;
        has_null |= !v[i];
    }
    put_array_head(c, array_head_bytes + bytes, has_null, text_oid, n);
    char *p = buf_room(&c->b, bytes);
    if (!p)
        return;
    for (size_t i = 0; i < n; i++) {
        const size_t len = v[i] ? strlen(v[i]) : 0;
        const uint32_t length = htobe32(v[i] ? (uint32_t)len : null_length);
        memcpy(p, &length, 4);
        memcpy(p + 4, v[i] ? v[i] : "", len);
        p += 4 + len;
    }
    c->b.len += bytes;
}

void db_copy_uuids(struct db_copy *c, const unsigned char *const *v, size_t n)
{
    const uint32_t length = htobe32(uuid_bytes), none = null_length;
    size_t bytes = 4 * n;
    bool has_null = false;
    for (size_t i = 0; i < n; i++) {
        bytes += v[i] ? uuid_bytes : 0;
        has_null |= !v[i];
    }
    put_array_head(c, array_head_bytes + bytes, has_null, uuid_oid, n);
    char *p = buf_room(&c->b, bytes);
    if (!p)
        return;
    for (size_t i = 0; i < n; i++, p += 4) {
        memcpy(p, v[i] ? &length : &none, 4);
        if (v[i]) {
            memcpy(p + 4, v[i], uuid_bytes);
            p += uuid_bytes;
        }
    }
    c->b.len += bytes;
}

int db_copy(struct db_tx *tx, struct db_copy *c, const struct db_stmt *s, struct err *err)
{
    int64_t stored = 0, rows = c->rows;
    put(c, UINT16_MAX, end_bytes);
    int rc = tx_copy(tx, s, c->b.data, c->b.overflow ? 0 : c->b.len, &stored, err);
    buf_reset(&c->b);
    buf_put(&c->b, head, head_bytes);
    c->rows = 0;
    if (rc || stored == rows)
        return rc;
    err_set(err, E_internal, "Something went wrong on our side.");
    return err_detail(err, "%s: %lld of %lld rows were copied", s->name, (long long)stored,
                      (long long)rows);
}
