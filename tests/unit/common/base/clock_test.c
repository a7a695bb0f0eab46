#include "common/base/clock.h"

#include "common/base/str.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void formats_rfc3339(void **state)
{
    static const struct {
        int64_t us;
        const char *want;
    } cases[] = {
        { 0,                           "1970-01-01T00:00:00.000000Z" },
        { -1,                          "1969-12-31T23:59:59.999999Z" },
        { INT64_C(1771488000000001),   "2026-02-19T08:00:00.000001Z" },
        { INT64_C(951782400000000),    "2000-02-29T00:00:00.000000Z" },
        { INT64_C(-2203891200000000),  "1900-03-01T00:00:00.000000Z" },
        { INT64_C(-62135596800000000), "0001-01-01T00:00:00.000000Z" },
        { INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z" },
    };
    char out[rfc3339_len + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t back;

        rfc3339_format(cases[i].us, out);
        assert_string_equal(out, cases[i].want);
        assert_true(rfc3339_parse(out, &back));
        assert_int_equal(back, cases[i].us);
    }
}

static void parses_rfc3339(void **state)
{
    static const struct {
        const char *in;
        int64_t us; /* -7: refused */
    } cases[] = {
        { "2026-02-19T08:00:00Z",            INT64_C(1771488000000000) },
        { "2026-02-19t08:00:00z",            INT64_C(1771488000000000) },
        { "2026-02-19T10:00:00+02:00",       INT64_C(1771488000000000) },
        { "2026-02-19T02:30:00-05:30",       INT64_C(1771488000000000) },
        { "2026-02-19T08:00:00.5Z",          INT64_C(1771488000500000) },
        { "2026-02-19T08:00:00.123456789Z",  INT64_C(1771488000123456) },
        { "2024-02-29T00:00:00Z",            INT64_C(1709164800000000) },
        { "2000-02-29T00:00:00-00:00",       INT64_C(951782400000000)  },
        { "2026-02-29T00:00:00Z",            -7                        },
        { "1900-02-29T00:00:00Z",            -7                        },
        { "2026-13-01T00:00:00Z",            -7                        },
        { "2026-00-01T00:00:00Z",            -7                        },
        { "2026-04-31T00:00:00Z",            -7                        },
        { "2026-04-00T00:00:00Z",            -7                        },
        { "0000-01-01T00:00:00Z",            -7                        },
        { "0001-01-01T00:00:00+01:00",       -7                        },
        { "9999-12-31T23:59:59-01:00",       -7                        },
        { "2016-12-31T23:59:60Z",            -7                        },
        { "2026-02-19T24:00:00Z",            -7                        },
        { "2026-02-19T08:60:00Z",            -7                        },
        { "2026-02-19T08:00:00",             -7                        },
        { "2026-02-19 08:00:00Z",            -7                        },
        { "2026-02-19T08:00Z",               -7                        },
        { "2026-02-19",                      -7                        },
        { "2026-2-19T08:00:00Z",             -7                        },
        { "2026-02-19T08:00:00.Z",           -7                        },
        { "2026-02-19T08:00:00.1234567890Z", -7                        },
        { "2026-02-19T08:00:00,5Z",          -7                        },
        { "2026-02-19T08:00:00+0200",        -7                        },
        { "2026-02-19T08:00:00+24:00",       -7                        },
        { "2026-02-19T08:00:00+02:60",       -7                        },
        { "2026-02-19T08:00:00Z ",           -7                        },
        { " 2026-02-19T08:00:00Z",           -7                        },
        { "-026-02-19T08:00:00Z",            -7                        },
        { "",                                -7                        },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t us = -7;

        if (rfc3339_parse(cases[i].in, &us) != (cases[i].us != -7) || us != cases[i].us)
            fail_msg("%s gave %lld", cases[i].in, (long long)us);
    }
}

/* Against the C library, over a day of each month and many years. */
static void calendar_is_the_c_librarys(void **state)
{
    (void)state;
    for (int64_t s = -62135596800; s < 253402300799; s += 86400 * 13 + 3607) {
        time_t t = s;
        struct tm tm;
        char want[64], out[rfc3339_len + 1], http[http_date_len + 1];
        int64_t back;

        assert_non_null(gmtime_r(&t, &tm));
        (void)snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02d.000000Z",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec);
        rfc3339_format(s * 1000000, out);
        assert_string_equal(out, want);
        http_date_format(s, http);
        assert_true(http_date_parse(http, &back));
        assert_int_equal(back, s);
    }
}

/* RFC 9110 §5.6.7 */
static void http_dates(void **state)
{
    static const struct {
        const char *in;
        int64_t s;
    } cases[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT",  784111777 },
        { "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
        { "Sun Nov  6 08:49:37 1994",       784111777 },
        { "Wed Nov 16 08:49:37 1994",       784975777 },
        { "Mon, 06 Nov 1994 08:49:37 GMT",  -7        },
        { "Sun, 6 Nov 1994 08:49:37 GMT",   -7        },
        { "Sun, 06 Nov 1994 08:49:37 UTC",  -7        },
        { "Sun, 06 Nov 1994 08:49:37 GMT ", -7        },
        { "Sun, 06 nov 1994 08:49:37 GMT",  -7        },
        { "Sun, 31 Feb 1994 08:49:37 GMT",  -7        },
        { "Sun Nov 6 08:49:37 1994",        -7        },
        { "784111777",                      -7        },
        { "",                               -7        },
    };
    char out[http_date_len + 1];

    (void)state;
    clock_set_ms(INT64_C(1771488000000));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t s = -7;

        if (http_date_parse(cases[i].in, &s) != (cases[i].s != -7) || s != cases[i].s)
            fail_msg("%s gave %lld", cases[i].in, (long long)s);
    }
    clock_set_ms(0);
    http_date_format(784111777, out);
    assert_string_equal(out, "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void two_digit_years_are_at_most_fifty_ahead(void **state)
{
    int64_t s;

    (void)state;
    clock_set_ms(INT64_C(1771488000000)); /* 2026 */
    assert_true(http_date_parse("Wednesday, 01-Jan-76 00:00:00 GMT", &s));
    assert_int_equal(s, INT64_C(3345062400)); /* 2076 */
    assert_true(http_date_parse("Saturday, 01-Jan-77 00:00:00 GMT", &s));
    assert_int_equal(s, 220924800); /* 1977 */
    clock_set_ms(0);
}

static void clock_can_be_set(void **state)
{
    int64_t mono = clock_mono_us(), cpu = clock_cpu_us();

    (void)state;
    clock_set_ms(1234);
    assert_int_equal(clock_ms(), 1234);
    assert_int_equal(clock_us(), 1234000);
    clock_set_ms(0);
    assert_true(clock_ms() > INT64_C(1700000000000));
    assert_true(clock_mono_us() >= mono && clock_cpu_us() >= cpu);
}

/* RFC 9562 §5.7 */
static void uuid7_has_its_fields(void **state)
{
    char text[uuid_len + 1];
    unsigned char b[16];

    (void)state;
    uuid7(text);
    assert_int_equal(strlen(text), uuid_len);
    assert_true(uuid_parse(text, b));
    assert_int_equal(b[6] >> 4, 7);
    assert_int_equal(b[8] >> 6, 2);
    assert_in_range(uuid7_ms(b), clock_ms() - 5000, clock_ms() + 5000);
    assert_true(uuid_parse("017F22E2-79B0-7cc3-98C4-DC0C0C07398F", b));
    assert_int_equal(uuid7_ms(b), INT64_C(1645557742000));
    assert_false(uuid_parse("017F22E279B0-7CC3-98C4-DC0C0C07398F", b));
    assert_false(uuid_parse("017F22E2-79B0-7CC3-98C4-DC0C0C07398", b));
    assert_false(uuid_parse("017F22E2-79B0-7CC3-98C4-DC0C0C07398F0", b));
    assert_false(uuid_parse("017F22E2-79B0-7CC3-98C4-DC0C0C07398G", b));
    assert_false(uuid_parse("017F22E2-79B0-7CC3-98C4DDC0C0C07398F", b));
    assert_false(uuid_parse("", b));
}

static void uuid7_increases_when_the_clock_stands_or_goes_back(void **state)
{
    char last[uuid_len + 1], text[uuid_len + 1];

    (void)state;
    uuid7(last);
    for (int i = 0; i < 20000; i++) {
        if (i == 5000)
            clock_set_ms(clock_ms());
        if (i == 10000)
            clock_set_ms(1000);
        uuid7(text);
        assert_true(strcmp(last, text) < 0);
        memcpy(last, text, sizeof(last));
    }
    clock_set_ms(0);
}

enum { uuids_each = 5000 };
static char made[4][uuids_each][uuid_len + 1];

static void *make_uuids(void *arg)
{
    char(*out)[uuid_len + 1] = arg;

    for (int i = 0; i < uuids_each; i++)
        uuid7(out[i]);
    return NULL;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void uuid7_is_unique_over_threads(void **state)
{
    pthread_t t[4];
    char *all = made[0][0];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, make_uuids, made[i]), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 1; k < uuids_each; k++)
            assert_true(strcmp(made[i][k - 1], made[i][k]) < 0);
    qsort(all, sizeof(made) / (uuid_len + 1), uuid_len + 1, by_text);
    for (size_t i = 1; i < sizeof(made) / (uuid_len + 1); i++) /* the stamp alone is unique */
        assert_memory_not_equal(all + (i - 1) * (uuid_len + 1), all + i * (uuid_len + 1), 18);
}

static void randomness(void **state)
{
    unsigned char a[64] = { 0 }, b[64] = { 0 };
    unsigned seen[6] = { 0 };

    (void)state;
    random_bytes(a, sizeof(a));
    random_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    for (int i = 0; i < 6000; i++)
        seen[random_below(6)]++;
    for (size_t i = 0; i < 6; i++)
        assert_in_range(seen[i], 700, 1300); /* more than ten standard deviations */
    assert_int_equal(random_below(1), 0);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Small requests come out of a pool: what one was given, no other is. */
static void random_bytes_are_given_once(void **state)
{
    static uint64_t seen[20000];
    unsigned char odd[61], big[200];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        random_bytes(&seen[i], sizeof(seen[i]));
        random_bytes(odd, i % sizeof(odd));
        if (i % 100 == 0)
            random_bytes(big, sizeof(big));
    }
    qsort(seen, ARRAY_LEN(seen), sizeof(seen[0]), by_value);
    for (size_t i = 1; i < ARRAY_LEN(seen); i++)
        assert_true(seen[i] != seen[i - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_rfc3339),
        cmocka_unit_test(parses_rfc3339),
        cmocka_unit_test(calendar_is_the_c_librarys),
        cmocka_unit_test(http_dates),
        cmocka_unit_test(two_digit_years_are_at_most_fifty_ahead),
        cmocka_unit_test(clock_can_be_set),
        cmocka_unit_test(uuid7_has_its_fields),
        cmocka_unit_test(uuid7_increases_when_the_clock_stands_or_goes_back),
        cmocka_unit_test(uuid7_is_unique_over_threads),
        cmocka_unit_test(randomness),
        cmocka_unit_test(random_bytes_are_given_once),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
