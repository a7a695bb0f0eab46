/* Who listens to what: making, changing and removing endpoints.  Reading them is crud's. */
#include "services/webhooks-out/endpoint.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/idem.h"
#include "common/kit/outbox.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

#include <assert.h>

static const struct entity_def *entity(void)
{
    return entity_find("webhook_endpoint");
}

json_t *endpoint_json(struct arena *a, const struct db_rows *r)
{
    json_t *out;
    struct err err;
    size_t n;
    const char *text = db_cell(r, 0, 0, &n);
    int rc = json_parse(a, text, n, &out, &err);
    assert(rc == 0);
    (void)rc;
    return out;
}

void events_wake(struct svc *svc)
{
    if (svc->outbox)
        outbox_wake(svc->outbox);
}

int endpoint_event(struct db_tx *tx, struct arena *a, const char *type, json_t *endpoint,
                   json_t *changed, const struct req *req, struct err *err)
{
    json_t *owner = json_object_get(json_object_get(endpoint, "user"), "id");
    json_t *payload =
        json_in(a, json_pack("{s:O, s:o, s:O}", "data", endpoint, "changed",
                             changed ? json_incref(changed) : json_array(), "owner_id", owner));
    struct outbox_event e = { .type = type,
                              .key = arena_printf(
                                  a, "webhook_endpoint:%lld",
                                  (long long)json_integer_value(json_object_get(endpoint, "id"))),
                              .payload = json_text(a, payload) };
    if (req) {
        e.traceparent = req->traceparent;
        e.request_id = req->request_id;
        e.actor = arena_printf(a, "user:%lld key:%lld", (long long)req->who.user_id,
                               (long long)req->who.key_id);
    }
    return outbox_put(tx, a, &e, NULL, err);
}

/* --- one row --- */

int endpoint_lock(struct db_tx *tx, struct req *req, int64_t id, const char **ret_status,
                  struct err *err)
{
    struct db_rows *r;
    const struct db_val v[] = { db_i64(id), db_bool(vis_is_admin(&req->who)),
                                db_i64(req->who.user_id) };
    int rc = db_exec(tx, req->arena, &sql_endpoint_lock, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no webhook_endpoint %lld.", (long long)id);
    if (ret_status)
        *ret_status = db_str(r, 0, 3);
    return req_precondition(req, db_get_i64(r, 0, 2), err);
}

int endpoint_tell(struct db_tx *tx, struct arena *a, int64_t id, json_t **ret, struct err *err)
{
    struct db_rows *r;
    struct db_val v = db_i64(id);
    int rc = db_exec(tx, a, &sql_endpoint_tell, &v, 1, &r, err);
    if (!rc)
        *ret = endpoint_json(a, r);
    return rc;
}

static int tell_event(struct db_tx *tx, struct req *req, int64_t id, const char *type,
                      json_t *changed, json_t **ret, struct err *err)
{
    json_t *json;
    int rc = endpoint_tell(tx, req->arena, id, &json, err);
    if (ret && !rc)
        *ret = json;
    return rc ? rc : endpoint_event(tx, req->arena, type, json, changed, req, err);
}

/* --- create --- */

struct make {
    struct req *req;
    json_t *record;
    int64_t id;
};

/* An Ed25519 pair if it is asked for and not there. */
static int make_pair(struct db_tx *tx, struct req *req, int64_t id, struct err *err)
{
    const char *secret, *public;
    struct db_rows *r;
    secret_make_pair(req->arena, &secret, &public);
    const struct db_val v[] = { db_i64(id), db_text("ed25519"),
                                db_text(secret_seal(req->svc->keyring, req->arena, id, secret)),
                                db_text(public) };
    return db_exec(tx, req->arena, &sql_secret_add, v, ARRAY_LEN(v), &r, err);
}

static int make_row(struct db_tx *tx, const struct make *m, const char *secret, struct err *err)
{
    struct req *req = m->req;
    struct arena *a = req->arena;
    struct db_rows *r;
    const json_t *auth = json_object_get(req->body, "auth");
    const struct db_val v[] = {
        db_i64(m->id),
        db_i64(req->who.user_id),
        db_text(role_name(req->who.role)),
        db_bool(vis_is_admin(&req->who)),
        db_text(json_is_object(auth) ? auth_seal(req->svc->keyring, a, m->id, auth) : NULL),
        db_text(json_text(a, m->record)),
    };
    const struct db_val s[] = { db_i64(m->id), db_text("hmac"),
                                db_text(secret_seal(req->svc->keyring, a, m->id, secret)),
                                db_null() };
    int rc = db_exec(tx, a, &sql_endpoint_add, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_secret_add, s, ARRAY_LEN(s), &r, err);
    if (!rc && json_is_true(json_object_get(m->record, "ed25519")))
        rc = make_pair(tx, req, m->id, err);
    return rc;
}

static int make_it(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err)
{
    struct make *m = ctx;
    struct arena *a = m->req->arena;
    char secret[secret_text_max];
    struct db_rows *r;
    json_t *json;
    int rc = db_exec(tx, a, &sql_endpoint_id, NULL, 0, &r, err);
    if (rc)
        return rc;
    m->id = db_get_i64(r, 0, 0);
    secret_make(secret);
    rc = make_row(tx, m, secret, err);
    if (!rc)
        rc = tell_event(tx, m->req, m->id, "webhook.endpoint.created", NULL, &json, err);
    if (rc)
        return rc;
    json_object_set_new(json, "secret", json_string(secret));
    *ret =
        (struct idem_made){ .status = 201,
                            .location = arena_printf(a, "%s%s/%lld", m->req->svc->conf->public_url,
                                                     entity()->path, (long long)m->id),
                            .body = arena_printf(a, "{\"data\":%s}", json_text(a, json)) };
    return 0;
}

int endpoint_create(struct req *req, struct res *res, struct err *err)
{
    struct make m = { .req = req };
    const struct idem_work work = { make_it, &m, IDEM_SEALED };
    struct shape_row row;
    bool fresh;
    int rc = endpoint_read(req, res, SHAPE_CREATE, req->body, NULL, &row, err);
    if (rc)
        return rc;
    if (!req->who.user_id)
        return err_set(err, E_forbidden,
                       "An endpoint belongs to a user; this credential has none.");
    m.record = endpoint_record(req, &row, SHAPE_CREATE, req->body);
    rc = idem_run(req, res, &work, &fresh, err);
    if (rc || !fresh)
        return rc;
    dispatch_wake(req->svc);
    events_wake(req->svc);
    return 0;
}

/* --- change and remove --- */

struct change {
    struct req *req;
    struct res *res;
    int64_t id;
};

static int change_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct req *req = c->req;
    struct arena *a = req->arena;
    struct shape_row row;
    json_t *before, *changed = json_in(a, json_array());
    const json_t *auth = json_object_get(req->body, "auth");
    struct db_rows *r;
    int rc = endpoint_lock(tx, req, c->id, NULL, err);
    if (!rc)
        rc = endpoint_tell(tx, a, c->id, &before, err);
    if (!rc)
        rc = endpoint_read(req, c->res, SHAPE_PATCH, req->body, before, &row, err);
    if (rc || !row.given)
        return rc;
    for (size_t i = 0; i < row.n; i++)
        if (row.given >> i & 1)
            json_array_append_new(changed, json_string(row.fields[i].name));
    const json_t *record = endpoint_record(req, &row, SHAPE_PATCH, req->body);
    const struct db_val v[] = {
        db_i64(c->id), db_text(json_text(a, record)), db_bool(auth != NULL),
        db_text(json_is_object(auth) ? auth_seal(req->svc->keyring, a, c->id, auth) : NULL)
    };
    rc = db_exec(tx, a, &sql_endpoint_change, v, ARRAY_LEN(v), &r, err);
    if (!rc && json_is_true(json_object_get(record, "ed25519")) &&
        json_is_null(json_object_get(before, "public_key")))
        rc = make_pair(tx, req, c->id, err);
    return rc ? rc : tell_event(tx, req, c->id, "webhook.endpoint.updated", changed, NULL, err);
}

int endpoint_patch(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req, .res = res };
    int rc = req_id(req, 0, &c.id, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, change_tx, &c, err);
    if (rc)
        return rc;
    dispatch_wake(req->svc);
    events_wake(req->svc);
    return crud_answer(req, res, entity(), req->params[0], err);
}

static int delete_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct arena *a = c->req->arena;
    const struct db_val v = db_i64(c->id);
    struct db_rows *r;
    int rc = endpoint_lock(tx, c->req, c->id, NULL, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_endpoint_remove, &v, 1, &r, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_secrets_end, &v, 1, &r, err);
    return rc ? rc : tell_event(tx, c->req, c->id, "webhook.endpoint.deleted", NULL, NULL, err);
}

/* What waited is canceled in pieces, so that a million of them do not make a deletion impossible;
 * what does not fit into the request's time the retention job does.  It is deleted already: that
 * this fails is nobody's error. */
static void cancel_some(struct svc *svc, struct arena *a, int64_t id)
{
    enum { spend_us = 2000000 };
    int64_t until_us = clock_mono_us() + spend_us;
    const struct db_val v = db_i64(id);
    struct db_rows *r;
    struct err ignored;
    for (;;) {
        int rc = db_query(svc->db, a, &sql_endpoint_cancel, &v, 1, &r, &ignored);
        if (!rc && db_affected(r) < cancel_rows)
            return;
        if (rc || clock_mono_us() > until_us)
            break;
    }
    retention_soon();
}

int endpoint_delete(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req, .res = res };
    int rc = req_id(req, 0, &c.id, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, delete_tx, &c, err);
    if (rc)
        return rc;
    dispatch_wake(req->svc);
    cancel_some(req->svc, req->arena, c.id);
    events_wake(req->svc);
    res->status = 204;
    return 0;
}
