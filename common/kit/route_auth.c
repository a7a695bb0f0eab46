#include "common/kit/route_internal.h"

#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/key_use.h"
#include "common/kit/session.h"
#include "common/kit/svc.h"

#include <strings.h>

/* The token of "<scheme> <token>"; NULL if it is another scheme. */
static const char *token_of(const char *authorization, const char *scheme)
{
    size_t n = strlen(scheme);
    if (strncasecmp(authorization, scheme, n) != 0)
        return NULL;
    const char *token = authorization + n;
    if (*token != ' ')
        return NULL;
    token += strspn(token, " ");
    return *token && !strpbrk(token, " \t,") ? token : NULL;
}

/* Nothing may be said by which two readers could see two callers. */
static int credential(struct call *c, const char **ret, struct err *err)
{
    const char *auth = http_header(c->http, "Authorization");
    const char *key = http_header(c->http, "X-API-Key");
    *ret = NULL;
    if (!auth && !key) {
        bool internal = c->leaf->route->flags & ROUTE_INTERNAL;
        int rc = internal ? 0 : route_cookie(c, ret, err);
        c->credential = c->cookie = *ret || rc;
        return rc;
    }
    c->credential = true;
    if (http_header_count(c->http, "Authorization") > 1 ||
        http_header_count(c->http, "X-API-Key") > 1)
        return err_set(err, E_invalid, "A credential is sent once.");
    const char *token = auth ? token_of(auth, "Bearer") : NULL;
    if (auth && !token) {
        token = token_of(auth, "DPoP");
        c->dpop = token != NULL;
    }
    if (auth && !token)
        return err_set(err, E_unauthorized, "Authorization takes one Bearer token.");
    if (token && key && strcmp(token, key))
        return err_set(err, E_invalid, "Authorization and X-API-Key name different credentials.");
    *ret = token ? token : key;
    return 0;
}

static int check_internal(const struct call *c, const char *token, struct err *err)
{
    const char *want = c->rt->internal_token;
    unsigned char a[sha256_bytes], b[sha256_bytes];
    if (c->leaf->route->flags & ROUTE_PUBLIC)
        return 0;
    if (token && *want) {
        sha256(token, strlen(token), a); /* equal lengths, so that the time says nothing */
        sha256(want, strlen(want), b);
        if (crypto_equal(a, b, sizeof a))
            return 0;
    }
    return err_set(err, E_unauthorized, "This route is for the platform's own programs.");
}

/* That it was used; or who was refused because of where they are. */
static void note_use(struct call *c, int rc)
{
    struct key_uses *u = c->rt->svc->key_uses;
    const struct principal who = c->req.who;
    const char *addr = c->req.client_addr, *agent = http_header(c->http, "User-Agent");
    if (!rc) {
        key_use_note(u, USE_KEY, who.key_id, addr, agent);
        return;
    }
    c->req.who = (struct principal){ .user_id = 0 };
    if (rc != -E_unauthorized)
        return;
    key_use_note(u, USE_KEY_DENIED, who.denied_key, addr, agent);
    key_use_note(u, USE_CLIENT_DENIED, who.denied_client, addr, agent);
    key_use_note(u, USE_USER_DENIED, who.denied_user, addr, agent);
}

int route_authenticate(struct call *c, struct err *err)
{
    const char *token;
    if (c->leaf->route->flags & ROUTE_FOREIGN)
        return 0;
    int rc = credential(c, &token, err);
    if (rc)
        return rc;
    if (c->leaf->route->flags & ROUTE_INTERNAL)
        return check_internal(c, token, err);
    if (!token)
        return 0;
    const struct token_use use = { .credential = token,
                                   .addr = c->req.client_addr,
                                   .path = c->http->path, /* as sent: what a proof is about */
                                   .dpop = c->dpop,
                                   .proof = http_header(c->http, "DPoP"),
                                   .proofs = http_header_count(c->http, "DPoP"),
                                   .method = c->http->method };
    rc = c->cookie ? session_check(c->rt->svc->tokens, c->req.arena, token, c->req.client_addr,
                                   &c->req.who, err)
                   : token_check_use(c->rt->svc->tokens, c->req.arena, &use, &c->req.who, err);
    note_use(c, rc);
    return rc;
}

int route_authorize(struct call *c, struct err *err)
{
    const struct route *r = c->leaf->route;
    if (r->flags & ROUTE_INTERNAL)
        return 0;
    if (!c->credential) {
        bool open = r->flags & ROUTE_PUBLIC && (!r->scope || c->rt->svc->conf->public_read);
        return open ? 0 : err_set(err, E_unauthorized, "A credential is needed.");
    }
    if (c->leaf->scope >= 0 && !scope_has(c->req.who.scopes, (enum scope)c->leaf->scope))
        return err_set(err, E_insufficient_scope, "The scope %s is needed.", r->scope);
    return 0;
}

const char *route_challenge(const struct call *c)
{
    const char *scope = c->leaf ? c->leaf->route->scope : NULL;
    const char *algs = c->dpop ? ", algs=\"ES256 RS256\"" : "";
    const char *how = c->dpop ? "DPoP" : "Bearer";
    if (c->failed == E_insufficient_scope && scope)
        return arena_printf(c->req.arena,
                            "%s realm=\"365CMS\", error=\"insufficient_scope\", scope=\"%s\"%s",
                            how, scope, algs);
    if (c->failed != E_unauthorized)
        return NULL;
    /* RFC 9728 §5.1: where to learn who gives tokens. */
    return arena_printf(c->req.arena,
                        "%s realm=\"365CMS\"%s%s, "
                        "resource_metadata=\"%s/.well-known/oauth-protected-resource\"",
                        how, c->credential ? ", error=\"invalid_token\"" : "", algs,
                        c->rt->public_url);
}

/* --- Idempotency-Key -----------------------------------------------------------------------------
 */

/* A Structured Field string (RFC 9651 §3.3.3), or a bare token as many clients send it. */
static const char *idempotency_text(struct arena *a, const char *s)
{
    size_t n = strlen(s), k = 0;
    if (!n || n > 2 * 255 + 2)
        return NULL;
    char *out = arena_alloc(a, n + 1);
    if (*s != '"') {
        for (size_t i = 0; i < n; i++) {
            if (s[i] <= ' ' || s[i] > '~' || strchr("\",;\\", s[i]))
                return NULL;
            out[k++] = s[i];
        }
        return k <= 255 ? out : NULL;
    }
    for (size_t i = 1; i + 1 < n; i++) {
        if (s[i] == '\\' && (s[i + 1] == '"' || s[i + 1] == '\\') && i + 2 < n)
            i++;
        else if (s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\')
            return NULL;
        out[k++] = s[i];
    }
    return n >= 3 && s[n - 1] == '"' && k <= 255 ? out : NULL;
}

int route_idempotency(struct call *c, struct err *err)
{
    const char *s = http_header(c->http, "Idempotency-Key");
    if (!s || !(c->leaf->route->flags & ROUTE_IDEMPOTENT))
        return 0;
    c->req.idempotency_key = idempotency_text(c->req.arena, s);
    if (!c->req.idempotency_key || http_header_count(c->http, "Idempotency-Key") > 1)
        return err_at(err, E_invalid, "Idempotency-Key",
                      "Idempotency-Key is one string of 1 to 255 printable characters.");
    return 0;
}
