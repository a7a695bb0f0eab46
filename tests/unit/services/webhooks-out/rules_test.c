/* Schedule, patterns, secrets, headers. proves: W-03, W-08, W-12, W-14, X-06 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/str.h"
#include "common/io/crypto.h"
#include "services/webhooks-out/schedule.h"
#include "services/webhooks-out/sending.h"

static void waits_double_with_full_jitter(void **state)
{
    static const struct {
        int64_t base;
        unsigned attempt, random;
        int64_t after, want;
    } cases[] = {
        { 5000,    1,    1000, 0,         5000              },
        { 5000,    1,    0,    0,         0                 },
        { 5000,    1,    500,  0,         2500              },
        { 5000,    2,    1000, 0,         10000             },
        { 5000,    3,    1000, 0,         20000             },
        { 5000,    4,    1000, 0,         40000             },
        { 5000,    5,    1000, 0,         80000             },
        { 5000,    5,    250,  0,         20000             },
        { 5000,    1,    500,  120000,    120000            }, /* Retry-After is later */
        { 5000,    5,    1000, 1000,      80000             }, /* or sooner: the schedule holds */
        { 5000,    1,    0,    INT64_MAX, retry_wait_ms_max },
        { 3600000, 20,   1000, 0,         retry_wait_ms_max },
        { 3600000, 1000, 1000, 0,         retry_wait_ms_max },
        { 1,       1,    0,    0,         0                 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct retry_plan p = { cases[i].base, 5, NULL, 0 };
        if (retry_wait_ms(&p, cases[i].attempt, cases[i].random, cases[i].after) != cases[i].want)
            fail_msg("case %zu", i);
        assert_int_equal(retries_of(&p), 5);
    }
}

static void an_own_schedule_is_taken_as_it_stands(void **state)
{
    static const int64_t own[] = { 5, 300, 2 * 86400 };
    const struct retry_plan p = { 5000, 5, own, ARRAY_LEN(own) };
    (void)state;
    assert_int_equal(retries_of(&p), 3);
    assert_int_equal(retry_wait_ms(&p, 1, 0, 0), 5000);
    assert_int_equal(retry_wait_ms(&p, 1, 1000, 0), 5500);
    assert_int_equal(retry_wait_ms(&p, 2, 0, 0), 300000);
    assert_int_equal(retry_wait_ms(&p, 3, 0, 0), 2 * 86400 * 1000);
    assert_int_equal(retry_wait_ms(&p, 1, 0, 60000), 60000);
}

static void some_headers_are_not_for_owners(void **state)
{
    static const struct {
        const char *name;
        bool allowed;
    } cases[] = {
        { "X-Tenant",            true  },
        { "X-Api-Version",       true  },
        { "Accept",              true  },
        { "Authorization",       false },
        { "authorization",       false },
        { "Cookie",              false },
        { "Host",                false },
        { "Content-Length",      false },
        { "content-type",        false },
        { "Transfer-Encoding",   false },
        { "webhook-id",          false },
        { "Webhook-Signature",   false },
        { "X-CMS365-Signature",  false },
        { "ce-id",               false },
        { "X-Forwarded-For",     false },
        { "Proxy-Authorization", false },
        { "Connection",          false },
        { "traceparent",         false },
        { "",                    false },
        { "A B",                 false },
        { "A:B",                 false },
        { "A\r\nB",              false },
        { "\xc3\xa4",            false },
    };
    const char *why;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (header_allowed(cases[i].name, &why) != cases[i].allowed)
            fail_msg("%s", cases[i].name);
}

static void the_log_masks_what_opens_doors(void **state)
{
    const struct httpc_header h[] = {
        { "Authorization", "Bearer canary-1" },
        { "Set-Cookie",    "s=canary-2"      },
        { "cookie",        "canary-3"        },
        { "X-Plain",       "yes"             },
        { "X-Plain",       "again"           },
        { "X-Bad",         "\xff\xfe"        }
    };
    struct arena *a = arena_new();
    struct buf b;
    (void)state;
    const char *lines = log_headers(a, h, ARRAY_LEN(h), log_request_headers_max);
    assert_null(strstr(lines, "canary"));
    buf_init(&b, a, 64, 4096);
    log_headers_json(&b, a, lines);
    assert_string_equal(
        b.data, "{\"Authorization\":\"Bearer ***\",\"Set-Cookie\":\"***\",\"cookie\":\"***\","
                "\"X-Plain\":\"yes, again\"}");
    assert_int_equal(strlen(log_headers(a, h, ARRAY_LEN(h), 40)),
                     strlen("Authorization: Bearer ***\n"));
    assert_string_equal(log_body(a, "gr\xc3\xbc", 3), "gr"); /* no half character */
    assert_null(log_body(a, "\xff\xff\xff\xff\xff\xff", 6));
    arena_free(a);
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
    assert_true(secret_ok(secret));
    assert_false(secret_ok(secret + 6));
    assert_false(secret_ok("whsec_c2hvcnQ="));
    assert_int_equal(secret_open(k, a, 7, sealed, &opened, &err), 0);
    assert_string_equal(opened, secret);
    assert_true(secret_open(k, a, 8, sealed, &opened, &err) < 0);
    keyring_free(k);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_with_full_jitter),
        cmocka_unit_test(an_own_schedule_is_taken_as_it_stands),
        cmocka_unit_test(some_headers_are_not_for_owners),
        cmocka_unit_test(the_log_masks_what_opens_doors),
        cmocka_unit_test(patterns_are_those_of_known_events),
        cmocka_unit_test(an_event_matches_its_prefixes),
        cmocka_unit_test(secrets_open_in_their_own_row_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
