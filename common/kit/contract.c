#include "common/kit/svc_internal.h"

#include "common/base/json_patch.h"
#include "common/base/str.h"
#include "common/kit/crud_bulk.h"
#include "common/kit/limit.h"
#include "common/kit/repr.h"
#include "common/kit/route_server.h"
#include "proto/emit.h"
#include "proto/names.h"

/*
 * The program's part of the document: paths from its route rows, settings from its tables.  Schemas
 * are named here and printed from the entity tables by proto/emit; scripts/contract puts both
 * together.
 *
 * Names: entity "post" is Post as read, PostInput as created or replaced, PostPatch as merged; a
 * shape has its own name; errors are Problem.
 */

static void set(json_t *o, const char *key, json_t *v)
{
    if (json_object_set_new(o, key, v))
        abort(); /* out of memory, or a table with text that is not UTF-8 */
}

static json_t *ref(const char *name, const char *suffix)
{
    char text[160];
    snprintf(text, sizeof text, "#/components/schemas/%s%s", name, suffix);
    return json_pack("{s:s}", "$ref", text);
}

static json_t *entity_ref(const struct entity_def *e, const char *suffix)
{
    char name[schema_name_max];
    emit_schema_name(e->name, suffix, name);
    return ref(name, "");
}

static json_t *media(const char *type, json_t *schema)
{
    return json_pack("{s:{s:o}}", type, "schema", schema);
}

/* --- parameters ----------------------------------------------------------------------------------
 */

/* Query names mean the same everywhere, or under the paths that begin so; the first that fits
 * counts.  Which fields there are is in x-query. */
#define NAME "[a-z][a-z0-9_]*"
#define PATH "(\\*|" NAME "(\\." NAME ")*(\\.\\*)?)"
/* Ten years at most. */
#define DAYS      "([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|36[0-4][0-9]|3650)"
#define LENGTH    "^([1-9][0-9]{0,5}m|[1-9][0-9]{0,3}h|" DAYS "d)$"
#define ANALYTICS "/api/v2/analytics/"
static const struct {
    const char *name, *keyword, *value, *under;
} syntax[] = {
    { "count",         "pattern", "^none$",                                                             ANALYTICS "requests" },
    { "sort",          "pattern", "^(requests|errors|error_rate|mean|time|bytes|limited|p50|p95|p99)$",
     ANALYTICS "routes"                                                                                                      },
    { "sort",          "pattern", "^(requests|errors|error_rate|mean|time|bytes|limited|p50|p95|p99)$",
     ANALYTICS "consumers"                                                                                                   },
    { "window",        "pattern", LENGTH,                                                               ANALYTICS            },
    { "step",          "pattern", LENGTH,                                                               ANALYTICS            },
    { "since",         "format",  "date-time",                                                          ANALYTICS            },
    { "until",         "format",  "date-time",                                                          ANALYTICS            },
    { "consumer",      "pattern", "^(anonymous|key|client|session)$",                                   ANALYTICS            },
    { "for",           "pattern", "^me$",                                                               "/openapi."          },
    { "fields",        "pattern", "^" PATH "(," PATH ")*$",                                             ""                   },
    { "sort",          "pattern", "^-?" NAME "(,-?" NAME ")*$",                                         ""                   },
    { "include",       "pattern", "^" NAME "(\\." NAME ")*(," NAME "(\\." NAME ")*)*$",                 ""                   },
    { "count",         "pattern", "^(exact|estimated|none)$",                                           ""                   },
    { "updated_since", "format",  "date-time",                                                          ""                   },
    { "deleted_since", "format",  "date-time",                                                          ""                   },
};
/* One word, or a Structured Field string (route_auth.c). */
#define IDEMPOTENCY_PATTERN                                                                        \
    "^([!#-+.-:<-\\[\\]-~-]{1,255}|\"([ !#-\\[\\]-~]|\\\\[\"\\\\]){1,255}\")$"
/* Lower-case letters and digits with single hyphens, not digits only. */
#define SLUG_PATTERN "^([0-9]*[a-z][a-z0-9]*|[a-z0-9]+(-[a-z0-9]+)+)$"

static json_t *header_param(const char *name, const char *doc)
{
    return json_pack("{s:s,s:s,s:b,s:s,s:{s:s}}", "name", name, "in", "header", "required", 0,
                     "description", doc, "schema", "type", "string");
}

static void path_params(const struct route *r, json_t *list)
{
    for (const char *p = r->path; (p = strchr(p, '{'));) {
        size_t n = strcspn(++p, "}");
        bool id = n == 2 && !memcmp(p, "id", 2);
        bool number = id && r->entity && r->entity->fields[0].type == F_ID;
        json_t *schema = json_pack("{s:s}", "type", number ? "integer" : "string");
        if (number)
            set(schema, "minimum", json_integer(1));
        if (n == 4 && !memcmp(p, "slug", 4))
            set(schema, "pattern", json_string(SLUG_PATTERN));
        json_array_append_new(list, json_pack("{s:s%,s:s,s:b,s:o}", "name", p, n, "in", "path",
                                              "required", 1, "schema", schema));
    }
}

static void query_params(const struct route *r, json_t *list)
{
    for (const struct param_def *d = r->query; d && d->name; d++) {
        size_t n = strlen(d->name);
        bool group = n > 2 && !strcmp(d->name + n - 2, "[]");
        json_t *schema = json_pack("{s:s}", "type", d->type ? d->type : "string");
        bool integer = str_eq(d->type, "integer");
        if (integer && (d->min || d->max)) {
            set(schema, "minimum", json_integer(d->min));
            set(schema, "maximum", json_integer(d->max));
        } else if (!integer && d->max) {
            set(schema, "maxLength", json_integer(d->max));
        }
        for (size_t i = 0; i < ARRAY_LEN(syntax); i++) {
            if (!str_eq(d->name, syntax[i].name) || !str_starts(r->path, syntax[i].under))
                continue;
            set(schema, syntax[i].keyword, json_string(syntax[i].value));
            break;
        }
        if (group)
            schema = json_pack("{s:s,s:o}", "type", "object", "additionalProperties", schema);
        json_t *p =
            json_pack("{s:s%,s:s,s:b,s:s,s:o}", "name", d->name, group ? n - 2 : n, "in", "query",
                      "required", 0, "description", d->doc ? d->doc : "", "schema", schema);
        if (group) {
            set(p, "style", json_string("deepObject"));
            set(p, "explode", json_true());
        }
        json_array_append_new(list, p);
    }
}

static json_t *parameters(const struct route *r)
{
    json_t *list = json_array();
    bool write = r->method != GET;
    path_params(r, list);
    query_params(r, list);
    if (r->flags & ROUTE_IDEMPOTENT) {
        json_t *key =
            header_param("Idempotency-Key", "Repeating with the same key has one effect.");
        set(json_object_get(key, "schema"), "pattern", json_string(IDEMPOTENCY_PATTERN));
        json_array_append_new(list, key);
    }
    if (r->flags & ROUTE_BULK)
        json_array_append_new(
            list, header_param("Prefer", "respond-async answers 202 and does it later; "
                                         "return=representation shows the rows in the results; "
                                         "handling=strict refuses what is not known (RFC 7240)."));
    if (r->flags & ROUTE_EXPORT && !write)
        json_array_append_new(
            list, header_param("Prefer", "respond-async answers 202 and writes all rows that match "
                                         "into files: POST …/export (RFC 7240)."));
    if (r->flags & ROUTE_PREFER)
        json_array_append_new(list, header_param("Prefer", "return=minimal leaves the body out; "
                                                           "handling=strict refuses what is not "
                                                           "known (RFC 7240)."));
    if (r->flags & ROUTE_ETAG)
        json_array_append_new(
            list, write ? header_param("If-Match", "Only if the resource is still this version.")
                        : header_param("If-None-Match", "304 if it is still this version."));
    return list;
}

/* --- bodies --------------------------------------------------------------------------------------
 */

/* What every reader of JSON keeps. */
#define ID_MAX ((json_int_t)((INT64_C(1) << 53) - 1))

/* What is taken by a route with ROUTE_BULK (common/kit/crud_bulk.h). */
static json_t *bulk_request(const struct route *r)
{
    json_t *data = json_pack("{s:[oo]}", "anyOf", entity_ref(r->entity, "Patch"),
                             entity_ref(r->entity, "Input"));
    json_t *op =
        json_pack("{s:s,s:[s],s:b,s:{s:{s:s,s:[sssss]},s:{s:s,s:i,s:I},s:{s:s},s:{s:s},s:o}}",
                  "type", "object", "required", "op", "additionalProperties", 0, "properties", "op",
                  "type", "string", "enum", "create", "update", "upsert", "delete", "restore", "id",
                  "type", "integer", "minimum", 1, "maximum", ID_MAX, "if_match", "type", "string",
                  "if_none_match", "const", "*", "data", data);
    json_t *ops =
        json_pack("{s:s,s:i,s:o}", "type", "array", "maxItems", bulk_ops_max, "items", op);
    json_t *ids = json_pack(
        "{s:s,s:[ss],s:b,s:{s:{s:s,s:i,s:b,s:{s:s,s:i,s:I}},s:o,s:{s:s,s:i,s:I}}}", "type",
        "object", "required", "ids", "patch", "additionalProperties", 0, "properties", "ids",
        "type", "array", "maxItems", bulk_ops_max, "uniqueItems", 1, "items", "type", "integer",
        "minimum", 1, "maximum", ID_MAX, "patch", entity_ref(r->entity, "Patch"), "max_affected",
        "type", "integer", "minimum", 0, "maximum", ID_MAX);
    json_t *filter =
        json_pack("{s:s,s:[ss],s:b,s:{s:{s:s},s:o,s:{s:s,s:i,s:I}}}", "type", "object", "required",
                  "filter", "patch", "additionalProperties", 0, "properties", "filter", "type",
                  "object", "patch", entity_ref(r->entity, "Patch"), "max_affected", "type",
                  "integer", "minimum", 0, "maximum", ID_MAX);
    return json_pack("{s:[ooo]}", "oneOf", ops, ids, filter);
}

static json_t *bulk_response(const struct route *r)
{
    json_t *result =
        json_pack("{s:s,s:[ss],s:{s:{s:s},s:{s:s},s:{s:s},s:{s:s},s:o,s:o}}", "type", "object",
                  "required", "index", "status", "properties", "index", "type", "integer", "status",
                  "type", "integer", "id", "type", "integer", "etag", "type", "string", "problem",
                  ref("Problem", ""), "data", entity_ref(r->entity, ""));
    json_t *meta = json_pack("{s:s,s:[ss],s:{s:{s:s},s:{s:s},s:{s:s}}}", "type", "object",
                             "required", "succeeded", "failed", "properties", "succeeded", "type",
                             "integer", "failed", "type", "integer", "dry_run", "type", "boolean");
    return json_pack("{s:s,s:[ss],s:{s:{s:s,s:o},s:o}}", "type", "object", "required", "data",
                     "meta", "properties", "data", "type", "array", "items", result, "meta", meta);
}

static json_t *request_schema(const struct route *r)
{
    if (r->flags & ROUTE_BULK)
        return bulk_request(r);
    if (r->in)
        return ref(r->in->name, "");
    return entity_ref(r->entity, r->flags & ROUTE_MERGE ? "Patch" : "Input");
}

/* RFC 6902: an operation of one of these names, which must have `also`. */
static json_t *patch_op(json_t *names, const char *also)
{
    /* RFC 6901 §3 */
    static const char pointer[] = "^(/([^~/]|~[01])*)*$";
    json_t *op = json_pack("{s:s,s:[ss],s:{s:{s:s,s:o},s:{s:s,s:s},s:{s:s,s:s},s:{}}}", "type",
                           "object", "required", "op", "path", "properties", "op", "type", "string",
                           "enum", names, "path", "type", "string", "pattern", pointer, "from",
                           "type", "string", "pattern", pointer, "value");
    if (also)
        json_array_append_new(json_object_get(op, "required"), json_string(also));
    return op;
}

static json_t *patch_schema(void)
{
    return json_pack("{s:s,s:i,s:{s:[ooo]}}", "type", "array", "maxItems", json_patch_ops_max,
                     "items", "oneOf",
                     patch_op(json_pack("[sss]", "add", "replace", "test"), "value"),
                     patch_op(json_pack("[ss]", "move", "copy"), "from"),
                     patch_op(json_pack("[s]", "remove"), NULL));
}

static json_t *request_body(const struct route *r)
{
    bool verb = r->method == POST || r->method == PUT || r->method == PATCH;
    if (!verb || r->flags & ROUTE_NO_BODY || (!r->in && !r->entity))
        return NULL;
    json_t *content = media(r->takes ? r->takes : "application/json", request_schema(r));
    if (r->flags & ROUTE_MERGE)
        set(content, "application/merge-patch+json",
            json_pack("{s:o}", "schema", request_schema(r)));
    if (r->flags & ROUTE_PATCHES)
        set(content, "application/json-patch+json", json_pack("{s:o}", "schema", patch_schema()));
    return json_pack("{s:b,s:o}", "required", 1, "content", content);
}

static json_t *or_null(const char *type)
{
    return json_pack("{s:[ss]}", "type", type, "null");
}

/* With envelope=false what is in `data` is sent alone. */
static json_t *or_bare(const struct route *r, json_t *envelope, json_t *data)
{
    for (const struct param_def *d = r->query; d && d->name; d++)
        if (str_eq(d->name, "envelope"))
            return json_pack("{s:[oO]}", "anyOf", envelope, data);
    return envelope;
}

static json_t *page_schema(const struct route *r, json_t *row)
{
    static const char *const numbers[] = { "page", "per_page", "limit", "offset" };
    static const char *const cursors[] = { "next_cursor", "prev_cursor" };
    json_t *meta = json_pack("{s:o,s:{s:s,s:s}}", "total", or_null("integer"), "estimated", "type",
                             "boolean", "description", "The total is the planner's guess.");
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        set(meta, numbers[i], json_pack("{s:s}", "type", "integer"));
    for (size_t i = 0; i < ARRAY_LEN(cursors); i++)
        set(meta, cursors[i], or_null("string"));
    json_t *links =
        json_pack("{s:s,s:{s:{s:s},s:{s:s},s:o,s:o,s:o}}", "type", "object", "properties", "self",
                  "type", "string", "first", "type", "string", "next", or_null("string"), "prev",
                  or_null("string"), "last", or_null("string"));
    json_t *rows = json_pack("{s:s,s:o}", "type", "array", "items", row);
    json_t *page = json_pack("{s:s,s:[sss],s:{s:o,s:{s:s,s:o},s:o}}", "type", "object", "required",
                             "data", "meta", "links", "properties", "data", rows, "meta", "type",
                             "object", "properties", meta, "links", links);
    return or_bare(r, page, rows);
}

static json_t *response_schema(const struct route *r)
{
    if (r->flags & ROUTE_BULK)
        return bulk_response(r);
    json_t *row = r->out ? ref(r->out->name, "") : entity_ref(r->entity, "");
    if (r->flags & ROUTE_LIST)
        return page_schema(r, row);
    if (r->flags & ROUTE_FOREIGN)
        return row;
    return or_bare(r,
                   json_pack("{s:s,s:[s],s:{s:o}}", "type", "object", "required", "data",
                             "properties", "data", row),
                   row);
}

static void header(json_t *headers, const char *name, const char *doc)
{
    set(headers, name, json_pack("{s:s,s:{s:s}}", "description", doc, "schema", "type", "string"));
}

/* JSON-LD has the envelope and members of its own in each node; the others are text here, described
 * by /schemas/v2.xsd and docs/representations.md. */
static void add_forms(json_t *content, const struct route *r)
{
    for (int i = REPR_JSON + 1; i < REPR_MAX_; i++) {
        if (i == REPR_CSV && !(r->flags & ROUTE_LIST))
            continue;
        json_t *node = r->flags & ROUTE_LIST
                           ? json_pack("{s:s,s:{s:s}}", "type", "array", "items", "type", "object")
                           : json_pack("{s:s}", "type", "object");
        json_t *schema = json_pack("{s:s}", "type", i == REPR_JSONLD ? "object" : "string");
        if (i == REPR_JSONLD) {
            set(schema, "required", json_pack("[ss]", "@context", "data"));
            set(schema, "properties",
                json_pack("{s:{s:s,s:s},s:O}", "@context", "type", "string", "format", "uri",
                          "data", node));
        }
        json_decref(node);
        set(content, repr_types[i].type, json_pack("{s:o}", "schema", schema));
    }
}

static json_t *success(const struct route *r, int status)
{
    json_t *answer = json_pack("{s:s}", "description", status == 204 ? "Done." : r->doc);
    json_t *headers = json_object();
    const char *type = r->produces;
    header(headers, "X-Request-Id", "Name of this request in every log.");
    if (r->deprecated) {
        header(headers, "Deprecation", "Since when it is deprecated: @ and seconds (RFC 9745).");
        header(headers, "Sunset", "Until when it is there (RFC 8594).");
    }
    if (r->flags & ROUTE_ETAG)
        header(headers, "ETag", "Version of the representation.");
    if (r->flags & ROUTE_CACHED)
        header(headers, "Cache-Status", "Whether it came from memory (RFC 9211).");
    if (status == 201)
        header(headers, "Location", "Where the new resource is.");
    set(answer, "headers", headers);
    if (status == 204 || status / 100 == 3)
        return answer;
    if (str_eq(type, "*")) { /* whatever the other side waits for */
        set(answer, "content", media("*/*", json_object()));
        if (r->out && status != 200)
            set(json_object_get(answer, "content"), "application/json",
                json_pack("{s:o}", "schema", response_schema(r)));
        return answer;
    }
    if (r->out || r->entity)
        set(answer, "content", media(type ? type : "application/json", response_schema(r)));
    else if (type)
        set(answer, "content", media(type, json_object()));
    if (r->flags & ROUTE_FORMS)
        add_forms(json_object_get(answer, "content"), r);
    return answer;
}

static json_t *problem(int status)
{
    const char *title = "A problem.";
    for (int code = E_MAX_ - 1; code > E_OK; code--) {
        if (err_http((enum err_code)code) == status)
            title = err_title((enum err_code)code);
    }
    json_t *content = media("application/problem+json", ref("Problem", ""));
    set(content, "application/problem+xml", json_pack("{s:{s:s}}", "schema", "type", "string"));
    return json_pack("{s:s,s:o}", "description", title, "content", content);
}

/* Of versions before RFC 9457. */
static json_t *plain_error(json_t *answer)
{
    json_t *error =
        json_pack("{s:s,s:[ss],s:{s:{s:s},s:{s:s}}}", "type", "object", "required", "code",
                  "message", "properties", "code", "type", "string", "message", "type", "string");
    set(answer, "content",
        media("application/json", json_pack("{s:s,s:[s],s:{s:o}}", "type", "object", "required",
                                            "error", "properties", "error", error)));
    return answer;
}

static json_t *redirect(void)
{
    json_t *answer = json_pack("{s:s,s:{}}", "description", "Elsewhere.", "headers");
    header(json_object_get(answer, "headers"), "Location", "Where the browser goes.");
    return answer;
}

static json_t *accepted(void)
{
    json_t *answer = json_pack(
        "{s:s,s:{},s:o}", "description", "Accepted; Location tells how far it is.", "headers",
        "content",
        media("application/json", json_pack("{s:s,s:[s],s:{s:o}}", "type", "object", "required",
                                            "data", "properties", "data", ref("Operation", ""))));
    header(json_object_get(answer, "headers"), "Location", "The operation.");
    return answer;
}

static void add_problem(json_t *responses, const struct route *r, int status)
{
    char key[8];
    snprintf(key, sizeof key, "%d", status % 1000);
    if (json_object_get(responses, key))
        return;
    json_t *answer = status / 100 == 3 ? redirect() : problem(status);
    if (r->version && r->version->plain_errors && status >= 400) {
        json_t *usual = json_incref(json_object_get(answer, "content"));
        (void)plain_error(answer);
        if (status == 414 || status == 431) /* refused before the path is read */
            (void)json_object_update_missing(json_object_get(answer, "content"), usual);
        json_decref(usual);
    }
    json_t *content = json_object_get(answer, "content");
    if (content && r->refusal)
        set(content, "application/json", json_pack("{s:o}", "schema", ref(r->refusal->name, "")));
    if (content && str_eq(r->produces, "text/html"))
        set(content, "text/html", json_object());
    set(responses, key, answer);
}

static json_t *responses(const struct route *r)
{
    json_t *all = json_object();
    int status = r->status ? r->status : 200;
    char key[8];
    json_t *in = request_body(r);
    bool body = in != NULL;
    json_decref(in);
    snprintf(key, sizeof key, "%d", status % 1000);
    set(all, key, success(r, status));
    if (r->flags & ROUTE_BULK) {
        set(all, "207", success(r, 207));
        set(all, "202", accepted());
    }
    if (r->flags & ROUTE_EXPORT && r->method == GET) {
        set(all, "202", accepted());
        add_problem(all, r, 429);
    }
    if (r->flags & ROUTE_UPSERT)
        set(all, "201", success(r, 201));
    if (str_eq(r->produces, "*") && status != 204)
        set(all, "200", success(r, 200));
    if (r->flags & ROUTE_PREFER && status != 201)
        set(all, "204", success(r, 204));
    if (r->flags & ROUTE_ETAG && r->method == GET)
        set(all, "304", json_pack("{s:s}", "description", "Not modified."));
    const struct {
        int status;
        bool there;
    } rows[] = {
        { 400, true },
        { 401, true },
        { 403, true }, /* a sandbox key, a network, a form without its token: whatever the scope */
        { 404, strchr(r->path, '{') != NULL },
        { 406, true },
        { 409, r->flags & ROUTE_IDEMPOTENT },
        { 412, r->flags & ROUTE_ETAG },
        { 413, body },
        { 414, true },
        { 415, body },
        { 422, body || r->flags & ROUTE_IDEMPOTENT },
        { 429, route_limit_class(r) != LIMIT_NONE },
        { 431, true },
        { 503, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].there)
            add_problem(all, r, rows[i].status);
    }
    for (const int *e = r->errors; e && *e; e++)
        add_problem(all, r, *e);
    return all;
}

/* --- operations ----------------------------------------------------------------------------------
 */

static json_t *security(const struct route *r)
{
    json_t *list = json_array();
    static const char *const schemes[] = { "bearer", "apiKey", "session" };
    if (r->flags & ROUTE_PUBLIC)
        json_array_append_new(list, json_object());
    if (r->flags & ROUTE_FOREIGN) /* what it asks is not ours to name */
        return list;
    json_array_append_new(list, r->scope ? json_pack("{s:[s]}", "oauth2", r->scope)
                                         : json_pack("{s:[]}", "oauth2"));
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        json_array_append_new(list, json_pack("{s:[]}", schemes[i]));
    return list;
}

/* A row of proto/tags.def: the entity's, else the first part of the path after the version. */
static json_t *op_tags(const struct route *r)
{
    const char *p = r->path;
    char name[64];
    size_t n = 0;
    if (r->tag)
        return json_pack("[s]", r->tag);
    if (r->entity)
        return json_pack("[s]", r->entity->plural);
    for (const char *skip = "/api/v"; str_starts(p, skip);) {
        p += strlen(skip);
        p += strcspn(p, "/");
    }
    for (p += strspn(p, "/."); *p && *p != '/' && n + 1 < sizeof name; p++)
        name[n++] = *p == '-' ? '_' : *p;
    return json_pack("[s%]", name, n);
}

static json_t *operation(const struct route *r)
{
    json_t *op = json_object();
    set(op, "x-cost", json_integer(r->cost ? r->cost : 1));
    set(op, "x-limit-class", json_string(limit_classes[route_limit_class(r)].name));
    char made[160];
    if (!r->op_id) { /* "get /api/v2/posts/{id}" -> "get_api_v2_posts_id" */
        size_t k = (size_t)snprintf(made, sizeof made, "%s", method_name(r->method));
        for (const char *s = r->path; *s && k + 2 < sizeof made; s++) {
            bool word = (*s >= '0' && *s <= '9') || ((*s | 32) >= 'a' && (*s | 32) <= 'z');
            if (word || made[k - 1] != '_')
                made[k++] = word ? *s : '_';
        }
        made[k - (made[k - 1] == '_')] = '\0';
    }
    const char *doc = r->doc ? r->doc : "";
    const char *stop = strstr(doc, ". ");
    set(op, "operationId", json_string(r->op_id ? r->op_id : made));
    set(op, "summary", json_stringn(doc, stop ? (size_t)(stop + 1 - doc) : strlen(doc)));
    set(op, "description", json_string(doc));
    set(op, "tags", op_tags(r));
    json_t *params = parameters(r);
    if (json_array_size(params))
        set(op, "parameters", params);
    else
        json_decref(params);
    json_t *body = request_body(r);
    if (body)
        set(op, "requestBody", body);
    set(op, "responses", responses(r));
    set(op, "security", security(r));
    if (r->deprecated)
        set(op, "deprecated", json_true());
    struct arena *a = arena_new();
    json_t *query = schema_query(a, r);
    arena_free(a);
    if (query)
        set(op, "x-query", query);
    set(op, "x-scope", r->scope ? json_string(r->scope) : json_null());
    return op;
}

static void add_route(json_t *paths, json_t *schemas, const struct route *r)
{
    static const char *const verbs[METHODS_MAX_] = { "get",   "head",   "post",   "put",
                                                     "patch", "delete", "options" };
    json_t *item = json_object_get(paths, r->path);
    if (!item) {
        item = json_object();
        set(paths, r->path, item);
    }
    set(item, verbs[r->method], operation(r));
    if (r->in)
        emit_shape(schemas, r->in, true);
    if (r->out)
        emit_shape(schemas, r->out, false);
    if (r->refusal)
        emit_shape(schemas, r->refusal, false);
}

/* --- settings ------------------------------------------------------------------------------------
 */

static void add_settings(json_t *list, const struct conf_def *defs)
{
    static const char *const types[] = { "text", "integer", "boolean" };
    for (const struct conf_def *d = defs; d && d->name; d++) {
        json_t *row = json_pack("{s:s,s:s,s:b,s:s}", "name", d->name, "type", types[d->type],
                                "secret", d->secret, "doc", d->doc);
        set(row, "default", d->fallback ? json_string(d->fallback) : json_null());
        if (d->type == CONF_INT) {
            set(row, "min", json_integer(d->min));
            set(row, "max", json_integer(d->max));
        }
        json_array_append_new(list, row);
    }
}

int contract_print(struct svc *svc, FILE *out, struct err *err)
{
    if (!routes_new(svc->arena, svc->routes, err)) /* a bad table is told here too */
        return -(int)err->code;
    json_t *paths = json_object(), *schemas = json_object(), *names = json_array();
    for (size_t t = 0; svc->routes && svc->routes[t]; t++) {
        for (const struct route *r = svc->routes[t]; r->path; r++) {
            if (!(r->flags & ROUTE_INTERNAL))
                add_route(paths, schemas, r);
        }
    }
    for (const struct route *r = problem_routes; r->path; r++)
        add_route(paths, schemas, r);
    for (const struct route *r = deprecation_routes; r->path; r++)
        add_route(paths, schemas, r);
    for (const struct route *r = schema_rows(svc->arena, svc->routes); r->path; r++)
        add_route(paths, schemas, r);
    add_settings(names, svc_conf_defs);
    add_settings(names, svc->def->conf);
    json_t *doc = json_pack("{s:s,s:s,s:o,s:o,s:o}", "program", svc->def->name, "version",
                            CMS365_VERSION, "paths", paths, "schemas", schemas, "settings", names);
    int bad = json_dumpf(doc, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(doc);
    return bad ? err_set(err, E_internal, "cannot print the contract") : 0;
}
