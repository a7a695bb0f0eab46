#include "proto/entity.h"

#include "common/base/json.h"
#include "common/base/str.h"
#include "proto/names.h"

/* What every table has to satisfy; each line says which entity and field, so that a mistake is
 * found by reading. */
struct check {
    const struct entity_def *e;
    FILE *out;
    size_t faults;
};

static void PRINTF(3, 4) fault(struct check *c, const char *field, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(c->out, "%s%s%s: ", c->e->name, field ? "." : "", field ? field : "");
    vfprintf(c->out, fmt, ap);
    fputc('\n', c->out);
    va_end(ap);
    c->faults++;
}

static bool name_ok(const char *s)
{
    if (!s || !*s || strlen(s) > 63 || *s < 'a' || *s > 'z')
        return false;
    for (; *s; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '_'))
            return false;
    return true;
}

static bool json_fits(const struct field_def *f, const json_t *v)
{
    const json_t *id;
    switch (f->type) {
    case F_ID:
    case F_INT:
        return json_is_integer(v) && json_integer_value(v) >= f->min &&
               json_integer_value(v) <= f->max;
    case F_BOOL:
        return json_is_boolean(v);
    case F_JSON:
        return f->format == FMT_LIST ? json_is_array(v) : json_is_object(v);
    case F_TEXTS:
    case F_REFS:
        return json_is_array(v) && json_array_size(v) <= f->items_max;
    case F_REF:
        id = json_object_get(v, "id");
        return json_is_integer(id);
    case F_UUID:
    case F_TIME:
        return json_is_string(v);
    case F_TEXT:
        return json_is_string(v) &&
               (int64_t)str_utf8_len(json_string_value(v), json_string_length(v)) <= f->max;
    case F_ENUM:
        for (const char *const *s = f->choices; json_is_string(v) && s && *s; s++)
            if (str_eq(*s, json_string_value(v)))
                return true;
        return false;
    }
    return false;
}

static void check_json(struct check *c, const struct field_def *f, const char *what,
                       const char *text)
{
    if (!text)
        return;
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!v)
        fault(c, f->name, "%s is not JSON", what);
    else if (!json_fits(f, v))
        fault(c, f->name, "%s does not fit the field", what);
    json_decref(v);
}

static void check_type(struct check *c, const struct field_def *f)
{
    bool ref = f->type == F_REF || f->type == F_REFS;
    bool many = f->type == F_TEXTS || f->type == F_REFS;
    if ((f->type == F_ENUM) != (f->choices != NULL))
        fault(c, f->name, "choices are for F_ENUM, and only for it");
    if (f->type == F_ENUM)
        for (const char *const *s = f->choices; s && *s; s++)
            if (!name_ok(*s))
                fault(c, f->name, "choice \"%s\" is not snake_case", *s);
    if (ref != (f->ref != NULL))
        fault(c, f->name, "ref is for F_REF and F_REFS, and only for them");
    if (ref && f->ref && !entity_find(f->ref))
        fault(c, f->name, "refers to unknown %s", f->ref);
    if (many != (f->items_max > 0))
        fault(c, f->name, "items_max is for lists, and lists have one");
    if ((f->type == F_TEXT || f->type == F_TEXTS || f->type == F_JSON) && f->max <= 0)
        fault(c, f->name, "has no maximum");
    if ((f->type == F_INT || f->type == F_ID) && f->min > f->max)
        fault(c, f->name, "min is above max");
    if (f->format && f->type != F_TEXT && f->type != F_TEXTS &&
        !(f->type == F_JSON && f->format == FMT_LIST))
        fault(c, f->name, "a format is for texts");
    const struct relation_def *r = entity_relation(c->e, f->name);
    if (f->type == F_REFS && (!r || r->kind != REL_MANY || !str_eq(r->ref, f->ref)))
        fault(c, f->name, "has no REL_MANY relation of its name to %s", f->ref);
    if (f->type != F_REFS && r)
        fault(c, f->name, "is also the name of a relation");
}

static void check_flags(struct check *c, const struct field_def *f)
{
    unsigned fl = f->flags;
    if ((fl & FF_REQUIRED) && (fl & (FF_READONLY | FF_NONNULL | FF_HIDDEN)))
        fault(c, f->name, "required contradicts readonly, nonnull or hidden");
    if ((fl & FF_REQUIRED) && f->fallback)
        fault(c, f->name, "what is required needs no default");
    if ((fl & FF_NONNULL) && !(fl & FF_READONLY) && !f->fallback && !str_eq(f->name, "slug"))
        fault(c, f->name, "nonnull and writable, but without a default");
    if ((fl & FF_READONLY) && (fl & (FF_CREATE | FF_ADMIN)))
        fault(c, f->name, "readonly contradicts create and admin");
    if ((fl & (FF_SECRET | FF_HIDDEN)) && (fl & (FF_FILTER | FF_SORT)))
        fault(c, f->name, "what is not shown is not searched");
    if ((fl & FF_SORT) &&
        (f->type == F_JSON || f->type == F_TEXTS || f->type == F_REF || f->type == F_REFS))
        fault(c, f->name, "cannot be sorted by");
    if ((fl & FF_FILTER) && f->type == F_JSON)
        fault(c, f->name, "cannot be filtered by");
    if ((fl & FF_UNIQUE) && !(fl & (FF_REQUIRED | FF_NONNULL)))
        fault(c, f->name, "unique, but may be null");
    if (!(fl & FF_HIDDEN) && !f->example)
        fault(c, f->name, "has no example");
}

static void check_fields(struct check *c)
{
    size_t n = entity_nfields(c->e);
    if (n == 0 || n > 62)
        fault(c, NULL, "has %zu fields; a mask has room for 62", n);
    if (n == 0 || !str_eq(c->e->fields[0].name, "id"))
        fault(c, NULL, "id does not come first");
    for (size_t i = 0; i < n; i++) {
        const struct field_def *f = &c->e->fields[i];
        if (!name_ok(f->name))
            fault(c, f->name, "is not snake_case");
        if (!f->doc || !*f->doc || f->doc[strlen(f->doc) - 1] != '.')
            fault(c, f->name, "has no sentence that says what it is");
        if (entity_field(c->e, f->name) != f)
            fault(c, f->name, "is there twice");
        check_type(c, f);
        check_flags(c, f);
        check_json(c, f, "the default", f->fallback);
        check_json(c, f, "the example", f->example);
    }
}

static void check_relations(struct check *c)
{
    for (const struct relation_def *r = c->e->relations; r && r->name; r++) {
        const struct entity_def *far = entity_find(r->ref);
        if (entity_relation(c->e, r->name) != r || !name_ok(r->name))
            fault(c, r->name, "relation is there twice or not snake_case");
        if (!r->doc || !*r->doc)
            fault(c, r->name, "relation has no doc");
        if (!far) {
            fault(c, r->name, "relation to unknown %s", r->ref);
            continue;
        }
        const struct field_def *via = r->via ? entity_field(far, r->via) : NULL;
        if (r->kind == REL_REVERSE && (!via || via->type != F_REF || !str_eq(via->ref, c->e->name)))
            fault(c, r->name, "%s has no reference back by that name", far->name);
        if (r->kind == REL_MANY && (!name_ok(r->link) || !name_ok(r->near) || !name_ok(r->far)))
            fault(c, r->name, "link table or its columns are missing");
    }
}

static void check_life(struct check *c)
{
    const struct entity_def *e = c->e;
    const struct field_def *status = entity_field(e, "status");
    const struct field_def *at = entity_field(e, "published_at");
    if (e->lifecycle == LIFE_PUBLISH && (!status || !at || at->type != F_TIME))
        fault(c, NULL, "is published, but has no status or published_at");
    if (e->lifecycle == LIFE_ACTIVE && !status)
        fault(c, NULL, "is active or not, but has no status");
    if (e->visibility == VIS_PUBLISHED && e->lifecycle != LIFE_PUBLISH)
        fault(c, NULL, "is visible when published, but is never published");
    if (e->soft_delete != (entity_field(e, "deleted_at") != NULL))
        fault(c, NULL, "soft_delete and deleted_at go together");
    if (e->slug_from && (!entity_field(e, "slug") || !entity_field(e, e->slug_from)))
        fault(c, NULL, "slug_from names no field, or there is no slug");
    const struct field_def *owner = e->owner ? entity_field(e, e->owner) : NULL;
    if (e->owner && (!owner || (owner->type != F_REF && !str_eq(e->owner, "id"))))
        fault(c, NULL, "owner is not a reference");
    if (owner && owner->type == F_REF && !str_eq(owner->ref, "user"))
        fault(c, NULL, "owner is not a user");
}

static void check_names(struct check *c)
{
    static const char *const lives[] = { "created",   "updated",     "deleted",  "restored",
                                         "published", "unpublished", "scheduled" };
    const struct entity_def *e = c->e;
    if (!name_ok(e->name) || !name_ok(e->plural) || !name_ok(e->table) || !e->service)
        fault(c, NULL, "name, plural, table or service is missing or not snake_case");
    if (entity_find(e->name) != e || entity_find(e->plural) != e)
        fault(c, NULL, "is not found by name and plural");
    if (!e->path || !str_starts(e->path, "/api/v2/") || !e->doc || !*e->doc)
        fault(c, NULL, "path or doc is missing");
    if (scope_find(e->scope_read) < 0 || scope_find(e->scope_write) < 0)
        fault(c, NULL, "names an unknown scope");
    if (!e->title || !entity_field(e, e->title))
        fault(c, NULL, "title names no field");
    const char *key = e->sort ? e->sort + (*e->sort == '-') : "";
    const struct field_def *by = entity_field(e, key);
    if (!by || !(by->flags & FF_SORT))
        fault(c, NULL, "default sort %s is not sortable", key);
    for (size_t i = 0; i < ARRAY_LEN(lives); i++) {
        char type[event_type_max];
        snprintf(type, sizeof(type), "%s.%s", e->name, lives[i]);
        const struct event_def *ev = event_find(type);
        bool want = e->events && (i < 4 || e->lifecycle == LIFE_PUBLISH);
        if (want != (ev != NULL))
            fault(c, NULL, "event %s %s", type, want ? "is missing" : "is there, but never sent");
        if (ev && !str_eq(ev->entity, e->name))
            fault(c, NULL, "event %s is said to be of %s", type, ev->entity);
    }
}

size_t entity_check(const struct entity_def *e, FILE *out)
{
    struct check c = { .e = e, .out = out };
    check_names(&c);
    check_fields(&c);
    check_relations(&c);
    check_life(&c);
    return c.faults;
}
