#include "services/auth/auth.h"

#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/idem.h"
#include "common/kit/migrate.h"
#include "common/kit/outbox.h"
#include "common/kit/query.h"
#include "services/auth/audit.h"
#include "services/auth/jwk.h"
#include "services/auth/oauth.h"
#include "services/auth/password.h"
#include "services/auth/policy.h"
#include "services/auth/quota.h"
#include "services/auth/session.h"
#include "services/auth/totp.h"

#pragma GCC diagnostic ignored "-Woverlength-strings" /* migrations are long, and gcc takes them   \
                                                       */
#include "auth/migrations.h"
#include "auth/sql.h"

enum { page_default = 500, page_max = 1000 };

/* --- between programs ---------------------------------------------------------------------------
 */

static int states(struct req *req, int64_t after, int64_t last, bool revoked, int64_t limit,
                  struct db_rows **ret, struct err *err)
{
    const struct db_val v[] = { db_i64(after), db_i64(last), db_bool(revoked), db_i64(limit) };
    return db_query(req->svc->db, req->arena, &sql_key_states, v, ARRAY_LEN(v), ret, err);
}

static int get_states(struct req *req, struct res *res, struct err *err)
{
    int64_t after = 0, limit = page_default;
    struct db_rows *r;
    const char *a = req_arg(req, "after"), *l = req_arg(req, "limit");
    if (a && !str_to_i64(a, 0, INT64_MAX, &after))
        return err_at(err, E_invalid_parameter, "after", "after must be an id.");
    if (l && !str_to_i64(l, 1, page_max, &limit))
        return err_at(err, E_invalid_parameter, "limit", "limit must be 1 to %d.", page_max);
    int rc = states(req, after, INT64_MAX, false, limit, &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++) {
        buf_puts(&res->body, auth_state_json(req->arena, r, i));
        buf_putc(&res->body, '\n');
    }
    res->content_type = "application/x-ndjson";
    res->cache_control = "no-store";
    return rc;
}

static int get_state(struct req *req, struct res *res, struct err *err)
{
    int64_t id;
    struct db_rows *r;
    int rc = req_id(req, 0, &id, err);
    if (!rc)
        rc = states(req, id - 1, id, true, 1, &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no key %lld.", (long long)id);
    buf_puts(&res->body, auth_state_json(req->arena, r, 0));
    res->cache_control = "no-store";
    return 0;
}

static const struct param_def state_params[] = {
    { "after", "integer", 0, INT64_MAX, "Ids greater than this." },
    { "limit", "integer", 1, page_max, "Lines at most." },
    { .name = NULL },
};
const struct route auth_internal_routes[] = {
    { GET, "/internal/auth/keys", get_states, .flags = ROUTE_INTERNAL, .query = state_params,
     .produces = "application/x-ndjson", .op_id = "internal_keys",
     .doc = "The state of every key that is not revoked, a line each, by id." },
    { GET, "/internal/auth/keys/{id}", get_state, .flags = ROUTE_INTERNAL, .op_id = "internal_key",
     .doc = "The state of one key." },
    { .path = NULL },
};

/* --- keys ---------------------------------------------------------------------------------------
 */

extern const struct entity_def entity_api_key;

static const struct field_def created_fields[] = {
    { .name = "key",
     .type = F_TEXT,
     .flags = FF_READONLY | FF_NONNULL,
     .format = FMT_LINE,
     .max = key_text_max,
     .example = "\"365k_live_12_…\"",
     .doc = "The key itself: shown here and never again." },
    { .name = NULL },
};
static const struct shape created = { .name = "ApiKeyCreated",
                                      .doc = "A new key, with the key itself.",
                                      .fields = created_fields,
                                      .extends = &entity_api_key };

#define KEYS "/api/v2/auth/keys"
static const int read_errors[] = { 400, 404, 0 };
static const int list_errors[] = { 400, 0 };
static const int create_errors[] = { 409, 415, 422, 0 };
static const int patch_errors[] = { 404, 409, 412, 415, 422, 0 };
static const int revoke_errors[] = { 404, 412, 0 };
const struct route auth_key_routes[] = {
    { GET, KEYS, crud_list, .scope = "keys:read", .entity = &entity_api_key,
     .query = crud_flat_list_params, .flags = ROUTE_LIST | ROUTE_ETAG | ROUTE_NO_BODY,
     .errors = list_errors, .cost = 2, .op_id = "list_api_keys",
     .doc = "List your keys; with api:admin everybody's." },
    { POST, KEYS, auth_key_create, .scope = "keys:write", .entity = &entity_api_key,
     .out = &created, .flags = ROUTE_IDEMPOTENT, .errors = create_errors, .cost = 5, .status = 201,
     .op_id = "create_api_key",
     .doc = "Make a key.  It is shown in this answer only, and has no more scopes than yours." },
    { GET, KEYS "/{id}", crud_get, .scope = "keys:read", .entity = &entity_api_key,
     .query = crud_flat_get_params, .flags = ROUTE_ETAG | ROUTE_NO_BODY, .errors = read_errors,
     .cost = 1, .op_id = "get_api_key", .doc = "Read one key, without the key itself." },
    { PATCH, KEYS "/{id}", auth_key_patch, .scope = "keys:write", .entity = &entity_api_key,
     .flags = ROUTE_MERGE | ROUTE_ETAG, .errors = patch_errors, .cost = 5,
     .op_id = "patch_api_key",
     .doc = "Change name, device, expiry, networks, or scopes within what it or you have." },
    { DELETE, KEYS "/{id}", auth_key_delete, .scope = "keys:write", .entity = &entity_api_key,
     .flags = ROUTE_NO_BODY | ROUTE_ETAG, .errors = revoke_errors, .cost = 5, .status = 204,
     .op_id = "delete_api_key",
     .doc = "Revoke a key: refused everywhere within a second, for good." },
    { POST, KEYS "/{id}/revoke", auth_key_revoke, .scope = "keys:write", .entity = &entity_api_key,
     .flags = ROUTE_NO_BODY | ROUTE_ETAG, .errors = revoke_errors, .cost = 5,
     .op_id = "revoke_api_key", .doc = "Revoke a key and answer with its last state." },
    { .path = NULL },
};

/* --- the program --------------------------------------------------------------------------------
 */

static const struct route *const routes[] = { auth_key_routes,
                                              auth_rotation_routes,
                                              auth_client_routes,
                                              auth_grant_routes,
                                              auth_oauth_routes,
                                              auth_session_routes,
                                              auth_sessions_routes,
                                              auth_password_routes,
                                              auth_people_routes,
                                              auth_totp_routes,
                                              auth_audit_routes,
                                              auth_quota_routes,
                                              auth_policy_routes,
                                              auth_sandbox_routes,
                                              auth_internal_routes,
                                              auth_denial_routes,
                                              NULL };
static const struct db_stmt *const fast[] = { &sql_client_find, NULL };
static const struct svc_verb verbs[] = {
    { "--bootstrap-admin", "USERID",
     "give the first administrator the password of CMS365_ADMIN_PASSWORD and a key; prints "
      "{\"key\":…}", 1, auth_bootstrap_admin },
    { "--rotate-signing-keys", "SECONDS",
     "make new keys that sign access tokens from SECONDS on; those before are accepted until what "
      "they signed is over", 1, auth_rotate_signing_keys },
    { "--clear-networks", "",
     "accept credentials from everywhere again: for who shut themselves out by the policy", 0,
     policy_clear_networks },
    { "--verify-audit", "",
     "walk the chain of the audit log; prints {\"ok\":…}, and fails with the first entry that "
      "does "
      "not fit", 0, audit_verify_verb },
    { .name = NULL },
};
static const struct job_def jobs[] = {
    { "signing-keys", "Makes keys that sign access tokens, and learns of them.", signing_job },
    { "expire", "Marks keys whose time is over.", auth_expire_job },
    { "refill", "Gives Redis back what it has lost: revocations and quotas.", auth_refill_job },
    { "key-warnings", "Tells of keys that are about to end.", auth_warn_job },
    { "audit", "Chains the entries of the audit log.", audit_job },
    { "password-mail", "Sends the links that people ask for.", password_job },
    { "idempotency", "Drops idempotency records past their time.", idem_job },
    { .name = NULL },
};

/* The first migration also makes the tables that the kit keeps in every program. */
const struct migration *auth_migrations(struct arena *a)
{
    struct migration *m = arena_alloc(a, sizeof(migrations));
    memcpy(m, migrations, sizeof(migrations));
    m[0].sql = arena_printf(a, "%s%s%s%s", migrations[0].sql, outbox_schema_sql, inbox_schema_sql,
                            idem_schema_sql);
    migrate_append(a, m, "0005_outbox_also", outbox_also_sql);
    return m;
}

int auth_init(struct svc *svc, struct err *err)
{
    struct auth_state *state = arena_alloc(svc->arena, sizeof(*state));
    (void)err;
    state->signers = signers_new();
    svc->state = state;
    return 0;
}

void auth_done(struct svc *svc)
{
    struct auth_state *state = svc->state;
    if (state)
        signers_free(state->signers);
    svc->state = NULL;
}

const struct svc_def *auth_def(void)
{
    static struct { /* one a process; made before there are threads */
        struct svc_def def;
        struct arena *arena; /* of what the definition points to */
    } the;
    if (!the.arena) {
        the.arena = arena_new();
        the.def = (struct svc_def){ .name = "auth",
                                    .doc = "API keys, OAuth, and the people they belong to.",
                                    .schema = "auth",
                                    .conf = auth_conf_defs,
                                    .conf_size = sizeof(struct auth_conf),
                                    .routes = routes,
                                    .consumers = auth_consumers,
                                    .jobs = jobs,
                                    .fast = fast,
                                    .init = auth_init,
                                    .done = auth_done,
                                    .verbs = verbs,
                                    .migrations = auth_migrations(the.arena) };
    }
    return &the.def;
}
