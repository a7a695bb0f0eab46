/* XML 1.0 of what a handler answered; the schema is printed by proto/emit_xsd.c. */
#include "common/kit/repr_internal.h"

#include "common/base/json.h"
#include "common/base/str.h"

#define XML_DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define XML_NS_INSTANCE "http://www.w3.org/2001/XMLSchema-instance"
#define XML_NS_JSON     "http://www.w3.org/2005/xpath-functions"
#define XML_NS_PROBLEM  "urn:ietf:rfc:7807" /* RFC 9457 kept RFC 7807's */

/* Stored JSON is at most json_depth_max deep, includes a few levels; deeper text is not ours. */
enum { xml_depth_max = 2 * json_depth_max };

struct xml {
    struct buf *out;
    struct buf scratch;
    unsigned depth, json_depth;
};

/* --- text ----------------------------------------------------------------------------------------
 */

/* XML 1.0 §2.2 has no other controls than these three, and no U+FFFE and U+FFFF. */
static bool is_alien(const char *s, size_t left)
{
    unsigned char c = (unsigned char)*s;
    if (c < 0x20)
        return c != '\t' && c != '\n' && c != '\r';
    return c == 0xEF && left >= 3 && (unsigned char)s[1] == 0xBF && (unsigned char)s[2] >= 0xBE;
}

static bool has_alien(struct js text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (is_alien(text.s + i, text.n - i))
            return true;
    }
    return false;
}

/* A carriage return would come out of a parser as a line feed (§2.11). */
static void put_escaped(struct buf *b, struct js text)
{
    static const char *const entities_of[256] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\r'] = "&#13;"
    };
    const char *from = text.s, *end = text.s + text.n;
    for (const char *p = from; p < end; p++) {
        const char *entity = entities_of[(unsigned char)*p];
        if (!entity)
            continue;
        buf_put(b, from, (size_t)(p - from));
        buf_puts(b, entity);
        from = p + 1;
    }
    buf_put(b, from, (size_t)(end - from));
}

/* In an attribute a line feed or tab would become a space (§3.3.3). */
static void put_attribute(struct buf *b, struct js text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.s[i] == '\n' || text.s[i] == '\t')
            buf_printf(b, "&#%d;", text.s[i]);
        else
            put_escaped(b, (struct js){ text.s + i, 1 });
    }
}

/* The inside of a JSON string as it stands; U+FFFE and U+FFFF, which JSON has, by number. */
static struct js json_escapes(struct js inner, struct buf *scratch)
{
    buf_reset(scratch);
    for (size_t i = 0; i < inner.n; i++) {
        if ((unsigned char)inner.s[i] >= 0x20 && is_alien(inner.s + i, inner.n - i)) {
            buf_puts(scratch, (unsigned char)inner.s[i + 2] == 0xBE ? "\\uFFFE" : "\\uFFFF");
            i += 2;
        } else {
            buf_putc(scratch, inner.s[i]);
        }
    }
    return (struct js){ scratch->data, scratch->len };
}

/* The text of a string and whether it had to be left in escapes. */
static struct js text_of(struct xml *x, struct js string, bool *ret_escaped)
{
    struct js inner = js_inner(string), text = js_decoded(inner, &x->scratch);
    *ret_escaped = has_alien(text);
    return *ret_escaped ? json_escapes(inner, &x->scratch) : text;
}

/* --- elements ------------------------------------------------------------------------------------
 */

static void open_tag(struct buf *b, const char *name)
{
    buf_putc(b, '<');
    buf_puts(b, name);
}

static void close_tag(struct buf *b, const char *name)
{
    buf_puts(b, "</");
    buf_puts(b, name);
    buf_putc(b, '>');
}

/* Names of ours are names of XML's; NULL for any other key. */
static const char *name_of(struct xml *x, struct js key)
{
    bool ok = key.n && key.s[0] >= 'a' && key.s[0] <= 'z';
    for (size_t i = 1; i < key.n && ok; i++) {
        char c = key.s[i];
        ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }
    return ok ? arena_strndup(x->out->arena, key.s, key.n) : NULL;
}

static void put_nil(struct buf *b, const char *name)
{
    open_tag(b, name);
    buf_puts(b, " xsi:nil=\"true\"/>");
}

/* A string, number or boolean. */
static void put_scalar(struct xml *x, const char *name, struct js v)
{
    struct buf *b = x->out;
    bool escaped = false;
    if (js_kind(v) == JS_NULL) {
        put_nil(b, name);
        return;
    }
    struct js text = js_kind(v) == JS_STRING ? text_of(x, v, &escaped) : v;
    open_tag(b, name);
    buf_puts(b, escaped ? " escaped=\"true\">" : ">");
    put_escaped(b, text);
    close_tag(b, name);
}

/* Free JSON, as XPath's json-to-xml() has it, so that xml-to-json() brings it back.  Bodies are at
 * most json_depth_max deep. */
static void put_json(struct xml *x, struct js v, const struct js *key)
{
    static const char *const names[] = {
        [JS_NONE] = "null",     [JS_OBJECT] = "map",    [JS_ARRAY] = "array",
        [JS_STRING] = "string", [JS_NUMBER] = "number", [JS_TRUE] = "boolean",
        [JS_FALSE] = "boolean", [JS_NULL] = "null"
    };
    struct buf *b = x->out;
    const char *name = names[js_kind(v)];
    struct js k, item, quoted = { 0 };
    bool escaped = false;
    if (x->json_depth == xml_depth_max)
        return;
    open_tag(b, name);
    if (!x->json_depth++)
        buf_puts(b, " xmlns=\"" XML_NS_JSON "\"");
    if (key) {
        quoted = (struct js){ key->s - 1, key->n + 2 };
        struct js text = text_of(x, quoted, &escaped);
        buf_puts(b, escaped ? " escaped-key=\"true\" key=\"" : " key=\"");
        put_attribute(b, text);
        buf_putc(b, '"');
    }
    if (js_kind(v) == JS_STRING) {
        struct js text = text_of(x, v, &escaped);
        buf_puts(b, escaped ? " escaped=\"true\">" : ">");
        put_escaped(b, text);
    } else {
        buf_putc(b, '>');
    }
    switch (js_kind(v)) {
    case JS_OBJECT:
        while (js_member(&v, &k, &item))
            put_json(x, item, &k);
        break;
    case JS_ARRAY:
        while (js_item(&v, &item))
            put_json(x, item, NULL);
        break;
    case JS_NUMBER:
    case JS_TRUE:
    case JS_FALSE:
        buf_put(b, v.s, v.n);
        break;
    default:
        break;
    }
    x->json_depth--;
    close_tag(b, name);
}

static void put_free(struct xml *x, const char *name, struct js v)
{
    struct buf *b = x->out;
    if (js_kind(v) == JS_NULL) {
        put_nil(b, name);
        return;
    }
    open_tag(b, name);
    buf_putc(b, '>');
    put_json(x, v, NULL);
    close_tag(b, name);
}

/* --- entities ------------------------------------------------------------------------------------
 */

static void put_members(struct xml *x, const struct entity_def *e, struct js object);

static void put_entity(struct xml *x, const char *name, const struct entity_def *e, struct js v)
{
    if (js_kind(v) != JS_OBJECT || x->depth == xml_depth_max) {
        put_nil(x->out, name);
        return;
    }
    x->depth++;
    open_tag(x->out, name);
    buf_putc(x->out, '>');
    put_members(x, e, v);
    close_tag(x->out, name);
    x->depth--;
}

static void put_list(struct xml *x, const char *name, const struct entity_def *far, struct js v)
{
    struct js item;
    open_tag(x->out, name);
    buf_putc(x->out, '>');
    while (js_item(&v, &item)) {
        if (far)
            put_entity(x, far->name, far, item);
        else
            put_scalar(x, "item", item);
    }
    close_tag(x->out, name);
}

static void put_member(struct xml *x, const struct entity_def *e, struct js key, struct js v)
{
    struct repr_key k = repr_key(e, key);
    const char *name = k.field ? k.field->name : k.relation ? k.relation->name : NULL;
    if (!name)
        return; /* no row of the table: entity_check sees to it that there is none */
    if (k.field && k.field->type == F_JSON)
        put_free(x, name, v);
    else if (js_kind(v) == JS_ARRAY)
        put_list(x, name, k.far, v);
    else if (k.far)
        put_entity(x, name, k.far, v);
    else
        put_scalar(x, name, v);
}

static void put_members(struct xml *x, const struct entity_def *e, struct js object)
{
    struct js key, value;
    while (js_member(&object, &key, &value))
        put_member(x, e, key, value);
}

/* meta and links: flat, of our own naming. */
static void put_flat(struct xml *x, const char *name, struct js object)
{
    struct js key, value;
    open_tag(x->out, name);
    buf_putc(x->out, '>');
    while (js_member(&object, &key, &value)) {
        const char *member = name_of(x, key);
        if (member)
            put_scalar(x, member, value);
    }
    close_tag(x->out, name);
}

static void put_root(struct buf *b, const char *name, const char *base)
{
    buf_puts(b, XML_DECLARATION);
    open_tag(b, name);
    buf_puts(b, " xmlns:xsi=\"" XML_NS_INSTANCE "\" xsi:noNamespaceSchemaLocation=\"");
    put_attribute(b, (struct js){ base, strlen(base) });
    buf_puts(b, "/schemas/v2.xsd\">");
}

void repr_xml(const struct repr_source *src, struct buf *out)
{
    struct xml x = { .out = out };
    struct repr_parts p = repr_parts(src->json);
    const struct entity_def *e = src->entity;
    const char *root = p.enveloped ? (p.list ? "list" : "response") : p.list ? "items" : e->name;
    struct js item, data = p.data;
    buf_init(&x.scratch, out->arena, 256, out->max);
    put_root(out, root, src->base);
    if (p.enveloped)
        buf_puts(out, "<data>");
    if (p.list) {
        while (js_item(&data, &item))
            put_entity(&x, e->name, e, item);
    } else if (p.enveloped) {
        put_entity(&x, e->name, e, data);
    } else {
        put_members(&x, e, data);
    }
    if (p.enveloped) {
        buf_puts(out, "</data>");
        struct js meta = js_get(src->json, "meta"), links = js_get(src->json, "links");
        if (js_kind(meta) == JS_OBJECT)
            put_flat(&x, "meta", meta);
        if (js_kind(links) == JS_OBJECT)
            put_flat(&x, "links", links);
    }
    close_tag(out, root);
    buf_putc(out, '\n');
}

/* --- problems ------------------------------------------------------------------------------------
 */

/* Appendix B: an object's members are elements of their names, an array's items are <i>. */
static void put_problem_value(struct xml *x, const char *name, struct js v)
{
    struct buf *b = x->out;
    struct js key, value;
    bool escaped;
    if (!name || x->depth == xml_depth_max)
        return;
    x->depth++;
    open_tag(b, name);
    buf_putc(b, '>');
    switch (js_kind(v)) {
    case JS_OBJECT:
        while (js_member(&v, &key, &value))
            put_problem_value(x, name_of(x, key), value);
        break;
    case JS_ARRAY:
        while (js_item(&v, &value))
            put_problem_value(x, "i", value);
        break;
    case JS_STRING:
        put_escaped(b, text_of(x, v, &escaped)); /* no attribute to say it by */
        break;
    case JS_NULL:
    case JS_NONE:
        break;
    default:
        put_escaped(b, v);
    }
    close_tag(b, name);
    x->depth--;
}

void repr_problem_xml(struct js problem, struct buf *out)
{
    struct xml x = { .out = out };
    struct js key, value;
    buf_init(&x.scratch, out->arena, 256, out->max);
    buf_puts(out, XML_DECLARATION "<problem xmlns=\"" XML_NS_PROBLEM "\">");
    while (js_member(&problem, &key, &value))
        put_problem_value(&x, name_of(&x, key), value);
    buf_puts(out, "</problem>\n");
}
