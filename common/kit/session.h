#ifndef KIT_SESSION_H
#define KIT_SESSION_H
/*
 * The browser session that a page of ours (the admin) calls the API with: a cookie instead of an
 * Authorization header (docs/auth.md).
 *
 * The cookie `cms365_session` is HttpOnly, SameSite=Strict, Path=/; over https it is Secure and its
 * name begins with __Host- (RFC 6265bis §4.1.3.2).  Its value is `<256 random bits>.<MAC>`, both
 * base64url; the MAC (of 128 bits, by CMS365_SECRET_KEYS) finds made-up ones without a look-up.
 * auth keeps the SHA-256 of the value.
 *
 * A program asks auth once for a session that it does not know (GET /internal/auth/sessions/{hash}
 * on its ops listener) and remembers the answer for session_trust_ms, or for session_blind_ms while
 * Redis cannot be read.  A member of cms365:denied or cms365:revoked that is not older than the
 * answer ("session:<id>", "tokens:<user>", "user:<user>") makes it ask again at once.  While auth
 * is away what was known still holds until the session's end.
 *
 * Cross-site requests (RFC 6265bis §8.8, Fetch Metadata): the cookie counts for GET and HEAD if
 * Origin is absent or ours and Sec-Fetch-Site is absent, same-origin or none; for all else only if
 * Origin is ours and X-CMS365-CSRF is the session's token.  `route_session.c` holds these.
 */
#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/kit/token.h"

enum {
    session_text_max = 80, /* the cookie's value, bytes with the NUL */
    session_csrf_max = 48,
    session_slots = 4096, /* remembered, and 4 that share a place */
    session_trust_ms = 30000,
    session_blind_ms = 500, /* how long an answer holds while revocations cannot be read */
    session_skew_ms = 2000, /* between the clocks of auth's replicas and of the database */
};

struct keyring;
struct http_req;

/* "cms365_session", or with __Host- in front of it. */
const char *cookie_name(struct arena *a, const char *what, const char *public_url);
/* The value of a cookie in a Cookie header; NULL: not there, or there twice (RFC 6265 §5.4 has no
 * order that could be relied on).  In the arena. */
const char *cookie_find(struct arena *a, const char *header, const char *name);
/* A Set-Cookie value; `value` "" removes it.  `same_site` is "Strict" or "Lax"; max_age_s 0: until
 * the browser is closed. */
const char *cookie_make(struct arena *a, const char *what, const char *value,
                        const char *public_url, const char *same_site, int64_t max_age_s);

/* `<256 random bits>.<MAC>` for one purpose, and its SHA-256 in hex: a secret of which the database
 * keeps the hash, and whose made-up likes are found without a look-up. */
void signed_make(const struct keyring *k, const char *purpose, char text[session_text_max],
                 char hash_hex[65]);
bool signed_ok(const struct keyring *k, const char *purpose, const char *text);

/* A new cookie value, and its SHA-256 in hex. */
void session_make(const struct keyring *k, char text[session_text_max], char hash_hex[65]);
bool session_form_ok(const struct keyring *k, const char *text);
/* What X-CMS365-CSRF must say. */
void session_csrf(const char *text, char ret[session_csrf_max]);
bool session_csrf_ok(const char *text, const char *csrf);
/* Is it the origin of CMS365_PUBLIC_URL? */
bool session_own_origin(const char *public_url, const char *origin);

/* What auth says of one session. */
struct session_state {
    int64_t id, user_id, expires_us;
    int64_t as_of_ms; /* by the database's clock, before it was read */
    enum role role;
};
char *session_state_json(struct arena *a, const struct session_state *s);
int session_state_parse(struct arena *a, const char *json, size_t n, struct session_state *ret,
                        struct err *err) MUST_CHECK;

/* E_unauthorized; E_unavailable when it cannot be asked for. */
int session_check(struct tokens *t, struct arena *a, const char *text, const char *addr,
                  struct principal *ret, struct err *err) MUST_CHECK;

/* The table in memory, for token.c and tests. */
struct sessions;
struct sessions *sessions_new(void);
void sessions_free(struct sessions *s);
#endif
