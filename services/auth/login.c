#include "services/auth/login.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/session.h"
#include "services/auth/audit.h"
#include "services/auth/oauth.h"
#include "services/auth/tries.h"

#include "auth/sql.h"

#include <pthread.h>

enum { session_bytes = 32 };

/* --- passwords ----------------------------------------------------------------------------------
 */

struct compare {
    const char *phc, *password;
    bool same;
};

/* What stands in for the password of nobody. */
static const char *nobody(void)
{
    static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
    static char phc[160];
    pthread_mutex_lock(&mu);
    if (!*phc) {
        struct arena *a = arena_new();
        char random[session_bytes * 2 + 1];
        unsigned char raw[session_bytes];
        random_bytes(raw, sizeof(raw));
        hex_encode(raw, sizeof(raw), random);
        snprintf(phc, sizeof(phc), "%s", password_hash(a, random));
        arena_free(a);
    }
    pthread_mutex_unlock(&mu);
    return phc;
}

static void compare(void *ctx)
{
    struct compare *c = ctx;
    const char *fake = nobody();
    bool same = password_matches(c->phc ? c->phc : fake, c->password);
    c->same = same && c->phc;
}

/* The same rows whether or not there is such a person. */
static int note_failure(struct req *req, int64_t user, int64_t tries, struct err *err)
{
    struct auth_cause why = auth_cause_of(req);
    why.actor = "anonymous";
    const char *subject = user ? arena_printf(req->arena, "user:%lld", (long long)user) : "nobody";
    const struct audit failed = { .type = "login.failed", .subject = subject, .user_id = user };
    const struct audit lock = {
        .type = "login.locked", .subject = subject, .user_id = user, .event = true
    };
    int rc = audit_note(req->svc, req->arena, &failed, &why, err);
    if (!rc && tries_first_lock(TRY_NAME, tries))
        rc = audit_note(req->svc, req->arena, &lock, &why, err);
    return rc;
}

static int note_network_lock(struct req *req, const char *network, struct err *err)
{
    struct auth_cause why = auth_cause_of(req);
    why.actor = "anonymous";
    const struct audit lock = { .type = "login.locked",
                                .subject = arena_printf(req->arena, "network:%s", network),
                                .event = true };
    return audit_note(req->svc, req->arena, &lock, &why, err);
}

/* Counts the try by network and by name.  *ret_wait_s > 0: locked. */
static int take(struct req *req, const struct login_try *t, int64_t *ret_n, int64_t *ret_wait_s,
                struct err *err)
{
    const char *network = audit_network(req->arena, req->client_addr);
    int64_t there;
    int rc = tries_take(req->svc, req->arena, TRY_NETWORK, network, &there, ret_wait_s, err);
    if (!rc && tries_first_lock(TRY_NETWORK, there))
        rc = note_network_lock(req, network, err);
    return rc || *ret_wait_s
               ? rc
               : tries_take(req->svc, req->arena, TRY_NAME, t->name, ret_n, ret_wait_s, err);
}

struct rehash {
    struct arena *a;
    const char *password;
    char *phc;
};

static void rehash(void *ctx)
{
    struct rehash *h = ctx;
    h->phc = password_hash(h->a, h->password);
}

/* The password is known now: the only time when it can be put under new parameters. */
static int renew(struct req *req, int64_t user, const char *phc, const char *password,
                 struct err *err)
{
    struct rehash h = { .a = req->arena, .password = password };
    struct db_rows *r;
    if (!password_stale(phc))
        return 0;
    int rc = worker_run(req->svc->workers, rehash, &h, err);
    const struct db_val v[] = { db_i64(user), db_text(phc), db_text(h.phc) };
    return rc ? rc
              : db_query(req->svc->db, req->arena, &sql_credential_rehash, v, ARRAY_LEN(v), &r,
                         err);
}

static int succeed(struct req *req, const struct login_try *t, const struct db_rows *r,
                   struct login_result *ret, struct err *err)
{
    struct svc *svc = req->svc;
    ret->verdict = LOGIN_OK;
    ret->user = (struct login_user){ .user_id = db_get_i64(r, 0, 0),
                                     .role = role_find(db_str(r, 0, 1)),
                                     .username = db_str(r, 0, 2) };
    int rc = tries_forgive(svc, req->arena, TRY_NAME, t->name, err);
    if (!rc)
        rc = tries_forgive(svc, req->arena, TRY_NETWORK,
                           audit_network(req->arena, req->client_addr), err);
    return rc ? rc : renew(req, ret->user.user_id, db_str(r, 0, 3), t->password, err);
}

int login_verify(struct req *req, const struct login_try *t, struct login_result *ret,
                 struct err *err)
{
    struct svc *svc = req->svc;
    struct db_rows *r;
    int64_t tries;
    const struct db_val name = db_text(t->name);
    *ret = (struct login_result){ .verdict = LOGIN_REFUSED };
    if (!*t->name || strlen(t->name) > login_name_max || !*t->password ||
        strlen(t->password) > login_password_max)
        return 0;
    int rc = take(req, t, &tries, &ret->wait_s, err);
    if (!rc && ret->wait_s)
        ret->verdict = LOGIN_LOCKED;
    if (rc || ret->wait_s)
        return rc;
    rc = db_query(svc->db, req->arena, &sql_login_find, &name, 1, &r, err);
    if (rc)
        return rc;
    bool known = db_nrows(r) == 1;
    struct compare c = { .phc = known ? db_str(r, 0, 3) : NULL, .password = t->password };
    rc = worker_run(svc->workers, compare, &c, err);
    if (rc)
        return rc;
    return c.same ? succeed(req, t, r, ret, err)
                  : note_failure(req, known ? db_get_i64(r, 0, 0) : 0, tries, err);
}

/* --- cookies ------------------------------------------------------------------------------------
 */

/* The value, if it is one of ours by form. */
static const char *cookie_get(const struct req *req, const char *what)
{
    const char *name = cookie_name(req->arena, what, req->svc->conf->public_url);
    const char *found = cookie_find(req->arena, req_header(req, "Cookie"), name);
    void *raw;
    size_t raw_n;
    bool ok = found && strlen(found) < login_cookie_max &&
              b64url_decode(req->arena, found, &raw, &raw_n) && raw_n == session_bytes;
    return ok ? found : NULL;
}

/* Lax: people come to /oauth/authorize from other sites. */
static void cookie_set(struct req *req, struct res *res, const char *what, const char *value)
{
    res_header(res, "Set-Cookie",
               cookie_make(req->arena, what, value, req->svc->conf->public_url, "Lax", 0));
}

static const char *new_secret(struct arena *a)
{
    unsigned char raw[session_bytes];
    random_bytes(raw, sizeof(raw));
    const char *text = b64url_encode(a, raw, sizeof(raw));
    crypto_wipe(raw, sizeof(raw));
    return text;
}

/* --- sessions -----------------------------------------------------------------------------------
 */

struct start {
    struct req *req;
    int64_t user;
    const char *by, *hash;
};

static int start_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    const struct start *s = ctx;
    struct arena *a = s->req->arena;
    struct auth_cause why = auth_cause_of(s->req);
    struct db_rows *r;
    const struct db_val v[] = { db_text(s->hash), db_i64(s->user), db_text(why.address),
                                db_text(why.agent), db_i64(auth_conf_of(s->req->svc)->session_s) };
    int rc = db_exec(tx, a, &sql_session_insert, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    why.actor = arena_printf(a, "user:%lld", (long long)s->user);
    const struct audit entry = {
        .type = "login.succeeded",
        .subject = arena_printf(a, "session:%lld", (long long)db_get_i64(r, 0, 0)),
        .user_id = s->user,
        .data = audit_data(a, "by", s->by),
    };
    return audit_put(tx, a, &entry, &why, err);
}

int session_start(struct req *req, struct res *res, int64_t user_id, const char *by,
                  struct err *err)
{
    char hash[sha256_hex_len + 1];
    const char *text = new_secret(req->arena);
    sha256_hex(text, strlen(text), hash);
    struct start s = { req, user_id, by, hash };
    int rc = db_tx(req->svc->db, req->arena, start_tx, &s, err);
    if (!rc)
        cookie_set(req, res, "login", text);
    return rc;
}

int session_find(struct req *req, struct session *ret, struct err *err)
{
    char hash[sha256_hex_len + 1];
    struct db_rows *r;
    const char *text = cookie_get(req, "login");
    *ret = (struct session){ .id = 0 };
    if (!text || !tokens_network_ok(req->svc->tokens, req->client_addr))
        return 0;
    sha256_hex(text, strlen(text), hash);
    const struct db_val v[] = { db_text(hash), db_text(req->client_addr),
                                db_i64(auth_conf_of(req->svc)->session_idle_s) };
    int rc = db_query(req->svc->db, req->arena, &sql_session_get, v, ARRAY_LEN(v), &r, err);
    if (rc || !db_nrows(r))
        return rc;
    *ret = (struct session){ .id = db_get_i64(r, 0, 0),
                             .user_id = db_get_i64(r, 0, 1),
                             .role = role_find(db_str(r, 0, 2)),
                             .username = db_str(r, 0, 3),
                             .started_us = db_get_i64(r, 0, 4) };
    snprintf(ret->text, sizeof(ret->text), "%s", text);
    return 0;
}

int session_end(struct req *req, struct res *res, struct err *err)
{
    char hash[sha256_hex_len + 1];
    struct db_rows *r;
    const char *text = cookie_get(req, "login");
    cookie_set(req, res, "login", "");
    if (!text)
        return 0;
    sha256_hex(text, strlen(text), hash);
    const struct db_val v = db_text(hash);
    int rc = db_query(req->svc->db, req->arena, &sql_session_revoke, &v, 1, &r, err);
    if (rc || !db_nrows(r))
        return rc;
    return auth_deny_now(req->svc, req->arena, "session", db_get_i64(r, 0, 0), err);
}

/* --- forms --------------------------------------------------------------------------------------
 */

static const char *bound(struct arena *a, const char *cookie, const char *purpose)
{
    unsigned char mac[sha256_bytes];
    const struct sha256_part parts[] = {
        { "csrf:", 5               },
        { purpose, strlen(purpose) }
    };
    hmac_sha256(cookie, strlen(cookie), parts, ARRAY_LEN(parts), mac);
    return b64url_encode(a, mac, sizeof(mac));
}

const char *csrf_token(struct req *req, struct res *res, const char *purpose)
{
    const char *cookie = cookie_get(req, "login");
    if (!cookie)
        cookie = cookie_get(req, "form");
    if (!cookie) {
        cookie = new_secret(req->arena);
        cookie_set(req, res, "form", cookie);
    }
    return bound(req->arena, cookie, purpose);
}

static bool fits(struct arena *a, const char *cookie, const char *purpose, const char *token)
{
    const char *want = cookie ? bound(a, cookie, purpose) : NULL;
    return want && strlen(want) == strlen(token) && crypto_equal(want, token, strlen(want));
}

bool csrf_ok(struct req *req, const char *purpose, const char *token)
{
    const char *origin = req_header(req, "Origin"), *site = req_header(req, "Sec-Fetch-Site");
    if (origin && !session_own_origin(req->svc->conf->public_url, origin))
        return false;
    if (site && !str_eq(site, "same-origin"))
        return false;
    /* Whoever can plant a cookie of the other kind must not speak for somebody who is signed in. */
    const char *session = cookie_get(req, "login");
    return fits(req->arena, session ? session : cookie_get(req, "form"), purpose, token);
}
