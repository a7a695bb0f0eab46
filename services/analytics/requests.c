/*
 * Single requests: crud's lists over the view that unpacks blocks.  Which blocks to unpack is found
 * here, by what they are about: their time, who sent the requests, and what else every request that
 * is asked for must be.  What a block is let through for is looked at again, request by request.
 *
 * A page is the first of its order.  Blocks overlap in time, so a few more than it takes are
 * unpacked, and of these what comes before anything that another may have.
 */
#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/sqlgen.h"
#include "common/kit/svc.h"
#include "common/kit/vis.h"
#include "services/analytics/answers.h"
#include "services/analytics/block.h"

#include <assert.h>

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "analytics/sql.h"

enum {
    blocks_first = 2,          /* of the first attempt, beside those that an offset skips */
    blocks_times = 4,          /* as many more in each further one */
    blocks_listed_max = 20000, /* beyond, all that are left are unpacked at once */
    find_values_max = query_tests_max * (1 + block_ids_probes) + 8, /* request ids take the most */
    find_sql_max = 16 * 1024,
};
#define SPAN "interval '1 hour'"
static_assert(block_span_us == INT64_C(3600) * 1000 * 1000, "SPAN, and a check of the table");

struct find {
    struct req *req;
    struct buf where; /* conditions on a block `b`, their values marked by ? */
    struct db_val v[find_values_max];
    size_t nv;
    struct db_val key, client, user, program, method, route; /* that all must have; or null */
    struct db_val since, until, senders;                     /* within which all are; or null */
    bool down;                                               /* from the newest on */
};

/* --- conditions on blocks ------------------------------------------------------------------------
 */

static void put(struct find *f, const char *text, const struct db_val *v, size_t n)
{
    assert(f->nv + n <= find_values_max);
    buf_puts(&f->where, text);
    memcpy(&f->v[f->nv], v, n * sizeof *v);
    f->nv += n;
}

/* Some request is no older, no younger than this.  The other end is no further than a block is
 * long: said too, it is a range of either index, and of days. */
static void not_before(struct find *f, struct db_val at)
{
    f->since = at;
    put(f, " AND b.until >= ?::timestamptz AND b.since >= ?::timestamptz - " SPAN,
        (const struct db_val[]){ at, at }, 2);
}

static void not_after(struct find *f, struct db_val at)
{
    f->until = at;
    put(f, " AND b.since <= ?::timestamptz AND b.until <= ?::timestamptz + " SPAN,
        (const struct db_val[]){ at, at }, 2);
}

static void put_at(struct find *f, const struct query_node *t)
{
    if (t->op == QOP_GT || t->op == QOP_GTE || t->op == QOP_EQ || t->op == QOP_BETWEEN)
        not_before(f, t->v[0]);
    if (t->op == QOP_LT || t->op == QOP_LTE || t->op == QOP_EQ)
        not_after(f, t->v[0]);
    if (t->op == QOP_BETWEEN)
        not_after(f, t->v[1]);
}

/* One of the array is so.  Not unpacking a block costs a twentieth of unpacking it. */
static void put_number(struct find *f, const struct query_node *t)
{
    const char *name = t->field->name;
    const char *op = t->op == QOP_EQ    ? "="
                     : t->op == QOP_GT  ? "<"
                     : t->op == QOP_GTE ? "<="
                     : t->op == QOP_LT  ? ">"
                     : t->op == QOP_LTE ? ">="
                                        : NULL;
    if (op)
        put(f, arena_printf(f->req->arena, " AND ?::bigint %s ANY (b.%s)", op, name), t->v, 1);
    else if (t->op == QOP_IN)
        put(f, arena_printf(f->req->arena, " AND b.%s::bigint[] && ?::bigint[]", name), t->v, 1);
}

static void put_word(struct find *f, const struct query_node *t)
{
    const char *name = t->field->name;
    if (t->op == QOP_EQ)
        put(f, arena_printf(f->req->arena, " AND ?::text = ANY (b.%s)", name), t->v, 1);
    else if (t->op == QOP_IN)
        put(f, arena_printf(f->req->arena, " AND b.%s && ?::text[]", name), t->v, 1);
    else if (t->op == QOP_NULL && !t->v[0].i64)
        buf_printf(&f->where, " AND b.%s IS NOT NULL", name);
}

/* The ids themselves are looked at where the filter does not say no: CASE keeps that order. */
static void put_request_id(struct find *f, struct db_val id)
{
    int64_t probes[block_ids_probes];
    unsigned char raw[16];
    if (id.type != DBV_TEXT)
        return;
    block_id_probes(id.text, probes);
    buf_puts(&f->where, " AND CASE WHEN b.ids IS NULL OR (true");
    for (size_t i = 0; i < block_ids_probes; i++)
        put(f, " AND get_bit(b.ids, ?::bigint % (8 * octet_length(b.ids))) = 1",
            (const struct db_val[]){ db_i64(probes[i]) }, 1);
    put(f, ") THEN ?::text = ANY (b.request_id)", &id, 1);
    enum id_form form = block_id_form(id.text, raw);
    if (form == ID_UUID)
        put(f, " OR ?::text::uuid = ANY (b.request_uuid)", &id, 1);
    if (form == ID_HEX)
        put(f, " OR ?::text::uuid = ANY (b.request_hex)", &id, 1);
    buf_puts(&f->where, " ELSE false END");
}

/* How a field is looked for, and where what must be equal is kept until all tests are known. */
static const struct {
    const char *field;
    enum { BY_TIME, BY_NUMBER, BY_WORD, BY_ID, BY_REQUEST_ID, BY_NAME } how;
    size_t to;
} ways[] = {
    { "at", BY_TIME, 0 },
    { "status", BY_NUMBER, 0 },
    { "total_us", BY_NUMBER, 0 },
    { "queue_us", BY_NUMBER, 0 },
    { "db_us", BY_NUMBER, 0 },
    { "bytes_in", BY_NUMBER, 0 },
    { "bytes_out", BY_NUMBER, 0 },
    { "agent", BY_WORD, 0 },
    { "country", BY_WORD, 0 },
    { "problem", BY_WORD, 0 },
    { "id", BY_ID, 0 },
    { "request_id", BY_REQUEST_ID, 0 },
    { "key", BY_NAME, offsetof(struct find, key) },
    { "client", BY_NAME, offsetof(struct find, client) },
    { "user", BY_NAME, offsetof(struct find, user) },
    { "program", BY_NAME, offsetof(struct find, program) },
    { "method", BY_NAME, offsetof(struct find, method) },
    { "route", BY_NAME, offsetof(struct find, route) },
};

static void put_test(struct find *f, const struct query_node *t)
{
    size_t i = 0;
    while (i < ARRAY_LEN(ways) && !str_eq(ways[i].field, t->field->name))
        i++;
    if (i == ARRAY_LEN(ways))
        return;
    if (ways[i].how == BY_TIME)
        put_at(f, t);
    else if (ways[i].how == BY_NUMBER)
        put_number(f, t);
    else if (ways[i].how == BY_WORD)
        put_word(f, t);
    else if (t->op != QOP_EQ)
        return;
    else if (ways[i].how == BY_ID)
        put(f, arena_printf(f->req->arena, " AND b.number = ?::bigint / %d", block_numbers), t->v,
            1);
    else if (ways[i].how == BY_REQUEST_ID)
        put_request_id(f, t->v[0]);
    else
        *(struct db_val *)(void *)((char *)f + ways[i].to) = t->v[0];
}

/* What all of a group must be, each must be. */
static void put_tests(struct find *f, const struct query_node *group)
{
    for (const struct query_node *c = group->first; c; c = c->next) {
        if (c->kind == QN_TEST)
            put_test(f, c);
        else if (c->kind == QN_ALL)
            put_tests(f, c);
    }
}

static int find_ids(const struct find *f, const struct db_stmt *s, const struct db_val *v, size_t n,
                    struct db_val *ret, struct err *err)
{
    struct arena *a = f->req->arena;
    struct db_rows *r;
    int rc = db_query(f->req->svc->db, a, s, v, n, &r, err);
    if (rc < 0)
        return rc;
    int64_t *list = arena_raw(a, (db_nrows(r) + 1) * sizeof *list);
    for (size_t i = 0; i < db_nrows(r); i++)
        list[i] = db_get_i64(r, i, 0);
    *ret = db_i64s(list, db_nrows(r));
    return 0;
}

static int put_names(struct find *f, struct err *err)
{
    const struct principal *who = &f->req->who;
    bool any = vis_is_admin(who);
    const struct db_val sender[] = { db_bool(any), db_i64(who->user_id), f->key, f->client, f->user,
                                     db_null() };
    const struct db_val what[] = { f->program, f->method, f->route };
    struct db_val routes;
    int rc = 0;
    if (!any || f->key.type || f->client.type || f->user.type) {
        rc = find_ids(f, &sql_scope_consumers, sender, ARRAY_LEN(sender), &f->senders, err);
        if (rc >= 0)
            put(f, " AND b.consumer && ?::int[]", &f->senders, 1);
    }
    if (rc >= 0 && (f->program.type || f->method.type || f->route.type)) {
        rc = find_ids(f, &sql_scope_routes, what, ARRAY_LEN(what), &routes, err);
        if (rc >= 0)
            put(f, " AND b.route && ?::int[]", &routes, 1);
    }
    return rc;
}

static int put_query(struct find *f, const struct query *q, struct err *err)
{
    assert(str_eq(q->sort[0].field->name, "at")); /* nothing else is sorted by */
    f->down = q->sort[0].desc != q->place.back;
    buf_init(&f->where, f->req->arena, 1024, find_sql_max);
    buf_puts(&f->where, " WHERE true");
    put_tests(f, &q->filter);
    if (q->place.set && f->down)
        not_after(f, db_text(q->place.keys[0]));
    else if (q->place.set)
        not_before(f, db_text(q->place.keys[0]));
    int rc = put_names(f, err);
    assert(!f->where.overflow);
    return rc;
}

/* --- attempts ------------------------------------------------------------------------------------
 */

enum { B_NUMBER, B_SINCE, B_UNTIL };

static struct db_val time_of(struct arena *a, int64_t us)
{
    char *text = arena_raw(a, rfc3339_len + 1);
    rfc3339_format(us, text);
    return db_text(text);
}

static void narrow(struct query_within *w, struct arena *a, const char *text, struct db_val v)
{
    w->where = arena_printf(a, "%s%s", w->where, text);
    w->v[w->n++] = v;
}

/* The first n rows, and no request that row n may come before, if there is one. */
static struct query_within listed(const struct find *f, const struct db_rows *r, size_t n)
{
    struct arena *a = f->req->arena;
    int64_t *list = arena_raw(a, (n + 1) * sizeof *list), first = INT64_MAX, last = 0;
    struct query_within w = { .where = n ? "" : " AND false" };
    if (!n)
        return w;
    for (size_t i = 0; i < n; i++) {
        int64_t until = db_get_i64(r, i, B_UNTIL);
        list[i] = db_get_i64(r, i, B_NUMBER);
        first = until < first ? until : first;
        last = until > last ? until : last;
    }
    narrow(&w, a, " AND t.block = ANY (?::bigint[])", db_i64s(list, n));
    narrow(&w, a, " AND t.block_until >= ?::timestamptz", time_of(a, first));
    narrow(&w, a, " AND t.block_until <= ?::timestamptz", time_of(a, last));
    if (n < db_nrows(r))
        narrow(&w, a, f->down ? " AND t.at > ?::timestamptz" : " AND t.at < ?::timestamptz",
               time_of(a, db_get_i64(r, n, f->down ? B_UNTIL : B_SINCE)));
    return w;
}

/* Whatever may have one: by time and sender alone. */
static struct query_within unlisted(const struct find *f)
{
    struct arena *a = f->req->arena;
    struct query_within w = { .where = "" };
    if (f->since.type)
        narrow(&w, a, " AND t.block_until >= ?::timestamptz", f->since);
    if (f->until.type)
        narrow(&w, a, " AND t.block_until <= ?::timestamptz + " SPAN, f->until);
    if (f->senders.type)
        narrow(&w, a,
               " AND t.block IN (SELECT b.number FROM request_blocks b WHERE b.consumer && "
               "?::int[])",
               f->senders);
    return w;
}

static int look(struct find *f, int64_t most, struct query_within *ret, bool *ret_all,
                struct err *err)
{
    struct db_stmt once = { .flags = DB_ONCE };
    struct db_rows *r;
    struct buf sql;
    buf_init(&sql, f->req->arena, 1024, 2 * find_sql_max);
    buf_puts(&sql, "SELECT b.number, (extract(epoch FROM b.since) * 1000000)::bigint,"
                   " (extract(epoch FROM b.until) * 1000000)::bigint FROM request_blocks b");
    sqlgen_put_marked(&sql, f->where.data, 1);
    buf_puts(&sql,
             f->down ? " ORDER BY b.until DESC, b.number DESC" : " ORDER BY b.since, b.number");
    buf_printf(&sql, " LIMIT %lld", (long long)most + 1);
    assert(!sql.overflow);
    once.sql = sql.data;
    int rc = db_query(f->req->svc->db, f->req->arena, &once, f->v, f->nv, &r, err);
    if (rc < 0)
        return rc;
    *ret_all = db_nrows(r) <= (size_t)most;
    *ret = listed(f, r, *ret_all ? db_nrows(r) : (size_t)most);
    return 0;
}

static int within(struct req *req, struct query *q, unsigned attempt, void *ctx, bool *ret_all,
                  struct err *err)
{
    struct find *f = ctx;
    int64_t most = blocks_first + (q->offset + q->limit) / (block_rows_max * 4 / 5);
    (void)req;
    int rc = attempt ? 0 : put_query(f, q, err);
    for (unsigned i = 0; i < attempt && most <= blocks_listed_max; i++)
        most *= blocks_times;
    if (rc < 0)
        return rc;
    if (most <= blocks_listed_max)
        return look(f, most, &q->within, ret_all, err);
    *ret_all = true;
    q->within = unlisted(f);
    return 0;
}

/* --- the routes ----------------------------------------------------------------------------------
 */

int list_requests(struct req *req, struct res *res, struct err *err)
{
    struct query_arg *args = arena_alloc(req->arena, (req->nargs + 1) * sizeof(*args));
    struct find f = { .req = req };
    for (size_t i = 0; i < req->nargs; i++) {
        args[i] = req->args[i];
        if (str_eq(args[i].name, "count") && !str_eq(args[i].value, "none"))
            return err_at(err, E_invalid_parameter, "count",
                          "The log is not counted; /api/v2/analytics/overview has the numbers.");
    }
    if (!req_arg(req, "count"))
        args[req->nargs++] = (struct query_arg){ .name = "count", .value = "none" };
    req->args = args;
    return crud_list_blocks(req, res, &(struct crud_blocks){ within, &f }, err);
}

int get_request(struct req *req, struct res *res, struct err *err)
{
    int64_t id = 0;
    (void)!str_to_i64(req->params[0], 1, INT64_MAX, &id); /* what is no number is refused there */
    const struct query_within block = { .where = " AND t.block = ?::bigint",
                                        .v = { db_i64(id / block_numbers) },
                                        .n = 1 };
    return crud_get_within(req, res, &block, err);
}
