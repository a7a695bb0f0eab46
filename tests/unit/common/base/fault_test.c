#include "common/base/fault.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#ifdef CMS365_FAULTS
static void kth_point_fails_once(void **state)
{
    (void)state;
    for (unsigned k = 1; k <= 4; k++) {
        fault_arm(k);
        for (unsigned i = 1; i <= 4; i++)
            assert_int_equal(FAULT("test.point"), i == k);
        assert_int_equal(fault_count(), 4);
    }
    fault_arm(0);
    assert_int_equal(fault_count(), 0);
    assert_false(FAULT("test.point"));
}
#else
static void release_builds_never_fail(void **state)
{
    (void)state;
    assert_false(FAULT("test.point"));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef CMS365_FAULTS
        cmocka_unit_test(kth_point_fails_once),
#else
        cmocka_unit_test(release_builds_never_fail),
#endif
    };

    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
