#ifndef WEBHOOKS_OUT_AUTH_H
#define WEBHOOKS_OUT_AUTH_H
/*
 * How we prove to a receiver who we are, beside the signature:
 *
 *   none
 *   basic    username, password                            RFC 7617
 *   bearer   token                                         RFC 6750
 *   oauth2   token_url, client_id, client_secret, scope?, audience?, client_auth? (basic, post)
 *            client credentials, RFC 6749 §4.4
 *   mtls     certificate, key                              RFC 8446 §4.4.2
 * and with each: certificate and key (PEM), ca (PEM: believed instead of the system's).
 *
 * Kept whole and sealed; what is shown leaves the secret members out.
 */
#include "common/base/json.h"
#include "common/io/httpc.h"

struct keyring;
struct egress;

enum auth_kind { AUTH_NONE, AUTH_BASIC, AUTH_BEARER, AUTH_OAUTH2, AUTH_MTLS };
struct auth {
    enum auth_kind kind;
    const char *username, *password, *token;
    const char *token_url, *client_id, *client_secret, *scope, *audience;
    bool in_body; /* client_auth post */
    const char *certificate, *key, *ca;
};
/* E_validation, err->pointer within the object.  Much stack: not on a fiber (worker_run). */
int auth_check(struct arena *a, const struct egress *e, const json_t *given, bool https,
               struct err *err) MUST_CHECK;
json_t *auth_shown(struct arena *a, const json_t *given);
char *auth_seal(const struct keyring *k, struct arena *a, int64_t endpoint, const json_t *given);
/* `sealed` NULL: none.  The texts live in the arena. */
int auth_open(const struct keyring *k, struct arena *a, int64_t endpoint, const char *sealed,
              struct auth *ret, struct err *err) MUST_CHECK;
void auth_read(struct arena *a, const json_t *given, struct auth *ret); /* checked before */
/* The Authorization header, or NULL; `access_token`: of oauth2. */
const char *auth_header(struct arena *a, const struct auth *auth, const char *access_token);

/* --- OAuth 2 --- */
enum { token_reply_bytes_max = 16 * 1024, token_timeout_ms = 10000 };
/* The request for a token: all but `headers` points into the arena. */
void token_request(struct arena *a, const struct auth *auth, struct httpc_header headers[3],
                   struct httpc_req *ret);
/* E_upstream with a sentence for the log. */
int token_answer(struct arena *a, const struct httpc_res *res, const char **ret_token,
                 int64_t *ret_seconds, struct err *err) MUST_CHECK;
#endif
