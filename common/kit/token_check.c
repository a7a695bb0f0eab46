/* The check of an access token in a request. */
#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/io/crypto.h"
#include "common/kit/metrics.h"
#include "common/kit/token_dpop.h"
#include "common/kit/token_internal.h"
#include "common/kit/token_jwt.h"

enum { keys_every_us = 1000 * 1000, keys_wait_ms = 2000, keys_poll_ms = 5 };

static int refused(struct err *err, const char *why)
{
    /* One message whatever the reason: it would tell an attacker which half was right. */
    err_set(err, E_unauthorized, "The credential is not valid.");
    return err_detail(err, "token: %s", why);
}

/* --- signing keys that are not known yet
 * ----------------------------------------------------------
 */

static int fetch_keys(struct tokens *t, struct arena *a)
{
    const char *body;
    size_t n;
    struct err why = { 0 };
    json_t *all;
    int status = tokens_get(t, a, "/internal/auth/signing-keys", &body, &n, &why);
    if (status != 200 || json_parse(a, body, n, &all, &why))
        return -E_unavailable;
    const json_t *list = json_object_get(all, "keys");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_text(a, json_array_get(list, i));
        if (jwts_put_key(t->jwts, a, text, strlen(text), &why))
            log_debug("keys.unreadable", kv_s("why", why.msg));
    }
    return 0;
}

/* One asks, the others wait for it; made-up kids must not become a load on auth. */
static int ask_keys(struct tokens *t, struct arena *a, struct err *err)
{
    if (!t->conf.httpc || !*t->conf.auth_url)
        return 0;
    for (int waited = 0; waited <= keys_wait_ms; waited += keys_poll_ms) {
        pthread_mutex_lock(&t->mu);
        bool busy = t->keys_asking;
        bool asked = t->keys_asked_us && clock_mono_us() - t->keys_asked_us < keys_every_us;
        if (!busy && !asked)
            t->keys_asking = true;
        pthread_mutex_unlock(&t->mu);
        if (!busy && asked)
            return 0;
        if (!busy) {
            int rc = fetch_keys(t, a);
            pthread_mutex_lock(&t->mu);
            t->keys_asking = false;
            t->keys_asked_us = rc ? 0 : clock_mono_us();
            pthread_mutex_unlock(&t->mu);
            if (!rc)
                return 0;
            break;
        }
        fiber_sleep_ms(keys_poll_ms);
    }
    err_set(err, E_unavailable, "The credential cannot be checked at the moment.");
    err->retry_after_s = 1;
    return -E_unavailable;
}

/* --- signatures ---------------------------------------------------------------------------------
 */

struct verify {
    const struct jose_key *key;
    struct arena *arena;
    const char *compact;
    bool ok;
};

static void verify(void *ctx)
{
    struct verify *v = ctx;
    v->ok = jws_verify(v->key, v->arena, v->compact);
}

static int signed_by_us(struct tokens *t, struct arena *a, const char *compact, struct jws *ret,
                        struct err *err)
{
    int rc = jws_decode(a, compact, ret, err);
    if (rc || !ret->kid)
        return refused(err, "no JWT, or no kid");
    const struct jose_key *key = jwts_find_key(t->jwts, ret->kid);
    if (!key) {
        rc = ask_keys(t, a, err);
        key = rc ? NULL : jwts_find_key(t->jwts, ret->kid);
    }
    if (!key)
        return rc ? rc : refused(err, "a key that is not ours");
    struct verify v = { .key = key, .arena = a, .compact = compact };
    if (jose_key_alg(key) == JOSE_RS256 && t->conf.workers)
        rc = worker_run(t->conf.workers, verify, &v, err);
    else
        verify(&v);
    if (rc)
        return rc;
    return v.ok ? 0 : refused(err, "the signature is wrong");
}

/* --- the check ----------------------------------------------------------------------------------
 */

/* A bound token is nothing without its key, nor may it be sent as if it were not bound (RFC 9449
 * §7.1). */
static int check_binding(struct tokens *t, struct arena *a, const struct token_use *use,
                         const struct jwt_known *k, struct err *err)
{
    struct dpop proof;
    if (!*k->jkt)
        return use->dpop ? refused(err, "it is not bound to a key") : 0;
    if (!use->dpop)
        return refused(err, "it is bound to a key");
    const struct dpop_ask ask = { .proof = use->proof,
                                  .proofs = use->proofs,
                                  .method = use->method,
                                  .url = arena_printf(a, "%s%s", t->conf.issuer, use->path),
                                  .token = use->credential,
                                  .now_us = clock_us() };
    int rc = dpop_check(a, t->conf.workers, t->conf.cache, &ask, &proof, err);
    if (rc)
        return rc;
    return crypto_equal(proof.jkt, k->jkt, jwk_thumb_len) ? 0 : refused(err, "another key's");
}

static int check(struct tokens *t, struct arena *a, const struct token_use *use,
                 struct jwt_known *ret, struct err *err)
{
    unsigned char hash[32];
    struct jws token;
    struct jwt_claims claims;
    bool there;
    sha256(use->credential, strlen(use->credential), hash);
    bool ok = jwts_recall(t->jwts, hash, use->addr, use->path, ret, &there);
    if (!there) {
        int rc = signed_by_us(t, a, use->credential, &token, err);
        if (!rc)
            rc = jwt_read(a, &token, t->conf.issuer, clock_us(), &claims, err);
        if (rc)
            return rc;
        jwts_remember(t->jwts, hash, &claims);
        ok = jwts_recall(t->jwts, hash, use->addr, use->path, ret, &there);
    }
    if (!ok && !ret->elsewhere)
        return refused(err, "it is over, or not for this place");
    if (!table_allows(&t->table, ret)) {
        ret->elsewhere = false;
        return refused(err, "it was revoked");
    }
    ret->elsewhere = !ok || !table_network_ok(&t->table, use->addr);
    if (ret->elsewhere)
        return refused(err, "it is not accepted from there");
    return check_binding(t, a, use, ret, err);
}

int token_look(struct tokens *t, struct arena *a, const char *credential, struct jws *ret_parts,
               struct jwt_claims *ret, struct err *err)
{
    unsigned char hash[32];
    struct jwt_known k;
    bool there;
    sha256(credential, strlen(credential), hash);
    jwts_recall(t->jwts, hash, "", "", &k, &there);
    int rc = there ? jws_decode(a, credential, ret_parts, err)
                   : signed_by_us(t, a, credential, ret_parts, err);
    if (!rc)
        rc = jwt_read(a, ret_parts, t->conf.issuer, clock_us(), ret, err);
    if (rc)
        return rc;
    if (!there) {
        jwts_remember(t->jwts, hash, ret);
        jwts_recall(t->jwts, hash, "", "", &k, &there);
    }
    return there && table_allows(&t->table, &k) ? 0 : refused(err, "it was revoked");
}

int token_check_jwt(struct tokens *t, struct arena *a, const struct token_use *use,
                    struct principal *ret, struct err *err)
{
    struct jwt_known k = { .elsewhere = false };
    int rc = check(t, a, use, &k, err);
    if (rc && k.elsewhere)
        *ret = (struct principal){ .denied_client = k.client_id };
    if (!rc)
        *ret = (struct principal){ .user_id = k.user_id,
                                   .client_id = k.client_id,
                                   .role = k.role,
                                   .scopes = k.scopes,
                                   .rate_limit = k.rate_limit,
                                   .quota_monthly = k.quota_monthly };
    metric_add(!rc ? t->ok : rc == -E_unauthorized ? t->refused : t->unavailable, 1);
    return rc;
}
