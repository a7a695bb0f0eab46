/* What a token is (RFC 7662), and its end (RFC 7009). */
#include "services/auth/oauth.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/outbox.h"
#include "services/auth/jwk.h"

#include "auth/sql.h"

struct look {
    struct req *req;
    const struct client *client;
    const char *token, *hash; /* hash: of a refresh token, hex */
    struct jwt_claims claims; /* of an access token that is alive */
    struct jws parts;
};

static bool is_jwt(const char *token)
{
    return strchr(token, '.') != NULL;
}

/* The caller's own client, or any if its role is admin (a resource server of the platform's). */
static bool may_look(const struct look *l, int64_t client_id)
{
    return client_id == l->client->id || l->client->role == ROLE_ADMIN;
}

/* Alive: what every program would say of it, wherever it is for. */
static int read_access(struct look *l, bool *ret_alive, struct err *err)
{
    int rc = token_look(l->req->svc->tokens, l->req->arena, l->token, &l->parts, &l->claims, err);
    *ret_alive = !rc;
    return rc == -E_unauthorized ? 0 : rc;
}

static json_t *describe_access(const struct look *l)
{
    const struct jwt_claims *c = &l->claims;
    json_t *o = json_object();
    static const char *const names[] = { "iss", "sub", "aud", "client_id", "scope",
                                         "exp", "iat", "jti", "cnf" };
    json_object_set_new(o, "active", json_true());
    json_object_set_new(o, "token_type", json_string(c->jkt ? "DPoP" : "Bearer"));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        json_t *v = json_object_get(l->parts.payload, names[i]);
        if (v)
            json_object_set(o, names[i], v);
    }
    return json_in(l->req->arena, o);
}

/* --- refresh tokens -----------------------------------------------------------------------------
 */

enum { L_FAMILY, L_CLIENT, L_USER, L_SCOPES, L_RESOURCES, L_IAT, L_EXP, L_ALIVE, L_GRANT, L_JKT };

static int read_refresh(struct look *l, struct db_rows **ret, struct err *err)
{
    char hash[sha256_hex_len + 1];
    sha256_hex(l->token, strlen(l->token), hash);
    const struct db_val v = db_text(hash);
    return db_query(l->req->svc->db, l->req->arena, &sql_refresh_find, &v, 1, ret, err);
}

static json_t *describe_refresh(const struct look *l, const struct db_rows *r)
{
    struct arena *a = l->req->arena;
    json_t *o = json_pack(
        "{s:b,s:s,s:s,s:s,s:s,s:I,s:I}", "active", 1, "iss", l->req->svc->conf->public_url, "sub",
        db_str(r, 0, L_USER), "client_id", jwt_client_text(a, db_get_i64(r, 0, L_CLIENT)), "scope",
        scopes_text(a, scopes_of(a, r, 0, L_SCOPES)), "iat", (json_int_t)db_get_i64(r, 0, L_IAT),
        "exp", (json_int_t)db_get_i64(r, 0, L_EXP));
    return json_in(a, o);
}

/* --- introspection ------------------------------------------------------------------------------
 */

static int look(struct look *l, const json_t **ret, struct err *err)
{
    struct db_rows *r;
    bool alive = false;
    int rc;
    *ret = NULL;
    if (is_jwt(l->token)) {
        rc = read_access(l, &alive, err);
        if (!rc && alive && may_look(l, l->claims.client_id))
            *ret = describe_access(l);
        return rc;
    }
    rc = read_refresh(l, &r, err);
    if (!rc && db_nrows(r) && db_get_bool(r, 0, L_ALIVE) && may_look(l, db_get_i64(r, 0, L_CLIENT)))
        *ret = describe_refresh(l, r);
    return rc;
}

static int introspect(struct req *req, struct res *res, struct fault *f, struct err *err)
{
    struct form form;
    struct client c;
    const json_t *found;
    int rc = oauth_form(req, &form, f, err);
    if (!rc)
        rc = client_authenticate(req, &form, &c, f, err);
    if (!rc && c.public)
        rc = fault_set(f, err, 401, "invalid_client", "A client without a secret may not ask.");
    if (rc)
        return rc;
    struct look l = { .req = req, .client = &c, .token = form_get(&form, "token") };
    if (!l.token)
        return fault_set(f, err, 400, "invalid_request", "token is needed.");
    rc = look(&l, &found, err);
    if (rc)
        return rc;
    /* RFC 7662 §2.2: nothing else is said of what is not active, nor why. */
    oauth_json(res, found ? found : json_in(req->arena, json_pack("{s:b}", "active", 0)));
    return 0;
}

int oauth_introspect(struct req *req, struct res *res, struct err *err)
{
    struct fault f = { .error = NULL };
    return oauth_answer(req, res, introspect(req, res, &f, err), &f);
}

/* --- revocation ---------------------------------------------------------------------------------
 */

static int revoke_access(struct look *l, struct err *err)
{
    bool alive;
    int rc = read_access(l, &alive, err);
    if (rc || !alive || l->claims.client_id != l->client->id)
        return rc;
    return auth_deny_now(l->req->svc, l->req->arena, "jti", jwt_jti_id(l->claims.jti), err);
}

/* RFC 7009 §2.1: with a refresh token goes all that came from the same authorization. */
static int revoke_refresh(struct look *l, struct err *err)
{
    struct req *req = l->req;
    struct db_rows *r, *ignored;
    int rc = read_refresh(l, &r, err);
    if (rc || !db_nrows(r) || db_get_i64(r, 0, L_CLIENT) != l->client->id)
        return rc;
    const struct db_val v = db_i64(db_get_i64(r, 0, L_FAMILY));
    rc = db_query(req->svc->db, req->arena, &sql_family_revoke, &v, 1, &ignored, err);
    return rc ? rc : auth_deny_now(req->svc, req->arena, "family", v.i64, err);
}

static int revoke(struct req *req, struct res *res, struct fault *f, struct err *err)
{
    struct form form;
    struct client c;
    int rc = oauth_form(req, &form, f, err);
    if (!rc)
        rc = client_authenticate(req, &form, &c, f, err);
    if (rc)
        return rc;
    struct look l = { .req = req, .client = &c, .token = form_get(&form, "token") };
    if (!l.token)
        return fault_set(f, err, 400, "invalid_request", "token is needed.");
    res->cache_control = "no-store";
    return is_jwt(l.token) ? revoke_access(&l, err) : revoke_refresh(&l, err);
}

int oauth_revoke(struct req *req, struct res *res, struct err *err)
{
    struct fault f = { .error = NULL };
    return oauth_answer(req, res, revoke(req, res, &f, err), &f);
}
