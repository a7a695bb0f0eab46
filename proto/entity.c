#include "proto/entity.h"

#include "common/base/str.h"
#include "proto/fields.h"

const char *const publish_states[] = { "draft", "scheduled", "published", "archived", NULL };
const char *const active_states[] = { "active", "inactive", NULL };
const char *const content_formats[] = { "html", "markdown", NULL };

const struct entity_def *const entities[] = {
#define ENTITY(sym, life) &entity_##sym,
#include "proto/entities.def"
#undef ENTITY
    NULL
};
const struct entity_def *const resources[] = {
#define RESOURCE(sym) &entity_##sym,
#include "proto/resources.def"
#undef RESOURCE
    NULL
};

static const struct entity_def *find_in(const struct entity_def *const *list, const char *name)
{
    for (; *list; list++)
        if (str_eq((*list)->name, name) || str_eq((*list)->plural, name))
            return *list;
    return NULL;
}

const struct entity_def *entity_find(const char *name)
{
    const struct entity_def *e = find_in(entities, name);
    return e ? e : find_in(resources, name);
}

const struct field_def *entity_field(const struct entity_def *e, const char *name)
{
    for (const struct field_def *f = e->fields; f->name; f++)
        if (str_eq(f->name, name))
            return f;
    return NULL;
}

const struct relation_def *entity_relation(const struct entity_def *e, const char *name)
{
    for (const struct relation_def *r = e->relations; r && r->name; r++)
        if (str_eq(r->name, name))
            return r;
    return NULL;
}

size_t entity_nfields(const struct entity_def *e)
{
    size_t n = 0;
    while (e->fields[n].name)
        n++;
    return n;
}
