#ifndef KIT_TOKEN_DPOP_H
#define KIT_TOKEN_DPOP_H
/*
 * DPoP (RFC 9449): a proof that whoever sends a request has the key that its token is bound to.
 *
 * A proof is a JWT (typ dpop+jwt, its public key in the header) that names method, address and time
 * of the request, and the token that goes with it; it is good once, for dpop_window_s around its
 * time.  What was seen is remembered in Redis, for all programs: while Redis is away no proof is
 * accepted.
 */
#include "common/io/crypto_jose.h"

struct cache;
struct workers;

enum { dpop_window_s = 60, dpop_jti_max = 256 };

struct dpop_ask {
    const char *proof;        /* the header's value; NULL: none */
    size_t proofs;            /* how many there were */
    const char *method, *url; /* of the request; the URL without query */
    const char *token;        /* the access token that goes with it, or NULL */
    int64_t now_us;
};
struct dpop {
    char jkt[jwk_thumb_len + 1];
    const char *jti;
};
/* Form, claims and signature; no look-up.  An RSA key's signature is checked on a worker (NULL: on
 * the caller's stack).  E_unauthorized; the detail says why. */
int dpop_read(struct arena *a, struct workers *w, const struct dpop_ask *ask, struct dpop *ret,
              struct err *err) MUST_CHECK;
/* The same, and that it is the first time.  E_unauthorized; E_unavailable. */
int dpop_check(struct arena *a, struct workers *w, struct cache *cache, const struct dpop_ask *ask,
               struct dpop *ret, struct err *err) MUST_CHECK;
#endif
