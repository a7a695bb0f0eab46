/* Schedule, patterns, secrets. proves: W-03, W-08, X-06 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/str.h"
#include "common/io/crypto.h"
#include "services/webhooks-out/schedule.h"
#include "services/webhooks-out/webhooks.h"

static void waits_double_with_a_fifth_of_jitter(void **state)
{
    static const struct {
        int64_t base;
        unsigned attempt, random;
        int64_t after, want;
    } cases[] = {
        { 5000,    1,    500,  0,         5000              },
        { 5000,    1,    0,    0,         4000              },
        { 5000,    1,    1000, 0,         6000              },
        { 5000,    2,    500,  0,         10000             },
        { 5000,    3,    500,  0,         20000             },
        { 5000,    4,    500,  0,         40000             },
        { 5000,    5,    500,  0,         80000             },
        { 5000,    5,    1000, 0,         96000             },
        { 5000,    1,    500,  120000,    120000            }, /* Retry-After is later */
        { 5000,    5,    500,  1000,      80000             }, /* or sooner: the schedule holds */
        { 5000,    1,    0,    INT64_MAX, retry_wait_ms_max },
        { 3600000, 20,   500,  0,         retry_wait_ms_max },
        { 3600000, 1000, 1000, 0,         retry_wait_ms_max },
        { 1,       1,    0,    0,         0                 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (retry_wait_ms(cases[i].base, cases[i].attempt, cases[i].random, cases[i].after) !=
            cases[i].want)
            fail_msg("case %zu", i);
}

static void patterns_are_those_of_known_events(void **state)
{
    static const struct {
        const char *pattern;
        bool known;
    } cases[] = {
        { "*",                     true  },
        { "post.*",                true  },
        { "post.published",        true  },
        { "user.created",          true  },
        { "expert.*",              true  },
        { "webhook.*",             true  },
        { "webhook.endpoint.*",    true  },
        { "webhook.delivery.dead", true  },
        { "key.revoked",           true  },
        { "",                      false },
        { ".*",                    false },
        { "**",                    false },
        { "post",                  false },
        { "post.",                 false },
        { "post*",                 false },
        { "post.exploded",         false },
        { "pos.*",                 false },
        { "*.created",             false },
        { "POST.*",                false },
        { "post.published.*",      false },
        { "company.published",     false },
        { "key.state",             false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (pattern_known(cases[i].pattern) != cases[i].known)
            fail_msg("%s", cases[i].pattern);
}

static void an_event_matches_its_prefixes(void **state)
{
    const char *p[patterns_max];
    struct arena *a = arena_new();
    (void)state;
    assert_int_equal(patterns_of(a, "post.published", p), 3);
    assert_string_equal(p[0], "*");
    assert_string_equal(p[1], "post.*");
    assert_string_equal(p[2], "post.published");
    assert_int_equal(patterns_of(a, "webhook.endpoint.disabled", p), 4);
    assert_string_equal(p[1], "webhook.*");
    assert_string_equal(p[2], "webhook.endpoint.*");
    arena_free(a);
}

static void secrets_open_in_their_own_row_only(void **state)
{
    struct keyring *k;
    struct err err;
    char secret[secret_text_max], other[secret_text_max];
    const char *opened;
    struct arena *a = arena_new();
    (void)state;
    assert_int_equal(keyring_parse("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &k, &err), 0);
    secret_make(secret);
    secret_make(other);
    assert_true(str_starts(secret, "whsec_"));
    assert_int_equal(strlen(secret), 6 + 44);
    assert_string_not_equal(secret, other);
    const char *sealed = secret_seal(k, a, 7, secret);
    assert_null(strstr(sealed, secret + 6));
    assert_int_equal(secret_open(k, a, 7, sealed, &opened, &err), 0);
    assert_string_equal(opened, secret);
    assert_true(secret_open(k, a, 8, sealed, &opened, &err) < 0);
    keyring_free(k);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_with_a_fifth_of_jitter),
        cmocka_unit_test(patterns_are_those_of_known_events),
        cmocka_unit_test(an_event_matches_its_prefixes),
        cmocka_unit_test(secrets_open_in_their_own_row_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
