/* GET one, GET list, include=. */
#include "common/kit/crud_int.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/svc.h"

#include <assert.h>

enum { schema_version = 1 };

int crud_may_read(const struct req *req, struct err *err)
{
    if (req->who.role != ROLE_NONE || req->svc->conf->public_read)
        return 0;
    return err_set(err, E_unauthorized, "This installation is not open to anonymous readers.");
}

int crud_id(const struct req *req, const struct entity_def *e, const char **ret, struct err *err)
{
    const char *s = req->params[0];
    int64_t id;
    unsigned char raw[16];
    bool ok = e->fields[0].type == F_UUID
                  ? uuid_parse(s, raw)
                  : *s != '0' && str_to_i64(s, 1, (INT64_C(1) << 53) - 1, &id);
    if (!ok)
        return err_set(err, E_not_found, "There is no such %s.", e->name);
    *ret = s;
    return 0;
}

static int missing(const struct entity_def *e, const char *id, struct err *err)
{
    return err_set(err, E_not_found, "There is no %s %.60s.", e->name, id);
}

const char *crud_etag(struct arena *a, const struct entity_def *e, enum vis_class vc, bool own,
                      const char *fields, int64_t version)
{
    char text[128 + query_value_bytes_max];
    int n =
        snprintf(text, sizeof(text), "application/json|%s|identity|%d|%s%s|%s", e->name,
                 schema_version, vis_class_name(vc), own && vis_varies(e, vc) ? "+" : "", fields);
    return arena_printf(a, "\"%lld.%08x\"", (long long)version, crc32_of(text, (size_t)n));
}

const char *crud_location(const struct req *req, const struct entity_def *e, const char *id)
{
    return arena_printf(req->arena, "%s%s/%s", req->svc->conf->public_url, e->path, id);
}

static const char *hash_etag(struct arena *a, const char *first, const void *data, size_t n)
{
    char hex[sha256_hex_len + 1];
    sha256_hex(data, n, hex);
    hex[16] = '\0';
    return arena_printf(a, "\"%s.h%s\"", first, hex);
}

/* --- include --- */

static const int64_t *collect_ids(struct arena *a, const struct db_rows *rows, size_t nrows,
                                  size_t col, bool array, size_t *ret_n)
{
    size_t n = 0, cap = 64;
    int64_t *ids = arena_alloc(a, cap * sizeof(*ids));
    for (size_t i = 0; i < nrows; i++) {
        size_t len;
        const char *p = db_cell(rows, i, col, &len);
        for (p += array && len; len && *p && *p != '}';) {
            char *end;
            long long id = strtoll(p, &end, 10);
            size_t k = 0;
            while (k < n && ids[k] != id)
                k++;
            if (end == p)
                break;
            if (k == n) {
                if (n == cap) {
                    int64_t *more = arena_alloc(a, 2 * cap * sizeof(*more));
                    memcpy(more, ids, n * sizeof(*ids));
                    ids = more;
                    cap *= 2;
                }
                ids[n++] = id;
            }
            p = *end == ',' ? end + 1 : end;
        }
    }
    *ret_n = n;
    return ids;
}

static int include_field(struct req *req, const struct crud *c, const struct field_def *f,
                         const struct rowplan *plan, const struct db_rows *rows, size_t nrows,
                         struct rowinc *ret, struct err *err)
{
    const struct crud *peer = crud_peer(c, req->arena, f->ref);
    enum vis_class vc = vis_class_of(peer->e, &req->who);
    size_t col = 0, n;
    while (col < plan->n && plan->cols[col].f != f)
        col++;
    assert(col < plan->n);
    const int64_t *ids = collect_ids(req->arena, rows, nrows, col, f->type == F_REFS, &n);
    struct db_val v[2];
    size_t nv = 0;
    struct db_rows *got;
    struct rowplan *p = arena_alloc(req->arena, sizeof(*p));
    struct db_stmt once = { .flags = DB_ONCE };
    const struct db_stmt *s = &once;
    if (vis_uses_uid(peer->e, vc))
        v[nv++] = db_i64(req->who.user_id);
    v[nv++] = db_i64s(ids, n);
    if (peer->prepared) {
        s = &peer->reads[vc].by_ids;
        *p = peer->reads[vc].plan;
    } else {
        once.sql = sqlgen_by_ids(req->arena, peer->e, vc, p);
    }
    int rc = db_query(req->svc->db, req->arena, s, v, nv, &got, err);
    if (rc < 0)
        return rc;
    *ret = (struct rowinc){ .name = f->name, .field = f, .plan = p, .rows = got, .parent_col = -1 };
    return 0;
}

static int include_relation(struct req *req, const struct crud *c, const struct relation_def *rel,
                            const struct rowplan *plan, const struct db_rows *rows, size_t nrows,
                            struct rowinc *ret, struct err *err)
{
    const struct entity_def *far = entity_find(rel->ref);
    enum vis_class vc = vis_class_of(far, &req->who);
    size_t n, nv = 0, at = (size_t)(rel - c->e->relations);
    const int64_t *ids = collect_ids(req->arena, rows, nrows, (size_t)plan->id, false, &n);
    struct db_val v[2];
    struct db_rows *got;
    struct rowplan *p = arena_alloc(req->arena, sizeof(*p));
    struct db_stmt once = { .flags = DB_ONCE };
    const struct db_stmt *s = &once;
    if (vis_uses_uid(far, vc))
        v[nv++] = db_i64(req->who.user_id);
    v[nv++] = db_i64s(ids, n);
    if (c->prepared) {
        s = &c->reads[vc].related[at];
        *p = c->reads[vc].related_plan[at];
    } else {
        once.sql = sqlgen_related(req->arena, c->e, rel, vc, p);
    }
    int rc = db_query(req->svc->db, req->arena, s, v, nv, &got, err);
    if (rc < 0)
        return rc;
    *ret = (struct rowinc){
        .name = rel->name, .plan = p, .rows = got, .parent_col = (int)p->n + (p->own >= 0)
    };
    return 0;
}

int crud_includes(struct req *req, const struct crud *c, const struct query *q,
                  const struct rowplan *plan, const struct db_rows *rows, size_t nrows,
                  struct rowinc *ret, struct err *err)
{
    for (size_t i = 0; i < q->nincludes; i++) {
        const struct query_include *inc = &q->includes[i];
        int rc = inc->field ? include_field(req, c, inc->field, plan, rows, nrows, &ret[i], err)
                            : include_relation(req, c, inc->rel, plan, rows, nrows, &ret[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- one --- */

struct one {
    const struct crud *c;
    const char *key; /* id or slug */
    bool by_slug;
    struct query q;
};

static int answer_one(struct req *req, struct res *res, const struct one *o, struct err *err)
{
    const struct entity_def *e = o->c->e;
    enum vis_class vc = vis_class_of(e, &req->who);
    struct db_val v[2];
    size_t nv = 0;
    struct db_rows *rows;
    struct rowplan composed;
    const struct rowplan *plan = &composed;
    struct db_stmt once = { .flags = DB_ONCE };
    const struct db_stmt *s = &once;
    struct rowinc inc[query_includes_max];
    if (vis_uses_uid(e, vc))
        v[nv++] = db_i64(req->who.user_id);
    v[nv++] = db_text(o->key);
    if (o->c->prepared) {
        s = o->by_slug ? &o->c->reads[vc].slug : &o->c->reads[vc].get;
        plan = &o->c->reads[vc].plan;
    } else {
        once.sql = o->by_slug ? sqlgen_get_slug(req->arena, e, vc, &composed)
                              : sqlgen_get(req->arena, e, vc, &composed);
    }
    int rc = crud_query(req, s, v, nv, &rows, err);
    if (rc < 0)
        return rc;
    if (!db_nrows(rows))
        return missing(e, o->key, err);
    rc = crud_includes(req, o->c, &o->q, plan, rows, 1, inc, err);
    if (rc < 0)
        return rc;
    buf_puts(&res->body, "{\"data\":");
    rowjson_put(&res->body, plan, rows, 0, o->q.fields, inc, o->q.nincludes);
    buf_putc(&res->body, '}');
    bool own = plan->own >= 0 && db_get_bool(rows, 0, (size_t)plan->own);
    if (plan->version < 0) {
        res->etag = hash_etag(req->arena, "0", res->body.data, res->body.len);
    } else if (o->q.nincludes || e->unversioned) {
        res->etag = hash_etag(req->arena, db_str(rows, 0, (size_t)plan->version), res->body.data,
                              res->body.len);
    } else {
        res->etag = crud_etag(req->arena, e, vc, own, o->q.fields_text,
                              db_get_i64(rows, 0, (size_t)plan->version));
        if (plan->updated >= 0)
            res->modified_s = rowjson_time_s(db_cell(rows, 0, (size_t)plan->updated, NULL));
    }
    return 0;
}

static int get(struct req *req, struct res *res, bool by_slug, struct err *err)
{
    struct one o = { .c = crud_of(req), .by_slug = by_slug };
    int rc = crud_may_read(req, err);
    if (rc < 0)
        return rc;
    rc = query_parse(req->arena, o.c->e, vis_class_of(o.c->e, &req->who), QUERY_ONE, req->args,
                     req->nargs, &o.q, err);
    if (rc < 0)
        return rc;
    if (by_slug)
        o.key = req->params[0];
    else
        rc = crud_id(req, o.c->e, &o.key, err);
    return rc < 0 ? rc : answer_one(req, res, &o, err);
}

int crud_get(struct req *req, struct res *res, struct err *err)
{
    return get(req, res, false, err);
}

int crud_get_slug(struct req *req, struct res *res, struct err *err)
{
    return get(req, res, true, err);
}

int crud_answer(struct req *req, struct res *res, const struct entity_def *e, const char *id,
                struct err *err)
{
    const struct crud *c = req->route->ctx;
    if (!c || c->e != e) {
        struct crud *made = arena_alloc(req->arena, sizeof(*made));
        made->e = e;
        c = made;
    }
    struct one o = {
        .c = c, .key = id, .q = { .fields = ~(uint64_t)0, .fields_text = "" }
    };
    return answer_one(req, res, &o, err);
}

/* --- list --- */

struct list {
    const struct crud *c;
    enum vis_class vc;
    struct query q;
    const struct rowplan *plan;
    struct sqlgen_text text; /* of a composed one */
    struct db_rows *rows;
    size_t n;      /* rows on the page */
    bool more;     /* there is a next one */
    int64_t total; /* -1: not counted */
};

/* The precomposed statement of the first page, if the query is that. */
static const struct db_stmt *first_page(const struct list *l, bool total)
{
    const struct query *q = &l->q, *own = &l->c->reads[l->vc].query;
    if (!l->c->prepared || q->fields_given || q->offset || q->limit != query_per_page_default ||
        q->nfilters > 1 || q->nsort != own->nsort)
        return NULL;
    for (size_t i = 0; i < q->nsort; i++)
        if (q->sort[i].field != own->sort[i].field || q->sort[i].desc != own->sort[i].desc)
            return NULL;
    bool status = q->nfilters && q->filters[0].field && q->filters[0].op == QOP_EQ &&
                  str_eq(q->filters[0].field->name, "status") &&
                  str_eq(q->filters[0].v[0].text, sqlgen_public_status(l->c->e));
    if (q->nfilters && !status)
        return NULL;
    const struct db_stmt *s = &l->c->reads[l->vc].page[status][total];
    return s->sql ? s : NULL;
}

static int fetch(struct req *req, struct list *l, struct err *err)
{
    const struct entity_def *e = l->c->e;
    bool total =
        l->q.count == COUNT_EXACT && l->c->flags & CRUD_COUNTS && sqlgen_has_total(e, l->vc, &l->q);
    const struct db_stmt *s = first_page(l, total);
    struct db_stmt once = { .flags = DB_ONCE };
    struct db_val v[1];
    size_t nv = 0;
    int rc;
    if (s) {
        l->plan = total ? &l->c->reads[l->vc].plan_total : &l->c->reads[l->vc].plan;
        if (vis_uses_uid(e, l->vc))
            v[nv++] = db_i64(req->who.user_id);
        rc = db_query(req->svc->db, req->arena, s, v, nv, &l->rows, err);
    } else {
        sqlgen_list(req->arena, &(struct sqlgen_who){ e, l->vc, req->who.user_id }, &l->q, total,
                    &l->text);
        l->plan = &l->text.plan;
        once.sql = l->text.sql;
        rc = db_query(req->svc->db, req->arena, &once, l->text.params, l->text.nparams, &l->rows,
                      err);
    }
    if (rc < 0)
        return rc;
    l->n = db_nrows(l->rows);
    l->more = l->n > (size_t)l->q.limit;
    l->n -= l->more;
    l->total = -1;
    return 0;
}

static int count(struct req *req, struct list *l, struct err *err)
{
    if (l->q.count == COUNT_NONE)
        return 0;
    if (!l->more && (l->n || !l->q.offset)) { /* the last page says it itself */
        l->total = l->q.offset + (int64_t)l->n;
        return 0;
    }
    if (l->plan->total >= 0 && l->n) {
        l->total = db_get_i64(l->rows, 0, (size_t)l->plan->total);
        return 0;
    }
    struct sqlgen_text t;
    struct query q = l->q;
    struct db_rows *rows;
    struct arena *a = req->arena;
    sqlgen_count(a, &(struct sqlgen_who){ l->c->e, l->vc, req->who.user_id }, &q,
                 l->c->flags & CRUD_COUNTS, &t);
    struct db_stmt s = { .sql = t.sql, .flags = DB_ONCE };
    int rc = db_query(req->svc->db, a, &s, t.params, t.nparams, &rows, err);
    if (rc < 0)
        return rc;
    l->total = db_get_i64(rows, 0, 0);
    return 0;
}

/* The same list at another place: every parameter as sent but those that page. */
static const char *page_link(const struct req *req, const struct list *l, int64_t offset)
{
    struct buf b;
    const char *sep = "?";
    buf_init(&b, req->arena, 256, 32 * 1024);
    buf_puts(&b, req->svc->conf->public_url);
    buf_puts(&b, l->c->e->path);
    for (size_t i = 0; i < req->nargs; i++) {
        const char *n = req->args[i].name;
        if (str_eq(n, "page") || str_eq(n, "offset"))
            continue;
        buf_puts(&b, sep);
        buf_puts(&b, url_encode(req->arena, n));
        buf_putc(&b, '=');
        buf_puts(&b, url_encode(req->arena, req->args[i].value));
        sep = "&";
    }
    if (l->q.by_offset)
        buf_printf(&b, "%soffset=%lld", sep, (long long)offset);
    else
        buf_printf(&b, "%spage=%lld", sep, (long long)(offset / l->q.limit + 1));
    return b.data;
}

static void put_link(struct res *res, struct buf *header, const char *rel, const char *url)
{
    buf_printf(&res->body, ",\"%s\":", rel);
    if (!url) {
        buf_puts(&res->body, "null");
        return;
    }
    buf_put_json_string(&res->body, url, strlen(url));
    buf_printf(header, "%s<%s>; rel=\"%s\"", header->len ? ", " : "", url, rel);
}

static void put_tail(const struct req *req, struct res *res, const struct list *l)
{
    const struct query *q = &l->q;
    struct buf header;
    buf_init(&header, req->arena, 512, 64 * 1024);
    buf_puts(&res->body, "],\"meta\":{\"total\":");
    if (l->total < 0)
        buf_puts(&res->body, "null");
    else
        buf_put_i64(&res->body, l->total);
    if (q->by_offset)
        buf_printf(&res->body, ",\"limit\":%lld,\"offset\":%lld},\"links\":{", (long long)q->limit,
                   (long long)q->offset);
    else
        buf_printf(&res->body, ",\"page\":%lld,\"per_page\":%lld},\"links\":{", (long long)q->page,
                   (long long)q->limit);
    const char *self = page_link(req, l, q->offset);
    buf_puts(&res->body, "\"self\":");
    buf_put_json_string(&res->body, self, strlen(self));
    int64_t prev = q->offset - q->limit,
            last = l->total > 0 ? (l->total - 1) / q->limit * q->limit : 0;
    if (prev < 0)
        prev = 0;
    if (l->total >= 0 && prev > last) /* behind the end: the way back is the last page */
        prev = last;
    put_link(res, &header, "next", l->more ? page_link(req, l, q->offset + q->limit) : NULL);
    put_link(res, &header, "prev", q->offset ? page_link(req, l, prev) : NULL);
    put_link(res, &header, "first", page_link(req, l, 0));
    put_link(res, &header, "last", l->total >= 0 ? page_link(req, l, last) : NULL);
    buf_puts(&res->body, "}}");
    res->link = header.data;
}

/* Without include a page is told by who asks for what, and the ids and versions of its rows:
 * hashing those instead of 40 KB of text. */
static const char *list_etag(const struct req *req, const struct res *res, const struct list *l)
{
    const struct rowplan *p = l->plan;
    if (l->q.nincludes || p->version < 0 || p->id < 0)
        return hash_etag(req->arena, "l", res->body.data, res->body.len);
    struct buf b;
    buf_init(&b, req->arena, 1024, 64 * 1024);
    buf_printf(&b, "application/json|%d|%s|%s|%lld|%s|%lld|%d", schema_version, l->c->e->name,
               vis_class_name(l->vc),
               vis_uses_uid(l->c->e, l->vc) ? (long long)req->who.user_id : 0LL, req->raw_query,
               (long long)l->total, l->more);
    for (size_t i = 0; i < l->n; i++) {
        buf_putc(&b, '|');
        buf_puts(&b, db_cell(l->rows, i, (size_t)p->id, NULL));
        buf_putc(&b, '.');
        buf_puts(&b, db_cell(l->rows, i, (size_t)p->version, NULL));
    }
    return hash_etag(req->arena, "l", b.data, b.len);
}

int crud_list(struct req *req, struct res *res, struct err *err)
{
    struct list l = { .c = crud_of(req) };
    struct rowinc inc[query_includes_max];
    l.vc = vis_class_of(l.c->e, &req->who);
    int rc = crud_may_read(req, err);
    if (rc >= 0)
        rc = query_parse(req->arena, l.c->e, l.vc, QUERY_LIST, req->args, req->nargs, &l.q, err);
    if (rc >= 0)
        rc = fetch(req, &l, err);
    if (rc >= 0)
        rc = count(req, &l, err);
    if (rc >= 0)
        rc = crud_includes(req, l.c, &l.q, l.plan, l.rows, l.n, inc, err);
    if (rc < 0)
        return rc;
    (void)buf_room(&res->body, db_rows_bytes(l.rows)); /* grown once, not by doubling */
    buf_puts(&res->body, "{\"data\":[");
    for (size_t i = 0; i < l.n; i++) {
        if (i)
            buf_putc(&res->body, ',');
        rowjson_put(&res->body, l.plan, l.rows, i, l.q.fields, inc, l.q.nincludes);
    }
    put_tail(req, res, &l);
    res->etag = list_etag(req, res, &l);
    return 0;
}
