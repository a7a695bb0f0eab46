/* Limits without Redis: which apply, what is said, and a replica that is alone.  With Redis:
 * tests/integration/common/kit/limit_test.c. */
#include "common/kit/limit_internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena *a;

static int setup(void **state)
{
    (void)state;
    log_init("limit_test", LOG_ERROR);
    a = arena_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    clock_set_ms(0);
    arena_free(a);
    return 0;
}

static const struct limits_conf all = {
    .program = "test",
    .rate = { [POLICY_KEY] = 100,
             [POLICY_CLIENT] = 200,
             [POLICY_USER] = 300,
             [POLICY_NETWORK] = 10,
             [POLICY_TOKEN] = 20,
             [POLICY_LOGIN] = 5,
             [POLICY_DOCS] = 40 }
};

/* proves: N-04, AU-11 */
static void policies_follow_who_asks(void **state)
{
    (void)state;
    static const struct {
        enum limit_class cls;
        struct principal who;
        const char *policy; /* RateLimit-Policy */
    } cases[] = {
        { LIMIT_API,   { .key_id = 3, .user_id = 7 },                              "\"key\";q=100;w=60, \"user\";q=300;w=60" },
        { LIMIT_API,
         { .key_id = 3, .user_id = 8, .rate_limit = 9 },
         "\"key\";q=9;w=60, \"user\";q=300;w=60"                                                                             },
        { LIMIT_API,
         { .key_id = 4, .user_id = 9, .quota_monthly = 5000 },
         "\"key\";q=100;w=60, \"month\";q=5000;w=2419200, \"user\";q=300;w=60"                                               },
        { LIMIT_API,
         { .client_id = 5, .user_id = 7 },
         "\"client\";q=200;w=60, \"user\";q=300;w=60"                                                                        },
        { LIMIT_API,
         { .client_id = 6, .user_id = 7, .rate_limit = 12, .quota_monthly = 900 },
         "\"client\";q=12;w=60, \"client-month\";q=900;w=2419200, \"user\";q=300;w=60"                                       },
        { LIMIT_DOCS,  { .key_id = 3, .user_id = 7 },                              "\"docs\";q=40;w=60"                      },
        { LIMIT_API,   { .client_id = 5 },                                         "\"client\";q=200;w=60"                   },
        { LIMIT_API,   { .user_id = 0 },                                           "\"network\";q=10;w=60"                   },
        { LIMIT_TOKEN, { .user_id = 0 },                                           "\"token\";q=20;w=60"                     },
        { LIMIT_LOGIN, { .user_id = 0 },                                           "\"login\";q=5;w=60"                      },
        { LIMIT_NONE,  { .key_id = 3, .user_id = 7 },                              ""                                        },
    };
    struct limits *l = limits_new(&all);
    clock_set_ms(1770000000000); /* in February 2026 */
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct limit_answer x;
        struct err err = { 0 };
        const struct limit_request r = { cases[i].cls, 1, &cases[i].who, "192.0.2.1" };
        int rc = limits_take(l, a, &r, &x, &err);
        /* Without Redis tokens are not issued. */
        assert_int_equal(rc, cases[i].cls == LIMIT_TOKEN ? -E_unavailable : 0);
        if (rc == 0)
            assert_string_equal(limit_policy_header(a, &x), cases[i].policy);
    }
    clock_set_ms(0);
    limits_free(l);
}

static int take(struct limits *l, const struct principal *who, unsigned cost, const char *addr,
                struct limit_answer *x, struct err *err)
{
    const struct limit_request r = { LIMIT_API, cost, who, addr };
    return limits_take(l, a, &r, x, err);
}

/* proves: N-04, N-06 */
static void a_replica_alone_has_its_part(void **state)
{
    (void)state;
    struct limits *l = limits_new(&all);
    const struct principal who = { .key_id = 3, .rate_limit = 90 };
    struct limit_answer x;
    struct err err = { 0 };
    int let = 0;
    l->replicas = 3;
    for (int i = 0; i < 200; i++)
        let += take(l, &who, 1, "", &x, &err) == 0;
    assert_int_equal(let, 30);
    assert_int_equal(err.code, E_rate_limited);
    assert_int_equal(x.refused, 0);
    assert_true(err.retry_after_s >= 1 && err.retry_after_s <= limit_window_s);
    assert_string_equal(limit_header(a, &x),
                        arena_printf(a, "\"key\";r=0;t=%u", err.retry_after_s));
    limits_free(l);
}

static void cheap_requests_go_when_dear_ones_do_not(void **state)
{
    (void)state;
    struct limits *l = limits_new(&all);
    const struct principal who = { .key_id = 3, .rate_limit = 12 };
    struct limit_answer x;
    struct err err = { 0 };
    assert_int_equal(take(l, &who, 5, "", &x, &err), 0);
    assert_int_equal(take(l, &who, 5, "", &x, &err), 0);
    assert_int_equal(take(l, &who, 5, "", &x, &err), -E_rate_limited);
    assert_int_equal(take(l, &who, 2, "", &x, &err), 0);
    assert_int_equal(x.states[0].remaining, 0);
    limits_free(l);
}

/* What one policy refuses costs nothing of the others. */
static void a_refusal_takes_nothing(void **state)
{
    (void)state;
    struct limits *l = limits_new(&all);
    const struct principal few = { .key_id = 3, .user_id = 7, .rate_limit = 2 };
    const struct principal many = { .key_id = 4, .user_id = 7 };
    struct limit_answer x;
    struct err err = { 0 };
    for (int i = 0; i < 50; i++)
        assert_int_equal(take(l, &few, 1, "", &x, &err), i < 2 ? 0 : -E_rate_limited);
    assert_int_equal(take(l, &many, 1, "", &x, &err), 0);
    assert_int_equal(x.states[1].policy, POLICY_USER);
    assert_int_equal(x.states[1].remaining, 300 - 3);
    limits_free(l);
}

/* proves: AU-11 */
static void networks_are_an_address_or_a_64(void **state)
{
    (void)state;
    static const struct {
        const char *addr;
        int left; /* of 10, before */
    } cases[] = {
        { "192.0.2.1",            10 },
        { "192.0.2.2",            10 },
        { "::ffff:192.0.2.1",     9  },
        { "2001:db8::1",          10 },
        { "2001:db8:0:0:ffff::1", 9  },
        { "2001:db8:0:1::1",      10 },
        { "192.0.2.1",            8  },
        { "no address",           10 },
        { "",                     9  },
    };
    struct limits *l = limits_new(&all);
    const struct principal nobody = { .user_id = 0 };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct limit_answer x;
        struct err err = { 0 };
        assert_int_equal(take(l, &nobody, 1, cases[i].addr, &x, &err), 0);
        if (x.states[0].remaining != cases[i].left - 1)
            fail_msg("%s: %lld left", cases[i].addr, (long long)x.states[0].remaining);
    }
    limits_free(l);
}

static void months_are_those_of_the_calendar(void **state)
{
    (void)state;
    static const struct {
        const char *at, *end;
        int64_t label;
    } cases[] = {
        { "2026-02-19T08:00:00Z",     "2026-03-01T00:00:00Z", 202602 },
        { "2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00Z", 202612 },
        { "2028-02-29T00:00:00Z",     "2028-03-01T00:00:00Z", 202802 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t at, end;
        assert_true(rfc3339_parse(cases[i].at, &at) && rfc3339_parse(cases[i].end, &end));
        struct limit_span s = limit_span(0, at / 1000);
        assert_int_equal(s.label, cases[i].label);
        assert_int_equal(s.end_ms, end / 1000);
        assert_true(s.start_ms <= at / 1000 && at / 1000 < s.end_ms);
    }
}

/* proves: N-04 */
static void quotas_tell_of_80_and_100_percent(void **state)
{
    (void)state;
    struct limits *l = limits_new(&all);
    const struct principal who = { .key_id = 9, .rate_limit = 1000, .quota_monthly = 10 };
    struct limit_answer x;
    struct err err = { 0 };
    struct quota_use *list;
    for (int i = 1; i <= 7; i++)
        assert_int_equal(take(l, &who, 1, "", &x, &err), 0);
    assert_false(limits_quota_urgent(l));
    assert_int_equal(limits_quotas(l, a, 10, &list), 1);
    assert_int_equal(list[0].key_id, 9);
    assert_int_equal(list[0].used, 7);
    limits_quotas_told(l, list, 1);
    assert_int_equal(limits_quotas(l, a, 10, &list), 0);
    assert_int_equal(take(l, &who, 1, "", &x, &err), 0);
    assert_true(limits_quota_urgent(l));
    assert_int_equal(take(l, &who, 5, "", &x, &err), -E_quota_exceeded);
    assert_int_equal(limits_quotas(l, a, 10, &list), 1);
    assert_true(list[0].exceeded);
    assert_string_equal(limits_quotas_json(a, list, 1),
                        arena_printf(a,
                                     "{\"quotas\":[{\"key_id\":9,\"month\":%d,\"used\":8,"
                                     "\"exceeded\":true}]}",
                                     list[0].month));
    limits_free(l);
}

/* More windows than there is room: the oldest are forgotten, and nothing breaks. */
static void the_table_is_bounded(void **state)
{
    (void)state;
    struct limits *l = limits_new(&all);
    struct limit_answer x;
    struct err err = { 0 };
    for (int64_t i = 1; i <= 3 * limit_entries; i++) {
        const struct principal who = { .key_id = i };
        assert_int_equal(take(l, &who, 1, "", &x, &err), 0);
        if (i % 1000 == 0)
            arena_reset(a);
    }
    limits_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_follow_who_asks),
        cmocka_unit_test(a_replica_alone_has_its_part),
        cmocka_unit_test(cheap_requests_go_when_dear_ones_do_not),
        cmocka_unit_test(a_refusal_takes_nothing),
        cmocka_unit_test(networks_are_an_address_or_a_64),
        cmocka_unit_test(months_are_those_of_the_calendar),
        cmocka_unit_test(quotas_tell_of_80_and_100_percent),
        cmocka_unit_test(the_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
