/* Any CMS365_DEPRECATIONS: refused with a reason, or dates of things there are, none of which ends
 * before it begins. */
#include "common/base/str.h"
#include "common/kit/route_internal.h"
#include "tests/fuzz/replay.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 8192)
        return 0;
    struct arena *a = arena_new();
    struct deprecation_dates dates[deprecations_max] = { 0 };
    struct err err = { 0 };
    int rc = deprecation_read(a, arena_strndup(a, (const char *)data, size), dates, &err);
    assert(rc == 0 || (rc == -E_config && str_starts(err.msg, "CMS365_DEPRECATIONS: ")));
    for (size_t i = 0; i < deprecations_max; i++)
        assert(dates[i].sunset_s >= dates[i].since_s);
    arena_free(a);
    return 0;
}
