#include "common/base/json_patch.h"

#include "common/base/str.h"

#include <assert.h>

/* --- pointers ------------------------------------------------------------------------------------
 */

bool json_pointer_ok(const char *p)
{
    if (*p && *p != '/')
        return false;
    for (; *p; p++)
        if (*p == '~' && p[1] != '0' && p[1] != '1')
            return false;
    return true;
}

/* The next segment, decoded in place of `out`; moves *p behind it.  False at the end. */
static bool segment(const char **p, char *out)
{
    const char *s = *p;
    if (!*s)
        return false;
    for (s++; *s && *s != '/'; s++) {
        if (*s == '~') {
            s++;
            *out++ = *s == '0' ? '~' : '/';
        } else {
            *out++ = *s;
        }
    }
    *out = '\0';
    *p = s;
    return true;
}

/* "0", "12": no sign, no leading zero (RFC 6901 §4). */
static bool index_of(const char *s, size_t *ret)
{
    size_t v = 0;
    if (!*s || (*s == '0' && s[1]))
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || v > SIZE_MAX / 16)
            return false;
        v = v * 10 + (size_t)(*s - '0');
    }
    *ret = v;
    return true;
}

static json_t *child(const json_t *v, const char *key)
{
    size_t i;
    if (json_is_object(v))
        return json_object_get(v, key);
    return json_is_array(v) && index_of(key, &i) ? json_array_get(v, i) : NULL;
}

const json_t *json_pointer_get(const json_t *doc, const char *pointer)
{
    if (!json_pointer_ok(pointer))
        return NULL;
    char *key = malloc(strlen(pointer) + 1);
    if (!key)
        abort();
    while (doc && segment(&pointer, key))
        doc = child(doc, key);
    free(key);
    return doc;
}

/* --- values --------------------------------------------------------------------------------------
 */

static bool same_number(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) == json_integer_value(b);
    /* A real is never equal to an integer that it cannot hold exactly. */
    double x = json_number_value(a), y = json_number_value(b);
    const json_t *whole = json_is_integer(a) ? a : json_is_integer(b) ? b : NULL;
    double other = whole == a ? y : x;
    if (whole && (other >= 9223372036854775808.0 || other < -9223372036854775808.0 ||
                  (json_int_t)other != json_integer_value(whole)))
        return false;
    return x <= y && x >= y;
}

static bool same_object(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *v, *members = (json_t *)(uintptr_t)a; /* iterated, not changed */
    if (json_object_size(a) != json_object_size(b))
        return false;
    json_object_foreach(members, key, v)
    {
        const json_t *other = json_object_get(b, key);
        if (!other || !json_same(v, other))
            return false;
    }
    return true;
}

bool json_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return same_number(a, b);
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_object(a))
        return same_object(a, b);
    if (!json_is_array(a))
        return json_equal(a, b);
    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++)
        if (!json_same(json_array_get(a, i), json_array_get(b, i)))
            return false;
    return true;
}

/* Memory of a value, about; and how deep it is nested. */
static size_t weigh(const json_t *v, unsigned *ret_depth)
{
    size_t bytes = 32;
    unsigned deepest = 0, depth;
    const char *key;
    size_t i;
    json_t *item, *in = (json_t *)(uintptr_t)v; /* iterated, not changed */
    if (json_is_string(v))
        bytes += json_string_length(v);
    json_object_foreach(in, key, item)
    {
        bytes += strlen(key) + 32 + weigh(item, &depth);
        deepest = depth > deepest ? depth : deepest;
    }
    json_array_foreach(in, i, item)
    {
        bytes += weigh(item, &depth);
        deepest = depth > deepest ? depth : deepest;
    }
    *ret_depth = deepest + (json_is_object(v) || json_is_array(v));
    return bytes;
}

/* --- operations ----------------------------------------------------------------------------------
 */

struct patcher {
    struct arena *a;
    json_t *doc;  /* owned */
    size_t bytes; /* added so far */
    size_t n;     /* the operation, for errors */
    struct err *err;
};
/* A place in the document: a member or an element of `parent`, or the whole (parent NULL). */
struct place {
    json_t *parent;
    const char *key;
    size_t index; /* of an array; its size for "-" */
    unsigned depth;
    json_t *now; /* what is there, or NULL */
};

static int fault(struct patcher *p, enum err_code code, const char *member, const char *why)
{
    char at[64];
    snprintf(at, sizeof(at), "/%zu%s%s", p->n, *member ? "/" : "", member);
    return err_at(p->err, code, at, "Operation %zu of the patch: %s", p->n, why);
}

static int locate(struct patcher *p, const char *pointer, const char *member, struct place *ret)
{
    char *key = arena_alloc(p->a, strlen(pointer) + 1);
    *ret = (struct place){ .now = p->doc, .key = key };
    if (!json_pointer_ok(pointer))
        return fault(p, E_invalid, member, "this is not a JSON pointer.");
    while (segment(&pointer, key)) {
        if (!json_is_object(ret->now) && !json_is_array(ret->now))
            return fault(p, E_conflict, member, "there is no such place.");
        ret->parent = ret->now;
        ret->depth++;
        ret->now = child(ret->parent, key);
        if (!ret->now && *pointer)
            return fault(p, E_conflict, member, "there is no such place.");
    }
    if (!ret->parent || json_is_object(ret->parent))
        return 0;
    ret->index = json_array_size(ret->parent);
    if (!str_eq(key, "-") && !index_of(key, &ret->index))
        return fault(p, E_conflict, member, "an element of an array is named by its number.");
    return 0;
}

/* Puts a value, which is taken, at a place: a new element of an array, else instead of what is
 * there. */
static int put(struct patcher *p, const struct place *at, json_t *v)
{
    unsigned depth;
    p->bytes += weigh(v, &depth);
    int bad = 0;
    if (p->bytes > json_patch_bytes_max || at->depth + depth > json_depth_max) {
        json_decref(v);
        return fault(p, E_too_large, "", "the document becomes too large.");
    }
    if (!at->parent) {
        json_decref(p->doc);
        p->doc = v;
    } else if (json_is_object(at->parent)) {
        bad = json_object_set_new(at->parent, at->key, v);
    } else if (at->index > json_array_size(at->parent)) {
        json_decref(v);
        return fault(p, E_conflict, "path", "the array is not that long.");
    } else {
        bad = json_array_insert_new(at->parent, at->index, v);
    }
    return bad ? fault(p, E_invalid, "value", "this cannot be set.") : 0;
}

static void take_out(struct patcher *p, const struct place *at)
{
    if (!at->parent) {
        json_decref(p->doc);
        p->doc = json_null();
    } else if (json_is_object(at->parent)) {
        json_object_del(at->parent, at->key);
    } else {
        json_array_remove(at->parent, at->index);
    }
}

static int replace(struct patcher *p, const struct place *at, json_t *v)
{
    if (at->parent && json_is_array(at->parent))
        take_out(p, at);
    return put(p, at, v);
}

/* move and copy */
static int transfer(struct patcher *p, const char *from, const char *path, bool move)
{
    struct place src, dst;
    int rc = locate(p, from, "from", &src);
    if (rc)
        return rc;
    if (!src.now)
        return fault(p, E_conflict, "from", "there is nothing at this place.");
    size_t n = strlen(from);
    if (move && str_starts(path, from) && path[n] == '/')
        return fault(p, E_invalid, "path", "a value cannot move into itself.");
    if (move && str_eq(from, path))
        return 0;
    json_t *v = move ? json_incref(src.now) : json_deep_copy(src.now);
    if (move)
        take_out(p, &src);
    rc = locate(p, path, "path", &dst);
    if (rc) {
        json_decref(v);
        return rc;
    }
    /* What is only moved is not more than before. */
    size_t before = p->bytes;
    rc = put(p, &dst, v);
    if (move)
        p->bytes = before;
    return rc;
}

static int apply_value(struct patcher *p, const char *op, const char *path, const json_t *value)
{
    struct place at;
    bool add = str_eq(op, "add"), remove = str_eq(op, "remove");
    if (!remove && !value)
        return fault(p, E_invalid, "value", "it needs a value.");
    int rc = locate(p, path, "path", &at);
    if (rc)
        return rc;
    if (add)
        return put(p, &at, json_deep_copy(value));
    if (!at.now)
        return fault(p, E_conflict, "path", "there is nothing at this place.");
    if (remove) {
        take_out(p, &at);
        return 0;
    }
    if (str_eq(op, "replace"))
        return replace(p, &at, json_deep_copy(value));
    return json_same(at.now, value) ? 0 : fault(p, E_conflict, "value", "the test fails.");
}

static int apply(struct patcher *p, const json_t *o)
{
    static const char *const by_value[] = { "add", "remove", "replace", "test" };
    const char *op = json_string_value(json_object_get(o, "op"));
    const char *path = json_string_value(json_object_get(o, "path"));
    const char *from = json_string_value(json_object_get(o, "from"));
    if (!json_is_object(o))
        return fault(p, E_invalid, "", "it must be an object.");
    if (!op)
        return fault(p, E_invalid, "op", "it must say which operation it is.");
    if (!path)
        return fault(p, E_invalid, "path", "it needs a path.");
    for (size_t i = 0; i < ARRAY_LEN(by_value); i++)
        if (str_eq(op, by_value[i]))
            return apply_value(p, op, path, json_object_get(o, "value"));
    bool move = str_eq(op, "move");
    if (!move && !str_eq(op, "copy"))
        return fault(p, E_invalid, "op",
                     "it must be one of add, remove, replace, move, copy, test.");
    return from ? transfer(p, from, path, move)
                : fault(p, E_invalid, "from", "it needs to say from where.");
}

int json_patch(struct arena *a, const json_t *doc, const json_t *patch, json_t **ret,
               struct err *err)
{
    struct patcher p = { .a = a, .err = err };
    if (!json_is_array(patch))
        return err_at(err, E_invalid, "", "A JSON Patch is an array of operations.");
    if (json_array_size(patch) > json_patch_ops_max)
        return err_set(err, E_too_large, "A JSON Patch has at most %d operations.",
                       json_patch_ops_max);
    p.doc = json_deep_copy(doc);
    int rc = 0;
    for (; !rc && p.n < json_array_size(patch); p.n++)
        rc = apply(&p, json_array_get(patch, p.n));
    if (rc)
        json_decref(p.doc);
    else
        *ret = json_in(a, p.doc);
    return rc;
}
