#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H
/*
 * Passwords (NIST SP 800-63B §5.1.1): at least CMS365_PASSWORD_MIN characters, at most
 * login_password_max bytes, none that are known to everybody, none that is the person's own name;
 * nothing is asked of their composition, and none expires.  Stored as Argon2id.
 *
 * A person gets to a password by a token that is mailed to them: single use, 256 random bits with a
 * MAC, of which the SHA-256 is stored.  Mail is a `mail.send` event on mail.commands:
 *
 *   {"template":"password_reset","to":"erika@example.com","data":{…},"sealed":{"url":"<kid>.…"}}
 *
 * `sealed` values are secrets under CMS365_SECRET_KEYS, context "mail.commands" (crypto_seal), so
 * that neither the topic nor the outbox holds a link that works.
 */
#include "services/auth/auth.h"

enum password_purpose { PASSWORD_INVITATION, PASSWORD_RESET };
enum { password_token_max = 80, invitation_life_s = 7 * 86400, reset_life_s = 3600 };

/* NULL: it will do; else what is wrong with it.  `names`: what it must not be, NULL-ended. */
const char *password_fault(const char *password, int64_t min, const char *const *names);

/* The row of a person as far as passwords go; username "" and email NULL if not known. */
struct person_known {
    int64_t id;
    bool active, has_password;
    const char *username, *email, *display_name, *phc; /* phc: NULL without a password */
    enum role role;
};
/* E_not_found. */
int person_find(struct svc *svc, struct arena *a, int64_t id, struct person_known *ret,
                struct err *err) MUST_CHECK;

/* Checks the new password against the rules and the person, hashes it on a worker, and puts it:
 * tokens of theirs are used up, sessions but `keep` end, the log has `type`. */
struct password_set {
    const struct person_known *who;
    const char *password, *type; /* "password.changed" */
    int64_t keep;                /* session; 0: none */
    const char *token_hash;      /* that must still be good; NULL: none */
};
/* E_validation with the pointer "/password", E_conflict if the token is used. */
int password_put(struct svc *svc, struct arena *a, const struct password_set *s,
                 const struct auth_cause *why, struct err *err) MUST_CHECK;

/* A new token in the transaction, and the mail with it. */
struct password_mail {
    struct svc *svc;
    struct arena *a;
    const struct person_known *who;
    enum password_purpose purpose;
    const char *url; /* filled: the link, a secret */
};
int password_mail(struct db_tx *tx, struct password_mail *m, const struct auth_cause *why,
                  struct err *err) MUST_CHECK;
/* Whose token it is; ret->id 0: nobody's, or over. */
int password_token_find(struct svc *svc, struct arena *a, const char *token,
                        struct person_known *ret, char ret_hash[65], struct err *err) MUST_CHECK;

/* Is it the password of that person?  Counted (TRY_USER): E_rate_limited; E_forbidden with the
 * pointer if it is wrong. */
int password_prove(struct req *req, const struct person_known *who, const char *password,
                   const char *pointer, struct err *err) MUST_CHECK;
/* Ends sessions (ids in column 0 of `rows`) everywhere. */
void sessions_deny(struct svc *svc, struct arena *a, const struct db_rows *rows);

/* Somebody asks for a mail: kept, and worked on by password_job, so that the answer takes the same
 * time whoever is meant.  E_rate_limited does not tell: it is by the name as typed too. */
int password_ask(struct req *req, const char *name, struct err *err) MUST_CHECK;
void password_job(struct svc *svc);

extern const struct route auth_password_routes[], auth_people_routes[];
#endif
