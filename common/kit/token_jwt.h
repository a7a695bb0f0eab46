#ifndef KIT_TOKEN_JWT_H
#define KIT_TOKEN_JWT_H
/*
 * Access tokens: JSON Web Tokens as RFC 9068 profiles them, signed by auth, checked in every
 * program.
 *
 * typ at+jwt; iss CMS365_PUBLIC_URL; aud what the token is for, each a prefix of our URLs (RFC
 * 8707); sub the user's id, or the client_id when a client acts for itself; client_id "365c_<id>";
 * scope; roles with one role; jti a UUIDv7, whose time is when the token was made, in ms; and of
 * our own `fam`, the authorization it comes from, `networks`, where it is accepted, and
 * `rate_limit` and `quota_monthly` of its client (a changed client's tokens end).  cnf.jkt binds it
 * to a DPoP key (RFC 9449).
 *
 * A token is verified once and remembered by its SHA-256 until it expires: the next check is a
 * look-up.  What is revoked is refused by the maps of common/kit/token_internal.h at each check.
 * Signing keys come by the topic auth.keys (key "jwk:<kid>"); a kid that is not known is asked of
 * auth once a second at most.
 */
#include "common/base/json.h"
#include "common/io/crypto_jose.h"
#include "common/kit/token.h"

enum {
    jwt_life_s = 600,
    jwt_skew_s = 5, /* between auth's clock and ours: accepted as if not yet over */
    jwt_aud_max = 8,
    jwt_slots = 16384, /* tokens remembered, and 4 that share a place */
    jwt_keys_max = 256,
};

/* What a token says.  Texts are borrowed. */
struct jwt_claims {
    const char *aud[jwt_aud_max]; /* absolute URLs */
    size_t naud;
    int64_t user_id, client_id, family_id; /* 0: none */
    int64_t issued_ms, exp_s;
    int64_t rate_limit, quota_monthly; /* of the client; 0: none of its own */
    enum role role;
    scope_set granted;                        /* as named by scope */
    const char *scope, *jti, *jkt, *networks; /* jkt, networks: NULL if there are none */
};
/* The payload of a new token; iat and exp follow from the claims. */
json_t *jwt_write(struct arena *a, const char *issuer, const struct jwt_claims *c);
/* Reads and checks a decoded token, its signature aside.  E_unauthorized; the detail says why. */
int jwt_read(struct arena *a, const struct jws *token, const char *issuer, int64_t now_us,
             struct jwt_claims *ret, struct err *err) MUST_CHECK;
char *jwt_client_text(struct arena *a, int64_t client_id); /* "365c_7" */
bool jwt_client_parse(const char *text, int64_t *ret);
/* Are the URLs (issuer + path) within what the token is for? */
bool jwt_covers(const char *aud, const char *issuer, const char *path);
/* The number that stands for a jti in "jti:<number>". */
int64_t jwt_jti_id(const char *jti);

/* --- keys and tokens that one program remembers; all of it for any thread
 * -------------------------
 */
struct jwts;
struct jwts *jwts_new(const char *issuer);
void jwts_free(struct jwts *j);
/* {"kid","jwk":{…},"expires_us"}: 0 for a key in use.  E_invalid. */
int jwts_put_key(struct jwts *j, struct arena *a, const char *json, size_t n,
                 struct err *err) MUST_CHECK;
char *jwts_key_json(struct arena *a, const struct jose_key *k, int64_t expires_us);
/* NULL: not known, or over.  Lives as long as `j`. */
const struct jose_key *jwts_find_key(struct jwts *j, const char *kid);

/* A token that was verified.  By value: nothing in it is borrowed. */
struct jwt_known {
    unsigned char hash[32];
    int64_t exp_us, issued_ms, user_id, client_id, family_id, jti_id;
    int64_t rate_limit, quota_monthly;
    enum role role;
    scope_set scopes;            /* effective */
    char jkt[jwk_thumb_len + 1]; /* "": bearer */
    bool elsewhere;              /* of jwts_recall: good but for where it is used */
};
/* Asks whether the remembered token may be used from there, for that; the texts are its aud, one a
 * line, and its networks. */
bool jwts_recall(struct jwts *j, const unsigned char hash[32], const char *addr, const char *path,
                 struct jwt_known *ret, bool *ret_there);
void jwts_remember(struct jwts *j, const unsigned char hash[32], const struct jwt_claims *c);
size_t jwts_count(struct jwts *j); /* remembered */

/* What an access token says, if it is alive: signed by us, in its time, not revoked; wherever it is
 * for and whoever shows it.  E_unauthorized. */
int token_look(struct tokens *t, struct arena *a, const char *credential, struct jws *ret_parts,
               struct jwt_claims *ret, struct err *err) MUST_CHECK;
#endif
