/* Versions of the API: one table of what an older one does not have, over the same handlers. */
#include "common/kit/route_internal.h"

#include "common/base/str.h"
#include "common/kit/prefer.h"
#include "common/kit/svc.h"

#include <assert.h>

static const char *const v1_lacks[] = { "limit",    "offset",        "cursor", "count",
                                        "envelope", "updated_since", NULL };

const struct route_version route_versions[] = {
    { .number = 2, .prefix = "/api/v2" },
    { .number = 1,
     .prefix = "/api/v1",
     .deprecated = "v1",
     .lacks = ROUTE_FORMS | ROUTE_PATCHES | ROUTE_PREFER | ROUTE_EXPORT,
     .skips = ROUTE_BULK,
     .lacks_params = v1_lacks,
     .plain_errors = true },
    { .number = 0 },
};

/* "/api/v2/posts" -> "/posts"; NULL: not of this version. */
static const char *after_prefix(const struct route_version *v, const char *path)
{
    size_t n = strlen(v->prefix);
    return str_starts(path, v->prefix) && (path[n] == '/' || !path[n]) ? path + n : NULL;
}

static bool lacks_param(const struct route_version *v, const char *name)
{
    const char *const *p = v->lacks_params;
    while (p && *p && !str_eq(*p, name))
        p++;
    return p && *p;
}

static const struct param_def *params_of(struct arena *a, const struct route_version *v,
                                         const struct param_def *all)
{
    size_t n = 0, k = 0;
    while (all && all[n].name)
        n++;
    struct param_def *ret = arena_alloc(a, (n + 1) * sizeof(*ret));
    for (size_t i = 0; i < n; i++)
        if (!lacks_param(v, all[i].name))
            ret[k++] = all[i];
    return all ? ret : NULL;
}

const struct route *route_version_rows(struct arena *a, const struct route_version *v,
                                       const struct route *rows)
{
    size_t n = 0, k = 0;
    while (rows[n].path)
        n++;
    struct route *ret = arena_alloc(a, (n + 1) * sizeof(*ret));
    for (const struct route *r = rows; r->path; r++) {
        const char *rest = after_prefix(&route_versions[0], r->path);
        bool export = r->flags & ROUTE_EXPORT && r->method == POST;
        if (r->flags & v->skips || export || !rest)
            continue;
        struct route *to = &ret[k++];
        *to = *r;
        to->path = arena_printf(a, "%s%s", v->prefix, rest);
        to->flags &= ~v->lacks;
        to->query = params_of(a, v, r->query);
        to->op_id = arena_printf(a, "v%d_%s", v->number, r->op_id);
        to->deprecated = v->deprecated;
        to->version = v;
    }
    return ret;
}

const char *req_url(const struct req *req, const char *path)
{
    const struct route_version *v = req->route->version;
    const char *rest = v ? after_prefix(&route_versions[0], path) : NULL;
    return arena_printf(req->arena, "%s%s%s", req->svc->conf->public_url, rest ? v->prefix : "",
                        rest ? rest : path);
}

static const struct route_version *version_numbered(int64_t number)
{
    const struct route_version *v = route_versions;
    while (v->number && v->number != number)
        v++;
    return v->number ? v : NULL;
}

/* "/api/posts": after /api/ comes no version. */
static const char *unversioned(const char *path)
{
    static const char api[] = "/api/";
    if (!str_starts(path, api))
        return NULL;
    const char *rest = path + sizeof(api) - 1;
    return rest[0] == 'v' && rest[1] >= '0' && rest[1] <= '9' ? NULL : rest - 1;
}

/* A preference that nobody could ask about later is left alone (RFC 7240 §2). */
static bool wants_export(const struct call *c)
{
    const char *prefer = http_header(c->http, "Prefer");
    struct prefer p;
    if (!prefer || !c->leaf || c->req.method != GET || !(c->leaf->route->flags & ROUTE_EXPORT))
        return false;
    prefer_parse(c->req.arena, prefer, &p);
    return p.async && (http_header(c->http, "Authorization") || http_header(c->http, "X-API-Key"));
}

void route_find(struct call *c)
{
    struct req *req = &c->req;
    const char *rest = c->rt->ops ? NULL : unversioned(req->path);
    if (rest) {
        c->version_asked = accept_version(http_header(c->http, "Accept"));
        if (!c->version_asked)
            c->version_asked = route_versions[0].number;
        const struct route_version *v = version_numbered(c->version_asked);
        req->path =
            arena_printf(req->arena, "%s%s", v ? v->prefix : route_versions[0].prefix, rest);
    }
    for (const struct route_version *v = route_versions; v->number && !c->version; v++)
        c->version = after_prefix(v, req->path) ? v : NULL;
    c->leaf =
        routes_find(c->rt->routes, req->arena, req->method, req->path, req->params, &c->allowed);
    if (wants_export(c)) {
        const char *path = arena_printf(req->arena, "%s/export", c->leaf->route->path);
        unsigned ignored;
        c->listed = c->leaf;
        c->leaf = routes_find(c->rt->routes, req->arena, POST, path, req->params, &ignored);
        assert(c->leaf);
    }
}

int route_version_ok(const struct call *c, struct err *err)
{
    if (!c->version_asked || version_numbered(c->version_asked))
        return 0;
    return err_set(err, E_not_acceptable, "There is no version %lld of the API.",
                   (long long)c->version_asked);
}
