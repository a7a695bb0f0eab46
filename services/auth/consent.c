/* /api/v2/auth/grants: what people let clients do, narrowed and revoked. */
#include "services/auth/oauth.h"

#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/outbox.h"
#include "common/kit/shape.h"

#include "auth/sql.h"

struct change {
    struct req *req;
    struct shape_row row;
    int64_t id;
    struct db_rows *families; /* whose access tokens end */
};

/* The row, locked, if the caller may see it; *ret_scopes: what it holds. */
static int lock(struct db_tx *tx, struct change *c, scope_set *ret_scopes, bool *ret_revoked,
                struct err *err)
{
    struct req *req = c->req;
    struct db_rows *r;
    const struct db_val v[] = { db_i64(c->id),
                                vis_is_admin(&req->who) ? db_null() : db_i64(req->who.user_id) };
    int rc = db_exec(tx, req->arena, &sql_grant_lock, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no oauth_grant %lld.", (long long)c->id);
    *ret_revoked = str_eq(db_str(r, 0, 1), "revoked");
    *ret_scopes = scopes_of(req->arena, r, 0, 2);
    return req_precondition(req, db_get_i64(r, 0, 0), err);
}

static int end_tokens(struct change *c, struct err *err)
{
    struct svc *svc = c->req->svc;
    size_t n = db_nrows(c->families);
    int64_t *ids = arena_alloc(c->req->arena, (n + 1) * sizeof(*ids));
    for (size_t i = 0; i < n; i++)
        ids[i] = db_get_i64(c->families, i, 0);
    outbox_wake(svc->outbox);
    return auth_deny_all(svc, c->req->arena, "family", ids, n, err);
}

/* --- narrowing ----------------------------------------------------------------------------------
 */

static scope_set wanted(const struct req *req)
{
    const json_t *list = json_object_get(req->body, "scopes");
    scope_set set = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        int s = scope_find(json_string_value(json_array_get(list, i)));
        set |= s >= 0 ? (scope_set)1 << s : 0;
    }
    return set;
}

static int patch_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct arena *a = c->req->arena;
    struct auth_cause why = auth_cause_of(c->req);
    struct db_rows *r;
    scope_set had, want = wanted(c->req);
    bool revoked;
    int rc = lock(tx, c, &had, &revoked, err);
    if (!rc && revoked)
        rc = err_set(err, E_conflict, "A revoked consent cannot be changed.");
    if (rc)
        return rc;
    if (want & ~scope_expand(had))
        shape_fault(&c->row, "scopes", "choice", "Consent is narrowed here, not widened.");
    rc = shape_check(&c->row, err);
    const struct db_val v[] = { db_i64(c->id), scopes_val(a, want) };
    if (!rc)
        rc = db_exec(tx, a, &sql_grant_update, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        rc = grant_event(tx, a, c->id, "grant.updated", "[\"scopes\"]", &why, err);
    return rc ? rc : db_exec(tx, a, &sql_grant_families, v, 1, &c->families, err);
}

int auth_grant_patch(struct req *req, struct res *res, struct err *err)
{
    const struct entity_def *e = &entity_oauth_grant;
    struct change c = { .req = req };
    if (!json_is_object(req->body))
        return err_set(err, E_invalid_json, "A JSON object is needed as the body.");
    int rc = req_id(req, 0, &c.id, err);
    if (rc)
        return rc;
    shape_read(req->arena, e->fields, SHAPE_PATCH, false, req->body, &c.row);
    const json_t *list = json_object_get(req->body, "scopes");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (scope_find(json_string_value(json_array_get(list, i))) < 0)
            err_list_add(c.row.faults, arena_printf(req->arena, "/scopes/%zu", i), "choice",
                         "There is no such scope.");
    if (!json_array_size(list))
        shape_fault(&c.row, "scopes", "required", "Say which scopes stay; DELETE revokes all.");
    res->faults = c.row.faults;
    rc = shape_check(&c.row, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, patch_tx, &c, err);
    if (!rc)
        rc = end_tokens(&c, err);
    return rc ? rc
              : crud_answer(req, res, e, arena_printf(req->arena, "%lld", (long long)c.id), err);
}

/* --- revoking -----------------------------------------------------------------------------------
 */

static int delete_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct arena *a = c->req->arena;
    struct auth_cause why = auth_cause_of(c->req);
    struct db_rows *r;
    scope_set had;
    bool revoked;
    const struct db_val v = db_i64(c->id);
    int rc = lock(tx, c, &had, &revoked, err);
    if (!rc) /* again if it was revoked before: that call may have failed after its commit */
        rc = db_exec(tx, a, &sql_grant_families_revoke, &v, 1, &r, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_grant_families_ended, &v, 1, &c->families, err);
    if (rc || revoked)
        return rc;
    rc = db_exec(tx, a, &sql_grant_revoke, &v, 1, &r, err);
    return rc ? rc
              : grant_event(tx, a, c->id, "grant.revoked", "[\"status\",\"revoked_at\"]", &why,
                            err);
}

int auth_grant_delete(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req };
    int rc = req_id(req, 0, &c.id, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, delete_tx, &c, err);
    if (!rc)
        rc = end_tokens(&c, err);
    if (!rc)
        res->status = 204;
    return rc;
}

#define GRANTS "/api/v2/auth/grants"
static const int read_errors[] = { 400, 404, 0 };
static const int list_errors[] = { 400, 0 };
static const int patch_errors[] = { 404, 409, 412, 415, 422, 0 };
static const int delete_errors[] = { 404, 412, 0 };
const struct route auth_grant_routes[] = {
    { GET, GRANTS, crud_list, .scope = "grants:read", .entity = &entity_oauth_grant,
     .query = crud_flat_list_params, .flags = ROUTE_LIST | ROUTE_ETAG | ROUTE_NO_BODY,
     .errors = list_errors, .cost = 2, .op_id = "list_oauth_grants",
     .doc = "List which clients you let act for you; with api:admin everybody's." },
    { GET, GRANTS "/{id}", crud_get, .scope = "grants:read", .entity = &entity_oauth_grant,
     .query = crud_flat_get_params, .flags = ROUTE_ETAG | ROUTE_NO_BODY, .errors = read_errors,
     .cost = 1, .op_id = "get_oauth_grant", .doc = "Read one consent." },
    { PATCH, GRANTS "/{id}", auth_grant_patch, .scope = "grants:write",
     .entity = &entity_oauth_grant, .flags = ROUTE_MERGE | ROUTE_ETAG, .errors = patch_errors,
     .cost = 5, .op_id = "patch_oauth_grant",
     .doc = "Narrow what a client may do for you; its next tokens have that." },
    { DELETE, GRANTS "/{id}", auth_grant_delete, .scope = "grants:write",
     .entity = &entity_oauth_grant, .flags = ROUTE_NO_BODY | ROUTE_ETAG, .errors = delete_errors,
     .cost = 5, .status = 204, .op_id = "delete_oauth_grant",
     .doc = "Let a client no longer act for you: its tokens are refused within a second." },
    { .path = NULL },
};
