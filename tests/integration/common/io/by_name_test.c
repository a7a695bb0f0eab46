/* Needs PostgreSQL and Kafka at numbers: CMS365_TEST_DATABASE_URL, CMS365_TEST_KAFKA_BROKERS. */
#include "common/base/str.h"
#include "common/io/bus.h"
#include "common/io/db.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/names.h"

/* `url` with the name in the place of its address; NULL if that is no IPv4 number on loopback. */
static const char *named(struct arena *a, const char *url, const char *name)
{
    static const char self[] = "127.0.0.1";
    const char *at = url ? strstr(url, self) : NULL;
    return at ? arena_printf(a, "%.*s%s%s", (int)(at - url), url, name, at + strlen(self)) : NULL;
}

/* The first address takes nobody; and once it was known, it is used while the name server is away.
 */
static void a_database_by_its_name(void **state)
{
    static const char *const at[] = { "127.0.0.9", "127.0.0.1", NULL };
    static const struct db_stmt st = { .name = "one", .sql = "select 1" };
    struct arena *a = arena_new();
    struct db_conf conf = { .conninfo = named(a, getenv("CMS365_TEST_DATABASE_URL"), "db.test") };
    (void)state;
    assert_non_null(conf.conninfo);
    names_addresses = at;
    for (enum name_server now = NAMES_ANSWER; now <= NAMES_AGAIN; now++) {
        struct db_session *s;
        struct db_rows *r;
        struct err err = { 0 };
        names_set(now);
        if (db_session_open(&conf, &s, &err) || db_session_exec(s, a, &st, NULL, 0, &r, &err))
            fail_msg("%s", err.detail);
        assert_int_equal(db_get_i64(r, 0, 0), 1);
        db_session_close(s);
    }
    names_set(NAMES_ANSWER);
    arena_free(a);
}

static void a_broker_by_its_name(void **state)
{
    static const char *const at[] = { "127.0.0.1", NULL };
    struct arena *a = arena_new();
    const char *brokers = named(a, getenv("CMS365_TEST_KAFKA_BROKERS"), "kafka.test");
    struct err err = { 0 };
    (void)state;
    assert_non_null(brokers);
    names_addresses = at;
    if (bus_ping(brokers, 10000, &err))
        fail_msg("%s", err.detail);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_database_by_its_name),
        cmocka_unit_test(a_broker_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
