/* What explains the representations to machines: the JSON-LD context and the XML schema. */
#include "common/kit/repr.h"

#include "common/io/crypto.h"
#include "common/kit/limit.h"
#include "common/kit/svc.h"
#include "proto/emit.h"

enum { docs_bytes_max = 4 * 1024 * 1024 };

/* They change with the program only. */
static int answer(struct req *req, struct res *res, const char *type, const char *text, size_t n)
{
    char hex[sha256_hex_len + 1];
    buf_put(&res->body, text, n);
    sha256_hex(text, n, hex);
    hex[16] = '\0';
    res->etag = arena_printf(req->arena, "\"%s\"", hex);
    res->content_type = type;
    res->cache_control = "public, max-age=3600";
    res_header(res, "Access-Control-Allow-Origin", "*"); /* processors in browsers fetch it */
    return 0;
}

static int get_context(struct req *req, struct res *res, struct err *err)
{
    json_t *tree = json_in(req->arena, emit_jsonld(req->svc->conf->public_url));
    char *text = json_dumps(tree, JSON_COMPACT | JSON_REAL_PRECISION(3));
    if (!text)
        return err_set(err, E_internal, "the context cannot be printed");
    arena_defer(req->arena, free, text);
    return answer(req, res, "application/ld+json", text, strlen(text));
}

static int get_schema(struct req *req, struct res *res, struct err *err)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f)
        return err_set(err, E_internal, "the schema cannot be printed");
    emit_xsd(f);
    bool bad = fclose(f) != 0;
    arena_defer(req->arena, free, text);
    if (bad)
        return err_set(err, E_internal, "the schema cannot be printed");
    return answer(req, res, "application/xml; charset=utf-8", text, n);
}

const struct route repr_routes[] = {
    { GET, "/contexts/v2.jsonld", get_context, .flags = ROUTE_PUBLIC | ROUTE_ETAG | ROUTE_NO_BODY,
     .produces = "application/ld+json", .op_id = "jsonld_context", .cost = 1, .limit = LIMIT_NONE,
     .doc = "The JSON-LD context of all entities." },
    { GET, "/schemas/v2.xsd", get_schema, .flags = ROUTE_PUBLIC | ROUTE_ETAG | ROUTE_NO_BODY,
     .produces = "application/xml", .op_id = "xml_schema", .cost = 1, .limit = LIMIT_NONE,
     .doc = "The XML Schema of application/xml answers." },
    { .path = NULL },
};
