#include "services/auth/policy.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/cache.h"
#include "common/kit/outbox.h"
#include "services/auth/audit.h"
#include "services/auth/fields.h"
#include "services/auth/rights.h"

#include "auth/sql.h"

enum { P_JSON, P_VERSION, P_NETWORKS, P_CHANGED, P_ROLES };

static bool lists(const char *list, const char *name)
{
    size_t name_n = strlen(name);
    for (const char *p = list; *p;) {
        p += strspn(p, ", ");
        size_t n = strcspn(p, ", ");
        if (n == name_n && !strncmp(p, name, n))
            return true;
        p += n;
    }
    return false;
}

int policy_needs_totp(struct svc *svc, struct arena *a, enum role role, bool *ret, struct err *err)
{
    struct db_rows *r;
    const char **roles;
    *ret = lists(auth_conf_of(svc)->totp_roles, role_name(role));
    if (*ret)
        return 0;
    int rc = db_query(svc->db, a, &sql_policy_get, NULL, 0, &r, err);
    size_t n = rc ? 0 : db_get_texts(a, r, 0, P_ROLES, &roles);
    for (size_t i = 0; i < n; i++)
        *ret = *ret || str_eq(roles[i], role_name(role));
    return rc;
}

/* --- reading ------------------------------------------------------------------------------------
 */

static const char *tag_of(struct arena *a, const struct db_rows *r)
{
    return arena_printf(a, "\"%lld.policy\"", (long long)db_get_i64(r, 0, P_VERSION));
}

static int get(struct req *req, struct res *res, struct err *err)
{
    struct db_rows *r;
    int rc = db_query(req->svc->db, req->arena, &sql_policy_get, NULL, 0, &r, err);
    if (rc)
        return rc;
    buf_printf(&res->body, "{\"data\":%s}", db_str(r, 0, P_JSON));
    res->etag = tag_of(req->arena, r);
    return 0;
}

static const char *state_of(struct arena *a, const struct db_rows *r)
{
    const struct policy_state p = { db_get_i64(r, 0, P_CHANGED), db_str(r, 0, P_NETWORKS) };
    return policy_state_json(a, &p);
}

static int get_internal(struct req *req, struct res *res, struct err *err)
{
    struct db_rows *r;
    int rc = db_query(req->svc->db, req->arena, &sql_policy_get, NULL, 0, &r, err);
    if (rc)
        return rc;
    buf_puts(&res->body, state_of(req->arena, r));
    res->cache_control = "no-store";
    return 0;
}

/* --- changing -----------------------------------------------------------------------------------
 */

struct change {
    struct svc *svc;
    struct arena *a;
    const struct req *req; /* NULL: by hand */
    struct db_val networks, roles;
    bool give_networks, give_roles;
    struct auth_cause why;
    struct db_rows *now; /* policy_get, afterwards */
};

static int change_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct db_rows *r;
    int rc = db_exec(tx, c->a, &sql_policy_lock, NULL, 0, &r, err);
    if (!rc && c->req)
        rc = req_precondition(c->req, db_get_i64(r, 0, 0), err);
    const struct db_val v[] = { db_bool(c->give_networks), c->networks, db_bool(c->give_roles),
                                c->roles };
    if (!rc)
        rc = db_exec(tx, c->a, &sql_policy_update, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        rc = db_exec(tx, c->a, &sql_policy_get, NULL, 0, &c->now, err);
    if (rc)
        return rc;
    const struct audit entry = { .type = "policy.changed",
                                 .subject = "policy",
                                 .user_id = c->req ? c->req->who.user_id : 0,
                                 .event = true,
                                 .data = db_str(c->now, 0, P_JSON) };
    rc = audit_put(tx, c->a, &entry, &c->why, err);
    const struct outbox_event e = { .type = "policy.state",
                                    .key = "policy",
                                    .payload = state_of(c->a, c->now),
                                    .traceparent = c->why.traceparent,
                                    .request_id = c->why.request_id,
                                    .actor = c->why.actor };
    return rc ? rc : outbox_put(tx, c->a, &e, NULL, err);
}

/* Programs that have not heard of it by Kafka ask for it. */
static int change(struct change *c, struct err *err)
{
    struct cache_reply reply;
    struct err late = { 0 };
    int rc = db_tx(c->svc->db, c->a, change_tx, c, err);
    if (rc)
        return rc;
    if (c->svc->outbox)
        outbox_wake(c->svc->outbox);
    const char *const argv[] = {
        "ZADD", "cms365:revoked",
        arena_printf(c->a, "%lld", (long long)(db_get_i64(c->now, 0, P_CHANGED) / 1000)), "policy:1"
    };
    if (c->svc->cache && cache_call(c->svc->cache, c->a, argv, ARRAY_LEN(argv), &reply, &late))
        log_warn("auth.policy_by_kafka_only", kv_s("why", late.detail));
    return 0;
}

static void check(const struct req *req, struct shape_row *row)
{
    const json_t *list = body_list(req, "allowed_networks");
    bool holds = !json_array_size(list);
    body_networks(req, row);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        holds = holds || (s && *s && key_networks_hold(s, req->client_addr));
    }
    if (!holds)
        shape_fault(row, "allowed_networks", "shut_out",
                    arena_printf(req->arena,
                                 "You would shut yourself out: you are at %s, which is in none.",
                                 req->client_addr));
    list = body_list(req, "totp_roles");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && role_find(s) == ROLE_NONE)
            body_fault(req, row, "totp_roles", i, "choice", "There is no such role.");
    }
}

static int patch(struct req *req, struct res *res, struct err *err)
{
    struct shape_row row;
    int rc = body_object(req, err);
    if (rc)
        return rc;
    shape_read(req->arena, req->route->in->fields, SHAPE_PATCH, false, req->body, &row);
    check(req, &row);
    res->faults = row.faults;
    rc = shape_check(&row, err);
    if (rc)
        return rc;
    struct change c = { .svc = req->svc,
                        .a = req->arena,
                        .req = req,
                        .networks = *shape_val(&row, "allowed_networks"),
                        .roles = *shape_val(&row, "totp_roles"),
                        .give_networks = shape_given(&row, "allowed_networks"),
                        .give_roles = shape_given(&row, "totp_roles"),
                        .why = auth_cause_of(req) };
    rc = change(&c, err);
    if (rc)
        return rc;
    buf_printf(&res->body, "{\"data\":%s}", db_str(c.now, 0, P_JSON));
    res->etag = tag_of(req->arena, c.now);
    return 0;
}

int policy_clear_networks(struct svc *svc, char **args, struct err *err)
{
    struct change c = { .svc = svc,
                        .a = svc->arena,
                        .networks = db_texts(NULL, 0),
                        .roles = db_texts(NULL, 0),
                        .give_networks = true,
                        .why = { .actor = "operator" } };
    (void)args;
    int rc = change(&c, err);
    if (!rc)
        printf("{\"cleared\":true}\n");
    return rc;
}

/* --- routes -------------------------------------------------------------------------------------
 */

/* clang-format off */
static const struct field_def fields[] = {
    { .name = "allowed_networks", .type = F_TEXTS, .flags = FF_NONNULL, .format = FMT_LINE,
      .max = 43, .items_max = 64, .example = "[\"192.0.2.0/24\",\"2001:db8::/32\"]",
      .doc = "Networks (CIDR) that keys, tokens, clients and browsers are accepted from at all; empty: any." },
    { .name = "totp_roles", .type = F_TEXTS, .flags = FF_NONNULL, .format = FMT_LINE, .max = 16,
      .items_max = 4, .example = "[\"admin\",\"editor\"]",
      .doc = "Roles that cannot sign in without a second factor, beside those of CMS365_TOTP_ROLES." },
    { .name = "version", .type = F_INT, .flags = FF_READONLY | FF_NONNULL, .min = 1,
      .max = INT64_C(1) << 53, .example = "3", .doc = "Grows with each change." },
    { .name = "updated_at", .type = F_TIME, .flags = FF_READONLY | FF_NONNULL,
      .example = "\"2026-02-19T08:00:00.000000Z\"", .doc = "When it was changed last." },
    { .name = NULL },
};
/* clang-format on */
static const struct shape policy_shape = { .name = "Policy",
                                           .doc = "What holds for everybody's credentials.",
                                           .fields = fields };
#define POLICY "/api/v2/auth/policy"
static const int patch_errors[] = { 409, 412, 415, 422, 0 };
const struct route auth_policy_routes[] = {
    { GET, POLICY, get, .scope = "settings:read", .out = &policy_shape,
     .flags = ROUTE_ETAG | ROUTE_NO_BODY, .cost = 1, .op_id = "get_policy",
     .doc = "Read the organisation's policy." },
    { PATCH, POLICY, patch, .scope = "settings:write", .in = &policy_shape, .out = &policy_shape,
     .flags = ROUTE_MERGE | ROUTE_ETAG, .errors = patch_errors, .cost = 5, .op_id = "patch_policy",
     .doc =
          "Change it.  Networks hold everywhere within a second; a list without your own address "
          "is refused." },
    { GET, "/internal/auth/policy", get_internal, .flags = ROUTE_INTERNAL,
     .op_id = "internal_policy", .doc = "The networks as programs keep them." },
    { .path = NULL },
};
