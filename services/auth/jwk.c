#include "services/auth/jwk.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/outbox.h"
#include "common/kit/token_jwt.h"
#include "services/auth/auth.h"

#include "auth/sql.h"

#include <assert.h>
#include <pthread.h>

enum { signers_max = 256, refresh_ms = 1000 };

struct signer {
    struct jose_key *key;
    int64_t active_us, expires_us; /* 0: in use */
    bool listed;                   /* by the last reading of the table */
};
/* Keys are never freed before the end: one may be signing without the lock.  They are few. */
struct signers {
    pthread_rwlock_t lock;
    struct signer list[signers_max];
    size_t n;
};

struct signers *signers_new(void)
{
    struct signers *s = calloc(1, sizeof(*s));
    assert(s);
    pthread_rwlock_init(&s->lock, NULL);
    return s;
}

void signers_free(struct signers *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        jose_key_free(s->list[i].key);
    pthread_rwlock_destroy(&s->lock);
    free(s);
}

const struct jose_key *signers_key(struct signers *s, enum jose_alg alg)
{
    const struct signer *best = NULL;
    int64_t now = clock_us();
    pthread_rwlock_rdlock(&s->lock);
    for (size_t i = 0; i < s->n; i++) {
        const struct signer *x = &s->list[i];
        if (x->listed && jose_key_alg(x->key) == alg && x->active_us <= now &&
            (!best || x->active_us > best->active_us))
            best = x;
    }
    const struct jose_key *key = best ? best->key : NULL;
    pthread_rwlock_unlock(&s->lock);
    return key;
}

/* --- the table ----------------------------------------------------------------------------------
 */

static const char *seal_context(struct arena *a, const char *kid)
{
    return arena_printf(a, "signing_keys.sealed.%s", kid);
}

static int open_key(struct svc *svc, struct arena *a, const char *kid, const char *sealed,
                    struct jose_key **ret, struct err *err)
{
    void *text;
    size_t n;
    int rc = crypto_open(svc->keyring, a, seal_context(a, kid), sealed, &text, &n, err);
    if (rc)
        return rc;
    rc = jose_key_parse(text, n, JOSE_PRIVATE, ret, err);
    crypto_wipe(text, n);
    return rc;
}

static struct signer *signer_of(struct signers *s, const char *kid)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eq(jose_key_thumb(s->list[i].key), kid))
            return &s->list[i];
    return NULL;
}

static int take_row(struct svc *svc, struct signers *s, struct arena *a, const struct db_rows *r,
                    size_t i, struct err *err)
{
    const char *kid = db_str(r, i, 0);
    struct jose_key *key = NULL;
    pthread_rwlock_rdlock(&s->lock);
    bool known = signer_of(s, kid) != NULL;
    pthread_rwlock_unlock(&s->lock);
    int rc = known ? 0 : open_key(svc, a, kid, db_str(r, i, 2), &key, err);
    if (rc)
        return rc;
    pthread_rwlock_wrlock(&s->lock);
    struct signer *x = signer_of(s, kid);
    if (!x && s->n < signers_max) {
        x = &s->list[s->n++];
        *x = (struct signer){ .key = key };
        key = NULL;
    }
    if (x) {
        x->active_us = db_get_i64(r, i, 3);
        x->expires_us = db_get_i64(r, i, 4);
        x->listed = true;
    }
    pthread_rwlock_unlock(&s->lock);
    jose_key_free(key);
    return 0;
}

static int take_rows(struct svc *svc, struct signers *s, struct arena *a, const struct db_rows *r,
                     struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < db_nrows(r) && !rc; i++)
        rc = take_row(svc, s, a, r, i, err);
    pthread_rwlock_wrlock(&s->lock);
    for (size_t k = 0; k < s->n && !rc; k++) {
        bool there = false;
        for (size_t i = 0; i < db_nrows(r) && !there; i++)
            there = str_eq(jose_key_thumb(s->list[k].key), db_str(r, i, 0));
        s->list[k].listed = there;
    }
    pthread_rwlock_unlock(&s->lock);
    return rc;
}

/* --- making keys --------------------------------------------------------------------------------
 */

struct rotate {
    struct svc *svc;
    struct arena *a;
    bool force, made;
    int64_t lead_s, days;
    struct db_rows *rows; /* the table as it is now */
};

static int publish(struct db_tx *tx, struct arena *a, const struct jose_key *k, int64_t expires_us,
                   struct err *err)
{
    const struct outbox_event e = { .type = "signing_key.state",
                                    .key = arena_printf(a, "jwk:%s", jose_key_thumb(k)),
                                    .payload = jwts_key_json(a, k, expires_us),
                                    .actor = "schedule" };
    return outbox_put(tx, a, &e, NULL, err);
}

static int retire_others(struct db_tx *tx, struct rotate *ro, const struct jose_key *fresh,
                         int64_t lead_s, struct err *err)
{
    struct db_rows *r;
    const struct db_val v[] = { db_text(jose_alg_name(jose_key_alg(fresh))),
                                db_text(jose_key_thumb(fresh)),
                                db_i64(jwt_life_s + signing_margin_s), db_i64(lead_s) };
    int rc = db_exec(tx, ro->a, &sql_signing_retire, v, ARRAY_LEN(v), &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++) {
        struct jose_key *old = NULL;
        rc = open_key(ro->svc, ro->a, db_str(r, i, 1), db_str(r, i, 0), &old, err);
        if (!rc)
            rc = publish(tx, ro->a, old, db_get_i64(r, i, 2), err);
        jose_key_free(old);
    }
    return rc;
}

static int make_key(struct db_tx *tx, struct rotate *ro, enum jose_alg alg, int64_t lead_s,
                    struct err *err)
{
    struct arena *a = ro->a;
    struct db_rows *r;
    struct jose_key *k = NULL;
    int rc = jose_key_make(alg, &k, err);
    if (rc)
        return rc;
    char *text = jose_key_text(k, a, JOSE_PRIVATE);
    const char *kid = jose_key_thumb(k);
    const struct db_val v[] = { db_text(kid), db_text(jose_alg_name(alg)),
                                db_text(crypto_seal(ro->svc->keyring, a, seal_context(a, kid), text,
                                                    strlen(text))),
                                db_i64(lead_s) };
    crypto_wipe(text, strlen(text));
    rc = db_exec(tx, a, &sql_signing_insert, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        rc = publish(tx, a, k, 0, err);
    if (!rc)
        rc = retire_others(tx, ro, k, lead_s, err);
    jose_key_free(k);
    ro->made = true;
    return rc;
}

static bool due(const struct db_rows *r, enum jose_alg alg, bool *ret_first)
{
    for (size_t i = 0; i < db_nrows(r); i++) {
        if (!str_eq(db_str(r, i, 1), jose_alg_name(alg)))
            continue;
        *ret_first = false;
        return db_get_bool(r, i, 5); /* the newest is old */
    }
    *ret_first = true;
    return true;
}

static int read_table(struct db_tx *tx, struct rotate *ro, struct err *err)
{
    const struct db_val days = db_i64(ro->days);
    return db_exec(tx, ro->a, &sql_signing_keys, &days, 1, &ro->rows, err);
}

static int rotate_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct rotate *ro = ctx;
    struct db_rows *ignored;
    ro->made = false;
    int rc = db_exec(tx, ro->a, &sql_signing_lock, NULL, 0, &ignored, err);
    if (!rc)
        rc = read_table(tx, ro, err);
    for (enum jose_alg alg = JOSE_ES256; alg <= JOSE_RS256 && !rc; alg++) {
        bool first = false;
        if (due(ro->rows, alg, &first) || ro->force)
            rc = make_key(tx, ro, alg, first ? 0 : ro->lead_s, err);
    }
    if (!rc && ro->made)
        rc = db_exec(tx, ro->a, &sql_signing_forget, NULL, 0, &ignored, err);
    return rc || !ro->made ? rc : read_table(tx, ro, err);
}

int signers_refresh(struct svc *svc, struct signers *s, struct arena *a, bool force, int64_t lead_s,
                    struct err *err)
{
    const struct auth_conf *conf = container_of(svc->conf, struct auth_conf, svc);
    struct rotate ro = {
        .svc = svc, .a = a, .force = force, .lead_s = lead_s, .days = conf->signing_key_days
    };
    const struct db_val days = db_i64(ro.days);
    bool first = false;
    int rc = db_query(svc->db, a, &sql_signing_keys, &days, 1, &ro.rows, err);
    if (rc)
        return rc;
    if (force || due(ro.rows, JOSE_ES256, &first) || due(ro.rows, JOSE_RS256, &first))
        rc = db_tx(svc->db, a, rotate_tx, &ro, err);
    if (!rc && ro.made && svc->outbox)
        outbox_wake(svc->outbox);
    return rc ? rc : take_rows(svc, s, a, ro.rows, err);
}

void signing_job(struct svc *svc)
{
    struct auth_state *state = svc->state;
    struct arena *a = arena_new();
    do {
        struct err err = { 0 };
        if (signers_refresh(svc, state->signers, a, false, signing_lead_s, &err))
            log_debug("auth.signing_keys", kv_s("why", err.msg), kv_s("detail", err.detail));
        arena_reset(a);
    } while (!svc_pause(svc, refresh_ms));
    arena_free(a);
}

int auth_rotate_signing_keys(struct svc *svc, char **args, struct err *err)
{
    int64_t lead_s;
    if (!str_to_i64(args[0], 0, 86400, &lead_s))
        return err_set(err, E_invalid, "SECONDS is 0 to 86400");
    struct signers *s = signers_new();
    int rc = signers_refresh(svc, s, svc->arena, true, lead_s, err);
    signers_free(s);
    if (!rc)
        printf("{\"rotated\":true,\"signs_in_seconds\":%lld}\n", (long long)lead_s);
    return rc;
}

/* --- what is shown ------------------------------------------------------------------------------
 */

static void put_keys(struct req *req, struct buf *b, bool whole)
{
    struct auth_state *state = req->svc->state;
    struct signers *s = state->signers;
    bool any = false;
    buf_puts(b, "{\"keys\":[");
    pthread_rwlock_rdlock(&s->lock);
    for (size_t i = 0; i < s->n; i++) {
        const struct signer *x = &s->list[i];
        if (!x->listed || (x->expires_us && x->expires_us <= clock_us()))
            continue;
        buf_puts(b, any ? "," : "");
        buf_puts(b, whole ? jwts_key_json(req->arena, x->key, x->expires_us)
                          : jose_key_text(x->key, req->arena, JOSE_PUBLIC));
        any = true;
    }
    pthread_rwlock_unlock(&s->lock);
    buf_puts(b, "]}");
}

int jwk_set(struct req *req, struct res *res, struct err *err)
{
    (void)err;
    put_keys(req, &res->body, false);
    res->content_type = "application/jwk-set+json";
    res->cache_control = arena_printf(req->arena, "public, max-age=%d", jwks_cache_s);
    return 0;
}

int jwk_set_internal(struct req *req, struct res *res, struct err *err)
{
    (void)err;
    put_keys(req, &res->body, true);
    res->cache_control = "no-store";
    return 0;
}
