/* Sources: making, changing, removing them, and their secrets.  Reading them is crud's. */
#include "services/webhooks-in/webhooks_in.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/idem.h"
#include "common/kit/outbox.h"
#include "common/kit/shape.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-in/sql.h"

enum { secret_bytes = 32, secret_chars_min = 8, slug_tries_max = 100 };

const struct db_stmt *const *hooks_statements(void)
{
    return sql_all;
}

static const struct entity_def *entity(void)
{
    return entity_find("webhook_source");
}

/* What requests are judged by changed, and others are told. */
static void events_wake(struct svc *svc)
{
    source_cache_drop(hooks_of(svc)->sources);
    if (svc->outbox)
        outbox_wake(svc->outbox);
}

/* --- secrets -------------------------------------------------------------------------------------
 */

static const char *context(struct arena *a, int64_t source)
{
    return arena_printf(a, "sources.secret:%lld", (long long)source);
}

char *secret_seal(const struct keyring *k, struct arena *a, int64_t source, const char *secret)
{
    return crypto_seal(k, a, context(a, source), secret, strlen(secret));
}

int secret_open(const struct keyring *k, struct arena *a, int64_t source, const char *sealed,
                const char **ret, struct err *err)
{
    void *text;
    size_t n;
    int rc = crypto_open(k, a, context(a, source), sealed, &text, &n, err);
    if (!rc)
        *ret = arena_strndup(a, text, n);
    return rc;
}

static const char *make_secret(struct arena *a, const struct provider_def *p)
{
    unsigned char raw[secret_bytes];
    random_bytes(raw, sizeof(raw));
    const char *text;
    if (str_eq(p->name, "standard-webhooks"))
        text = arena_printf(a, "whsec_%s", b64_encode(a, raw, sizeof(raw)));
    else if (str_eq(p->name, "basic") || str_eq(p->name, "postmark"))
        text = arena_printf(a, "365cms:%s", b64url_encode(a, raw, sizeof(raw)));
    else
        text = b64url_encode(a, raw, sizeof(raw));
    crypto_wipe(raw, sizeof(raw));
    return text;
}

static bool secret_ok(struct arena *a, const struct provider_def *p, const char *s,
                      const char **ret_why)
{
    void *raw;
    size_t n;
    *ret_why = "Has at least 8 characters.";
    if (strlen(s) < secret_chars_min)
        return false;
    if (str_eq(p->name, "standard-webhooks")) {
        *ret_why = "Is whsec_ or whpk_ and base64 of at least 16 bytes.";
        return (str_starts(s, "whsec_") && b64_decode(a, s + 6, &raw, &n) && n >= 16) ||
               (str_starts(s, "whpk_") && b64_decode(a, s + 5, &raw, &n) && n == 32);
    }
    if (str_eq(p->name, "discord")) {
        *ret_why = "Is the application's public key, 64 hex digits.";
        return strlen(s) == 64 && hex_decode(s, 64, arena_alloc(a, 32));
    }
    if (str_eq(p->name, "sendgrid")) {
        *ret_why = "Is the verification key of the event webhook, base64.";
        return b64_decode(a, s, &raw, &n) && n > 32;
    }
    if (p->check && (str_eq(p->name, "basic") || str_eq(p->name, "postmark"))) {
        *ret_why = "Is user:password.";
        return strchr(s, ':') != NULL;
    }
    return true;
}

/* The given secret, or a new one; NULL with a fault, or if the provider has none. */
static const char *choose_secret(struct arena *a, const struct provider_def *p, const char *given,
                                 const struct shape_row *row)
{
    const char *why;
    if (p->secret == SECRET_NONE) {
        if (given)
            shape_fault(row, "secret", "not_allowed", "This provider has no secret of yours.");
        return NULL;
    }
    if (!given && p->secret == SECRET_THEIRS) {
        shape_fault(row, "secret", "required", "The provider shows it to you; it is needed here.");
        return NULL;
    }
    if (given && !secret_ok(a, p, given, &why)) {
        shape_fault(row, "secret", "format", why);
        return NULL;
    }
    return given ? given : make_secret(a, p);
}

/* --- events --- */

int source_read(struct db_tx *tx, struct arena *a, int64_t id, json_t **ret, struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(id);
    size_t n;
    int rc = db_exec(tx, a, &sql_source_json, &v, 1, &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no webhook_source %lld.", (long long)id);
    const char *text = db_cell(r, 0, 0, &n);
    return json_parse(a, text, n, ret, err);
}

int source_event(struct db_tx *tx, const struct req *req, const char *type, int64_t id,
                 const json_t *changed, struct err *err)
{
    struct arena *a = req->arena;
    json_t *data;
    int rc = source_read(tx, a, id, &data, err);
    if (rc)
        return rc;
    const json_t *owner = json_object_get(json_object_get(data, "user"), "id");
    json_t *body =
        json_in(a, json_pack("{s:O, s:o, s:O}", "data", data, "changed",
                             changed ? json_deep_copy(changed) : json_array(), "owner_id", owner));
    const struct outbox_event e = {
        .type = type,
        .key = arena_printf(a, "webhook_source:%lld", (long long)id),
        .payload = json_text(a, body),
        .traceparent = req->traceparent,
        .request_id = req->request_id,
        .actor = arena_printf(a, "user:%lld key:%lld", (long long)req->who.user_id,
                              (long long)req->who.key_id),
    };
    return outbox_put(tx, a, &e, NULL, err);
}

/* --- validation ----------------------------------------------------------------------------------
 */

static void check_networks(struct arena *a, const struct shape_row *row, const json_t *body)
{
    const json_t *list = json_object_get(body, "allowed_networks");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && (!*s || strchr(s, ',') || !key_networks_ok(s)))
            err_list_add(row->faults, arena_printf(a, "/allowed_networks/%zu", i), "format",
                         "Is no CIDR block.");
    }
}

static void check_json(const struct shape_row *row, const struct err *e)
{
    err_list_add(row->faults, e->pointer, "format", "%s", e->msg);
}

static bool is_place(const char *text)
{
    return *text == '/' || str_starts(text, "header:");
}

/* What a mapping may say is its author's right: to write to people takes an editor. */
static void check_mapping(const struct req *req, const struct shape_row *row)
{
    struct err e;
    const json_t *mapping = json_object_get(req->body, "mapping");
    if (!json_is_object(mapping))
        return;
    if (mapping_check(mapping, &e))
        check_json(row, &e);
    else if (mapping_tells_people(mapping) && req->who.role < ROLE_EDITOR)
        shape_fault(row, "mapping", "not_allowed", "Mail and notices are sent for editors only.");
}

/* What the field table cannot say.  `p` NULL: the provider is unknown, and that is a fault. */
static void check_source(struct req *req, const struct shape_row *row, const struct provider_def *p)
{
    struct err e;
    const json_t *given = json_object_get(req->body, "settings");
    const char *dedupe = shape_given(row, "dedupe") ? shape_text(row, "dedupe") : NULL;
    const char *order = shape_given(row, "order_by") ? shape_text(row, "order_by") : NULL;
    int64_t keep = shape_given(row, "retention_days") ? shape_i64(row, "retention_days") : 30;
    check_networks(req->arena, row, req->body);
    if (keep != 7 && keep != 30 && keep != 90)
        shape_fault(row, "retention_days", "choice", "Is 7, 30 or 90.");
    if (dedupe && !is_place(dedupe))
        shape_fault(row, "dedupe", "format", "Is a JSON pointer or header:Name.");
    if (order && !is_place(order) && !str_eq(order, "source"))
        shape_fault(row, "order_by", "format", "Is a JSON pointer, header:Name or source.");
    check_mapping(req, row);
    if (p && json_is_object(given) && provider_settings_ok(p, given, &e))
        check_json(row, &e);
}

static void scope_names(const struct req *req, const char **ret, size_t *ret_n)
{
    *ret_n = 0;
    for (int i = 0; i < S_MAX_; i++)
        if (scope_has(req->who.scopes, (enum scope)i))
            ret[(*ret_n)++] = scopes[i].name;
}

/* --- create --------------------------------------------------------------------------------------
 */

struct make {
    struct req *req;
    struct shape_row row;
    int64_t id;
    const struct provider_def *provider;
    const char *secret; /* in clear; NULL: the provider has none */
    bool generated;
};

static int free_slug(struct db_tx *tx, struct arena *a, const char *base, const char **ret,
                     struct err *err)
{
    struct db_rows *r;
    for (int i = 1; i <= slug_tries_max; i++) {
        *ret = i == 1 ? base : arena_printf(a, "%s-%d", base, i);
        const struct db_val v = db_text(*ret);
        int rc = db_exec(tx, a, &sql_slug_taken, &v, 1, &r, err);
        if (rc || !db_nrows(r))
            return rc;
    }
    return err_at(err, E_validation, "/slug", "Choose a slug: those made from the name are taken.");
}

static int insert(struct make *m, struct db_tx *tx, struct err *err)
{
    struct req *req = m->req;
    struct arena *a = req->arena;
    const char *names[S_MAX_], *slug = shape_text(&m->row, "slug");
    struct db_rows *r;
    size_t n;
    int rc = slug ? 0 : free_slug(tx, a, str_slug(a, shape_text(&m->row, "name"), 80), &slug, err);
    if (rc)
        return rc;
    scope_names(req, names, &n);
    const struct db_val v[] = {
        db_i64(m->id),
        db_i64(req->who.user_id),
        *shape_val(&m->row, "name"),
        db_text(*slug ? slug : "source"),
        *shape_val(&m->row, "provider"),
        *shape_val(&m->row, "status"),
        *shape_val(&m->row, "reason"),
        *shape_val(&m->row, "settings"),
        db_text(m->secret ? secret_seal(req->svc->keyring, a, m->id, m->secret) : NULL),
        *shape_val(&m->row, "allowed_networks"),
        *shape_val(&m->row, "dedupe"),
        *shape_val(&m->row, "rate_limit"),
        *shape_val(&m->row, "retention_days"),
        *shape_val(&m->row, "mapping"),
        db_texts(names, n),
        *shape_val(&m->row, "verification"),
        *shape_val(&m->row, "order_by"),
    };
    rc = db_exec(tx, a, &sql_source_add, v, ARRAY_LEN(v), &r, err);
    if (rc == -E_conflict)
        return err_at(err, E_conflict, "/slug", "There is a source with this slug.");
    return rc;
}

/* The source as its owner is told of it, with its address. */
static char *shown(const struct req *req, json_t *source, const char *secret)
{
    struct arena *a = req->arena;
    const char *path = json_string_value(json_object_get(source, "path"));
    json_object_set_new(source, "secret", secret ? json_string(secret) : json_null());
    json_object_set_new(source, "url",
                        json_string(arena_printf(a, "%s%s", req->svc->conf->public_url, path)));
    return arena_printf(a, "{\"data\":%s}", json_text(a, source));
}

static int make_it(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err)
{
    struct make *m = ctx;
    struct arena *a = m->req->arena;
    struct db_rows *r;
    json_t *json;
    int rc = db_exec(tx, a, &sql_source_id, NULL, 0, &r, err);
    if (rc)
        return rc;
    m->id = db_get_i64(r, 0, 0);
    rc = insert(m, tx, err);
    const struct db_val v[] = { db_i64(m->id), db_i64(m->req->who.user_id) };
    if (!rc)
        rc = db_exec(tx, a, &sql_mapping_add, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        rc = source_event(tx, m->req, "webhook.source.created", m->id, NULL, err);
    if (!rc)
        rc = source_read(tx, a, m->id, &json, err);
    if (rc)
        return rc;
    *ret =
        (struct idem_made){ .status = 201,
                            .location = arena_printf(a, "%s%s/%lld", m->req->svc->conf->public_url,
                                                     entity()->path, (long long)m->id),
                            .body = shown(m->req, json, m->generated ? m->secret : NULL) };
    return 0;
}

/* To verify nothing is nobody's accident: it is said twice, and why (I-07). */
static void check_unverified(const struct provider_def *p, const struct shape_row *row)
{
    bool none = str_eq(p->name, "none"), said = str_eq(shape_text(row, "verification"), "none");
    if (none && !said)
        shape_fault(row, "verification", "required", "Is none, as nothing would be verified.");
    if (!none && said)
        shape_fault(row, "verification", "choice", "Only the provider none verifies nothing.");
    if (none && !shape_text(row, "reason"))
        shape_fault(row, "reason", "required", "Say why nothing is verified.");
}

static int read_new(struct make *m, struct res *res, struct err *err)
{
    struct req *req = m->req;
    struct err e;
    shape_read(req->arena, entity()->fields, SHAPE_CREATE, vis_is_admin(&req->who), req->body,
               &m->row);
    const char *name = shape_text(&m->row, "provider"), *given = shape_text(&m->row, "secret");
    const struct provider_def *p = m->provider = name ? provider_find(name) : NULL;
    if (name && !p)
        shape_fault(&m->row, "provider", "choice", "There is no such provider.");
    check_source(req, &m->row, p);
    if (p) {
        m->secret = choose_secret(req->arena, p, given, &m->row);
        m->generated = m->secret && !given;
        if (!json_object_get(req->body, "settings") &&
            provider_settings_ok(p, json_in(req->arena, json_object()), &e))
            check_json(&m->row, &e);
        check_unverified(p, &m->row);
    }
    res->faults = m->row.faults;
    return shape_check(&m->row, err);
}

int source_create(struct req *req, struct res *res, struct err *err)
{
    struct make m = { .req = req };
    const struct idem_work work = { make_it, &m, IDEM_SEALED };
    bool fresh;
    int rc = read_new(&m, res, err);
    if (rc)
        return rc;
    if (!req->who.user_id)
        return err_set(err, E_forbidden, "A source belongs to a user; this credential has none.");
    rc = idem_run(req, res, &work, &fresh, err);
    if (!rc && fresh)
        events_wake(req->svc);
    return rc;
}

/* --- change and remove ---------------------------------------------------------------------------
 */

struct change {
    struct req *req;
    struct res *res;
    struct shape_row row;
    int64_t id;
    const char *secret;
    const struct provider_def *provider;
    struct db_rows *old; /* source_lock */
};
enum { OLD_STATUS = 3, OLD_PROVIDER = 4 };

static int lock_row(struct db_tx *tx, struct change *c, struct err *err)
{
    const struct db_val v[] = { db_i64(c->id), db_bool(vis_is_admin(&c->req->who)),
                                db_i64(c->req->who.user_id) };
    int rc = db_exec(tx, c->req->arena, &sql_source_lock, v, ARRAY_LEN(v), &c->old, err);
    if (rc)
        return rc;
    if (!db_nrows(c->old))
        return err_set(err, E_not_found, "There is no webhook_source %lld.", (long long)c->id);
    c->provider = provider_find(db_str(c->old, 0, OLD_PROVIDER));
    return req_precondition(c->req, db_get_i64(c->old, 0, 2), err);
}

/* A statement that does step_rows at most, until it has done all: each by itself is short, however
 * much a source holds. */
static int in_steps(struct db_tx *tx, struct arena *a, const struct db_stmt *s, int64_t id,
                    struct err *err)
{
    enum { step_rows = 5000 };
    const struct db_val v = db_i64(id);
    struct db_rows *r;
    int rc;
    do
        rc = db_exec(tx, a, s, &v, 1, &r, err);
    while (!rc && db_affected(r) == step_rows);
    return rc;
}

/* What waits follows the source's status; no message is stored meanwhile. */
static int follow_status(struct db_tx *tx, struct change *c, const char *now, struct err *err)
{
    static const struct db_stmt lock = { .name = "source_lock_messages",
                                         .sql = "SELECT pg_advisory_xact_lock($1::int, $2::int)" };
    const struct db_val at[] = { db_i64(source_lock_class), db_i64(c->id % INT32_MAX) };
    const struct db_val id = db_i64(c->id);
    struct db_rows *r;
    if (!now || str_eq(now, db_str(c->old, 0, OLD_STATUS)))
        return 0;
    int rc = db_exec(tx, c->req->arena, &lock, at, ARRAY_LEN(at), &r, err);
    return rc ? rc
              : in_steps(tx, c->req->arena,
                         str_eq(now, "paused") ? &sql_messages_hold : &sql_messages_release, id.i64,
                         err);
}

static int check_change(struct change *c, struct err *err)
{
    struct err e;
    const json_t *given = json_object_get(c->req->body, "settings");
    if (json_is_object(given) && c->provider && provider_settings_ok(c->provider, given, &e))
        check_json(&c->row, &e);
    if (str_eq(c->provider ? c->provider->name : "", "none") && shape_given(&c->row, "reason") &&
        !shape_text(&c->row, "reason"))
        shape_fault(&c->row, "reason", "required", "Say why nothing is verified.");
    c->res->faults = c->row.faults;
    return shape_check(&c->row, err);
}

static int change_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    static const char *const names[] = { "name",       "status",           "reason",
                                         "settings",   "allowed_networks", "dedupe",
                                         "rate_limit", "retention_days",   "mapping",
                                         "order_by" };
    struct change *c = ctx;
    struct arena *a = c->req->arena;
    struct db_val v[2 + 2 * ARRAY_LEN(names)] = { db_i64(c->id) };
    const char *scope_list[S_MAX_];
    json_t *changed = json_in(a, json_array());
    struct db_rows *r;
    size_t n;
    int rc = lock_row(tx, c, err);
    if (!rc)
        rc = check_change(c, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        bool given = shape_given(&c->row, names[i]);
        v[1 + 2 * i] = db_bool(given);
        v[2 + 2 * i] = given ? *shape_val(&c->row, names[i]) : db_null();
        if (given)
            json_array_append_new(changed, json_string(names[i]));
    }
    if (!json_array_size(changed))
        return 0;
    scope_names(c->req, scope_list, &n);
    v[ARRAY_LEN(v) - 1] = db_texts(scope_list, n);
    rc = db_exec(tx, a, &sql_source_change, v, ARRAY_LEN(v), &r, err);
    const struct db_val mine[] = { db_i64(c->id), db_i64(c->req->who.user_id) };
    if (!rc)
        rc = db_exec(tx, a, &sql_mapping_add, mine, ARRAY_LEN(mine), &r, err);
    if (!rc)
        rc = follow_status(
            tx, c, shape_given(&c->row, "status") ? shape_text(&c->row, "status") : NULL, err);
    return rc ? rc : source_event(tx, c->req, "webhook.source.updated", c->id, changed, err);
}

int source_patch(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req, .res = res };
    int rc = req_id(req, 0, &c.id, err);
    if (rc)
        return rc;
    shape_read(req->arena, entity()->fields, SHAPE_PATCH, vis_is_admin(&req->who), req->body,
               &c.row);
    check_source(req, &c.row, NULL);
    res->faults = c.row.faults;
    rc = shape_check(&c.row, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, change_tx, &c, err);
    if (rc)
        return rc;
    events_wake(req->svc);
    process_wake(req->svc);
    return crud_answer(req, res, entity(), req->params[0], err);
}

static int delete_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct change *c = ctx;
    struct arena *a = c->req->arena;
    const struct db_val v = db_i64(c->id);
    struct db_rows *r;
    int rc = lock_row(tx, c, err);
    if (!rc)
        rc = source_event(tx, c->req, "webhook.source.deleted", c->id, NULL, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_source_remove, &v, 1, &r, err);
    if (!rc)
        rc = in_steps(tx, a, &sql_messages_orphan, c->id, err);
    if (!rc)
        rc = db_exec(tx, a, &sql_actions_orphan, &v, 1, &r, err);
    return rc;
}

int source_delete(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req, .res = res };
    int rc = req_id(req, 0, &c.id, err);
    if (!rc)
        rc = db_tx(req->svc->db, req->arena, delete_tx, &c, err);
    if (rc)
        return rc;
    events_wake(req->svc);
    res->status = 204;
    return 0;
}

/* --- rotation ------------------------------------------------------------------------------------
 */

static int rotate(struct db_tx *tx, void *ctx, struct idem_made *ret, struct err *err)
{
    struct change *c = ctx;
    struct req *req = c->req;
    struct arena *a = req->arena;
    struct db_rows *r;
    int rc = lock_row(tx, c, err);
    if (rc)
        return rc;
    const char *given = shape_text(&c->row, "secret");
    if (!c->provider || c->provider->secret == SECRET_NONE)
        return err_set(err, E_conflict, "This provider has no secret of yours.");
    c->secret = choose_secret(a, c->provider, given, &c->row);
    c->res->faults = c->row.faults;
    rc = shape_check(&c->row, err);
    if (rc)
        return rc;
    const struct db_val v[] = { db_i64(c->id),
                                db_text(secret_seal(req->svc->keyring, a, c->id, c->secret)),
                                db_i64(shape_i64(&c->row, "overlap_seconds")) };
    rc = db_exec(tx, a, &sql_source_rotate, v, ARRAY_LEN(v), &r, err);
    json_t *json, *changed = json_in(a, json_pack("[s]", "secret"));
    if (!rc)
        rc = source_event(tx, req, "webhook.source.updated", c->id, changed, err);
    if (!rc)
        rc = source_read(tx, a, c->id, &json, err);
    if (rc)
        return rc;
    *ret = (struct idem_made){ .status = 200, .body = shown(req, json, given ? NULL : c->secret) };
    return 0;
}

int source_rotate(struct req *req, struct res *res, struct err *err)
{
    struct change c = { .req = req, .res = res };
    const struct idem_work work = { rotate, &c, IDEM_SEALED };
    bool fresh;
    int rc = req_id(req, 0, &c.id, err);
    if (rc)
        return rc;
    shape_read(req->arena, req->route->in->fields, SHAPE_CREATE, vis_is_admin(&req->who), req->body,
               &c.row);
    res->faults = c.row.faults;
    rc = shape_check(&c.row, err);
    if (!rc)
        rc = idem_run(req, res, &work, &fresh, err);
    if (!rc && fresh)
        events_wake(req->svc);
    return rc;
}
