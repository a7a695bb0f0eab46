/* POST, PATCH, PUT, DELETE, restore: one statement each (rulings.md 6). */
#include "common/kit/crud_write_int.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/outbox.h"
#include "common/kit/svc.h"

#include <assert.h>

enum { slug_tries_max = 6, slug_counted_tries = 2, slug_bytes_max = 80 };

int write_init(struct write *w, struct req *req, struct res *res, enum vis_action act,
               struct err *err)
{
    *w = (struct write){ .req = req, .res = res, .c = crud_of(req), .cond = { .any = true } };
    w->e = w->c->e;
    assert(w->c->prepared && w->c->write[SQL_INSERT].sql);
    w->right = vis_right_of(w->e, &req->who, act);
    if (w->right == RIGHT_NONE)
        return err_set(err, E_forbidden, "Your role and scopes do not allow this on %s.",
                       w->e->plural);
    return 0;
}

static void read_cond(struct write *w)
{
    struct write_cond *c = &w->cond;
    const char *since = crud_header(w->req, "If-Unmodified-Since");
    bool any = false;
    w->none_match = str_eq(crud_header(w->req, "If-None-Match"), "*");
    c->given = crud_if_match(w->req, &any, c->versions, ARRAY_LEN(c->versions), &c->n);
    if (c->given)
        c->any = any;
    else if (since && http_date_parse(since, &c->since_s))
        c->given = c->timed = true;
}

static int read_prefer(struct write *w, struct err *err)
{
    const struct route *r = w->req->route;
    bool heard = !r->version || r->flags & ROUTE_PREFER;
    const char *header = heard ? crud_header(w->req, "Prefer") : NULL;
    if (!header)
        return 0;
    prefer_parse(w->req->arena, header, &w->prefer);
    if (w->prefer.strict && w->prefer.unknown)
        return err_at(err, E_invalid, "Prefer", "The preference %.60s is not known here.",
                      w->prefer.unknown);
    return 0;
}

int write_need_cond(const struct write *w, struct err *err)
{
    if (!w->c->need_cond || !*w->c->need_cond || w->cond.given || w->none_match)
        return 0;
    return err_set(err, E_precondition_required,
                   "Send If-Match with the ETag of the %s that you read.", w->e->name);
}

int write_begin(struct write *w, struct req *req, struct res *res, enum vis_action act,
                struct err *err)
{
    int rc = write_init(w, req, res, act, err);
    if (rc < 0 || !req->http)
        return rc;
    read_cond(w);
    rc = read_prefer(w, err);
    return rc < 0 || act == ACT_CREATE ? rc : write_need_cond(w, err);
}

int write_need_body(const struct req *req, struct err *err)
{
    return req->body ? 0 : err_set(err, E_invalid_json, "A JSON object is needed as the body.");
}

/* trace, request id, actor, ids for as many events as there can be */
static size_t put_common(const struct write *w, struct db_val *v)
{
    struct arena *a = w->req->arena;
    size_t n = w->id ? sqlgen_events_max : sqlgen_events_new;
    const char **ids = arena_alloc(a, n * sizeof(*ids));
    for (size_t i = 0; i < n; i++) {
        char *id = arena_alloc(a, uuid_len + 1);
        uuid7(id);
        ids[i] = id;
    }
    v[0] = db_text(w->req->traceparent);
    v[1] = db_text(w->req->request_id);
    v[2] = w->actor ? db_text(w->actor)
                    : db_text(arena_printf(a, "user:%lld key:%lld", (long long)w->req->who.user_id,
                                           (long long)w->req->who.key_id));
    v[3] = db_texts(ids, n);
    return WP_EVENTS;
}

/* id, owner, versions, unmodified since */
static size_t put_target(const struct write *w, struct db_val *v)
{
    const struct write_cond *c = &w->cond;
    size_t n = put_common(w, v);
    v[n++] = db_text(w->id);
    v[n++] = w->right == RIGHT_ALL ? db_null() : db_i64(w->req->who.user_id);
    v[n++] = c->any ? db_null() : db_i64s(c->versions, c->n);
    v[n] = db_null();
    if (c->timed) {
        char *text = arena_alloc(w->req->arena, rfc3339_len + 1);
        rfc3339_format(c->since_s * 1000000, text);
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

void write_tell(const struct req *req, const struct crud *c, int64_t id)
{
    if (req->svc->outbox && c->e->events)
        outbox_wake(req->svc->outbox);
    if (id && c->hooks && c->hooks->after_write)
        c->hooks->after_write((struct req *)(uintptr_t)req, id);
}

/* Prefer: return=…; true if the client wants no body. */
static bool prefers_nothing(const struct write *w)
{
    static const char *const applied[] = {
        [PREFER_MINIMAL] = "return=minimal", [PREFER_REPRESENTATION] = "return=representation"
    };
    if (w->prefer.answer != PREFER_UNSAID)
        res_header(w->res, "Preference-Applied", applied[w->prefer.answer]);
    return w->prefer.answer == PREFER_MINIMAL;
}

/* The answer of a write that did something, and those who want to know of it. */
static int finish(struct write *w, bool with_body, struct err *err)
{
    struct req *req = w->req;
    size_t len;
    const char *id = db_str(w->rows, w->at, WR_ID);
    enum vis_class vc = vis_class_of(w->e, &req->who);
    bool own = vis_varies(w->e, vc) && db_get_i64(w->rows, w->at, WR_OWNER) == req->who.user_id;
    w->done_id = db_get_i64(w->rows, w->at, WR_ID);
    if (!req->tx)
        write_tell(req, w->c, w->done_id);
    if (!w->id)
        w->res->location = crud_location(req, w->e, id);
    if (!with_body)
        return 0;
    bool minimal = prefers_nothing(w);
    if (minimal && w->res->status != 201)
        w->res->status = 204;
    if (!minimal && vis_varies(w->e, vc) &&
        !own) /* the statement's text has fields that are not for this writer */
        return crud_answer(req, w->res, w->e, id, err);
    const char *body = db_cell(w->rows, w->at, WR_BODY, &len);
    if (!minimal)
        buf_put(&w->res->body, body, len);
    w->res->etag = crud_etag(req->arena, w->e, vc, own, "", db_get_i64(w->rows, w->at, WR_VERSION));
    w->res->modified_s = db_get_i64(w->rows, w->at, WR_UPDATED);
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

int write_check(struct write *w, struct err *err)
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
    int rc = shape_check(&w->row, err);
    return rc < 0 ? rc : write_check_refs(w, err);
}

/* --- create --- */

/* Does the statement itself record the Idempotency-Key? */
static bool records(const struct write *w)
{
    return w->idem.used && !w->keyed;
}

size_t write_insert_params(const struct write *w, bool idem, struct db_val *v)
{
    size_t n = put_common(w, v);
    bool keyed = records(w);
    if (idem) {
        v[n++] = keyed ? db_text(w->idem.owner) : db_null();
        v[n++] = keyed ? db_text(w->idem.key_hash) : db_null();
        v[n++] = keyed ? db_text(w->idem.fingerprint) : db_null();
        v[n++] = keyed ? db_i64(w->idem.lock) : db_null();
        v[n++] = db_text(keyed ? crud_location(w->req, w->e, "") : NULL);
    }
    return put_inputs(w, v, n);
}

static int insert(struct write *w, struct err *err)
{
    struct db_val v[sqlgen_params_max];
    size_t n = write_insert_params(w, records(w), v);
    const struct db_stmt *s = &w->c->write[records(w) ? SQL_INSERT_IDEM : SQL_INSERT];
    w->at = 0;
    return crud_change_query(w->req, w->c, s, v, n, &w->rows, err);
}

const char *crud_slug_of(struct arena *a, const struct entity_def *e, const char *title)
{
    const char *slug = title ? str_slug(a, title, slug_bytes_max) : "";
    return *slug ? slug : e->name;
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

/* The recorded answer, as far as it is wanted now. */
static int replay(struct write *w, struct err *err)
{
    int rc = idem_replay(w->req, &w->idem, w->res, err);
    if (rc >= 0 && prefers_nothing(w))
        buf_reset(&w->res->body);
    return rc;
}

/* Nothing was inserted: it was done before, is being done, or refers to what is not there. */
static int not_made(struct write *w, struct err *err)
{
    if (records(w)) {
        int rc = replay(w, err);
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

/* One that was not inserted with others says alone why. */
static int insert_alone(struct write *w, const char *base, struct err *err)
{
    int rc = insert_free(w, base, err);
    if (records(w) && rc == -E_conflict && str_eq(err->pointer, "idempotency_pkey"))
        return replay(w, err);
    if (rc >= 0 && !db_nrows(w->rows))
        return not_made(w, err);
    if (rc < 0)
        return crud_map_error(w->res, w->c, &w->row, false, err);
    return 1;
}

int write_insert_begin(struct write *w, const char **ret_base, struct err *err)
{
    *ret_base = NULL;
    if (!w->keyed)
        idem_init(&w->idem, w->req, 0);
    if (crud_has_slug(w->e) && !shape_text(&w->row, "slug")) {
        *ret_base = crud_slug_of(w->req->arena, w->e, shape_text(&w->row, w->e->slug_from));
        shape_set(&w->row, "slug", db_text(*ret_base));
    }
    return write_check(w, err);
}

int write_insert_end(struct write *w, const char *base, bool done, struct err *err)
{
    int rc = done ? 1 : insert_alone(w, base, err); /* > 0: it is there, and to be answered */
    if (rc <= 0)
        return rc;
    w->res->status = 201;
    return finish(w, true, err);
}

int write_insert(struct write *w, struct err *err)
{
    struct gathered g = { 0 };
    const char *base;
    int rc = write_insert_begin(w, &base, err);
    if (rc < 0)
        return rc;
    bool done = write_gathered(w, &g, &rc, err);
    if (rc >= 0)
        rc = write_insert_end(w, base, done, err);
    write_gathered_end(&g);
    return rc;
}

int write_create(struct write *w, struct err *err)
{
    shape_read(w->req->arena, w->e->fields, SHAPE_CREATE, vis_is_admin(&w->req->who), w->req->body,
               &w->row);
    return write_insert(w, err);
}

int crud_create(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    int rc = write_begin(&w, req, res, ACT_CREATE, err);
    if (rc >= 0)
        rc = crud_no_condition(req, err);
    if (rc >= 0)
        rc = write_need_body(req, err);
    return rc < 0 ? rc : write_create(&w, err);
}

/* --- change --- */

static int no_row(struct write *w, struct err *err)
{
    int rc = write_explain(w, w->right == RIGHT_OWN, false, err);
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

int write_update(struct write *w, struct err *err)
{
    struct db_val v[sqlgen_params_max];
    size_t n = put_target(w, v);
    v[n++] = db_i64((int64_t)w->mask);
    n = put_inputs(w, v, n);
    int rc = crud_change_query(w->req, w->c, &w->c->write[SQL_UPDATE], v, n, &w->rows, err);
    if (rc < 0)
        return crud_map_error(w->res, w->c, &w->row, false, err);
    if (!db_nrows(w->rows))
        return no_row(w, err);
    return finish(w, true, err);
}

uint64_t write_mask(const struct write *w, uint64_t wanted)
{
    uint64_t m = 0;
    for (size_t i = 0; i < w->row.n; i++)
        if (wanted >> i & 1 && sqlgen_is_input(w->e, &w->row.fields[i]))
            m |= UINT64_C(1) << i;
    return m;
}

/* --- delete, restore --- */

int write_target(struct write *w, enum sqlgen_write what, struct err *err)
{
    struct db_val v[sqlgen_params_max];
    size_t n = put_target(w, v);
    int rc = crud_change_query(w->req, w->c, &w->c->write[what], v, n, &w->rows, err);
    if (rc < 0)
        return crud_map_error(w->res, w->c, NULL, what == SQL_PURGE || !w->e->soft_delete, err);
    if (!db_nrows(w->rows))
        return write_explain(w, w->right == RIGHT_OWN, what == SQL_RESTORE || what == SQL_PURGE,
                             err);
    return finish(w, what == SQL_RESTORE, err);
}

int crud_delete(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    bool purge = false;
    const char *arg = req_arg(req, "purge");
    if (arg && !str_to_bool(arg, &purge))
        return err_at(err, E_invalid_parameter, "purge", "purge must be true or false.");
    int rc = write_begin(&w, req, res, purge ? ACT_PURGE : ACT_DELETE, err);
    if (rc >= 0)
        rc = crud_id(req, w.e, &w.id, err);
    if (rc >= 0 && !purge)
        rc = write_none_match(&w, err);
    if (rc < 0)
        return rc;
    rc = write_target(&w, purge && w.e->soft_delete ? SQL_PURGE : SQL_DELETE, err);
    if (rc >= 0)
        res->status = 204;
    return rc;
}

static int restore(struct write *w, struct err *err)
{
    return write_target(w, SQL_RESTORE, err);
}

int crud_restore(struct req *req, struct res *res, struct err *err)
{
    struct write w;
    int rc = write_begin(&w, req, res, ACT_DELETE, err);
    if (rc >= 0)
        rc = crud_id(req, w.e, &w.id, err);
    return rc < 0 ? rc : write_keyed(&w, restore, err);
}

/* --- Idempotency-Key where the record is a statement of its own --- */

struct keyed {
    struct write *w, start;
    int (*fn)(struct write *w, struct err *err);
    bool seen;
};

static int keyed_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct keyed *k = ctx;
    struct write *w = k->w;
    *w = k->start; /* it may be run again */
    *w->res = (struct res){ .arena = w->res->arena, .body = w->res->body };
    buf_reset(&w->res->body);
    int rc = idem_claim(tx, w->req->arena, &w->idem, &k->seen, err);
    if (rc < 0 || k->seen)
        return rc;
    w->req->tx = tx;
    rc = k->fn(w, err);
    w->req->tx = NULL;
    if (rc < 0)
        return rc;
    int status = w->res->status ? w->res->status : 200;
    return idem_record(tx, w->req, &w->idem, status, w->res->location,
                       w->res->body.len ? w->res->body.data : "", err);
}

int write_keyed(struct write *w, int (*fn)(struct write *w, struct err *err), struct err *err)
{
    idem_init(&w->idem, w->req, 0);
    if (!w->idem.used || w->req->tx)
        return fn(w, err);
    w->keyed = true;
    struct keyed k = { .w = w, .start = *w, .fn = fn };
    int rc = db_tx(w->req->svc->db, w->req->arena, keyed_tx, &k, err);
    if (rc < 0)
        return rc;
    if (k.seen)
        return replay(w, err);
    write_tell(w->req, w->c, w->done_id);
    return 0;
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
    int rc = write_init(&w, &req, &res, change->id ? ACT_CHANGE : ACT_CREATE, err);
    if (rc < 0)
        return rc;
    w.actor = change->actor;
    if (change->version) {
        w.cond.any = false;
        w.cond.versions[w.cond.n++] = change->version;
    }
    if (change->id) {
        w.id = arena_printf(a, "%lld", (long long)change->id);
        rc = write_patch(&w, err);
    } else {
        rc = write_create(&w, err);
    }
    if (rc == -E_precondition_failed)
        return err_set(err, E_conflict, "The %s was changed by somebody else just now.",
                       c->e->name);
    if (rc >= 0)
        *ret_id = w.done_id;
    return rc;
}
