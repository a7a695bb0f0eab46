/* What keeps a connection gives up in time while the name server says nothing; without that bound
 * none of these ends. */
#include "common/io/bus.h"
#include "common/io/cache.h"
#include "common/io/db.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/names.h"

static void a_database_without_an_address(void **state)
{
    struct db_conf conf = { .conninfo = "postgresql://u@db.test/d" };
    struct db_session *s;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(db_session_open(&conf, &s, &err), -E_unavailable);
    assert_non_null(strstr(err.detail, "db.test"));
}

static void a_cache_without_an_address(void **state)
{
    struct cache_conf conf = { .url = "redis://redis.test:6379", .timeout_ms = 100 };
    struct arena *a = arena_new();
    struct cache *c;
    struct cache_reply r;
    struct err err = { 0 };
    (void)state;
    assert_int_equal(cache_new(&conf, &c, &err), 0);
    assert_int_equal(cache_call(c, a, (const char *const[]){ "PING" }, 1, &r, &err),
                     -E_unavailable);
    cache_free(c);
    arena_free(a);
}

static void a_broker_without_an_address(void **state)
{
    struct bus_producer *p;
    struct err err = { 0 };
    unsigned before = names_count();
    (void)state;
    assert_int_equal(bus_producer_new("kafka.test:9092", "test", &p, &err), 0);
    while (names_count() == before)
        bus_poll(p, 10);
    bus_producer_free(p);
}

static int silence(void **state)
{
    (void)state;
    names_set(NAMES_SILENT);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_database_without_an_address),
        cmocka_unit_test(a_cache_without_an_address),
        cmocka_unit_test(a_broker_without_an_address),
    };
    return cmocka_run_group_tests(tests, silence, NULL);
}
