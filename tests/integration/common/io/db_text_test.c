/* Composed texts without values are prepared when they come again.
 * Needs PostgreSQL: CMS365_TEST_DATABASE_URL. */
#include "tests/support/db_crowd.h"

#include "common/io/db_internal.h"

static struct db *db; /* of one thread: one connection */

static struct db_rows *run(const char *sql, const struct db_val *v, size_t n, unsigned flags)
{
    struct db_stmt s = { .sql = sql, .flags = DB_ONCE | flags };
    struct db_rows *r;
    struct err err;
    if (db_query(db, arena, &s, v, n, &r, &err) < 0)
        fail_msg("%s: %s", sql, err.detail);
    return r;
}

static int64_t ask(const char *sql)
{
    return db_get_i64(run(sql, NULL, 0, 0), 0, 0);
}

/* How many are prepared that are like this.  It has a value, and so is not one of them. */
static int64_t prepared(const char *like)
{
    const struct db_val v[] = { db_text(like) };
    return db_get_i64(
        run("select count(*) from pg_prepared_statements where statement like $1", v, 1, 0), 0, 0);
}

static void a_text_that_comes_again_is_prepared(void **state)
{
    (void)state;
    assert_int_equal(ask("select 41 + 1"), 42);
    assert_int_equal(prepared("%"), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask("select 41 + 1"), 42);
        assert_int_equal(prepared("select 41 + 1"), 1);
    }
    for (int i = 0; i < 3; i++) {
        const struct db_val v[] = { db_i64(i) };
        assert_int_equal(db_get_i64(run("select $1::bigint", v, 1, 0), 0, 0), i);
        (void)run("insert into t(id) values (365) on conflict do nothing", NULL, 0, DB_WRITE);
    }
    assert_int_equal(prepared("%"), 1);
}

static const char *numbered(int i)
{
    return arena_printf(arena, "select %d /* numbered */", i);
}

static void a_connection_keeps_so_many(void **state)
{
    (void)state;
    for (int i = 0; i < db_texts_max + 8; i++)
        for (int k = 0; k < 3; k++)
            assert_int_equal(ask(numbered(i)), i);
    assert_int_equal(prepared("%"), db_texts_max);
    assert_int_equal(prepared(numbered(db_texts_max + 7)), 0);
    assert_int_equal(prepared(numbered(7)), 1);
    /* All but one are not asked for in a while: another takes a place, but not that one's. */
    for (int i = 0; i < db_text_idle_runs; i++)
        assert_int_equal(ask(numbered(0)), 0);
    assert_int_equal(ask("select 1"), 1);
    assert_int_equal(ask("select 1"), 1);
    assert_int_equal(prepared("select 1"), 1);
    assert_int_equal(prepared("%"), db_texts_max);
    assert_int_equal(prepared(numbered(0)), 1);
}

static void a_text_of_long_ago_is_one_that_comes_first(void **state)
{
    (void)state;
    (void)ask("select 99");
    for (int i = 0; i < db_texts_seen; i++)
        (void)ask(numbered(1000 + i));
    (void)ask("select 99");
    assert_int_equal(prepared("select 99"), 0);
    (void)ask("select 99");
    assert_int_equal(prepared("select 99"), 1);
    const char *longest = arena_printf(arena, "select 1 /*%*s*/", db_text_bytes_max, "");
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(longest), 1);
    assert_int_equal(prepared("select 1 /*%"), 0);
}

static void a_plan_gets_no_older_than_that(void **state)
{
    (void)state;
    const struct db_val v[] = { db_text("select 7") };
    const char *when = "select prepare_time::text from pg_prepared_statements where statement = $1";
    (void)ask("select 7");
    (void)ask("select 7");
    const char *first = db_str(run(when, v, 1, 0), 0, 0);
    clock_set_ms(clock_ms() + db_text_age_ms / 2);
    (void)ask("select 7");
    assert_string_equal(db_str(run(when, v, 1, 0), 0, 0), first);
    clock_set_ms(clock_ms() + db_text_age_ms);
    assert_int_equal(ask("select 7"), 7);
    assert_string_not_equal(db_str(run(when, v, 1, 0), 0, 0), first);
    assert_int_equal(prepared("select 7"), 1);
    clock_set_ms(0);
}

static void a_text_that_is_refused_says_so_each_time(void **state)
{
    (void)state;
    const struct db_stmt s = { .sql = "select nonsense", .flags = DB_ONCE };
    int64_t pid = ask("select pg_backend_pid()");
    for (int i = 0; i < 4; i++) {
        struct db_rows *r;
        struct err err;
        assert_int_equal(db_query(db, arena, &s, NULL, 0, &r, &err), -E_internal);
        assert_true(str_starts(err.detail, "42703"));
    }
    assert_int_equal(prepared("select nonsense"), 0);
    assert_int_equal(ask("select pg_backend_pid()"), pid);
}

/* A plan that is of no use any more is not seen by who asks: of a text, and of a name. */
static void a_migration_under_a_prepared_text_is_not_noticed(void **state)
{
    (void)state;
    static const struct db_stmt named = { .name = "grown", .sql = "select * from grown" };
    script("create table grown(id bigint); insert into grown values (3)");
    for (size_t columns = 1; columns < 4; columns++) {
        for (int i = 0; i < 3; i++) {
            struct db_rows *r = run("select * from grown /* text */", NULL, 0, 0);
            struct err err;
            assert_int_equal(db_ncols(r), columns);
            if (db_query(db, arena, &named, NULL, 0, &r, &err) < 0)
                fail_msg("%s", err.detail);
            assert_int_equal(db_ncols(r), columns);
        }
        assert_int_equal(prepared("select * from grown /* text */"), 1);
        script(arena_printf(arena, "alter table grown add column c%zu int", columns));
    }
    script("drop table grown");
}

static int fresh(void **state)
{
    static struct db_conf conf;
    (void)state;
    conf = conf_of("db_test");
    db = db_new(&conf);
    return 0;
}

static int done(void **state)
{
    (void)state;
    db_free(db);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_text_that_comes_again_is_prepared, fresh, done),
        cmocka_unit_test_setup_teardown(a_connection_keeps_so_many, fresh, done),
        cmocka_unit_test_setup_teardown(a_text_of_long_ago_is_one_that_comes_first, fresh, done),
        cmocka_unit_test_setup_teardown(a_plan_gets_no_older_than_that, fresh, done),
        cmocka_unit_test_setup_teardown(a_text_that_is_refused_says_so_each_time, fresh, done),
        cmocka_unit_test_setup_teardown(a_migration_under_a_prepared_text_is_not_noticed, fresh,
                                        done),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
