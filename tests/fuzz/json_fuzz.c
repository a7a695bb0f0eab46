/* json_parse takes what jansson's reader does, but for its depth and for a NUL behind a number,
 * which jansson passes over; and whatever it takes is written as a text that reads back to an equal
 * tree. */
#include "common/base/json.h"
#include "common/base/str.h"
#include "tests/fuzz/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    const char *text = (const char *)data;
    json_t *v = NULL, *again = NULL, *merged;
    struct err err = { 0 };
    json_t *its = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    struct buf b;

    if (json_parse(a, text, size, &v, &err) == 0) {
        if (!str_utf8_ok(text, size) || !json_equal(v, its))
            abort();
        buf_init(&b, a, 16, (size_t)1 << 26);
        json_write(&b, v);
        if (b.overflow || json_parse(a, b.data, b.len, &again, &err) != 0 || !json_equal(v, again))
            abort();
        if (json_exact(a, text, size, &err) && err.code != E_invalid_json)
            abort();
        merged = json_in(a, json_merge_patch(v, v));
        if (!json_is_object(v) && !json_equal(merged, v))
            abort();
    } else if (err.code != E_invalid_json || !str_utf8_ok(err.msg, strlen(err.msg)) ||
               (its && str_utf8_ok(text, size) && !strstr(err.msg, "Nesting is too deep"))) {
        abort();
    }
    json_decref(its);
    arena_free(a);
    return 0;
}
