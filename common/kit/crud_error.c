/* What a write that did not work means to its caller. */
#include "common/kit/crud_write_int.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/rcache.h"
#include "common/kit/svc.h"

#include <assert.h>

static int run(const struct req *req, const struct db_stmt *s, const struct db_val *v, size_t n,
               struct db_rows **ret, struct err *err)
{
    if (!req->tx)
        return db_query(req->svc->db, req->arena, s, v, n, ret, err);
    return req->tx_bare ? db_exec(req->tx, req->arena, s, v, n, ret, err)
                        : db_try(req->tx, req->arena, s, v, n, ret, err);
}

int crud_query(const struct req *req, const struct db_stmt *s, const struct db_val *v, size_t n,
               struct db_rows **ret, struct err *err)
{
    assert(!(s->flags & DB_WRITE)); /* crud_change_query */
    return run(req, s, v, n, ret, err);
}

/* --- changes, and who has to hear of them --- */

struct change {
    struct rcache *cache;
    const struct entity_def *e;
    const struct db_rows *rows; /* NULL: which ones is not known */
};

void crud_tell_changed(struct rcache *cache, const struct entity_def *e, const struct db_rows *rows)
{
    size_t n = rows ? db_nrows(rows) : 1;
    for (size_t i = 0; i < n; i++)
        rcache_wrote(cache, e, rows ? db_get_i64(rows, i, WR_ID) : 0);
}

static void tell(void *ctx)
{
    const struct change *ch = ctx;
    crud_tell_changed(ch->cache, ch->e, ch->rows);
}

int crud_change_query(const struct req *req, const struct crud *c, const struct db_stmt *s,
                      const struct db_val *v, size_t n, struct db_rows **ret, struct err *err)
{
    struct change ch = { .cache = req->svc->rcache, .e = c->e };
    assert(s->flags & DB_WRITE);
    int rc = run(req, s, v, n, ret, err);
    if (!ch.cache || (rc >= 0 && !db_nrows(*ret)))
        return rc;
    if (rc >= 0)
        ch.rows = *ret;
    if (!req->tx) {
        /* Of what was refused nothing is there.  Of what was not answered something may be. */
        if (rc >= 0 || err_http(err->code) >= 500)
            tell(&ch);
    } else if (rc >= 0) {
        struct change *later = arena_alloc(req->arena, sizeof(*later));
        *later = ch;
        db_tx_then(req->tx, req->arena, tell, later);
    }
    return rc;
}

const char *crud_header(const struct req *req, const char *name)
{
    return req->http ? req_header(req, name) : NULL;
}

bool crud_if_match(const struct req *req, bool *ret_any, int64_t *ret_versions, size_t max,
                   size_t *ret_n)
{
    return req->http && req_if_match_version(req, ret_any, ret_versions, max, ret_n);
}

int crud_no_condition(const struct req *req, struct err *err)
{
    static const char *const names[] = { "If-Match", "If-None-Match", "If-Unmodified-Since" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *s = crud_header(req, names[i]);
        int64_t when;
        bool date = str_eq(names[i], "If-Unmodified-Since");
        if (!s || (date && !http_date_parse(s, &when)) || (!i && str_eq(s, "*")))
            continue;
        return err_at(err, E_invalid, names[i],
                      "%s is for one of the %s; the operations of a bulk have if_match.", names[i],
                      req->route->entity->plural);
    }
    return 0;
}

static int gone(const struct entity_def *e, const char *id, struct err *err)
{
    return err_set(err, E_not_found, "There is no %s %.60s.", e->name, id);
}

static int why_row(struct req *req, const struct crud *c, const char *id, struct db_rows **ret,
                   struct err *err)
{
    enum vis_class vc = vis_class_of(c->e, &req->who);
    struct db_stmt once = { .flags = DB_ONCE };
    const struct db_stmt *s = &once;
    struct db_val v[2] = { db_text(id), req->who.user_id ? db_i64(req->who.user_id) : db_null() };
    if (c->prepared)
        s = &c->reads[vc].why;
    else
        once.sql = sqlgen_why(req->arena, c->e, vc);
    return crud_query(req, s, v, 2, ret, err);
}

static bool precondition_holds(const struct write_cond *c, int64_t version, int64_t updated_s)
{
    for (size_t i = 0; !c->any && i < c->n; i++)
        if (c->versions[i] == version)
            return true;
    return c->any && (!c->timed || updated_s <= c->since_s);
}

int write_explain(struct write *w, bool own_only, bool deleted, struct err *err)
{
    const struct crud *c = w->c;
    struct req *req = w->req;
    const char *id = w->id, *named = w->named ? w->named : w->id;
    const struct entity_def *e = c->e;
    struct db_rows *r;
    int rc = why_row(req, c, id, &r, err);
    if (rc < 0)
        return rc;
    bool own = db_nrows(r) && db_get_bool(r, 0, WHY_OWN);
    if (!db_nrows(r) || (!db_get_bool(r, 0, WHY_VISIBLE) && !own))
        return gone(e, named, err);
    bool is_deleted = db_get_bool(r, 0, WHY_DELETED);
    if (is_deleted && !deleted)
        return gone(e, named, err);
    if (own_only && !own)
        return err_set(err, E_forbidden, "Only the owner or an editor may change this %s.",
                       e->name);
    int64_t version = db_get_i64(r, 0, WHY_VERSION);
    w->seen = version;
    w->res->etag = crud_etag(req->arena, e, vis_class_of(e, &req->who), own, "", version);
    if (!precondition_holds(&w->cond, version, db_get_i64(r, 0, WHY_UPDATED)))
        return err_set(err, E_precondition_failed, "The %s is at version %lld now.", e->name,
                       (long long)version);
    if (deleted)
        return err_set(err, E_conflict, "This %s is not deleted.", e->name);
    return err_set(err, E_conflict, "The %s was changed by somebody else just now.", e->name);
}

int write_none_match(struct write *w, struct err *err)
{
    struct err why = { 0 };
    if (!crud_header(w->req, "If-None-Match"))
        return 0;
    int rc = write_explain(w, w->right == RIGHT_OWN, false, &why);
    if (rc == -E_conflict) /* it is there, and nothing else stands in the way */
        rc = req_precondition(w->req, w->seen, &why);
    if (rc < 0) {
        *err = why;
        return rc;
    }
    w->res->etag = NULL;
    if (w->cond.any) { /* and at another version it might be what must not be */
        w->cond.any = false;
        w->cond.versions[0] = w->seen;
        w->cond.n = 1;
    }
    return 0;
}

/* "posts_author_id_fkey" of table posts -> field author; event_speakers_expert_id_fkey -> speakers.
 */
static const struct field_def *field_of(const struct entity_def *e, const char *constraint)
{
    for (const struct field_def *f = e->fields; f->name; f++) {
        const char *table = e->table;
        char prefix[160];
        if (f->type == F_REFS)
            table = sqlgen_link(e, f)->link;
        snprintf(prefix, sizeof(prefix), "%s_%s%s_", table,
                 f->type == F_REFS ? sqlgen_link(e, f)->far : f->name,
                 f->type == F_REF ? "_id" : "");
        if (str_starts(constraint, prefix))
            return f;
        if (str_eq(constraint, f->name)) /* a not-null violation names the column */
            return f;
    }
    return NULL;
}

int crud_map_error(struct res *res, const struct crud *c, struct shape_row *row, bool purge,
                   struct err *err)
{
    const struct field_def *f = field_of(c->e, err->pointer);
    if (purge && err->code == E_validation)
        return err_set(err, E_conflict, "Other rows refer to this %s; change them first.",
                       c->e->name);
    if (err->code == E_conflict)
        return f ? err_at(err, E_conflict, arena_printf(res->arena, "/%s", f->name),
                          "There is another %s with this %s.", c->e->name, f->name)
                 : err_set(err, E_conflict, "There is another such %s.", c->e->name);
    if (err->code != E_validation || !row)
        return -(int)err->code;
    if (!f)
        return err_set(err, E_validation, "The %s is not valid as a whole.", c->e->name);
    if (str_ends(err->pointer, "_fkey"))
        shape_fault(row, f->name, "reference", "Refers to something that is not there.");
    else
        shape_fault(row, f->name, "mismatch", "Does not fit the other fields.");
    res->faults = row->faults;
    return shape_check(row, err);
}

/* The lowest number that is not taken: title, title-2, title-3 … */
int crud_free_slug(struct req *req, const struct crud *c, const char *base, const char **ret,
                   struct err *err)
{
    struct db_rows *r;
    const char *sql = arena_printf(
        req->arena,
        "SELECT coalesce(max(CASE WHEN t.slug = $1::text THEN 1 ELSE substr(t.slug, "
        "length($1::text) + 2)::bigint END), 0) FROM %s t WHERE t.deleted_at IS NULL AND (t.slug = "
        "$1::text OR (t.slug >= $1::text || '-' AND t.slug < $1::text || '.' AND substr(t.slug, "
        "length($1::text) + 2) ~ '^[1-9][0-9]{0,8}$'))",
        c->e->table);
    struct db_stmt s = { .sql = sql, .flags = DB_ONCE };
    struct db_val v = db_text(base);
    int rc = crud_query(req, &s, &v, 1, &r, err);
    if (rc < 0)
        return rc;
    int64_t n = db_get_i64(r, 0, 0);
    *ret = n ? arena_printf(req->arena, "%s-%lld", base, (long long)n + 1) : base;
    return 0;
}
