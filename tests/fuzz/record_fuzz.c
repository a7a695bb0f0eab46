/* Any message of api.requests: what the reader takes is JSON that a reader of trees takes too, with
 * the same rows, and is shown as JSON; all else is refused as invalid. */
#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/base/str.h"
#include "services/analytics/record.h"
#include "tests/fuzz/replay.h"

#include <assert.h>

static void same_row(const json_t *want, const struct record *r)
{
    assert(json_array_size(want) >= RR_MAX_);
    for (size_t i = 0; i < RR_MAX_; i++) {
        const json_t *v = json_array_get(want, i);
        if (json_is_string(v))
            assert(str_eq(json_string_value(v), r->text[i]) && !r->number[i]);
        else
            assert(json_is_integer(v) && json_integer_value(v) == r->number[i] && !*r->text[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch b;
    struct buf shown;
    struct err err = { 0 };
    if (size > 65536)
        return 0;
    struct arena *a = arena_new();
    int rc = batch_read(a, (const char *)data, size, &b, &err);
    assert(!rc || (rc == -E_invalid && *err.msg));
    if (!rc) {
        json_t *tree =
            json_in(a, json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL));
        const json_t *rows = json_object_get(tree, "rows");
        assert(str_eq(json_string_value(json_object_get(tree, "program")), b.program));
        assert(json_integer_value(json_object_get(tree, "dropped")) == b.dropped);
        assert(json_array_size(rows) == b.n && b.n <= request_batch_rows_max);
        for (size_t i = 0; i < b.n; i++) {
            same_row(json_array_get(rows, i), &b.rows[i]);
            buf_init(&shown, a, 512, 16384);
            record_json(&shown, &b, &b.rows[i]);
            json_in(a, json_loads(shown.data, 0, NULL));
        }
    }
    arena_free(a);
    return 0;
}
