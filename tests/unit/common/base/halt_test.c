#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/halt.h"

static void *sleeper(void *ctx)
{
    while (!halt_pause(ctx, 60000)) /* only halt_set ends it in time */
        ;
    return NULL;
}

static void wakes_every_sleeper_for_good(void **state)
{
    (void)state;
    struct halt h;
    pthread_t t[4];
    halt_init(&h);
    assert_false(halt_is_set(&h));
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, sleeper, &h), 0);
    halt_set(&h);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_true(halt_is_set(&h));
    assert_true(halt_pause(&h, 60000)); /* and none sleeps again */
    halt_done(&h);
}

static void a_pause_ends_by_itself(void **state)
{
    (void)state;
    struct halt h;
    halt_init(&h);
    assert_false(halt_pause(&h, 1));
    assert_false(halt_pause(&h, 0));
    halt_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wakes_every_sleeper_for_good),
        cmocka_unit_test(a_pause_ends_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
