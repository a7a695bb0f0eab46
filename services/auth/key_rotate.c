/* A key is replaced by another while programs still use the one before; and the warnings before one
 * ends. */
#include "services/auth/auth.h"
#include "services/auth/fields.h"
#include "services/auth/oauth.h"
#include "services/auth/rights.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/cache.h"
#include "common/kit/outbox.h"
#include "common/kit/shape.h"
#include "common/kit/vis.h"

#include "auth/sql.h"

enum { overlap_max_s = 30 * 86400, warn_max = 100, warn_pause_ms = 5000 };
extern const struct entity_def entity_api_key;

struct rotation {
    struct req *req;
    int64_t id, overlap_s;
    int64_t changed_ms; /* 0: nothing was */
};

/* Locked, the caller's, alive, and with nothing that the caller has not. */
static int lock(struct db_tx *tx, struct rotation *t, struct err *err)
{
    struct req *req = t->req;
    struct db_rows *r;
    const struct db_val v[] = { db_i64(t->id),
                                vis_is_admin(&req->who) ? db_null() : db_i64(req->who.user_id) };
    int rc = db_exec(tx, req->arena, &sql_key_lock, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no api_key %lld.", (long long)t->id);
    rc = req_precondition(req, db_get_i64(r, 0, 0), err);
    if (rc)
        return rc;
    if (!str_eq(db_str(r, 0, 1), "active"))
        return err_set(err, E_conflict, "The key is %s.", db_str(r, 0, 1));
    if (db_get_bool(r, 0, 6))
        return err_set(err, E_conflict, "A sandbox key is not rotated; make another.");
    return rights_hold(&req->who, scopes_of(req->arena, r, 0, 2), "key", err);
}

/* --- rotating -----------------------------------------------------------------------------------
 */

static int rotate_tx(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err)
{
    struct rotation *t = ctx;
    struct arena *a = t->req->arena;
    struct auth_cause why = auth_cause_of(t->req);
    unsigned char raw[32];
    char text[key_text_max], hash[65];
    struct db_rows *r;
    int rc = lock(tx, t, err);
    if (rc)
        return rc;
    key_make(t->req->svc->conf->env, t->id, text, raw);
    hex_encode(raw, sizeof(raw), hash);
    const struct db_val v[] = { db_i64(t->id), db_text(hash), db_i64(t->overlap_s) };
    rc = db_exec(tx, a, &sql_key_rotate, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    t->changed_ms = db_get_i64(r, 0, 0);
    rc = auth_publish_state(tx, a, t->id, &why, NULL, err);
    if (!rc)
        rc = auth_publish_event(tx, a, t->id, "key.rotated",
                                "[\"rotated_at\",\"previous_expires_at\"]", &why, err);
    ret->status = 200;
    return rc ? rc : key_shown(tx, a, t->id, text, &ret->body, err);
}

/* Programs that have not heard of it by Kafka ask for the key when they see it next. */
static int make_live(struct rotation *t, struct err *err)
{
    struct arena *a = t->req->arena;
    struct cache_reply reply;
    outbox_wake(t->req->svc->outbox);
    const char *const argv[] = { "ZADD", "cms365:revoked",
                                 arena_printf(a, "%lld", (long long)t->changed_ms),
                                 arena_printf(a, "rekey:%lld", (long long)t->id) };
    return cache_call(t->req->svc->cache, a, argv, ARRAY_LEN(argv), &reply, err);
}

static int rotate(struct req *req, struct res *res, struct err *err)
{
    struct rotation t = { .req = req };
    struct shape_row row;
    struct err late = { 0 };
    int rc = req_id(req, 0, &t.id, err);
    if (rc)
        return rc;
    shape_read(req->arena, req->route->in->fields, SHAPE_CREATE, false, req->body, &row);
    res->faults = row.faults;
    rc = shape_check(&row, err);
    if (rc)
        return rc;
    t.overlap_s = shape_i64(&row, "overlap_seconds");
    rc = effect_once(req, res, rotate_tx, &t, err);
    /* Not a failure: the new key must reach the caller, and the state travels by Kafka too. */
    if (!rc && t.changed_ms && make_live(&t, &late))
        log_warn("auth.rotation_by_kafka_only", kv_i("key", t.id), kv_s("why", late.detail));
    return rc;
}

/* --- ending the overlap -------------------------------------------------------------------------
 */

static int forget_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct rotation *t = ctx;
    struct arena *a = t->req->arena;
    struct auth_cause why = auth_cause_of(t->req);
    struct db_rows *r;
    const struct db_val v = db_i64(t->id);
    int rc = lock(tx, t, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_key_forget_previous, &v, 1, &r, err);
    if (!rc && !db_nrows(r)) /* again: that call may have failed after its commit */
        rc = db_exec(tx, a, &sql_key_changed_ms, &v, 1, &r, err);
    else if (!rc)
        rc =
            auth_publish_event(tx, a, t->id, "key.updated", "[\"previous_expires_at\"]", &why, err);
    if (rc)
        return rc;
    t->changed_ms = db_get_i64(r, 0, 0);
    return auth_publish_state(tx, a, t->id, &why, NULL, err);
}

static int forget_previous(struct req *req, struct res *res, struct err *err)
{
    struct rotation t = { .req = req };
    int rc = req_id(req, 0, &t.id, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, forget_tx, &t, err);
    if (!rc)
        rc = make_live(&t, err);
    if (!rc)
        res->status = 204;
    return rc;
}

/* --- warnings -----------------------------------------------------------------------------------
 */

struct warn {
    struct arena *a;
    size_t n;
};

static int warn_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct warn *w = ctx;
    const struct auth_cause why = { .actor = "schedule" };
    const struct db_val max = db_i64(warn_max);
    struct db_rows *r;
    int rc = db_exec(tx, w->a, &sql_key_warn, &max, 1, &r, err);
    w->n = rc ? 0 : db_nrows(r);
    for (size_t i = 0; i < w->n && !rc; i++)
        rc = auth_publish_event(tx, w->a, db_get_i64(r, i, 0), "key.expiring", "[]", &why, err);
    return rc;
}

int auth_warn_some(struct svc *svc, struct arena *a, size_t *ret_n, struct err *err)
{
    struct warn w = { .a = a };
    int rc = db_tx(svc->db, a, warn_tx, &w, err);
    *ret_n = w.n;
    return rc;
}

void auth_warn_job(struct svc *svc)
{
    struct arena *a = arena_new();
    while (!svc_stopping(svc)) {
        struct err err = { 0 };
        size_t n;
        int rc = auth_warn_some(svc, a, &n, &err);
        if (rc)
            log_debug("auth.warn", kv_s("why", err.msg), kv_s("detail", err.detail));
        else if (n)
            outbox_wake(svc->outbox);
        arena_reset(a);
        if ((rc || n < warn_max) && svc_pause(svc, warn_pause_ms))
            break;
    }
    arena_free(a);
}

/* --- routes -------------------------------------------------------------------------------------
 */

static const struct field_def rotate_fields[] = {
    { .name = "overlap_seconds",
     .type = F_INT,
     .flags = FF_NONNULL,
     .min = 0,
     .max = overlap_max_s,
     .fallback = "0",
     .example = "604800",
     .doc = "How long the present key is still accepted, up to 30 days." },
    { .name = NULL },
};
static const struct field_def rotated_fields[] = {
    BODY_TEXT("key", FF_READONLY | FF_NONNULL, key_text_max, "365k_live_12_…",
              "The new key: shown here and never again."),
    { .name = NULL },
};
static const struct shape rotate_body = { .name = "ApiKeyRotation",
                                          .doc = "How a key is replaced.",
                                          .fields = rotate_fields },
                          rotated = { .name = "ApiKeyRotated",
                                      .doc = "The key as it is now, with the new key itself.",
                                      .fields = rotated_fields,
                                      .extends = &entity_api_key };
static const int rotate_errors[] = { 404, 409, 412, 415, 422, 0 },
                 forget_errors[] = { 404, 409, 412, 0 };
const struct route auth_rotation_routes[] = {
    { POST, "/api/v2/auth/keys/{id}/rotate", rotate, .scope = "keys:write",
     .entity = &entity_api_key, .in = &rotate_body, .out = &rotated,
     .flags = ROUTE_IDEMPOTENT | ROUTE_ETAG, .errors = rotate_errors, .cost = 5,
     .op_id = "rotate_api_key",
     .doc = "Replace a key by a new one, which is shown in this answer only.  The present one is "
             "accepted for overlap_seconds more." },
    { DELETE, "/api/v2/auth/keys/{id}/previous-key", forget_previous, .scope = "keys:write",
     .flags = ROUTE_NO_BODY | ROUTE_ETAG, .errors = forget_errors, .cost = 5, .status = 204,
     .op_id = "delete_previous_api_key",
     .doc = "End the overlap early: the key of before is refused everywhere within a second." },
    { .path = NULL },
};
