/* Any message of api.requests: what the reader takes is JSON that a reader of trees takes too, with
 * the same rows, and is shown as JSON; all else is refused as invalid. */
#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/base/str.h"
#include "services/analytics/record.h"
#include "tests/fuzz/replay.h"

#include <assert.h>

static void same_value(const json_t *want, const struct record *r, size_t i)
{
    if (json_is_string(want))
        assert(str_eq(json_string_value(want), r->text[i]));
    else
        assert(json_is_integer(want) && json_integer_value(want) == r->number[i]);
}

/* `said`: which fields a row of version 2 has; those of version 1 are whole. */
static void same_rows(const json_t *rows, bool whole, const struct batch *b)
{
    const json_t *now[RR_MAX_] = { NULL };
    assert(json_array_size(rows) == b->n && b->n <= request_batch_rows_max);
    for (size_t k = 0; k < b->n; k++) {
        const json_t *row = json_array_get(rows, k);
        size_t at = whole ? 0 : 1;
        json_int_t said = whole ? request_record_all : json_integer_value(json_array_get(row, 0));
        for (size_t i = 0; i < RR_MAX_; i++) {
            if (said >> i & 1)
                now[i] = json_array_get(row, at++);
            same_value(now[i], &b->rows[k], i);
        }
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
        same_rows(rows, json_integer_value(json_object_get(tree, "v")) == request_record_whole, &b);
        for (size_t i = 0; i < b.n; i++) {
            buf_init(&shown, a, 512, 16384);
            record_json(&shown, &b, &b.rows[i]);
            json_in(a, json_loads(shown.data, 0, NULL));
        }
    }
    arena_free(a);
    return 0;
}
