/* Any Accept and Accept-Encoding: an answer in bounds, the same twice, and never what is refused.
 */
#include "common/base/arena.h"
#include "common/kit/route_internal.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = { "application/json", "application/ld+json",
                                         "application/xml", "text/xml", "text/csv" };
    const size_t n = ARRAY_LEN(types);
    if (size > header_bytes_max)
        return 0;
    struct arena *a = arena_new();
    const char *text = arena_strndup(a, (const char *)data, size);
    bool plain;
    for (int64_t version = -1; version <= 2; version++) {
        size_t best = accept_best(text, types, n, version);
        assert(best <= n && best == accept_best(text, types, n, version));
        if (best < n) /* without what is better, it stays acceptable */
            assert(accept_best(text, &types[best], 1, version) == 0);
    }
    int64_t asked = accept_version(text);
    assert(asked >= -1 && asked == accept_version(text));
    enum coding c = accept_coding(text, &plain);
    assert(c < CODINGS_MAX_);
    arena_free(a);
    return 0;
}
