/* JSON-LD 1.1: the same members, with @id and @type, and the context's address at the top. */
#include "common/kit/repr_internal.h"

#include "common/base/json.h"
#include "common/base/str.h"
#include "proto/jsonld.h"

enum { ld_depth_max = 2 * json_depth_max, ld_moved_max = 16 };

struct ld {
    struct js base; /* as it stands between quotes */
    struct buf *out;
    unsigned depth;
};

static void put_key(struct buf *b, const char *key)
{
    buf_putc(b, '"');
    buf_puts(b, key);
    buf_puts(b, "\":");
}

static void put_js(struct buf *b, struct js v)
{
    buf_put(b, v.s, v.n);
}

/* What schema.org calls it; a medium that is a picture has a class of its own. */
static const char *type_of(const struct entity_def *e, struct js object)
{
    if (!str_eq(e->name, "media"))
        return e->jsonld_type;
    struct js mime = js_inner(js_get(object, "mime_type"));
    return mime.n > 6 && !memcmp(mime.s, "image/", 6) ? "ImageObject" : e->jsonld_type;
}

/* Without the id, which fields= may have left out, it is a node without a name. */
static void put_head(struct ld *ld, const struct entity_def *e, struct js object)
{
    char class[schema_name_max];
    struct buf *b = ld->out;
    struct js id = js_get(object, "id");
    const char *type = type_of(e, object);
    jsonld_class(e, class);
    if (js_kind(id) == JS_NUMBER) {
        buf_puts(b, "\"@id\":\"");
        put_js(b, ld->base);
        buf_puts(b, e->path);
        buf_putc(b, '/');
        put_js(b, id);
        buf_puts(b, "\",");
    }
    if (str_eq(type, class))
        buf_printf(b, "\"@type\":\"%s\"", type);
    else
        buf_printf(b, "\"@type\":[\"%s\",\"%s\"]", type, class);
}

static void put_node(struct ld *ld, const struct entity_def *e, struct js v);

static void put_value(struct ld *ld, const struct entity_def *far, struct js v)
{
    struct js item;
    const char *sep = "";
    if (!far || js_kind(v) == JS_NULL) {
        put_js(ld->out, v);
    } else if (js_kind(v) == JS_OBJECT) {
        put_node(ld, far, v);
    } else {
        buf_putc(ld->out, '[');
        while (js_item(&v, &item)) {
            buf_puts(ld->out, sep);
            put_node(ld, far, item);
            sep = ",";
        }
        buf_putc(ld->out, ']');
    }
}

struct moved { /* a member that belongs to another node of the entity */
    const struct jsonld_row *row;
    struct js value;
};

static void put_moved(struct ld *ld, const struct moved *list, size_t n)
{
    struct buf *b = ld->out;
    for (const struct jsonld_node *node = jsonld_nodes(); node->key; node++) {
        bool open = false;
        for (size_t i = 0; i < n; i++) {
            if (!str_eq(list[i].row->in, node->key))
                continue;
            if (!open) {
                buf_putc(b, ',');
                put_key(b, node->key);
                buf_printf(b, "{\"@type\":\"%s\"", node->type);
            }
            open = true;
            buf_putc(b, ',');
            put_key(b, list[i].row->field);
            put_js(b, list[i].value);
        }
        if (open)
            buf_putc(b, '}');
    }
}

/* The members of a node, without its braces. */
static void put_inside(struct ld *ld, const struct entity_def *e, struct js v)
{
    struct buf *b = ld->out;
    struct js key, value;
    struct moved moved[ld_moved_max];
    size_t n = 0;
    ld->depth++;
    put_head(ld, e, v);
    while (js_member(&v, &key, &value)) {
        struct repr_key k = repr_key(e, key);
        const struct jsonld_row *row = k.field ? jsonld_find(e, k.field->name) : NULL;
        if (row && row->in && n < ld_moved_max) {
            if (js_kind(value) != JS_NULL)
                moved[n++] = (struct moved){ row, value };
            continue;
        }
        buf_puts(b, ",\"");
        put_js(b, key);
        buf_puts(b, "\":");
        put_value(ld, k.far, value);
    }
    put_moved(ld, moved, n);
    ld->depth--;
}

static void put_node(struct ld *ld, const struct entity_def *e, struct js v)
{
    if (js_kind(v) != JS_OBJECT || ld->depth == ld_depth_max) {
        buf_puts(ld->out, "null");
        return;
    }
    buf_putc(ld->out, '{');
    put_inside(ld, e, v);
    buf_putc(ld->out, '}');
}

void repr_jsonld(const struct repr_source *src, struct buf *out)
{
    struct ld ld = { .out = out };
    struct repr_parts p = repr_parts(src->json);
    struct js rest = src->json, key, value;
    struct buf base;
    buf_init(&base, out->arena, 256, 16 * 1024);
    buf_put_json_string(&base, src->base, strlen(src->base));
    ld.base = js_inner((struct js){ base.data, base.len });
    buf_puts(out, "{\"@context\":\"");
    put_js(out, ld.base);
    buf_puts(out, "/contexts/v2.jsonld\",");
    if (!p.enveloped && !p.list) {
        put_inside(&ld, src->entity, p.data);
        buf_putc(out, '}');
        return;
    }
    put_key(out, "data");
    put_value(&ld, src->entity, p.data);
    while (p.enveloped && js_member(&rest, &key, &value)) {
        if (js_is(key, "data"))
            continue;
        buf_puts(out, ",\"");
        put_js(out, key);
        buf_puts(out, "\":");
        put_js(out, value);
    }
    buf_putc(out, '}');
}
