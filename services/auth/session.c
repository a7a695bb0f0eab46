/* Our own pages: the code flow that ends in a cookie, and the session that the cookie stands for.
 */
#include "services/auth/session.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/page.h"
#include "common/kit/session.h"
#include "services/auth/login.h"

#include "auth/sql.h"

enum { flow_life_s = 600, own_code_life_s = 60, return_to_max = 1024, secret_bytes = 32 };
static const char flow_context[] = "oauth.session.flow", code_prefix[] = "365b_";
static const char return_to_default[] = "/admin/";
const char admin_client_id[] = ADMIN_CLIENT_ID;

static const char *own_url(const struct req *req, const char *path)
{
    return arena_printf(req->arena, "%s%s", req->svc->conf->public_url, path);
}

struct client admin_client(struct req *req)
{
    const char **redirect = arena_alloc(req->arena, sizeof(*redirect));
    *redirect = own_url(req, "/oauth/session");
    struct client c = { .client_id = admin_client_id,
                        .name = "365CMS",
                        .website = "",
                        .public = true,
                        .first_party = true,
                        .redirects = redirect,
                        .nredirects = 1,
                        .grants = GRANT_CODE,
                        .names = (scope_set)1 << S_api_admin,
                        .networks = "" };
    c.scopes = scope_expand(c.names);
    return c;
}

static char *random_text(struct arena *a)
{
    unsigned char raw[secret_bytes];
    random_bytes(raw, sizeof(raw));
    char *text = b64url_encode(a, raw, sizeof(raw));
    crypto_wipe(raw, sizeof(raw));
    return text;
}

static const char *challenge_of(struct arena *a, const char *verifier)
{
    unsigned char digest[sha256_bytes];
    sha256(verifier, strlen(verifier), digest);
    return b64url_encode(a, digest, sizeof(digest));
}

/* --- start --------------------------------------------------------------------------------------
 */

/* A path of this site, not of another that a browser might read from it ("//x", "/\x"). */
static bool path_ok(const char *path)
{
    if (*path != '/' || path[1] == '/' || strlen(path) > return_to_max)
        return false;
    for (const char *p = path; *p; p++)
        if (*p <= ' ' || *p > '~' || strchr("\\\"<>^`{|}", *p))
            return false;
    return true;
}

static int start(struct req *req, struct res *res, struct err *err)
{
    struct arena *a = req->arena;
    const char *url = req->svc->conf->public_url;
    struct form query;
    (void)err;
    if (!form_parse(a, req->raw_query, strlen(req->raw_query), &query))
        return page_error(req, res, 400, "The request cannot be read.");
    const char *to = form_get(&query, "return_to");
    to = to ? to : return_to_default;
    if (!path_ok(to))
        return page_error(req, res, 400, "return_to must be a path of this site.");
    const char *state = random_text(a), *verifier = random_text(a);
    const char *flow =
        arena_printf(a, "%lld %s %s %s", (long long)(req->now_us / 1000000), state, verifier, to);
    res_header(res, "Set-Cookie",
               cookie_make(a, "flow",
                           crypto_seal(req->svc->keyring, a, flow_context, flow, strlen(flow)), url,
                           "Lax", flow_life_s));
    return page_see_other(
        res, arena_printf(a,
                          "%s/oauth/authorize?response_type=code&client_id=" ADMIN_CLIENT_ID
                          "&redirect_uri=%s&state=%s&code_challenge=%s&code_challenge_method=S256",
                          url, url_encode(a, own_url(req, "/oauth/session")), state,
                          challenge_of(a, verifier)));
}

/* --- the code -----------------------------------------------------------------------------------
 */

int session_code_make(struct req *req, int64_t session_id, const char *challenge,
                      const char **ret_code, struct err *err)
{
    char hash[sha256_hex_len + 1];
    struct db_rows *r;
    *ret_code = arena_printf(req->arena, "%s%s", code_prefix, random_text(req->arena));
    sha256_hex(*ret_code, strlen(*ret_code), hash);
    const struct db_val v[] = { db_text(hash), db_i64(session_id), db_text(challenge),
                                db_i64(own_code_life_s) };
    return db_query(req->svc->db, req->arena, &sql_session_code_insert, v, ARRAY_LEN(v), &r, err);
}

/* --- the end of the flow ------------------------------------------------------------------------
 */

struct flow {
    const char *state, *verifier, *to;
};

static bool flow_read(struct req *req, struct flow *ret)
{
    const char *url = req->svc->conf->public_url;
    const char *sealed =
        cookie_find(req->arena, req_header(req, "Cookie"), cookie_name(req->arena, "flow", url));
    struct err ignored;
    char *part[4];
    void *raw;
    size_t n;
    int64_t at;
    if (!sealed ||
        crypto_open(req->svc->keyring, req->arena, flow_context, sealed, &raw, &n, &ignored))
        return false;
    char *p = arena_strndup(req->arena, raw, n);
    for (size_t i = 0; i < ARRAY_LEN(part); i++) {
        part[i] = p;
        p += strcspn(p, " ");
        if (*p)
            *p++ = '\0';
    }
    *ret = (struct flow){ part[1], part[2], part[3] };
    return str_to_i64(part[0], 1, INT64_MAX, &at) && at + flow_life_s > req->now_us / 1000000;
}

struct land {
    struct req *req;
    const char *code;
    const struct flow *flow;
    const char *why; /* it is refused */
    int64_t ended;   /* the session that ends because its code came twice; 0: none */
    char cookie[session_text_max];
};

static int land_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct land *l = ctx;
    struct arena *a = l->req->arena;
    char hash[sha256_hex_len + 1], api_hash[sha256_hex_len + 1];
    struct db_rows *r;
    sha256_hex(l->code, strlen(l->code), hash);
    l->why = NULL;
    l->ended = 0;
    const struct db_val code = db_text(hash);
    int rc = db_exec(tx, a, &sql_session_code_take, &code, 1, &r, err);
    if (rc)
        return rc;
    const char *challenge = db_nrows(r) ? db_str(r, 0, 1) : "",
               *got = challenge_of(a, l->flow->verifier);
    if (strlen(challenge) != strlen(got) || !crypto_equal(challenge, got, strlen(got)))
        l->why = "The sign-in is not known here.";
    else if (db_get_bool(r, 0, 2))
        l->ended = db_get_i64(r, 0, 0);
    else if (db_get_bool(r, 0, 3) || !db_get_bool(r, 0, 4))
        l->why = "The sign-in took too long.";
    if (l->why)
        return 0;
    session_make(l->req->svc->keyring, l->cookie, api_hash);
    const struct db_val v[] = { db_i64(db_get_i64(r, 0, 0)),
                                l->ended ? db_null() : db_text(api_hash) };
    rc = db_exec(tx, a, &sql_session_code_use, &code, 1, &r, err);
    return rc ? rc : db_exec(tx, a, &sql_session_api_hash, v, ARRAY_LEN(v), &r, err);
}

static int land(struct req *req, struct res *res, struct err *err)
{
    const char *url = req->svc->conf->public_url;
    struct form query;
    struct flow flow;
    if (!form_parse(req->arena, req->raw_query, strlen(req->raw_query), &query) ||
        form_twice(&query))
        return page_error(req, res, 400, "The request cannot be read.");
    const char *state = form_get(&query, "state"), *iss = form_get(&query, "iss");
    struct land l = { .req = req, .code = form_get(&query, "code"), .flow = &flow };
    bool ours = state && flow_read(req, &flow) && strlen(state) == strlen(flow.state) &&
                crypto_equal(state, flow.state, strlen(state)) && str_eq(iss, url);
    if (!ours)
        return page_error(req, res, 400, "This sign-in was not started in this browser.");
    if (!l.code)
        return page_error(req, res, 403, "The sign-in was refused.");
    int rc = db_tx(req->svc->db, req->arena, land_tx, &l, err);
    if (!rc && l.ended) {
        l.why = "This sign-in was used before; the session has ended.";
        rc = auth_deny_now(req->svc, req->arena, "session", l.ended, err);
    }
    if (rc)
        return rc;
    const char *none = cookie_make(req->arena, "flow", "", url, "Lax", 0);
    if (l.why) {
        rc = page_error(req, res, 400, l.why);
        res_header(res, "Set-Cookie", none);
        return rc;
    }
    res_header(res, "Set-Cookie", none);
    res_header(res, "Set-Cookie",
               cookie_make(req->arena, "session", arena_strdup(req->arena, l.cookie), url, "Strict",
                           auth_conf_of(req->svc)->session_s));
    return page_see_other(res, own_url(req, flow.to));
}

/* --- the session itself -------------------------------------------------------------------------
 */

/* For programs: one session by the SHA-256 of its cookie. */
int session_internal(struct req *req, struct res *res, struct err *err)
{
    const char *addr = req_arg(req, "address");
    struct db_rows *r;
    const struct db_val v[] = { db_text(req->params[0]), db_text(addr && *addr ? addr : NULL),
                                db_i64(auth_conf_of(req->svc)->session_idle_s) };
    int rc = db_query(req->svc->db, req->arena, &sql_session_look, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no such session.");
    const struct session_state s = { .id = db_get_i64(r, 0, 0),
                                     .user_id = db_get_i64(r, 0, 1),
                                     .role = role_find(db_str(r, 0, 2)),
                                     .expires_us = db_get_i64(r, 0, 3),
                                     .as_of_ms = db_get_i64(r, 0, 4) };
    buf_puts(&res->body, session_state_json(req->arena, &s));
    res->cache_control = "no-store";
    return 0;
}

static int need_session(const struct req *req, struct err *err)
{
    return req->who.session_id
               ? 0
               : err_set(err, E_unauthorized, "There is no browser session in this request.");
}

static int get_session(struct req *req, struct res *res, struct err *err)
{
    char csrf[session_csrf_max];
    struct db_rows *r;
    const struct db_val v[] = { db_i64(req->who.session_id),
                                db_i64(auth_conf_of(req->svc)->session_idle_s) };
    int rc = need_session(req, err);
    if (!rc)
        rc = db_query(req->svc->db, req->arena, &sql_session_person, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_unauthorized, "The session has ended.");
    const char *url = req->svc->conf->public_url;
    session_csrf(
        cookie_find(req->arena, req_header(req, "Cookie"), cookie_name(req->arena, "session", url)),
        csrf);
    json_t *names = json_array();
    for (int s = 0; s < S_MAX_; s++)
        if (scope_has(req->who.scopes, (enum scope)s))
            json_array_append_new(names, json_string(scopes[s].name));
    json_t *o =
        json_pack("{s:I,s:{s:I,s:s,s:s,s:s},s:o,s:s,s:s}", "id", (json_int_t)req->who.session_id,
                  "user", "id", (json_int_t)db_get_i64(r, 0, 0), "username", db_str(r, 0, 1),
                  "display_name", db_str(r, 0, 2), "role", db_str(r, 0, 3), "scopes", names, "csrf",
                  csrf, "expires_at", db_str(r, 0, 4));
    res_json(res, json_in(req->arena, o));
    res->cache_control = "no-store";
    return 0;
}

static int end(struct req *req, struct res *res, struct err *err)
{
    const char *url = req->svc->conf->public_url;
    int rc = need_session(req, err);
    if (!rc)
        rc = session_end_one(req, req->who.session_id, err);
    if (rc)
        return rc;
    res_header(res, "Set-Cookie", cookie_make(req->arena, "session", "", url, "Strict", 0));
    res_header(res, "Set-Cookie", cookie_make(req->arena, "login", "", url, "Lax", 0));
    res->status = 204;
    return 0;
}

/* --- routes -------------------------------------------------------------------------------------
 */

#define LINE(text, most, sample, about)                                                            \
    { .name = (text),                                                                              \
      .type = F_TEXT,                                                                              \
      .flags = FF_NONNULL,                                                                         \
      .format = FMT_LINE,                                                                          \
      .max = (most),                                                                               \
      .example = (sample),                                                                         \
      .doc = (about) }
/* clang-format off */
static const struct field_def session_fields[] = {
    { .name = "id", .type = F_ID, .flags = FF_NONNULL, .min = 1, .max = (INT64_C(1) << 53) - 1,
      .example = "7", .doc = "Number of the session, as /api/v2/auth/sessions has it." },
    { .name = "user", .type = F_JSON, .flags = FF_NONNULL, .max = 4096,
      .example = "{\"id\":7,\"username\":\"erika\",\"display_name\":\"Erika Muster\",\"role\":\"editor\"}",
      .doc = "Who is signed in." },
    { .name = "scopes", .type = F_TEXTS, .flags = FF_NONNULL, .format = FMT_LINE, .max = 64,
      .items_max = 64, .example = "[\"posts:read\"]", .doc = "All that the user's role allows." },
    LINE("csrf", session_csrf_max, "\"8Jl0…\"", "What X-CMS365-CSRF must say when something is changed."),
    { .name = "expires_at", .type = F_TIME, .flags = FF_NONNULL,
      .example = "\"2026-02-19T10:00:00.000000Z\"",
      .doc = "When the session ends if nothing more is asked." },
    { .name = NULL },
};
/* clang-format on */
static const struct shape session_shape = { .name = "BrowserSession",
                                            .doc = "The session of the browser that asks.",
                                            .fields = session_fields };
static const struct param_def look_params[] = {
    { "address", "string", 0, 45, "Where the request came from." },
    { .name = NULL },
};
static const int flow_errors[] = { 303, 400, 403, 0 }, end_errors[] = { 403, 0 };

enum { flow = ROUTE_PUBLIC | ROUTE_FOREIGN | ROUTE_NO_BODY };
const struct route auth_session_routes[] = {
    { GET, "/oauth/session/start", start, .flags = flow, .produces = "text/html", .status = 303,
     .errors = flow_errors, .cost = 1, .op_id = "start_session",
     .doc = "Where our own pages send a browser to sign in; return_to is the path it comes back "
             "to." },
    { GET, "/oauth/session", land, .flags = flow, .produces = "text/html", .status = 303,
     .errors = flow_errors, .cost = 2, .op_id = "land_session",
     .doc = "Ends the sign-in of our own pages: sets the session's cookie and goes on to "
             "return_to." },
    { POST, "/oauth/session/end", end, .flags = ROUTE_NO_BODY, .status = 204, .errors = end_errors,
     .cost = 2, .op_id = "end_session",
     .doc = "Sign out: the browser's session ends everywhere within a second." },
    { GET, "/api/v2/auth/session", get_session, .flags = ROUTE_NO_BODY, .out = &session_shape,
     .cost = 1, .op_id = "get_session",
     .doc = "Who is signed in with the session's cookie, and the token that changes need." },
    { GET, "/internal/auth/sessions/{hash}", session_internal, .flags = ROUTE_INTERNAL,
     .query = look_params, .op_id = "internal_session",
     .doc = "One browser session, by the SHA-256 of its cookie." },
    { .path = NULL },
};
