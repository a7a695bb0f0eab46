/* Needs PostgreSQL: CMS365_TEST_DATABASE_URL. */
#include "common/io/db_internal.h"
#include "tests/support/db_crowd.h"

/* --- the pipeline ---------------------------------------------------------------------- */

static void fast_reads_of_all_fibers_share_one_connection(void **state)
{
    (void)state;
    struct db_conf conf = conf_of("db_test");
    struct db *db = db_new(&conf);
    struct db_stats st;
    run_crowd(db, 200, read_often, NULL);
    db_stats(db, &st);
    assert_int_equal(st.conns_open, 1);
    assert_int_equal(st.statements, 5 + 200 * 20); /* those of its opening count too */
    assert_int_equal(st.errors, 2);                /* late_table and star are not there */
    assert_int_equal(st.waits, 0);
    db_free(db);
}

static void divide(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    int rc =
        db_query(c->db, a, &f_divide, (struct db_val[]){ db_i64((int64_t)i % 10) }, 1, &r, &err);
    if (i % 10 == 0)
        CHECK(rc == -E_internal && str_starts(err.detail, "22012"));
    else
        CHECK(rc == 0 && db_get_i64(r, 0, 0) == 100 / (int64_t)(i % 10));
}

static void a_failing_fast_read_fails_alone(void **state)
{
    (void)state;
    struct db_conf conf = conf_of("db_test");
    struct db *db = db_new(&conf);
    run_crowd(db, 100, divide, NULL);
    db_free(db);
}

/* --- what is sent together ------------------------------------------------------------- */

enum { askers = db_fast_batch_max + 4 };
static uint64_t number_before[askers], number_after[askers];

static void echo_text(struct crowd *c, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    const struct db_val v[] = { db_i64(1), db_text("text") };
    CHECK(db_query(c->db, a, &f_echo, v, 2, &r, &err) == 0);
}

/* They are sent and answered in order at first, and so ask again in order. */
static void ask_under_a_number(struct crowd *c, size_t i, struct arena *a)
{
    CHECK(db_fast_batch(c->db) == 0); /* there is no connection yet */
    echo_text(c, a);
    number_before[i] = db_fast_batch(c->db);
    echo_text(c, a);
    number_after[i] = db_fast_batch(c->db);
}

/* What comes after a full batch is under another number. */
static void what_is_not_sent_yet_is_under_one_number(void **state)
{
    (void)state;
    struct db_conf conf = conf_of("db_test");
    struct db *db = db_new(&conf);
    assert_int_equal(db_fast_batch(db), 0); /* a thread gathers nothing */
    run_crowd(db, askers, ask_under_a_number, NULL);
    assert_int_not_equal(number_before[0], 0);
    for (size_t i = 0; i < askers; i++) {
        assert_int_equal(number_before[i], number_before[0] + i / db_fast_batch_max);
        assert_true(number_after[i] > number_before[i]);
    }
    db_free(db);
}

static void *end_backends_soon(void *application)
{
    usleep(200 * 1000);
    struct db_conf conf = conf_of("db_test_admin");
    struct db_session *s;
    struct err err;
    struct arena *a = arena_new();
    struct db_rows *rows;
    if (db_session_open(&conf, &s, &err) == 0) {
        CHECK(db_session_exec(s, a, &end_others, (struct db_val[]){ db_text(application) }, 1,
                              &rows, &err) == 0);
        db_session_close(s);
    }
    arena_free(a);
    return NULL;
}

static void nap_on_the_pipeline(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    const struct db_val v[] = { db_i64((int64_t)i), db_i64(i == 0 ? 500 : 1) };
    CHECK(db_query(c->db, a, &f_nap, v, 2, &r, &err) == 0);
    CHECK(db_get_i64(r, 0, 0) == (int64_t)i);
}

static void fast_reads_survive_the_end_of_their_connection(void **state)
{
    (void)state;
    static char app[] = "db_test_break";
    struct db_conf conf = conf_of(app);
    struct db *db = db_new(&conf);
    struct db_stats st;
    pthread_t killer;
    pthread_create(&killer, NULL, end_backends_soon, app);
    run_crowd(db, 50, nap_on_the_pipeline, NULL);
    pthread_join(killer, NULL);
    db_stats(db, &st);
    assert_int_equal(st.reconnects, 2);
    db_free(db);
}

static void break_twice(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    if (i == 0) {
        const struct db_val v[] = { db_i64(1), db_i64(1500) };
        CHECK(db_query(c->db, a, &f_nap, v, 2, &r, &err) == -E_unavailable);
        CHECK(err.retry_after_s == 1);
        return;
    }
    for (int k = 0; k < 2; k++) { /* by a borrowed connection of the same pool */
        fiber_sleep_ms(300);
        CHECK(db_query(c->db, a, &end_others, (struct db_val[]){ db_text(c->ctx) }, 1, &r, &err) ==
              0);
    }
}

static void fast_reads_are_sent_once_more_and_no_more(void **state)
{
    (void)state;
    static char app[] = "db_test_twice";
    struct db_conf conf = conf_of(app);
    struct db *db = db_new(&conf);
    run_crowd(db, 2, break_twice, app);
    db_free(db);
}

static void late_table(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    (void)i;
    static const struct db_stmt make = { .sql = "create table late_table as select 7 as n",
                                         .flags = DB_ONCE | DB_WRITE };
    CHECK(db_query(c->db, a, &f_late_table, NULL, 0, &r, &err) == -E_internal);
    CHECK(str_starts(err.detail, "42P01"));
    CHECK(db_query(c->db, a, &make, NULL, 0, &r, &err) == 0);
    CHECK(db_query(c->db, a, &f_late_table, NULL, 0, &r, &err) == 0);
    CHECK(db_get_i64(r, 0, 0) == 7);
}

static void a_statement_that_cannot_be_prepared_does_not_spoil_the_others(void **state)
{
    (void)state;
    struct db_conf conf = conf_of("db_test");
    struct db *db = db_new(&conf);
    run_crowd(db, 1, late_table, NULL);
    db_free(db);
    script("drop table late_table");
}

static void changed_table(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    (void)i;
    static const struct db_stmt change = { .sql = "alter table star add column more int default 9",
                                           .flags = DB_ONCE | DB_WRITE };
    const struct db_val v[] = { db_i64(1) };
    CHECK(db_query(c->db, a, &f_star, v, 1, &r, &err) == 0);
    CHECK(db_ncols(r) == 1);
    CHECK(db_query(c->db, a, &change, NULL, 0, &r, &err) == 0);
    CHECK(db_query(c->db, a, &f_star, v, 1, &r, &err) == 0);
    CHECK(db_ncols(r) == 2);
}

static void a_migration_under_a_prepared_read_is_not_noticed(void **state)
{
    (void)state;
    struct db_conf conf = conf_of("db_test");
    struct db *db = db_new(&conf);
    script("create table star(id bigint); insert into star values (1)");
    run_crowd(db, 1, changed_table, NULL);
    db_free(db);
    script("drop table star");
}

/* --- composed texts on it --------------------------------------------------------------- */

static int try_text(struct crowd *c, struct arena *a, const char *sql, struct db_rows **ret,
                    struct err *err)
{
    const struct db_stmt s = { .sql = sql, .flags = DB_FAST | DB_ONCE };
    return db_query(c->db, a, &s, NULL, 0, ret, err);
}

static int64_t ask_text(struct crowd *c, struct arena *a, const char *sql)
{
    struct db_rows *r;
    struct err err;
    int rc = try_text(c, a, sql, &r, &err);
    CHECK(rc == 0);
    return rc == 0 ? db_get_i64(r, 0, 0) : -1;
}

/* No connection is opened but the pipelined one, and that once. */
static void crowd_on_one_connection(size_t n, void (*fn)(struct crowd *, size_t, struct arena *))
{
    struct db_conf conf = conf_of("db_test");
    struct db *db = db_new(&conf);
    struct db_stats st;
    run_crowd(db, n, fn, NULL);
    db_stats(db, &st);
    assert_int_equal(st.reconnects, 1);
    db_free(db);
}

/* How many of these texts the shared connection has prepared. */
static int64_t prepared(struct crowd *c, struct arena *a)
{
    return ask_text(c, a,
                    "select count(*) from pg_prepared_statements where statement like "
                    "'select % /* text %' and statement not like '%pg_prepared%'");
}

static void texts(struct crowd *c, size_t i, struct arena *a)
{
    static const char pid[] = "select pg_backend_pid() /* text */";
    const struct db_stmt borrowed = { .sql = pid, .flags = DB_ONCE },
                         with_value = { .sql = "select pg_backend_pid(), $1::bigint",
                                        .flags = DB_FAST | DB_ONCE };
    const struct db_val v[] = { db_i64(1) };
    struct db_rows *r;
    struct err err;
    (void)i;
    int64_t shared = ask_text(c, a, pid);
    CHECK(prepared(c, a) == 0);
    for (int k = 0; k < 3; k++) {
        CHECK(ask_text(c, a, pid) == shared);
        CHECK(prepared(c, a) == 1);
    }
    CHECK(db_query(c->db, a, &borrowed, NULL, 0, &r, &err) == 0);
    CHECK(db_get_i64(r, 0, 0) != shared);
    CHECK(db_query(c->db, a, &with_value, v, 1, &r, &err) == 0);
    CHECK(db_get_i64(r, 0, 0) != shared); /* planned for it, which others need not wait for */
}

static void a_quick_text_that_comes_again_is_prepared_there(void **state)
{
    (void)state;
    struct db_conf conf = conf_of("db_test");
    struct db *db = db_new(&conf);
    run_crowd(db, 1, texts, NULL);
    db_free(db);
}

enum { texts_n = 8 };

/* All ask in the same batches: they are answered in order, and so ask again in order. */
static void text_beside_a_failure(struct crowd *c, size_t i, struct arena *a)
{
    const char *sql = arena_printf(a, "select %zu /* text */", i);
    const struct db_val zero[] = { db_i64(0) };
    struct db_rows *r;
    struct err err;
    echo_text(c, a);
    CHECK(ask_text(c, a, sql) == (int64_t)i);
    if (i == 2) /* before some that are to be prepared, behind others */
        CHECK(db_query(c->db, a, &f_divide, zero, 1, &r, &err) == -E_internal);
    else
        CHECK(ask_text(c, a, sql) == (int64_t)i);
    for (int k = 0; k < 3; k++)
        CHECK(ask_text(c, a, sql) == (int64_t)i);
    CHECK(prepared(c, a) == texts_n);
}

static void a_failure_spoils_no_text_of_its_batch(void **state)
{
    (void)state;
    crowd_on_one_connection(texts_n, text_beside_a_failure);
}

/* One is to be prepared in a batch that is slow and fails before it comes to that: who asks for the
 * same meanwhile does not count on it. */
static void text_on_its_way(struct crowd *c, size_t i, struct arena *a)
{
    const struct db_val nap_ms[] = { db_i64(0), db_i64(300) }, zero[] = { db_i64(0) };
    struct db_rows *r;
    struct err err;
    echo_text(c, a);
    CHECK(ask_text(c, a, "select 9 /* text */") == 9);
    if (i == 0)
        CHECK(db_query(c->db, a, &f_nap, nap_ms, 2, &r, &err) == 0);
    else if (i == 1)
        CHECK(db_query(c->db, a, &f_divide, zero, 1, &r, &err) == -E_internal);
    else if (i == 3)
        fiber_sleep_ms(100);
    CHECK(ask_text(c, a, "select 9 /* text */") == 9);
}

static void a_text_is_used_when_it_is_known_to_be_there(void **state)
{
    (void)state;
    crowd_on_one_connection(4, text_on_its_way);
}

static void bad_text(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    for (int k = 0; k < 4; k++) {
        if (i % 2) {
            CHECK(ask_text(c, a, "select 5 /* text */") == 5);
            continue;
        }
        CHECK(try_text(c, a, "select nonsense /* text */", &r, &err) == -E_internal);
        CHECK(str_starts(err.detail, "42703"));
    }
}

static void a_text_that_is_refused_says_so_to_those_who_ask_it(void **state)
{
    (void)state;
    crowd_on_one_connection(texts_n, bad_text);
}

static void grown_text(struct crowd *c, size_t i, struct arena *a)
{
    static const char sql[] = "select * from grown /* text */";
    struct db_rows *r;
    struct err err;
    (void)i;
    for (size_t columns = 1; columns < 3; columns++) {
        for (int k = 0; k < 3; k++)
            CHECK(try_text(c, a, sql, &r, &err) == 0 && db_ncols(r) == columns);
        const struct db_stmt grow = { .sql = arena_printf(a, "alter table grown add c%zu int",
                                                          columns),
                                      .flags = DB_ONCE | DB_WRITE };
        CHECK(db_query(c->db, a, &grow, NULL, 0, &r, &err) == 0);
    }
    /* Nor is the end of the connection. */
    CHECK(db_query(c->db, a, &end_others, (struct db_val[]){ db_text(c->ctx) }, 1, &r, &err) == 0);
    for (int k = 0; k < 3; k++)
        CHECK(try_text(c, a, sql, &r, &err) == 0 && db_ncols(r) == 3);
    CHECK(prepared(c, a) == 1);
}

static void a_migration_under_a_prepared_text_is_not_noticed(void **state)
{
    (void)state;
    static char app[] = "db_test_grown";
    struct db_conf conf = conf_of(app);
    struct db *db = db_new(&conf);
    script("create table grown(id bigint); insert into grown values (3)");
    run_crowd(db, 1, grown_text, app);
    db_free(db);
    script("drop table grown");
}

static void old_text(struct crowd *c, size_t i, struct arena *a)
{
    static const char when[] = "select floor(extract(epoch from prepare_time) * 1000000)::bigint "
                               "from pg_prepared_statements where statement like 'select 7 /* t%'";
    (void)i;
    for (int k = 0; k < 2; k++)
        CHECK(ask_text(c, a, "select 7 /* text */") == 7);
    int64_t first = ask_text(c, a, when);
    clock_set_ms(clock_ms() + db_text_age_ms / 2);
    CHECK(ask_text(c, a, "select 7 /* text */") == 7);
    CHECK(ask_text(c, a, when) == first);
    clock_set_ms(clock_ms() + db_text_age_ms);
    CHECK(ask_text(c, a, "select 7 /* text */") == 7);
    CHECK(ask_text(c, a, when) > first);
    CHECK(prepared(c, a) == 1);
    clock_set_ms(0);
}

static void a_plan_of_a_text_gets_no_older_than_that(void **state)
{
    (void)state;
    crowd_on_one_connection(1, old_text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_reads_of_all_fibers_share_one_connection),
        cmocka_unit_test(a_failing_fast_read_fails_alone),
        cmocka_unit_test(what_is_not_sent_yet_is_under_one_number),
        cmocka_unit_test(fast_reads_survive_the_end_of_their_connection),
        cmocka_unit_test(fast_reads_are_sent_once_more_and_no_more),
        cmocka_unit_test(a_statement_that_cannot_be_prepared_does_not_spoil_the_others),
        cmocka_unit_test(a_migration_under_a_prepared_read_is_not_noticed),
        cmocka_unit_test(a_quick_text_that_comes_again_is_prepared_there),
        cmocka_unit_test(a_failure_spoils_no_text_of_its_batch),
        cmocka_unit_test(a_text_is_used_when_it_is_known_to_be_there),
        cmocka_unit_test(a_text_that_is_refused_says_so_to_those_who_ask_it),
        cmocka_unit_test(a_migration_under_a_prepared_text_is_not_noticed),
        cmocka_unit_test(a_plan_of_a_text_gets_no_older_than_that),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
