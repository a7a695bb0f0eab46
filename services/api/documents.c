/*
 * The API's own documents, as they were when the program was built: OpenAPI with what is cut out of
 * it for a caller, code samples, the Postman collection, the changelog, and the catalog that leads
 * to them (RFC 9727).  All are printed by scripts/contract and lie in the program's file; pages of
 * it that nobody asks for are never read.
 */
#include "common/base/fiber.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/limit.h"
#include "services/api/api.h"

#include <assert.h>

#define EMBED(name, file)                                                                          \
    __asm__(".section .rodata\n.globl " #name "\n.globl " #name "_end\n" #name                     \
            ":\n.incbin \"" file "\"\n" #name "_end:\n.byte 0\n.previous\n");                      \
    extern const char name[], name##_end[]
EMBED(doc_openapi, "api/openapi.json");
EMBED(doc_postman, "docs/api/postman.json");
EMBED(doc_changes_html, "docs/api/changelog.html");
EMBED(doc_changes_json, "docs/api/changelog.json");
EMBED(doc_changes_atom, "docs/api/changelog.atom");

enum { yaml_depth_max = 64, document_cost = 5 };

static const char openapi_json[] = "application/json", openapi_yaml[] = "application/yaml";

/* They change with the program only; what is cut for a caller is that caller's. */
static int answer(const struct req *req, struct res *res, const char *type, bool own)
{
    char hex[sha256_hex_len + 1];
    sha256_hex(res->body.data, res->body.len, hex);
    hex[16] = '\0';
    res->etag = arena_printf(req->arena, "\"%s\"", hex);
    res->content_type = type;
    res->cache_control = own ? "private, no-cache" : "public, max-age=300";
    res_header(res, "Access-Control-Allow-Origin", "*"); /* tools in browsers read it */
    return 0;
}

/* --- YAML ----------------------------------------------------------------------------------------
 * 1.2, of which JSON's scalars are a part: block style around, each text quoted as in JSON.
 */

static void put_scalar(struct buf *b, const json_t *v)
{
    if (json_is_string(v))
        buf_put_json_string(b, json_string_value(v), json_string_length(v));
    else if (json_is_integer(v))
        buf_printf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        buf_printf(b, "%.17g", json_real_value(v));
    else
        buf_puts(b, json_is_null(v) ? "null" : json_is_true(v) ? "true" : "false");
}

static bool is_block(const json_t *v)
{
    return (json_is_object(v) && json_object_size(v)) || (json_is_array(v) && json_array_size(v));
}

static void put_yaml(struct buf *b, const json_t *v, int depth);

static void put_value(struct buf *b, const json_t *v, int depth)
{
    if (is_block(v)) {
        buf_putc(b, '\n');
        put_yaml(b, v, depth);
        return;
    }
    buf_putc(b, ' ');
    if (json_is_object(v) || json_is_array(v))
        buf_puts(b, json_is_object(v) ? "{}" : "[]");
    else
        put_scalar(b, v);
    buf_putc(b, '\n');
}

static void put_yaml(struct buf *b, const json_t *v, int depth)
{
    const char *key;
    json_t *one;
    size_t i;
    assert(depth < yaml_depth_max); /* our own document */
    if (json_is_object(v))
        json_object_foreach((json_t *)(uintptr_t)v, key, one)
        {
            buf_printf(b, "%*s", 2 * depth, "");
            buf_put_json_string(b, key, strlen(key));
            buf_putc(b, ':');
            put_value(b, one, depth + 1);
        }
    else
        json_array_foreach(v, i, one)
        {
            buf_printf(b, "%*s-", 2 * depth, "");
            put_value(b, one, depth + 1);
        }
}

/* --- OpenAPI -------------------------------------------------------------------------------------
 */

struct cut {
    scope_set scopes;
    bool all, yaml;
    struct buf *out;
    bool failed;
};

static bool may_call(const json_t *op, scope_set have)
{
    const char *scope = json_string_value(json_object_get(op, "x-scope"));
    int s = scope ? scope_find(scope) : -1;
    return !scope || (s >= 0 && scope_has(have, (enum scope)s));
}

/* Leaves the operations that the caller's scopes are enough for. */
static void cut_paths(json_t *paths, scope_set have)
{
    const char *path, *verb;
    json_t *item, *op;
    void *next, *inner;
    json_object_foreach_safe(paths, next, path, item)
    {
        json_object_foreach_safe(item, inner, verb, op)
        {
            if (!may_call(op, have))
                (void)json_object_del(item, verb);
        }
        if (!json_object_size(item))
            (void)json_object_del(paths, path);
    }
}

/* On a worker: a tree of the whole document takes a while. */
static void make_cut(void *ctx)
{
    struct cut *c = ctx;
    json_t *doc = json_loadb(doc_openapi, (size_t)(doc_openapi_end - doc_openapi), 0, NULL);
    if (doc && !c->all)
        cut_paths(json_object_get(doc, "paths"), c->scopes);
    if (doc && c->yaml) {
        put_yaml(c->out, doc, 0);
    } else if (doc) {
        char *text = json_dumps(doc, JSON_COMPACT);
        c->failed = !text;
        buf_puts(c->out, text ? text : "");
        free(text);
    }
    c->failed |= !doc;
    json_decref(doc);
}

static int get_openapi(struct req *req, struct res *res, struct err *err)
{
    bool yaml = req->route->ctx != NULL, me = str_eq(req_arg(req, "for"), "me");
    if (req_arg(req, "for") && !me)
        return err_set(err, E_invalid, "for: the only value is me.");
    if (!yaml && !me) {
        buf_put(&res->body, doc_openapi, (size_t)(doc_openapi_end - doc_openapi));
        return answer(req, res, openapi_json, false);
    }
    struct cut c = { .scopes = req->who.scopes, .all = !me, .yaml = yaml, .out = &res->body };
    int rc = worker_run(req->svc->workers, make_cut, &c, err);
    if (rc)
        return rc;
    if (c.failed)
        return err_set(err, E_internal, "The document cannot be read.");
    return answer(req, res, yaml ? openapi_yaml : openapi_json, me);
}

/* --- samples -------------------------------------------------------------------------------------
 */

struct search {
    const char *operation, *language;
    char *found; /* free it */
    bool known;  /* the operation */
};

static void search_op(struct search *s, const json_t *op)
{
    size_t i;
    json_t *sample;
    s->known |= str_eq(json_string_value(json_object_get(op, "operationId")), s->operation);
    if (!s->known)
        return;
    json_array_foreach(json_object_get(op, "x-codeSamples"), i, sample)
    {
        if (str_eq(json_string_value(json_object_get(sample, "label")), s->language))
            s->found = strdup(json_string_value(json_object_get(sample, "source")));
    }
}

static void search_all(void *ctx)
{
    struct search *s = ctx;
    const char *path, *verb;
    json_t *item, *op;
    json_t *doc = json_loadb(doc_openapi, (size_t)(doc_openapi_end - doc_openapi), 0, NULL);
    json_object_foreach(json_object_get(doc, "paths"), path, item)
    {
        json_object_foreach(item, verb, op)
        {
            if (!s->known)
                search_op(s, op);
        }
    }
    json_decref(doc);
}

static int get_sample(struct req *req, struct res *res, struct err *err)
{
    struct search s = { .operation = req->params[0], .language = req->params[1] };
    int rc = worker_run(req->svc->workers, search_all, &s, err);
    if (rc)
        return rc;
    if (!s.found)
        return err_set(err, E_not_found,
                       s.known ? "There are samples in curl, javascript, python and php, and none "
                                 "for pages."
                               : "There is no operation of this name.");
    arena_defer(req->arena, free, s.found);
    buf_puts(&res->body, s.found);
    return answer(req, res, "text/plain; charset=utf-8", false);
}

/* --- the rest ------------------------------------------------------------------------------------
 */

struct document {
    const char *from, *end, *type;
};

static int get_document(struct req *req, struct res *res, struct err *err)
{
    const struct document *d = req->route->ctx;
    (void)err;
    buf_put(&res->body, d->from, (size_t)(d->end - d->from));
    return answer(req, res, d->type, false);
}

/* RFC 9727, a link set (RFC 9264). */
static int get_catalog(struct req *req, struct res *res, struct err *err)
{
    const char *at = req->svc->conf->public_url;
    (void)err;
    json_t *set = json_in(
        req->arena,
        json_pack("{s:[{s:s+,s:[{s:s+,s:s},{s:s+,s:s}],s:[{s:s+,s:s},{s:s+,s:s}]}]}", "linkset",
                  "anchor", at, "/api/v2", "service-desc", "href", at, "/openapi.json", "type",
                  openapi_json, "href", at, "/openapi.yaml", "type", openapi_yaml, "service-doc",
                  "href", at, "/admin/api-docs", "type", "text/html", "href", at,
                  "/api-docs/changelog", "type", "text/html"));
    char *text = json_dumps(set, JSON_COMPACT);
    if (!text)
        return err_set(err, E_internal, "The catalog cannot be printed.");
    arena_defer(req->arena, free, text);
    buf_puts(&res->body, text);
    return answer(req, res, "application/linkset+json", false);
}

static const struct document postman = { doc_postman, doc_postman_end, "application/json" },
                             changes_html = { doc_changes_html, doc_changes_html_end,
                                              "text/html; charset=utf-8" },
                             changes_json = { doc_changes_json, doc_changes_json_end,
                                              "application/json" },
                             changes_atom = { doc_changes_atom, doc_changes_atom_end,
                                              "application/atom+xml" };

static const struct param_def for_me[] = {
    { "for", "string", 0, 2, "me: only the operations that the caller's scopes are enough for." },
    { 0 },
};

#define DOCUMENT                                                                                   \
    .flags = ROUTE_PUBLIC | ROUTE_ETAG | ROUTE_NO_BODY, .tag = "documents", .cost = document_cost, \
    .limit = LIMIT_DOCS
const struct route document_routes[] = {
    { GET, "/openapi.json", get_openapi, DOCUMENT, .query = for_me, .produces = openapi_json,
     .op_id = "openapi_json", .doc = "Read this document." },
    { GET, "/openapi.yaml", get_openapi, DOCUMENT, .query = for_me, .produces = openapi_yaml,
     .ctx = openapi_yaml, .op_id = "openapi_yaml", .doc = "Read this document in YAML." },
    { GET, "/api-docs/samples/{operation}/{language}", get_sample, DOCUMENT,
     .produces = "text/plain", .op_id = "get_sample",
     .doc = "Read a program that makes a call: curl, javascript, python or php." },
    { GET, "/api-docs/postman.json", get_document, DOCUMENT, .produces = "application/json",
     .ctx = &postman, .op_id = "postman_collection",
     .doc = "Read all calls as a Postman collection (v2.1)." },
    { GET, "/api-docs/changelog", get_document, DOCUMENT, .produces = "text/html",
     .ctx = &changes_html, .op_id = "changelog", .doc = "Read what changed in which version." },
    { GET, "/api-docs/changelog.json", get_document, DOCUMENT, .produces = "application/json",
     .ctx = &changes_json, .op_id = "changelog_json",
     .doc = "Read what changed in which version, as JSON." },
    { GET, "/api-docs/changelog.atom", get_document, DOCUMENT, .produces = "application/atom+xml",
     .ctx = &changes_atom, .op_id = "changelog_atom", .doc = "Follow what changes, as a feed." },
    { GET, "/.well-known/api-catalog", get_catalog, DOCUMENT,
     .produces = "application/linkset+json", .op_id = "api_catalog",
     .doc = "Find the API and its documents (RFC 9727)." },
    { .path = NULL },
};
