/*
 * The other forms of any JSON: what comes of well-formed text is well formed too (JSON-LD parses
 * again, XML's tags are balanced and hold no control characters, CSV's rows are equally long); of
 * anything else something comes, and nothing breaks.
 */
#include "common/base/arena.h"
#include "common/base/json.h"
#include "common/base/str.h"
#include "common/kit/repr.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { xml_depth_max = 1024, out_bytes_max = 8 * 1024 * 1024 };

static void check_xml(const char *s)
{
    struct {
        const char *name;
        size_t n;
    } open[xml_depth_max];
    size_t depth = 0;
    for (const char *p = s; *p; p++)
        assert((unsigned char)*p >= 0x20 || *p == '\n' || *p == '\t');
    s = strstr(s, "?>") + 2;
    for (const char *p = s; (p = strchr(p, '<')); p++) {
        const char *end = strchr(p, '>');
        assert(end && !memchr(p + 1, '<', (size_t)(end - p - 1)));
        bool close = p[1] == '/';
        const char *name = p + 1 + close;
        size_t n = strcspn(name, " />");
        assert(n);
        if (close) {
            assert(depth && open[depth - 1].n == n && !memcmp(open[depth - 1].name, name, n));
            depth--;
        } else if (end[-1] != '/') {
            assert(depth < xml_depth_max);
            open[depth].name = name;
            open[depth++].n = n;
        }
    }
    assert(depth == 0);
}

static void check_csv(const char *s)
{
    size_t columns = 0, want = 0, rows = 0;
    bool quoted = false;
    for (const char *p = s; *p; p++) {
        if (*p == '"')
            quoted = !quoted;
        if (quoted)
            continue;
        columns += *p == ',';
        if (*p != '\n')
            continue;
        assert(p > s && p[-1] == '\r');
        assert(!rows || columns == want);
        want = columns;
        columns = 0;
        rows++;
    }
    assert(!quoted && rows);
}

static void check(enum repr r, const struct buf *out)
{
    json_t *tree;
    if (r == REPR_XML) {
        check_xml(out->data);
    } else if (r == REPR_CSV) {
        check_csv(out->data);
    } else {
        tree = json_loadb(out->data, out->len, JSON_DECODE_INT_AS_REAL, NULL);
        assert(tree && json_object_get(tree, "@context"));
        json_decref(tree);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum repr forms[] = { REPR_JSONLD, REPR_XML, REPR_CSV };
    if (size < 2 || size > 64 * 1024)
        return 0;
    struct arena *a = arena_new();
    struct err err;
    json_t *tree;
    const char *text = (const char *)data + 1;
    size_t n = size - 1;
    /* What we convert is I-JSON of ours: an object or a list of objects, in an envelope or not. */
    bool good = json_parse(a, text, n, &tree, &err) == 0 &&
                json_is_object(json_is_array(tree) ? json_array_get(tree, 0) : tree);
    struct repr_source src = { .entity = entities[data[0] % 7],
                               .base = "https://cms.test",
                               .fields = data[0] & 0x80 ? "id,title" : NULL,
                               .json = js_of(text, n) };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct buf out;
        buf_init(&out, a, 256, out_bytes_max);
        if (repr_write(forms[i], &src, &out, &err) == 0 && good)
            check(forms[i], &out);
    }
    struct buf out;
    buf_init(&out, a, 256, out_bytes_max);
    repr_problem_xml(src.json, &out);
    if (good && !out.overflow)
        check_xml(out.data);
    arena_free(a);
    return 0;
}
