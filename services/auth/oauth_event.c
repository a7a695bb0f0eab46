/* What is told of clients and consents, and what makes a revocation live at once. */
#include "services/auth/oauth.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/cache.h"
#include "common/kit/outbox.h"

#include "auth/sql.h"

#include <assert.h>

enum { deny_at_once = 100 };

struct about {
    const struct db_stmt *row; /* json, owner */
    const char *key;           /* "client:7" */
    int64_t id;
    const char *type, *changed;
};

static int put(struct db_tx *tx, struct arena *a, const struct about *x,
               const struct auth_cause *why, struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(x->id);
    int rc = db_exec(tx, a, x->row, &v, 1, &r, err);
    if (rc)
        return rc;
    assert(db_nrows(r) == 1);
    const struct outbox_event e = {
        .type = x->type,
        .key = x->key,
        .payload = arena_printf(a, "{\"data\":%s,\"changed\":%s,\"owner_id\":%s}", db_str(r, 0, 0),
                                x->changed, db_str(r, 0, 1)),
        .traceparent = why->traceparent,
        .request_id = why->request_id,
        .actor = why->actor,
    };
    return outbox_put(tx, a, &e, NULL, err);
}

int client_event(struct db_tx *tx, struct arena *a, int64_t client, const char *type,
                 const char *changed, const struct auth_cause *why, struct err *err)
{
    const struct about x = { &sql_client_json, arena_printf(a, "client:%lld", (long long)client),
                             client, type, changed };
    return put(tx, a, &x, why, err);
}

int grant_event(struct db_tx *tx, struct arena *a, int64_t grant, const char *type,
                const char *changed, const struct auth_cause *why, struct err *err)
{
    const struct about x = { &sql_grant_json, arena_printf(a, "grant:%lld", (long long)grant),
                             grant, type, changed };
    return put(tx, a, &x, why, err);
}

int auth_deny_all(struct svc *svc, struct arena *a, const char *kind, const int64_t *ids, size_t n,
                  struct err *err)
{
    const char *argv[2 + 2 * deny_at_once] = { "ZADD", "cms365:denied" };
    const char *now = arena_printf(a, "%lld", (long long)clock_ms());
    int rc = 0;
    for (size_t i = 0; i < n && !rc;) {
        struct cache_reply reply;
        size_t argc = 2;
        for (; i < n && argc < ARRAY_LEN(argv); i++) {
            argv[argc++] = now;
            argv[argc++] = arena_printf(a, "%s:%lld", kind, (long long)ids[i]);
        }
        rc = cache_call(svc->cache, a, argv, argc, &reply, err);
    }
    return rc;
}

int auth_deny_now(struct svc *svc, struct arena *a, const char *kind, int64_t id, struct err *err)
{
    return auth_deny_all(svc, a, kind, &id, 1, err);
}

void oauth_forget(struct svc *svc, struct arena *a)
{
    static const struct db_stmt *const all[] = { &sql_oauth_forget_pushed, &sql_oauth_forget_seen,
                                                 &sql_oauth_forget_families };
    struct err ignored;
    struct cache_reply reply;
    struct db_rows *r;
    int64_t until = clock_ms() - 3600 * 1000;
    const char *const argv[] = { "ZREMRANGEBYSCORE", "cms365:denied", "-inf",
                                 arena_printf(a, "%lld", (long long)until) };
    if (cache_call(svc->cache, a, argv, ARRAY_LEN(argv), &reply, &ignored))
        log_debug("auth.forget", kv_s("why", ignored.detail));
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (db_query(svc->db, a, all[i], NULL, 0, &r, &ignored))
            log_debug("auth.forget", kv_s("why", ignored.detail));
}
