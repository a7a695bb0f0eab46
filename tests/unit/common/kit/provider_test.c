/* proves: W-03 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/kit/provider.h"

enum { day_ms = 24 * 3600 * 1000 };

static void statuses_have_default_meanings(void **state)
{
    static const struct {
        int status;
        enum outcome want;
    } cases[] = {
        { 0,   OUT_RETRY    },
        { 200, OUT_OK       },
        { 204, OUT_OK       },
        { 299, OUT_OK       },
        { 301, OUT_REJECTED },
        { 400, OUT_REJECTED },
        { 401, OUT_CONFIG   },
        { 403, OUT_CONFIG   },
        { 404, OUT_CONFIG   },
        { 408, OUT_RETRY    },
        { 410, OUT_CONFIG   },
        { 422, OUT_REJECTED },
        { 429, OUT_RETRY    },
        { 500, OUT_RETRY    },
        { 503, OUT_RETRY    },
        { 999, OUT_REJECTED },
    };
    const struct provider p = { .name = "x" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(provider_outcome(&p, cases[i].status), cases[i].want);
}

static void a_provider_rows_come_first(void **state)
{
    static const struct status_row rows[] = {
        { 409, 409, OUT_OK },
        { 400, 499, OUT_RETRY },
        { 0 }
    };
    const struct provider p = { .name = "x", .status = rows };
    (void)state;
    assert_int_equal(provider_outcome(&p, 409), OUT_OK);
    assert_int_equal(provider_outcome(&p, 401), OUT_RETRY);
    assert_int_equal(provider_outcome(&p, 200), OUT_OK);
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    static const struct {
        const char *value;
        int64_t want;
    } cases[] = {
        { NULL,                            0      },
        { "",                              0      },
        { "0",                             0      },
        { "120",                           120000 },
        { "86400",                         day_ms },
        { "86401",                         day_ms },
        { "99999999999999999999",          day_ms },
        { "-1",                            0      },
        { "1.5",                           0      },
        { "soon",                          0      },
        { "Thu, 01 Jan 1970 00:16:50 GMT", 10000  },
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0      },
        { "Fri, 01 Jan 2100 00:00:00 GMT", day_ms },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (retry_after_ms(cases[i].value, 1000000, day_ms) != cases[i].want)
            fail_msg("%s", cases[i].value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_have_default_meanings),
        cmocka_unit_test(a_provider_rows_come_first),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
