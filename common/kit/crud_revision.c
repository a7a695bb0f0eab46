/* The former states of rows: list, read, compare, restore.
 *
 * A revision is named by the version that the row had in that state.  Versions are given under the
 * row's lock, so they are without gaps and one change makes one revision. */
#include "common/kit/crud_write_int.h"

#include "common/base/json_patch.h"
#include "common/base/str.h"
#include "common/kit/svc.h"

enum { link_bytes_max = 2048, state_bytes_max = 16 * 1024 * 1024 };

static const char *const actions[] = { "updated", "deleted", "restored", NULL };
static const struct field_def revision_fields[] = {
    { .name = "rev",
     .type = F_INT,
     .min = 1,
     .max = INT64_MAX,
     .example = "3",
     .doc = "The version that the row had before the change." },
    { .name = "at", .type = F_TIME, .doc = "When the change was made." },
    { .name = "action", .type = F_ENUM, .choices = actions, .doc = "What was done." },
    { .name = "actor", .type = F_TEXT, .max = 200, .doc = "Who did it: user and key, or the job." },
    { .name = "request_id", .type = F_TEXT, .max = 200, .doc = "The request that did it." },
    { .name = "changed",
     .type = F_TEXTS,
     .items_max = 64,
     .max = 64,
     .doc = "The fields that got another value." },
    { .name = "state",
     .type = F_JSON,
     .doc = "The whole row as it was before the change; when one is read." },
    { .name = "against",
     .type = F_INT,
     .min = 1,
     .max = INT64_MAX,
     .doc = "The version that it is compared with; with against=." },
    { .name = "diff",
     .type = F_JSON,
     .doc =
          "field: {from, to} of each that differs, from this state to the other; with against=." },
    { 0 },
};
static const struct shape shape_revision = { .name = "Revision",
                                             .doc = "What a row was before a change of it.",
                                             .fields = revision_fields };
static const struct param_def list_params[] = {
    { "page", "integer", 1, query_offset_max, "Page number, from 1." },
    { "per_page", "integer", 1, query_per_page_max, "Revisions a page." },
    { 0 },
};
static const struct param_def get_params[] = {
    { "against", "string", 0, 20, "Another revision, or present: adds what differs from it." },
    { 0 },
};

/* The row that $1 names, if the caller ($2) may see its drafts. */
static void put_row(struct buf *b, const struct entity_def *e, enum vis_class vc)
{
    buf_printf(b, "%s t WHERE t.id = $1::bigint AND t.deleted_at IS NULL AND ", e->table);
    const char *own = vc == VC_OWN ? vis_own(b->arena, e, "t", "$2") : NULL;
    if (vc == VC_ALL || vc == VC_ADMIN)
        buf_puts(b, "$2::bigint IS NOT NULL");
    else
        buf_puts(b, own ? own : "$2::bigint IS NULL AND false");
}

static void put_head(struct buf *b)
{
    buf_puts(b, "(json_build_object('rev', r.version, 'at', to_char(r.at AT TIME ZONE 'UTC', "
                "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), 'action', r.action, 'actor', r.actor, "
                "'request_id', r.request_id, 'changed', r.changed))::text");
}

static int no_row(const struct entity_def *e, const char *id, struct err *err)
{
    return err_set(err, E_not_found, "There is no %s %.20s with revisions for you.", e->name, id);
}

/* --- list --- */

struct pages {
    const struct req *req;
    const char *id;
    int64_t page, per_page, total;
};

static const char *page_link(const struct pages *p, int64_t page)
{
    return arena_printf(p->req->arena, "%s%s/%s/revisions?page=%lld&per_page=%lld",
                        p->req->svc->conf->public_url, p->req->route->entity->path, p->id,
                        (long long)page, (long long)p->per_page);
}

static void put_pages(const struct pages *p, struct res *res)
{
    static const char *const names[] = { "self", "next", "prev", "first", "last" };
    int64_t last = p->total ? (p->total - 1) / p->per_page + 1 : 1;
    int64_t before = p->page - 1 > last ? last : p->page - 1;
    const char *const links[] = { page_link(p, p->page),
                                  p->page < last ? page_link(p, p->page + 1) : NULL,
                                  before ? page_link(p, before) : NULL, page_link(p, 1),
                                  page_link(p, last) };
    struct buf header;
    buf_init(&header, p->req->arena, 512, 4 * link_bytes_max);
    buf_printf(&res->body,
               "],\"meta\":{\"total\":%lld,\"page\":%lld,\"per_page\":%lld},\"links\":{",
               (long long)p->total, (long long)p->page, (long long)p->per_page);
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        buf_printf(&res->body, "%s\"%s\":", i ? "," : "", names[i]);
        if (links[i])
            buf_put_json_string(&res->body, links[i], strlen(links[i]));
        else
            buf_puts(&res->body, "null");
        if (i && links[i])
            buf_printf(&header, "%s<%s>; rel=\"%s\"", header.len ? ", " : "", links[i], names[i]);
    }
    buf_puts(&res->body, "}}");
    res->link = header.data;
}

static int revision_list(struct req *req, struct res *res, struct err *err)
{
    const struct entity_def *e = req->route->entity;
    struct pages p = { .req = req, .page = 1, .per_page = query_per_page_default };
    const char *page = req_arg(req, "page"), *per_page = req_arg(req, "per_page");
    int rc = crud_id(req, e, &p.id, err);
    if (rc < 0)
        return rc;
    if ((page && !str_to_i64(page, 1, query_offset_max, &p.page)) ||
        (per_page && !str_to_i64(per_page, 1, query_per_page_max, &p.per_page)))
        return err_at(err, E_invalid_parameter, "page", "page and per_page are whole numbers.");
    struct buf b;
    struct db_rows *rows;
    buf_init(&b, req->arena, 1024, 8192);
    buf_puts(&b, "SELECT x.head, (SELECT count(*) FROM revisions c WHERE ");
    buf_printf(&b, "c.entity = '%s' AND c.row_id = $1::bigint) FROM (SELECT t.id FROM ", e->name);
    put_row(&b, e, vis_class_of(e, &req->who));
    buf_puts(&b, ") t LEFT JOIN LATERAL (SELECT r.version, ");
    put_head(&b);
    buf_printf(&b,
               " AS head FROM revisions r WHERE r.entity = '%s' AND r.row_id = t.id ORDER BY "
               "r.version DESC LIMIT $3::bigint OFFSET $4::bigint) x ON true ORDER BY x.version "
               "DESC",
               e->name);
    struct db_stmt s = { .sql = b.data, .flags = DB_ONCE };
    struct db_val v[] = { db_text(p.id), db_i64(req->who.user_id), db_i64(p.per_page),
                          db_i64((p.page - 1) * p.per_page) };
    rc = crud_query(req, &s, v, ARRAY_LEN(v), &rows, err);
    if (rc < 0)
        return rc;
    if (!db_nrows(rows))
        return no_row(e, p.id, err);
    p.total = db_get_i64(rows, 0, 1);
    buf_puts(&res->body, "{\"data\":[");
    for (size_t i = 0; i < db_nrows(rows); i++)
        if (db_str(rows, i, 0)) /* the row alone: an empty page */
            buf_printf(&res->body, "%s%s", i ? "," : "", db_str(rows, i, 0));
    put_pages(&p, res);
    res->etag = crud_hash_etag(req->arena, "l", res->body.data, res->body.len);
    return 0;
}

/* --- one --- */

struct state {
    const char *head, *text; /* head: without the state */
    json_t *tree;
    int64_t version;
};

static int read_tree(struct req *req, const char *text, json_t **ret, struct err *err)
{
    return json_parse(req->arena, text, strlen(text), ret, err) < 0
               ? err_set(err, E_internal, "a revision does not read as JSON")
               : 0;
}

static int read_state(struct req *req, const char *id, int64_t version, struct state *ret,
                      struct err *err)
{
    const struct entity_def *e = req->route->entity;
    struct buf b;
    struct db_rows *rows;
    buf_init(&b, req->arena, 1024, 8192);
    buf_puts(&b, "SELECT ");
    put_head(&b);
    buf_printf(&b,
               ", r.body FROM revisions r WHERE r.entity = '%s' AND r.row_id = $1::bigint AND "
               "r.version = $3::bigint AND EXISTS (SELECT 1 FROM ",
               e->name);
    put_row(&b, e, vis_class_of(e, &req->who));
    buf_puts(&b, ")");
    struct db_stmt s = { .sql = b.data, .flags = DB_ONCE };
    struct db_val v[] = { db_text(id), db_i64(req->who.user_id), db_i64(version) };
    int rc = crud_query(req, &s, v, ARRAY_LEN(v), &rows, err);
    if (rc < 0)
        return rc;
    if (!db_nrows(rows))
        return err_set(err, E_not_found, "There is no revision %lld of %s %.20s.",
                       (long long)version, e->name, id);
    *ret = (struct state){ .head = db_str(rows, 0, 0),
                           .text = db_str(rows, 0, 1),
                           .version = version };
    return read_tree(req, ret->text, &ret->tree, err);
}

static int read_present(struct req *req, const char *id, struct state *ret, struct err *err)
{
    struct res now = { .arena = req->arena };
    json_t *all;
    buf_init(&now.body, req->arena, 4096, state_bytes_max);
    int rc = crud_answer(req, &now, req->route->entity, id, err);
    if (rc >= 0)
        rc = read_tree(req, now.body.data, &all, err);
    if (rc < 0)
        return rc;
    ret->tree = json_object_get(all, "data");
    ret->version = json_integer_value(json_object_get(ret->tree, "version"));
    return 0;
}

/* What every change changes tells nothing. */
static bool compared(const struct field_def *f)
{
    return !str_eq(f->name, "version") && !str_eq(f->name, "updated_at");
}

static void put_diff(struct buf *b, const struct entity_def *e, const struct state *from,
                     const struct state *to)
{
    const char *sep = "";
    buf_printf(b, ",\"against\":%lld,\"diff\":{", (long long)to->version);
    for (const struct field_def *f = e->fields; f->name; f++) {
        const json_t *old = json_object_get(from->tree, f->name);
        const json_t *new = json_object_get(to->tree, f->name);
        if (!compared(f) || !old || !new || json_same(old, new))
            continue;
        buf_printf(b, "%s\"%s\":{\"from\":", sep, f->name);
        json_write(b, old);
        buf_puts(b, ",\"to\":");
        json_write(b, new);
        buf_putc(b, '}');
        sep = ",";
    }
    buf_putc(b, '}');
}

/* The revision that the path names. */
static int named_state(struct req *req, const char *id, struct state *ret, struct err *err)
{
    int64_t version;
    int rc = req_id(req, 1, &version, err);
    return rc < 0 ? rc : read_state(req, id, version, ret, err);
}

static int revision_get(struct req *req, struct res *res, struct err *err)
{
    const char *id, *against = req_arg(req, "against");
    struct state it, other = { 0 };
    int64_t version;
    int rc = crud_id(req, req->route->entity, &id, err);
    if (rc >= 0)
        rc = named_state(req, id, &it, err);
    if (rc < 0)
        return rc;
    if (against && str_eq(against, "present"))
        rc = read_present(req, id, &other, err);
    else if (against && str_to_i64(against, 1, INT64_MAX, &version))
        rc = read_state(req, id, version, &other, err);
    else if (against)
        rc = err_at(err, E_invalid_parameter, "against", "against is a revision, or present.");
    if (rc < 0)
        return rc;
    buf_printf(&res->body, "{\"data\":%.*s,\"state\":", (int)strlen(it.head) - 1, it.head);
    buf_puts(&res->body, it.text);
    if (against)
        put_diff(&res->body, req->route->entity, &it, &other);
    buf_puts(&res->body, "}}");
    res->etag = crud_hash_etag(req->arena, "r", res->body.data, res->body.len);
    return 0;
}

/* --- restore --- */

/* The change that leads back: all that may be changed at all, as it was. */
static int restore(struct write *w, struct err *err)
{
    struct state it;
    struct req *req = w->req;
    int rc = named_state(req, w->id, &it, err);
    if (rc < 0)
        return rc;
    json_t *body = json_in(req->arena, json_object());
    bool admin = vis_is_admin(&req->who);
    for (const struct field_def *f = w->e->fields; f->name; f++) {
        json_t *old = json_object_get(it.tree, f->name);
        if (old && !(f->flags & (FF_READONLY | FF_CREATE | FF_HIDDEN | FF_SECRET)) &&
            (admin || !(f->flags & FF_ADMIN)))
            json_object_set(body, f->name, old);
    }
    req->body = body;
    w->whole = true;
    return write_patch(w, err);
}

static int revision_restore(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    int rc = write_begin(&w, req, res, ACT_CHANGE, err);
    if (rc >= 0)
        rc = crud_id(req, w.e, &w.id, err);
    return rc < 0 ? rc : write_keyed(&w, restore, err);
}

static const int read_errors[] = { 400, 401, 404, 0 };
static const int restore_errors[] = { 403, 404, 409, 412, 422, 428, 0 };

const struct route *crud_revision_routes(struct arena *a, const struct crud *c)
{
    const struct entity_def *e = c->e;
    struct route *r = arena_alloc(a, 4 * sizeof(*r));
    const char *list = arena_printf(a, "%s/{id}/revisions", e->path);
    const char *one = arena_printf(a, "%s/{rev}", list);
    r[0] = (struct route){ .method = GET,
                           .path = list,
                           .fn = revision_list,
                           .query = list_params,
                           .errors = read_errors,
                           .cost = 2,
                           .flags = ROUTE_LIST | ROUTE_ETAG | ROUTE_NO_BODY,
                           .op_id = arena_printf(a, "list_%s_revisions", e->name),
                           .doc = "List what the row was before each change, the latest first." };
    r[1] = (struct route){ .method = GET,
                           .path = one,
                           .fn = revision_get,
                           .query = get_params,
                           .errors = read_errors,
                           .cost = 2,
                           .flags = ROUTE_ETAG | ROUTE_NO_BODY,
                           .op_id = arena_printf(a, "get_%s_revision", e->name),
                           .doc = "Read or compare a former state of the row." };
    r[2] = (struct route){ .method = POST,
                           .path = arena_printf(a, "%s/restore", one),
                           .fn = revision_restore,
                           .errors = restore_errors,
                           .cost = 5,
                           .flags = ROUTE_NO_BODY | ROUTE_ETAG | ROUTE_IDEMPOTENT | ROUTE_PREFER,
                           .op_id = arena_printf(a, "restore_%s_revision", e->name),
                           .doc = "Make the row what it was: a change like any other." };
    for (size_t i = 0; i < 3; i++) {
        r[i].scope = i == 2 ? e->scope_write : e->scope_read;
        r[i].entity = e;
        r[i].out = i == 2 ? NULL : &shape_revision;
        r[i].ctx = c;
    }
    return r;
}
