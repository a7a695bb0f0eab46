/* Needs PostgreSQL: CMS365_TEST_DATABASE_URL. */
#include "tests/support/db_crowd.h"

/* --- borrowed connections -------------------------------------------------------------- */

static void borrow_in_turn(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    size_t *order = c->ctx;
    CHECK(db_query(c->db, a, &nap, (struct db_val[]){ db_i64(20) }, 1, &r, &err) == 0);
    order[order[0]++] = i;
}

static void waiting_for_a_connection_is_first_come_first_served(void **state)
{
    (void)state;
    size_t order[11] = { 1 };
    struct db_conf conf = conf_of("db_test");
    struct db_stats st;
    conf.conns_max = 1;
    struct db *db = db_new(&conf);
    run_crowd(db, 10, borrow_in_turn, order);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(order[i + 1], i);
    db_stats(db, &st);
    assert_int_equal(st.waits, 9);
    assert_int_equal(st.borrowed, 0);
    assert_int_equal(st.conns_open, 1);
    db_free(db);
}

static void wait_too_long(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    int64_t from_us = clock_mono_us();
    int rc = db_query(c->db, a, &nap, (struct db_val[]){ db_i64(1000) }, 1, &r, &err);
    if (i == 0) {
        CHECK(rc == 0);
        return;
    }
    int64_t ms = (clock_mono_us() - from_us) / 1000;
    CHECK(rc == -E_unavailable && err.retry_after_s == 1);
    CHECK(ms >= 100 && ms < 900);
}

static void no_connection_within_wait_ms_is_unavailable(void **state)
{
    (void)state;
    struct db_conf conf = conf_of("db_test");
    conf.conns_max = 1;
    conf.wait_ms = 100;
    struct db *db = db_new(&conf);
    run_crowd(db, 5, wait_too_long, NULL);
    db_free(db);
}

static void sleep_too_long(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    const struct db_val v[] = { db_i64(5000), db_i64(5000) };
    int rc = i == 0 ? db_query(c->db, a, &nap, v, 1, &r, &err)
                    : db_query(c->db, a, &f_nap, v, 2, &r, &err);
    CHECK(rc == -E_timeout);
    /* The connection is as good as before. */
    CHECK(db_query(c->db, a, &f_echo, (struct db_val[]){ db_i64(1), db_text("x") }, 2, &r, &err) ==
          0);
}

static void a_statement_over_its_time_is_timeout(void **state)
{
    (void)state;
    struct db_conf conf = conf_of("db_test");
    struct db_stats st;
    conf.statement_timeout_ms = 150;
    struct db *db = db_new(&conf);
    run_crowd(db, 2, sleep_too_long, NULL);
    db_stats(db, &st);
    assert_int_equal(st.reconnects, 2); /* one pipelined, one borrowed, both kept */
    struct err err;
    struct db_rows *r;
    assert_int_equal(db_query(db, arena, &nap, (struct db_val[]){ db_i64(5000) }, 1, &r, &err),
                     -E_timeout);
    db_free(db);
}

static void use_after_restart(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    (void)i;
    for (int k = 0; k < 3; k++) {
        CHECK(db_query(c->db, a, &nap, (struct db_val[]){ db_i64(1) }, 1, &r, &err) == 0);
        CHECK(db_query(c->db, a, &f_echo, (struct db_val[]){ db_i64(1), db_null() }, 2, &r, &err) ==
              0);
        if (i == 0) {
            static const struct db_stmt self_too = {
                .name = "self_too",
                .sql = "select pg_terminate_backend(pid) from pg_stat_activity where"
                       " application_name = $1 order by pid = pg_backend_pid()"
            };
            int rc =
                db_query(c->db, a, &self_too, (struct db_val[]){ db_text(c->ctx) }, 1, &r, &err);
            CHECK(rc == -E_unavailable);
        }
        fiber_sleep_ms(50);
    }
}

static void idle_connections_that_the_server_closed_are_not_used(void **state)
{
    (void)state;
    static char app[] = "db_test_idle";
    struct db_conf conf = conf_of(app);
    struct db *db = db_new(&conf);
    run_crowd(db, 1, use_after_restart, app);
    db_free(db);
}

static void write_on_a_dying_connection(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    if (i == 0) {
        CHECK(db_query(c->db, a, &add_slowly, (struct db_val[]){ db_i64(500) }, 1, &r, &err) ==
              -E_unavailable);
        CHECK(err.retry_after_s == 1);
        return;
    }
    fiber_sleep_ms(200);
    CHECK(db_query(c->db, a, &end_others, (struct db_val[]){ db_text(c->ctx) }, 1, &r, &err) == 0);
}

static void writes_are_never_sent_twice(void **state)
{
    (void)state;
    static char app[] = "db_test_write";
    struct db_conf conf = conf_of(app);
    struct db_stats st;
    struct db *db = db_new(&conf);
    run_crowd(db, 2, write_on_a_dying_connection, app);
    db_stats(db, &st);
    assert_int_equal(st.reconnects, 2); /* no third one was opened to try again */
    assert_int_equal(rows_of(500), 0);
    db_free(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_for_a_connection_is_first_come_first_served),
        cmocka_unit_test(no_connection_within_wait_ms_is_unavailable),
        cmocka_unit_test(a_statement_over_its_time_is_timeout),
        cmocka_unit_test(idle_connections_that_the_server_closed_are_not_used),
        cmocka_unit_test(writes_are_never_sent_twice),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
