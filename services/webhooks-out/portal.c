#include "services/webhooks-out/portal.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/crud.h"
#include "common/kit/outbox.h"
#include "common/kit/shape.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

extern const struct entity_def entity_webhook_portal;

enum { answer_bytes_max = 9 * 1024 * 1024 };

/* --- events --- */

static int read_json(struct db_tx *tx, struct arena *a, int64_t id, json_t **ret, struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(id);
    int rc = db_exec(tx, a, &sql_portal_json, &v, 1, &r, err);
    if (rc)
        return rc;
    const char *text = db_nrows(r) ? db_str(r, 0, 0) : NULL;
    return text ? json_parse(a, text, strlen(text), ret, err)
                : err_set(err, E_not_found, "There is no webhook_portal %lld.", (long long)id);
}

static int tell(struct db_tx *tx, struct req *req, const char *type, int64_t id, bool by_link,
                json_t **ret, struct err *err)
{
    struct arena *a = req->arena;
    int rc = read_json(tx, a, id, ret, err);
    if (rc)
        return rc;
    const json_t *owner = json_object_get(json_object_get(*ret, "user"), "id");
    const struct outbox_event e = {
        .type = type,
        .key = arena_printf(a, "webhook_portal:%lld", (long long)id),
        .payload = json_text(a, json_in(a, json_pack("{s:O, s:[], s:O}", "data", *ret, "changed",
                                                     "owner_id", owner))),
        .traceparent = req->traceparent,
        .request_id = req->request_id,
        .actor = by_link ? arena_printf(a, "portal:%lld", (long long)id)
                         : arena_printf(a, "user:%lld key:%lld", (long long)req->who.user_id,
                                        (long long)req->who.key_id),
    };
    return outbox_put(tx, a, &e, NULL, err);
}

/* --- making and revoking -------------------------------------------------------------------------
 */

struct make {
    struct req *req;
    struct shape_row row;
    int64_t ids[portal_endpoints_max], id;
    size_t n;
    const char *token;
    json_t *answer;
};

static const char *hash_of(struct arena *a, const char *token)
{
    char hex[sha256_hex_len + 1];
    sha256_hex(token, strlen(token), hex);
    return arena_strdup(a, hex);
}

static int make_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct make *m = ctx;
    struct req *req = m->req;
    struct arena *a = req->arena;
    struct db_rows *r;
    const struct db_val mine[] = { db_i64s(m->ids, m->n), db_bool(vis_is_admin(&req->who)),
                                   db_i64(req->who.user_id) };
    int rc = db_exec(tx, a, &sql_portal_endpoints, mine, ARRAY_LEN(mine), &r, err);
    if (rc)
        return rc;
    if (db_get_i64(r, 0, 0) != (int64_t)m->n)
        return err_set(err, E_not_found,
                       "There is no such webhook_endpoint, or not all are one user's.");
    const struct db_val v[] = { mine[0],
                                *shape_val(&m->row, "label"),
                                *shape_val(&m->row, "can_resend"),
                                *shape_val(&m->row, "can_rotate"),
                                db_text(hash_of(a, m->token)),
                                *shape_val(&m->row, "expires_in_seconds") };
    rc = db_exec(tx, a, &sql_portal_add, v, ARRAY_LEN(v), &r, err);
    return rc ? rc
              : tell(tx, req, "webhook.portal.created", db_get_i64(r, 0, 0), false, &m->answer,
                     err);
}

static int make(struct make *m, struct res *res, struct err *err)
{
    struct req *req = m->req;
    unsigned char raw[portal_token_bytes];
    int rc = shape_check(&m->row, err);
    if (rc)
        return rc;
    if (!req->who.user_id)
        return err_set(err, E_forbidden, "A portal belongs to a user; this credential has none.");
    random_bytes(raw, sizeof(raw));
    m->token = b64url_encode(req->arena, raw, sizeof(raw));
    rc = db_tx(req->svc->db, req->arena, make_tx, m, err);
    if (rc)
        return rc;
    events_wake(req->svc);
    json_object_set_new(m->answer, "url",
                        json_string(arena_printf(req->arena, "%s/webhooks/portal/%s",
                                                 req->svc->conf->public_url, m->token)));
    res->status = 201;
    res->cache_control = "no-store";
    res->location = arena_printf(req->arena, "%s%s/%lld", req->svc->conf->public_url,
                                 entity_webhook_portal.path,
                                 (long long)json_integer_value(json_object_get(m->answer, "id")));
    res_json(res, m->answer);
    return 0;
}

static void read_make(struct make *m, struct res *res)
{
    const json_t *body = m->req->body ? m->req->body : json_in(m->req->arena, json_object());
    shape_read(m->req->arena, m->req->route->in->fields, SHAPE_CREATE, false, body, &m->row);
    res->faults = m->row.faults;
}

int portal_make_one(struct req *req, struct res *res, struct err *err)
{
    struct make m = { .req = req, .n = 1 };
    int rc = req_id(req, 0, &m.ids[0], err);
    if (rc)
        return rc;
    read_make(&m, res);
    return make(&m, res, err);
}

int portal_make(struct req *req, struct res *res, struct err *err)
{
    struct make m = { .req = req };
    read_make(&m, res);
    const json_t *list = json_object_get(req->body, "endpoint_ids");
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && m.n < portal_endpoints_max; i++) {
        int64_t id = json_integer_value(json_array_get(list, i));
        bool twice = false;
        for (size_t k = 0; k < m.n; k++)
            twice |= m.ids[k] == id;
        if (!twice)
            m.ids[m.n++] = id;
    }
    if (!n || n > portal_endpoints_max)
        shape_fault(&m.row, "endpoint_ids", "format", "Is a list of 1 to 100 ids of endpoints.");
    return make(&m, res, err);
}

struct revoke {
    struct req *req;
    int64_t id;
};

static int revoke_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    const struct revoke *c = ctx;
    struct req *req = c->req;
    struct db_rows *r;
    json_t *ignored;
    const struct db_val v[] = { db_i64(c->id), db_bool(vis_is_admin(&req->who)),
                                db_i64(req->who.user_id) };
    int rc = db_exec(tx, req->arena, &sql_portal_revoke, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no webhook_portal %lld.", (long long)c->id);
    return db_get_bool(r, 0, 0)
               ? tell(tx, req, "webhook.portal.revoked", c->id, false, &ignored, err)
               : 0;
}

int portal_revoke(struct req *req, struct res *res, struct err *err)
{
    struct revoke c = { .req = req };
    int rc = req_id(req, 0, &c.id, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, revoke_tx, &c, err);
    if (rc)
        return rc;
    events_wake(req->svc);
    res->status = 204;
    return 0;
}

/* --- behind the link -----------------------------------------------------------------------------
 */

static int nothing(struct err *err)
{
    return err_set(err, E_not_found, "There is nothing at this path.");
}

int portal_open(struct req *req, struct portal *ret, struct err *err)
{
    struct arena *a = req->arena;
    const char *token = req->params[0];
    struct db_rows *r;
    json_t *list;
    if (strlen(token) > 64)
        return nothing(err);
    const struct db_val v = db_text(hash_of(a, token));
    int rc = db_query(req->svc->db, a, &sql_portal_find, &v, 1, &r, err);
    if (rc || !db_nrows(r))
        return rc ? rc : nothing(err);
    *ret = (struct portal){ .id = db_get_i64(r, 0, 0),
                            .user_id = db_get_i64(r, 0, 1),
                            .label = db_str(r, 0, 2),
                            .can_resend = db_get_bool(r, 0, 4),
                            .can_rotate = db_get_bool(r, 0, 5),
                            .expires_at = db_str(r, 0, 6),
                            .token = token };
    rc = json_parse(a, db_str(r, 0, 3), strlen(db_str(r, 0, 3)), &list, err);
    for (size_t i = 0; !rc && i < json_array_size(list) && i < portal_endpoints_max; i++)
        ret->endpoints[ret->n++] = json_integer_value(json_array_get(list, i));
    const struct db_val used[] = { db_i64(ret->id), db_null() };
    if (!rc && db_get_bool(r, 0, 7))
        rc = db_query(req->svc->db, a, &sql_portal_used, used, ARRAY_LEN(used), &r, err);
    return rc;
}

bool portal_has(const struct portal *p, int64_t endpoint)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->endpoints[i] == endpoint)
            return true;
    return false;
}

int portal_call(struct req *req, const struct portal *p, const char *op_id, const char *id,
                const json_t *body, const json_t **ret, struct err *err)
{
    const struct route *route = webhook_routes;
    struct req inner = *req;
    struct res res = { .arena = req->arena };
    json_t *tree = NULL;
    while (!str_eq(route->op_id, op_id))
        route++;
    inner.route = route;
    inner.params[0] = id;
    inner.body = body;
    inner.nargs = 0;
    inner.idempotency_key = NULL;
    inner.who =
        (struct principal){ .user_id = p->user_id,
                            .role = ROLE_MEMBER, /* no more than the owner of these endpoints */
                            .scopes = (scope_set)1 << S_webhooks_read | (scope_set)1
                                                                            << S_webhooks_write };
    buf_init(&res.body, req->arena, 4096, answer_bytes_max);
    int rc = route->fn(&inner, &res, err);
    if (!rc && res.body.len)
        rc = json_parse(req->arena, res.body.data, res.body.len, &tree, err);
    *ret = rc ? NULL : json_object_get(tree, "data");
    return rc;
}

struct did {
    struct req *req;
    const struct portal *p;
    const char *what;
};

static int did_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    const struct did *d = ctx;
    struct db_rows *r;
    json_t *ignored;
    const struct db_val v[] = { db_i64(d->p->id), db_text(d->what) };
    int rc = db_exec(tx, d->req->arena, &sql_portal_used, v, ARRAY_LEN(v), &r, err);
    return rc ? rc : tell(tx, d->req, "webhook.portal.used", d->p->id, true, &ignored, err);
}

int portal_did(struct req *req, const struct portal *p, const char *what, struct err *err)
{
    struct did d = { req, p, what };
    int rc = db_tx(req->svc->db, req->arena, did_tx, &d, err);
    if (!rc)
        events_wake(req->svc);
    return rc;
}

/* --- routes --------------------------------------------------------------------------------------
 */

/* clang-format off */
#define MAKE_FIELDS \
    { .name = "label", .type = F_TEXT, .format = FMT_LINE, .max = 255, .example = "\"Shop team\"", .doc = "Whom it is for." }, \
    { .name = "expires_in_seconds", .type = F_INT, .flags = FF_NONNULL, .min = portal_life_min_s, .max = portal_life_max_s, \
      .fallback = "3600", .example = "3600", .doc = "How long it works." }, \
    { .name = "can_resend", .type = F_BOOL, .flags = FF_NONNULL, .fallback = "true", .example = "true", \
      .doc = "Whether deliveries may be sent again." }, \
    { .name = "can_rotate", .type = F_BOOL, .flags = FF_NONNULL, .fallback = "false", .example = "false", \
      .doc = "Whether the signing secret may be replaced, which shows the new one." }
static const struct field_def one_fields[] = { MAKE_FIELDS, { .name = NULL } };
static const struct field_def many_fields[] = {
    { .name = "endpoint_ids", .type = F_JSON, .flags = FF_REQUIRED, .format = FMT_LIST, .max = 4096, .example = "[5,6]",
      .doc = "Endpoints of one user." },
    MAKE_FIELDS, { .name = NULL }
};
static const struct field_def made_fields[] = {
    { .name = "url", .type = F_TEXT, .flags = FF_READONLY | FF_NONNULL, .format = FMT_LINE, .max = 2048,
      .example = "\"https://cms.example.com/webhooks/portal/pXw0…\"", .doc = "The link: shown here and never again." },
    { .name = NULL },
};
static const struct shape one = { .name = "WebhookPortalMake", .doc = "A link to one endpoint.", .fields = one_fields };
static const struct shape many = { .name = "WebhookPortalMakeMany", .doc = "A link to several endpoints.", .fields = many_fields };
static const struct shape made = { .name = "WebhookPortalMade", .doc = "The link, shown once.", .fields = made_fields,
                                   .extends = &entity_webhook_portal };
static const int make_errors[] = { 403, 404, 415, 422, 0 }, read_errors[] = { 400, 404, 0 }, list_errors[] = { 400, 0 },
                 form_errors[] = { 303, 400, 403, 404, 0 };
static const struct param_def lang_params[] = {
    { "lang", "string", 0, 8, "de or en; absent: as the browser asks." },
    { 0 },
};
static const struct param_def log_params[] = {
    { "lang", "string", 0, 8, "de or en; absent: as the browser asks." },
    { "status", "string", 0, 20, "Only deliveries of this status." },
    { "after", "string", 0, 40, "Those older than this delivery." },
    { 0 },
};
#define PORTALS "/api/v2/webhooks/portals"
#define PAGE    "/webhooks/portal/{token}"
#define READ    ROUTE_PUBLIC | ROUTE_FOREIGN | ROUTE_NO_BODY
#define FORM    ROUTE_PUBLIC | ROUTE_FOREIGN | ROUTE_RAW_BODY
const struct route portal_routes[] = {
    { POST, "/api/v2/webhooks/endpoints/{id}/portal", portal_make_one, .scope = "webhooks:write", .in = &one, .out = &made,
      .errors = make_errors, .cost = 5, .status = 201, .op_id = "make_webhook_endpoint_portal",
      .doc = "A link for the receiver's own engineer: this endpoint, its log, sending again." },
    { POST, PORTALS, portal_make, .scope = "webhooks:write", .in = &many, .out = &made, .errors = make_errors, .cost = 5,
      .status = 201, .op_id = "make_webhook_portal", .doc = "The same for several endpoints." },
    { GET, PORTALS, crud_list, .scope = "webhooks:read", .entity = &entity_webhook_portal, .query = crud_flat_list_params,
      .flags = ROUTE_LIST | ROUTE_ETAG | ROUTE_NO_BODY, .errors = list_errors, .cost = 2, .op_id = "list_webhook_portals",
      .doc = "The links that were made, without their tokens." },
    { GET, PORTALS "/{id}", crud_get, .scope = "webhooks:read", .entity = &entity_webhook_portal, .query = crud_flat_get_params,
      .flags = ROUTE_ETAG | ROUTE_NO_BODY, .errors = read_errors, .cost = 1, .op_id = "get_webhook_portal", .doc = "One link." },
    { DELETE, PORTALS "/{id}", portal_revoke, .scope = "webhooks:write", .flags = ROUTE_NO_BODY, .errors = read_errors, .cost = 5,
      .status = 204, .op_id = "revoke_webhook_portal", .doc = "The link works no longer." },
    { GET, PAGE, portal_home, .flags = READ, .query = lang_params, .produces = "text/html", .errors = read_errors, .cost = 2,
      .op_id = "portal_home", .doc = "Page: the endpoints of a link." },
    { GET, PAGE "/events", portal_events, .flags = READ, .query = lang_params, .produces = "text/html", .errors = read_errors,
      .cost = 1, .op_id = "portal_events", .doc = "Page: the types of events." },
    { GET, PAGE "/endpoints/{id}", portal_endpoint, .flags = READ, .query = log_params, .produces = "text/html",
      .errors = read_errors, .cost = 2, .op_id = "portal_endpoint", .doc = "Page: an endpoint and its log." },
    { GET, PAGE "/deliveries/{id}", portal_delivery, .flags = READ, .query = lang_params, .produces = "text/html",
      .errors = read_errors, .cost = 2, .op_id = "portal_delivery", .doc = "Page: a delivery, its payload and attempts." },
    { POST, PAGE "/deliveries/{id}/resend", portal_resend, .flags = FORM, .query = lang_params, .takes = "application/x-www-form-urlencoded",
      .body_max = 1024, .produces = "text/html", .errors = form_errors, .cost = 5, .op_id = "portal_resend", .doc = "Form: send a delivery again." },
    { POST, PAGE "/endpoints/{id}/recover", portal_recover, .flags = FORM, .query = lang_params, .takes = "application/x-www-form-urlencoded",
      .body_max = 1024, .produces = "text/html", .errors = form_errors, .cost = 5, .op_id = "portal_recover",
      .doc = "Form: send again what was given up in the last seven days." },
    { POST, PAGE "/endpoints/{id}/rotate", portal_rotate, .flags = FORM, .query = lang_params, .takes = "application/x-www-form-urlencoded",
      .body_max = 1024, .produces = "text/html", .errors = form_errors, .cost = 5, .op_id = "portal_rotate", .doc = "Form: another secret." },
    { .path = NULL },
};
/* clang-format on */
