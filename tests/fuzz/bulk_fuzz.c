/* Any body of a bulk: refused as a whole, or operations each of which is complete or marked as bad,
 * and a filter whose parts are parameters as a list has them. */
#include "common/base/json.h"
#include "common/base/str.h"
#include "common/kit/crud_bulk_int.h"
#include "tests/fuzz/replay.h"

#include <assert.h>

enum { args_max = 60 };

static void check_items(const struct bulk *b)
{
    assert(b->n <= bulk_ops_max);
    for (size_t i = 0; i < b->n; i++) {
        const struct bulk_item *it = &b->items[i];
        assert(it->op < BULK_OPS_MAX_ && it->at && it->bad == (it->err.code != E_OK));
        bool by_id = it->op == BULK_UPDATE || it->op == BULK_DELETE || it->op == BULK_RESTORE;
        assert(it->bad || by_id == (it->id != NULL));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 64 * 1024)
        return 0;
    struct arena *a = arena_new();
    struct req req = {
        .arena = a, .who = { .user_id = 7, .role = ROLE_EDITOR }
    };
    struct bulk b = { .req = &req, .e = entities[data[0] % 7] };
    struct query_arg args[args_max];
    struct query q;
    struct err err = { 0 };
    json_t *body;
    size_t n;
    if (json_parse(a, (const char *)data + 1, size - 1, &body, &err) == 0) {
        if (bulk_read(&b, body, &err))
            assert(err.code && *err.msg);
        else if (!b.filter)
            check_items(&b);
        else if (bulk_read_filter(&b, args, args_max, &n, &err) == 0 &&
                 query_parse(a, b.e, &req.who, QUERY_LIST, args, n, &q, &err) < 0)
            assert(err.code == E_invalid_parameter && *err.msg);
    }
    arena_free(a);
    return 0;
}
