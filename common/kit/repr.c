#include "common/kit/repr_internal.h"

#include <assert.h>

const struct repr_type repr_types[REPR_MAX_] = {
    [REPR_JSON] = { "application/json",    "application/json",                        ""      },
    [REPR_JSONLD] = { "application/ld+json", "application/ld+json",                     "-ld"   },
    [REPR_XML] = { "application/xml",     "application/xml; charset=utf-8",          "-xml"  },
    [REPR_TEXT_XML] = { "text/xml",            "text/xml; charset=utf-8",                 "-txml" },
    [REPR_CSV] = { "text/csv",            "text/csv; charset=utf-8; header=present", "-csv"  },
};

struct repr_parts repr_parts(struct js json)
{
    struct js rest = json, key, value;
    struct repr_parts p = { .data = json };
    if (js_kind(json) == JS_OBJECT && js_member(&rest, &key, &value) && js_is(key, "data")) {
        p.enveloped = true;
        p.data = value;
    }
    p.list = js_kind(p.data) == JS_ARRAY;
    return p;
}

struct repr_key repr_key(const struct entity_def *e, struct js key)
{
    struct repr_key k = { 0 };
    for (const struct field_def *f = e->fields; f->name && !k.field; f++) {
        if (js_is(key, f->name))
            k.field = f;
    }
    for (const struct relation_def *r = e->relations; r && r->name && !k.relation; r++) {
        if (js_is(key, r->name))
            k.relation = r;
    }
    if (k.field && k.field->ref)
        k.far = entity_find(k.field->ref);
    else if (!k.field && k.relation)
        k.far = entity_find(k.relation->ref);
    return k;
}

bool repr_shown(const struct field_def *f, const void *ctx)
{
    const struct repr_reader *r = ctx;
    return vis_field(r->e, f, r->vc, vis_varies(r->e, r->vc));
}

int repr_write(enum repr r, const struct repr_source *src, struct buf *out, struct err *err)
{
    static void (*const writers[REPR_MAX_])(const struct repr_source *, struct buf *) = {
        [REPR_JSONLD] = repr_jsonld,
        [REPR_XML] = repr_xml,
        [REPR_TEXT_XML] = repr_xml,
        [REPR_CSV] = repr_csv,
    };
    assert(writers[r]);
    writers[r](src, out);
    return out->overflow ? err_set(err, E_internal, "the representation is larger than the limit")
                         : 0;
}
