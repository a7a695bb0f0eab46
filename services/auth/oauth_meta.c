/* The documents that clients find us by: RFC 8414, RFC 9728. */
#include "services/auth/oauth.h"

#include "common/base/str.h"

static json_t *texts(const char *const *list)
{
    json_t *o = json_array();
    for (; *list; list++)
        json_array_append_new(o, json_string(*list));
    return o;
}

static json_t *all_scopes(void)
{
    json_t *o = json_array();
    for (int s = 0; s < S_MAX_; s++)
        json_array_append_new(o, json_string(scopes[s].name));
    return o;
}

static void set(json_t *o, const char *name, json_t *v)
{
    json_object_set_new(o, name, v);
}

static void set_url(struct req *req, json_t *o, const char *name, const char *path)
{
    set(o, name, json_string(arena_printf(req->arena, "%s%s", req->svc->conf->public_url, path)));
}

static void answer(struct req *req, struct res *res, json_t *o)
{
    json_write(&res->body, json_in(req->arena, o));
    res->cache_control = "public, max-age=300";
}

int oauth_metadata(struct req *req, struct res *res, struct err *err)
{
    static const char *const methods[] = { "client_secret_basic", "client_secret_post",
                                           "private_key_jwt", "none", NULL };
    static const char *const proofs[] = { "client_secret_basic", "client_secret_post",
                                          "private_key_jwt", NULL };
    static const char *const algs[] = { "ES256", "RS256", NULL };
    static const char *const types[] = { "code", NULL }, *const modes[] = { "query", NULL };
    static const char *const pkce[] = { "S256", NULL };
    static const char *const grants[] = { "authorization_code", "client_credentials",
                                          "refresh_token", NULL };
    static const struct {
        const char *name, *path;
    } urls[] = {
        { "issuer",                                ""                       },
        { "authorization_endpoint",                "/oauth/authorize"       },
        { "token_endpoint",                        "/oauth/token"           },
        { "introspection_endpoint",                "/oauth/introspect"      },
        { "revocation_endpoint",                   "/oauth/revoke"          },
        { "pushed_authorization_request_endpoint", "/oauth/par"             },
        { "jwks_uri",                              "/.well-known/jwks.json" },
    };
    json_t *o = json_object();
    (void)err;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++)
        set_url(req, o, urls[i].name, urls[i].path);
    set(o, "response_types_supported", texts(types));
    set(o, "response_modes_supported", texts(modes));
    set(o, "grant_types_supported", texts(grants));
    set(o, "code_challenge_methods_supported", texts(pkce));
    set(o, "token_endpoint_auth_methods_supported", texts(methods));
    set(o, "token_endpoint_auth_signing_alg_values_supported", texts(algs));
    set(o, "introspection_endpoint_auth_methods_supported", texts(proofs));
    set(o, "introspection_endpoint_auth_signing_alg_values_supported", texts(algs));
    set(o, "revocation_endpoint_auth_methods_supported", texts(methods));
    set(o, "revocation_endpoint_auth_signing_alg_values_supported", texts(algs));
    set(o, "dpop_signing_alg_values_supported", texts(algs));
    set(o, "authorization_response_iss_parameter_supported", json_true());
    set(o, "scopes_supported", all_scopes());
    answer(req, res, o);
    return 0;
}

int oauth_resource_metadata(struct req *req, struct res *res, struct err *err)
{
    static const char *const how[] = { "header", NULL }, *const algs[] = { "ES256", "RS256", NULL };
    json_t *o = json_object();
    (void)err;
    set_url(req, o, "resource", "");
    set(o, "authorization_servers", json_pack("[s]", req->svc->conf->public_url));
    set_url(req, o, "jwks_uri", "/.well-known/jwks.json");
    set(o, "bearer_methods_supported", texts(how));
    set(o, "scopes_supported", all_scopes());
    set(o, "dpop_signing_alg_values_supported", texts(algs));
    set(o, "resource_name", json_string("365CMS"));
    answer(req, res, o);
    return 0;
}
