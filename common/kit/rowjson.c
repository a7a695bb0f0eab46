#include "common/kit/rowjson.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <assert.h>

void rowplan_init(struct rowplan *p, struct arena *a, const struct entity_def *e, enum vis_class vc,
                  uint64_t mask)
{
    size_t total = entity_nfields(e);
    assert(total <= 62);
    *p = (struct rowplan){ .e = e,
                           .vc = vc,
                           .id = -1,
                           .version = -1,
                           .updated = -1,
                           .own = -1,
                           .total = -1,
                           .keys = -1,
                           .snapshot = -1 };
    p->cols = arena_alloc(a, total * sizeof(*p->cols));
    for (size_t i = 0; i < total; i++) {
        const struct field_def *f = &e->fields[i];
        bool always =
            str_eq(f->name, "id") || str_eq(f->name, "version") || str_eq(f->name, "updated_at");
        bool shown = vis_field(e, f, vc, vis_varies(e, vc));
        if ((f->flags & (FF_HIDDEN | FF_SECRET)) || (!always && (!shown || !(mask >> i & 1))))
            continue;
        int at = (int)p->n;
        if (str_eq(f->name, "id"))
            p->id = at;
        else if (str_eq(f->name, "version"))
            p->version = at;
        else if (str_eq(f->name, "updated_at"))
            p->updated = at;
        struct rowcol *c = &p->cols[p->n++];
        c->f = shown ? f : NULL; /* NULL: read for the ETag, not shown */
        c->index = i;
        c->key = arena_printf(a, ",\"%s\":", f->name);
        c->key_len = strlen(c->key);
        c->if_own = shown && !vis_field(e, f, vc, false);
    }
}

void rowjson_put_time(struct buf *b, const char *cell, size_t len)
{
    /* 0123456789012345678
     * 2026-02-19 08:00:00[.ffffff]+00 */
    if (len < 22 || len > 29 || cell[10] != ' ' || memcmp(cell + len - 3, "+00", 3) != 0) {
        buf_puts(b, "null");
        return;
    }
    char out[30] = "\"0000-00-00T00:00:00.000000Z\"";
    memcpy(out + 1, cell, 19);
    out[11] = 'T';
    if (cell[19] == '.')
        memcpy(out + 21, cell + 20, len - 23);
    buf_put(b, out, 29);
}

int64_t rowjson_time_s(const char *cell)
{
    char text[32] = "";
    size_t len = strlen(cell);
    int64_t us;
    if (len < 22 || len > 29)
        return 0;
    memcpy(text, cell, 19);
    text[10] = 'T';
    text[19] = 'Z';
    return rfc3339_parse(text, &us) ? us / 1000000 : 0;
}

static void put_texts(struct buf *b, const struct db_rows *r, size_t row, size_t col)
{
    const char **v;
    size_t n = db_get_texts(b->arena, r, row, col, &v);
    buf_putc(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(b, ',');
        if (v[i])
            buf_put_json_string(b, v[i], strlen(v[i]));
        else
            buf_puts(b, "null");
    }
    buf_putc(b, ']');
}

static int by_key(const void *x, const void *y)
{
    const struct rowkey *a = x, *b = y;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

void rowinc_index(struct rowinc *inc, struct arena *a)
{
    size_t n = inc->n;
    size_t col = (size_t)(inc->parent_col >= 0 ? inc->parent_col : inc->plan->id);
    struct rowkey *keys = arena_raw(a, (n + 1) * sizeof(*keys));
    bool sorted = true;
    for (size_t i = 0; i < n; i++) {
        keys[i] = (struct rowkey){ db_get_i64(inc->rows, i, col), i };
        sorted = sorted && (!i || keys[i - 1].key <= keys[i].key);
    }
    if (!sorted)
        qsort(keys, n, sizeof(*keys), by_key);
    inc->index = keys;
}

/* The first row of the include with this key, as a position in its index; its length if none. */
static size_t inc_find(const struct rowinc *inc, int64_t key)
{
    size_t lo = 0, hi = inc->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (inc->index[mid].key < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool inc_is(const struct rowinc *inc, size_t at, int64_t key)
{
    return at < inc->n && inc->index[at].key == key;
}

static void put_ref(struct buf *b, const struct rowinc *inc, const char *id, size_t len)
{
    int64_t key;
    if (inc && str_to_i64(id, INT64_MIN, INT64_MAX, &key)) {
        size_t at = inc_find(inc, key);
        if (inc_is(inc, at, key)) {
            rowjson_put(b, inc->plan, inc->rows, inc->index[at].row, inc->mask, inc->inc,
                        inc->ninc);
            return;
        }
    }
    buf_put(b, "{\"id\":", 6);
    buf_put(b, id, len);
    buf_putc(b, '}');
}

/* bigint[] text: {1,2,3} */
static void put_refs(struct buf *b, const struct rowinc *inc, const char *cell, size_t len)
{
    buf_putc(b, '[');
    for (size_t i = 1; i + 1 < len;) {
        char id[24];
        size_t k = 0;
        while (i + 1 < len && cell[i] != ',' && k + 1 < sizeof(id))
            id[k++] = cell[i++];
        id[k] = '\0';
        put_ref(b, inc, id, k);
        if (i + 1 < len) {
            buf_putc(b, ',');
            i++;
        }
    }
    buf_putc(b, ']');
}

static void put_cell(struct buf *b, const struct rowcol *c, const struct db_rows *r, size_t row,
                     size_t col, const struct rowinc *inc)
{
    size_t len;
    const char *cell = db_cell(r, row, col, &len);
    if (!len && db_is_null(r, row, col)) {
        buf_put(b, "null", 4);
        return;
    }
    switch (c->f->type) {
    case F_ID:
    case F_INT:
    case F_JSON:
        buf_put(b, cell, len);
        return;
    case F_BOOL:
        buf_puts(b, cell[0] == 't' ? "true" : "false");
        return;
    case F_TIME:
        rowjson_put_time(b, cell, len);
        return;
    case F_UUID:
    case F_TEXT:
    case F_ENUM:
        buf_put_json_string(b, cell, len);
        return;
    case F_TEXTS:
        put_texts(b, r, row, col);
        return;
    case F_REF:
        put_ref(b, inc, cell, len);
        return;
    case F_REFS:
        put_refs(b, inc, cell, len);
        return;
    }
}

static void put_many(struct buf *b, const struct rowinc *inc, int64_t id)
{
    char sep = '[';
    for (size_t at = inc_find(inc, id); inc_is(inc, at, id); at++) {
        buf_putc(b, sep);
        sep = ',';
        rowjson_put(b, inc->plan, inc->rows, inc->index[at].row, inc->mask, inc->inc, inc->ninc);
    }
    if (sep == '[')
        buf_putc(b, '[');
    buf_putc(b, ']');
}

size_t rowjson_bytes(const struct rowplan *p, const struct db_rows *r)
{
    enum { more_of_a_cell = 16 }; /* quotes, escapes, what a time or a reference grows by */
    size_t row = 0;
    for (size_t i = 0; i < p->n; i++)
        row += p->cols[i].key_len + more_of_a_cell;
    return db_rows_bytes(r) + db_nrows(r) * row;
}

void rowjson_put(struct buf *b, const struct rowplan *p, const struct db_rows *r, size_t row,
                 uint64_t mask, const struct rowinc *inc, size_t ninc)
{
    bool own = p->own >= 0 && db_get_bool(r, row, (size_t)p->own);
    char sep = '{';
    for (size_t i = 0; i < p->n; i++) {
        const struct rowcol *c = &p->cols[i];
        if (!c->f || !(mask >> c->index & 1) || (c->if_own && !own))
            continue;
        if (sep == '{') {
            buf_putc(b, sep);
            buf_put(b, c->key + 1, c->key_len - 1);
        } else {
            buf_put(b, c->key, c->key_len);
        }
        sep = ',';
        const struct rowinc *mine = NULL;
        for (size_t k = 0; k < ninc; k++)
            if (inc[k].field == c->f)
                mine = &inc[k];
        put_cell(b, c, r, row, i, mine);
    }
    for (size_t k = 0; k < ninc; k++) {
        if (inc[k].field)
            continue;
        buf_putc(b, sep);
        sep = ',';
        buf_putc(b, '"');
        buf_puts(b, inc[k].name);
        buf_puts(b, "\":");
        put_many(b, &inc[k], db_get_i64(r, row, (size_t)p->id));
    }
    if (sep == '{')
        buf_putc(b, '{');
    buf_putc(b, '}');
}
