#include "common/kit/idem.h"

#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/io/db.h"
#include "common/kit/svc.h"

#include <assert.h>

const char idem_schema_sql[] =
    "CREATE TABLE idempotency (\n"
    "    owner text NOT NULL, key_hash text NOT NULL, fingerprint text NOT NULL,\n"
    "    status int NOT NULL, location text, body text NOT NULL, sealed boolean NOT NULL DEFAULT "
    "false,\n"
    "    created_at timestamptz NOT NULL DEFAULT now(),\n"
    "    CONSTRAINT idempotency_pkey PRIMARY KEY (owner, key_hash)\n"
    ");\n"
    "CREATE INDEX idempotency_created_at_idx ON idempotency (created_at);\n";

enum { purge_rows_max = 5000, purge_pause_ms = 60000 };

void idem_owner(const struct principal *who, char ret[idem_owner_max])
{
    if (who->user_id)
        snprintf(ret, idem_owner_max, "user:%lld", (long long)who->user_id);
    else if (who->client_id)
        snprintf(ret, idem_owner_max, "client:%lld", (long long)who->client_id);
    else
        snprintf(ret, idem_owner_max, "key:%lld", (long long)who->key_id);
}

void idem_init(struct idem *i, const struct req *req, unsigned flags)
{
    *i = (struct idem){ .flags = flags };
    const char *key = req->idempotency_key;
    if (!key)
        return;
    i->used = true;
    idem_owner(&req->who, i->owner);
    sha256_hex(key, strlen(key), i->key_hash);
    struct buf b;
    unsigned char raw[sha256_bytes];
    buf_init(&b, req->arena, req->raw_body_n + 512, 64 * 1024 * 1024);
    buf_printf(&b, "%s %s?%s\n", method_name(req->method), req->path,
               req->raw_query ? req->raw_query : "");
    if (flags & IDEM_SEALED) /* a secret is shown again to who saw it, not to a lesser credential */
        buf_printf(&b, "%lld %lld %lld\n", (long long)req->who.key_id,
                   (long long)req->who.client_id, (long long)req->who.session_id);
    buf_put(&b, req->raw_body ? req->raw_body : "", req->raw_body_n);
    assert(!b.overflow);
    sha256_hex(b.data, b.len, i->fingerprint);
    buf_reset(&b);
    buf_printf(&b, "%s %s", i->owner, i->key_hash);
    sha256(b.data, b.len, raw);
    memcpy(&i->lock, raw, sizeof(i->lock));
}

static const struct db_stmt claim_stmt = {
    .name = "idem_claim",
    .sql = "SELECT pg_try_advisory_xact_lock($1::bigint)",
};
/* A statement of its own: it must see what was committed before the lock was free. */
static const struct db_stmt seen_stmt = {
    .name = "idem_seen",
    .sql = "SELECT 1 FROM idempotency WHERE owner = $1::text AND key_hash = $2::text",
};
static const struct db_stmt record_stmt = {
    .name = "idem_record",
    .sql = "INSERT INTO idempotency (owner, key_hash, fingerprint, status, location, body, sealed) "
           "VALUES "
           "($1::text, $2::text, $3::text, $4::int, $5::text, $6::text, $7::boolean)",
    .flags = DB_WRITE,
};
static const struct db_stmt find_stmt = {
    .name = "idem_find",
    .sql = "SELECT fingerprint, status, location, body, sealed FROM idempotency WHERE owner = "
           "$1::text AND "
           "key_hash = $2::text",
};
static const struct db_stmt purge_stmt = {
    .name = "idem_purge",
    .sql =
        "DELETE FROM idempotency WHERE (owner, key_hash) IN (SELECT owner, key_hash FROM "
        "idempotency WHERE "
        "created_at < now() - make_interval(hours => $1::int) ORDER BY created_at LIMIT $2::int)",
    .flags = DB_WRITE,
};

int idem_claim(struct db_tx *tx, struct arena *a, const struct idem *i, bool *ret_seen,
               struct err *err)
{
    struct db_rows *r;
    struct db_val lock = db_i64(i->lock), v[2] = { db_text(i->owner), db_text(i->key_hash) };
    *ret_seen = false;
    if (!i->used)
        return 0;
    int rc = db_exec(tx, a, &claim_stmt, &lock, 1, &r, err);
    if (rc < 0)
        return rc;
    if (!db_get_bool(r, 0, 0))
        return err_set(err, E_idempotency_in_flight,
                       "A request with this Idempotency-Key is being processed.");
    rc = db_exec(tx, a, &seen_stmt, v, 2, &r, err);
    if (rc >= 0)
        *ret_seen = db_nrows(r) > 0;
    return rc;
}

static const char *seal_context(struct arena *a, const struct idem *i)
{
    return arena_printf(a, "idempotency.body %s %s", i->owner, i->key_hash);
}

int idem_record(struct db_tx *tx, const struct req *req, const struct idem *i, int status,
                const char *location, const char *body, struct err *err)
{
    struct db_rows *r;
    bool sealed = i->flags & IDEM_SEALED;
    if (!i->used)
        return 0;
    assert(!sealed || req->svc->keyring);
    if (sealed)
        body = crypto_seal(req->svc->keyring, req->arena, seal_context(req->arena, i), body,
                           strlen(body));
    struct db_val v[] = { db_text(i->owner), db_text(i->key_hash), db_text(i->fingerprint),
                          db_i64(status),    db_text(location),    db_text(body),
                          db_bool(sealed) };
    return db_exec(tx, req->arena, &record_stmt, v, ARRAY_LEN(v), &r, err);
}

int idem_replay(struct req *req, const struct idem *i, struct res *res, struct err *err)
{
    struct db_rows *r;
    struct db_val v[2] = { db_text(i->owner), db_text(i->key_hash) };
    int rc = db_query(req->svc->db, req->arena, &find_stmt, v, 2, &r, err);
    if (rc < 0)
        return rc;
    if (!db_nrows(r)) {
        rc = err_set(err, E_idempotency_in_flight,
                     "A request with this Idempotency-Key is being processed.");
        err->retry_after_s = 1;
        return rc;
    }
    if (!str_eq(db_str(r, 0, 0), i->fingerprint))
        return err_set(err, E_idempotency_reused,
                       "This Idempotency-Key was used with another request.");
    size_t len;
    const char *body = db_cell(r, 0, 3, &len);
    void *open = NULL;
    if (db_get_bool(r, 0, 4)) {
        rc = crypto_open(req->svc->keyring, req->arena, seal_context(req->arena, i), body, &open,
                         &len, err);
        if (rc < 0)
            return rc;
        body = open;
    }
    res->status = (int)db_get_i64(r, 0, 1);
    res->location = db_str(r, 0, 2);
    buf_put(&res->body, body, len);
    res_header(res, "Idempotent-Replayed", "true");
    return 0;
}

/* --- all of it ---------------------------------------------------------------------------------
 */

struct run {
    struct req *req;
    const struct idem_work *work;
    struct idem idem;
    struct idem_made made;
    bool seen;
};

static int run_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct run *r = ctx;
    r->made = (struct idem_made){ .body = "{}" }; /* the transaction may be tried twice */
    int rc = idem_claim(tx, r->req->arena, &r->idem, &r->seen, err);
    if (rc || r->seen)
        return rc;
    rc = r->work->effect(tx, r->work->ctx, &r->made, err);
    return rc ? rc
              : idem_record(tx, r->req, &r->idem, r->made.status, r->made.location, r->made.body,
                            err);
}

int idem_run(struct req *req, struct res *res, const struct idem_work *w, bool *ret_fresh,
             struct err *err)
{
    struct run r = { .req = req, .work = w };
    bool bare = w->flags & IDEM_BARE;
    idem_init(&r.idem, req, w->flags);
    int rc = db_tx(req->svc->db, req->arena, run_tx, &r, err);
    if (rc)
        return rc;
    *ret_fresh = !r.seen;
    if (w->flags & IDEM_SEALED)
        res->cache_control = "no-store";
    if (r.seen && bare) { /* only whether it is the same request */
        struct res recorded = *res;
        rc = idem_replay(req, &r.idem, &recorded, err);
        if (!rc)
            res_header(res, "Idempotent-Replayed", "true");
        return rc;
    }
    if (r.seen)
        return idem_replay(req, &r.idem, res, err);
    if (!bare)
        buf_puts(&res->body, r.made.body);
    res->location = r.made.location;
    return 0;
}

void idem_job(struct svc *svc)
{
    struct arena *a = arena_new();
    struct db_val v[2] = { db_i64(idem_keep_hours), db_i64(purge_rows_max) };
    while (!svc_stopping(svc)) {
        struct err err;
        struct db_rows *r;
        int rc = db_query(svc->db, a, &purge_stmt, v, 2, &r, &err);
        bool full = rc >= 0 && db_affected(r) == purge_rows_max;
        arena_reset(a);
        if (!full && svc_pause(svc, purge_pause_ms))
            break;
    }
    arena_free(a);
}
