#include "proto/emit.h"
#include "proto/jsonld.h"

#include "common/base/str.h"

#include <assert.h>

/*
 * What of schema.org each field is.  A field without a row is a property of our own vocabulary
 * ("cms:menu_order"), so nothing is lost and nothing is called what it is not: a price in cents is
 * no schema:price.  "^" is the reverse of a property: the posts of a user are those whose author he
 * is.  `in` names the node of the entity that the property belongs to.
 */
#define S "https://schema.org/"
static const struct jsonld_row rows[] = {
    { "user",    "username",        S "alternateName",           NULL             },
    { "user",    "email",           S "email",                   NULL             },
    { "user",    "display_name",    S "name",                    NULL             },
    { "user",    "locale",          S "knowsLanguage",           NULL             },
    { "user",    "bio",             S "description",             NULL             },
    { "user",    "website",         S "url",                     NULL             },
    { "user",    "avatar",          S "image",                   NULL             },
    { "user",    "posts",           "^" S "author",              NULL             },
    { "post",    "title",           S "headline",                NULL             },
    { "post",    "excerpt",         S "abstract",                NULL             },
    { "post",    "content",         S "articleBody",             NULL             },
    { "post",    "language",        S "inLanguage",              NULL             },
    { "post",    "author",          S "author",                  NULL             },
    { "post",    "featured_media",  S "image",                   NULL             },
    { "post",    "categories",      S "articleSection",          NULL             },
    { "post",    "tags",            S "keywords",                NULL             },
    { "post",    "published_at",    S "datePublished",           NULL             },
    { "post",    "seo_title",       S "alternativeHeadline",     NULL             },
    { "post",    "seo_description", S "description",             NULL             },
    { "page",    "title",           S "name",                    NULL             },
    { "page",    "content",         S "text",                    NULL             },
    { "page",    "language",        S "inLanguage",              NULL             },
    { "page",    "author",          S "author",                  NULL             },
    { "page",    "parent",          S "isPartOf",                NULL             },
    { "page",    "published_at",    S "datePublished",           NULL             },
    { "page",    "seo_title",       S "alternativeHeadline",     NULL             },
    { "page",    "seo_description", S "description",             NULL             },
    { "page",    "children",        "^" S "isPartOf",            NULL             },
    { "media",   "mime_type",       S "encodingFormat",          NULL             },
    { "media",   "sha256",          S "sha256",                  NULL             },
    { "media",   "title",           S "name",                    NULL             },
    { "media",   "caption",         S "caption",                 NULL             },
    { "media",   "alt_text",        S "description",             NULL             },
    { "media",   "url",             S "contentUrl",              NULL             },
    { "media",   "created_at",      S "uploadDate",              NULL             },
    { "expert",  "name",            S "name",                    NULL             },
    { "expert",  "title",           S "jobTitle",                NULL             },
    { "expert",  "email",           S "email",                   NULL             },
    { "expert",  "phone",           S "telephone",               NULL             },
    { "expert",  "bio",             S "description",             NULL             },
    { "expert",  "specialties",     S "knowsAbout",              NULL             },
    { "expert",  "languages",       S "knowsLanguage",           NULL             },
    { "expert",  "company",         S "worksFor",                NULL             },
    { "expert",  "photo",           S "image",                   NULL             },
    { "expert",  "city",            S "addressLocality",         "postal_address" },
    { "expert",  "country",         S "addressCountry",          "postal_address" },
    { "expert",  "website",         S "url",                     NULL             },
    { "expert",  "linkedin_url",    S "sameAs",                  NULL             },
    { "expert",  "events",          "^" S "performer",           NULL             },
    { "company", "name",            S "name",                    NULL             },
    { "company", "description",     S "description",             NULL             },
    { "company", "email",           S "email",                   NULL             },
    { "company", "phone",           S "telephone",               NULL             },
    { "company", "website",         S "url",                     NULL             },
    { "company", "street",          S "streetAddress",           "postal_address" },
    { "company", "postal_code",     S "postalCode",              "postal_address" },
    { "company", "city",            S "addressLocality",         "postal_address" },
    { "company", "country",         S "addressCountry",          "postal_address" },
    { "company", "founded_year",    S "foundingDate",            NULL             },
    { "company", "logo",            S "logo",                    NULL             },
    { "company", "experts",         "^" S "worksFor",            NULL             },
    { "company", "events",          "^" S "organizer",           NULL             },
    { "event",   "title",           S "name",                    NULL             },
    { "event",   "description",     S "description",             NULL             },
    { "event",   "starts_at",       S "startDate",               NULL             },
    { "event",   "ends_at",         S "endDate",                 NULL             },
    { "event",   "venue_name",      S "name",                    "venue"          },
    { "event",   "address",         S "address",                 "venue"          },
    { "event",   "online_url",      S "url",                     NULL             },
    { "event",   "capacity",        S "maximumAttendeeCapacity", NULL             },
    { "event",   "organizer",       S "organizer",               NULL             },
    { "event",   "image",           S "image",                   NULL             },
    { "event",   "speakers",        S "performer",               NULL             },
    { NULL,      "id",              S "identifier",              NULL             },
    { NULL,      "version",         S "version",                 NULL             },
    { NULL,      "created_at",      S "dateCreated",             NULL             },
    { NULL,      "updated_at",      S "dateModified",            NULL             },
};
/* Nodes that an entity is taken apart into: their key, type and the property that leads there. */
static const struct jsonld_node nodes[] = {
    { "postal_address", "PostalAddress", S "address"  },
    { "venue",          "Place",         S "location" },
    { NULL,             NULL,            NULL         },
};

const struct jsonld_node *jsonld_nodes(void)
{
    return nodes;
}

const struct jsonld_row *jsonld_find(const struct entity_def *e, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (str_eq(rows[i].field, name) && (!rows[i].entity || str_eq(rows[i].entity, e->name)))
            return &rows[i];
    }
    return NULL;
}

size_t jsonld_check(FILE *out)
{
    size_t bad = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct entity_def *e = entity_find(rows[i].entity ? rows[i].entity : "post");
        bool there = e && (entity_field(e, rows[i].field) || entity_relation(e, rows[i].field));
        bool node = !rows[i].in;
        for (const struct jsonld_node *n = nodes; n->key && !node; n++)
            node = str_eq(n->key, rows[i].in);
        if (there && node)
            continue;
        bad++;
        fprintf(out, "%s.%s: no such field or node\n", rows[i].entity ? rows[i].entity : "*",
                rows[i].field);
    }
    return bad;
}

/* --- the context ---------------------------------------------------------------------------------
 */

static void set(json_t *o, const char *key, json_t *v)
{
    int bad = json_object_set_new(o, key, v);
    assert(!bad);
    (void)bad;
}

/* How values of the type are read; NULL: as they stand. */
static const char *coercion(const struct field_def *f)
{
    if (f->type == F_TIME)
        return "xsd:dateTime";
    if (f->type == F_JSON)
        return "@json";
    return f->type == F_TEXT && f->format == FMT_URL ? "@id" : NULL;
}

static json_t *term(const struct entity_def *e, const char *name, const struct field_def *f)
{
    const struct jsonld_row *row = jsonld_find(e, name);
    char iri[160];
    snprintf(iri, sizeof(iri), "cms:%s", name);
    if (row)
        snprintf(iri, sizeof(iri), "%s", row->iri);
    bool reverse = iri[0] == '^';
    const char *type = f ? coercion(f) : NULL;
    json_t *t = json_pack("{s:s}", reverse ? "@reverse" : "@id", iri + reverse);
    if (type)
        set(t, "@type", json_string(type));
    if (!f || f->type == F_TEXTS || f->type == F_REFS)
        set(t, "@container", json_string("@set"));
    return t;
}

void jsonld_class(const struct entity_def *e, char out[schema_name_max])
{
    emit_schema_name(e->name, "", out);
}

/* Terms of one entity, in force on nodes of its class only: a post's title is a headline, an
 * expert's is his job. */
static json_t *entity_context(const struct entity_def *e)
{
    json_t *terms = json_object();
    for (const struct field_def *f = e->fields; f->name; f++) {
        const struct jsonld_row *row = jsonld_find(e, f->name);
        if (!(f->flags & (FF_HIDDEN | FF_SECRET)) && !(row && row->in))
            set(terms, f->name, term(e, f->name, f));
    }
    for (const struct relation_def *r = e->relations; r && r->name; r++) {
        if (!entity_field(e, r->name))
            set(terms, r->name, term(e, r->name, NULL));
    }
    for (const struct jsonld_node *n = nodes; n->key; n++) {
        json_t *inner = json_object();
        for (const struct field_def *f = e->fields; f->name; f++) {
            const struct jsonld_row *row = jsonld_find(e, f->name);
            if (row && str_eq(row->in, n->key))
                set(inner, f->name, term(e, f->name, f));
        }
        if (json_object_size(inner))
            set(terms, n->key, json_pack("{s:s,s:o}", "@id", n->iri, "@context", inner));
        else
            json_decref(inner);
    }
    return terms;
}

json_t *emit_jsonld(const char *base)
{
    static const char *const classes[] = { "MediaObject", "ImageObject", NULL };
    json_t *c = json_pack("{s:f,s:s,s:s+,s:s,s:n,s:n}", "@version", 1.1, "xsd",
                          "http://www.w3.org/2001/XMLSchema#", "cms", base, "/contexts/v2.jsonld#",
                          "data", "@graph", "meta", "links");
    for (size_t i = 0; classes[i]; i++)
        set(c, classes[i], json_sprintf(S "%s", classes[i]));
    for (const struct jsonld_node *n = nodes; n->key; n++)
        set(c, n->type, json_sprintf(S "%s", n->type));
    for (const struct entity_def *const *e = entities; *e; e++) {
        char class[schema_name_max];
        jsonld_class(*e, class);
        set(c, (*e)->jsonld_type, json_sprintf(S "%s", (*e)->jsonld_type));
        json_t *own = json_pack("{s:o}", "@context", entity_context(*e));
        if (str_eq(class, (*e)->jsonld_type))
            set(own, "@id", json_sprintf(S "%s", class));
        else
            set(own, "@id", json_sprintf("cms:%s", class));
        set(c, class, own);
    }
    return json_pack("{s:o}", "@context", c);
}
