#ifndef AUTH_TOTP_H
#define AUTH_TOTP_H
/*
 * The second factor: one-time passwords by time (RFC 6238: HMAC-SHA-1, 6 digits, 30 s; what every
 * authenticator app takes), and recovery codes for who has lost theirs.
 *
 * The secret is 160 random bits, sealed at rest, shown while it is set up only.  The step before
 * and the one after the present are accepted; a step, or one before it, never twice.  Recovery
 * codes are 10, good once each, of 50 random bits; a MAC of each under CMS365_SECRET_KEYS is
 * stored: a dump alone does not let anybody try them.  CMS365_TOTP_ROLES and the policy (policy.h)
 * name the roles that cannot sign in without.
 */
#include "services/auth/auth.h"

struct person_known;

enum {
    totp_secret_bytes = 20,
    totp_step_s = 30,
    totp_digits = 6,
    totp_text_max = 12,
    totp_drift_steps = 1,
    recovery_codes_max = 10,
    recovery_code_len = 11, /* "abcde-fghij" */
    totp_code_max = 32,     /* as typed, with blanks */
};

/* The code of a step, `digits` 6 to 8 (RFC 4226 §5.3). */
void totp_code(const void *secret, size_t n, int64_t step, unsigned digits,
               char ret[totp_text_max]);
/* Base32 without padding (RFC 4648 §6), as apps want it. */
char *totp_base32(struct arena *a, const void *in, size_t n);

enum totp_state { TOTP_NONE, TOTP_PENDING, TOTP_ON };
struct totp_info {
    enum totp_state state;
    const char *confirmed_at; /* NULL unless TOTP_ON */
    int64_t recovery_left;
};
int totp_look(struct svc *svc, struct arena *a, int64_t user, struct totp_info *ret,
              struct err *err) MUST_CHECK;

/* A new secret that is not in force yet, in place of one that is not: its text and its
 * otpauth URI.  E_conflict: there is one in force. */
int totp_begin(struct req *req, const struct person_known *who, const char **ret_secret,
               const char **ret_uri, struct err *err) MUST_CHECK;
/* The same again while it is not in force, for a page that is shown once more; E_not_found. */
int totp_pending(struct req *req, const struct person_known *who, const char **ret_secret,
                 const char **ret_uri, struct err *err) MUST_CHECK;

/* Tries a code of the one in force, or a recovery code; counted (TRY_USER).  *ret_ok; locked:
 * E_rate_limited. */
int totp_try(struct req *req, int64_t user, const char *code, bool *ret_ok,
             struct err *err) MUST_CHECK;
/* With the right code the pending one is in force from now on, and recovery codes are made. */
int totp_confirm(struct req *req, int64_t user, const char *code, const char **ret_codes,
                 bool *ret_ok, struct err *err) MUST_CHECK;
/* New recovery codes; those before are void. */
int totp_new_codes(struct svc *svc, struct arena *a, int64_t user, const struct auth_cause *why,
                   const char **ret_codes, struct err *err) MUST_CHECK;
int totp_disable(struct svc *svc, struct arena *a, int64_t user, const struct auth_cause *why,
                 struct err *err) MUST_CHECK;

extern const struct route auth_totp_routes[];
#endif
