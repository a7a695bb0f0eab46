/* The changes of an entity in the order of their times, for clients that keep a copy.
 *
 * updated_at is the time at which the writing transaction began, so a row may come to light after
 * another with a later time.  A page therefore ends before the horizon: the beginning of the oldest
 * transaction that is still under way.  The horizon is asked for by a statement of its own, before
 * the rows: what ended before it is in the later snapshot, and what runs on bounds it.  A
 * transaction is under way for a moment before the server's list of them says so: hence the lag.
 *
 * A row that changes again between the pages comes again, with what it is then. */
#include "common/kit/crud_int.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/svc.h"

#include <assert.h>

enum { changes_max = 100, changes_default = 100, changes_sql_max = 4096 };

static const struct field_def change_fields[] = {
    { .name = "id", .type = F_INT, .min = 1, .max = INT64_MAX, .doc = "Of the row." },
    { .name = "deleted_at", .type = F_TIME, .doc = "When the row was deleted; null: it is there." },
    { .name = "row", .type = F_JSON, .doc = "The row as it is now; null: it is deleted." },
    { 0 },
};
static const struct shape shape_change = { .name = "Change",
                                           .doc = "A row that was made, changed or deleted.",
                                           .fields = change_fields };
static const struct param_def changes_params[] = {
    { "since", "string", 0, 48,
     "meta.next_cursor of the page before; absent: from the beginning." },
    { "updated_since", "string", 0, 40, "From this time on, instead of since." },
    { "deleted_since", "string", 0, 40, "Only what was deleted, from this time on." },
    { "limit", "integer", 1, changes_max, "Changes a page." },
    { 0 },
};

static const struct db_stmt horizon_stmt = {
    .name = "changes_horizon",
    .sql = "SELECT least(clock_timestamp() - interval '1 second', min(a.xact_start)) FROM "
           "pg_stat_activity a WHERE a.datname = current_database() AND a.usename = current_user "
           "AND a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL",
};

struct changes {
    struct req *req;
    const struct crud *c;
    int64_t at_us, id, limit; /* the page is what comes after (at_us, id) */
    bool deleted;             /* only what is */
    struct db_rows *rows;     /* id, deleted_at, time in µs */
    size_t n;
    bool more;
};

/* "<µs>.<id>" */
static bool read_cursor(const char *text, struct changes *ret, struct arena *a)
{
    const char *dot = strchr(text, '.');
    return dot &&
           str_to_i64(arena_strndup(a, text, (size_t)(dot - text)), 0, INT64_MAX / 2,
                      &ret->at_us) &&
           str_to_i64(dot + 1, 0, INT64_MAX, &ret->id);
}

static int read_time(const char *name, const char *text, struct changes *ret, struct err *err)
{
    if (!rfc3339_parse(text, &ret->at_us))
        return err_at(err, E_invalid_parameter, name, "%s is a time, like 2026-02-19T08:00:00Z.",
                      name);
    ret->at_us--; /* at it or later */
    ret->id = INT64_MAX;
    return 0;
}

static int read_args(struct changes *c, struct err *err)
{
    const struct req *req = c->req;
    const char *since = req_arg(req, "since"), *updated = req_arg(req, "updated_since");
    const char *deleted = req_arg(req, "deleted_since"), *limit = req_arg(req, "limit");
    c->limit = changes_default;
    c->deleted = deleted != NULL;
    if (limit && !str_to_i64(limit, 1, changes_max, &c->limit))
        return err_at(err, E_invalid_parameter, "limit", "limit is from 1 to %d.", changes_max);
    if (updated && (since || deleted))
        return err_at(err, E_invalid_parameter, "updated_since",
                      "updated_since goes with neither since nor deleted_since.");
    if (since)
        return read_cursor(since, c, req->arena)
                   ? 0
                   : err_at(err, E_invalid_parameter, "since",
                            "since is meta.next_cursor of the page before.");
    if (updated || deleted)
        return read_time(updated ? "updated_since" : "deleted_since", updated ? updated : deleted,
                         c, err);
    return 0;
}

/* Part of the union: rows of one index, each no longer than the page. */
static void put_part(struct buf *b, const char *from, const char *id, const char *at,
                     const char *deleted)
{
    buf_printf(b,
               "(SELECT %s AS id, %s AS deleted_at, %s AS at FROM %s AND (%s, %s) > "
               "($1::timestamptz, $2::bigint) AND %s < $3::timestamptz ORDER BY %s, %s LIMIT "
               "$4::bigint)",
               id, deleted, at, from, at, id, at, at, id);
}

static int fetch(struct changes *c, struct err *err)
{
    struct req *req = c->req;
    struct arena *a = req->arena;
    struct db_rows *h;
    struct buf b;
    const struct entity_def *e = c->c->e;
    char *after = arena_alloc(a, rfc3339_len + 1);
    int rc = crud_query(req, &horizon_stmt, NULL, 0, &h, err);
    if (rc < 0)
        return rc;
    buf_init(&b, a, 1024, changes_sql_max);
    buf_puts(&b, "SELECT id, deleted_at, (extract(epoch FROM at) * 1000000)::bigint FROM (");
    if (!c->deleted) {
        put_part(&b, arena_printf(a, "%s WHERE deleted_at IS NULL", e->table), "id", "updated_at",
                 "deleted_at");
        buf_puts(&b, " UNION ALL ");
    }
    put_part(&b, arena_printf(a, "%s WHERE deleted_at IS NOT NULL", e->table), "id", "updated_at",
             "deleted_at");
    buf_puts(&b, " UNION ALL ");
    put_part(&b, arena_printf(a, "purged WHERE entity = '%s'", e->name), "row_id", "at", "at");
    buf_puts(&b, ") x ORDER BY at, id LIMIT $4::bigint");
    assert(!b.overflow);
    rfc3339_format(c->at_us, after);
    struct db_stmt s = { .sql = b.data, .flags = DB_ONCE };
    struct db_val v[] = { db_text(after), db_i64(c->id), db_text(db_str(h, 0, 0)),
                          db_i64(c->limit + 1) };
    rc = crud_query(req, &s, v, ARRAY_LEN(v), &c->rows, err);
    if (rc < 0)
        return rc;
    c->n = db_nrows(c->rows);
    c->more = c->n > (size_t)c->limit;
    c->n -= c->more;
    if (c->n) {
        c->at_us = db_get_i64(c->rows, c->n - 1, 2);
        c->id = db_get_i64(c->rows, c->n - 1, 0);
    }
    return 0;
}

/* The rows that are there, as the reader may see them; one that has gone since is left to the page
 * with its deletion. */
static int put_rows(struct changes *c, struct res *res, struct err *err)
{
    struct req *req = c->req;
    enum vis_class vc = vis_class_of(c->c->e, &req->who);
    const struct crud_reads *reads = &c->c->reads[vc];
    struct db_val v[2];
    struct db_rows *rows;
    size_t nv = 0, nids = 0;
    int64_t *ids = arena_alloc(req->arena, (c->n + 1) * sizeof(*ids));
    for (size_t i = 0; i < c->n; i++)
        if (!db_str(c->rows, i, 1))
            ids[nids++] = db_get_i64(c->rows, i, 0);
    if (vis_uses_uid(c->c->e, vc))
        v[nv++] = db_i64(req->who.user_id);
    v[nv++] = db_i64s(ids, nids);
    int rc = crud_query(req, &reads->by_ids, v, nv, &rows, err);
    if (rc < 0)
        return rc;
    size_t there = db_nrows(rows);
    const char *sep = "";
    for (size_t i = 0; i < c->n; i++) {
        const char *gone = db_str(c->rows, i, 1);
        int64_t id = db_get_i64(c->rows, i, 0);
        size_t at = 0;
        while (!gone && at < there && db_get_i64(rows, at, (size_t)reads->plan.id) != id)
            at++;
        if (!gone && at == there)
            continue;
        buf_printf(&res->body, "%s{\"id\":%lld,\"deleted_at\":", sep, (long long)id);
        if (gone)
            rowjson_put_time(&res->body, gone, strlen(gone));
        else
            buf_puts(&res->body, "null");
        buf_puts(&res->body, ",\"row\":");
        if (gone)
            buf_puts(&res->body, "null");
        else
            rowjson_put(&res->body, &reads->plan, rows, at, ~(uint64_t)0, NULL, 0);
        buf_putc(&res->body, '}');
        sep = ",";
    }
    return 0;
}

static int changes_get(struct req *req, struct res *res, struct err *err)
{
    struct changes c = { .req = req, .c = crud_of(req) };
    enum vis_class vc = vis_class_of(c.c->e, &req->who);
    /* Who does not see all rows would learn of others from what goes, and miss what comes by time.
     */
    if (vc != VC_ALL && vc != VC_ADMIN)
        return err_set(err, E_forbidden, "The changes of %s are for editors.", c.c->e->plural);
    int rc = read_args(&c, err);
    if (rc >= 0)
        rc = fetch(&c, err);
    if (rc < 0)
        return rc;
    buf_puts(&res->body, "{\"data\":[");
    rc = put_rows(&c, res, err);
    if (rc < 0)
        return rc;
    const char *cursor = arena_printf(req->arena, "%lld.%lld", (long long)c.at_us, (long long)c.id);
    const char *next =
        arena_printf(req->arena, "%s%s/changes?since=%s&limit=%lld%s%s", req->svc->conf->public_url,
                     c.c->e->path, cursor, (long long)c.limit, c.deleted ? "&deleted_since=" : "",
                     c.deleted ? url_encode(req->arena, req_arg(req, "deleted_since")) : "");
    buf_printf(&res->body,
               "],\"meta\":{\"next_cursor\":\"%s\",\"more\":%s},\"links\":{\"next\":\"%s\"}}",
               cursor, c.more ? "true" : "false", next);
    res->link = arena_printf(req->arena, "<%s>; rel=\"next\"", next);
    return 0;
}

static const int changes_errors[] = { 400, 401, 403, 0 };

const struct route *crud_change_routes(struct arena *a, const struct crud *c)
{
    const struct entity_def *e = c->e;
    struct route *r = arena_alloc(a, 2 * sizeof(*r));
    assert(e->soft_delete && c->prepared && c->reads[VC_ALL].by_ids.sql);
    *r = (struct route){ .method = GET,
                         .path = arena_printf(a, "%s/changes", e->path),
                         .fn = changes_get,
                         .scope = e->scope_read,
                         .entity = e,
                         .out = &shape_change,
                         .query = changes_params,
                         .errors = changes_errors,
                         .cost = 4,
                         .flags = ROUTE_LIST | ROUTE_NO_BODY,
                         .op_id = arena_printf(a, "list_%s_changes", e->name),
                         .doc = "What was made, changed or deleted since a page before.",
                         .ctx = c };
    return r;
}
