/* Any path: it matches no row, or one whose template it is an instance of, with as many values as
 * the template has names. */
#include "common/base/str.h"
#include "common/kit/route_internal.h"
#include "tests/fuzz/replay.h"

#include <assert.h>

static int fn(struct req *req, struct res *res, struct err *err)
{
    (void)req;
    (void)res;
    (void)err;
    return 0;
}

static const struct route table[] = {
    { GET, "/", .fn = fn },
    { GET, "/api/v2/posts", .fn = fn },
    { GET, "/api/v2/posts/{id}", .fn = fn },
    { PUT, "/api/v2/posts/slug:{slug}", .fn = fn },
    { POST, "/api/v2/posts/{id}/restore", .fn = fn },
    { GET, "/api/v2/posts/{id}/revisions/{rev}", .fn = fn },
    { GET, "/schemas/{name}.json", .fn = fn },
    { GET, "/{a}/{b}/{c}/{d}", .fn = fn },
    { .path = NULL },
};
static const struct route *const tables[] = { table, NULL };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct routes *routes;
    struct err err;
    if (!routes && !(routes = routes_build(arena_new(), tables, false, &err)))
        abort();
    if (size < 1 || size > 8192)
        return 0;
    struct arena *a = arena_new();
    const char *params[route_params_max] = { NULL };
    unsigned allowed;
    const char *path = arena_strndup(a, (const char *)data + 1, size - 1);
    const struct route_leaf *leaf =
        routes_find(routes, a, (enum method)(data[0] % (METHODS_MAX_ + 1)), path, params, &allowed);
    size_t names = 0, values = 0;
    for (const char *p = leaf ? leaf->route->path : ""; *p; p++)
        names += *p == '{';
    while (values < route_params_max && params[values]) {
        assert(*params[values] && str_utf8_ok(params[values], strlen(params[values])));
        values++;
    }
    assert(names == values && (!leaf || allowed));
    arena_free(a);
    return 0;
}
