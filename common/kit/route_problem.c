#define _GNU_SOURCE /* strcasestr */
#include "common/kit/route_internal.h"

#include "common/base/str.h"
#include "common/kit/repr.h"

/* What a client can do about each, for the page behind `type`. */
static const char *const docs[E_MAX_] = {
    [E_invalid] = "The request line, a header or the whole of it cannot be read as HTTP has it; "
                  "the detail says what.",
    [E_invalid_parameter] = "Names and values of query parameters are checked; the detail names "
                            "the one at fault and what would be valid.",
    [E_invalid_json] = "The body must be one JSON object or array: UTF-8, no duplicate names, at "
                       "most 32 levels, integers within 64 bits, fractions of at most 17 "
                       "digits.  `errors` says where it ceases to be that.",
    [E_unauthorized] = "Send a valid API key as Authorization: Bearer or X-API-Key.",
    [E_forbidden] = "The credential is good, but its user's role does not allow this.",
    [E_insufficient_scope] = "WWW-Authenticate names the scope; use a credential that has it.",
    [E_not_found] = "Nothing is there, or nothing that this credential may know of.",
    [E_method_not_allowed] = "Allow lists the methods that the path takes.",
    [E_not_acceptable] = "Ask for one of the media types in `available`, or leave Accept out.",
    [E_conflict] = "Read the resource again and decide anew.",
    [E_idempotency_in_flight] = "Wait for the first request's answer, then repeat.",
    [E_gone] = "It was there and will not be again; ask for something else.",
    [E_precondition_failed] = "Read the resource again: its ETag has changed.",
    [E_too_large] =
        "Send less at once; the schema of the resource and the document name the limits.",
    [E_uri_too_long] = "Ask with fewer or shorter parameters.",
    [E_unsupported_media_type] =
        "Send the body as one of the media types in Accept, Accept-Post or Accept-Patch.",
    [E_validation] = "Each fault is in `errors` with a JSON pointer to its place.",
    [E_idempotency_reused] = "Use a new Idempotency-Key for a new request.",
    [E_precondition_required] = "Send If-Match with the ETag that was read.",
    [E_rate_limited] = "Wait for the time in Retry-After; RateLimit says what is left.",
    [E_quota_exceeded] = "The month's quota is used up; Retry-After says when the next begins.",
    [E_headers_too_large] = "Send fewer or shorter header fields.",
    [E_internal] = "The fault is ours.  Tell us the request_id.",
    [E_upstream] = "A service behind this one failed; wait for the time in Retry-After and repeat.",
    [E_unavailable] = "Wait for the time in Retry-After and repeat; use an Idempotency-Key.",
    [E_timeout] = "Wait for the time in Retry-After and repeat; use an Idempotency-Key.",
    [E_retry_later] =
        "What this refers to is not there yet; wait for the time in Retry-After and repeat.",
    [E_egress_refused] =
        "The address is private, local or otherwise not to be reached from here; use a public one.",
    [E_config] = "The installation is set up wrongly; its operator finds the reason in the log.",
};

static void put_pair(struct buf *b, const char *name, const char *value)
{
    buf_puts(b, name);
    buf_put_json_string(b, value, strlen(value));
}

static void put_error(struct buf *b, const char *pointer, const char *code, const char *detail)
{
    put_pair(b, "{\"pointer\":", pointer);
    put_pair(b, ",\"code\":", code);
    put_pair(b, ",\"detail\":", detail);
    buf_putc(b, '}');
}

/* Text that came in with the request may hold anything; JSON holds UTF-8 only. */
static const char *clean(struct arena *a, const char *s)
{
    size_t n = strlen(s);
    if (str_utf8_ok(s, n))
        return s;
    char *out = arena_strndup(a, s, n);
    for (char *p = out; *p; p++) {
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    }
    return out;
}

static void put_errors(struct call *c, const struct err *err)
{
    struct buf *b = &c->res.body;
    const struct err_list *l = c->res.faults;
    bool list = err->code == E_validation && l && l->n;
    if (!list && !err->pointer[0])
        return;
    buf_puts(b, ",\"errors\":[");
    for (size_t i = 0; list && i < l->n; i++) {
        if (i)
            buf_putc(b, ',');
        put_error(b, clean(c->req.arena, l->items[i].pointer), l->items[i].code,
                  clean(c->req.arena, l->items[i].msg));
    }
    if (!list)
        put_error(b, clean(c->req.arena, err->pointer), err_name(err->code),
                  clean(c->req.arena, err->msg));
    buf_putc(b, ']');
}

/* A 406 lists what there is (RFC 9110 §15.5.7). */
static void put_available(struct call *c)
{
    const char *types[accept_types_max];
    struct buf *b = &c->res.body;
    size_t n = c->leaf && c->leaf->route ? route_types(c->leaf->route, types) : 0;
    if (!n || str_eq(types[0], "*"))
        return;
    for (size_t i = 0; i < n; i++)
        put_pair(b, i ? "," : ",\"available\":[", types[i]);
    buf_putc(b, ']');
}

/* What would have been taken instead (RFC 9110 §15.5.16, RFC 5789 §2.2, LDP §7.1). */
static void put_takes(struct call *c)
{
    const struct route *r = c->leaf ? c->leaf->route : NULL;
    if (c->coded_body) {
        res_header(&c->res, "Accept-Encoding", "identity");
        return;
    }
    const char *takes = r ? route_takes(r) : "application/json";
    if (r && r->method == PATCH)
        res_header(&c->res, "Accept-Patch", takes);
    else if (r && r->method == POST)
        res_header(&c->res, "Accept-Post", takes);
    res_header(&c->res, "Accept", takes);
}

/* XML for who would rather read that.  Any other wish is answered in JSON: a problem is better than
 * a 406 about it. */
static bool wants_xml(const struct call *c)
{
    static const char *const types[] = { "application/problem+json", "application/json",
                                         "application/problem+xml", "application/xml", "text/xml" };
    const char *accept = http_header(c->http, "Accept");
    if (!accept || !strcasestr(accept, "xml")) /* a range that only happens to fit is no wish */
        return false;
    size_t best = accept_best(accept, types, ARRAY_LEN(types), -1);
    return best >= 2 && best < ARRAY_LEN(types);
}

static void put_xml(struct call *c)
{
    struct buf out;
    buf_init(&out, c->req.arena, 1024, 1024 * 1024);
    repr_problem_xml(js_of(c->res.body.data, c->res.body.len), &out);
    c->res.body = out;
    c->res.content_type = "application/problem+xml; charset=utf-8";
}

/* What versions before RFC 9457 say: a code, and the first thing that was wrong. */
static void put_plain(struct call *c, const struct err *err, const char *detail)
{
    const struct err_list *l = c->res.faults;
    struct buf *b = &c->res.body;
    if (err->code == E_validation && l && l->n)
        detail = arena_printf(c->req.arena, "%s: %s", l->items[0].pointer, l->items[0].msg);
    put_pair(b, "{\"error\":{\"code\":", err_name(c->failed));
    put_pair(b, ",\"message\":", clean(c->req.arena, detail));
    buf_puts(b, "}}");
    c->res.content_type = "application/json";
}

static void put_problem(struct call *c, const struct err *err, const char *detail)
{
    struct arena *a = c->req.arena;
    struct buf *b = &c->res.body;
    int status = c->res.status;
    c->res.content_type = "application/problem+json";
    buf_printf(b, "{\"type\":\"%s/problems/%s\"", c->rt->public_url, err_name(c->failed));
    put_pair(b, ",\"title\":", err_title(c->failed));
    buf_printf(b, ",\"status\":%d", status);
    put_pair(b, ",\"detail\":", clean(a, detail));
    put_pair(b, ",\"instance\":", clean(a, c->http->path));
    put_pair(b, ",\"request_id\":", c->req.request_id);
    if (status < 500)
        put_errors(c, err);
    if (c->failed == E_not_acceptable)
        put_available(c);
    route_limit_problem(c, b);
    buf_putc(b, '}');
    if (wants_xml(c))
        put_xml(c);
}

/* Turns a failure into the answer.  What a handler had set of its own answer is dropped; of a 5xx
 * only the title is told. */
void route_problem(struct call *c, const struct err *err)
{
    struct res *res = &c->res;
    struct arena *a = c->req.arena;
    const struct err_list *faults = res->faults;
    enum err_code code = err->code > E_OK && err->code < E_MAX_ ? err->code : E_internal;
    int status = err_http(code);
    const char *detail = status < 500 && err->msg[0] ? err->msg : err_title(code);
    c->failed = code;
    c->detail = err->detail[0]
                    ? arena_printf(a, "%s%s%s", err->msg, err->msg[0] ? ": " : "", err->detail)
                    : arena_strdup(a, err->msg);
    /* A 412 says what the representation is now; no other problem carries a validator. */
    const char *etag = code == E_precondition_failed ? res->etag : NULL;
    if (etag && c->req.method != GET && c->req.method != HEAD) { /* a read's says its form by now */
        c->coding = CODING_IDENTITY;
        etag = route_tag(c, etag);
    }
    if (res->stream)
        res->stream->gone(res->stream);
    *res = (struct res){ .arena = a, .status = status, .faults = faults, .etag = etag };
    buf_init(&res->body, a, 512, 256 * 1024);
    if (c->version && c->version->plain_errors)
        put_plain(c, err, detail);
    else
        put_problem(c, err, detail);
    unsigned wait = err->retry_after_s;
    if (!wait && (status == 503 || status == 429 || status == 502))
        wait = 1;
    if (wait)
        res_header(res, "Retry-After", arena_printf(a, "%u", wait));
    if (code == E_unsupported_media_type)
        put_takes(c);
    const char *challenge = route_challenge(c);
    if (challenge)
        res_header(res, "WWW-Authenticate", challenge);
    if (c->cookie && code == E_unauthorized)
        route_cookie_clear(c);
}

/* --- GET /problems/{code} ------------------------------------------------------------------------
 */

static const char *doc_of(enum err_code code)
{
    return docs[code] ? docs[code] : "";
}

static int problem_get(struct req *req, struct res *res, struct err *err)
{
    static const char *const types[] = { "application/json", "text/html", NULL };
    int code = E_OK + 1;
    while (code < E_MAX_ && !str_eq(err_name((enum err_code)code), req->params[0]))
        code++;
    if (code == E_MAX_)
        return err_set(err, E_not_found, "There is no such problem type.");
    const char *type = req_accept(req, types);
    if (!type)
        return err_set(err, E_not_acceptable, "This page is there as JSON and HTML.");
    enum err_code e = (enum err_code)code;
    res->content_type = type;
    res->cache_control = "public, max-age=3600";
    if (type == types[1]) {
        res->content_type = "text/html; charset=utf-8";
        buf_printf(&res->body,
                   "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>%s</title>"
                   "<h1>%s</h1><p>HTTP status %d, <code>%s</code>%s.</p><p>%s</p></html>\n",
                   err_title(e), err_title(e), err_http(e), err_name(e),
                   err_retryable(e) ? ", may be repeated" : "", doc_of(e));
        return 0;
    }
    put_pair(&res->body, "{\"data\":{\"code\":", err_name(e));
    put_pair(&res->body, ",\"title\":", err_title(e));
    buf_printf(&res->body, ",\"status\":%d,\"retryable\":%s", err_http(e),
               err_retryable(e) ? "true" : "false");
    put_pair(&res->body, ",\"doc\":", doc_of(e));
    buf_puts(&res->body, "}}");
    return 0;
}

static const struct field_def problem_type_fields[] = {
    { .name = "code", .type = F_TEXT, .flags = FF_REQUIRED, .doc = "Last part of the type URI." },
    { .name = "title", .type = F_TEXT, .flags = FF_REQUIRED, .doc = "What happened." },
    { .name = "status",
     .type = F_INT,
     .flags = FF_REQUIRED,
     .min = 400,
     .max = 599,
     .doc = "HTTP status." },
    { .name = "retryable",
     .type = F_BOOL,
     .flags = FF_REQUIRED,
     .doc = "Whether the same request may succeed later." },
    { .name = "doc", .type = F_TEXT, .flags = FF_REQUIRED, .doc = "What to do about it." },
    { .name = NULL },
};
static const struct shape problem_type_shape = { .name = "ProblemType",
                                                 .doc = "What a problem's type URI stands for.",
                                                 .fields = problem_type_fields };
const struct route problem_routes[] = {
    { GET, "/problems/{code}", problem_get, .out = &problem_type_shape, .flags = ROUTE_PUBLIC,
     .limit = LIMIT_NONE, .produces = "*", .op_id = "problem_get",
     .doc = "Explain a problem type." },
    { .path = NULL },
};
