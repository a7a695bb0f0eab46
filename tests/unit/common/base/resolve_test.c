#define _GNU_SOURCE /* raw_http.h */
#include "common/base/resolve.h"

#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/names.h"
#include "tests/support/raw_http.h"

/* Nothing here has an end but by the bound on waiting: the name server stays silent. */

static const char *const one[] = { "192.0.2.1", NULL }, *const two[] = { "192.0.2.2", "192.0.2.3",
                                                                         NULL };

static bool is(const char *host, const char *const *want)
{
    struct addresses got;
    char text[NI_MAXHOST];
    size_t i = 0;
    assert_int_equal(resolve(host, &got), 0);
    for (; want[i] && i < got.n; i++) {
        address_text(&got.at[i], text);
        if (!str_eq(text, want[i]))
            break;
    }
    return !want[i] && i == got.n;
}

static void has(const char *host, const char *const *want)
{
    assert_true(is(host, want));
}

static int setup(void **state)
{
    (void)state;
    names_addresses = one;
    names_set(NAMES_ANSWER);
    return 0;
}

static void each_answer_is_a_new_one(void **state)
{
    (void)state;
    has("fresh.test", one);
    names_addresses = two;
    has("fresh.test", two);
    assert_int_equal(names_again_s, 1); /* a lost packet must not cost the whole wait */
}

static void numbers_ask_nobody(void **state)
{
    unsigned before = names_count();
    (void)state;
    has("192.0.2.9", (const char *const[]){ "192.0.2.9", NULL });
    has("2001:db8::9", (const char *const[]){ "2001:db8::9", NULL });
    assert_int_equal(names_count(), before);
}

static void last_addresses_stay_while_the_name_server_is_away(void **state)
{
    (void)state;
    has("known.test", one);
    names_addresses = two;
    names_set(NAMES_AGAIN);
    has("known.test", one);
    names_set(NAMES_SILENT);
    has("known.test", one); /* waits */
    has("known.test", one); /* with whoever asked */
    names_set(NAMES_ANSWER);
    WAIT_FOR(is("known.test", two)); /* once the late answer is there */
}

static void what_is_no_name_any_more_is_forgotten(void **state)
{
    struct addresses got;
    (void)state;
    has("gone.test", one);
    names_set(NAMES_UNKNOWN);
    assert_int_equal(resolve("gone.test", &got), EAI_NONAME);
    names_set(NAMES_AGAIN);
    assert_int_equal(resolve("gone.test", &got), EAI_AGAIN);
    assert_int_equal(got.n, 0);
    assert_int_equal(resolve("", &got), EAI_NONAME);
}

static void *unknown(void *host)
{
    struct addresses got;
    return (void *)(intptr_t)resolve(host, &got);
}

static void a_name_server_that_starts_again_is_asked_again(void **state)
{
    static char host[] = "starting.test";
    unsigned before = names_count();
    pthread_t t;
    void *ret;
    (void)state;
    names_set(NAMES_AGAIN);
    assert_int_equal(pthread_create(&t, NULL, unknown, host), 0);
    WAIT_FOR(names_count() > before + 1);
    names_set(NAMES_ANSWER);
    assert_int_equal(pthread_join(t, &ret), 0);
    assert_int_equal((intptr_t)ret, 0);
}

/* One more than there is room for: all wait, and none for ever. */
static void many_names_wait_side_by_side(void **state)
{
    static char host[resolve_hosts_max + 1][32];
    pthread_t t[ARRAY_LEN(host)];
    (void)state;
    names_set(NAMES_SILENT);
    for (size_t i = 0; i < ARRAY_LEN(host); i++) {
        snprintf(host[i], sizeof host[i], "n%zu.test", i);
        assert_int_equal(pthread_create(&t[i], NULL, unknown, host[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(host); i++) {
        void *ret;
        assert_int_equal(pthread_join(t[i], &ret), 0);
        assert_int_equal((intptr_t)ret, EAI_AGAIN);
    }
    names_set(NAMES_ANSWER);
    for (size_t i = 0; i < ARRAY_LEN(host); i++)
        has(host[i], one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_answer_is_a_new_one, setup),
        cmocka_unit_test_setup(numbers_ask_nobody, setup),
        cmocka_unit_test_setup(last_addresses_stay_while_the_name_server_is_away, setup),
        cmocka_unit_test_setup(what_is_no_name_any_more_is_forgotten, setup),
        cmocka_unit_test_setup(a_name_server_that_starts_again_is_asked_again, setup),
        cmocka_unit_test_setup(many_names_wait_side_by_side, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
