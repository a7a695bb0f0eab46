#include "common/kit/route_internal.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/str.h"
#include "common/kit/svc.h"

#include <assert.h>
#include <unistd.h>

/* --- what handlers use ---------------------------------------------------------------------------
 */

const char *req_header(const struct req *req, const char *name)
{
    if (req->made) /* its value is no part of the key that an answer is kept under */
        req->made->never = true;
    return http_header(req->http, name);
}

int req_id(const struct req *req, size_t param, int64_t *ret, struct err *err)
{
    assert(param < route_params_max && req->params[param]);
    const char *s = req->params[param];
    if (*s == '0' || !str_to_i64(s, 1, (INT64_C(1) << 53) - 1, ret))
        return err_set(err, E_not_found, "There is no such resource.");
    return 0;
}

void res_header(struct res *res, const char *name, const char *value)
{
    assert(res->nextra < ARRAY_LEN(res->extra));
    res->extra[res->nextra].name = name;
    res->extra[res->nextra++].value = value;
}

void res_json(struct res *res, const json_t *data)
{
    buf_puts(&res->body, "{\"data\":");
    json_write(&res->body, data);
    buf_putc(&res->body, '}');
}

/* --- phases --------------------------------------------------------------------------------------
 */

static bool takes_body(const struct route *r)
{
    bool verb = r->method == POST || r->method == PUT || r->method == PATCH;
    return verb && !(r->flags & ROUTE_NO_BODY);
}

static const char *allow_text(struct arena *a, unsigned allowed)
{
    struct buf b;
    buf_init(&b, a, 64, 128);
    for (unsigned m = 0; m < METHODS_MAX_; m++) {
        if (allowed & 1U << m)
            buf_printf(&b, "%s%s", b.len ? ", " : "", method_name((enum method)m));
    }
    return b.data;
}

/* OPTIONS: what the path takes (RFC 5789 §3.1, LDP §7.1), and where its schema is. */
static void tell_options(struct call *c)
{
    static const struct {
        enum method method;
        const char *header;
    } rows[] = {
        { PATCH,  "Accept-Patch" },
        { POST,   "Accept-Post"  },
        { GET,    NULL           },
        { DELETE, NULL           }
    };
    const struct entity_def *e = NULL;
    const char *params[route_params_max];
    unsigned ignored;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct route_leaf *leaf =
            routes_find(c->rt->routes, c->req.arena, rows[i].method, c->req.path, params, &ignored);
        if (!leaf)
            continue;
        e = leaf->route->entity ? leaf->route->entity : e;
        if (rows[i].header && (leaf->route->in || leaf->route->entity) &&
            !(leaf->route->flags & ROUTE_NO_BODY))
            res_header(&c->res, rows[i].header, route_takes(leaf->route));
    }
    const char *schema = e ? arena_printf(c->req.arena, "%s/schema", e->path) : NULL;
    if (schema && routes_find(c->rt->routes, c->req.arena, GET, schema, params, &ignored))
        c->res.link = arena_printf(c->req.arena,
                                   "<%s%s>; rel=\"describedby\"; type=\"application/schema+json\"",
                                   c->rt->public_url, schema);
}

static int phase_match(struct call *c, struct err *err)
{
    if (c->leaf)
        return route_version_ok(c, err);
    if (!c->allowed)
        return err_set(err, E_not_found, "There is nothing at this path.");
    if (c->req.method == OPTIONS) {
        c->res.status = 204;
        tell_options(c);
        c->answered = true;
        return 0;
    }
    return err_set(err, E_method_not_allowed, "The path takes %s.",
                   allow_text(c->req.arena, c->allowed));
}

struct parse_job {
    struct call *c;
    json_t *tree;
    struct err *err;
    int rc;
};

static void parse_body(void *p)
{
    struct parse_job *j = p;
    const struct http_req *http = j->c->http;
    j->rc = json_parse(http->arena, http->body, http->body_n, &j->tree, j->err);
    if (!j->rc)
        j->rc = json_exact(http->arena, http->body, http->body_n, j->err);
}

static int phase_body(struct call *c, struct err *err)
{
    const struct route *r = c->leaf->route;
    const struct http_req *http = c->http;
    if (r->flags & ROUTE_RAW_BODY)
        return 0;
    if (!takes_body(r))
        return http->body_n ? err_set(err, E_invalid, "This request takes no body.") : 0;
    bool needed = r->in || r->entity || r->flags & ROUTE_MERGE;
    if (!http->body_n)
        return needed ? err_set(err, E_invalid_json, "A JSON body is needed.") : 0;
    int rc = route_media_type(c, err);
    if (rc)
        return rc;
    struct parse_job j = { .c = c, .err = err };
    if (http->body_n >= route_heavy_body_bytes && c->rt->svc->workers) {
        rc = worker_run(c->rt->svc->workers, parse_body, &j, err);
        if (rc)
            return rc;
    } else {
        parse_body(&j);
    }
    if (j.rc)
        return j.rc;
    if (!json_is_object(j.tree) && !json_is_array(j.tree))
        return err_set(err, E_invalid_json, "The body must be a JSON object or array.");
    c->req.body = j.tree;
    return 0;
}

/* A sandbox key meets its own data and nothing else, whatever the handler is. */
static int phase_sandbox(struct call *c, struct err *err)
{
    if (!c->req.who.sandbox)
        return 0;
    if (!c->req.svc->sandbox_enter)
        return err_set(err, E_forbidden, "A sandbox key opens content only.");
    return c->req.svc->sandbox_enter(&c->req, err);
}

static int phase_handler(struct call *c, struct err *err)
{
    const struct route *r = c->leaf->route;
    int rc = r->fn(&c->req, &c->res, err);
    if (rc < 0)
        return rc;
    if (c->res.body.overflow && r->flags & ROUTE_LIST)
        return err_at(err, E_invalid_parameter, "per_page",
                      "The page is larger than %d MiB; ask for fewer rows, or for less of them by "
                      "fields.",
                      route_res_bytes_max / 1024 / 1024);
    if (c->res.body.overflow)
        return err_set(err, E_internal, "the answer is larger than the limit");
    if (!c->res.status)
        c->res.status = r->status ? r->status : 200;
    return 0;
}

typedef int phase_fn(struct call *c, struct err *err);
static phase_fn *const phases[] = {
    phase_match,     route_authenticate, route_authorize,   route_limit,     phase_sandbox,
    route_negotiate, route_conditions,   route_idempotency, route_recall,    route_query,
    phase_body,      phase_handler,      route_conditional, route_represent, route_keep,
};

/* --- the answer on the wire ----------------------------------------------------------------------
 */

static const char *cache_control(const struct call *c)
{
    int status = c->res.status;
    bool read = c->req.method == GET || c->req.method == HEAD;
    if (c->res.cache_control)
        return c->res.cache_control;
    if (!read || (status != 304 && status >= 300))
        return "no-store";
    return c->credential ? "private, no-cache" : "public, no-cache";
}

static void put_head(struct call *c, struct http_res *out)
{
    struct res *res = &c->res;
    struct arena *a = c->req.arena;
    bool read = c->req.method == GET || c->req.method == HEAD;
    if ((res->body.len || res->stream) && res->status != 304)
        http_res_header(out, "Content-Type",
                        res->content_type ? res->content_type : "application/json");
    http_res_header(out, "Cache-Control", cache_control(c));
    http_res_header(out, "X-Request-Id", c->req.request_id);
    if (res->status != 304) /* what is known of the body came with it (RFC 9110 §15.4.5) */
        http_res_header(out, "X-Content-Type-Options", "nosniff");
    if (read && c->leaf && !(c->leaf->route->flags & ROUTE_INTERNAL))
        http_res_header(out, "Vary", "Accept, Accept-Encoding, Authorization, X-API-Key");
    if (res->etag)
        http_res_header(out, "ETag", res->etag);
    if (res->modified_s && (res->status != 304 || !res->etag)) {
        char *date = arena_raw(a, http_date_len + 1);
        http_date_format(res->modified_s, date);
        http_res_header(out, "Last-Modified", date);
    }
    if (res->location)
        http_res_header(out, "Location", res->location);
    const char *link = route_deprecate(c, out, res->status == 304 ? NULL : res->link);
    if (link)
        http_res_header(out, "Link", link);
    if (read && c->version_asked && !c->failed) /* what the path without a version stood for */
        http_res_header(out, "Content-Location",
                        arena_printf(a, "%s%s%s%s", c->rt->public_url, c->req.path,
                                     *c->req.raw_query ? "?" : "", c->req.raw_query));
    if (!c->leaf && c->allowed)
        http_res_header(out, "Allow", allow_text(a, c->allowed));
    if (c->kept.status)
        http_res_header(out, "Cache-Status", c->kept.status);
    route_limit_headers(c, out);
    for (size_t i = 0; i < res->nextra; i++)
        http_res_header(out, res->extra[i].name, res->extra[i].value);
}

static void put_answer(struct call *c, struct http_res *out)
{
    put_head(c, out);
    out->status = c->res.status;
    out->stream = c->res.stream;
    out->body = c->unsent ? NULL : c->res.body.data;
    out->body_n = c->unsent ? c->unsent : c->res.body.len;
    c->end_us = clock_mono_us();
}

/* --- httpd's side --------------------------------------------------------------------------------
 */

static enum method method_find(const char *name)
{
    for (unsigned m = 0; m < METHODS_MAX_; m++) {
        if (!strcmp(name, method_name((enum method)m)))
            return (enum method)m;
    }
    return METHODS_MAX_;
}

static struct call *call_new(struct router *rt, struct http_req *http)
{
    struct call *c = arena_alloc(http->arena, sizeof *c);
    const char *type = http_header(http, "Content-Type");
    http->user = c;
    c->rt = rt;
    c->http = http;
    c->res.arena = http->arena;
    c->req = (struct req){
        .svc = rt->svc,
        .arena = http->arena,
        .method = method_find(http->method),
        .path = http->path,
        .raw_query = http->query,
        .content_type = type ? type : "",
        .http = http,
        .now_us = clock_us(),
    };
    route_identify(c);
    return c;
}

static bool on_head(struct http_req *http, struct http_res *res, void *ctx)
{
    struct router *rt = ctx;
    struct call *c = call_new(rt, http);
    (void)res;
    route_find(c);
    http->body_max = route_idle_body_bytes;
    if (c->leaf) {
        const struct route *r = c->leaf->route;
        c->req.route = r;
        if (takes_body(r) || r->flags & ROUTE_RAW_BODY)
            http->body_max = r->body_max ? r->body_max : (size_t)rt->svc->conf->body_bytes_max;
    }
    return true;
}

static void on_serve(struct http_req *http, struct http_res *res, void *ctx)
{
    struct call *c = http->user;
    struct err err = { 0 };
    (void)ctx;
    log_context_set(&c->log);
    c->served_us = clock_mono_us();
    c->req.raw_body = http->body;
    c->req.raw_body_n = http->body_n;
    buf_init(&c->res.body, c->req.arena, 1024, route_res_bytes_max);
    for (size_t i = 0; i < ARRAY_LEN(phases) && !c->answered; i++) {
        int rc = phases[i](c, &err);
        if (rc < 0) {
            if (!err.code)
                err_set(&err, E_internal, "a handler failed without saying why");
            route_problem(c, &err);
            break;
        }
    }
    c->db_us = *fiber_db_us();
    put_answer(c, res);
    log_context_set(NULL);
}

static void on_refuse(struct http_req *http, struct http_res *res, const struct err *why, void *ctx)
{
    struct call *c = http->user ? http->user : call_new(ctx, http);
    route_problem(c, why);
    put_answer(c, res);
}

static void on_done(struct http_req *http, const struct http_res *res, void *ctx)
{
    (void)ctx;
    route_record(http->user, res);
}

const struct httpd_ops router_ops = {
    .head = on_head, .serve = on_serve, .done = on_done, .refuse = on_refuse
};

int router_new(struct svc *svc, const struct route *const *tables, bool ops, struct router **ret,
               struct err *err)
{
    const struct svc_conf *conf = svc->conf;
    struct router *rt = arena_alloc(svc->arena, sizeof *rt);
    size_t n = 0;
    while (tables && tables[n])
        n++;
    const struct route **all = arena_alloc(svc->arena, (n + 4) * sizeof(*all));
    if (n)
        memcpy(all, tables, n * sizeof *all);
    if (!ops) {
        all[n] = problem_routes;
        all[n + 1] = deprecation_routes;
        all[n + 2] = schema_rows(svc->arena, tables);
    }
    *rt = (struct router){ .svc = svc,
                           .ops = ops,
                           .public_url = conf->public_url,
                           .internal_token = conf->internal_token,
                           .program = svc->def->name,
                           .reqres_fd = -1 };
    rt->routes = routes_build(svc->arena, all, ops, err);
    if (!rt->routes)
        return -(int)err->code;
    int rc = deprecation_read(svc->arena, conf->deprecations, rt->deprecated, err);
    if (rc)
        return rc;
    rc = nets_parse(svc->arena, conf->trusted_proxies, &rt->proxies, err);
    if (rc)
        return rc;
    if (*conf->reqres_log && !ops) {
        rt->reqres_fd = reqres_open(conf->reqres_log, err);
        if (rt->reqres_fd < 0)
            return rt->reqres_fd;
    }
    *ret = rt;
    return 0;
}

void router_free(struct router *r)
{
    if (r && r->reqres_fd >= 0)
        close(r->reqres_fd);
}
