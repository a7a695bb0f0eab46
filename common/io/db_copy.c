#include "common/io/db_copy.h"

#include "common/io/db_internal.h"

/* The signature, whose last byte is a NUL; no flags, no extension. */
enum { head_bytes = 11 + 4 + 4, end_bytes = 2 };
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

static void put_field(struct db_copy *c, uint64_t v, size_t bytes)
{
    put(c, bytes, 4);
    put(c, v, bytes);
}

void db_copy_init(struct db_copy *c, struct arena *a, size_t max_bytes)
{
    c->rows = 0;
    buf_init(&c->b, a, max_bytes + head_bytes + end_bytes, max_bytes + head_bytes + end_bytes);
    buf_put(&c->b, head, head_bytes);
}

void db_copy_row(struct db_copy *c, unsigned columns)
{
    put(c, columns, 2);
    c->rows++;
}

void db_copy_null(struct db_copy *c)
{
    put(c, UINT32_MAX, 4);
}

void db_copy_bool(struct db_copy *c, bool v)
{
    put_field(c, v, 1);
}

void db_copy_i16(struct db_copy *c, int16_t v)
{
    put_field(c, (uint16_t)v, 2);
}

void db_copy_i32(struct db_copy *c, int32_t v)
{
    put_field(c, (uint32_t)v, 4);
}

void db_copy_i64(struct db_copy *c, int64_t v)
{
    put_field(c, (uint64_t)v, 8);
}

void db_copy_time(struct db_copy *c, int64_t unix_us)
{
    db_copy_i64(c, unix_us - postgres_epoch_us);
}

void db_copy_text(struct db_copy *c, const char *s)
{
    size_t n = strlen(s);
    put(c, n, 4);
    buf_put(&c->b, s, n);
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
