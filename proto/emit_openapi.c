#include "proto/emit.h"

#include "common/base/err.h"
#include "common/base/str.h"
#include "proto/names.h"

#include <assert.h>

/*
 * One schema a direction: what is read may be narrowed by fields= and hidden by visibility, so
 * nothing is required there; what is written follows the flags.
 */
enum direction { READ, INPUT, PATCHED };

static void set(json_t *o, const char *key, json_t *v)
{
    int bad = json_object_set_new(o, key, v);
    assert(!bad);
    (void)bad;
}

void emit_schema_name(const char *name, const char *suffix, char out[schema_name_max])
{
    size_t k = 0;
    bool up = true;
    for (; *name && k + 1 < schema_name_max; name++) {
        if (*name == '_' || *name == '-' || *name == '.') {
            up = true;
            continue;
        }
        out[k++] = (char)(up && *name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name);
        up = false;
    }
    snprintf(out + k, schema_name_max - k, "%s", suffix);
}

static json_t *ref_to(const char *name, const char *suffix)
{
    char full[schema_name_max], uri[160];
    emit_schema_name(name, suffix, full);
    snprintf(uri, sizeof(uri), "#/components/schemas/%s", full);
    return json_pack("{s:s}", "$ref", uri);
}

/* Patterns are never stricter than common/kit/shape_format.c, which has the last word. */
static void set_format(json_t *s, enum text_format f, bool read)
{
    static const struct {
        const char *key, *value;
    } rows[] = {
        [FMT_EMAIL] = { "format",  "email"                                           },
        [FMT_URL] = { "format",  "uri"                                             },
        [FMT_SLUG] = { "pattern", "^([0-9]*[a-z][a-z0-9]*|[a-z0-9]+(-[a-z0-9]+)+)$" },
        [FMT_LANGUAGE] = { "pattern", "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$"             },
        [FMT_COUNTRY] = { "pattern", "^[A-Z]{2}$"                                      },
        [FMT_CURRENCY] = { "pattern", "^[A-Z]{3}$"                                      },
        [FMT_SHA256] = { "pattern", "^[0-9a-f]{64}$"                                  },
        [FMT_FILENAME] = { "pattern", "^[^/\\\\\\u0000-\\u001f\\u007f]*$"               },
        [FMT_LONG] = { NULL,      NULL                                              },
    };
    if (!read && (f == FMT_LINE || f == FMT_LONG)) /* no control characters but those of a text */
        set(s, "pattern",
            json_string(f == FMT_LINE
                            ? "^[^\\u0000-\\u001f\\u007f]*$"
                            : "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f]*$"));
    else if ((size_t)f < ARRAY_LEN(rows) && rows[f].key)
        set(s, rows[f].key, json_string(rows[f].value));
}

static void set_example(json_t *s, const struct field_def *f)
{
    json_t *v = f->example ? json_loads(f->example, JSON_DECODE_ANY, NULL) : NULL;
    if (v)
        set(s, "examples", json_pack("[o]", v));
}

static json_t *text_schema(const struct field_def *f, enum direction d)
{
    json_t *s = json_pack("{s:s}", "type", "string");
    int64_t min = f->min > 0 ? f->min : (f->flags & FF_REQUIRED) ? 1 : 0;
    if (d != READ && min > 0)
        set(s, "minLength", json_integer(min));
    if (f->max > 0)
        set(s, "maxLength", json_integer(f->max));
    set_format(s, f->format, d == READ);
    return s;
}

static json_t *int_schema(const struct field_def *f)
{
    json_t *s = json_pack("{s:s}", "type", "integer");
    if (f->min == 0 && f->max == 0)
        return s;
    set(s, "minimum", json_integer(f->min));
    if (f->max < INT64_MAX)
        set(s, "maximum", json_integer(f->max));
    return s;
}

static json_t *id_schema(void)
{
    return json_pack("{s:s,s:i,s:I}", "type", "integer", "minimum", 1, "maximum",
                     (json_int_t)((INT64_C(1) << 53) - 1));
}

/* Written as 7 or {"id":7}; read as an object, which include= fills. */
static json_t *ref_schema(const struct field_def *f, enum direction d)
{
    if (d == READ)
        return ref_to(entity_find(f->ref)->name, "");
    json_t *object = json_pack("{s:s,s:[s],s:{s:o},s:b}", "type", "object", "required", "id",
                               "properties", "id", id_schema(), "additionalProperties", 0);
    return json_pack("{s:[oo]}", "oneOf", id_schema(), object);
}

static json_t *enum_schema(const struct field_def *f)
{
    json_t *list = json_array();
    for (const char *const *c = f->choices; c && *c; c++)
        json_array_append_new(list, json_string(*c));
    return json_pack("{s:s,s:o}", "type", "string", "enum", list);
}

static json_t *texts_schema(const struct field_def *f, enum direction d)
{
    struct field_def item = *f;
    item.flags = 0;
    json_t *s = json_pack("{s:s,s:o}", "type", "array", "items", text_schema(&item, d));
    if (f->items_max)
        set(s, "maxItems", json_integer(f->items_max));
    if (d != READ && f->flags & FF_REQUIRED)
        set(s, "minItems", json_integer(1));
    return s;
}

static json_t *bare_schema(const struct field_def *f, enum direction d)
{
    switch (f->type) {
    case F_ID:
        return id_schema();
    case F_UUID:
        return json_pack("{s:s,s:s}", "type", "string", "format", "uuid");
    case F_TEXT:
        return text_schema(f, d);
    case F_INT:
        return int_schema(f);
    case F_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case F_TIME:
        return json_pack("{s:s,s:s}", "type", "string", "format", "date-time");
    case F_JSON:
        return f->format == FMT_LIST ? json_pack("{s:s,s:{}}", "type", "array", "items")
                                     : json_pack("{s:s}", "type", "object");
    case F_ENUM:
        return enum_schema(f);
    case F_TEXTS:
        return texts_schema(f, d);
    case F_REF:
        return ref_schema(f, d);
    case F_REFS:
        return json_pack("{s:s,s:o,s:i}", "type", "array", "items", ref_schema(f, d), "maxItems",
                         (int)f->items_max);
    }
    return json_object();
}

static json_t *or_null(json_t *s)
{
    json_t *type = json_object_get(s, "type");
    json_t *choices = json_object_get(s, "enum");
    if (!type)
        return json_pack("{s:[o{s:s}]}", "anyOf", s, "type", "null");
    set(s, "type", json_pack("[Os]", type, "null"));
    if (choices)
        json_array_append_new(choices, json_null());
    return s;
}

static json_t *field_schema(const struct field_def *f, enum direction d)
{
    bool null = d == READ ? !(f->flags & (FF_REQUIRED | FF_NONNULL)) : !(f->flags & FF_REQUIRED);
    json_t *s = bare_schema(f, d);
    if (null)
        s = or_null(s);
    set(s, "description", json_string(f->doc));
    if (d == READ) {
        set_example(s, f);
        if (f->flags & FF_READONLY)
            set(s, "readOnly", json_true());
    } else if (f->fallback && d == INPUT) {
        json_t *v = json_loads(f->fallback, JSON_DECODE_ANY, NULL);
        if (v)
            set(s, "default", v);
    }
    return s;
}

static bool in_direction(const struct field_def *f, enum direction d)
{
    if (f->flags & FF_HIDDEN)
        return false;
    if (d == READ)
        return !(f->flags & FF_SECRET);
    return !(f->flags & FF_READONLY) && !(d == PATCHED && f->flags & FF_CREATE);
}

static json_t *object_schema(const char *doc)
{
    return json_pack("{s:s,s:s,s:{},s:b}", "type", "object", "description", doc, "properties",
                     "additionalProperties", 0);
}

static void set_required(json_t *s, json_t *required)
{
    if (json_array_size(required))
        set(s, "required", required);
    else
        json_decref(required);
}

static json_t *entity_schema(const struct entity_def *e, enum direction d)
{
    json_t *s = object_schema(e->doc), *required = json_array();
    json_t *props = json_object_get(s, "properties");
    for (const struct field_def *f = e->fields; f->name; f++) {
        if (!in_direction(f, d))
            continue;
        set(props, f->name, field_schema(f, d));
        if (d == INPUT && f->flags & FF_REQUIRED)
            json_array_append_new(required, json_string(f->name));
    }
    set_required(s, required);
    for (const struct relation_def *r = d == READ ? e->relations : NULL; r && r->name; r++)
        if (!entity_field(e, r->name))
            set(props, r->name,
                json_pack("{s:s,s:o,s:s}", "type", "array", "items",
                          ref_to(entity_find(r->ref)->name, ""), "description", r->doc));
    return s;
}

void emit_shape(json_t *schemas, const struct shape *s, bool input)
{
    enum direction d = input ? INPUT : READ;
    json_t *o = object_schema(s->doc), *required = json_array();
    json_t *props = json_object_get(o, "properties");
    for (const struct field_def *f = s->extends ? s->extends->fields : NULL; f && f->name; f++)
        if (in_direction(f, d)) {
            set(props, f->name, field_schema(f, d));
            if (input ? (f->flags & FF_REQUIRED) != 0 : !s->partial && str_eq(f->name, "id"))
                json_array_append_new(required, json_string(f->name));
        }
    unsigned must = input ? FF_REQUIRED : FF_REQUIRED | FF_NONNULL; /* an answer is not narrowed */
    for (const struct field_def *f = s->fields; f && f->name; f++) {
        if (f->flags & FF_HIDDEN || (input && f->flags & FF_READONLY))
            continue;
        set(props, f->name, field_schema(f, d));
        if (f->flags & must && (input || !s->partial))
            json_array_append_new(required, json_string(f->name));
    }
    set_required(o, required);
    set(schemas, s->name, o);
}

static json_t *problem_schema(void)
{
    json_t *s = object_schema("What went wrong (RFC 9457).");
    json_t *props = json_object_get(s, "properties"), *codes = json_array();
    for (int c = E_OK + 1; c < E_MAX_; c++)
        json_array_append_new(codes, json_string(err_name((enum err_code)c)));
    set(s, "additionalProperties", json_true());
    set(s, "required", json_pack("[ssss]", "type", "title", "status", "detail"));
    set(props, "type",
        json_pack("{s:s,s:s,s:s}", "type", "string", "format", "uri", "description",
                  "Address of a page that explains it; its last part is the code."));
    set(props, "title", json_pack("{s:s}", "type", "string"));
    set(props, "status",
        json_pack("{s:s,s:i,s:i}", "type", "integer", "minimum", 400, "maximum", 599));
    set(props, "detail", json_pack("{s:s}", "type", "string"));
    set(props, "instance", json_pack("{s:s}", "type", "string"));
    set(props, "request_id", json_pack("{s:s}", "type", "string"));
    set(props, "errors",
        json_pack("{s:s,s:{s:s,s:[sss],s:{s:{s:s},s:{s:s},s:{s:s}}}}", "type", "array", "items",
                  "type", "object", "required", "pointer", "code", "detail", "properties",
                  "pointer", "type", "string", "code", "type", "string", "detail", "type",
                  "string"));
    set(s, "x-codes", codes);
    return s;
}

/* --- events --- */
static bool deliverable(const struct event_def *e)
{
    return e->entity != NULL;
}

static json_t *event_schema(const struct event_def *e)
{
    json_t *s = object_schema(e->doc);
    json_t *props = json_object_get(s, "properties");
    set(s, "required", json_pack("[sssss]", "id", "type", "timestamp", "data", "changed"));
    set(props, "id",
        json_pack("{s:s,s:s,s:s}", "type", "string", "pattern", "^evt_[0-9a-f-]{36}$",
                  "description", "The webhook-id of every attempt, resend and replay."));
    set(props, "type", json_pack("{s:s}", "const", e->type));
    set(props, "timestamp", json_pack("{s:s,s:s}", "type", "string", "format", "date-time"));
    set(props, "data", ref_to(e->entity, ""));
    set(props, "changed",
        json_pack("{s:s,s:{s:s},s:s}", "type", "array", "items", "type", "string", "description",
                  "Names of the fields that changed."));
    set(props, "link",
        json_pack("{s:s,s:s,s:s}", "type", "string", "format", "uri", "description",
                  "Thin payloads: where to read the rest."));
    return s;
}

json_t *emit_webhooks(void)
{
    json_t *all = json_object();
    for (const struct event_def *e = events; e->type; e++) {
        char op[schema_name_max];
        if (!deliverable(e))
            continue;
        emit_schema_name(e->type, "", op);
        json_t *body = json_pack("{s:b,s:{s:{s:o}}}", "required", 1, "content", "application/json",
                                 "schema", ref_to(e->type, "Event"));
        json_t *post = json_pack("{s:s+,s:s,s:s,s:[s],s:[],s:o,s:{s:{s:s}}}", "operationId", "on",
                                 op, "summary", e->doc, "description", e->doc, "tags", "deliveries",
                                 "security", "requestBody", body, "responses", "2XX", "description",
                                 "Taken; anything else is tried again.");
        set(all, e->type, json_pack("{s:o}", "post", post));
    }
    return all;
}

json_t *emit_schemas(void)
{
    const struct entity_def *const *lists[] = { entities, resources };
    json_t *all = json_object();
    char name[schema_name_max];
    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (const struct entity_def *const *e = lists[l]; *e; e++) {
            static const char *const suffixes[] = { "", "Input", "Patch" };
            bool written = false;
            for (const struct field_def *f = (*e)->fields; f->name; f++)
                written |= in_direction(f, INPUT);
            for (int d = READ; d <= (written ? PATCHED : READ); d++) {
                emit_schema_name((*e)->name, suffixes[d], name);
                set(all, name, entity_schema(*e, (enum direction)d));
            }
        }
    for (const struct event_def *e = events; e->type; e++)
        if (deliverable(e)) {
            emit_schema_name(e->type, "Event", name);
            set(all, name, event_schema(e));
        }
    set(all, "Problem", problem_schema());
    return all;
}

json_t *emit_security(void)
{
    json_t *all = json_object();
    for (size_t i = 0; i < S_MAX_; i++)
        set(all, scopes[i].name, json_string(scopes[i].doc));
    json_t *flows =
        json_pack("{s:{s:s,s:s,s:s,s:O},s:{s:s,s:o}}", "authorizationCode", "authorizationUrl",
                  "/oauth/authorize", "tokenUrl", "/oauth/token", "refreshUrl", "/oauth/token",
                  "scopes", all, "clientCredentials", "tokenUrl", "/oauth/token", "scopes", all);
    return json_pack(
        "{s:{s:s,s:s,s:s},s:{s:s,s:s,s:s,s:s},s:{s:s,s:s,s:s,s:s},s:{s:s,s:s,s:o}}", "bearer",
        "type", "http", "scheme", "bearer", "description",
        "An API key (365k_…) or an access token (RFC 9068).", "apiKey", "type", "apiKey", "in",
        "header", "name", "X-API-Key", "description", "An API key, 365k_….", "session", "type",
        "apiKey", "in", "cookie", "name", "cms365_session", "description",
        "A browser session of the site's own pages (__Host-cms365_session over https); "
        "changes need X-CMS365-CSRF too.",
        "oauth2", "type", "oauth2", "description", "OAuth 2 with PKCE; see docs/oauth.md.", "flows",
        flows);
}
