/* Needs PostgreSQL: CMS365_TEST_DATABASE_URL. */
#include "common/kit/migrate.h"

#include "common/base/arena.h"
#include "common/io/db.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static char schema[64], conninfo[1024];
static struct arena *arena;
static struct db_conf conf;
static struct db_session *session;

static const struct migration first[] = {
    { .version = 1,
     .name = "0001_start",
     .sql = "create table a(id int); insert into a values (1);" },
    { 0 },
};
static const struct migration both[] = {
    { .version = 1,
     .name = "0001_start",
     .sql = "create table a(id int); insert into a values (1);" },
    { .version = 3,
     .name = "0003_more",
     .sql = "insert into a values (2); create index on a(id);" },
    { 0 },
};

static struct db_session *open_session(void)
{
    struct db_session *s;
    struct err err;
    if (db_session_open(&conf, &s, &err) < 0)
        fail_msg("%s", err.detail);
    return s;
}

static void script(const char *sql)
{
    struct err err;
    if (db_session_script(session, sql, &err) < 0)
        fail_msg("%s", err.detail);
}

static int64_t number(const char *sql)
{
    struct db_stmt s = { .sql = sql, .flags = DB_ONCE };
    struct db_rows *r;
    struct err err;
    if (db_session_exec(session, arena, &s, NULL, 0, &r, &err) < 0)
        fail_msg("%s", err.detail);
    return db_get_i64(r, 0, 0);
}

static void migrations_are_applied_once_and_in_order(void **state)
{
    (void)state;
    int n = -1;
    struct err err;
    assert_int_equal(migrate_check(session, both, &err), -E_config);
    assert_int_equal(migrate_run(session, first, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(migrate_check(session, first, &err), 0);
    assert_int_equal(migrate_check(session, both, &err), -E_config);
    assert_non_null(strstr(err.msg, "0003_more"));
    assert_int_equal(migrate_run(session, both, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(migrate_run(session, both, &n, &err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(migrate_check(session, both, &err), 0);
    assert_int_equal(number("select count(*) from a"), 2);
    assert_int_equal(number("select count(*) from schema_migrations where length(sha256) = 64"), 2);
    /* An older release still runs beside the newer database. */
    assert_int_equal(migrate_check(session, first, &err), 0);
    assert_int_equal(migrate_run(session, first, &n, &err), 0);
    assert_int_equal(n, 0);
}

static void a_changed_or_unknown_migration_is_refused(void **state)
{
    (void)state;
    static const struct migration changed[] = {
        { .version = 1, .name = "0001_start", .sql = "create table a(id bigint);" },
        { 0 },
    };
    static const struct migration other[] = {
        { .version = 2, .name = "0002_other", .sql = "create table b(id int);" },
        { 0 },
    };
    int n;
    struct err err;
    assert_int_equal(migrate_run(session, first, &n, &err), 0);
    assert_int_equal(migrate_run(session, changed, &n, &err), -E_config);
    assert_non_null(strstr(err.msg, "0001_start"));
    assert_int_equal(migrate_check(session, changed, &err), -E_config);
    assert_int_equal(migrate_run(session, other, &n, &err), -E_config);
    assert_int_equal(number("select count(*) from pg_tables where schemaname = current_schema()"
                            " and tablename = 'b'"),
                     0);
}

static void a_failing_migration_leaves_nothing_behind(void **state)
{
    (void)state;
    static const struct migration bad[] = {
        { .version = 1,
         .name = "0001_start",
         .sql = "create table a(id int); insert into a values (1);" },
        { .version = 2, .name = "0002_bad", .sql = "create table b(id int); select 1 / 0;" },
        { .version = 3, .name = "0003_after", .sql = "create table c(id int);" },
        { 0 },
    };
    int n;
    struct err err;
    assert_int_equal(migrate_run(session, bad, &n, &err), -E_internal);
    assert_non_null(strstr(err.msg, "0002_bad"));
    assert_non_null(strstr(err.detail, "22012"));
    assert_int_equal(number("select count(*) from schema_migrations"), 1);
    assert_int_equal(number("select count(*) from pg_tables where schemaname = current_schema()"
                            " and tablename in ('b', 'c')"),
                     0);
    assert_int_equal(number("select count(*) from pg_locks where locktype = 'advisory'"
                            " and pid = pg_backend_pid()"),
                     0);
}

static void a_long_migration_has_no_time_limit(void **state)
{
    (void)state;
    static const struct migration slow[] = {
        { .version = 1,
         .name = "0001_slow",
         .sql = "select pg_sleep(0.5); create table a(id int);" },
        { 0 },
    };
    int n;
    struct err err;
    script("set statement_timeout = 200");
    assert_int_equal(migrate_run(session, slow, &n, &err), 0);
}

static void *run_both(void *ctx)
{
    struct db_session *s;
    struct err err;
    int n = 0;
    (void)ctx;
    if (db_session_open(&conf, &s, &err) < 0)
        return NULL;
    int *got = malloc(sizeof(*got));
    *got = migrate_run(s, both, &n, &err) < 0 ? -1 : n;
    db_session_close(s);
    return got;
}

static void two_at_once_do_the_work_once(void **state)
{
    (void)state;
    pthread_t t[4];
    int sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_create(&t[i], NULL, run_both, NULL);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        void *got;
        pthread_join(t[i], &got);
        assert_non_null(got);
        assert_true(*(int *)got >= 0);
        sum += *(int *)got;
        free(got);
    }
    assert_int_equal(sum, 2);
    assert_int_equal(number("select count(*) from a"), 2);
}

static void a_role_without_a_schema_is_told_so(void **state)
{
    (void)state;
    int n;
    struct err err;
    script("set search_path = no_such_schema");
    assert_int_equal(migrate_run(session, first, &n, &err), -E_config);
    assert_non_null(strstr(err.msg, "search_path"));
}

static int setup(void **state)
{
    (void)state;
    session = open_session();
    script(
        arena_printf(arena, "drop schema if exists %s cascade; create schema %s", schema, schema));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    script(arena_printf(arena, "drop schema %s cascade", schema));
    db_session_close(session);
    return 0;
}

static int group_setup(void **state)
{
    (void)state;
    const char *url = getenv("CMS365_TEST_DATABASE_URL");
    if (!url) {
        fputs("CMS365_TEST_DATABASE_URL is not set\n", stderr);
        return -1;
    }
    arena = arena_new();
    snprintf(schema, sizeof(schema), "migrate_test_%d", (int)getpid());
    snprintf(conninfo, sizeof(conninfo), "%s%soptions=-csearch_path%%3D%s", url,
             strchr(url, '?') ? "&" : "?", schema);
    conf = (struct db_conf){ .conninfo = conninfo,
                             .application = "migrate_test",
                             .statement_timeout_ms = 3000,
                             .connect_timeout_ms = 2000 };
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(migrations_are_applied_once_and_in_order),
        CASE(a_changed_or_unknown_migration_is_refused),
        CASE(a_failing_migration_leaves_nothing_behind),
        CASE(a_long_migration_has_no_time_limit),
        CASE(two_at_once_do_the_work_once),
        CASE(a_role_without_a_schema_is_told_so),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
