#ifndef IO_CRYPTO_JOSE_H
#define IO_CRYPTO_JOSE_H
/*
 * JOSE by cjose: JSON Web Keys (RFC 7517, 7638) and compact JSON Web Signatures (RFC 7515) with
 * ES256 and RS256 (RFC 7518 §3.3, §3.4), nothing else.
 *
 * Which algorithm is right is said by the key, never by the token (RFC 8725 §3.1): jose_verify
 * refuses a header whose alg is not the key's, and any crit.  RSA is too much work for a fiber and
 * its stack: with an RS256 key, sign and verify through worker_run.
 *
 * Keys are immutable and may be used by several threads at once.
 */
#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/json.h"

enum {
    jws_bytes_max = 8 * 1024, /* of a compact token */
    jwk_bytes_max = 4 * 1024,
    jwk_thumb_len = 43, /* SHA-256, base64url */
    rsa_bits = 2048,    /* of the keys we make; others may have up to 4096 */
};
enum jose_alg { JOSE_NONE, JOSE_ES256, JOSE_RS256 };
const char *jose_alg_name(enum jose_alg alg);  /* "ES256" */
enum jose_alg jose_alg_find(const char *name); /* JOSE_NONE if unknown */

struct jose_key;
/* A P-256 or RSA key (2048 to 4096 bits) from its JWK.  JOSE_PUBLIC refuses a private one, so that
 * nobody's secret is ever taken by mistake. E_invalid. */
enum jose_half { JOSE_PUBLIC, JOSE_PRIVATE };
int jose_key_parse(const char *jwk, size_t n, enum jose_half half, struct jose_key **ret,
                   struct err *err) MUST_CHECK;
int jose_key_make(enum jose_alg alg, struct jose_key **ret, struct err *err) MUST_CHECK; /* new */
void jose_key_free(struct jose_key *k); /* NULL is fine */
enum jose_alg jose_key_alg(const struct jose_key *k);
const char *jose_key_thumb(const struct jose_key *k); /* RFC 7638; our kid */
/* As JWK with kid, alg and use=sig; private: with the secret half too. */
char *jose_key_text(const struct jose_key *k, struct arena *a, enum jose_half half);

/* A compact JWS taken apart; nothing is verified.  E_invalid. */
struct jws {
    const json_t *header, *payload; /* objects */
    const char *alg, *kid, *typ;    /* of the header; NULL: absent */
};
int jws_decode(struct arena *a, const char *compact, struct jws *ret, struct err *err) MUST_CHECK;
/* Is the signature this key's?  Also false for another alg, for crit, and for what is no JWS. */
bool jws_verify(const struct jose_key *k, struct arena *a, const char *compact);
/* The token in the arena; typ may be NULL. */
int jws_sign(const struct jose_key *k, struct arena *a, const char *typ, const json_t *payload,
             char **ret, struct err *err) MUST_CHECK;
#endif
