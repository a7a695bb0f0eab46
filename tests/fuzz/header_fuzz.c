/* Any value of the headers that a request is judged by: entity tags, dates, Prefer, Cookie,
 * Retry-After.  What is taken is what was written, and nothing beyond the text is read. */
#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/prefer.h"
#include "common/kit/provider.h"
#include "common/kit/route.h"
#include "common/kit/session.h"
#include "tests/fuzz/replay.h"

#include <assert.h>

static void check_tags(const char *text)
{
    int64_t versions[condition_tags_max];
    size_t n = 0, quotes = 0;
    bool any;
    bool ok = etag_versions(text, &any, versions, ARRAY_LEN(versions), &n);
    assert(n <= ARRAY_LEN(versions) && (!any || (ok && !n)));
    for (size_t i = 0; i < n; i++)
        assert(versions[i] >= 0);
    for (const char *p = text; *p; p++)
        quotes += *p == '"';
    assert(!ok || quotes % 2 == 0);
    assert(quotes >= 2 * n);
}

static void check_times(const char *text)
{
    char out[rfc3339_len + 1], date[http_date_len + 1];
    int64_t us, again;
    if (rfc3339_parse(text, &us)) {
        rfc3339_format(us, out);
        assert(rfc3339_parse(out, &again) && again == us);
    }
    if (http_date_parse(text, &us)) {
        http_date_format(us, date);
        assert(http_date_parse(date, &again) && again == us);
    }
    int64_t ms = retry_after_ms(text, INT64_C(1800000000000), 60000);
    assert(ms >= 0 && ms <= 60000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 8192)
        return 0;
    struct arena *a = arena_new();
    const char *text = arena_strndup(a, (const char *)data, size);
    struct prefer p;
    check_tags(text);
    check_times(text);
    prefer_parse(a, text, &p);
    assert(p.answer <= PREFER_REPRESENTATION);
    const char *value = cookie_find(a, text, "cms365_session");
    assert(!value || (strstr(text, "cms365_session") && strlen(value) < size));
    arena_free(a);
    return 0;
}
