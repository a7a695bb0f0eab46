#ifndef AUTH_JWK_H
#define AUTH_JWK_H
/*
 * The keys that sign access tokens: one for each algorithm signs, those before it are published and
 * accepted until what they signed is over, the next one is published before it signs.
 *
 * A new key is made when the present one is CMS365_SIGNING_KEY_DAYS old, or by the verb
 * --rotate-signing-keys; every replica reads the table once a second, so no restart is needed.  The
 * secret half is in the database, sealed, and in the memory of this program; the other programs get
 * the public half by auth.keys.
 */
#include "common/io/crypto_jose.h"
#include "common/kit/route.h"
#include "common/kit/svc.h"

enum {
    signing_lead_s = 600,  /* published before it signs: longer than jwks.json is cached */
    signing_margin_s = 60, /* accepted on top of a token's life */
    jwks_cache_s = 300,
};

struct signers;
struct signers *signers_new(void);
void signers_free(struct signers *s);
/* The key that signs now; NULL while there is none (the database was never reached).  Lives as long
 * as `s`. */
const struct jose_key *signers_key(struct signers *s, enum jose_alg alg);

/* Makes what is missing or due and reads the table.  `force`: new keys whatever their age, that
 * sign lead_s from now on. */
int signers_refresh(struct svc *svc, struct signers *s, struct arena *a, bool force, int64_t lead_s,
                    struct err *err) MUST_CHECK;
void signing_job(struct svc *svc);
int auth_rotate_signing_keys(struct svc *svc, char **args, struct err *err);

/* Handlers. */
int jwk_set(struct req *req, struct res *res, struct err *err);          /* jwks.json */
int jwk_set_internal(struct req *req, struct res *res, struct err *err); /* for the programs */
#endif
