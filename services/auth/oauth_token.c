/* POST /oauth/token: scopes, resources, and the token itself. */
#include "services/auth/oauth.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/str.h"
#include "services/auth/jwk.h"

#include <assert.h>

/* --- scopes -------------------------------------------------------------------------------------
 */

/* One name after the other; false at the end.  *ret -1: no scope. */
static bool next_scope(struct arena *a, const char **p, const char **ret_name, int *ret)
{
    *p += strspn(*p, " ");
    size_t n = strcspn(*p, " ");
    if (!n)
        return false;
    *ret_name = arena_strndup(a, *p, n);
    *ret = scope_find(*ret_name);
    *p += n;
    return true;
}

scope_set scopes_parse(struct arena *a, const char *text)
{
    scope_set set = 0;
    const char *name;
    int s;
    while (next_scope(a, &text, &name, &s))
        set |= s >= 0 ? (scope_set)1 << s : 0;
    return set;
}

int oauth_scopes(const struct client *c, const char *scope, struct arena *a, scope_set *ret,
                 struct fault *f, struct err *err)
{
    const char *name;
    int s;
    *ret = 0;
    while (scope && next_scope(a, &scope, &name, &s)) {
        if (s < 0)
            return fault_set(f, err, 400, "invalid_scope", "There is no scope %.64s.", name);
        if (!scope_has(c->scopes, (enum scope)s))
            return fault_set(f, err, 400, "invalid_scope",
                             "The client was not registered for %.64s.", name);
        *ret |= (scope_set)1 << s;
    }
    if (!*ret)
        *ret = c->names;
    return 0;
}

scope_set scopes_for(scope_set names, enum role role)
{
    scope_set may = role_scopes(role), kept = names & may;
    for (int s = 0; s < S_MAX_; s++)
        if (scope_has(names & ~may, (enum scope)s))
            kept |= scope_expand((scope_set)1 << s) & may;
    return kept;
}

char *scopes_text(struct arena *a, scope_set names)
{
    struct buf b;
    buf_init(&b, a, 256, 8192);
    for (int s = 0; s < S_MAX_; s++)
        if (scope_has(names, (enum scope)s))
            buf_printf(&b, "%s%s", b.len ? " " : "", scopes[s].name);
    buf_putc(&b, '\0');
    return b.data;
}

struct db_val scopes_val(struct arena *a, scope_set names)
{
    const char **list = arena_alloc(a, S_MAX_ * sizeof(*list));
    size_t n = 0;
    for (int s = 0; s < S_MAX_; s++)
        if (scope_has(names, (enum scope)s))
            list[n++] = scopes[s].name;
    return db_texts(list, n);
}

scope_set scopes_of(struct arena *a, const struct db_rows *r, size_t row, size_t col)
{
    const char **list;
    scope_set set = 0;
    size_t n = db_get_texts(a, r, row, col, &list);
    for (size_t i = 0; i < n; i++) {
        int s = scope_find(list[i]);
        set |= s >= 0 ? (scope_set)1 << s : 0;
    }
    return set;
}

/* --- resources ----------------------------------------------------------------------------------
 */

static bool resource_ok(const char *issuer, const char *uri)
{
    size_t n = strlen(issuer);
    if (strncmp(uri, issuer, n) != 0 || (uri[n] && uri[n] != '/') || strlen(uri) > 400)
        return false;
    return !strpbrk(uri, "#?\n \"\\");
}

int oauth_resources(struct req *req, const struct form *form, struct resources *ret,
                    struct fault *f, struct err *err)
{
    const char *issuer = req->svc->conf->public_url;
    ret->n = 0;
    for (size_t i = 0; i < form->n; i++) {
        const char *uri = form->list[i].value;
        if (!str_eq(form->list[i].name, "resource"))
            continue;
        if (!resource_ok(issuer, uri))
            return fault_set(f, err, 400, "invalid_target",
                             "A resource is an address of this platform, without a fragment.");
        if (ret->n == resources_max)
            return fault_set(f, err, 400, "invalid_target", "There are more than %d resources.",
                             resources_max);
        ret->list[ret->n++] = uri;
    }
    if (!ret->n)
        ret->list[ret->n++] = issuer;
    return 0;
}

/* --- the token ----------------------------------------------------------------------------------
 */

struct sign {
    const struct jose_key *key;
    struct arena *a;
    const json_t *payload;
    char *token;
    int rc;
    struct err err;
};

static void sign(void *ctx)
{
    struct sign *s = ctx;
    s->rc = jws_sign(s->key, s->a, "at+jwt", s->payload, &s->token, &s->err);
}

int oauth_issue(struct req *req, struct res *res, const struct issue *i, struct err *err)
{
    struct auth_state *state = req->svc->state;
    struct arena *a = req->arena;
    char *jti = arena_alloc(a, uuid_len + 1);
    unsigned char raw[16];
    uuid7(jti);
    bool ours = uuid_parse(jti, raw);
    assert(ours && i->resources.n);
    (void)ours;
    struct jwt_claims c = { .naud = i->resources.n,
                            .user_id = i->user_id,
                            .client_id = i->client->id,
                            .family_id = i->family_id,
                            .issued_ms = uuid7_ms(raw),
                            .role = i->role,
                            .scope = scopes_text(a, i->scopes),
                            .jti = jti,
                            .jkt = i->jkt,
                            .rate_limit = i->client->rate_limit,
                            .quota_monthly = i->client->quota_monthly,
                            .networks =
                                !i->user_id && *i->client->networks ? i->client->networks : NULL };
    c.exp_s = c.issued_ms / 1000 + jwt_life_s;
    for (size_t k = 0; k < c.naud; k++)
        c.aud[k] = i->resources.list[k];
    struct sign s = { .key = signers_key(state->signers, i->client->alg),
                      .a = a,
                      .payload = jwt_write(a, req->svc->conf->public_url, &c) };
    if (!s.key) {
        err->retry_after_s = 1;
        return err_set(err, E_unavailable, "There is no key to sign with yet.");
    }
    int rc = 0;
    if (jose_key_alg(s.key) == JOSE_RS256) /* more than a fiber's stack is for */
        rc = worker_run(req->svc->workers, sign, &s, err);
    else
        sign(&s);
    if (rc || s.rc) {
        *err = rc ? *err : s.err;
        return rc ? rc : s.rc;
    }
    json_t *o = json_pack("{s:s,s:s,s:i,s:s}", "access_token", s.token, "token_type",
                          i->jkt ? "DPoP" : "Bearer", "expires_in", jwt_life_s, "scope", c.scope);
    if (i->refresh)
        json_object_set_new(o, "refresh_token", json_string(i->refresh));
    oauth_json(res, json_in(a, o));
    return 0;
}

/* --- grants -------------------------------------------------------------------------------------
 */

static int as_itself(struct req *req, struct res *res, const struct token_ask *ask, struct fault *f,
                     struct err *err)
{
    const struct client *c = &ask->client;
    const struct form *form = &ask->form;
    struct issue i = { .client = c, .role = c->role, .jkt = ask->jkt };
    if (c->public)
        return fault_set(f, err, 400, "unauthorized_client",
                         "A client without a secret cannot act for itself.");
    int rc = oauth_scopes(c, form_get(form, "scope"), req->arena, &i.scopes, f, err);
    if (!rc)
        rc = oauth_resources(req, form, &i.resources, f, err);
    if (rc)
        return rc;
    i.scopes = scopes_for(i.scopes, c->role);
    if (!i.scopes)
        return fault_set(f, err, 400, "invalid_scope", "The client's role has none of that.");
    return oauth_issue(req, res, &i, err);
}

typedef int grant_fn(struct req *req, struct res *res, const struct token_ask *ask, struct fault *f,
                     struct err *err);
static const struct {
    const char *name;
    enum grant_type type;
    grant_fn *fn;
} grants[] = {
    { "client_credentials", GRANT_CLIENT,  as_itself            },
    { "authorization_code", GRANT_CODE,    oauth_redeem_code    },
    { "refresh_token",      GRANT_REFRESH, oauth_redeem_refresh },
};

static int token(struct req *req, struct res *res, struct fault *f, struct err *err)
{
    struct token_ask ask;
    int rc = oauth_form(req, &ask.form, f, err);
    if (!rc)
        rc = client_authenticate(req, &ask.form, &ask.client, f, err);
    if (!rc)
        rc = oauth_proven_key(req, &ask.jkt, f, err);
    if (rc)
        return rc;
    if (ask.client.dpop && !ask.jkt)
        return fault_set(f, err, 400, "invalid_dpop_proof", "This client must send a DPoP proof.");
    const char *type = form_get(&ask.form, "grant_type");
    if (!type)
        return fault_set(f, err, 400, "invalid_request", "grant_type is missing.");
    for (size_t i = 0; i < ARRAY_LEN(grants); i++) {
        if (!str_eq(type, grants[i].name))
            continue;
        if (!(ask.client.grants & grants[i].type))
            return fault_set(f, err, 400, "unauthorized_client",
                             "The client was not registered for %s.", type);
        return grants[i].fn(req, res, &ask, f, err);
    }
    return fault_set(f, err, 400, "unsupported_grant_type", "There is no grant %.64s.", type);
}

int oauth_token(struct req *req, struct res *res, struct err *err)
{
    struct fault f = { .error = NULL };
    return oauth_answer(req, res, token(req, res, &f, err), &f);
}
