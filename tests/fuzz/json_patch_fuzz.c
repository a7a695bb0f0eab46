/* Any document and any patch ("document\npatch"): refused, or a document within the limits that
 * prints and reads back the same; the document given stays as it is. */
#include "common/base/json_patch.h"

#include "common/base/str.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { text_bytes_max = 64 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *split = size && size <= text_bytes_max ? memchr(text, '\n', size) : NULL;
    if (!split)
        return 0;
    struct arena *a = arena_new();
    struct err err = { 0 };
    json_t *doc, *patch, *got;
    size_t head = (size_t)(split - text);
    if (json_parse(a, text, head, &doc, &err) == 0 &&
        json_parse(a, split + 1, size - head - 1, &patch, &err) == 0) {
        json_t *before = json_in(a, json_deep_copy(doc));
        if (json_patch(a, doc, patch, &got, &err) == 0) {
            json_t *again;
            const char *out = json_text(a, got);
            assert(json_same(got, got));
            if (json_parse(a, out, strlen(out), &again, &err) == 0)
                assert(json_same(got, again));
            else
                assert(!json_is_object(got) && !json_is_array(got) && !*out);
        } else {
            assert(*err.msg);
        }
        assert(json_equal(doc, before));
        const char *pointer = json_string_value(patch);
        if (pointer)
            assert(json_pointer_ok(pointer) || !json_pointer_get(doc, pointer));
    }
    arena_free(a);
    return 0;
}
