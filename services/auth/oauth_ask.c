#include "services/auth/oauth_ask.h"

#include "common/base/str.h"
#include "common/io/crypto.h"
#include "services/auth/session.h"

#include "auth/sql.h"

enum { challenge_chars = 43 };
const char ask_uri_prefix[] = "urn:ietf:params:oauth:request_uri:";

void ask_uri_hash(const char *uri, char hash[65])
{
    sha256_hex(uri, strlen(uri), hash);
}

static int read_redirect(const struct form *form, struct ask *z, struct fault *f, struct err *err)
{
    const char *uri = form_get(form, "redirect_uri");
    z->redirect_given = uri != NULL;
    if (!uri && z->client.nredirects == 1)
        uri = z->client.redirects[0];
    bool ours = z->client.first_party; /* loopback or not, the port is known */
    if (!uri ||
        (ours ? !str_eq(uri, z->client.redirects[0]) : !client_redirect_ok(&z->client, uri)))
        return fault_set(f, err, 400, "invalid_request",
                         "redirect_uri is not one that the client was registered with.");
    z->redirect_uri = uri;
    return 0;
}

static bool b64url_43(const char *s)
{
    return strlen(s) == challenge_chars &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
               challenge_chars;
}

/* RFC 9700 §2.1.1: every client, and S256 only; no method means plain. */
static int read_pkce(const struct form *form, struct ask *z, struct fault *f, struct err *err)
{
    const char *challenge = form_get(form, "code_challenge");
    if (!challenge || !b64url_43(challenge))
        return fault_set(f, err, 400, "invalid_request",
                         "code_challenge is needed: 43 characters, base64url of a SHA-256.");
    if (!str_eq(form_get(form, "code_challenge_method"), "S256"))
        return fault_set(f, err, 400, "invalid_request", "code_challenge_method must be S256.");
    z->challenge = challenge;
    return 0;
}

static int read_type(const struct form *form, const struct ask *z, struct fault *f, struct err *err)
{
    const char *type = form_get(form, "response_type"), *mode = form_get(form, "response_mode");
    if (!type)
        return fault_set(f, err, 400, "invalid_request", "response_type is missing.");
    if (!str_eq(type, "code"))
        return fault_set(f, err, 400, "unsupported_response_type", "response_type must be code.");
    if (mode && !str_eq(mode, "query"))
        return fault_set(f, err, 400, "invalid_request", "response_mode must be query.");
    if (form_get(form, "request"))
        return fault_set(f, err, 400, "request_not_supported", "Push the request instead.");
    if (!(z->client.grants & GRANT_CODE))
        return fault_set(f, err, 400, "unauthorized_client",
                         "The client was not registered for authorization_code.");
    return 0;
}

int ask_check(struct req *req, const struct form *form, struct ask *z, struct fault *f,
              struct err *err)
{
    const char *jkt = form_get(form, "dpop_jkt"), *twice = form_twice(form);
    int rc = read_redirect(form, z, f, err);
    z->state = form_get(form, "state");
    if (!rc && twice)
        rc = fault_set(f, err, 400, "invalid_request", "%.64s is there twice.", twice);
    if (!rc)
        rc = read_type(form, z, f, err);
    if (!rc)
        rc = read_pkce(form, z, f, err);
    if (!rc)
        rc = oauth_scopes(&z->client, form_get(form, "scope"), req->arena, &z->scopes, f, err);
    if (!rc)
        rc = oauth_resources(req, form, &z->resources, f, err);
    if (!rc && jkt && !b64url_43(jkt))
        rc = fault_set(f, err, 400, "invalid_request", "dpop_jkt is no thumbprint.");
    z->jkt = jkt;
    return rc;
}

static int read_pushed(struct req *req, const char *uri, struct ask *z, struct form *ret,
                       struct fault *f, struct err *err)
{
    struct db_rows *r;
    char *hash = arena_alloc(req->arena, 65);
    ask_uri_hash(uri, hash);
    const struct db_val v[] = { db_text(hash), db_i64(z->client.id) };
    int rc = db_query(req->svc->db, req->arena, &sql_pushed_find, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    size_t n = 0;
    const char *text = db_nrows(r) ? db_cell(r, 0, 0, &n) : "";
    if (!n || !form_parse(req->arena, text, n, ret))
        return fault_set(f, err, 400, "invalid_request_uri",
                         "The request was used, has expired, or is another client's.");
    z->pushed_hash = hash;
    return 0;
}

int ask_read(struct req *req, const struct form *form, struct ask *ret, struct fault *f,
             struct err *err)
{
    const char *id = form_get(form, "client_id"), *uri = form_get(form, "request_uri");
    struct form pushed;
    *ret = (struct ask){ .redirect_uri = NULL };
    bool ours = str_eq(id, admin_client_id);
    if (ours)
        ret->client = admin_client(req);
    int rc = ours ? 0
             : id ? client_find(req->svc, req->arena, id, &ret->client, err)
                  : -E_not_found;
    if (rc == -E_not_found)
        return fault_set(f, err, 400, "invalid_request", "There is no such client.");
    if (rc)
        return rc;
    if (uri) {
        rc = read_pushed(req, uri, ret, &pushed, f, err);
        return rc ? rc : ask_check(req, &pushed, ret, f, err);
    }
    rc = ask_check(req, form, ret, f, err);
    if (!rc && ret->client.par)
        rc = fault_set(f, err, 400, "invalid_request", "This client must push its requests.");
    return rc;
}
