/* What is done to an endpoint beside changing its fields: pause, resume, secrets. */
#include "services/webhooks-out/endpoint.h"

#include "common/base/str.h"
#include "common/kit/idem.h"
#include "common/kit/rowjson.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

struct act {
    struct req *req;
    int64_t id, secret_id;
    struct shape_row row;
    const char *status; /* pause, resume */
    json_t *answer;
    const char *body;
};

static int begin(struct req *req, struct res *res, struct act *ret, struct err *err)
{
    *ret = (struct act){ .req = req };
    int rc = req_id(req, 0, &ret->id, err);
    if (rc || !req->route->in)
        return rc;
    const json_t *body = req->body ? req->body : json_in(req->arena, json_object());
    shape_read(req->arena, req->route->in->fields, SHAPE_CREATE, vis_is_admin(&req->who), body,
               &ret->row);
    res->faults = ret->row.faults;
    return shape_check(&ret->row, err);
}

static void changed_endpoint(struct req *req)
{
    dispatch_wake(req->svc);
    events_wake(req->svc);
}

/* --- pause and resume --- */

/* What is on its way, and what was missed and can be recovered. */
static int put_missed(struct db_tx *tx, struct act *c, struct err *err)
{
    struct arena *a = c->req->arena;
    struct db_rows *r;
    const struct db_val v = db_i64(c->id);
    int rc = db_exec(tx, a, &sql_endpoint_missed, &v, 1, &r, err);
    if (rc)
        return rc;
    json_t *missed = json_pack(
        "{s:I, s:I, s:I, s:s}", "held", (json_int_t)db_get_i64(r, 0, 0), "skipped",
        (json_int_t)db_get_i64(r, 0, 1), "dead", (json_int_t)db_get_i64(r, 0, 2), "recover",
        arena_printf(a, "%s%s/%lld/recover", c->req->svc->conf->public_url,
                     entity_find("webhook_endpoint")->path, (long long)c->id));
    json_object_set_new(c->answer, "missed", missed);
    return 0;
}

static int state_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct act *c = ctx;
    struct arena *a = c->req->arena;
    const char *before;
    struct db_rows *r;
    const struct db_val v[] = { db_i64(c->id), db_text(c->status) };
    int rc = endpoint_lock(tx, c->req, c->id, &before, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_endpoint_state, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        rc = endpoint_tell(tx, a, c->id, &c->answer, err);
    if (!rc && !str_eq(before, c->status))
        rc = endpoint_event(tx, a, "webhook.endpoint.updated", c->answer,
                            json_in(a, json_pack("[s]", "status")), c->req, err);
    return rc ? rc : put_missed(tx, c, err);
}

static int set_state(struct req *req, struct res *res, const char *status, struct err *err)
{
    struct act c;
    int rc = begin(req, res, &c, err);
    c.status = status;
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, state_tx, &c, err);
    if (rc)
        return rc;
    changed_endpoint(req);
    res_json(res, c.answer);
    return 0;
}

int endpoint_pause(struct req *req, struct res *res, struct err *err)
{
    return set_state(req, res, "paused", err);
}

int endpoint_resume(struct req *req, struct res *res, struct err *err)
{
    return set_state(req, res, "active", err);
}

/* --- secrets --- */

static int touch(struct db_tx *tx, struct act *c, const char *secret, struct err *err)
{
    struct arena *a = c->req->arena;
    struct db_rows *r;
    const struct db_val v = db_i64(c->id);
    int rc = db_exec(tx, a, &sql_endpoint_touch, &v, 1, &r, err);
    if (!rc)
        rc = endpoint_tell(tx, a, c->id, &c->answer, err);
    if (!rc)
        rc = endpoint_event(tx, a, "webhook.endpoint.rotated", c->answer, NULL, c->req, err);
    if (!rc && secret)
        json_object_set_new(c->answer, "secret", json_string(secret));
    return rc;
}

static int rotate(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err)
{
    struct act *c = ctx;
    struct req *req = c->req;
    struct arena *a = req->arena;
    const char *kind = shape_text(&c->row, "kind"), *secret = shape_text(&c->row, "secret"),
               *public = NULL;
    bool pair = str_eq(kind, "ed25519");
    char made[secret_text_max];
    struct db_rows *r;
    const struct db_val old[] = { db_i64(c->id), db_text(kind),
                                  *shape_val(&c->row, "overlap_seconds") };
    int rc = endpoint_lock(tx, req, c->id, NULL, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_secret_retire, old, ARRAY_LEN(old), &r, err);
    if (!rc && db_get_i64(r, 0, 0) >= secrets_live_max)
        rc = err_set(err, E_conflict,
                     "%d secrets are live already; revoke one, or wait for one to expire.",
                     secrets_live_max);
    if (rc)
        return rc;
    if (pair) {
        secret_make_pair(a, &secret, &public);
    } else if (!secret) {
        secret_make(made);
        secret = made;
    }
    const struct db_val v[] = { db_i64(c->id), db_text(kind),
                                db_text(secret_seal(req->svc->keyring, a, c->id, secret)),
                                db_text(public) };
    rc = db_exec(tx, a, &sql_secret_add, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        rc = touch(tx, c, pair ? NULL : secret, err);
    if (!rc)
        *ret =
            (struct idem_made){ .status = 200,
                                .body = arena_printf(a, "{\"data\":%s}", json_text(a, c->answer)) };
    return rc;
}

int endpoint_rotate(struct req *req, struct res *res, struct err *err)
{
    struct act c;
    const struct idem_work work = { rotate, &c, IDEM_SEALED };
    bool fresh;
    int rc = begin(req, res, &c, err);
    if (rc)
        return rc;
    const char *secret = shape_text(&c.row, "secret");
    if (secret && !secret_ok(secret))
        shape_fault(&c.row, "secret", "format", "Must be whsec_ and base64 of 24 to 64 bytes.");
    if (secret && str_eq(shape_text(&c.row, "kind"), "ed25519"))
        shape_fault(&c.row, "secret", "not_allowed_here", "An Ed25519 pair is always generated.");
    rc = shape_check(&c.row, err);
    if (!rc)
        rc = idem_run(req, res, &work, &fresh, err);
    if (!rc && fresh)
        changed_endpoint(req);
    return rc;
}

static int history_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct act *c = ctx;
    struct arena *a = c->req->arena;
    struct db_rows *r;
    const struct db_val v = db_i64(c->id);
    struct buf b;
    int rc = endpoint_lock(tx, c->req, c->id, NULL, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_secrets_history, &v, 1, &r, err);
    if (rc)
        return rc;
    buf_init(&b, a, 1024, 64 * 1024);
    for (size_t i = 0; i < db_nrows(r); i++) {
        size_t n;
        buf_printf(&b,
                   "%s{\"id\":%s,\"kind\":\"%s\",\"state\":\"%s\",\"public_key\":", i ? "," : "",
                   db_str(r, i, 0), db_str(r, i, 1), db_str(r, i, 5));
        const char *public = db_cell(r, i, 2, &n);
        if (db_is_null(r, i, 2))
            buf_puts(&b, "null");
        else
            buf_put_json_string(&b, public, n);
        buf_puts(&b, ",\"created_at\":");
        const char *at = db_cell(r, i, 3, &n);
        rowjson_put_time(&b, at, n);
        buf_puts(&b, ",\"expires_at\":");
        at = db_cell(r, i, 4, &n);
        if (db_is_null(r, i, 4))
            buf_puts(&b, "null");
        else
            rowjson_put_time(&b, at, n);
        buf_putc(&b, '}');
    }
    c->body = arena_printf(a,
                           "{\"data\":[%s],\"meta\":{\"total\":%zu,\"page\":1,\"per_page\":100},"
                           "\"links\":{\"self\":\"%s%s\",\"next\":null,\"prev\":null}}",
                           b.data ? b.data : "", db_nrows(r), c->req->svc->conf->public_url,
                           c->req->path);
    return 0;
}

int endpoint_secrets(struct req *req, struct res *res, struct err *err)
{
    struct act c;
    int rc = begin(req, res, &c, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, history_tx, &c, err);
    if (!rc)
        buf_puts(&res->body, c.body);
    return rc;
}

static int revoke_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct act *c = ctx;
    struct arena *a = c->req->arena;
    struct db_rows *r;
    const struct db_val v[] = { db_i64(c->secret_id), db_i64(c->id) };
    int rc = endpoint_lock(tx, c->req, c->id, NULL, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_secret_one, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no secret %lld.", (long long)c->secret_id);
    if (db_get_bool(r, 0, 0))
        return err_set(err, E_conflict,
                       "It is the current secret; rotate it, with overlap_seconds 0.");
    if (!db_get_bool(r, 0, 1))
        return 0; /* it has ended: once more is no harm */
    rc = db_exec(tx, a, &sql_secret_revoke, v, ARRAY_LEN(v), &r, err);
    return rc ? rc : touch(tx, c, NULL, err);
}

int endpoint_revoke(struct req *req, struct res *res, struct err *err)
{
    struct act c;
    int rc = begin(req, res, &c, err);
    if (!rc)
        rc = req_id(req, 1, &c.secret_id, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, revoke_tx, &c, err);
    if (rc)
        return rc;
    changed_endpoint(req);
    res->status = 204;
    return 0;
}
