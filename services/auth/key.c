/* Making, changing and revoking keys. */
#include "services/auth/auth.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/outbox.h"
#include "common/kit/shape.h"
#include "services/auth/quota.h"
#include "services/auth/rights.h"

#include "auth/sql.h"

enum { prefix_max = 64 };

static const struct entity_def *entity(void)
{
    return entity_find("api_key");
}

/* --- validation ---------------------------------------------------------------------------------
 */

static void check_fields(const struct req *req, struct shape_row *row)
{
    body_scopes(req, row);
    body_networks(req, row);
    int64_t us;
    const char *at = shape_given(row, "expires_at") ? shape_text(row, "expires_at") : NULL;
    if (at && rfc3339_parse(at, &us) && us <= clock_us())
        shape_fault(row, "expires_at", "min", "Must be a time to come.");
}

/* --- create -------------------------------------------------------------------------------------
 */

int auth_make_key(struct db_tx *tx, struct arena *a, const struct auth_new_key *k,
                  const struct auth_cause *why, int64_t *ret_id, char *ret_text, struct err *err)
{
    struct db_rows *r;
    unsigned char raw[32];
    char hash[65], prefix[prefix_max];
    int rc = db_exec(tx, a, &sql_key_next_id, NULL, 0, &r, err);
    if (rc)
        return rc;
    int64_t id = db_get_i64(r, 0, 0);
    key_make(k->env, id, ret_text, raw);
    hex_encode(raw, sizeof(raw), hash);
    snprintf(prefix, sizeof(prefix), "365k_%s_%lld_", k->env, (long long)id);
    const struct db_val v[] = { db_i64(id),         db_text(k->name), db_text(k->device),
                                db_i64(k->user_id), db_text(prefix),  db_text(hash),
                                k->scopes,          k->expires_at,    k->networks,
                                k->rate_limit,      k->quota_monthly };
    rc = db_exec(tx, a, &sql_key_insert, v, ARRAY_LEN(v), &r, err);
    if (!rc && k->sandbox)
        rc = db_exec(tx, a, &sql_sandbox_mark, v, 1, &r, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_key_near, v, 1, &r, err);
    if (!rc)
        rc = auth_publish_state(tx, a, id, why, NULL, err);
    if (!rc)
        rc = auth_publish_event(tx, a, id, "key.created", "[]", why, err);
    *ret_id = id;
    return rc;
}

struct make {
    struct req *req;
    struct shape_row row;
    struct auth_new_key key;
};

int key_shown(struct db_tx *tx, struct arena *a, int64_t id, const char *text,
              const char **ret_body, struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(id);
    json_t *row;
    size_t n;
    int rc = db_exec(tx, a, &sql_key_json, &v, 1, &r, err);
    if (rc)
        return rc;
    const char *json = db_cell(r, 0, 0, &n);
    rc = json_parse(a, json, n, &row, err);
    if (rc)
        return rc;
    json_object_set_new(row, "key", json_string(text));
    *ret_body = arena_printf(a, "{\"data\":%s}", json_text(a, row));
    return 0;
}

static int make_tx(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err)
{
    struct make *m = ctx;
    struct arena *a = m->req->arena;
    struct auth_cause why = auth_cause_of(m->req);
    char text[key_text_max];
    int64_t id;
    int rc = rights_owner(tx, a, &m->row, m->key.user_id, err);
    if (!rc)
        rc = auth_make_key(tx, a, &m->key, &why, &id, text, err);
    if (!rc)
        rc = key_shown(tx, a, id, text, &ret->body, err);
    if (rc)
        return rc;
    ret->status = 201;
    ret->location =
        arena_printf(a, "%s%s/%lld", m->req->svc->conf->public_url, entity()->path, (long long)id);
    return 0;
}

static int check_create(struct make *m, struct res *res, struct err *err)
{
    struct req *req = m->req;
    shape_read(req->arena, entity()->fields, SHAPE_CREATE, vis_is_admin(&req->who), req->body,
               &m->row);
    check_fields(req, &m->row);
    quota_check(req, &m->row, &(struct quota_had){ req->svc->conf->rate_key, 0, 0 });
    res->faults = m->row.faults;
    int rc = shape_check(&m->row, err);
    if (rc)
        return rc;
    int64_t user = shape_i64(&m->row, "user");
    if (user && user != req->who.user_id && !vis_is_admin(&req->who))
        return err_at(err, E_forbidden, "/user", "Only administrators make keys for others.");
    rc = rights_give(req, 0, err);
    m->key = (struct auth_new_key){ .env = req->svc->conf->env,
                                    .name = shape_text(&m->row, "name"),
                                    .device = shape_text(&m->row, "device"),
                                    .user_id = user ? user : req->who.user_id,
                                    .scopes = *shape_val(&m->row, "scopes"),
                                    .expires_at = *shape_val(&m->row, "expires_at"),
                                    .networks = *shape_val(&m->row, "allowed_networks"),
                                    .rate_limit = *shape_val(&m->row, "rate_limit"),
                                    .quota_monthly = *shape_val(&m->row, "quota_monthly") };
    return rc;
}

int auth_key_create(struct req *req, struct res *res, struct err *err)
{
    struct make m = { .req = req };
    int rc = body_object(req, err);
    if (!rc)
        rc = check_create(&m, res, err);
    if (rc)
        return rc;
    return effect_once(req, res, make_tx, &m, err);
}

/* --- change -------------------------------------------------------------------------------------
 */

struct change {
    struct req *req;
    struct shape_row row;
    int64_t id;
    bool revoke, was_revoked, sandbox;
    int64_t rate_limit, quota_monthly; /* that it has */
};

/* The row, locked, if the caller may see it; ret_scopes: what it grants. */
static int lock(struct db_tx *tx, struct change *c, scope_set *ret_scopes, struct err *err)
{
    struct req *req = c->req;
    struct db_rows *r;
    const struct db_val v[] = { db_i64(c->id),
                                vis_is_admin(&req->who) ? db_null() : db_i64(req->who.user_id) };
    int rc = db_exec(tx, req->arena, &sql_key_lock, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no api_key %lld.", (long long)c->id);
    c->was_revoked = str_eq(db_str(r, 0, 1), "revoked");
    c->rate_limit = db_get_i64(r, 0, 4);
    c->quota_monthly = db_get_i64(r, 0, 5);
    c->sandbox = db_get_bool(r, 0, 6);
    const char **names;
    size_t n = db_get_texts(req->arena, r, 0, 2, &names);
    *ret_scopes = 0;
    for (size_t i = 0; i < n; i++) {
        int s = scope_find(names[i]);
        *ret_scopes |= s >= 0 ? (scope_set)1 << s : 0;
    }
    return req_precondition(req, db_get_i64(r, 0, 0), err);
}

static int patch_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct arena *a = c->req->arena;
    struct auth_cause why = auth_cause_of(c->req);
    struct shape_row *w = &c->row;
    struct db_rows *r;
    scope_set had;
    int rc = lock(tx, c, &had, err);
    if (rc)
        return rc;
    if (c->was_revoked)
        return err_set(err, E_conflict, "A revoked key cannot be changed.");
    if (c->sandbox)
        return err_set(err, E_conflict, "A sandbox key cannot be changed; make another.");
    rc = rights_give(c->req, had, err);
    /* What brings a key to more places, or back to life, is for who has all that it may do. */
    if (!rc && (shape_given(w, "allowed_networks") || shape_given(w, "expires_at")))
        rc = rights_hold(&c->req->who, had, "key", err);
    if (!rc)
        quota_check(
            c->req, w,
            &(struct quota_had){ c->req->svc->conf->rate_key, c->rate_limit, c->quota_monthly });
    if (!rc)
        rc = shape_check(w, err);
    if (rc)
        return rc;
    const struct db_val v[] = {
        db_i64(c->id),
        db_bool(shape_given(w, "name")),
        *shape_val(w, "name"),
        db_bool(shape_given(w, "device")),
        *shape_val(w, "device"),
        db_bool(shape_given(w, "scopes")),
        *shape_val(w, "scopes"),
        db_bool(shape_given(w, "expires_at")),
        *shape_val(w, "expires_at"),
        db_bool(shape_given(w, "allowed_networks")),
        *shape_val(w, "allowed_networks"),
        db_bool(shape_given(w, "rate_limit")),
        *shape_val(w, "rate_limit"),
        db_bool(shape_given(w, "quota_monthly")),
        *shape_val(w, "quota_monthly"),
    };
    rc = db_exec(tx, a, &sql_key_update, v, ARRAY_LEN(v), &r, err);
    if (rc || !db_nrows(r)) /* nothing that was given differs */
        return rc;
    const char *changed = db_str(r, 0, 0);
    if (shape_given(w, "expires_at"))
        rc = db_exec(tx, a, &sql_key_near, v, 1, &r, err);
    if (rc)
        return rc;
    rc = auth_publish_state(tx, a, c->id, &why, NULL, err);
    return rc ? rc : auth_publish_event(tx, a, c->id, "key.updated", changed, &why, err);
}

static const char *id_text(const struct change *c)
{
    return arena_printf(c->req->arena, "%lld", (long long)c->id);
}

int auth_key_patch(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req };
    int rc = body_object(req, err);
    if (!rc)
        rc = req_id(req, 0, &c.id, err);
    if (rc)
        return rc;
    shape_read(req->arena, entity()->fields, SHAPE_PATCH, vis_is_admin(&req->who), req->body,
               &c.row);
    check_fields(req, &c.row);
    res->faults = c.row.faults;
    rc = shape_check(&c.row, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, patch_tx, &c, err);
    if (rc)
        return rc;
    outbox_wake(req->svc->outbox);
    return crud_answer(req, res, entity(), id_text(&c), err);
}

/* --- revoke -------------------------------------------------------------------------------------
 */

static int revoke_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct arena *a = c->req->arena;
    struct auth_cause why = auth_cause_of(c->req);
    struct db_rows *r;
    scope_set had;
    int rc = lock(tx, c, &had, err);
    if (rc)
        return rc;
    if (!c->was_revoked) {
        const struct db_val v = db_i64(c->id);
        rc = db_exec(tx, a, &sql_key_revoke, &v, 1, &r, err);
        if (!rc)
            rc = auth_publish_event(tx, a, c->id, "key.revoked", "[\"status\",\"revoked_at\"]",
                                    &why, err);
    }
    /* The state again even if it was revoked before: the caller may be repeating a call that failed
     * between the commit and here. */
    return rc ? rc : auth_publish_state(tx, a, c->id, &why, NULL, err);
}

static int revoke(struct req *req, struct change *c, struct err *err)
{
    int rc = req_id(req, 0, &c->id, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, revoke_tx, c, err);
    if (rc)
        return rc;
    outbox_wake(req->svc->outbox);
    return auth_deny_now(req->svc, req->arena, "key", c->id, err);
}

int auth_key_delete(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req };
    int rc = revoke(req, &c, err);
    if (!rc)
        res->status = 204;
    return rc;
}

int auth_key_revoke(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req };
    int rc = revoke(req, &c, err);
    return rc ? rc : crud_answer(req, res, entity(), id_text(&c), err);
}
