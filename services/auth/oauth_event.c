/* What is told of clients and consents, and what makes a revocation live at once. */
#include "services/auth/oauth.h"

#include "common/base/log.h"
#include "common/kit/outbox.h"
#include "services/auth/audit.h"

#include "auth/sql.h"

#include <assert.h>

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
    rc = outbox_put(tx, a, &e, NULL, err);
    return rc ? rc : audit_row(tx, a, &e, r, x->changed, why, err);
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

void oauth_forget(struct svc *svc, struct arena *a)
{
    static const struct db_stmt *const all[] = { &sql_oauth_forget_pushed, &sql_oauth_forget_seen,
                                                 &sql_oauth_forget_families };
    struct err ignored;
    struct db_rows *r;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (db_query(svc->db, a, all[i], NULL, 0, &r, &ignored))
            log_debug("auth.forget", kv_s("why", ignored.detail));
}
