/*
 * GET …/schema of each resource: its JSON Schema as read and as written, and what its list may be
 * asked.  All of it is what the document says at components.schemas and at the list's
 * x-query.
 */
#include "common/kit/route_internal.h"

#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/query.h"
#include "common/kit/svc.h"
#include "proto/emit.h"

enum { schemas_queue_max = 64 };
static const char in_document[] = "#/components/schemas/", here[] = "#/$defs/";

static void set(json_t *o, const char *key, json_t *v)
{
    if (json_object_set_new(o, key, v))
        abort(); /* out of memory, or a table with text that is not UTF-8 */
}

static bool is_list(const struct route *r)
{
    return r->method == GET && r->flags & ROUTE_LIST && r->entity && !r->version &&
           !(r->flags & ROUTE_INTERNAL) && str_eq(r->path, r->entity->path);
}

/* The lists whose resource is an entity table: they have a schema. */
static bool has_schema(const struct route *r)
{
    return is_list(r) && !r->out;
}

static bool takes(const struct route *r, const char *name)
{
    const struct param_def *p = r->query;
    while (p && p->name && !str_eq(p->name, name))
        p++;
    return p && p->name;
}

json_t *schema_query(struct arena *a, const struct route *r)
{
    return is_list(r) ? query_describe(a, r->entity, takes(r, "include")) : NULL;
}

struct closure { /* schemas that are needed, and those that they refer to */
    const json_t *all;
    json_t *defs;
    const char *queue[schemas_queue_max];
    size_t n;
};

static void want(struct closure *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (str_eq(c->queue[i], name))
            return;
    if (c->n < schemas_queue_max && json_object_get(c->all, name))
        c->queue[c->n++] = name;
}

/* A copy with references to its own definitions. */
static json_t *moved(struct closure *c, json_t *v)
{
    const char *key;
    json_t *item, *copy;
    size_t i;
    if (json_is_array(v)) {
        copy = json_array();
        json_array_foreach(v, i, item)(void) json_array_append_new(copy, moved(c, item));
        return copy;
    }
    if (!json_is_object(v))
        return json_deep_copy(v);
    copy = json_object();
    json_object_foreach(v, key, item)
    {
        const char *ref = str_eq(key, "$ref") ? json_string_value(item) : NULL;
        if (ref && str_starts(ref, in_document)) {
            want(c, ref + strlen(in_document));
            set(copy, key, json_pack("s+", here, ref + strlen(in_document)));
        } else {
            set(copy, key, moved(c, item));
        }
    }
    return copy;
}

static int schema_get(struct req *req, struct res *res, struct err *err)
{
    static const char *const suffixes[] = { "", "Input", "Patch" };
    const struct route *list = req->route->ctx;
    const struct entity_def *e = list->entity;
    struct arena *a = req->arena;
    struct closure c = { .all = json_in(a, emit_schemas()), .defs = json_object() };
    char names[ARRAY_LEN(suffixes)][schema_name_max], hex[sha256_hex_len + 1];
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        emit_schema_name(e->name, suffixes[i], names[i]);
        want(&c, names[i]);
    }
    for (size_t i = 0; i < c.n; i++)
        set(c.defs, c.queue[i], moved(&c, json_object_get(c.all, c.queue[i])));
    json_t *doc =
        json_in(a, json_pack("{s:s,s:s,s:s,s:s,s:s+,s:o,s:o,s:I}", "$schema",
                             "https://json-schema.org/draft/2020-12/schema", "$id",
                             arena_printf(a, "%s%s", req->svc->conf->public_url, req->route->path),
                             "title", e->plural, "description", e->doc, "$ref", here, names[0],
                             "$defs", c.defs, "x-query", schema_query(a, list), "x-body-bytes-max",
                             (json_int_t)req->svc->conf->body_bytes_max));
    if (!doc)
        return err_set(err, E_internal, "the schema cannot be printed");
    json_write(&res->body, doc);
    sha256_hex(res->body.data, res->body.len, hex);
    hex[16] = '\0';
    res->etag = arena_printf(a, "\"%s\"", hex);
    res->content_type = "application/schema+json";
    res->cache_control = "public, max-age=3600";
    return 0;
}

const struct route *schema_rows(struct arena *a, const struct route *const *tables)
{
    size_t n = 0, k = 0;
    for (size_t t = 0; tables && tables[t]; t++)
        for (const struct route *r = tables[t]; r->path; r++)
            n += has_schema(r);
    struct route *rows = arena_alloc(a, (n + 1) * sizeof(*rows));
    for (size_t t = 0; tables && tables[t]; t++) {
        for (const struct route *r = tables[t]; r->path; r++) {
            if (!has_schema(r))
                continue;
            rows[k++] = (struct route){ .method = GET,
                                        .path = arena_printf(a, "%s/schema", r->path),
                                        .fn = schema_get,
                                        .flags = ROUTE_PUBLIC | ROUTE_ETAG | ROUTE_NO_BODY,
                                        .produces = "application/schema+json",
                                        .cost = 1,
                                        .op_id = arena_printf(a, "get_%s_schema", r->entity->name),
                                        .doc = arena_printf(a,
                                                            "JSON Schema of %s, what their list "
                                                            "may be asked, and its limits.",
                                                            r->entity->plural),
                                        .ctx = r };
        }
    }
    return rows;
}
