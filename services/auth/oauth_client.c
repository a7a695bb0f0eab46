/* Clients, and how they prove who they are (RFC 6749 §2.3, RFC 7523). */
#include "services/auth/oauth.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/io/httpd.h"
#include "common/kit/key_use.h"
#include "common/kit/token_dpop.h"
#include "services/auth/audit.h"
#include "services/auth/tries.h"

#include "auth/sql.h"

#include <strings.h>

enum {
    secret_max = 256,
    assertion_life_s = 3600, /* the longest that one may be good for: what stock clients ask */
    jwks_keys_max = 16,
    unknown_counts = 64, /* of a network */
};
static const char secret_prefix[] = "365s_";
static const char assertion_type[] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/* --- the table ----------------------------------------------------------------------------------
 */

static unsigned grants_of(struct arena *a, const struct db_rows *r, size_t col)
{
    static const char *const names[] = { "authorization_code", "refresh_token",
                                         "client_credentials" };
    const char **list;
    unsigned set = 0;
    size_t n = db_get_texts(a, r, 0, col, &list);
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < ARRAY_LEN(names); k++)
            set |= str_eq(list[i], names[k]) ? 1U << k : 0;
    return set;
}

static enum client_auth auth_of(const char *method)
{
    return str_eq(method, "none")              ? AUTH_NONE
           : str_eq(method, "private_key_jwt") ? AUTH_JWT
                                               : AUTH_SECRET;
}

int client_find(struct svc *svc, struct arena *a, const char *client_id, struct client *ret,
                struct err *err)
{
    struct db_rows *r;
    int64_t id;
    if (!jwt_client_parse(client_id, &id))
        return err_set(err, E_not_found, "There is no such client.");
    const struct db_val v = db_i64(id);
    int rc = db_query(svc->db, a, &sql_client_find, &v, 1, &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r))
        return err_set(err, E_not_found, "There is no such client.");
    enum role own = role_find(db_str(r, 0, 9)), owner = role_find(db_str(r, 0, 10));
    *ret = (struct client){ .id = id,
                            .user_id = db_get_i64(r, 0, 1),
                            .client_id = client_id,
                            .name = db_str(r, 0, 2),
                            .website = db_str(r, 0, 3),
                            .public = str_eq(db_str(r, 0, 4), "public"),
                            .auth = auth_of(db_str(r, 0, 5)),
                            .grants = grants_of(a, r, 7),
                            .names = scopes_of(a, r, 0, 8),
                            .role = own < owner ? own : owner,
                            .alg = jose_alg_find(db_str(r, 0, 11)),
                            .par = db_get_bool(r, 0, 12),
                            .dpop = db_get_bool(r, 0, 13),
                            .networks = db_str(r, 0, 14),
                            .jwks = db_str(r, 0, 15),
                            .secret = db_str(r, 0, 16),
                            .rate_limit = db_get_i64(r, 0, 17),
                            .quota_monthly = db_get_i64(r, 0, 18),
                            .previous = db_str(r, 0, 19) };
    ret->scopes = scope_expand(ret->names);
    ret->nredirects = db_get_texts(a, r, 0, 6, &ret->redirects);
    /* Nobody answers for the client of a user who is suspended or gone. */
    return owner == ROLE_NONE ? err_set(err, E_not_found, "There is no such client.") : 0;
}

/* --- redirect URIs ------------------------------------------------------------------------------
 */

/* http on loopback, up to the port: apps on a desktop listen where there is room (RFC 8252 §7.3).
 */
static size_t loopback(const char *uri)
{
    static const char *const hosts[] = { "http://127.0.0.1", "http://[::1]", "http://localhost" };
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        size_t n = strlen(hosts[i]);
        if (!strncmp(uri, hosts[i], n) && (!uri[n] || strchr(":/?", uri[n])))
            return n;
    }
    return 0;
}

bool redirect_form_ok(const char *uri, bool public, const char **ret_why)
{
    const char *colon = strchr(uri, ':');
    *ret_why = "Must be an absolute URI without a fragment.";
    if (!colon || colon == uri || strchr(uri, '#'))
        return false;
    for (const char *p = uri; *p; p++)
        if (*p <= ' ' || *p > '~' || strchr("\"<>\\^`{|}*", *p))
            return false;
    if (str_starts(uri, "https://"))
        return uri[8] && uri[8] != '/' && !strchr(uri + 8, '@');
    *ret_why = "Must be https; http only on 127.0.0.1, [::1] and localhost.";
    if (str_starts(uri, "http:"))
        return loopback(uri) != 0;
    /* RFC 8252 §7.1: a scheme of one's own is a domain name turned round, so that two apps do not
     * meet by chance.  javascript:, data: and their like have no dot. */
    *ret_why = "Must be https, http on loopback, or for a public client a scheme such as "
               "com.example.app.";
    return public && memchr(uri, '.', (size_t)(colon - uri)) && *uri >= 'a' && *uri <= 'z';
}

static const char *after_port(const char *s)
{
    return *s == ':' ? s + 1 + strspn(s + 1, "0123456789") : s;
}

bool client_redirect_ok(const struct client *c, const char *uri)
{
    size_t host = loopback(uri);
    for (size_t i = 0; i < c->nredirects; i++) {
        const char *known = c->redirects[i];
        if (!strcmp(known, uri))
            return true;
        if (host && loopback(known) == host && !strncmp(known, uri, host) &&
            !strcmp(after_port(known + host), after_port(uri + host)))
            return true;
    }
    return false;
}

/* --- secrets ------------------------------------------------------------------------------------
 */

char *client_secret_make(struct arena *a, char hash[65])
{
    unsigned char raw[32];
    random_bytes(raw, sizeof(raw));
    char *body = arena_printf(a, "%s%s", secret_prefix, b64url_encode(a, raw, sizeof(raw)));
    /* The checksum lets scanners of published code tell a secret from chance. */
    char *text = arena_printf(a, "%s%08x", body, crc32_of(body, strlen(body)));
    crypto_wipe(raw, sizeof(raw));
    sha256_hex(text, strlen(text), hash);
    return text;
}

static bool secret_fits(const struct client *c, const char *secret)
{
    char hash[sha256_hex_len + 1];
    if (strlen(secret) > secret_max)
        return false;
    sha256_hex(secret, strlen(secret), hash);
    bool now = c->secret && crypto_equal(c->secret, hash, sha256_hex_len);
    bool before = c->previous && crypto_equal(c->previous, hash, sha256_hex_len);
    return now || before;
}

/* --- assertions ---------------------------------------------------------------------------------
 */

bool client_jwks_ok(struct arena *a, const json_t *jwks)
{
    const json_t *keys = json_object_get(jwks, "keys");
    size_t n = json_array_size(keys);
    if (!n || n > jwks_keys_max)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct jose_key *k;
        struct err err;
        const json_t *one = json_array_get(keys, i);
        if (!json_is_object(one))
            return false;
        const char *text = json_text(a, one);
        if (jose_key_parse(text, strlen(text), JOSE_PUBLIC, &k, &err))
            return false;
        jose_key_free(k);
    }
    return true;
}

struct proof {
    struct arena *a;
    const char *jwks, *compact;
    const struct jws *parts;
    bool ok;
};

static bool same_kid(const json_t *jwk, const struct jws *t)
{
    const char *kid = json_string_value(json_object_get(jwk, "kid"));
    return !t->kid || !kid || str_eq(kid, t->kid);
}

static void prove(void *ctx)
{
    struct proof *p = ctx;
    struct err err;
    json_t *set;
    if (json_parse(p->a, p->jwks, strlen(p->jwks), &set, &err))
        return;
    const json_t *keys = json_object_get(set, "keys");
    for (size_t i = 0; i < json_array_size(keys) && !p->ok; i++) {
        const json_t *one = json_array_get(keys, i);
        const char *text = json_text(p->a, one);
        struct jose_key *k;
        if (!same_kid(one, p->parts) || jose_key_parse(text, strlen(text), JOSE_PUBLIC, &k, &err))
            continue;
        p->ok = jws_verify(k, p->a, p->compact);
        jose_key_free(k);
    }
}

/* RFC 7523 §3; the audience may be the issuer or the address that is asked. */
static const char *claims_fault(const struct req *req, const struct jws *t, const char *client_id,
                                int64_t *ret_exp)
{
    const json_t *p = t->payload, *aud = json_object_get(p, "aud");
    const json_t *exp = json_object_get(p, "exp"), *nbf = json_object_get(p, "nbf");
    const char *base = req->svc->conf->public_url;
    const char *here = arena_printf(req->arena, "%s%s", base, req->path);
    const char *endpoint = arena_printf(req->arena, "%s/oauth/token", base);
    int64_t now = req->now_us / 1000000;
    bool ours = false;
    for (size_t i = 0; i < (json_is_array(aud) ? json_array_size(aud) : 1); i++) {
        const char *one = json_string_value(json_is_array(aud) ? json_array_get(aud, i) : aud);
        ours = ours || str_eq(one, base) || str_eq(one, here) || str_eq(one, endpoint);
    }
    *ret_exp = json_integer_value(exp);
    if (!str_eq(json_string_value(json_object_get(p, "iss")), client_id) ||
        !str_eq(json_string_value(json_object_get(p, "sub")), client_id))
        return "iss and sub of the assertion must be the client_id.";
    if (!ours)
        return "aud of the assertion must be the issuer.";
    if (!json_is_integer(exp) || *ret_exp <= now - jwt_skew_s ||
        *ret_exp > now + assertion_life_s + jwt_skew_s)
        return "exp of the assertion must be within the next hour.";
    if (nbf && (!json_is_integer(nbf) || json_integer_value(nbf) > now + jwt_skew_s))
        return "The assertion's time has not come.";
    const char *jti = json_string_value(json_object_get(p, "jti"));
    return jti && *jti ? NULL : "The assertion needs a jti.";
}

static int no_client(struct fault *f, struct err *err, const char *why)
{
    return fault_set(f, err, 401, "invalid_client", "%s", why);
}

static int check_assertion(struct req *req, const struct client *c, const char *compact,
                           struct fault *f, struct err *err)
{
    struct jws t;
    char hash[sha256_hex_len + 1];
    struct db_rows *r;
    int64_t exp;
    if (c->auth != AUTH_JWT || !c->jwks || jws_decode(req->arena, compact, &t, err))
        return no_client(f, err, "The client assertion is not valid.");
    const char *why = claims_fault(req, &t, c->client_id, &exp);
    if (why)
        return no_client(f, err, why);
    struct proof p = { .a = req->arena, .jwks = c->jwks, .compact = compact, .parts = &t };
    int rc = worker_run(req->svc->workers, prove, &p, err);
    if (rc)
        return rc;
    if (!p.ok)
        return no_client(f, err, "The client assertion is not valid.");
    const char *once = arena_printf(req->arena, "assertion %s %s", c->client_id,
                                    json_string_value(json_object_get(t.payload, "jti")));
    sha256_hex(once, strlen(once), hash);
    const struct db_val v[] = { db_text(hash), db_i64(exp + jwt_skew_s) };
    rc = db_query(req->svc->db, req->arena, &sql_seen_put, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    return db_nrows(r) ? 0 : no_client(f, err, "The client assertion was used before.");
}

/* --- DPoP ---------------------------------------------------------------------------------------
 */

int oauth_proven_key(struct req *req, const char **ret, struct fault *f, struct err *err)
{
    struct dpop proof;
    const struct dpop_ask ask = {
        .proof = req_header(req, "DPoP"),
        .proofs = http_header_count(req->http, "DPoP"),
        .method = method_name(req->method),
        .url = arena_printf(req->arena, "%s%s", req->svc->conf->public_url, req->path),
        .now_us = req->now_us,
    };
    *ret = NULL;
    if (!ask.proof)
        return 0;
    int rc = dpop_check(req->arena, req->svc->workers, req->svc->cache, &ask, &proof, err);
    if (!rc)
        *ret = arena_strdup(req->arena, proof.jkt);
    return rc == -E_unauthorized
               ? fault_set(f, err, 400, "invalid_dpop_proof", "The DPoP proof is not valid.")
               : rc;
}

/* --- who calls ----------------------------------------------------------------------------------
 */

struct shown { /* what the request carries */
    const char *id, *secret, *assertion;
    bool basic;
};

/* RFC 6749 §2.3.1: both halves are form-encoded before they are joined. */
static bool read_basic(struct arena *a, const char *text, struct shown *s)
{
    void *raw;
    size_t n;
    char *id, *secret;
    if (!b64_decode(a, text, &raw, &n) || strlen(raw) != n)
        return false;
    const char *colon = strchr(raw, ':');
    if (!colon || !url_decode(a, raw, (size_t)(colon - (const char *)raw), true, &id) ||
        !url_decode(a, colon + 1, strlen(colon + 1), true, &secret))
        return false;
    s->id = id;
    s->secret = secret;
    return true;
}

static int read_shown(struct req *req, const struct form *form, struct shown *s, struct fault *f,
                      struct err *err)
{
    const char *auth = req_header(req, "Authorization"), *id = form_get(form, "client_id");
    const char *secret = form_get(form, "client_secret");
    const char *assertion = form_get(form, "client_assertion");
    *s = (struct shown){ .id = id, .secret = secret, .assertion = assertion };
    if (!!auth + !!secret + !!assertion > 1)
        return fault_set(f, err, 400, "invalid_request", "The client proves itself in one way.");
    if (auth) {
        s->basic = true;
        if (strncasecmp(auth, "Basic ", 6) != 0 || !read_basic(req->arena, auth + 6, s))
            return no_client(f, err, "Authorization must be Basic with client_id and secret.");
        if (id && !str_eq(id, s->id))
            return fault_set(f, err, 400, "invalid_request", "Two clients are named.");
    }
    if (assertion) {
        struct jws t;
        if (!str_eq(form_get(form, "client_assertion_type"), assertion_type))
            return fault_set(f, err, 400, "invalid_request", "client_assertion_type must be %s.",
                             assertion_type);
        if (!s->id && !jws_decode(req->arena, assertion, &t, err))
            s->id = json_string_value(json_object_get(t.payload, "sub"));
    }
    return s->id ? 0 : no_client(f, err, "A client is needed.");
}

static int prove_client(struct req *req, const struct client *c, const struct shown *s,
                        struct fault *f, struct err *err)
{
    if (s->assertion)
        return check_assertion(req, c, s->assertion, f, err);
    if (c->auth == AUTH_NONE && !s->secret)
        return 0;
    if (c->auth == AUTH_SECRET && s->secret && secret_fits(c, s->secret))
        return 0;
    return no_client(f, err, "The client is not known, or its proof is wrong.");
}

/* After the proof: only who has it learns of the networks, and only that is told. */
static int check_place(struct req *req, const struct client *c, struct fault *f, struct err *err)
{
    if (key_networks_hold(c->networks, req->client_addr) &&
        tokens_network_ok(req->svc->tokens, req->client_addr))
        return 0;
    if (!c->public)
        key_use_note(req->svc->key_uses, USE_CLIENT_DENIED, c->id, req->client_addr,
                     req_header(req, "User-Agent"));
    return no_client(f, err, "The client is not accepted from here.");
}

/* Wrong proofs are counted by client and network; who has the secret is never held up. */
static int count_wrong(struct req *req, const char *id, struct fault *f, struct err *err)
{
    struct arena *a = req->arena;
    struct auth_cause why = auth_cause_of(req);
    int64_t n, wait;
    const char *network = audit_network(a, req->client_addr);
    const char *shown = arena_printf(a, "%.64s", id ? id : "");
    int rc = tries_take(req->svc, a, TRY_CLIENT, arena_printf(a, "%s %s", shown, network), &n,
                        &wait, err);
    why.actor = "anonymous";
    const struct audit lock = {
        .type = "client.locked",
        .subject = arena_printf(a, "network:%s", network),
        .data = audit_data(a, "client_id", str_utf8_ok(shown, strlen(shown)) ? shown : "")
    };
    if (!rc && tries_first_lock(TRY_CLIENT, n))
        rc = audit_note(req->svc, a, &lock, &why, err);
    if (rc || !wait)
        return rc ? rc : -E_invalid;
    f->retry_after_s = wait;
    return fault_set(f, err, 429, "invalid_client", "Too many wrong proofs; wait.");
}

int client_authenticate(struct req *req, const struct form *form, struct client *ret,
                        struct fault *f, struct err *err)
{
    struct shown s;
    int rc = read_shown(req, form, &s, f, err);
    if (!rc) {
        rc = client_find(req->svc, req->arena, s.id, ret, err);
        if (rc == -E_not_found) { /* there are more such names than room: some share a count */
            s.id = arena_printf(req->arena, "? %u", crc32_of(s.id, strlen(s.id)) % unknown_counts);
            rc = no_client(f, err, "The client is not known, or its proof is wrong.");
        }
    }
    if (!rc)
        rc = prove_client(req, ret, &s, f, err);
    if (!rc)
        rc = check_place(req, ret, f, err);
    if (rc == -E_invalid && f->status == 401)
        rc = count_wrong(req, s.id, f, err);
    if (rc == -E_invalid && f->status == 401)
        f->challenge = "Basic realm=\"365CMS\", charset=\"UTF-8\"";
    return rc;
}
