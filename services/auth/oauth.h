#ifndef AUTH_OAUTH_H
#define AUTH_OAUTH_H
/*
 * OAuth 2 (RFC 6749 as RFC 9700 narrows it): what the files of it share.
 *
 *   oauth_form.c       parameters, refusals            oauth_code.c      codes and refresh tokens
 *   oauth_client.c     clients and their proofs        oauth_look.c      introspection, revocation
 *   oauth_token.c      /oauth/token                    oauth_meta.c      the documents in
 * /.well-known/ oauth_authorize.c  /oauth/authorize, login         oauth_par.c       /oauth/par
 *   client.c           /api/v2/auth/clients            consent.c         /api/v2/auth/grants
 *
 * A protocol's own refusal is a struct fault (RFC 6749 §5.2): the function answers -E_invalid with
 * fault->error set, and oauth_answer words it.  Any other negative is ours (the database is away)
 * and becomes problem+json as everywhere.
 */
#include "common/io/crypto_jose.h"
#include "common/kit/route.h"
#include "common/kit/token_jwt.h"
#include "services/auth/auth.h"

struct db_tx;

enum {
    form_params_max = 48,
    form_bytes_max = 64 * 1024,
    resources_max = jwt_aud_max,
    redirects_max = 20,
    code_life_s = 60,
    refresh_life_s = 30 * 86400,
    pushed_life_s = 600,
    secret_chars = 43, /* 256 bits, base64url */
};

/* --- parameters (oauth_form.c) -----------------------------------------------------------------
 */
struct form {
    struct query_arg list[form_params_max];
    size_t n;
};
struct fault {
    const char *error;     /* "invalid_grant"; NULL: none */
    int status;            /* of the answer, where it is not a redirect */
    const char *challenge; /* WWW-Authenticate, or NULL */
    int64_t retry_after_s; /* 0: none */
    char text[200];
};
/* application/x-www-form-urlencoded.  False: not that, or too many. */
bool form_parse(struct arena *a, const char *text, size_t n, struct form *ret);
/* The value; NULL if absent or empty (RFC 6749 §3.1). */
const char *form_get(const struct form *f, const char *name);
/* The name of a parameter that is there twice though it must not be, or NULL (resource may be). */
const char *form_twice(const struct form *f);
/* The body of a POST as a form. */
int oauth_form(struct req *req, struct form *ret, struct fault *f, struct err *err) MUST_CHECK;

int fault_set(struct fault *f, struct err *err, int status, const char *error, const char *fmt, ...)
    PRINTF(5, 6);
/* What a handler ends with: the fault as JSON, or rc itself. */
int oauth_answer(struct req *req, struct res *res, int rc, const struct fault *f);
/* JSON that no cache may keep. */
void oauth_json(struct res *res, const json_t *o);

/* --- clients (oauth_client.c) ------------------------------------------------------------------
 */
enum grant_type { GRANT_CODE = 1, GRANT_REFRESH = 2, GRANT_CLIENT = 4 };
enum client_auth { AUTH_NONE, AUTH_SECRET, AUTH_JWT };
struct client {
    int64_t id, user_id;
    const char *client_id; /* "365c_7" */
    const char *name, *website;
    bool public;
    bool first_party; /* our own pages: no consent is asked, no token is given (session.h) */
    enum client_auth auth;
    const char **redirects;
    size_t nredirects;
    unsigned grants;
    scope_set names;  /* the scopes it was registered for */
    scope_set scopes; /* the most it may ask for: these, expanded */
    enum role role;   /* as itself, within its owner's role of now */
    enum jose_alg alg;
    bool par, dpop;
    const char *networks;              /* "" for any */
    const char *jwks;                  /* NULL: none */
    const char *secret, *previous;     /* hashes in hex; NULL: none */
    int64_t rate_limit, quota_monthly; /* 0: none of its own */
};
/* E_not_found if there is none (any more). */
int client_find(struct svc *svc, struct arena *a, const char *client_id, struct client *ret,
                struct err *err) MUST_CHECK;
/* Who calls, proven by what the request carries; a public client only says its name. */
int client_authenticate(struct req *req, const struct form *form, struct client *ret,
                        struct fault *f, struct err *err) MUST_CHECK;
/* A new secret: "365s_" and 256 random bits; its hash in hex. */
char *client_secret_make(struct arena *a, char hash[65]);
bool client_redirect_ok(const struct client *c, const char *uri);
/* A redirect URI that may be registered; *ret_why says what is wrong. */
bool redirect_form_ok(const char *uri, bool public, const char **ret_why);
bool client_jwks_ok(struct arena *a, const json_t *jwks);

/* The key that the request proves (RFC 9449 §5), in the arena; *ret NULL: no proof was sent. */
int oauth_proven_key(struct req *req, const char **ret, struct fault *f,
                     struct err *err) MUST_CHECK;

/* --- scopes and resources (oauth_token.c) -------------------------------------------------------
 */
/* Names of `scope` (NULL: all the client may have) that the client was registered for, as a set.
 * invalid_scope for a name that is none, or more than the client has. */
int oauth_scopes(const struct client *c, const char *scope, struct arena *a, scope_set *ret,
                 struct fault *f, struct err *err) MUST_CHECK;
/* What of it a role may have (rulings.md 13): a name that is too much for the role gives way to
 * those within it that are not. */
scope_set scopes_for(scope_set names, enum role role);
char *scopes_text(struct arena *a, scope_set names);        /* "posts:read posts:write" */
struct db_val scopes_val(struct arena *a, scope_set names); /* text[] */
scope_set scopes_of(struct arena *a, const struct db_rows *r, size_t row, size_t col);
scope_set scopes_parse(struct arena *a, const char *text); /* unknown names are left out */
/* The `resource` parameters (RFC 8707), or the platform itself if there are none. */
struct resources {
    const char *list[resources_max];
    size_t n;
};
int oauth_resources(struct req *req, const struct form *form, struct resources *ret,
                    struct fault *f, struct err *err) MUST_CHECK;

/* --- tokens -------------------------------------------------------------------------------------
 */
struct issue {
    const struct client *client;
    int64_t user_id, family_id; /* 0: the client itself */
    enum role role;
    scope_set scopes; /* names */
    struct resources resources;
    const char *jkt;     /* NULL: bearer */
    const char *refresh; /* NULL: none */
};
/* Signs and answers (RFC 6749 §5.1). */
int oauth_issue(struct req *req, struct res *res, const struct issue *i,
                struct err *err) MUST_CHECK;
/* oauth_code.c: both grants that come from a person's authorization. */
struct token_ask {
    struct form form;
    struct client client;
    const char *jkt; /* of the key that the request proves; NULL: none */
};
int oauth_redeem_code(struct req *req, struct res *res, const struct token_ask *ask,
                      struct fault *f, struct err *err) MUST_CHECK;
int oauth_redeem_refresh(struct req *req, struct res *res, const struct token_ask *ask,
                         struct fault *f, struct err *err) MUST_CHECK;
/* A code for what a person has consented to; the redirect's own parameters follow in *ret_code. */
struct authorization {
    const struct client *client;
    int64_t user_id;
    scope_set scopes;
    struct resources resources;
    const char *redirect_uri, *challenge, *jkt; /* jkt: NULL if there is none */
    bool redirect_given;
    const char *pushed_hash; /* NULL: not pushed */
};
int oauth_make_code(struct req *req, const struct authorization *z, const char **ret_code,
                    struct err *err) MUST_CHECK;

/* An event about a client, or about a person's consent. */
int client_event(struct db_tx *tx, struct arena *a, int64_t client, const char *type,
                 const char *changed, const struct auth_cause *why, struct err *err) MUST_CHECK;
int grant_event(struct db_tx *tx, struct arena *a, int64_t grant, const char *type,
                const char *changed, const struct auth_cause *why, struct err *err) MUST_CHECK;
void oauth_forget(struct svc *svc, struct arena *a); /* what is long over */

/* Handlers. */
int oauth_token(struct req *req, struct res *res, struct err *err);
int oauth_introspect(struct req *req, struct res *res, struct err *err);
int oauth_revoke(struct req *req, struct res *res, struct err *err);
int oauth_metadata(struct req *req, struct res *res, struct err *err);
int oauth_resource_metadata(struct req *req, struct res *res, struct err *err);
int oauth_par(struct req *req, struct res *res, struct err *err);
int oauth_authorize(struct req *req, struct res *res, struct err *err);
int oauth_decide(struct req *req, struct res *res, struct err *err);
int oauth_login(struct req *req, struct res *res, struct err *err);
int oauth_login_second(struct req *req, struct res *res, struct err *err);
int oauth_login_enrol(struct req *req, struct res *res, struct err *err);
int oauth_logout(struct req *req, struct res *res, struct err *err);
int auth_client_create(struct req *req, struct res *res, struct err *err);
int auth_client_patch(struct req *req, struct res *res, struct err *err);
int auth_client_delete(struct req *req, struct res *res, struct err *err);
int auth_client_rotate(struct req *req, struct res *res, struct err *err);
int auth_client_forget_previous(struct req *req, struct res *res, struct err *err);
int auth_grant_patch(struct req *req, struct res *res, struct err *err);
int auth_grant_delete(struct req *req, struct res *res, struct err *err);

extern const struct route auth_oauth_routes[], auth_client_routes[], auth_grant_routes[];
#endif
