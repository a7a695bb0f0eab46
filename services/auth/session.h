#ifndef AUTH_SESSION_H
#define AUTH_SESSION_H
/*
 * Sign-in of our own pages (rulings.md 24), and the sessions of browsers over HTTP.
 *
 *   GET  /oauth/session/start?return_to=/admin/   the page sends the browser here
 *   GET  /oauth/authorize?client_id=cms365-admin  code flow with PKCE; no consent is asked
 *   GET  /oauth/session?code=…&state=…            ends the flow: cookie of the API, back to
 * return_to GET  /api/v2/auth/session                     who sits there, and the CSRF token POST
 * /oauth/session/end                       signs out
 *
 * `state` and the PKCE verifier are in the cookie `cms365_flow`, sealed, ten minutes; so a browser
 * lands only what it has started itself (RFC 9700 §4.7).  The code is good here only, once, for a
 * minute: no token can be had for it, whoever gets hold of it.
 */
#include "services/auth/oauth.h"

#define ADMIN_CLIENT_ID "cms365-admin"
extern const char admin_client_id[];
/* The client as /oauth/authorize sees it; there is no row of it, and /oauth/token does not know it.
 */
struct client admin_client(struct req *req);
int session_code_make(struct req *req, int64_t session_id, const char *challenge,
                      const char **ret_code, struct err *err) MUST_CHECK;

extern const struct route auth_session_routes[], auth_sessions_routes[];
/* Ends one that the caller may see, with its entry in the log.  E_not_found. */
int session_end_one(struct req *req, int64_t id, struct err *err) MUST_CHECK;
int session_internal(struct req *req, struct res *res, struct err *err);
#endif
