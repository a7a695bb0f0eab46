/* What tells the other programs of a key. */
#include "services/auth/auth.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/outbox.h"
#include "services/auth/audit.h"

#include "auth/sql.h"

#include <assert.h>

/* A header may hold anything; the log keeps text. */
static const char *agent_of(const struct req *req)
{
    const char *agent = req->http ? req_header(req, "User-Agent") : NULL;
    return agent && str_utf8_ok(agent, strlen(agent)) ? agent : NULL;
}

struct auth_cause auth_cause_of(const struct req *req)
{
    const struct principal *who = &req->who;
    const char *by = who->client_id ? "client" : who->session_id ? "session" : "key";
    int64_t id = who->client_id ? who->client_id : who->session_id ? who->session_id : who->key_id;
    return (struct auth_cause){
        .actor = arena_printf(req->arena, "user:%lld %s:%lld", (long long)who->user_id, by,
                              (long long)id),
        .request_id = req->request_id,
        .traceparent = req->traceparent,
        .address = req->client_addr,
        .agent = agent_of(req),
    };
}

char *auth_state_json(struct arena *a, const struct db_rows *r, size_t i)
{
    const char **names;
    size_t n = db_get_texts(a, r, i, 5, &names);
    struct key_state k = { .id = db_get_i64(r, i, 0),
                           .user_id = db_get_i64(r, i, 1),
                           .role = role_find(db_str(r, i, 3)),
                           .name = db_str(r, i, 4),
                           .expires_us = db_get_i64(r, i, 6),
                           .changed_us = db_get_i64(r, i, 7),
                           .revoked = db_get_bool(r, i, 8),
                           .allowed_networks = db_str(r, i, 9),
                           .rate_limit = db_get_i64(r, i, 10),
                           .quota_monthly = db_get_i64(r, i, 11),
                           .previous_until_us = db_get_i64(r, i, 13),
                           .sandbox = db_get_bool(r, i, 14) };
    bool ok = hex_decode(db_str(r, i, 2), sha256_hex_len, k.hash) &&
              (!k.previous_until_us || hex_decode(db_str(r, i, 12), sha256_hex_len, k.previous));
    assert(ok); /* a check of the table */
    (void)ok;
    for (size_t s = 0; s < n; s++) {
        int scope = scope_find(names[s]);
        if (scope >= 0)
            k.granted |= (scope_set)1 << scope;
    }
    return key_state_json(a, &k);
}

static struct outbox_event event_of(struct arena *a, const char *type, int64_t key,
                                    const char *payload, const struct auth_cause *why)
{
    return (struct outbox_event){ .type = type,
                                  .key = arena_printf(a, "key:%lld", (long long)key),
                                  .payload = payload,
                                  .traceparent = why->traceparent,
                                  .request_id = why->request_id,
                                  .actor = why->actor };
}

int auth_publish_state(struct db_tx *tx, struct arena *a, int64_t key, const struct auth_cause *why,
                       char *ret_event_id, struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(key);
    int rc = db_exec(tx, a, &sql_key_state, &v, 1, &r, err);
    if (rc)
        return rc;
    assert(db_nrows(r) == 1);
    const struct outbox_event e = event_of(a, "key.state", key, auth_state_json(a, r, 0), why);
    return outbox_put(tx, a, &e, ret_event_id, err);
}

int auth_publish_event(struct db_tx *tx, struct arena *a, int64_t key, const char *type,
                       const char *changed, const struct auth_cause *why, struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(key);
    int rc = db_exec(tx, a, &sql_key_json, &v, 1, &r, err);
    if (rc)
        return rc;
    assert(db_nrows(r) == 1);
    const char *payload = arena_printf(a, "{\"data\":%s,\"changed\":%s,\"owner_id\":%s}",
                                       db_str(r, 0, 0), changed, db_str(r, 0, 1));
    const struct outbox_event e = event_of(a, type, key, payload, why);
    rc = outbox_put(tx, a, &e, NULL, err);
    return rc ? rc : audit_row(tx, a, &e, r, changed, why, err);
}
