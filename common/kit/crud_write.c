/* POST, PATCH, PUT, DELETE, restore: one statement each (rulings.md 6). */
#include "common/kit/crud_int.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/outbox.h"
#include "common/kit/svc.h"

#include <assert.h>

enum { slug_tries_max = 6, slug_counted_tries = 2, slug_bytes_max = 80, merge_tries_max = 5 };

struct write {
    struct req *req;
    struct res *res;
    const struct crud *c;
    const struct entity_def *e;
    const char *id; /* NULL: create */
    enum vis_right right;
    struct shape_row row;
    uint64_t mask;
    struct idem idem;
    int64_t versions[32]; /* If-Match */
    size_t nversions;
    bool any_version;
    struct db_rows *rows;
    const char *actor; /* NULL: the principal */
};

static int begin(struct write *w, struct req *req, struct res *res, enum vis_action act,
                 struct err *err)
{
    *w = (struct write){ .req = req, .res = res, .c = crud_of(req), .any_version = true };
    w->e = w->c->e;
    assert(w->c->prepared && w->c->write[SQL_INSERT].sql);
    w->right = vis_right_of(w->e, &req->who, act);
    if (w->right == RIGHT_NONE)
        return err_set(err, E_forbidden, "Your role and scopes do not allow this on %s.",
                       w->e->plural);
    bool any = false;
    if (crud_if_match(req, &any, w->versions, ARRAY_LEN(w->versions), &w->nversions))
        w->any_version = any;
    return 0;
}

static int need_body(const struct req *req, struct err *err)
{
    return req->body ? 0 : err_set(err, E_invalid_json, "A JSON object is needed as the body.");
}

/* trace, request id, actor, ids for as many events as there can be */
static size_t put_common(const struct write *w, struct db_val *v)
{
    struct arena *a = w->req->arena;
    const char **ids = arena_alloc(a, sqlgen_events_max * sizeof(*ids));
    for (size_t i = 0; i < sqlgen_events_max; i++) {
        char *id = arena_alloc(a, uuid_len + 1);
        uuid7(id);
        ids[i] = id;
    }
    v[0] = db_text(w->req->traceparent);
    v[1] = db_text(w->req->request_id);
    v[2] = w->actor ? db_text(w->actor)
                    : db_text(arena_printf(a, "user:%lld key:%lld", (long long)w->req->who.user_id,
                                           (long long)w->req->who.key_id));
    v[3] = db_texts(ids, sqlgen_events_max);
    return WP_EVENTS;
}

/* id, owner, versions, unmodified since */
static size_t put_target(const struct write *w, struct db_val *v)
{
    const char *since = crud_header(w->req, "If-Unmodified-Since");
    int64_t s;
    size_t n = put_common(w, v);
    v[n++] = db_text(w->id);
    v[n++] = w->right == RIGHT_ALL ? db_null() : db_i64(w->req->who.user_id);
    v[n++] = w->any_version ? db_null() : db_i64s(w->versions, w->nversions);
    v[n] = db_null();
    if (since && w->any_version && !crud_header(w->req, "If-Match") && http_date_parse(since, &s)) {
        char *text = arena_alloc(w->req->arena, rfc3339_len + 1);
        rfc3339_format(s * 1000000, text);
        v[n] = db_text(text);
    }
    return n + 1;
}

static size_t put_inputs(const struct write *w, struct db_val *v, size_t n)
{
    for (size_t i = 0; i < w->row.n; i++)
        if (sqlgen_is_input(w->e, &w->row.fields[i])) {
            assert(n < sqlgen_params_max);
            v[n++] = w->row.val[i];
        }
    return n;
}

/* The answer of a write that did something, and those who want to know of it. */
static int finish(struct write *w, bool with_body, struct err *err)
{
    struct req *req = w->req;
    size_t len;
    const char *id = db_str(w->rows, 0, WR_ID);
    enum vis_class vc = vis_class_of(w->e, &req->who);
    bool own = vis_varies(w->e, vc) && db_get_i64(w->rows, 0, WR_OWNER) == req->who.user_id;
    if (req->svc->outbox && w->e->events)
        outbox_wake(req->svc->outbox);
    if (w->c->hooks && w->c->hooks->after_write)
        w->c->hooks->after_write(req, db_get_i64(w->rows, 0, WR_ID));
    if (!w->id)
        w->res->location = crud_location(req, w->e, id);
    if (!with_body)
        return 0;
    if (vis_varies(w->e, vc) &&
        !own) /* the statement's text has fields that are not for this writer */
        return crud_answer(req, w->res, w->e, id, err);
    const char *body = db_cell(w->rows, 0, WR_BODY, &len);
    buf_put(&w->res->body, body, len);
    w->res->etag = crud_etag(req->arena, w->e, vc, own, "", db_get_i64(w->rows, 0, WR_VERSION));
    w->res->modified_s = db_get_i64(w->rows, 0, WR_UPDATED);
    return 0;
}

/* --- rules that the field table cannot say --- */

/* Whose row it is: authors make and keep their own, others choose. */
static void check_owner(struct write *w)
{
    const struct field_def *f = w->e->owner ? entity_field(w->e, w->e->owner) : NULL;
    int64_t uid = w->req->who.user_id;
    if (!f || f->type != F_REF)
        return;
    bool given = shape_given(&w->row, f->name);
    if (!w->id && (!given || f->flags & FF_READONLY)) {
        if (uid)
            shape_set(&w->row, f->name, db_i64(uid));
        return;
    }
    if (given && w->right == RIGHT_OWN && shape_i64(&w->row, f->name) != uid)
        shape_fault(&w->row, f->name, "not_allowed", "Only editors may set another owner.");
}

/* On create everything is known here; a change is checked by its statement. */
static void check_schedule(struct write *w)
{
    if (w->id || w->e->lifecycle != LIFE_PUBLISH || !entity_field(w->e, "published_at"))
        return;
    const char *status = shape_text(&w->row, "status"), *at = shape_text(&w->row, "published_at");
    int64_t us;
    if (str_eq(status, "scheduled") && (!at || !rfc3339_parse(at, &us) || us <= clock_us()))
        shape_fault(&w->row, "published_at", "min",
                    "Must be a time to come when the status is scheduled.");
}

static int check(struct write *w, struct err *err)
{
    check_owner(w);
    check_schedule(w);
    if (w->c->hooks && w->c->hooks->before_write) {
        int64_t id = 0;
        bool ok = !w->id || str_to_i64(w->id, 1, INT64_MAX, &id);
        assert(ok);
        (void)ok;
        int rc = w->c->hooks->before_write(w->req, id, &w->row, err);
        if (rc < 0)
            return rc;
    }
    w->res->faults = w->row.faults;
    return shape_check(&w->row, err);
}

/* --- create --- */

static int insert(struct write *w, struct err *err)
{
    struct db_val v[sqlgen_params_max];
    size_t n = put_common(w, v);
    if (w->idem.used) {
        v[n++] = db_text(w->idem.owner);
        v[n++] = db_text(w->idem.key_hash);
        v[n++] = db_text(w->idem.fingerprint);
        v[n++] = db_i64(w->idem.lock);
        v[n++] = db_text(crud_location(w->req, w->e, ""));
    }
    n = put_inputs(w, v, n);
    const struct db_stmt *s = &w->c->write[w->idem.used ? SQL_INSERT_IDEM : SQL_INSERT];
    return crud_query(w->req, s, v, n, &w->rows, err);
}

/* Inserts; a slug of our own making moves on to the next free number when it is taken. */
static int insert_free(struct write *w, const char *base, struct err *err)
{
    char clash[128];
    snprintf(clash, sizeof(clash), "%s_slug_key", w->e->table);
    for (int i = 0;; i++) {
        int rc = insert(w, err);
        if (rc != -E_conflict || !base || !str_eq(err->pointer, clash) || i == slug_tries_max)
            return rc;
        const char *slug;
        if (i < slug_counted_tries) {
            rc = crud_free_slug(w->req, w->c, base, &slug, err);
            if (rc < 0)
                return rc;
        } else { /* many are counting at once: leave the race */
            slug = arena_printf(w->req->arena, "%s-x%08llx", base,
                                (unsigned long long)random_below(UINT64_C(1) << 32));
        }
        shape_set(&w->row, "slug", db_text(slug));
    }
}

/* A statement that wrote nothing: was it for what it refers to?  Then that is said, else 0. */
static int check_refs(struct write *w, struct err *err)
{
    struct db_val v[sqlgen_params_max] = { db_text(w->id) };
    struct db_rows *r;
    size_t n = 1;
    if (!w->c->dead_refs.sql)
        return 0;
    for (size_t i = 0; i < w->row.n; i++)
        if (sqlgen_deletable(w->e, &w->row.fields[i]))
            v[n++] = !w->id || w->mask >> i & 1 ? w->row.val[i] : db_null();
    int rc = crud_query(w->req, &w->c->dead_refs, v, n, &r, err);
    if (rc < 0 || !db_nrows(r))
        return rc;
    for (size_t i = 0; i < db_nrows(r); i++) {
        const struct field_def *f = &w->row.fields[db_get_i64(r, i, 0)];
        const char *at = f->type == F_REF ? arena_printf(w->req->arena, "/%s", f->name)
                                          : arena_printf(w->req->arena, "/%s/%lld", f->name,
                                                         (long long)db_get_i64(r, i, 1));
        err_list_add(w->row.faults, at, "reference", "Refers to something that is not there.");
    }
    w->res->faults = w->row.faults;
    return shape_check(&w->row, err);
}

/* Nothing was inserted: it was done before, is being done, or refers to what is not there. */
static int not_made(struct write *w, struct err *err)
{
    if (w->idem.used) {
        int rc = idem_replay(w->req, &w->idem, w->res, err);
        struct err why = { 0 };
        if (rc != -E_idempotency_in_flight || !check_refs(w, &why))
            return rc;
        *err = why;
        return -(int)why.code;
    }
    int rc = check_refs(w, err);
    return rc ? rc
              : err_set(err, E_conflict, "What the %s refers to was changed just now.", w->e->name);
}

static int create(struct write *w, struct err *err)
{
    const char *base = NULL;
    idem_init(&w->idem, w->req, 0);
    if (crud_has_slug(w->e) && !shape_text(&w->row, "slug")) {
        const char *from = shape_text(&w->row, w->e->slug_from);
        base = from ? str_slug(w->req->arena, from, slug_bytes_max) : "";
        if (!*base)
            base = w->e->name;
        shape_set(&w->row, "slug", db_text(base));
    }
    int rc = check(w, err);
    if (rc < 0)
        return rc;
    rc = insert_free(w, base, err);
    if (w->idem.used && rc == -E_conflict && str_eq(err->pointer, "idempotency_pkey"))
        return idem_replay(w->req, &w->idem, w->res, err);
    if (rc >= 0 && !db_nrows(w->rows))
        return not_made(w, err);
    if (rc < 0)
        return crud_map_error(w->res, w->c, &w->row, false, err);
    w->res->status = 201;
    return finish(w, true, err);
}

int crud_create(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    int rc = begin(&w, req, res, ACT_CREATE, err);
    if (rc >= 0)
        rc = need_body(req, err);
    if (rc < 0)
        return rc;
    shape_read(req->arena, w.e->fields, SHAPE_CREATE, vis_is_admin(&req->who), req->body, &w.row);
    return create(&w, err);
}

/* --- change --- */

static int no_row(struct write *w, struct err *err)
{
    int rc = crud_explain(w->req, w->res, w->c, w->id, w->right == RIGHT_OWN, false, err);
    if (rc != -E_conflict || !w->mask)
        return rc;
    struct err why = { 0 };
    if (check_refs(w, &why)) {
        *err = why;
        return -(int)why.code;
    }
    if (w->e->lifecycle != LIFE_PUBLISH || !entity_field(w->e, "published_at"))
        return rc;
    /* Nothing else stands in its way: it would be scheduled for a time that is past, or for none.
     */
    if (shape_given(&w->row, "status") ? !str_eq(shape_text(&w->row, "status"), "scheduled")
                                       : !shape_given(&w->row, "published_at"))
        return rc;
    shape_fault(&w->row, "published_at", "min",
                "Must be a time to come when the status is scheduled.");
    w->res->faults = w->row.faults;
    return shape_check(&w->row, err);
}

static int update(struct write *w, struct err *err)
{
    struct db_val v[sqlgen_params_max];
    size_t n = put_target(w, v);
    v[n++] = db_i64((int64_t)w->mask);
    n = put_inputs(w, v, n);
    int rc = crud_query(w->req, &w->c->write[SQL_UPDATE], v, n, &w->rows, err);
    if (rc < 0)
        return crud_map_error(w->res, w->c, &w->row, false, err);
    if (!db_nrows(w->rows))
        return no_row(w, err);
    return finish(w, true, err);
}

/* F_JSON fields hold a merge patch (RFC 7396): they are merged with what is stored, and the version
 * read with it must still be there when the row is written. */
static bool needs_merge(const struct write *w)
{
    for (size_t i = 0; i < w->row.n; i++)
        if (w->row.fields[i].type == F_JSON && w->mask >> i & 1 &&
            json_is_object(json_object_get(w->req->body, w->row.fields[i].name)))
            return true;
    return false;
}

static int merge(struct write *w, int64_t *ret_version, struct err *err)
{
    struct buf b;
    struct arena *a = w->req->arena;
    struct db_rows *r;
    buf_init(&b, a, 256, 4096);
    buf_puts(&b, "SELECT t.version");
    for (size_t i = 0; i < w->row.n; i++)
        if (w->row.fields[i].type == F_JSON)
            buf_printf(&b, ", t.%s::text", w->row.fields[i].name);
    buf_printf(&b, " FROM %s t WHERE t.id = $1::%s", w->e->table, sqlgen_type(&w->e->fields[0]));
    struct db_stmt s = { .sql = b.data, .flags = DB_ONCE };
    struct db_val id = db_text(w->id);
    int rc = crud_query(w->req, &s, &id, 1, &r, err);
    if (rc < 0)
        return rc;
    *ret_version = db_nrows(r) ? db_get_i64(r, 0, 0) : 0;
    size_t col = 1;
    for (size_t i = 0; db_nrows(r) && i < w->row.n; i++) {
        const struct field_def *f = &w->row.fields[i];
        if (f->type != F_JSON)
            continue;
        const json_t *patch = json_object_get(w->req->body, f->name);
        size_t len;
        const char *old = db_cell(r, 0, col++, &len);
        if (!(w->mask >> i & 1) || !json_is_object(patch))
            continue;
        json_t *tree = json_in(a, json_loadb(old, len, JSON_DECODE_ANY, NULL));
        json_t *merged = json_in(a, json_merge_patch(tree, patch));
        w->row.val[i] = db_text(json_text(a, merged));
        if (f->max && strlen(w->row.val[i].text) > (size_t)f->max)
            shape_fault(&w->row, f->name, "max_length", "Is too large when merged.");
    }
    w->res->faults = w->row.faults;
    return shape_check(&w->row, err);
}

static int update_merged(struct write *w, struct err *err)
{
    bool any = w->any_version;
    for (int i = 0;; i++) {
        int64_t version;
        int rc = merge(w, &version, err);
        if (rc < 0)
            return rc;
        bool asked = any;
        for (size_t k = 0; !any && k < w->nversions; k++)
            asked |= w->versions[k] == version;
        if (asked) {
            w->any_version = false;
            w->versions[0] = version;
            w->nversions = 1;
        }
        rc = update(w, err);
        if (rc != -E_conflict || !any || i == merge_tries_max || db_nrows(w->rows))
            return rc;
    }
}

static uint64_t writable_mask(const struct write *w, uint64_t wanted)
{
    uint64_t m = 0;
    for (size_t i = 0; i < w->row.n; i++)
        if (wanted >> i & 1 && sqlgen_is_input(w->e, &w->row.fields[i]))
            m |= UINT64_C(1) << i;
    return m;
}

static int patch(struct write *w, struct err *err)
{
    shape_read(w->req->arena, w->e->fields, SHAPE_PATCH, vis_is_admin(&w->req->who), w->req->body,
               &w->row);
    int rc = check(w, err);
    if (rc < 0)
        return rc;
    w->mask = writable_mask(w, w->row.given);
    return needs_merge(w) ? update_merged(w, err) : update(w, err);
}

int crud_patch(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    int rc = begin(&w, req, res, ACT_CHANGE, err);
    if (rc >= 0)
        rc = need_body(req, err);
    if (rc >= 0)
        rc = crud_id(req, w.e, &w.id, err);
    return rc < 0 ? rc : patch(&w, err);
}

/* Absent fields become defaults; but not the slug and the owner, which name the row, nor what may
 * be written by others only. */
static uint64_t replace_mask(const struct write *w)
{
    uint64_t m = 0;
    bool admin = vis_is_admin(&w->req->who);
    for (size_t i = 0; i < w->row.n; i++) {
        const struct field_def *f = &w->row.fields[i];
        bool keep = f->flags & (FF_READONLY | FF_CREATE) || (f->flags & FF_ADMIN && !admin) ||
                    str_eq(f->name, "slug") || (w->e->owner && str_eq(f->name, w->e->owner));
        if (!keep || w->row.given >> i & 1)
            m |= UINT64_C(1) << i;
    }
    return writable_mask(w, m);
}

static bool none_match_any(const struct req *req)
{
    return str_eq(crud_header(req, "If-None-Match"), "*");
}

/* The id behind slug:…, or NULL. */
static int find_slug(struct write *w, const char *slug, struct err *err)
{
    struct db_rows *r;
    struct db_stmt s = {
        .flags = DB_ONCE,
        .sql = arena_printf(
            w->req->arena, "SELECT t.id FROM %s t WHERE t.deleted_at IS NULL AND t.slug = $1::text",
            w->e->table)
    };
    struct db_val v = db_text(slug);
    int rc = crud_query(w->req, &s, &v, 1, &r, err);
    if (rc >= 0)
        w->id = db_nrows(r) ? arena_strdup(w->req->arena, db_str(r, 0, 0)) : NULL;
    return rc;
}

static int replace(struct write *w, struct err *err)
{
    shape_read(w->req->arena, w->e->fields, SHAPE_REPLACE, vis_is_admin(&w->req->who), w->req->body,
               &w->row);
    int rc = check(w, err);
    if (rc < 0)
        return rc;
    w->mask = replace_mask(w);
    return update(w, err);
}

static int upsert(struct write *w, const char *slug, struct err *err)
{
    const char *why;
    if (!shape_format_ok(FMT_SLUG, slug, &why))
        return err_at(err, E_validation, "/slug", "The slug must be %s.", why);
    json_t *body = json_in(w->req->arena, json_deep_copy(w->req->body));
    const char *other = json_string_value(json_object_get(body, "slug"));
    if (json_is_object(body) && !other)
        json_object_set_new(body, "slug", json_string(slug));
    w->req->body = body;
    for (int i = 0;; i++) {
        int rc = find_slug(w, slug, err);
        if (rc < 0)
            return rc;
        if (w->id) {
            if (none_match_any(w->req))
                return err_set(err, E_precondition_failed, "There is a %s with this slug.",
                               w->e->name);
            return replace(w, err);
        }
        if (!w->any_version || crud_header(w->req, "If-Match"))
            return err_set(err, E_precondition_failed, "There is no %s with this slug.",
                           w->e->name);
        w->right = vis_right_of(w->e, &w->req->who, ACT_CREATE);
        if (w->right == RIGHT_NONE)
            return err_set(err, E_forbidden, "Your role and scopes do not allow this on %s.",
                           w->e->plural);
        shape_read(w->req->arena, w->e->fields, SHAPE_CREATE, vis_is_admin(&w->req->who), body,
                   &w->row);
        rc = create(w, err);
        /* Somebody made it in between: replace his, unless that is what must not be. */
        if (rc != -E_conflict || other || i == merge_tries_max)
            return rc;
    }
}

int crud_put(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    int rc = begin(&w, req, res, ACT_CHANGE, err);
    if (rc >= 0)
        rc = need_body(req, err);
    if (rc < 0)
        return rc;
    rc = crud_id(req, w.e, &w.id, err);
    if (rc < 0)
        return rc;
    if (none_match_any(req)) {
        rc = crud_explain(req, res, w.c, w.id, false, false, err);
        return rc == -E_conflict
                   ? err_set(err, E_precondition_failed, "There is a %s %s.", w.e->name, w.id)
                   : rc;
    }
    return replace(&w, err);
}

int crud_put_slug(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    int rc = begin(&w, req, res, ACT_CHANGE, err);
    if (rc >= 0)
        rc = need_body(req, err);
    return rc < 0 ? rc : upsert(&w, req->params[0], err);
}

/* --- delete, restore --- */

static int run_target(struct write *w, enum sqlgen_write what, struct err *err)
{
    struct db_val v[sqlgen_params_max];
    size_t n = put_target(w, v);
    int rc = crud_query(w->req, &w->c->write[what], v, n, &w->rows, err);
    if (rc < 0)
        return crud_map_error(w->res, w->c, NULL, what == SQL_PURGE || !w->e->soft_delete, err);
    if (!db_nrows(w->rows))
        return crud_explain(w->req, w->res, w->c, w->id, w->right == RIGHT_OWN,
                            what == SQL_RESTORE || what == SQL_PURGE, err);
    return finish(w, what == SQL_RESTORE, err);
}

int crud_delete(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    bool purge = false;
    const char *arg = req_arg(req, "purge");
    if (arg && !str_to_bool(arg, &purge))
        return err_at(err, E_invalid_parameter, "purge", "purge must be true or false.");
    int rc = begin(&w, req, res, purge ? ACT_PURGE : ACT_DELETE, err);
    if (rc >= 0)
        rc = crud_id(req, w.e, &w.id, err);
    if (rc < 0)
        return rc;
    rc = run_target(&w, purge && w.e->soft_delete ? SQL_PURGE : SQL_DELETE, err);
    if (rc >= 0)
        res->status = 204;
    return rc;
}

int crud_restore(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    int rc = begin(&w, req, res, ACT_DELETE, err);
    if (rc >= 0)
        rc = crud_id(req, w.e, &w.id, err);
    return rc < 0 ? rc : run_target(&w, SQL_RESTORE, err);
}

/* --- the program's own changes --- */

int crud_apply(struct svc *svc, struct arena *a, const struct crud *c,
               const struct crud_change *change, int64_t *ret_id, struct err *err)
{
    struct route route = { .entity = c->e, .ctx = c };
    struct req req = {
        .svc = svc,
        .arena = a,
        .route = &route,
        .body = change->body,
        .who = { .role = ROLE_ADMIN, .scopes = scope_expand((scope_set)1 << S_api_admin) }
    };
    struct res res = { .arena = a };
    struct write w;
    buf_init(&res.body, a, 4096, 16 * 1024 * 1024);
    int rc = begin(&w, &req, &res, change->id ? ACT_CHANGE : ACT_CREATE, err);
    if (rc < 0)
        return rc;
    w.actor = change->actor;
    if (change->version) {
        w.any_version = false;
        w.versions[w.nversions++] = change->version;
    }
    if (change->id) {
        w.id = arena_printf(a, "%lld", (long long)change->id);
        rc = patch(&w, err);
    } else {
        shape_read(a, c->e->fields, SHAPE_CREATE, true, change->body, &w.row);
        rc = create(&w, err);
    }
    if (rc >= 0)
        *ret_id = db_get_i64(w.rows, 0, WR_ID);
    return rc;
}
