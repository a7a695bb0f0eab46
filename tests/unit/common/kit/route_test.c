#define _GNU_SOURCE /* strcasestr */
#include "common/kit/route.h"

#include "common/base/fiber.h"
#include "common/kit/metrics.h"

#include "tests/unit/common/kit/route_fixture.h"

static int get_item(struct req *req, struct res *res, struct err *err)
{
    int64_t id;
    int rc = req_id(req, 0, &id, err);
    if (rc)
        return rc;
    buf_printf(&res->body, "{\"data\":{\"id\":%lld}}", (long long)id);
    res->etag = "\"3.abc\"";
    res->modified_s = 1700000000; /* Tue, 14 Nov 2023 22:13:20 GMT */
    return 0;
}

static int patch_item(struct req *req, struct res *res, struct err *err)
{
    int rc = req_precondition(req, 3, err);
    if (!rc)
        res_json(res, req->body);
    return rc;
}

static int make_item(struct req *req, struct res *res, struct err *err)
{
    static struct err_list faults;
    if (!json_object_get(req->body, "title")) {
        faults = (struct err_list){ .arena = req->arena };
        err_list_add(&faults, "/title", "required", "Title is required.");
        err_list_add(&faults, "/na\"me", "unknown", "There is no such field.");
        res->faults = &faults;
        return err_set(err, E_validation, "2 fields are not valid.");
    }
    res->location = "http://cms.test/t/items/9";
    buf_printf(&res->body, "{\"data\":{\"key\":\"%s\"}}",
               req->idempotency_key ? req->idempotency_key : "");
    return 0;
}

static int get_list(struct req *req, struct res *res, struct err *err)
{
    (void)err;
    for (size_t i = 0; i < req->nargs; i++)
        buf_printf(&res->body, "%s=%s;", req->args[i].name, req->args[i].value);
    buf_printf(&res->body, "page:%s", req_arg(req, "page") ? req_arg(req, "page") : "-");
    return 0;
}

static int get_self(struct req *req, struct res *res, struct err *err)
{
    (void)err;
    buf_printf(&res->body, "[%s][%s][%s][%lld]", req->client_addr, req->request_id,
               req->traceparent, (long long)req->who.user_id);
    return 0;
}

static int fail_inside(struct req *req, struct res *res, struct err *err)
{
    (void)req;
    buf_puts(&res->body, "half an answer");
    err_set(err, E_internal, "select secret from t");
    return err_detail(err, "SQLSTATE 42P01");
}

static int fail_busy(struct req *req, struct res *res, struct err *err)
{
    (void)req;
    (void)res;
    err_set(err, E_unavailable, "pg at 10.0.0.5 is away");
    err->retry_after_s = 7;
    return -E_unavailable;
}

static int wait_a_little(struct req *req, struct res *res, struct err *err)
{
    (void)req;
    (void)err;
    fiber_sleep_ms(2);
    buf_puts(&res->body, "{}");
    return 0;
}

static int raw_length(struct req *req, struct res *res, struct err *err)
{
    (void)err;
    buf_printf(&res->body, "%zu", req->raw_body_n);
    return 0;
}

static int none(struct req *req, struct res *res, struct err *err)
{
    (void)req;
    (void)res;
    (void)err;
    return 0;
}

static const struct shape item = { .name = "Item", .doc = "An item." };
static const struct param_def list_params[] = {
    { .name = "page", .type = "integer", .min = 1, .max = 100, .doc = "Page." },
    { .name = "name", .type = "string", .max = 5, .doc = "Name." },
    { .name = "deep", .type = "boolean", .doc = "Deep." },
    { .name = "filter[]", .type = "string", .doc = "Filter." },
    { .name = NULL },
};
static const struct route routes[] = {
    { GET, "/t/items/{id}", get_item, .scope = "posts:read", .flags = ROUTE_PUBLIC | ROUTE_ETAG },
    { PATCH, "/t/items/{id}", patch_item, .scope = "posts:write", .in = &item,
     .flags = ROUTE_MERGE | ROUTE_ETAG },
    { DELETE, "/t/items/{id}", none, .scope = "posts:write", .status = 204 },
    { POST, "/t/items", make_item, .scope = "posts:write", .in = &item, .status = 201,
     .flags = ROUTE_IDEMPOTENT },
    { POST, "/t/items/{id}/publish", none, .scope = "posts:write", .flags = ROUTE_NO_BODY,
     .status = 204 },
    { GET, "/t/list", get_list, .flags = ROUTE_PUBLIC, .query = list_params },
    { GET, "/t/self", get_self, .flags = ROUTE_PUBLIC },
    { GET, "/t/boom", fail_inside, .flags = ROUTE_PUBLIC },
    { GET, "/t/busy", fail_busy, .flags = ROUTE_PUBLIC },
    { GET, "/t/wait", wait_a_little, .flags = ROUTE_PUBLIC },
    { GET, "/t/any", none, .status = 204 },
    { POST, "/t/raw", raw_length, .flags = ROUTE_PUBLIC | ROUTE_RAW_BODY, .body_max = 4 },
    { GET, "/internal/x", get_self, .flags = ROUTE_INTERNAL },
    { GET, "/internal/open", get_self, .flags = ROUTE_INTERNAL | ROUTE_PUBLIC },
    { .path = NULL },
};
const struct route *const tables[] = { routes, NULL };

/* proves: AU-05: when a browser session's cookie speaks for a request */
static void cookies_count_for_our_own_pages_only(void **state)
{
    static char csrf[session_csrf_max];
    char ours[256], foreign[256];
    session_csrf("writer", csrf);
    snprintf(ours, sizeof(ours),
             "Cookie: cms365_session=writer\r\nOrigin: http://cms.test\r\nX-CMS365-CSRF: %s\r\n",
             csrf);
    snprintf(foreign, sizeof(foreign),
             "Cookie: cms365_session=writer\r\nOrigin: http://evil.test\r\nX-CMS365-CSRF: %s\r\n",
             csrf);
#define COOKIE "Cookie: a=b; cms365_session=writer\r\n"
    const struct exchange list[] = {
        { "GET /t/any", COOKIE, NULL, 204, HAS("!Set-Cookie") },
        { "HEAD /t/any", COOKIE "Sec-Fetch-Site: same-origin\r\n", NULL, 204, HAS(NULL) },
        { "GET /t/any", COOKIE "Sec-Fetch-Site: cross-site\r\n", NULL, 401, HAS("!Set-Cookie") },
        { "GET /t/any", COOKIE "Origin: http://evil.test\r\n", NULL, 401, HAS("!Set-Cookie") },
        { "GET /t/any", COOKIE COOKIE, NULL, 401, HAS(NULL) },
        { "GET /t/any", "Cookie: cms365_session=over\r\n", NULL, 401,
         HAS("cms365_session=; ", "Max-Age=0") },
        { "GET /t/any", "Cookie: cms365_session=down\r\n", NULL, 503, HAS("!Set-Cookie") },
        { "GET /t/any", COOKIE "Authorization: Bearer none\r\n", NULL, 401, HAS("!Set-Cookie") },
        { "DELETE /t/items/7", COOKIE, NULL, 403, HAS("Origin", "!WWW-Authenticate") },
        { "DELETE /t/items/7", COOKIE "Origin: http://cms.test\r\n", NULL, 403,
         HAS("X-CMS365-CSRF") },
        { "DELETE /t/items/7", foreign, NULL, 403, HAS("Origin") },
        { "DELETE /t/items/7", ours, NULL, 204, HAS(NULL) },
        { "POST /t/raw", foreign, "x", 403, HAS("Origin") },
    };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
}

/* proves: X-01 */
static void failures_are_problems(void **state)
{
    static const struct exchange list[] = {
        { "GET /nowhere", NULL, NULL, 404,
         HAS("\"type\":\"http://cms.test/problems/not_found\"", "\"status\":404",
         "\"instance\":\"/nowhere\"", "\"request_id\":\"", "no-store", "!Allow:") },
        { "PUT /t/items/7", READER, NULL, 405,
         HAS("Allow: GET, HEAD, PATCH, DELETE, OPTIONS", "method_not_allowed") },
        { "TRACE /t/items/7", NULL, NULL, 405, HAS("Allow: GET") },
        { "GET /t/items/x", NULL, NULL, 404, HAS("not_found") },
        { "GET /t/items/0", NULL, NULL, 404, HAS(NULL) },
        { "GET /t/items/9007199254740992", NULL, NULL, 404, HAS(NULL) },
        { "GET /t/boom", NULL, NULL, 500,
         HAS("problems/internal", "!secret", "!42P01", "!half an answer") },
        { "GET /t/busy", NULL, NULL, 503, HAS("Retry-After: 7", "!10.0.0.5") },
        { "GET /t/any", "Authorization: Bearer down\r\n", NULL, 503, HAS("Retry-After: 1") },
        { "POST /t/items", WRITER JSON, "{\"x\":1}", 422,
         HAS("{\"pointer\":\"/title\",\"code\":\"required\",\"detail\":\"Title is required.\"}",
         "\"/na\\\"me\"") },
        { "GET /t/\xc3\x28", NULL, NULL, 404, HAS("\"instance\":\"/t/?(\"") },
        { "GET /problems/validation", NULL, NULL, 200,
         HAS("\"code\":\"validation\"", "\"status\":422", "application/json") },
        { "GET /problems/validation", "Accept: text/html\r\n", NULL, 200,
         HAS("text/html", "<h1>") },
        { "GET /problems/nonsense", NULL, NULL, 404, HAS(NULL) },
    };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
    char line[128];
    for (int c = E_OK + 1; c < E_MAX_; c++) { /* each type resolves */
        snprintf(line, sizeof line, "GET /problems/%s", err_name((enum err_code)c));
        talk(httpd_port(w.http), &(struct exchange){ line, NULL, NULL, 200, HAS(NULL) });
    }
}

static void methods_and_options(void **state)
{
    static const struct exchange list[] = {
        { "OPTIONS /t/items/7", NULL, NULL, 204, HAS("Allow: GET, HEAD, PATCH, DELETE, OPTIONS") },
        { "OPTIONS /nowhere", NULL, NULL, 404, HAS(NULL) },
        { "DELETE /t/items/7", WRITER, NULL, 204, HAS("!\nContent-Type:", "no-store") },
        { "DELETE /t/items/7", WRITER, "{}", 400, HAS("takes no body") },
        { "POST /t/items/7/publish", WRITER, NULL, 204, HAS(NULL) },
        { "POST /t/items/7/publish", WRITER JSON, "{}", 400, HAS("takes no body") },
        { "GET /t/items/7", JSON, "{}", 400, HAS(NULL) },
        { "POST /t/raw", "Content-Type: image/png\r\n", "abcd", 200, HAS("\r\n\r\n4") },
        { "POST /t/raw", "Content-Type: image/png\r\n", "abcde", 413, HAS("4 bytes") },
    };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
}

static void credentials(void **state)
{
    static const struct exchange list[] = {
        { "GET /t/any", NULL, NULL, 401,
         HAS("WWW-Authenticate: Bearer realm=\"365CMS\", resource_metadata=\"", "unauthorized") },
        { "GET /t/any", "Authorization: Bearer wrong\r\n", NULL, 401,
         HAS("error=\"invalid_token\"") },
        { "GET /t/any", "Authorization: Basic cmVhZGVy\r\n", NULL, 401, HAS(NULL) },
        { "GET /t/any", "Authorization: Bearer\r\n", NULL, 401, HAS(NULL) },
        { "GET /t/any", "Authorization: Bearer reader, Bearer x\r\n", NULL, 401, HAS(NULL) },
        { "GET /t/any", "Authorization: Bearer reader\r\nAuthorization: Bearer reader\r\n", NULL,
         400, HAS(NULL) },
        { "GET /t/any", READER, NULL, 204, HAS(NULL) },
        { "GET /t/any", "authorization: bEARER   reader\r\n", NULL, 204, HAS(NULL) },
        { "GET /t/any", "X-API-Key: reader\r\n", NULL, 204, HAS(NULL) },
        { "GET /t/any", READER "X-API-Key: reader\r\n", NULL, 204, HAS(NULL) },
        { "GET /t/any", READER "X-API-Key: writer\r\n", NULL, 400, HAS("different") },
        { "GET /t/any?access_token=reader", NULL, NULL, 401, HAS(NULL) },
        { "GET /t/any?access_token=reader", READER, NULL, 400, HAS("logs") },
        { "GET /t/items/7", "X-API-Key: wrong\r\n", NULL, 401, HAS(NULL) }, /* public, but wrong */
        { "GET /t/items/7", NULL, NULL, 200, HAS("public, no-cache") },
        { "GET /t/items/7", READER, NULL, 200,
         HAS("private, no-cache", "Vary: Accept, Accept-Encoding, Authorization, X-API-Key") },
        { "DELETE /t/items/7", READER, NULL, 403,
         HAS("error=\"insufficient_scope\", scope=\"posts:write\"", "insufficient_scope") },
        { "GET /internal/x", "Authorization: Bearer hush\r\n", NULL, 404, HAS(NULL) },
    };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
    w.conf.public_read = false;
    talk(httpd_port(w.http), &(struct exchange){ "GET /t/items/7", NULL, NULL, 401, HAS(NULL) });
    talk(httpd_port(w.http), &(struct exchange){ "GET /t/items/7", READER, NULL, 200, HAS(NULL) });
    talk(httpd_port(w.http), &(struct exchange){ "GET /t/list", NULL, NULL, 200, HAS(NULL) });
    w.conf.public_read = true;
    static const struct exchange ops[] = {
        { "GET /internal/x",    NULL,                             NULL, 401, HAS(NULL)     },
        { "GET /internal/x",    "Authorization: Bearer hus\r\n",  NULL, 401, HAS(NULL)     },
        { "GET /internal/x",    "Authorization: Bearer hush\r\n", NULL, 200, HAS("!Vary:") },
        { "GET /internal/open", NULL,                             NULL, 200, HAS(NULL)     },
        { "GET /t/any",         READER,                           NULL, 404, HAS(NULL)     },
    };
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        talk(httpd_port(w.http_ops), &ops[i]);
}

static void query_names_are_checked(void **state)
{
    static const struct exchange list[] = {
        { "GET /t/list?page=2&filter[status]=a+b&filter[x][gte]=%C3%BC&deep=true", NULL, NULL, 200,
         HAS("filter[status]=a b;", "filter[x][gte]=\xc3\xbc;", "page:2") },
        { "GET /t/list?", NULL, NULL, 200, HAS("page:-") },
        { "GET /t/list?&page=2&", NULL, NULL, 200, HAS(NULL) },
        { "GET /t/list?pag=2", NULL, NULL, 400,
         HAS("invalid_parameter", "page, name, deep, filter[\xe2\x80\xa6]", "\"pag\"") },
        { "GET /t/list?page=0", NULL, NULL, 400, HAS("from 1 to 100") },
        { "GET /t/list?page=1e3", NULL, NULL, 400, HAS(NULL) },
        { "GET /t/list?page", NULL, NULL, 400, HAS(NULL) },
        { "GET /t/list?page=1&page=2", NULL, NULL, 400, HAS("more than once") },
        { "GET /t/list?name=%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC", NULL, NULL, 200, HAS(NULL) },
        { "GET /t/list?name=abcdef", NULL, NULL, 400, HAS("5 characters") },
        { "GET /t/list?deep=maybe", NULL, NULL, 400, HAS(NULL) },
        { "GET /t/list?filter=x", NULL, NULL, 400, HAS(NULL) },
        { "GET /t/list?filter[]=x", NULL, NULL, 400, HAS(NULL) },
        { "GET /t/list?filter[a][b][c][d][e][f][g][h][i][j][k]=x", NULL, NULL, 400, HAS(NULL) },
        { "GET /t/list?filter[a=x", NULL, NULL, 400, HAS(NULL) },
        { "GET /t/list?filter[a]b=x", NULL, NULL, 400, HAS(NULL) },
        { "GET /t/list?name=%zz", NULL, NULL, 400, HAS(NULL) },
        { "GET /t/list?name=%00", NULL, NULL, 400, HAS(NULL) },
        { "GET /t/list?name=%ff", NULL, NULL, 400, HAS(NULL) },
        { "GET /t/self?x=1", NULL, NULL, 400, HAS("no query parameters") },
    };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
}

static void bodies_are_json(void **state)
{
#define MAKE "POST /t/items", WRITER
    static const struct exchange list[] = {
        { "POST /t/items", WRITER JSON, "{\"title\":\"x\"}", 201,
         HAS("Location: http://cms.test/t/items/9", "no-store") },
        { "POST /t/items", WRITER "Content-Type: application/json; charset=UTF-8\r\n",
         "{\"title\":\"x\"}", 201, HAS(NULL) },
        { "POST /t/items", WRITER "Content-Type: Application/JSON;charset=\"utf-8\"\r\n",
         "{\"title\":\"x\"}", 201, HAS(NULL) },
        { "POST /t/items", WRITER "Content-Type: application/json; charset=latin1\r\n", "{}", 415,
         HAS(NULL) },
        { "POST /t/items", WRITER "Content-Type: text/plain\r\n", "{}", 415,
         HAS("\r\nAccept: application/json", "\r\nAccept-Post: application/json\r\n") },
        { "POST /t/items", WRITER "Content-Type: application/merge-patch+json\r\n", "{}", 415,
         HAS(NULL) },
        { "POST /t/items", WRITER, "{}", 415, HAS(NULL) },
        { "POST /t/items", WRITER JSON "Content-Encoding: gzip\r\n", "{}", 415,
         HAS("\r\nAccept-Encoding: identity\r\n", "!\r\nAccept: ") },
        { "POST /t/items", WRITER JSON, NULL, 400, HAS("invalid_json", "needed") },
        { "POST /t/items", WRITER JSON, "{", 400, HAS("invalid_json") },
        { "POST /t/items", WRITER JSON, "{\"a\":1,\"a\":2}", 400, HAS(NULL) },
        { "POST /t/items", WRITER JSON, "\"text\"", 400, HAS(NULL) },
        { "POST /t/items", WRITER JSON, "7", 400, HAS(NULL) },
        { "POST /t/items", WRITER JSON, "[]", 422, HAS(NULL) },
        { "PATCH /t/items/7", WRITER "Content-Type: application/merge-patch+json\r\n",
         "{\"title\":null}", 200, HAS("{\"data\":{\"title\":null}}") },
        { "PATCH /t/items/7", WRITER JSON, "{\"a\":1}", 200, HAS(NULL) },
        { "PATCH /t/items/7", WRITER "Content-Type: text/x\r\n", "{}", 415,
         HAS("Accept-Patch: application/merge-patch+json, application/json") },
    };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
    char big[1100] = "";
    memset(big, ' ', 1001);
    talk(httpd_port(w.http),
         &(struct exchange){ MAKE JSON, big, 413, HAS("too_large", "1000 bytes", "request_id") });
    /* refused before a byte of it came */
    talk(httpd_port(w.http),
         &(struct exchange){ "POST /t/items", WRITER JSON "Content-Length: 5000000\r\n", NULL, 413,
                             HAS("Connection: close") });
}

static void accept_header_is_heard(void **state)
{
    static const struct {
        const char *accept;
        int want;
    } cases[] = {
        { "application/json",                  200 },
        { "*/*",                               200 },
        { "application/*",                     200 },
        { "text/html, application/json;q=0.5", 200 },
        { "APPLICATION/JSON",                  200 },
        { "application/json;charset=utf-8",    200 },
        { "text/html",                         406 },
        { "application/xml",                   406 },
        { "application/json;q=0",              406 },
        { "*/*, application/json;q=0",         406 },
        { "application/json; q=0.0",           406 },
        { "application/*;q=0, */*",            406 },
        { "text/*, */*;q=0.1",                 200 },
        { "application/json;q=2",              406 },
        { "application/json;charset=latin1",   406 },
        { "",                                  200 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char header[128];
        snprintf(header, sizeof header, "Accept: %s\r\n", cases[i].accept);
        talk(httpd_port(w.http),
             &(struct exchange){ "GET /t/items/7", header, NULL, cases[i].want, HAS(NULL) });
    }
}

static void preconditions_hold(void **state)
{
#define SINCE "Tue, 14 Nov 2023 22:13:20 GMT\r\n"
#define OLDER "Tue, 14 Nov 2023 22:13:19 GMT\r\n"
    static const struct exchange list[] = {
        { "GET /t/items/7", "If-None-Match: \"3.abc\"\r\n", NULL, 304,
         HAS("ETag: \"3.abc\"", "!\nLast-Modified:", "Cache-Control", "\r\nVary", "!\"data\"",
         "!\nContent-Type:") },
        { "GET /t/items/7", "If-None-Match: W/\"3.abc\"\r\n", NULL, 304, HAS(NULL) },
        { "GET /t/items/7", "If-None-Match: \"x\", \"3.abc\"\r\n", NULL, 304, HAS(NULL) },
        { "GET /t/items/7", "If-None-Match: *\r\n", NULL, 304, HAS(NULL) },
        { "HEAD /t/items/7", "If-None-Match: *\r\n", NULL, 304, HAS(NULL) },
        { "GET /t/items/7", "If-None-Match: \"3.abd\"\r\n", NULL, 200, HAS(NULL) },
        { "GET /t/items/7", "If-None-Match: 3.abc\r\n", NULL, 400, HAS("If-None-Match") },
        { "GET /t/items/7", "If-Match: \"3.abc\" \"4\"\r\n", NULL, 400, HAS("If-Match") },
        { "GET /t/items/7", "If-Match: \"4\"\r\nIf-Match: \"3.abc\"\r\n", NULL, 200, HAS(NULL) },
        { "GET /t/items/7", "If-Match: *\r\nIf-Match: \"3.abc\"\r\n", NULL, 400, HAS(NULL) },
        { "GET /t/items/7", "If-Modified-Since: " SINCE, NULL, 304, HAS(NULL) },
        { "GET /t/items/7", "If-Modified-Since: " OLDER, NULL, 200, HAS(NULL) },
        { "GET /t/items/7", "If-Modified-Since: " SINCE "If-None-Match: \"x\"\r\n", NULL, 200,
         HAS(NULL) },
        { "GET /t/items/7", "If-Modified-Since: nonsense\r\n", NULL, 200, HAS(NULL) },
        { "GET /t/items/7", "If-Match: \"3.abc\"\r\n", NULL, 200, HAS(NULL) },
        { "GET /t/items/7", "If-Match: *\r\n", NULL, 200, HAS(NULL) },
        { "GET /t/items/7", "If-Match: W/\"3.abc\"\r\n", NULL, 412, HAS(NULL) },
        { "GET /t/items/7", "If-Match: \"4.abc\"\r\n", NULL, 412, HAS("precondition_failed") },
        { "GET /t/items/7", "If-Unmodified-Since: " SINCE, NULL, 200, HAS(NULL) },
        { "GET /t/items/7", "If-Unmodified-Since: " OLDER, NULL, 412, HAS(NULL) },
        { "PATCH /t/items/7", WRITER JSON "If-Match: \"3.zzz\"\r\n", "{}", 200, HAS(NULL) },
        { "PATCH /t/items/7", WRITER JSON "If-Match: \"3\"\r\n", "{}", 200, HAS(NULL) },
        { "PATCH /t/items/7", WRITER JSON "If-Match: \"1\", \"3.a\"\r\n", "{}", 200, HAS(NULL) },
        { "PATCH /t/items/7", WRITER JSON "If-Match: *\r\n", "{}", 200, HAS(NULL) },
        { "PATCH /t/items/7", WRITER JSON "If-Match: \"33.a\"\r\n", "{}", 412, HAS(NULL) },
        { "PATCH /t/items/7", WRITER JSON "If-Match: W/\"3.a\"\r\n", "{}", 412, HAS(NULL) },
        { "PATCH /t/items/7", WRITER JSON "If-Match: 3\r\n", "{}", 400, HAS(NULL) },
        { "PATCH /t/items/7", WRITER JSON "If-Match: \"3\r\n", "{}", 400, HAS(NULL) },
        { "PATCH /t/items/7", WRITER JSON "If-None-Match: *\r\n", "{}", 412, HAS(NULL) },
    };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
}

/* proves: X-02 (this hop) */
static void requests_are_named_and_traced(void **state)
{
#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
    static const struct exchange list[] = {
        { "GET /t/self", "X-Request-Id: a.B_c-9\r\n", NULL, 200,
         HAS("X-Request-Id: a.B_c-9\r\n", "[a.B_c-9]") },
        { "GET /t/self", "X-Request-Id: a b\r\n", NULL, 200, HAS("!a b") },
        { "GET /t/self", "X-Request-Id: <script>\r\n", NULL, 200, HAS("!<script>") },
        { "GET /t/self", "traceparent: 00-" TRACE "-00f067aa0ba902b7-00\r\n", NULL, 200,
         HAS("[00-" TRACE "-", "-00][", "!00f067aa0ba902b7") },
        { "GET /t/self", "traceparent: ff-" TRACE "-00f067aa0ba902b7-01\r\n", NULL, 200,
         HAS("!" TRACE) },
        { "GET /t/self", "traceparent: 00-" TRACE "-0000000000000000-01\r\n", NULL, 200,
         HAS("!" TRACE) },
        { "GET /t/self", "traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01\r\n",
         NULL, 200, HAS("!" TRACE) },
        { "GET /t/self", "X-Forwarded-For: 8.8.8.8, 1.2.3.4\r\n", NULL, 200, HAS("[1.2.3.4]") },
        { "GET /t/self", "X-Forwarded-For: 1.2.3.4, 10.1.2.3,fd00::5\r\n", NULL, 200,
         HAS("[1.2.3.4]") },
        { "GET /t/self", "X-Forwarded-For: 1.2.3.4, 10.2.0.1\r\n", NULL, 200, HAS("[10.2.0.1]") },
        { "GET /t/self", "X-Forwarded-For: 1.2.3.4, junk\r\n", NULL, 200, HAS("[127.0.0.1]") },
        { "GET /t/self", NULL, NULL, 200, HAS("[127.0.0.1]") },
    };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
}

/* [address][request id][00-trace-span-01][user].  proves: X-02 (this hop) */
static void a_trace_that_begins_here_is_named_as_its_request(void **state)
{
    static struct reply r;
    char id[64], trace[64], span[64], before[64] = "";
    (void)state;
    for (int i = 0; i < 3; i++) {
        bool own = i < 2;
        ask(httpd_port(w.http),
            own ? "GET /t/self HTTP/1.1\r\nHost: t\r\n\r\n"
                : "GET /t/self HTTP/1.1\r\nHost: t\r\nX-Request-Id: "
                  "01a226d7-dcc9-7d68-afa3-1516619c6971\r\n\r\n",
            &r);
        assert_int_equal(
            sscanf(r.body, "[%*[^]]][%63[^]]][00-%32[0-9a-f]-%16[0-9a-f]-01]", id, trace, span), 3);
        char plain[33];
        size_t n = 0;
        for (const char *p = id; *p && n < 32; p++)
            if (*p != '-')
                plain[n++] = *p;
        plain[n] = '\0';
        assert_int_equal(str_eq(plain, trace), own); /* what a client sends names no trace */
        assert_string_not_equal(span, before);
        memcpy(before, span, sizeof before);
    }
}

static void idempotency_key_has_a_form(void **state)
{
#define KEYED(value, status, ...)                                                                  \
    {                                                                                              \
        "POST /t/items", WRITER JSON "Idempotency-Key: " value "\r\n", "{\"title\":1}", status,    \
            HAS(__VA_ARGS__)                                                                       \
    }
    static const struct exchange list[] = {
        KEYED("\"abc\"", 201, "\"key\":\"abc\""),
        KEYED("8e03978e-40d5-43dd-bc93-6894a57f9324", 201, "\"8e03978e-40d5"),
        KEYED("\"a b\"", 201, "\"a b\""),
        KEYED("a b", 400, "Idempotency-Key"),
        KEYED("\"abc", 400, "Idempotency-Key"),
        KEYED("\"\"", 400, "Idempotency-Key"),
        KEYED("\"a\", \"b\"", 400, "Idempotency-Key"),
        { "PATCH /t/items/7", WRITER JSON "Idempotency-Key: a b\r\n", "{}", 200, HAS(NULL) },
    };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
    char header[600];
    for (int n = 255; n <= 256; n++) {
        int k = snprintf(header, sizeof header, WRITER JSON "Idempotency-Key: ");
        memset(header + k, 'k', (size_t)n);
        snprintf(header + k + n, 8, "\r\n");
        talk(httpd_port(w.http), &(struct exchange){ "POST /t/items", header, "{\"title\":1}",
                                                     n == 255 ? 201 : 400, HAS(NULL) });
    }
}

/* rulings.md 2 */
static void only_waiting_suspends(void **state)
{
    struct httpd_stats before, after;
    (void)state;
    httpd_stats(w.http, &before);
    static const struct exchange list[] = {
        { "GET /t/items/7",  NULL,                   NULL,            200, HAS(NULL) },
        { "GET /t/items/7",  "If-None-Match: *\r\n", NULL,            304, HAS(NULL) },
        { "GET /t/any",      NULL,                   NULL,            401, HAS(NULL) },
        { "GET /t/list?x=1", NULL,                   NULL,            400, HAS(NULL) },
        { "GET /nowhere",    NULL,                   NULL,            404, HAS(NULL) },
        { "POST /t/items",   WRITER JSON,            "{\"title\":1}", 201, HAS(NULL) },
    };
    talk_all(list, ARRAY_LEN(list));
    httpd_stats(w.http, &after);
    assert_int_equal(after.suspended, before.suspended);
    talk(httpd_port(w.http), &(struct exchange){ "GET /t/wait", NULL, NULL, 200, HAS(NULL) });
    httpd_stats(w.http, &after);
    assert_int_equal(after.suspended, before.suspended + 1);
}

static void requests_are_counted(void **state)
{
    struct arena *a = arena_new();
    struct buf b;
    (void)state;
    struct metric_cell *seen =
        metric_cell(M_http_requests, (const char *[]){ "/t/items/{id}", "GET", "200" }, 3);
    (void)seen;
    /* The last is counted after its client has the answer. */
    for (int waited = 0; waited < 5000; waited += 5) {
        buf_init(&b, a, 4096, 1 << 20);
        metrics_write(&b);
        if (strstr(b.data, "seconds_bucket{route=\"/t/wait\",le=\"+Inf\"} 1\n"))
            break;
        usleep(5000);
    }
    assert_non_null(strstr(b.data, "cms365_http_requests_total{route=\"/t/items/{id}\",method="
                                   "\"GET\",status=\"304\"} "));
    assert_non_null(strstr(b.data, "route=\"unmatched\",method=\"GET\",status=\"404\""));
    assert_non_null(strstr(b.data, "cms365_http_request_duration_seconds_bucket{route=\"/t/wait\","
                                   "le=\"+Inf\"} 1\n"));
    arena_free(a);
}

static void exchanges_are_logged_for_the_validator(void **state)
{
    (void)state;
    FILE *f = fopen(exchange_log, "r");
    char *line = NULL;
    size_t cap = 0, lines = 0, problems = 0, made = 0;
    assert_non_null(f);
    while (getline(&line, &cap, f) > 0) {
        json_t *v = json_loads(line, 0, NULL);
        assert_non_null(v);
        lines++;
        json_t *res = json_object_get(v, "response"), *body = json_object_get(res, "body");
        int status = (int)json_integer_value(json_object_get(v, "status"));
        const char *route = json_string_value(json_object_get(v, "route"));
        if (status >= 400)
            problems += json_integer_value(json_object_get(body, "status")) == status;
        if (status == 201 && str_eq(route, "/t/items"))
            made += json_object_get(json_object_get(json_object_get(v, "request"), "body"),
                                    "title") != NULL;
        json_decref(v);
    }
    free(line);
    fclose(f);
    assert_true(lines > 100 && problems > 50 && made > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cookies_count_for_our_own_pages_only),
        cmocka_unit_test(failures_are_problems),
        cmocka_unit_test(methods_and_options),
        cmocka_unit_test(credentials),
        cmocka_unit_test(query_names_are_checked),
        cmocka_unit_test(bodies_are_json),
        cmocka_unit_test(accept_header_is_heard),
        cmocka_unit_test(preconditions_hold),
        cmocka_unit_test(requests_are_named_and_traced),
        cmocka_unit_test(a_trace_that_begins_here_is_named_as_its_request),
        cmocka_unit_test(idempotency_key_has_a_form),
        cmocka_unit_test(only_waiting_suspends),
        cmocka_unit_test(requests_are_counted),
        cmocka_unit_test(exchanges_are_logged_for_the_validator),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
