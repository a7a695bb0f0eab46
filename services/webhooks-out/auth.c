#include "services/webhooks-out/auth.h"

#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/io/crypto_keys.h"

enum { text_max = 4096, pem_max = 32 * 1024, token_default_s = 300 };

/* Which members each kind has. */
static const struct member {
    const char *name;
    unsigned kinds, needed; /* bit: enum auth_kind */
    bool secret;
    size_t max, offset;
} members[] = {
#define K(x)     (1u << AUTH_##x)
#define ANY_KIND (K(NONE) | K(BASIC) | K(BEARER) | K(OAUTH2) | K(MTLS))
#define AT(x)    offsetof(struct auth, x)
    { "username",      K(BASIC),  K(BASIC),  false, text_max, AT(username)      },
    { "password",      K(BASIC),  K(BASIC),  true,  text_max, AT(password)      },
    { "token",         K(BEARER), K(BEARER), true,  text_max, AT(token)         },
    { "token_url",     K(OAUTH2), K(OAUTH2), false, text_max, AT(token_url)     },
    { "client_id",     K(OAUTH2), K(OAUTH2), false, text_max, AT(client_id)     },
    { "client_secret", K(OAUTH2), K(OAUTH2), true,  text_max, AT(client_secret) },
    { "scope",         K(OAUTH2), 0,         false, text_max, AT(scope)         },
    { "audience",      K(OAUTH2), 0,         false, text_max, AT(audience)      },
    { "certificate",   ANY_KIND,  K(MTLS),   false, pem_max,  AT(certificate)   },
    { "key",           ANY_KIND,  K(MTLS),   true,  pem_max,  AT(key)           },
    { "ca",            ANY_KIND,  0,         false, pem_max,  AT(ca)            },
#undef AT
};
static const char *const kinds[] = { "none", "basic", "bearer", "oauth2", "mtls" };

static int kind_of(const json_t *given)
{
    const char *type = json_string_value(json_object_get(given, "type"));
    for (size_t i = 0; type && i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i], type))
            return (int)i;
    return -1;
}

static const struct member *member_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (str_eq(members[i].name, name))
            return &members[i];
    return NULL;
}

static const char *text_of(const json_t *given, const char *name)
{
    return json_string_value(json_object_get(given, name));
}

static bool is_clean(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

static int check_member(struct arena *a, const json_t *given, const char *name, int kind,
                        struct err *err)
{
    const struct member *m = member_find(name);
    const json_t *v = json_object_get(given, name);
    const char *at = json_pointer_add(a, "", name);
    if (str_eq(name, "type"))
        return 0;
    if (str_eq(name, "client_auth") && kind == AUTH_OAUTH2)
        return str_eq(json_string_value(v), "basic") || str_eq(json_string_value(v), "post")
                   ? 0
                   : err_at(err, E_validation, at, "Must be one of: basic, post.");
    if (!m || !(m->kinds >> kind & 1))
        return err_at(err, E_validation, at, "Is no member of auth of the type %s.", kinds[kind]);
    if (!json_is_string(v) || !json_string_length(v) || json_string_length(v) > m->max)
        return err_at(err, E_validation, at, "Must be a string of 1 to %zu bytes.", m->max);
    if (m->max == text_max && !is_clean(json_string_value(v)))
        return err_at(err, E_validation, at, "Must not hold control characters.");
    return 0;
}

static int check_pem(const json_t *given, bool https, struct err *err)
{
    const char *cert = text_of(given, "certificate"), *key = text_of(given, "key"),
               *ca = text_of(given, "ca");
    struct err why;
    if ((cert || ca) && !https)
        return err_at(err, E_validation, "/type", "Certificates need an https URL.");
    if (!cert != !key)
        return err_at(err, E_validation, cert ? "/key" : "/certificate",
                      "A certificate and its key come together.");
    if (cert && pem_pair_check(cert, key, &why))
        return err_at(err, E_validation, "/certificate", "%s", why.msg);
    if (ca && pem_pair_check(ca, NULL, &why))
        return err_at(err, E_validation, "/ca", "%s", why.msg);
    return 0;
}

int auth_check(struct arena *a, const struct egress *e, const json_t *given, bool https,
               struct err *err)
{
    int kind = kind_of(given);
    const char *name;
    json_t *v, *all = json_in(a, json_copy((json_t *)(uintptr_t)given));
    struct err why;
    if (kind < 0)
        return err_at(err, E_validation, "/type",
                      "Must be one of: none, basic, bearer, oauth2, mtls.");
    json_object_foreach(all, name, v)
    {
        int rc = check_member(a, given, name, kind, err);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (members[i].needed >> kind & 1 && !json_object_get(given, members[i].name))
            return err_at(err, E_validation, json_pointer_add(a, "", members[i].name),
                          "Is required.");
    if (kind == AUTH_BASIC && strchr(text_of(given, "username"), ':'))
        return err_at(err, E_validation, "/username", "Must not hold a colon.");
    if (kind == AUTH_OAUTH2 && egress_check_url(e, text_of(given, "token_url"), &why))
        return err_at(err, E_validation, "/token_url", "%s", why.msg);
    return check_pem(given, https, err);
}

json_t *auth_shown(struct arena *a, const json_t *given)
{
    json_t *out = json_in(a, json_copy((json_t *)(uintptr_t)given));
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (members[i].secret)
            json_object_del(out, members[i].name);
    return out;
}

static const char *context(struct arena *a, int64_t endpoint)
{
    return arena_printf(a, "endpoints.auth:%lld", (long long)endpoint);
}

char *auth_seal(const struct keyring *k, struct arena *a, int64_t endpoint, const json_t *given)
{
    const char *text = json_text(a, given);
    return kind_of(given) == AUTH_NONE && json_object_size(given) == 1
               ? NULL
               : crypto_seal(k, a, context(a, endpoint), text, strlen(text));
}

void auth_read(struct arena *a, const json_t *given, struct auth *ret)
{
    int kind = kind_of(given);
    *ret = (struct auth){ .kind = kind < 0 ? AUTH_NONE : (enum auth_kind)kind };
    ret->in_body = str_eq(text_of(given, "client_auth"), "post");
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const char *text = text_of(given, members[i].name);
        if (text)
            *(const char **)(void *)((char *)ret + members[i].offset) = arena_strdup(a, text);
    }
}

int auth_open(const struct keyring *k, struct arena *a, int64_t endpoint, const char *sealed,
              struct auth *ret, struct err *err)
{
    void *text;
    size_t n;
    json_t *tree;
    *ret = (struct auth){ .kind = AUTH_NONE };
    if (!sealed)
        return 0;
    int rc = crypto_open(k, a, context(a, endpoint), sealed, &text, &n, err);
    if (!rc)
        rc = json_parse(a, text, n, &tree, err);
    if (!rc)
        auth_read(a, tree, ret);
    return rc;
}

static const char *basic(struct arena *a, const char *user, const char *password)
{
    const char *pair = arena_printf(a, "%s:%s", user, password);
    return arena_printf(a, "Basic %s", b64_encode(a, pair, strlen(pair)));
}

const char *auth_header(struct arena *a, const struct auth *auth, const char *access_token)
{
    switch (auth->kind) {
    case AUTH_BASIC:
        return basic(a, auth->username, auth->password);
    case AUTH_BEARER:
        return arena_printf(a, "Bearer %s", auth->token);
    case AUTH_OAUTH2:
        return access_token ? arena_printf(a, "Bearer %s", access_token) : NULL;
    case AUTH_NONE:
    case AUTH_MTLS:
        break;
    }
    return NULL;
}

/* --- OAuth 2 --- */

static void put_param(struct arena *a, struct buf *b, const char *name, const char *value)
{
    if (value)
        buf_printf(b, "&%s=%s", name, url_encode(a, value));
}

void token_request(struct arena *a, const struct auth *auth, struct httpc_header headers[3],
                   struct httpc_req *ret)
{
    struct buf b;
    buf_init(&b, a, 512, 64 * 1024);
    buf_puts(&b, "grant_type=client_credentials");
    put_param(a, &b, "scope", auth->scope);
    put_param(a, &b, "audience", auth->audience);
    headers[0] = (struct httpc_header){ "Content-Type", "application/x-www-form-urlencoded" };
    headers[1] = (struct httpc_header){ "Accept", "application/json" };
    if (auth->in_body) {
        put_param(a, &b, "client_id", auth->client_id);
        put_param(a, &b, "client_secret", auth->client_secret);
    } else { /* RFC 6749 §2.3.1: encoded before they are joined */
        headers[2] =
            (struct httpc_header){ "Authorization", basic(a, url_encode(a, auth->client_id),
                                                          url_encode(a, auth->client_secret)) };
    }
    *ret = (struct httpc_req){ .method = "POST",
                               .url = auth->token_url,
                               .headers = headers,
                               .nheaders = auth->in_body ? 2 : 3,
                               .body = b.data,
                               .body_n = b.len,
                               .timeout_ms = token_timeout_ms,
                               .reply_bytes_max = token_reply_bytes_max,
                               .client_cert = auth->certificate,
                               .client_key = auth->key,
                               .ca = auth->ca };
}

int token_answer(struct arena *a, const struct httpc_res *res, const char **ret_token,
                 int64_t *ret_seconds, struct err *err)
{
    json_t *tree;
    struct err why;
    if (res->result)
        return err_set(err, E_upstream, "No access token: %s", res->reason);
    if (res->status != 200)
        return err_set(err, E_upstream, "No access token: the token URL answered %d.", res->status);
    if (res->body_cut || json_parse(a, res->body, res->body_n, &tree, &why))
        return err_set(err, E_upstream, "No access token: the token URL did not answer JSON.");
    const char *token = text_of(tree, "access_token"), *type = text_of(tree, "token_type");
    if (!token || !*token || strlen(token) > 2 * text_max || !is_clean(token))
        return err_set(err, E_upstream, "No access token: the answer has none.");
    if (type && !str_ieq(type, "bearer"))
        return err_set(err, E_upstream, "No access token: it is no bearer token.");
    const json_t *s = json_object_get(tree, "expires_in");
    *ret_token = arena_strdup(a, token);
    *ret_seconds = json_is_integer(s) ? json_integer_value(s) : token_default_s;
    return 0;
}
