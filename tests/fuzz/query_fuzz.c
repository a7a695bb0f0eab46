/* Any query string: the parser says no or the composed statement has as many parameters as values,
 * and no byte of the input beside numbers. */
#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
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

/* What was sent is no cursor of ours (the key is not the fuzzer's), but one that was made is read
 * back as it was. */
static void follow_cursors(struct arena *a, const struct entity_def *e,
                           const struct query_arg *args, size_t n, struct query *q)
{
    static struct keyring *keys;
    struct err err;
    const char *made;
    if (!keys && keyring_parse("k:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &keys, &err))
        abort();
    const struct query_scope s = { keys, e, 7, args, n };
    struct query_place p = { .set = true, .back = n & 1, .inclusive = n & 2 };
    for (size_t i = 0; i < q->nsort; i++)
        p.keys[i] = query_nullable(q->sort[i].field) && i & 1 ? NULL : args[i % n].value;
    if (*q->cursor)
        assert(query_open_cursor(a, &s, q, &err) < 0 && str_eq(err.pointer, "cursor"));
    if (query_make_cursor(a, &s, q, &p, &made, &err) < 0)
        return;
    q->cursor = made;
    assert(query_open_cursor(a, &s, q, &err) == 0);
    assert(q->place.back == p.back && q->place.inclusive == p.inclusive && q->place.set);
    for (size_t i = 0; i < q->nsort; i++)
        assert(str_eq(q->place.keys[i], p.keys[i]));
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
    static const struct principal readers[] = {
        { .role = ROLE_NONE },
        { .user_id = 7, .role = ROLE_MEMBER },
        { .user_id = 7, .role = ROLE_AUTHOR },
        { .user_id = 7, .role = ROLE_EDITOR },
        { .user_id = 7, .role = ROLE_ADMIN, .scopes = (scope_set)1 << S_api_admin },
    };
    const struct principal *who = &readers[data[1] % ARRAY_LEN(readers)];
    const char *text = arena_strndup(a, (const char *)data + 2, size - 2);
    size_t n = split(a, text, text + strlen(text), args);
    if (query_parse(a, e, who, QUERY_LIST, args, n, &q, &err) == 0) {
        struct sqlgen_text t;
        const struct sqlgen_who reader = { e, q.vc, 7 };
        bool counts = sqlgen_has_total(e, q.vc, &q);
        if (q.paging == PAGING_CURSOR)
            follow_cursors(a, e, args, n, &q);
        sqlgen_list(a, &reader, &q, counts ? SQLX_TOTAL : SQLX_SNAPSHOT, &t);
        check(&t);
        sqlgen_count(a, &reader, &q, TOTAL_ROWS, &t);
        check(&t);
        sqlgen_ids(a, &reader, &q, 100, &t);
        check(&t);
    } else {
        assert(err.code == E_invalid_parameter && *err.msg);
    }
    arena_free(a);
    return 0;
}
