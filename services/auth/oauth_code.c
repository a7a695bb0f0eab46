/* What follows from a person's authorization: codes (RFC 6749 §4.1, RFC 7636) and refresh tokens
 * that are rotated (RFC 9700 §4.14). */
#include "services/auth/oauth.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/outbox.h"

#include "auth/sql.h"

enum { verifier_min = 43, verifier_max = 128 };
static const char refresh_prefix[] = "365r_", code_prefix[] = "365a_";

static char *make_secret(struct arena *a, const char *prefix, char hash[sha256_hex_len + 1])
{
    unsigned char raw[32];
    random_bytes(raw, sizeof(raw));
    char *text = arena_printf(a, "%s%s", prefix, b64url_encode(a, raw, sizeof(raw)));
    crypto_wipe(raw, sizeof(raw));
    sha256_hex(text, strlen(text), hash);
    return text;
}

/* --- making a code ------------------------------------------------------------------------------
 */

struct make {
    struct req *req;
    const struct authorization *z;
    const char *code;
};

static int put_grant(struct db_tx *tx, struct make *m, int64_t *ret, struct err *err)
{
    const struct authorization *z = m->z;
    struct arena *a = m->req->arena;
    struct auth_cause why = auth_cause_of(m->req);
    struct db_rows *r;
    why.actor = arena_printf(a, "user:%lld", (long long)z->user_id);
    const struct db_val v[] = { db_i64(z->user_id), db_i64(z->client->id), db_text(z->client->name),
                                scopes_val(a, z->scopes) };
    int rc = db_exec(tx, a, &sql_grant_find, v, 2, &r, err);
    if (rc)
        return rc;
    *ret = db_nrows(r) ? db_get_i64(r, 0, 0) : 0;
    if (*ret && !(z->scopes & ~scopes_of(a, r, 0, 1)))
        return 0; /* nothing that was not consented to before */
    rc = db_exec(tx, a, &sql_grant_put, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    *ret = db_get_i64(r, 0, 0);
    return db_get_bool(r, 0, 1)
               ? grant_event(tx, a, *ret, "grant.created", "[]", &why, err)
               : grant_event(tx, a, *ret, "grant.updated", "[\"scopes\"]", &why, err);
}

static int make_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct make *m = ctx;
    const struct authorization *z = m->z;
    struct arena *a = m->req->arena;
    struct db_rows *r;
    char hash[sha256_hex_len + 1];
    int64_t grant;
    int rc = 0;
    if (z->pushed_hash) {
        const struct db_val v = db_text(z->pushed_hash);
        rc = db_exec(tx, a, &sql_pushed_use, &v, 1, &r, err);
        if (!rc && !db_affected(r))
            rc = err_set(err, E_conflict, "The request was answered before.");
    }
    if (!rc)
        rc = put_grant(tx, m, &grant, err);
    if (rc)
        return rc;
    m->code = make_secret(a, code_prefix, hash);
    const struct db_val v[] = { db_i64(grant),
                                db_i64(z->client->id),
                                db_i64(z->user_id),
                                scopes_val(a, z->scopes),
                                db_texts(z->resources.list, z->resources.n),
                                db_text(z->jkt),
                                db_text(hash),
                                db_i64(code_life_s),
                                db_text(z->redirect_uri),
                                db_bool(z->redirect_given),
                                db_text(z->challenge) };
    return db_exec(tx, a, &sql_family_insert, v, ARRAY_LEN(v), &r, err);
}

int oauth_make_code(struct req *req, const struct authorization *z, const char **ret_code,
                    struct err *err)
{
    struct make m = { .req = req, .z = z };
    int rc = db_tx(req->svc->db, req->arena, make_tx, &m, err);
    if (rc)
        return rc;
    outbox_wake(req->svc->outbox);
    *ret_code = m.code;
    return 0;
}

/* --- what both grants share ----------------------------------------------------------------------
 */

struct redeem {
    struct req *req;
    const struct form *form;
    const struct client *client;
    struct fault *f;
    const char *hash; /* of the code or token that was sent */
    struct issue issue;
    int64_t grant_id;
    bool reused; /* the family is revoked now: say so after the commit */
};

static int no_grant(struct redeem *x, struct err *err, const char *why)
{
    return fault_set(x->f, err, 400, "invalid_grant", "%s", why);
}

/* The columns that family_by_code and refresh_lock begin with. */
enum {
    F_FAMILY,
    F_GRANT,
    F_CLIENT,
    F_USER,
    F_SCOPES,
    F_RESOURCES,
    F_JKT,
    F_REDIRECT,
    F_REDIRECT_GIVEN,
    F_CHALLENGE,
    F_USED,
    F_OVER,
    F_REVOKED,
    F_ROLE,
    F_GRANT_SCOPES,
    F_GRANT_REVOKED,
    R_ID,
    R_SUCCESSOR,
    R_GRACE,
};

static int revoke_family(struct db_tx *tx, struct redeem *x, struct err *err)
{
    struct arena *a = x->req->arena;
    struct auth_cause why = auth_cause_of(x->req);
    struct db_rows *r;
    why.actor = arena_printf(a, "client:%lld", (long long)x->client->id);
    const struct db_val v = db_i64(x->issue.family_id);
    x->reused = true;
    int rc = db_exec(tx, a, &sql_family_revoke, &v, 1, &r, err);
    return rc ? rc : grant_event(tx, a, x->grant_id, "grant.reused", "[]", &why, err);
}

/* Scopes as of now: what the client asked for, was given, may still have, and its user too. */
static int take_scopes(struct redeem *x, const struct db_rows *r, struct err *err)
{
    struct arena *a = x->req->arena;
    scope_set given = scopes_of(a, r, 0, F_SCOPES);
    const char *asked = form_get(x->form, "scope");
    if (asked) {
        scope_set want;
        int rc = oauth_scopes(x->client, asked, a, &want, x->f, err);
        if (rc)
            return rc;
        if (want & ~scope_expand(given))
            return fault_set(x->f, err, 400, "invalid_scope", "That is more than was granted.");
        given = want;
    }
    given &= scope_expand(scopes_of(a, r, 0, F_GRANT_SCOPES)) & x->client->scopes;
    x->issue.role = role_find(db_str(r, 0, F_ROLE));
    x->issue.scopes = scopes_for(given, x->issue.role);
    if (!x->issue.scopes)
        return no_grant(x, err, "Nothing of what was granted is left.");
    return 0;
}

static bool within(const char *outer, const char *inner)
{
    size_t n = strlen(outer);
    return !strncmp(outer, inner, n) &&
           (!inner[n] || inner[n] == '/' || (n && outer[n - 1] == '/'));
}

/* RFC 8707 §2.2: as granted, or fewer of them. */
static int take_resources(struct redeem *x, const struct db_rows *r, struct err *err)
{
    const char **granted;
    size_t n = db_get_texts(x->req->arena, r, 0, F_RESOURCES, &granted);
    struct resources *want = &x->issue.resources;
    int rc = oauth_resources(x->req, x->form, want, x->f, err);
    if (rc)
        return rc;
    if (!form_get(x->form, "resource")) {
        want->n = n < resources_max ? n : resources_max;
        memcpy(want->list, granted, want->n * sizeof(*granted));
        return 0;
    }
    for (size_t i = 0; i < want->n; i++) {
        bool ok = false;
        for (size_t k = 0; k < n && !ok; k++)
            ok = within(granted[k], want->list[i]);
        if (!ok)
            return fault_set(x->f, err, 400, "invalid_target", "That resource was not granted.");
    }
    return 0;
}

/* Everything about the family that does not depend on which of its secrets was shown. */
static int take_family(struct redeem *x, const struct db_rows *r, struct err *err)
{
    if (!db_nrows(r) || db_get_i64(r, 0, F_CLIENT) != x->client->id)
        return no_grant(x, err, "It is not known, or not this client's.");
    x->issue.client = x->client;
    x->issue.family_id = db_get_i64(r, 0, F_FAMILY);
    x->issue.user_id = db_get_i64(r, 0, F_USER);
    x->grant_id = db_get_i64(r, 0, F_GRANT);
    if (db_get_bool(r, 0, F_REVOKED) || db_get_bool(r, 0, F_GRANT_REVOKED))
        return no_grant(x, err, "It was revoked.");
    return 0;
}

static int take_rights(struct redeem *x, const struct db_rows *r, struct err *err)
{
    int rc = take_scopes(x, r, err);
    return rc ? rc : take_resources(x, r, err);
}

static int insert_refresh(struct db_tx *tx, struct redeem *x, const char **ret, struct err *err)
{
    struct arena *a = x->req->arena;
    char hash[sha256_hex_len + 1];
    struct db_rows *r;
    *ret = make_secret(a, refresh_prefix, hash);
    const struct db_val v[] = { db_i64(x->issue.family_id), db_text(hash), db_i64(refresh_life_s) };
    return db_exec(tx, a, &sql_refresh_insert, v, ARRAY_LEN(v), &r, err);
}

static struct redeem redeem_of(struct req *req, const struct token_ask *ask, struct fault *f)
{
    return (struct redeem){
        .req = req, .form = &ask->form, .client = &ask->client, .f = f, .issue = { .jkt = ask->jkt }
    };
}

static bool key_fits(const struct redeem *x, const struct db_rows *r)
{
    return db_is_null(r, 0, F_JKT) || str_eq(db_str(r, 0, F_JKT), x->issue.jkt);
}

static int redeem(struct redeem *x, struct res *res, const char *secret,
                  int (*fn)(struct db_tx *, void *, struct err *), struct err *err)
{
    struct req *req = x->req;
    char hash[sha256_hex_len + 1];
    sha256_hex(secret, strlen(secret), hash);
    x->hash = hash;
    int rc = db_tx(req->svc->db, req->arena, fn, x, err);
    if (rc)
        return rc;
    if (!x->reused)
        return oauth_issue(req, res, &x->issue, err);
    outbox_wake(req->svc->outbox);
    log_warn("oauth.reused", kv_i("family", x->issue.family_id), kv_i("client", x->client->id));
    rc = auth_deny_now(req->svc, req->arena, "family", x->issue.family_id, err);
    return rc ? rc : no_grant(x, err, "It was used before; all that came from it is revoked.");
}

/* --- codes --------------------------------------------------------------------------------------
 */

static bool verifier_fits(struct arena *a, const char *verifier, const char *challenge)
{
    unsigned char digest[sha256_bytes];
    size_t n = verifier ? strlen(verifier) : 0;
    if (n < verifier_min || n > verifier_max)
        return false;
    sha256(verifier, n, digest);
    const char *got = b64url_encode(a, digest, sizeof(digest));
    return strlen(got) == strlen(challenge) && crypto_equal(got, challenge, strlen(got));
}

static int code_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct redeem *x = ctx;
    struct arena *a = x->req->arena;
    struct db_rows *r;
    const struct db_val hash = db_text(x->hash);
    int rc = db_exec(tx, a, &sql_family_by_code, &hash, 1, &r, err);
    if (!rc)
        rc = take_family(x, r, err);
    if (rc)
        return rc;
    if (db_get_bool(r, 0, F_USED))
        return revoke_family(tx, x, err);
    if (db_get_bool(r, 0, F_OVER))
        return no_grant(x, err, "The code has expired.");
    const char *redirect = form_get(x->form, "redirect_uri");
    bool same = str_eq(redirect, db_str(r, 0, F_REDIRECT));
    if (!same && (redirect || db_get_bool(r, 0, F_REDIRECT_GIVEN)))
        return no_grant(x, err, "redirect_uri is not the one that the code was sent to.");
    if (!key_fits(x, r))
        return no_grant(x, err, "The code is for another DPoP key.");
    if (!verifier_fits(a, form_get(x->form, "code_verifier"), db_str(r, 0, F_CHALLENGE)))
        return no_grant(x, err, "code_verifier does not fit the code_challenge.");
    rc = take_rights(x, r, err);
    const struct db_val v[] = { db_i64(x->issue.family_id),
                                db_text(x->client->public ? x->issue.jkt : NULL) };
    if (!rc)
        rc = db_exec(tx, a, &sql_family_use_code, v, ARRAY_LEN(v), &r, err);
    return rc || !(x->client->grants & GRANT_REFRESH)
               ? rc
               : insert_refresh(tx, x, &x->issue.refresh, err);
}

int oauth_redeem_code(struct req *req, struct res *res, const struct token_ask *ask,
                      struct fault *f, struct err *err)
{
    struct redeem x = redeem_of(req, ask, f);
    const char *code = form_get(&ask->form, "code");
    if (!code || !form_get(&ask->form, "code_verifier"))
        return fault_set(f, err, 400, "invalid_request", "code and code_verifier are needed.");
    return redeem(&x, res, code, code_tx, err);
}

/* --- refresh tokens -----------------------------------------------------------------------------
 */

static const char *successor_context(struct arena *a, int64_t id)
{
    return arena_printf(a, "oauth_refresh.successor.%lld", (long long)id);
}

/* The answer was lost, or two threads of the client refreshed at once: the same successor again. */
static int again(struct redeem *x, const struct db_rows *r, struct err *err)
{
    struct arena *a = x->req->arena;
    void *text;
    size_t n;
    int rc = crypto_open(x->req->svc->keyring, a, successor_context(a, db_get_i64(r, 0, R_ID)),
                         db_str(r, 0, R_SUCCESSOR), &text, &n, err);
    if (!rc)
        x->issue.refresh = text;
    return rc;
}

static int rotate(struct db_tx *tx, struct redeem *x, int64_t id, struct err *err)
{
    struct arena *a = x->req->arena;
    struct db_rows *r;
    int rc = insert_refresh(tx, x, &x->issue.refresh, err);
    if (rc)
        return rc;
    const char *sealed = crypto_seal(x->req->svc->keyring, a, successor_context(a, id),
                                     x->issue.refresh, strlen(x->issue.refresh));
    const struct db_val v[] = { db_i64(id), db_text(sealed) };
    return db_exec(tx, a, &sql_refresh_use, v, ARRAY_LEN(v), &r, err);
}

static int refresh_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct redeem *x = ctx;
    const struct auth_conf *conf = container_of(x->req->svc->conf, struct auth_conf, svc);
    struct db_rows *r;
    const struct db_val v[] = { db_text(x->hash), db_i64(conf->refresh_grace_s) };
    int rc = db_exec(tx, x->req->arena, &sql_refresh_lock, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        rc = take_family(x, r, err);
    if (rc)
        return rc;
    bool used = db_get_bool(r, 0, F_USED);
    if (used && !db_get_bool(r, 0, R_GRACE))
        return revoke_family(tx, x, err);
    if (db_get_bool(r, 0, F_OVER))
        return no_grant(x, err, "The refresh token has expired.");
    if (x->client->public && !key_fits(x, r))
        return no_grant(x, err, "The refresh token is bound to another DPoP key.");
    rc = take_rights(x, r, err);
    if (rc)
        return rc;
    return used ? again(x, r, err) : rotate(tx, x, db_get_i64(r, 0, R_ID), err);
}

int oauth_redeem_refresh(struct req *req, struct res *res, const struct token_ask *ask,
                         struct fault *f, struct err *err)
{
    struct redeem x = redeem_of(req, ask, f);
    const char *token = form_get(&ask->form, "refresh_token");
    if (!token)
        return fault_set(f, err, 400, "invalid_request", "refresh_token is needed.");
    return redeem(&x, res, token, refresh_tx, err);
}
