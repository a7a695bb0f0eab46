/* Any query string: the parser says no or the composed statement has as many parameters as values,
 * and no byte of the input beside numbers. */
#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/kit/route.h"
#include "common/kit/sqlgen.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { args_max = 40 };

static size_t split(struct arena *a, const char *p, const char *end, struct query_arg *args)
{
    size_t n = 0;
    while (p < end && n < args_max) {
        const char *stop = memchr(p, '&', (size_t)(end - p));
        stop = stop ? stop : end;
        const char *eq = memchr(p, '=', (size_t)(stop - p));
        char *name, *value;
        if (eq && url_decode(a, p, (size_t)(eq - p), true, &name) &&
            url_decode(a, eq + 1, (size_t)(stop - eq - 1), true, &value))
            args[n++] = (struct query_arg){ name, value };
        p = stop + 1;
    }
    return n;
}

static void check(const struct sqlgen_text *t)
{
    size_t most = 0;
    for (const char *p = t->sql; *p; p++)
        if (*p == '$') {
            size_t v = strtoul(p + 1, NULL, 10);
            most = v > most ? v : most;
        }
    assert(most == t->nparams);
    assert(!strstr(t->sql, "--") && !strchr(t->sql, ';'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 8192)
        return 0;
    struct arena *a = arena_new();
    struct query_arg args[args_max];
    struct query q;
    struct err err;
    const struct entity_def *e = entities[data[0] % 7];
    enum vis_class vc = (enum vis_class)(data[1] % VC_MAX_);
    const char *text = arena_strndup(a, (const char *)data + 2, size - 2);
    size_t n = split(a, text, text + strlen(text), args);
    if (query_parse(a, e, vc, QUERY_LIST, args, n, &q, &err) == 0) {
        struct sqlgen_text t;
        sqlgen_list(a, &(struct sqlgen_who){ e, vc, 7 }, &q, sqlgen_has_total(e, vc, &q), &t);
        check(&t);
        sqlgen_count(a, &(struct sqlgen_who){ e, vc, 7 }, &q, false, &t);
        check(&t);
    } else {
        assert(err.code == E_invalid_parameter && *err.msg);
    }
    arena_free(a);
    return 0;
}
