/* /api/v2/auth/clients: registering, changing, rotating the secret of, and revoking clients. */
#include "services/auth/oauth.h"
#include "services/auth/quota.h"
#include "services/auth/rights.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/outbox.h"
#include "common/kit/shape.h"

#include "auth/sql.h"

enum { overlap_default_s = 7 * 86400, overlap_max_s = 30 * 86400 };

static const struct entity_def *entity(void)
{
    return entity_find("oauth_client");
}

/* --- validation ---------------------------------------------------------------------------------
 */

static void check_redirects(const struct req *req, struct shape_row *row, bool public)
{
    const json_t *list = body_list(req, "redirect_uris");
    const char *why = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && !redirect_form_ok(s, public, &why))
            body_fault(req, row, "redirect_uris", i, "format", why);
    }
}

static void check_grants(const struct req *req, struct shape_row *row, bool public)
{
    static const char *const grants[] = { "authorization_code", "refresh_token",
                                          "client_credentials" };
    const json_t *list = body_list(req, "grant_types");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        bool known = !s;
        for (size_t k = 0; k < ARRAY_LEN(grants) && !known; k++)
            known = str_eq(s, grants[k]);
        if (!known)
            body_fault(req, row, "grant_types", i, "format", "There is no such grant.");
        if (public && str_eq(s, "client_credentials"))
            body_fault(req, row, "grant_types", i, "format",
                       "A public client cannot act for itself.");
    }
}

static void check_fields(const struct req *req, struct shape_row *row, bool public)
{
    body_scopes(req, row);
    body_networks(req, row);
    check_redirects(req, row, public);
    check_grants(req, row, public);
    const char *alg = shape_given(row, "signing_alg") ? shape_text(row, "signing_alg") : NULL;
    if (alg && jose_alg_find(alg) == JOSE_NONE)
        shape_fault(row, "signing_alg", "choice", "Must be ES256 or RS256.");
    const json_t *jwks = json_object_get(req->body, "jwks");
    if (json_is_object(jwks) && !client_jwks_ok(req->arena, jwks))
        shape_fault(row, "jwks", "format",
                    "Must hold 1 to 16 public keys: EC P-256, or RSA of 2048 to 4096 bits.");
}

/* No token creates a credential with more than it has; nor is a client more than its owner. */
static int check_rights(const struct req *req, scope_set had, const char *role, struct err *err)
{
    int rc = rights_give(req, had, err);
    if (!rc && role && role_find(role) > req->who.role)
        rc = err_at(err, E_forbidden, "/role", "The role %s is more than your own.", role);
    return rc;
}

static bool holds(const struct db_val *texts, const char *what)
{
    const char *const *list = texts->list;
    for (size_t i = 0; i < texts->n; i++)
        if (str_eq(list[i], what))
            return true;
    return false;
}

/* What the fields must be together. */
struct whole {
    bool public, code, client, redirects, role, jwks;
    const char *method;
};

static void check_whole(struct shape_row *row, const struct whole *w)
{
    if (w->public != str_eq(w->method, "none"))
        shape_fault(row, "token_endpoint_auth_method", "choice",
                    "A public client has none; a confidential one has another.");
    if (w->code && !w->redirects)
        shape_fault(row, "redirect_uris", "required",
                    "authorization_code needs an address to send people back to.");
    if (w->client && !w->role)
        shape_fault(row, "role", "required", "client_credentials needs a role.");
    if (str_eq(w->method, "private_key_jwt") && !w->jwks)
        shape_fault(row, "jwks", "required", "private_key_jwt needs public keys.");
}

/* --- create -------------------------------------------------------------------------------------
 */

struct make {
    struct req *req;
    struct shape_row row;
    int64_t user_id;
    const char *secret; /* NULL: the client has none */
    char hash[65];
};

/* {"data":{…as GET…,"client_secret":"365s_…"}} */
static int with_secret(struct db_tx *tx, struct arena *a, int64_t id, const char *secret,
                       const char **ret, struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(id);
    json_t *row;
    size_t n;
    int rc = db_exec(tx, a, &sql_client_json, &v, 1, &r, err);
    if (rc)
        return rc;
    const char *json = db_cell(r, 0, 0, &n);
    rc = json_parse(a, json, n, &row, err);
    if (rc)
        return rc;
    json_object_set_new(row, "client_secret", secret ? json_string(secret) : json_null());
    *ret = arena_printf(a, "{\"data\":%s}", json_text(a, row));
    return 0;
}

static int insert(struct db_tx *tx, const struct make *m, int64_t *ret_id, struct err *err)
{
    const struct shape_row *w = &m->row;
    struct auth_cause why = auth_cause_of(m->req);
    struct db_rows *r;
    const struct db_val v[] = {
        *shape_val(w, "name"),
        *shape_val(w, "website"),
        *shape_val(w, "type"),
        db_i64(m->user_id),
        *shape_val(w, "redirect_uris"),
        *shape_val(w, "grant_types"),
        *shape_val(w, "scopes"),
        *shape_val(w, "role"),
        *shape_val(w, "token_endpoint_auth_method"),
        *shape_val(w, "jwks"),
        *shape_val(w, "signing_alg"),
        *shape_val(w, "require_pushed_requests"),
        *shape_val(w, "dpop_bound"),
        *shape_val(w, "allowed_networks"),
        *shape_val(w, "rate_limit"),
        *shape_val(w, "quota_monthly"),
        db_text(m->secret ? m->hash : NULL),
    };
    int rc = db_exec(tx, m->req->arena, &sql_client_insert, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    *ret_id = db_get_i64(r, 0, 0);
    return client_event(tx, m->req->arena, *ret_id, "client.created", "[]", &why, err);
}

static int make_tx(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err)
{
    struct make *m = ctx;
    struct arena *a = m->req->arena;
    int64_t id;
    int rc = rights_owner(tx, a, &m->row, m->user_id, err);
    if (!rc)
        rc = insert(tx, m, &id, err);
    if (!rc)
        rc = with_secret(tx, a, id, m->secret, &ret->body, err);
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
    struct shape_row *w = &m->row;
    bool public = str_eq(json_string_value(json_object_get(req->body, "type")), "public");
    shape_read(req->arena, entity()->fields, SHAPE_CREATE, vis_is_admin(&req->who), req->body, w);
    /* What a public client proves itself with needs not be said. */
    if (public && !shape_given(w, "token_endpoint_auth_method"))
        shape_set(w, "token_endpoint_auth_method", db_text("none"));
    check_fields(req, w, public);
    quota_check(req, w, &(struct quota_had){ req->svc->conf->rate_client, 0, 0 });
    res->faults = w->faults;
    int rc = shape_check(w, err);
    if (rc)
        return rc;
    const struct db_val *grants = shape_val(w, "grant_types");
    const struct whole all = { .public = public,
                               .code = holds(grants, "authorization_code"),
                               .client = holds(grants, "client_credentials"),
                               .redirects = shape_val(w, "redirect_uris")->n > 0,
                               .role = shape_text(w, "role") != NULL,
                               .jwks = shape_text(w, "jwks") != NULL,
                               .method = shape_text(w, "token_endpoint_auth_method") };
    check_whole(w, &all);
    rc = shape_check(w, err);
    if (rc)
        return rc;
    int64_t user = shape_i64(w, "user");
    m->user_id = user ? user : req->who.user_id;
    if (m->user_id != req->who.user_id && !vis_is_admin(&req->who))
        return err_at(err, E_forbidden, "/user", "Only administrators register for others.");
    if (str_starts(all.method, "client_secret"))
        m->secret = client_secret_make(req->arena, m->hash);
    return check_rights(req, 0, shape_text(w, "role"), err);
}

int auth_client_create(struct req *req, struct res *res, struct err *err)
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
    struct res *res;
    struct shape_row row;
    int64_t id, overlap_s;
    struct db_rows *old; /* of client_lock */
};
enum {
    O_VERSION,
    O_STATUS,
    O_SCOPES,
    O_TYPE,
    O_METHOD,
    O_GRANTS,
    O_REDIRECTS,
    O_ROLE,
    O_JWKS,
    O_RATE,
    O_QUOTA
};

/* The row, locked, if the caller may see it. */
static int lock(struct db_tx *tx, struct change *c, struct err *err)
{
    struct req *req = c->req;
    const struct db_val v[] = { db_i64(c->id),
                                vis_is_admin(&req->who) ? db_null() : db_i64(req->who.user_id) };
    int rc = db_exec(tx, req->arena, &sql_client_lock, v, ARRAY_LEN(v), &c->old, err);
    if (rc)
        return rc;
    if (!db_nrows(c->old))
        return err_set(err, E_not_found, "There is no oauth_client %lld.", (long long)c->id);
    return req_precondition(req, db_get_i64(c->old, 0, O_VERSION), err);
}

static bool revoked(const struct change *c)
{
    return str_eq(db_str(c->old, 0, O_STATUS), "revoked");
}

static struct db_val list_after(struct change *c, const char *field, size_t col)
{
    const char **list;
    if (shape_given(&c->row, field))
        return *shape_val(&c->row, field);
    size_t n = db_get_texts(c->req->arena, c->old, 0, col, &list);
    return db_texts(list, n);
}

static const char *text_after(struct change *c, const char *field, size_t col)
{
    return shape_given(&c->row, field) ? shape_text(&c->row, field) : db_str(c->old, 0, col);
}

static int check_patch(struct change *c, struct err *err)
{
    struct req *req = c->req;
    struct db_val grants = list_after(c, "grant_types", O_GRANTS);
    const struct whole all = { .public = str_eq(db_str(c->old, 0, O_TYPE), "public"),
                               .code = holds(&grants, "authorization_code"),
                               .client = holds(&grants, "client_credentials"),
                               .redirects = list_after(c, "redirect_uris", O_REDIRECTS).n > 0,
                               .role = text_after(c, "role", O_ROLE) != NULL,
                               .jwks = text_after(c, "jwks", O_JWKS) != NULL,
                               .method = db_str(c->old, 0, O_METHOD) };
    /* What a token can be had by: whoever changes it must have all that the token may. */
    static const char *const ways[] = { "redirect_uris", "grant_types", "jwks", "allowed_networks",
                                        "role" };
    scope_set had = scopes_of(req->arena, c->old, 0, O_SCOPES);
    check_fields(req, &c->row, all.public);
    check_whole(&c->row, &all);
    quota_check(req, &c->row,
                &(struct quota_had){ req->svc->conf->rate_client, db_get_i64(c->old, 0, O_RATE),
                                     db_get_i64(c->old, 0, O_QUOTA) });
    int rc = shape_check(&c->row, err);
    for (size_t i = 0; i < ARRAY_LEN(ways) && !rc; i++)
        if (shape_given(&c->row, ways[i]))
            rc = rights_hold(&req->who, had, "client", err);
    if (rc)
        return rc;
    return check_rights(req, had, shape_given(&c->row, "role") ? shape_text(&c->row, "role") : NULL,
                        err);
}

static const char *const patched[] = {
    "name",         "website",          "redirect_uris",
    "grant_types",  "scopes",           "role",
    "jwks",         "signing_alg",      "require_pushed_requests",
    "dpop_bound",   "allowed_networks", "rate_limit",
    "quota_monthly"
};

static const char *changed_names(struct change *c)
{
    struct buf b;
    buf_init(&b, c->req->arena, 128, 1024);
    buf_putc(&b, '[');
    for (size_t i = 0; i < ARRAY_LEN(patched); i++)
        if (shape_given(&c->row, patched[i]))
            buf_printf(&b, "%s\"%s\"", b.len > 1 ? "," : "", patched[i]);
    buf_putc(&b, ']');
    return b.data;
}

static int patch_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct arena *a = c->req->arena;
    struct auth_cause why = auth_cause_of(c->req);
    struct db_val v[1 + 2 * ARRAY_LEN(patched)] = { db_i64(c->id) };
    struct db_rows *r;
    int rc = lock(tx, c, err);
    if (!rc && revoked(c))
        rc = err_set(err, E_conflict, "A revoked client cannot be changed.");
    if (!rc)
        rc = check_patch(c, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(patched); i++) {
        v[1 + 2 * i] = db_bool(shape_given(&c->row, patched[i]));
        v[2 + 2 * i] = *shape_val(&c->row, patched[i]);
    }
    rc = db_exec(tx, a, &sql_client_update, v, ARRAY_LEN(v), &r, err);
    return rc ? rc : client_event(tx, a, c->id, "client.updated", changed_names(c), &why, err);
}

static int answer(struct change *c, struct err *err)
{
    return crud_answer(c->req, c->res, entity(),
                       arena_printf(c->req->arena, "%lld", (long long)c->id), err);
}

/* What the client may ask for is less now, or it is not at all: its tokens end. */
static int end_tokens(struct change *c, struct err *err)
{
    outbox_wake(c->req->svc->outbox);
    return auth_deny_now(c->req->svc, c->req->arena, "client", c->id, err);
}

int auth_client_patch(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req, .res = res };
    int rc = body_object(req, err);
    if (!rc)
        rc = req_id(req, 0, &c.id, err);
    if (rc)
        return rc;
    shape_read(req->arena, entity()->fields, SHAPE_PATCH, vis_is_admin(&req->who), req->body,
               &c.row);
    res->faults = c.row.faults;
    rc = shape_check(&c.row, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, patch_tx, &c, err);
    if (!rc)
        rc = end_tokens(&c, err);
    return rc ? rc : answer(&c, err);
}

static int delete_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct auth_cause why = auth_cause_of(c->req);
    struct db_rows *r;
    const struct db_val v = db_i64(c->id);
    int rc = lock(tx, c, err);
    if (rc || revoked(c))
        return rc;
    rc = db_exec(tx, c->req->arena, &sql_client_revoke, &v, 1, &r, err);
    return rc ? rc
              : client_event(tx, c->req->arena, c->id, "client.revoked",
                             "[\"status\",\"revoked_at\"]", &why, err);
}

int auth_client_delete(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req, .res = res };
    int rc = req_id(req, 0, &c.id, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, delete_tx, &c, err);
    if (!rc)
        rc = end_tokens(&c, err);
    if (!rc)
        res->status = 204;
    return rc;
}

/* --- secrets ------------------------------------------------------------------------------------
 */

static int rotate_tx(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err)
{
    struct change *c = ctx;
    struct arena *a = c->req->arena;
    struct auth_cause why = auth_cause_of(c->req);
    struct db_rows *r;
    char hash[65];
    int rc = lock(tx, c, err);
    if (!rc && revoked(c))
        rc = err_set(err, E_conflict, "A revoked client cannot be changed.");
    if (!rc && !str_starts(db_str(c->old, 0, O_METHOD), "client_secret"))
        rc = err_set(err, E_conflict, "This client has no secret.");
    if (!rc)
        rc = rights_hold(&c->req->who, scopes_of(a, c->old, 0, O_SCOPES), "client", err);
    if (rc)
        return rc;
    const char *secret = client_secret_make(a, hash);
    const struct db_val v[] = { db_i64(c->id), db_text(hash), db_i64(c->overlap_s) };
    rc = db_exec(tx, a, &sql_client_rotate, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        rc = client_event(tx, a, c->id, "client.updated", "[\"previous_expires_at\"]", &why, err);
    ret->status = 200;
    return rc ? rc : with_secret(tx, a, c->id, secret, &ret->body, err);
}

int auth_client_rotate(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req, .res = res };
    int rc = req_id(req, 0, &c.id, err);
    if (rc)
        return rc;
    shape_read(req->arena, req->route->in->fields, SHAPE_CREATE, false, req->body, &c.row);
    res->faults = c.row.faults;
    rc = shape_check(&c.row, err);
    if (rc)
        return rc;
    c.overlap_s = shape_i64(&c.row, "overlap_seconds");
    return effect_once(req, res, rotate_tx, &c, err);
}

static int forget_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct auth_cause why = auth_cause_of(c->req);
    struct db_rows *r;
    const struct db_val v = db_i64(c->id);
    int rc = lock(tx, c, err);
    if (!rc)
        rc = db_exec(tx, c->req->arena, &sql_client_forget_previous, &v, 1, &r, err);
    if (rc || !db_affected(r))
        return rc;
    return client_event(tx, c->req->arena, c->id, "client.updated", "[\"previous_expires_at\"]",
                        &why, err);
}

int auth_client_forget_previous(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req, .res = res };
    int rc = req_id(req, 0, &c.id, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, forget_tx, &c, err);
    if (rc)
        return rc;
    outbox_wake(req->svc->outbox);
    res->status = 204;
    return 0;
}

/* --- routes -------------------------------------------------------------------------------------
 */

static const struct field_def created_fields[] = {
    { .name = "client_secret",
     .type = F_TEXT,
     .flags = FF_READONLY,
     .format = FMT_LINE,
     .max = 64,
     .example = "\"365s_…\"",
     .doc = "The secret itself: shown here and never again; null if the client has none." },
    { .name = NULL },
};
static const struct field_def rotate_fields[] = {
    { .name = "overlap_seconds",
     .type = F_INT,
     .flags = FF_NONNULL,
     .min = 0,
     .max = overlap_max_s,
     .fallback = "604800",
     .example = "604800",
     .doc = "How long the secret before is accepted too; 0: not any more." },
    { .name = NULL },
};
static const struct shape created = { .name = "OauthClientCreated",
                                      .doc = "A client, with its new secret.",
                                      .fields = created_fields,
                                      .extends = &entity_oauth_client };
static const struct shape rotation = { .name = "SecretRotation",
                                       .doc = "How the secret is replaced.",
                                       .fields = rotate_fields };
_Static_assert(overlap_default_s == 604800, "the default in the table");

#define CLIENTS "/api/v2/auth/clients"
static const int read_errors[] = { 400, 404, 0 };
static const int list_errors[] = { 400, 0 };
static const int create_errors[] = { 409, 415, 422, 0 };
static const int patch_errors[] = { 404, 409, 412, 415, 422, 0 };
static const int delete_errors[] = { 404, 412, 0 };
const struct route auth_client_routes[] = {
    { GET, CLIENTS, crud_list, .scope = "clients:read", .entity = &entity_oauth_client,
     .query = crud_flat_list_params, .flags = ROUTE_LIST | ROUTE_ETAG | ROUTE_NO_BODY,
     .errors = list_errors, .cost = 2, .op_id = "list_oauth_clients",
     .doc = "List your clients; with api:admin everybody's." },
    { POST, CLIENTS, auth_client_create, .scope = "clients:write", .entity = &entity_oauth_client,
     .out = &created, .flags = ROUTE_IDEMPOTENT, .errors = create_errors, .cost = 5, .status = 201,
     .op_id = "create_oauth_client",
     .doc = "Register a client.  Its secret is shown in this answer only." },
    { GET, CLIENTS "/{id}", crud_get, .scope = "clients:read", .entity = &entity_oauth_client,
     .query = crud_flat_get_params, .flags = ROUTE_ETAG | ROUTE_NO_BODY, .errors = read_errors,
     .cost = 1, .op_id = "get_oauth_client", .doc = "Read one client, without its secret." },
    { PATCH, CLIENTS "/{id}", auth_client_patch, .scope = "clients:write",
     .entity = &entity_oauth_client, .flags = ROUTE_MERGE | ROUTE_ETAG, .errors = patch_errors,
     .cost = 5, .op_id = "patch_oauth_client",
     .doc = "Change a client.  Access tokens that it has end; it fetches new ones." },
    { DELETE, CLIENTS "/{id}", auth_client_delete, .scope = "clients:write",
     .entity = &entity_oauth_client, .flags = ROUTE_NO_BODY | ROUTE_ETAG, .errors = delete_errors,
     .cost = 5, .status = 204, .op_id = "delete_oauth_client",
     .doc = "Revoke a client and its tokens, for good." },
    { POST, CLIENTS "/{id}/rotate", auth_client_rotate, .scope = "clients:write",
     .entity = &entity_oauth_client, .in = &rotation, .out = &created,
     .flags = ROUTE_IDEMPOTENT | ROUTE_ETAG, .errors = patch_errors, .cost = 5,
     .op_id = "rotate_oauth_client",
     .doc = "Give a client a new secret; the one before is accepted for overlap_seconds." },
    { DELETE, CLIENTS "/{id}/previous-secret", auth_client_forget_previous,
     .scope = "clients:write", .entity = &entity_oauth_client, .flags = ROUTE_NO_BODY | ROUTE_ETAG,
     .errors = delete_errors, .cost = 5, .status = 204,
     .op_id = "delete_oauth_client_previous_secret",
     .doc = "Refuse the secret before the present one from now on." },
    { .path = NULL },
};
