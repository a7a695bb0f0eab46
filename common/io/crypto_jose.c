#include "common/io/crypto_jose.h"

#include "common/base/str.h"
#include "common/io/crypto.h"

#include <assert.h>
#include <cjose/cjose.h>

enum { p256_chars = 43, rsa_bits_max = 4096, rsa_exponent_bytes_max = 4 };

struct jose_key {
    cjose_jwk_t *jwk;
    enum jose_alg alg;
    bool private;
    char thumb[jwk_thumb_len + 1];
};

static const char *const names[] = { [JOSE_ES256] = "ES256", [JOSE_RS256] = "RS256" };

const char *jose_alg_name(enum jose_alg alg)
{
    assert(alg != JOSE_NONE);
    return names[alg];
}

enum jose_alg jose_alg_find(const char *name)
{
    for (enum jose_alg x = JOSE_ES256; x <= JOSE_RS256; x++)
        if (str_eq(names[x], name))
            return x;
    return JOSE_NONE;
}

/* --- keys ---------------------------------------------------------------------------------------
 */

static const char *member(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static size_t decoded(struct arena *a, const char *text)
{
    void *raw;
    size_t n;
    return b64url_decode(a, text, &raw, &n) ? n : 0;
}

/* What a key must look like, and its thumbprint: the required members in their order (RFC 7638
 * §3.2).  JOSE_NONE: we do not take it. */
static enum jose_alg judge(struct arena *a, const json_t *o, char thumb[jwk_thumb_len + 1])
{
    unsigned char digest[sha256_bytes];
    enum jose_alg alg = JOSE_NONE;
    const char *text = "";
    if (str_eq(member(o, "kty"), "EC") && str_eq(member(o, "crv"), "P-256")) {
        const char *x = member(o, "x"), *y = member(o, "y");
        if (strlen(x) != p256_chars || strlen(y) != p256_chars || !decoded(a, x) || !decoded(a, y))
            return JOSE_NONE;
        alg = JOSE_ES256;
        text =
            arena_printf(a, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
    } else if (str_eq(member(o, "kty"), "RSA")) {
        const char *n = member(o, "n"), *e = member(o, "e");
        size_t bits = decoded(a, n) * 8, exponent = decoded(a, e);
        if (bits < rsa_bits || bits > rsa_bits_max || !exponent ||
            exponent > rsa_exponent_bytes_max)
            return JOSE_NONE;
        alg = JOSE_RS256;
        text = arena_printf(a, "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", e, n);
    }
    const char *said = member(o, "alg"), *use = member(o, "use");
    if (alg == JOSE_NONE || (*said && jose_alg_find(said) != alg) || (*use && !str_eq(use, "sig")))
        return JOSE_NONE;
    sha256(text, strlen(text), digest);
    memcpy(thumb, b64url_encode(a, digest, sizeof(digest)), jwk_thumb_len + 1);
    return alg;
}

static bool holds_secret(const json_t *o)
{
    static const char *const secret[] = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" };
    for (size_t i = 0; i < ARRAY_LEN(secret); i++)
        if (json_object_get(o, secret[i]))
            return true;
    return false;
}

int jose_key_parse(const char *jwk, size_t n, enum jose_half half, struct jose_key **ret,
                   struct err *err)
{
    struct arena *a = arena_new();
    struct jose_key *k = calloc(1, sizeof(*k));
    cjose_err why;
    json_t *o;
    assert(k);
    int rc = n <= jwk_bytes_max ? json_parse(a, jwk, n, &o, err)
                                : err_set(err, E_invalid, "The key is too long.");
    if (!rc && !json_is_object(o))
        rc = err_set(err, E_invalid, "A key is a JSON object.");
    if (!rc && holds_secret(o) != (half == JOSE_PRIVATE))
        rc = err_set(err, E_invalid,
                     half == JOSE_PUBLIC
                         ? "The key's secret half belongs to nobody else: send the public one."
                         : "The key has no secret half.");
    if (!rc) {
        k->private = half == JOSE_PRIVATE;
        k->alg = judge(a, o, k->thumb);
        k->jwk = k->alg != JOSE_NONE ? cjose_jwk_import_json(o, &why) : NULL;
        if (!k->jwk || !cjose_jwk_set_kid(k->jwk, k->thumb, jwk_thumb_len, &why))
            rc = err_set(err, E_invalid,
                         "A key is EC P-256, or RSA of 2048 to 4096 bits, for signing.");
    }
    arena_free(a);
    if (rc) {
        jose_key_free(k);
        return rc;
    }
    *ret = k;
    return 0;
}

int jose_key_make(enum jose_alg alg, struct jose_key **ret, struct err *err)
{
    static const uint8_t exponent[] = { 1, 0, 1 };
    cjose_err why;
    cjose_jwk_t *made =
        alg == JOSE_ES256 ? cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, &why)
                          : cjose_jwk_create_RSA_random(rsa_bits, exponent, sizeof(exponent), &why);
    char *text = made ? cjose_jwk_to_json(made, true, &why) : NULL;
    int rc = text ? jose_key_parse(text, strlen(text), JOSE_PRIVATE, ret, err)
                  : err_set(err, E_internal, "A key cannot be made.");
    if (text) {
        crypto_wipe(text, strlen(text));
        free(text);
    }
    if (made)
        cjose_jwk_release(made);
    return rc;
}

void jose_key_free(struct jose_key *k)
{
    if (!k)
        return;
    if (k->jwk)
        cjose_jwk_release(k->jwk);
    free(k);
}

enum jose_alg jose_key_alg(const struct jose_key *k)
{
    return k->alg;
}

const char *jose_key_thumb(const struct jose_key *k)
{
    return k->thumb;
}

char *jose_key_text(const struct jose_key *k, struct arena *a, enum jose_half half)
{
    cjose_err why;
    struct err err;
    json_t *o;
    assert(half == JOSE_PUBLIC || k->private);
    char *text = cjose_jwk_to_json(k->jwk, half == JOSE_PRIVATE, &why);
    assert(text); /* out of memory */
    int rc = json_parse(a, text, strlen(text), &o, &err);
    assert(!rc); /* it was written by the library a line above */
    (void)rc;
    crypto_wipe(text, strlen(text));
    free(text);
    json_object_set_new(o, "kid", json_string(k->thumb));
    json_object_set_new(o, "alg", json_string(names[k->alg]));
    json_object_set_new(o, "use", json_string("sig"));
    return json_text(a, o);
}

/* --- signatures ---------------------------------------------------------------------------------
 */

static bool object_part(struct arena *a, const char *text, size_t n, const json_t **ret)
{
    struct err err;
    void *raw;
    size_t raw_n;
    json_t *o;
    if (!n || !b64url_decode(a, arena_strndup(a, text, n), &raw, &raw_n) ||
        json_parse(a, raw, raw_n, &o, &err) || !json_is_object(o))
        return false;
    *ret = o;
    return true;
}

int jws_decode(struct arena *a, const char *compact, struct jws *ret, struct err *err)
{
    static const char wrong[] = "This is not a signed JSON Web Token.";
    size_t n = strnlen(compact, jws_bytes_max + 1);
    const char *dot = strchr(compact, '.'), *last = dot ? strchr(dot + 1, '.') : NULL;
    void *mac;
    size_t mac_n;
    *ret = (struct jws){ .alg = NULL };
    if (n > jws_bytes_max || !last || strchr(last + 1, '.') ||
        !b64url_decode(a, last + 1, &mac, &mac_n) || !mac_n)
        return err_set(err, E_invalid, wrong);
    if (!object_part(a, compact, (size_t)(dot - compact), &ret->header) ||
        !object_part(a, dot + 1, (size_t)(last - dot - 1), &ret->payload))
        return err_set(err, E_invalid, wrong);
    ret->alg = json_string_value(json_object_get(ret->header, "alg"));
    ret->kid = json_string_value(json_object_get(ret->header, "kid"));
    ret->typ = json_string_value(json_object_get(ret->header, "typ"));
    /* Extensions that must be understood: we understand none (RFC 7515 §4.1.11); b64 is one. */
    if (!ret->alg || json_object_get(ret->header, "crit"))
        return err_set(err, E_invalid, wrong);
    return 0;
}

bool jws_verify(const struct jose_key *k, struct arena *a, const char *compact)
{
    struct jws parts;
    struct err err;
    cjose_err why;
    if (jws_decode(a, compact, &parts, &err) || jose_alg_find(parts.alg) != k->alg)
        return false;
    cjose_jws_t *jws = cjose_jws_import(compact, strlen(compact), &why);
    bool ok = jws && cjose_jws_verify(jws, k->jwk, &why);
    if (jws)
        cjose_jws_release(jws);
    return ok;
}

int jws_sign(const struct jose_key *k, struct arena *a, const char *typ, const json_t *payload,
             char **ret, struct err *err)
{
    cjose_err why;
    const char *out = NULL, *text = json_text(a, payload);
    assert(k->private);
    cjose_header_t *h = cjose_header_new(&why);
    bool ok = h && cjose_header_set(h, "alg", names[k->alg], &why) &&
              (!typ || cjose_header_set(h, "typ", typ, &why)) &&
              cjose_header_set(h, "kid", k->thumb, &why);
    cjose_jws_t *jws =
        ok ? cjose_jws_sign(k->jwk, h, (const uint8_t *)text, strlen(text), &why) : NULL;
    if (jws && cjose_jws_export(jws, &out, &why))
        *ret = arena_strdup(a, out);
    if (jws)
        cjose_jws_release(jws);
    if (h)
        cjose_header_release(h);
    return out ? 0 : err_set(err, E_internal, "A token cannot be signed.");
}
