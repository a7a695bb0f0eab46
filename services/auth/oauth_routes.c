/* What is served under /oauth and /.well-known. */
#include "common/kit/limit.h"
#include "services/auth/jwk.h"
#include "services/auth/oauth.h"

#define FORM "application/x-www-form-urlencoded"
#define TEXT(text, flag, most, sample, about)                                                      \
    { .name = (text),                                                                              \
      .type = F_TEXT,                                                                              \
      .flags = (flag),                                                                             \
      .format = FMT_LINE,                                                                          \
      .max = (most),                                                                               \
      .example = (sample),                                                                         \
      .doc = (about) }

/* clang-format off */
static const struct field_def error_fields[] = {
    TEXT("error", FF_REQUIRED, 64, "\"invalid_grant\"", "What was wrong, as RFC 6749 §5.2 names it."),
    TEXT("error_description", FF_REQUIRED, 200, "\"The code has expired.\"", "The same for people."),
    { .name = NULL },
};
static const struct field_def answer_fields[] = {
    TEXT("access_token", FF_REQUIRED, 8192, "\"eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiJ9…\"",
         "The token: a JWT (RFC 9068)."),
    TEXT("token_type", FF_REQUIRED, 16, "\"Bearer\"", "How to send it."),
    { .name = "expires_in", .type = F_INT, .flags = FF_REQUIRED, .min = 1, .max = jwt_life_s,
      .example = "600", .doc = "Seconds until it is over." },
    TEXT("scope", FF_REQUIRED, 2048, "\"posts:read posts:write\"", "What it may do."),
    TEXT("refresh_token", 0, 64, "\"365r_…\"", "For the next one; good once."),
    { .name = NULL },
};
#define CLIENT_FIELDS                                                                              \
    TEXT("client_id", 0, 64, "\"365c_12\"", "The client, if Authorization does not say it."),      \
    TEXT("client_secret", 0, 256, "\"365s_…\"", "Its secret, if it is sent here."),                \
    TEXT("client_assertion_type", 0, 80,                                                           \
         "\"urn:ietf:params:oauth:client-assertion-type:jwt-bearer\"", "For private_key_jwt."),    \
    TEXT("client_assertion", 0, 8192, "\"eyJhbGciOiJFUzI1NiJ9…\"", "For private_key_jwt.")
static const struct field_def token_fields[] = {
    TEXT("grant_type", FF_REQUIRED, 64, "\"client_credentials\"",
         "client_credentials, authorization_code or refresh_token."),
    TEXT("scope", 0, 2048, "\"posts:read\"", "Scopes, by spaces; fewer than granted if wanted."),
    TEXT("resource", 0, 400, "\"https://cms.example.com/api/v2/posts\"",
         "What the token is for (RFC 8707); may be there several times."),
    TEXT("code", 0, 64, "\"365a_…\"", "For authorization_code."),
    TEXT("redirect_uri", 0, 1024, "\"https://app.example.com/callback\"", "For authorization_code."),
    TEXT("code_verifier", 0, 128, "\"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk\"",
         "For authorization_code (RFC 7636)."),
    TEXT("refresh_token", 0, 64, "\"365r_…\"", "For refresh_token."),
    CLIENT_FIELDS,
    { .name = NULL },
};
static const struct field_def look_fields[] = {
    TEXT("token", FF_REQUIRED, 8192, "\"365r_…\"", "An access or refresh token."),
    TEXT("token_type_hint", 0, 32, "\"refresh_token\"", "Not needed."),
    CLIENT_FIELDS,
    { .name = NULL },
};
/* clang-format on */
static const struct shape refusal = { .name = "OauthError",
                                      .doc = "Why a request was refused (RFC 6749 §5.2).",
                                      .fields = error_fields };
static const struct shape token_answer = { .name = "OauthToken",
                                           .doc = "A new access token (RFC 6749 §5.1).",
                                           .fields = answer_fields };
static const struct shape token_request = { .name = "OauthTokenRequest",
                                            .doc = "What a token is asked for with.",
                                            .fields = token_fields };
static const struct shape look_request = { .name = "OauthTokenLook",
                                           .doc = "The token that is meant.",
                                           .fields = look_fields };

static const struct field_def pushed_fields[] = {
    TEXT("response_type", FF_REQUIRED, 16, "\"code\"", "code."),
    TEXT("redirect_uri", 0, 1024, "\"https://app.example.com/callback\"", "As registered."),
    TEXT("scope", 0, 2048, "\"posts:read\"", "Scopes, by spaces."),
    TEXT("state", 0, 1024, "\"af0ifjsldkj\"", "Comes back as it is."),
    TEXT("code_challenge", FF_REQUIRED, 43, "\"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\"",
         "base64url of the SHA-256 of code_verifier."),
    TEXT("code_challenge_method", FF_REQUIRED, 8, "\"S256\"", "S256."),
    TEXT("resource", 0, 400, "\"https://cms.example.com/api/v2/posts\"",
         "What the token is for (RFC 8707); may be there several times."),
    TEXT("dpop_jkt", 0, 43, "\"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I\"",
         "Thumbprint of the DPoP key that the code is for."),
    CLIENT_FIELDS,
    { .name = NULL },
};
static const struct field_def pushed_answer_fields[] = {
    TEXT("request_uri", FF_REQUIRED, 128, "\"urn:ietf:params:oauth:request_uri:…\"",
         "For /oauth/authorize; good once."),
    { .name = "expires_in",
       .type = F_INT,
       .flags = FF_REQUIRED,
       .min = 1,
       .max = pushed_life_s,
       .example = "600",
       .doc = "Seconds until it is over." },
    { .name = NULL },
};
static const struct shape pushed_request = { .name = "OauthPushedRequest",
                                             .doc = "What is to be asked of a person.",
                                             .fields = pushed_fields };
static const struct shape pushed_answer = { .name = "OauthPushed",
                                            .doc = "Where a pushed request is (RFC 9126 §2.2).",
                                            .fields = pushed_answer_fields };
static const int page_errors[] = { 303, 400, 403, 415, 0 },
                 login_errors[] = { 200, 400, 401, 403, 429, 0 },
                 enrol_errors[] = { 400, 401, 403, 429, 0 },
                 client_errors[] = { 429, 0 }; /* too many wrong secrets */

enum {
    posts = ROUTE_PUBLIC | ROUTE_FOREIGN | ROUTE_RAW_BODY,
    reads = ROUTE_PUBLIC | ROUTE_FOREIGN | ROUTE_NO_BODY
};
const struct route auth_oauth_routes[] = {
    { POST, "/oauth/token", oauth_token, .flags = posts, .limit = LIMIT_TOKEN, .in = &token_request,
     .out = &token_answer, .takes = FORM, .refusal = &refusal, .body_max = form_bytes_max,
     .cost = 2, .op_id = "oauth_token",
     .doc = "Get an access token (RFC 6749).  PKCE with S256 is needed for codes." },
    { POST, "/oauth/introspect", oauth_introspect, .flags = posts, .in = &look_request,
     .takes = FORM, .refusal = &refusal, .produces = "application/json",
     .body_max = form_bytes_max, .cost = 1, .errors = client_errors, .op_id = "oauth_introspect",
     .doc =
          "What a token is (RFC 7662): the client's own; any, for a client with the role admin." },
    { POST, "/oauth/revoke", oauth_revoke, .flags = posts, .in = &look_request, .takes = FORM,
     .refusal = &refusal, .body_max = form_bytes_max, .cost = 2, .errors = client_errors,
     .op_id = "oauth_revoke",
     .doc = "End a token (RFC 7009); with a refresh token all that came from the same consent." },
    { POST, "/oauth/par", oauth_par, .flags = posts, .limit = LIMIT_TOKEN, .in = &pushed_request,
     .out = &pushed_answer, .takes = FORM, .refusal = &refusal, .status = 201,
     .body_max = form_bytes_max, .cost = 2, .errors = client_errors, .op_id = "oauth_par",
     .doc = "Push what is to be asked of a person (RFC 9126)." },
    { GET, "/oauth/authorize", oauth_authorize, .flags = reads, .produces = "text/html",
     .errors = page_errors, .cost = 2, .op_id = "oauth_authorize",
     .doc = "Where a client sends people (RFC 6749 §4.1): they sign in, consent, and go back." },
    { POST, "/oauth/authorize", oauth_decide, .flags = posts, .produces = "text/html",
     .errors = page_errors, .status = 303, .body_max = form_bytes_max, .cost = 5,
     .op_id = "oauth_decide", .doc = "What the consent page sends: the decision." },
    { POST, "/oauth/login", oauth_login, .flags = posts, .limit = LIMIT_LOGIN,
     .produces = "text/html", .errors = login_errors, .status = 303, .body_max = form_bytes_max,
     .cost = 5, .op_id = "oauth_login", .doc = "What the login page sends." },
    { POST, "/oauth/login/second", oauth_login_second, .flags = posts, .limit = LIMIT_LOGIN,
     .produces = "text/html", .errors = login_errors, .status = 303, .body_max = form_bytes_max,
     .cost = 5, .op_id = "oauth_login_second",
     .doc = "What the page for the second factor sends." },
    { POST, "/oauth/login/enrol", oauth_login_enrol, .flags = posts, .limit = LIMIT_LOGIN,
     .produces = "text/html", .errors = enrol_errors, .status = 200, .body_max = form_bytes_max,
     .cost = 5, .op_id = "oauth_login_enrol",
     .doc = "What the page that sets up a second factor sends; answers with recovery codes." },
    { POST, "/oauth/logout", oauth_logout, .flags = posts, .produces = "text/html",
     .errors = page_errors, .status = 303, .body_max = form_bytes_max, .cost = 2,
     .op_id = "oauth_logout", .doc = "Ends the browser's session, and asks who it is now." },
    { GET, "/.well-known/oauth-authorization-server", oauth_metadata, .flags = reads,
     .produces = "application/json", .cost = 1, .op_id = "oauth_metadata",
     .doc = "Where everything is (RFC 8414)." },
    { GET, "/.well-known/oauth-protected-resource", oauth_resource_metadata, .flags = reads,
     .produces = "application/json", .cost = 1, .op_id = "oauth_resource_metadata",
     .doc = "Who gives tokens for this API (RFC 9728)." },
    { GET, "/.well-known/jwks.json", jwk_set, .flags = reads,
     .produces = "application/jwk-set+json", .cost = 1, .op_id = "oauth_jwks",
     .doc = "The keys that access tokens are signed with (RFC 7517)." },
    { GET, "/internal/auth/signing-keys", jwk_set_internal, .flags = ROUTE_INTERNAL,
     .op_id = "internal_signing_keys", .doc = "The same for the programs, with their end." },
    { .path = NULL },
};
