/* Keys for trying the API (D-07): short-lived, for content only, with data of their own, which api
 * keeps apart (common/kit/sandbox.h). */
#include "services/auth/auth.h"

#include "common/base/clock.h"
#include "common/kit/idem.h"
#include "common/kit/outbox.h"
#include "services/auth/fields.h"

#include "auth/sql.h"

enum {
    sandbox_life_s = 4 * 3600,
    sandbox_units_minute = 600, /* a write costs 5 */
    sandbox_units_month = 20000,
};
extern const struct entity_def entity_api_key;

struct make {
    struct req *req;
    struct idem idem;
    bool seen, no_user;
    int64_t id;
    const int64_t *revoked;
    size_t nrevoked;
    const char *body, *location;
};

/* One a person: the one before goes, and with it its data. */
static int revoke_former(struct db_tx *tx, struct make *m, const struct auth_cause *why,
                         struct err *err)
{
    struct arena *a = m->req->arena;
    struct db_rows *r;
    const struct db_val user = db_i64(m->req->who.user_id);
    int rc = db_exec(tx, a, &sql_sandbox_revoke, &user, 1, &r, err);
    if (rc)
        return rc;
    int64_t *ids = arena_alloc(a, (db_nrows(r) + 1) * sizeof(*ids));
    for (size_t i = 0; !rc && i < db_nrows(r); i++) {
        ids[i] = db_get_i64(r, i, 0);
        rc = auth_publish_state(tx, a, ids[i], why, NULL, err);
        if (!rc)
            rc = auth_publish_event(tx, a, ids[i], "key.revoked", "[\"status\",\"revoked_at\"]",
                                    why, err);
    }
    m->revoked = ids;
    m->nrevoked = db_nrows(r);
    return rc;
}

static int make_key(struct db_tx *tx, struct make *m, const struct auth_cause *why, struct err *err)
{
    static const char *const granted[] = { "api:read", "api:write" };
    struct arena *a = m->req->arena;
    char until[rfc3339_len + 1], text[key_text_max];
    rfc3339_format(clock_us() + sandbox_life_s * INT64_C(1000000), until);
    const struct auth_new_key k = { .env = "sandbox",
                                    .sandbox = true,
                                    .name = "sandbox",
                                    .user_id = m->req->who.user_id,
                                    .scopes = db_texts(granted, ARRAY_LEN(granted)),
                                    .expires_at = db_text(arena_strdup(a, until)),
                                    .networks = db_null(),
                                    .rate_limit = db_i64(sandbox_units_minute),
                                    .quota_monthly = db_i64(sandbox_units_month) };
    int rc = auth_make_key(tx, a, &k, why, &m->id, text, err);
    return rc ? rc : key_shown(tx, a, m->id, text, &m->body, err);
}

static int make_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct make *m = ctx;
    struct arena *a = m->req->arena;
    struct auth_cause why = auth_cause_of(m->req);
    const struct db_val user = db_i64(m->req->who.user_id);
    struct db_rows *r;
    int rc = idem_claim(tx, a, &m->idem, &m->seen, err);
    if (rc || m->seen)
        return rc;
    rc = db_exec(tx, a, &sql_person_lock, &user, 1, &r,
                 err); /* one such call of a person at a time */
    if (!rc && !db_nrows(r))
        return err_set(err, E_forbidden, "A sandbox belongs to a person.");
    if (!rc)
        rc = revoke_former(tx, m, &why, err);
    if (!rc)
        rc = make_key(tx, m, &why, err);
    m->location = arena_printf(a, "%s%s/%lld", m->req->svc->conf->public_url, entity_api_key.path,
                               (long long)m->id);
    return rc ? rc : idem_record(tx, m->req, &m->idem, 201, m->location, m->body, err);
}

static int create(struct req *req, struct res *res, struct err *err)
{
    struct make m = { .req = req };
    struct err late = { 0 };
    if (!req->who.user_id)
        return err_set(err, E_forbidden, "A sandbox belongs to a person.");
    idem_init(&m.idem, req, IDEM_SEALED);
    int rc = db_tx(req->svc->db, req->arena, make_tx, &m, err);
    if (rc)
        return rc;
    if (m.seen)
        return idem_replay(req, &m.idem, res, err);
    outbox_wake(req->svc->outbox);
    /* The states travel by Kafka too: the new key must reach the caller. */
    if (m.nrevoked)
        (void)!auth_deny_all(req->svc, req->arena, "key", m.revoked, m.nrevoked, &late);
    res->status = 201;
    res->location = m.location;
    res->cache_control = "no-store";
    buf_puts(&res->body, m.body);
    return 0;
}

static const struct field_def created_fields[] = {
    BODY_TEXT("key", FF_READONLY | FF_NONNULL, key_text_max, "365k_sandbox_12_…",
              "The key: shown here and never again."),
    { .name = NULL },
};
static const struct shape created = { .name = "SandboxKeyCreated",
                                      .doc = "A key for trying, with the key itself.",
                                      .fields = created_fields,
                                      .extends = &entity_api_key };
static const int errors[] = { 400, 409, 422, 0 };
const struct route auth_sandbox_routes[] = {
    { POST, "/api/v2/auth/sandbox-keys", create, .scope = "keys:write", .out = &created,
     .flags = ROUTE_IDEMPOTENT | ROUTE_NO_BODY, .errors = errors, .cost = 20, .status = 201,
     .op_id = "create_sandbox_key",
     .doc =
          "Make a key for trying, good for four hours.  It reads and writes posts, pages, media, "
          "experts, companies and events as any key does, but of a copy of its own with a few "
          "rows in it, which nobody else sees and which goes with the key.  The one you had is "
          "revoked." },
    { .path = NULL },
};
