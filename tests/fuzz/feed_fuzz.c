/* Any cursor of the feed of changes: what is taken is written as it was read, and everything else
 * is refused with the name of the parameter. */
#include "common/base/str.h"
#include "common/kit/crud_changes_int.h"
#include "tests/fuzz/replay.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const readers[] = { "public", "own7", "all", "" };
    static const int64_t now_us = INT64_C(1800000000000000);
    if (size < 1 || size > 4096)
        return 0;
    struct arena *a = arena_new();
    const char *reader = readers[data[0] % ARRAY_LEN(readers)];
    const char *text = arena_strndup(a, (const char *)data + 1, size - 1);
    struct changes_place p, again;
    struct err err = { 0 };
    int rc = changes_place_read(a, text, reader, now_us, &p, &err);
    if (rc) {
        assert(rc == -E_invalid_parameter || rc == -E_gone);
        assert(str_eq(err.pointer, "since") && *err.msg);
    } else {
        const char *made = changes_place_text(a, &p, reader);
        assert(changes_place_read(a, made, reader, now_us, &again, &err) == 0);
        assert(again.at_us == p.at_us && again.id == p.id && again.whole_s == p.whole_s);
        assert(p.at_us >= 0 && p.id >= 0 && str_ends(text, reader));
    }
    arena_free(a);
    return 0;
}
