#include "common/kit/token_dpop.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/str.h"
#include "common/io/cache.h"
#include "common/io/crypto.h"

static int refused(struct err *err, const char *why)
{
    err_set(err, E_unauthorized, "The DPoP proof is not valid.");
    return err_detail(err, "dpop: %s", why);
}

static const char *text_of(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

/* htu is compared without query and fragment (RFC 9449 §4.3, 9). */
static bool same_address(const char *htu, const char *url)
{
    size_t n = htu ? strcspn(htu, "?#") : 0;
    return htu && strlen(url) == n && !strncmp(htu, url, n);
}

static const char *claims_fault(struct arena *a, const json_t *p, const struct dpop_ask *ask)
{
    unsigned char digest[sha256_bytes];
    const json_t *iat = json_object_get(p, "iat");
    const char *jti = text_of(p, "jti");
    int64_t now = ask->now_us / 1000000;
    if (!jti || !*jti || strlen(jti) > dpop_jti_max)
        return "no jti";
    if (!str_eq(text_of(p, "htm"), ask->method))
        return "another method";
    if (!same_address(text_of(p, "htu"), ask->url))
        return "another address";
    if (!json_is_integer(iat) || json_integer_value(iat) < now - dpop_window_s ||
        json_integer_value(iat) > now + dpop_window_s)
        return "another time";
    if (!ask->token)
        return NULL;
    sha256(ask->token, strlen(ask->token), digest);
    return str_eq(text_of(p, "ath"), b64url_encode(a, digest, sizeof(digest))) ? NULL
                                                                               : "another token";
}

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

int dpop_read(struct arena *a, struct workers *w, const struct dpop_ask *ask, struct dpop *ret,
              struct err *err)
{
    struct jws t;
    struct jose_key *key;
    if (!ask->proof || ask->proofs != 1)
        return refused(err, "not one proof");
    if (jws_decode(a, ask->proof, &t, err))
        return refused(err, "no JWT");
    const json_t *jwk = json_object_get(t.header, "jwk");
    if (!str_eq(t.typ, "dpop+jwt") || !json_is_object(jwk))
        return refused(err, "typ or jwk");
    const char *why = claims_fault(a, t.payload, ask);
    if (why)
        return refused(err, why);
    const char *text = json_text(a, jwk);
    if (jose_key_parse(text, strlen(text), JOSE_PUBLIC, &key, err))
        return refused(err, "a key that we do not take");
    struct verify v = { .key = key, .arena = a, .compact = ask->proof };
    int rc = 0;
    if (jose_key_alg(key) == JOSE_RS256 && w)
        rc = worker_run(w, verify, &v, err);
    else
        verify(&v);
    memcpy(ret->jkt, jose_key_thumb(key), sizeof(ret->jkt));
    ret->jti = text_of(t.payload, "jti");
    jose_key_free(key);
    if (rc)
        return rc;
    return v.ok ? 0 : refused(err, "the signature is wrong");
}

int dpop_check(struct arena *a, struct workers *w, struct cache *cache, const struct dpop_ask *ask,
               struct dpop *ret, struct err *err)
{
    char hash[sha256_hex_len + 1];
    struct cache_reply r;
    int rc = dpop_read(a, w, ask, ret, err);
    if (rc)
        return rc;
    const char *once = arena_printf(a, "%s %s", ret->jkt, ret->jti);
    sha256_hex(once, strlen(once), hash);
    const char *const argv[] = { "SET", arena_printf(a, "cms365:dpop:%s", hash),     "1", "NX",
                                 "EX",  arena_printf(a, "%d", 2 * dpop_window_s + 1) };
    rc = cache ? cache_call(cache, a, argv, ARRAY_LEN(argv), &r, err) : 0;
    if (rc) {
        err_set(err, E_unavailable, "The DPoP proof cannot be checked at the moment.");
        err->retry_after_s = 1;
        return -E_unavailable;
    }
    return cache && r.type == CACHE_NIL ? refused(err, "it was used before") : 0;
}
