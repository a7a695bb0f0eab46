#include "common/kit/provider.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <assert.h>

static const struct status_row defaults[] = {
    { 0,   0,   OUT_RETRY  },
    { 200, 299, OUT_OK     },
    { 408, 408, OUT_RETRY  },
    { 425, 425, OUT_RETRY  },
    { 429, 429, OUT_RETRY  },
    { 500, 599, OUT_RETRY  },
    { 401, 401, OUT_CONFIG },
    { 403, 404, OUT_CONFIG },
    { 410, 410, OUT_CONFIG },
};

const char *outcome_name(enum outcome o)
{
    static const char *const names[] = { "ok", "retry", "rejected", "config" };
    assert((size_t)o < ARRAY_LEN(names));
    return names[o];
}

enum outcome provider_outcome(const struct provider *p, int status)
{
    for (const struct status_row *r = p->status; r && r->from; r++)
        if (status >= r->from && status <= r->to)
            return r->outcome;
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (status >= defaults[i].from && status <= defaults[i].to)
            return defaults[i].outcome;
    return OUT_REJECTED;
}

int64_t retry_after_ms(const char *value, int64_t now_ms, int64_t max_ms)
{
    int64_t s;
    if (!value)
        return 0;
    size_t digits = strspn(value, "0123456789");
    if (digits && !value[digits]) {
        if (!str_to_i64(value, 0, max_ms / 1000, &s))
            return max_ms; /* more than can be said */
        return s * 1000;
    }
    if (!http_date_parse(value, &s) || s * 1000 <= now_ms)
        return 0;
    return s * 1000 - now_ms < max_ms ? s * 1000 - now_ms : max_ms;
}
