/* GET one. */
#include "common/kit/crud_int.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/rcache.h"
#include "common/kit/svc.h"

#include <assert.h>

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
    struct buf b;
    buf_init(&b, a, 192, 192 + query_value_bytes_max);
    buf_puts(&b, "application/json|");
    buf_puts(&b, e->name);
    buf_puts(&b, "|identity|");
    buf_put_i64(&b, crud_schema_version);
    buf_putc(&b, '|');
    buf_puts(&b, vis_class_name(vc));
    buf_puts(&b, own && vis_varies(e, vc) ? "+|" : "|");
    buf_puts(&b, fields);
    uint32_t sum = crc32_of(b.data, b.len);
    buf_reset(&b);
    buf_putc(&b, '"');
    buf_put_i64(&b, version);
    buf_putc(&b, '.');
    for (int shift = 28; shift >= 0; shift -= 4)
        buf_putc(&b, "0123456789abcdef"[sum >> shift & 15]);
    buf_putc(&b, '"');
    return b.data;
}

const char *crud_location(const struct req *req, const struct entity_def *e, const char *id)
{
    return arena_printf(req->arena, "%s/%s", req_url(req, e->path), id);
}

const char *crud_hash_etag(struct arena *a, const char *first, const void *data, size_t n)
{
    char hex[sha256_hex_len + 1];
    sha256_hex(data, n, hex);
    hex[16] = '\0';
    return arena_printf(a, "\"%s.h%s\"", first, hex);
}

/* A row is in one language, and says which; there is nothing to negotiate (RFC 9110 §8.5). */
static void tell_language(struct res *res, const struct rowplan *plan, const struct db_rows *rows)
{
    for (size_t i = 0; i < plan->n; i++) {
        const struct field_def *f = plan->cols[i].f;
        if (!f || f->format != FMT_LANGUAGE || f->type != F_TEXT || !str_eq(f->name, "language"))
            continue;
        const char *language = db_str(rows, 0, i);
        if (language && *language)
            res_header(res, "Content-Language", language);
        return;
    }
}

/* --- one --- */

struct one {
    const struct crud *c;
    const char *key; /* id or slug */
    bool by_slug;
    struct query q;
};

static const char *narrowed(struct arena *a, const char *sql, const struct query_within *within,
                            unsigned first)
{
    struct buf b;
    buf_init(&b, a, strlen(sql) + 256, sqlgen_text_max);
    buf_puts(&b, sql);
    sqlgen_put_marked(&b, within->where, first);
    assert(!b.overflow);
    return b.data;
}

static int answer_one(struct req *req, struct res *res, const struct one *o, struct err *err)
{
    const struct entity_def *e = o->c->e;
    enum vis_class vc = vis_class_of(e, &req->who);
    const struct query_within *within = &o->q.within;
    struct db_val v[2 + query_within_values_max];
    size_t nv = 0;
    struct db_rows *rows;
    struct rowplan composed;
    const struct rowplan *plan = &composed;
    struct db_stmt once = { .flags = DB_ONCE };
    const struct db_stmt *s = &once;
    struct crud_incs inc;
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
    if (within->where) {
        assert(s == &once);
        once.sql = narrowed(req->arena, once.sql, within, (unsigned)nv + 1);
        memcpy(&v[nv], within->v, within->n * sizeof *v);
        nv += within->n;
    }
    int rc = crud_query(req, s, v, nv, &rows, err);
    if (rc < 0)
        return rc;
    if (!db_nrows(rows))
        return missing(e, o->key, err);
    if (req->made && plan->id >= 0)
        rcache_made_of_row(req->made, e, vc, db_get_i64(rows, 0, (size_t)plan->id));
    crud_made_of(req, &o->q);
    rc = crud_includes(req, o->c, &o->q, plan, rows, 1, &inc, err);
    if (rc < 0)
        return rc;
    buf_puts(&res->body, o->q.bare ? "" : "{\"data\":");
    rowjson_put(&res->body, plan, rows, 0, o->q.fields, inc.list, inc.n);
    buf_puts(&res->body, o->q.bare ? "" : "}");
    tell_language(res, plan, rows);
    bool own = plan->own >= 0 && db_get_bool(rows, 0, (size_t)plan->own);
    if (plan->version < 0) {
        res->etag = crud_hash_etag(req->arena, "0", res->body.data, res->body.len);
    } else if (o->q.nincludes || e->unversioned) {
        res->etag = crud_hash_etag(req->arena, db_str(rows, 0, (size_t)plan->version),
                                   res->body.data, res->body.len);
    } else {
        const char *shown = o->q.fields_text;
        if (o->q.bare)
            shown = arena_printf(req->arena, "%s|bare", shown);
        res->etag =
            crud_etag(req->arena, e, vc, own, shown, db_get_i64(rows, 0, (size_t)plan->version));
        if (plan->updated >= 0)
            res->modified_s = rowjson_time_s(db_cell(rows, 0, (size_t)plan->updated, NULL));
    }
    return 0;
}

static int get(struct req *req, struct res *res, bool by_slug, const struct query_within *within,
               struct err *err)
{
    struct one o = { .c = crud_of(req), .by_slug = by_slug };
    int rc = crud_may_read(req, err);
    if (rc < 0)
        return rc;
    rc = query_parse(req->arena, o.c->e, &req->who, QUERY_ONE, req->args, req->nargs, &o.q, err);
    if (rc < 0)
        return rc;
    if (within)
        o.q.within = *within;
    if (by_slug)
        o.key = req->params[0];
    else
        rc = crud_id(req, o.c->e, &o.key, err);
    return rc < 0 ? rc : answer_one(req, res, &o, err);
}

int crud_get(struct req *req, struct res *res, struct err *err)
{
    return get(req, res, false, NULL, err);
}

int crud_get_slug(struct req *req, struct res *res, struct err *err)
{
    return get(req, res, true, NULL, err);
}

int crud_get_within(struct req *req, struct res *res, const struct query_within *within,
                    struct err *err)
{
    return get(req, res, false, within, err);
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
