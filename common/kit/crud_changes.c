/* The changes of an entity in the order of their times, for clients that keep a copy.
 *
 * updated_at is the time at which the writing transaction began, so a row may come to light after
 * another with a later time.  A page therefore ends before the horizon: the beginning of the oldest
 * transaction that is still under way.  The horizon is asked for by a statement of its own, before
 * the rows: what ended before it is in the later snapshot, and what runs on bounds it.  A
 * transaction is under way for a moment before the server's list of them says so: hence the lag.
 *
 * A row that changes again between the pages comes again, with what it is then.  A row that the
 * reader sees no more comes as gone.
 *
 * A cursor is <µs>.<id>.<start>.<reader>: the place, when the copy was whole last (what went before
 * crud_changes_keep_days is told no more, so older copies begin anew), and what the reader may see
 * (with other rights he has other rows). */
#include "common/kit/crud_changes_int.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/svc.h"

#include <assert.h>

static const int64_t year_9999_us = INT64_C(253402300799999999); /* the last that RFC 3339 has */
enum { changes_max = 100, changes_default = 100, changes_cursor_max = 96 };

static const struct field_def change_fields[] = {
    { .name = "id", .type = F_INT, .min = 1, .max = INT64_MAX, .doc = "Of the row." },
    { .name = "deleted_at",
     .type = F_TIME,
     .doc = "When the row was deleted, or was seen by you no more; null: it is there." },
    { .name = "row", .type = F_JSON, .doc = "The row as it is now; null: it is gone." },
    { .name = "title",
     .type = F_TEXT,
     .doc =
          "What a row that is gone was called, for readers who see all rows; null: it is there, or "
          "cannot be restored any more." },
    { 0 },
};
static const struct shape shape_change = { .name = "Change",
                                           .doc = "A row that was made, changed or went.",
                                           .fields = change_fields };
static const struct param_def changes_params[] = {
    { "since", "string", 0, changes_cursor_max,
     "meta.next_cursor of the page before; absent: from the beginning." },
    { "updated_since", "string", 0, 40, "From this time on, instead of since." },
    { "deleted_since", "string", 0, 40, "Only what went, from this time on." },
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
    enum vis_class vc;
    struct changes_place place;
    int64_t limit;
    bool deleted;         /* only what went */
    struct db_rows *rows; /* id, time, gone, time in µs */
    size_t n;
    bool more;
};
enum { COL_ID, COL_AT, COL_GONE, COL_US };

static const char *reader_of(const struct changes *c)
{
    const struct req *req = c->req;
    return c->vc == VC_OWN ? arena_printf(req->arena, "own%lld", (long long)req->who.user_id)
                           : vis_class_name(c->vc);
}

static int bad_cursor(struct err *err)
{
    return err_at(err, E_invalid_parameter, "since",
                  "since is meta.next_cursor of the page before.");
}

int changes_place_read(struct arena *a, const char *text, const char *reader, int64_t now_us,
                       struct changes_place *ret, struct err *err)
{
    struct changes_place p;
    int64_t *const numbers[] = { &p.at_us, &p.id, &p.whole_s };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const char *dot = strchr(text, '.');
        if (!dot ||
            !str_to_i64(arena_strndup(a, text, (size_t)(dot - text)), 0, INT64_MAX / 2, numbers[i]))
            return bad_cursor(err);
        text = dot + 1;
    }
    if (p.at_us > year_9999_us)
        return bad_cursor(err);
    if (!str_eq(text, reader))
        return err_at(
            err, E_gone, "since",
            "This place was given to a reader with other rights; begin anew, without it.");
    if (now_us / 1000000 - p.whole_s > INT64_C(86400) * crud_changes_keep_days)
        return err_at(err, E_gone, "since",
                      "What went is told for %d days; begin anew, without since.",
                      crud_changes_keep_days);
    *ret = p;
    return 0;
}

const char *changes_place_text(struct arena *a, const struct changes_place *p, const char *reader)
{
    return arena_printf(a, "%lld.%lld.%lld.%s", (long long)p->at_us, (long long)p->id,
                        (long long)p->whole_s, reader);
}

static int read_time(const char *name, const char *text, struct changes *ret, struct err *err)
{
    if (!rfc3339_parse(text, &ret->place.at_us))
        return err_at(err, E_invalid_parameter, name, "%s is a time, like 2026-02-19T08:00:00Z.",
                      name);
    ret->place.at_us--; /* at it or later */
    ret->place.id = INT64_MAX / 2;
    return 0;
}

static int read_args(struct changes *c, struct err *err)
{
    const struct req *req = c->req;
    const char *since = req_arg(req, "since"), *updated = req_arg(req, "updated_since");
    const char *deleted = req_arg(req, "deleted_since"), *limit = req_arg(req, "limit");
    c->limit = changes_default;
    c->deleted = deleted != NULL;
    c->place.whole_s = req->now_us / 1000000;
    if (limit && !str_to_i64(limit, 1, changes_max, &c->limit))
        return err_at(err, E_invalid_parameter, "limit", "limit is from 1 to %d.", changes_max);
    if (updated && (since || deleted))
        return err_at(err, E_invalid_parameter, "updated_since",
                      "updated_since goes with neither since nor deleted_since.");
    if (since)
        return changes_place_read(req->arena, since, reader_of(c), req->now_us, &c->place, err);
    if (updated || deleted)
        return read_time(updated ? "updated_since" : "deleted_since", updated ? updated : deleted,
                         c, err);
    return 0;
}

static int fetch(struct changes *c, struct err *err)
{
    struct req *req = c->req;
    struct arena *a = req->arena;
    struct db_rows *h;
    struct buf parts;
    char *after = arena_alloc(a, rfc3339_len + 1);
    int rc = crud_query(req, &horizon_stmt, NULL, 0, &h, err);
    if (rc < 0)
        return rc;
    buf_init(&parts, a, 4096, changes_sql_max);
    changes_parts(a, &parts, c->c->e, c->vc, c->deleted);
    assert(!parts.overflow);
    rfc3339_format(c->place.at_us, after);
    /* Of equal places what went comes first: the cursor behind either covers both. */
    struct db_stmt s = { .flags = DB_ONCE,
                         .sql = arena_printf(
                             a,
                             "SELECT id, at, gone, (extract(epoch FROM at) * 1000000)::bigint FROM "
                             "(%s) x WHERE $5::bigint IS NOT NULL ORDER BY at, id, gone DESC LIMIT "
                             "$4::bigint",
                             parts.data) };
    struct db_val v[] = { db_text(after), db_i64(c->place.id), db_text(db_str(h, 0, 0)),
                          db_i64(c->limit + 1), db_i64(req->who.user_id) };
    rc = crud_query(req, &s, v, ARRAY_LEN(v), &c->rows, err);
    if (rc < 0)
        return rc;
    c->n = db_nrows(c->rows);
    c->more = c->n > (size_t)c->limit;
    c->n -= c->more;
    if (c->n) {
        c->place.at_us = db_get_i64(c->rows, c->n - 1, COL_US);
        c->place.id = db_get_i64(c->rows, c->n - 1, COL_ID);
    }
    if (!c->more) /* the copy is whole as of the horizon */
        c->place.whole_s = req->now_us / 1000000;
    return 0;
}

/* Is another candidate for the same row before this one on the page, that says as much? */
static bool told(const struct changes *c, size_t i, bool gone)
{
    int64_t id = db_get_i64(c->rows, i, COL_ID);
    for (size_t k = 0; k < i; k++)
        if (db_get_i64(c->rows, k, COL_ID) == id && (!gone || db_get_bool(c->rows, k, COL_GONE)))
            return true;
    return false;
}

/* What those in the trash were called, by id: for who saw them whatever their status. */
static int find_titles(const struct changes *c, const int64_t *ids, struct db_rows **ret,
                       struct err *err)
{
    const struct entity_def *e = c->c->e;
    const struct db_val v = db_i64s(ids, c->n);
    const struct db_stmt s = { .flags = DB_ONCE,
                               .sql = arena_printf(c->req->arena,
                                                   "SELECT id, %s FROM %s WHERE id = ANY "
                                                   "($1::bigint[]) AND deleted_at IS NOT NULL",
                                                   e->title, e->table) };
    *ret = NULL;
    bool all = c->vc == VC_ALL || c->vc == VC_ADMIN, any = false;
    for (size_t i = 0; i < c->n; i++)
        any = any || db_get_bool(c->rows, i, COL_GONE);
    return all && e->title && any ? crud_query(c->req, &s, &v, 1, ret, err) : 0;
}

static void put_title(struct buf *b, const struct db_rows *titles, int64_t id)
{
    size_t n = titles ? db_nrows(titles) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *text = db_get_i64(titles, i, 0) == id ? db_str(titles, i, 1) : NULL;
        if (!text)
            continue;
        buf_put_json_string(b, text, strlen(text));
        return;
    }
    buf_puts(b, "null");
}

/* What the reader sees of the candidates; one that he does not is gone, if he saw it. */
static int put_rows(struct changes *c, struct res *res, struct err *err)
{
    struct req *req = c->req;
    const struct crud_reads *reads = &c->c->reads[c->vc];
    struct db_val v[2];
    struct db_rows *rows, *titles;
    size_t nv = 0;
    int64_t *ids = arena_alloc(req->arena, (c->n + 1) * sizeof(*ids));
    for (size_t i = 0; i < c->n; i++)
        ids[i] = db_get_i64(c->rows, i, COL_ID);
    if (vis_uses_uid(c->c->e, c->vc))
        v[nv++] = db_i64(req->who.user_id);
    v[nv++] = db_i64s(ids, c->n);
    int rc = crud_query(req, &reads->by_ids, v, nv, &rows, err);
    if (rc >= 0)
        rc = find_titles(c, ids, &titles, err);
    if (rc < 0)
        return rc;
    size_t there = db_nrows(rows);
    const char *sep = "";
    for (size_t i = 0; i < c->n; i++) {
        size_t at = 0;
        while (at < there && db_get_i64(rows, at, (size_t)reads->plan.id) != ids[i])
            at++;
        bool gone = at == there;
        bool back = !gone && c->deleted; /* it went, and came again: no deletion any more */
        if (back || (gone && !db_get_bool(c->rows, i, COL_GONE)) || told(c, i, gone))
            continue;
        const char *when = db_str(c->rows, i, COL_AT);
        buf_printf(&res->body, "%s{\"id\":%lld,\"deleted_at\":", sep, (long long)ids[i]);
        if (gone)
            rowjson_put_time(&res->body, when, strlen(when));
        else
            buf_puts(&res->body, "null");
        buf_puts(&res->body, ",\"row\":");
        if (gone)
            buf_puts(&res->body, "null");
        else
            rowjson_put(&res->body, &reads->plan, rows, at, ~(uint64_t)0, NULL, 0);
        buf_puts(&res->body, ",\"title\":");
        put_title(&res->body, gone ? titles : NULL, ids[i]);
        buf_putc(&res->body, '}');
        sep = ",";
    }
    return 0;
}

static int changes_get(struct req *req, struct res *res, struct err *err)
{
    struct changes c = { .req = req, .c = crud_of(req) };
    c.vc = vis_class_of(c.c->e, &req->who);
    int rc = crud_may_read(req, err);
    if (rc >= 0)
        rc = read_args(&c, err);
    if (rc >= 0)
        rc = fetch(&c, err);
    if (rc < 0)
        return rc;
    buf_puts(&res->body, "{\"data\":[");
    rc = put_rows(&c, res, err);
    if (rc < 0)
        return rc;
    const char *cursor = changes_place_text(req->arena, &c.place, reader_of(&c));
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

static const int changes_errors[] = { 400, 401, 410, 0 };

const struct route *crud_change_routes(struct arena *a, const struct crud *c)
{
    const struct entity_def *e = c->e;
    struct route *r = arena_alloc(a, 2 * sizeof(*r));
    assert(e->soft_delete && c->prepared && c->reads[VC_ALL].by_ids.sql);
    *r =
        (struct route){ .method = GET,
                        .path = arena_printf(a, "%s/changes", e->path),
                        .fn = changes_get,
                        .scope = e->scope_read,
                        .entity = e,
                        .out = &shape_change,
                        .query = changes_params,
                        .errors = changes_errors,
                        .cost = 4,
                        .flags = ROUTE_PUBLIC | ROUTE_LIST | ROUTE_NO_BODY,
                        .op_id = arena_printf(a, "list_%s_changes", e->name),
                        .doc = "What was made, changed or went since a page before, as you see it.",
                        .ctx = c };
    return r;
}
