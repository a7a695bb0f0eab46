#ifndef AUTH_OAUTH_ASK_H
#define AUTH_OAUTH_ASK_H
/*
 * What a client asks of a person (RFC 6749 §4.1.1, RFC 7636, RFC 8707), at /oauth/authorize or
 * pushed to /oauth/par before.
 */
#include "services/auth/oauth.h"

struct ask {
    struct client client;
    const char *redirect_uri; /* NULL: not known to be the client's, so nobody is sent there */
    bool redirect_given;
    const char *state, *challenge;
    const char *jkt; /* of the DPoP key that the code is for; NULL: none */
    scope_set scopes;
    struct resources resources;
    const char *pushed_hash; /* NULL: not pushed */
};
/* Reads the parameters of /oauth/authorize.  With a fault the person is sent back with it if
 * redirect_uri is set, and told on a page of ours otherwise. */
int ask_read(struct req *req, const struct form *form, struct ask *ret, struct fault *f,
             struct err *err) MUST_CHECK;
/* The same for a client that has proven itself and pushes them. */
int ask_check(struct req *req, const struct form *form, struct ask *ask, struct fault *f,
              struct err *err) MUST_CHECK;
extern const char ask_uri_prefix[];
/* SHA-256, hex, of a request_uri. */
void ask_uri_hash(const char *uri, char hash[65]);
#endif
