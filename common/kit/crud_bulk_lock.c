/* Which rows a bulk is about, and their locks, in an order that all bulks keep. */
#include "common/kit/crud_bulk_int.h"

#include "common/base/str.h"

enum {
    key_buckets = 64,
    key_locks_max = 256, /* of single keys a bulk; the server's table of locks is finite */
    slug_digits_max = 4, /* of a number that is taken for a choice after the title's own slug */
    filter_args_max = 60,
    select_page = 100,
};

/* --- rows of a filter --- */

/* A page of the list that the filter is, from `after` on, as GET would answer it. */
static int list_page(struct bulk *b, struct query_arg *args, size_t nargs, int64_t after,
                     const json_t **ret, struct err *err)
{
    struct arena *a = b->req->arena;
    const struct route route = {
        .method = GET, .path = b->e->path, .entity = b->e, .ctx = b->c, .flags = ROUTE_LIST
    };
    struct req list = { .svc = b->req->svc,
                        .arena = a,
                        .route = &route,
                        .path = b->e->path,
                        .raw_query = "",
                        .args = args,
                        .nargs = nargs + (after ? 5 : 4),
                        .who = b->req->who,
                        .request_id = b->req->request_id,
                        .now_us = b->req->now_us };
    struct res page = { .arena = a };
    json_t *tree;
    buf_init(&page.body, a, 8192, 1024 * 1024);
    args[nargs] = (struct query_arg){ "fields", "id,version" };
    args[nargs + 1] = (struct query_arg){ "sort", "id" };
    args[nargs + 2] = (struct query_arg){ "count", "none" };
    args[nargs + 3] = (struct query_arg){ "per_page", arena_printf(a, "%d", select_page) };
    args[nargs + 4] =
        (struct query_arg){ "filter[id][gt]", arena_printf(a, "%lld", (long long)after) };
    int rc = crud_list(&list, &page, err);
    if (rc >= 0)
        rc = json_parse(a, page.body.data, page.body.len, &tree, err);
    if (rc >= 0)
        *ret = json_object_get(tree, "data");
    return rc;
}

int bulk_select(struct bulk *b, struct err *err)
{
    struct query_arg args[filter_args_max + 5];
    size_t nargs, n = 0, got = select_page;
    const size_t most = bulk_ops_max + select_page;
    int64_t *ids = arena_alloc(b->req->arena, most * sizeof(*ids));
    b->versions = arena_alloc(b->req->arena, most * sizeof(*b->versions));
    int rc = bulk_read_filter(b, args, filter_args_max, &nargs, err);
    while (rc >= 0 && got == select_page && n <= bulk_ops_max) {
        const json_t *rows;
        rc = list_page(b, args, nargs, n ? ids[n - 1] : 0, &rows, err);
        got = rc < 0 ? 0 : json_array_size(rows);
        for (size_t i = 0; i < got; i++, n++) {
            const json_t *row = json_array_get(rows, i);
            ids[n] = json_integer_value(json_object_get(row, "id"));
            b->versions[n] = json_integer_value(json_object_get(row, "version"));
        }
    }
    return rc < 0 ? rc : bulk_read_rows(b, ids, n, err);
}

/* --- locks --- */

struct idset {
    int64_t *v;
    size_t n, max;
};

static void idset_add(struct arena *a, struct idset *s, int64_t id)
{
    if (s->n == s->max) {
        int64_t *more = arena_alloc(a, (s->max * 2 + 64) * sizeof(*more));
        if (s->n)
            memcpy(more, s->v, s->n * sizeof(*more));
        s->v = more;
        s->max = s->max * 2 + 64;
    }
    s->v[s->n++] = id;
}

static void add_ref(struct arena *a, struct idset *s, const json_t *v)
{
    if (json_is_object(v))
        v = json_object_get(v, "id");
    if (json_is_integer(v))
        idset_add(a, s, json_integer_value(v));
}

/* What the data refer to in one table. */
static void collect_refs(struct bulk *b, const struct entity_def *far, struct idset *s)
{
    for (const struct field_def *f = b->e->fields; f->name; f++) {
        if (!f->ref || entity_find(f->ref) != far || !sqlgen_is_input(b->e, f))
            continue;
        for (size_t i = 0; i < b->n; i++) {
            const json_t *v = json_object_get(b->items[i].data, f->name);
            for (size_t k = 0; json_is_array(v) && k < json_array_size(v); k++)
                add_ref(b->req->arena, s, json_array_get(v, k));
            add_ref(b->req->arena, s, v);
            if (b->patch) /* one for all */
                break;
        }
    }
}

static int exec(struct bulk *b, struct db_tx *tx, const char *sql, const struct db_val *v, size_t n,
                struct db_rows **ret, struct err *err)
{
    struct db_stmt s = { .sql = sql, .flags = DB_ONCE };
    return db_exec(tx, b->req->arena, &s, v, n, ret, err);
}

/* Rows that upserts will find by their key. */
static int collect_keyed(struct bulk *b, struct db_tx *tx, struct idset *s, struct err *err)
{
    const struct field_def *f = crud_key(b->e);
    const char **keys = arena_alloc(b->req->arena, (b->n + 1) * sizeof(*keys));
    size_t n = 0;
    struct db_rows *r;
    for (size_t i = 0; f && i < b->n; i++) {
        const char *key = json_string_value(json_object_get(b->items[i].data, f->name));
        if (b->items[i].op == BULK_UPSERT && key)
            keys[n++] = key;
    }
    if (!n)
        return 0;
    const char *form = f->flags & FF_UNIQUE ? "SELECT lower(k)" : "SELECT k";
    const struct db_val v = db_texts(keys, n);
    int rc = exec(b, tx,
                  arena_printf(b->req->arena,
                               "SELECT t.id FROM %s t WHERE t.deleted_at IS NULL AND %s = ANY "
                               "(ARRAY(%s FROM unnest($1::text[]) AS k))",
                               b->e->table, crud_key_column(b->req->arena, b->e), form),
                  &v, 1, &r, err);
    for (size_t i = 0; rc >= 0 && i < db_nrows(r); i++)
        idset_add(b->req->arena, s, db_get_i64(r, i, 0));
    return rc;
}

/* Are the rows that the filter found still the ones that it found? */
static bool as_found(const struct bulk *b, const struct db_rows *r)
{
    size_t k = 0;
    for (size_t i = 0; i < b->n; i++) {
        int64_t id = 0;
        bool ok = str_to_i64(b->items[i].id, 1, INT64_MAX, &id);
        while (ok && k < db_nrows(r) && db_get_i64(r, k, 0) < id)
            k++;
        if (k == db_nrows(r) || db_get_i64(r, k, 0) != id || db_get_i64(r, k, 1) != b->versions[i])
            return false;
    }
    return true;
}

static int lock_table(struct bulk *b, struct db_tx *tx, const struct entity_def *far,
                      struct err *err)
{
    struct idset s = { 0 };
    struct db_rows *r;
    bool own = far == b->e;
    int rc = 0;
    int64_t id;
    collect_refs(b, far, &s);
    for (size_t i = 0; own && i < b->n; i++)
        if (b->items[i].id && str_to_i64(b->items[i].id, 1, INT64_MAX, &id))
            idset_add(b->req->arena, &s, id);
    if (own)
        rc = collect_keyed(b, tx, &s, err);
    if (rc < 0 || !s.n)
        return rc;
    const struct db_val v = db_i64s(s.v, s.n);
    rc = exec(b, tx,
              arena_printf(b->req->arena,
                           "SELECT t.id, t.version FROM %s t WHERE t.id = ANY($1::bigint[]) ORDER "
                           "BY t.id FOR %s",
                           far->table, own ? "UPDATE" : "KEY SHARE"),
              &v, 1, &r, err);
    if (rc >= 0 && own && b->versions && !as_found(b, r)) {
        b->again = true;
        return err_set(err, E_conflict, "The rows of the filter are being changed all the time.");
    }
    return rc;
}

/* A key without its case; "title-2" is the same as "title", which it is the next choice after. */
static uint32_t key_hash(struct arena *a, const char *key)
{
    char *s = arena_strdup(a, key);
    size_t len = strlen(s), n = len;
    for (char *p = s; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p | 32);
    while (n && s[n - 1] >= '0' && s[n - 1] <= '9')
        n--;
    if (n && s[n] && len - n <= slug_digits_max && s[n - 1] == '-')
        s[n - 1] = '\0';
    return crc32_of(s, strlen(s));
}

static void add_key(struct bulk *b, struct idset *s, const char *key)
{
    if (key)
        idset_add(b->req->arena, s, (int32_t)key_hash(b->req->arena, key));
}

static void collect_keys(struct bulk *b, struct idset *s)
{
    for (size_t i = 0; i < b->n; i++) {
        const json_t *data = b->items[i].data;
        for (const struct field_def *f = b->e->fields; f->name; f++)
            if (f->flags & FF_UNIQUE || f == crud_key(b->e))
                add_key(b, s, json_string_value(json_object_get(data, f->name)));
        if (b->items[i].op == BULK_CREATE && crud_has_slug(b->e) && !json_object_get(data, "slug"))
            add_key(b, s,
                    crud_slug_of(b->req->arena, b->e,
                                 json_string_value(json_object_get(data, b->e->slug_from))));
    }
}

static int cmp_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Locks of class `what`, in their order, until the transaction ends. */
static int lock_numbers(struct bulk *b, struct db_tx *tx, uint32_t what, bool shared,
                        struct idset *s, struct err *err)
{
    struct db_rows *r;
    size_t n = 0;
    qsort(s->v, s->n, sizeof(*s->v), cmp_i64);
    for (size_t i = 0; i < s->n; i++)
        if (!i || s->v[i] != s->v[i - 1])
            s->v[n++] = s->v[i];
    const struct db_val v[2] = { db_i64((int32_t)what), db_i64s(s->v, n) };
    return exec(b, tx,
                shared ? "SELECT count(pg_advisory_xact_lock_shared($1::int, k::int)) FROM "
                         "unnest($2::bigint[]) AS k"
                       : "SELECT count(pg_advisory_xact_lock($1::int, k::int)) FROM "
                         "unnest($2::bigint[]) AS k",
                v, 2, &r, err);
}

/* Whoever is second with a key waits for the first: bulks wait here, in the order of the locks, and
 * not at the index, in the order of their operations.  A key has a lock of its own under that of
 * its bucket, which is shared, so that bulks of other keys go on; a bulk of many keys takes its
 * buckets for itself. */
static int lock_keys(struct bulk *b, struct db_tx *tx, struct err *err)
{
    struct idset keys = { 0 }, buckets = { 0 };
    uint32_t what = crc32_of(b->e->table, strlen(b->e->table));
    collect_keys(b, &keys);
    for (size_t i = 0; i < keys.n; i++)
        idset_add(b->req->arena, &buckets, (int64_t)((uint32_t)keys.v[i] % key_buckets));
    if (!keys.n)
        return 0;
    bool fine = keys.n <= key_locks_max;
    int rc = lock_numbers(b, tx, what, fine, &buckets, err);
    return rc < 0 || !fine ? rc : lock_numbers(b, tx, what + 1, false, &keys, err);
}

int bulk_lock(struct bulk *b, struct db_tx *tx, struct err *err)
{
    int rc = lock_keys(b, tx, err);
    for (const struct entity_def *const *e = entities; rc >= 0 && *e; e++)
        if (str_eq((*e)->service, b->e->service))
            rc = lock_table(b, tx, *e, err);
    return rc;
}
