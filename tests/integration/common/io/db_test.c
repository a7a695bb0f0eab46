/* Needs PostgreSQL: CMS365_TEST_DATABASE_URL. */
#include "tests/support/db_crowd.h"

/* --- values ---------------------------------------------------------------------------- */

static void values_make_the_round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = { "plain",       "",       "with \"quotes\"",
                                         "back\\slash", "a,b{c}", NULL,
                                         "NULL",        "ünï\n" };
    static const int64_t numbers[] = { INT64_MIN, -1, 0, 7, INT64_MAX };
    struct db_conf conf = conf_of("db_test");
    struct db *db = db_new(&conf);
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const struct db_val v[] = { db_i64(numbers[i]),
                                    db_text("it's \"text\""),
                                    db_bool(i % 2),
                                    db_texts(texts, ARRAY_LEN(texts)),
                                    db_i64s(numbers, ARRAY_LEN(numbers)),
                                    db_null() };
        struct db_rows *r;
        const char **got;
        size_t len;
        assert_int_equal(db_query(db, arena, &echo, v, ARRAY_LEN(v), &r, &err), 0);
        assert_int_equal(db_nrows(r), 1);
        assert_int_equal(db_ncols(r), 6);
        assert_true(db_get_i64(r, 0, 0) == numbers[i]);
        assert_string_equal(db_cell(r, 0, 1, &len), "it's \"text\"");
        assert_int_equal(len, 11);
        assert_int_equal(db_get_bool(r, 0, 2), i % 2);
        assert_int_equal(db_get_texts(arena, r, 0, 3, &got), ARRAY_LEN(texts));
        for (size_t k = 0; k < ARRAY_LEN(texts); k++)
            assert_true(str_eq(got[k], texts[k]));
        assert_int_equal(db_get_texts(arena, r, 0, 4, &got), ARRAY_LEN(numbers));
        assert_string_equal(got[0], "-9223372036854775808");
        assert_string_equal(got[4], "9223372036854775807");
        assert_true(db_is_null(r, 0, 5));
        assert_null(db_str(r, 0, 5));
        assert_string_equal(db_cell(r, 0, 5, NULL), "");
        assert_int_equal(db_get_i64(r, 0, 5), 0);
    }
    db_free(db);
}

static void arrays_with_bounds_or_nothing_are_split(void **state)
{
    (void)state;
    static const struct db_stmt s = {
        .sql = "select '[0:1]={a,b}'::text[], '{}'::text[], null::text[], '{1,2}'::int[]",
        .flags = DB_ONCE
    };
    struct db_conf conf = conf_of("db_test");
    struct db *db = db_new(&conf);
    struct db_rows *r;
    struct err err;
    const char **got;
    assert_int_equal(db_query(db, arena, &s, NULL, 0, &r, &err), 0);
    assert_int_equal(db_get_texts(arena, r, 0, 0, &got), 2);
    assert_string_equal(got[1], "b");
    assert_int_equal(db_get_texts(arena, r, 0, 1, &got), 0);
    assert_int_equal(db_get_texts(arena, r, 0, 2, &got), 0);
    assert_int_equal(db_get_texts(arena, r, 0, 3, &got), 2);
    db_free(db);
}

static void session_settings_hold(void **state)
{
    (void)state;
    static const struct db_stmt s = {
        .sql = "select current_setting('TimeZone'), current_setting('DateStyle'),"
               " current_setting('statement_timeout'), current_setting('application_name'),"
               " '2026-02-19 08:00:00+02'::timestamptz::text, '\\x00ff'::bytea::text",
        .flags = DB_ONCE
    };
    struct db_conf conf = conf_of("db_test_settings");
    struct db *db = db_new(&conf);
    struct db_rows *r;
    struct err err;
    assert_int_equal(db_query(db, arena, &s, NULL, 0, &r, &err), 0);
    assert_string_equal(db_str(r, 0, 0), "UTC");
    assert_true(str_starts(db_str(r, 0, 1), "ISO"));
    assert_string_equal(db_str(r, 0, 2), "3s");
    assert_string_equal(db_str(r, 0, 3), "db_test_settings");
    assert_string_equal(db_str(r, 0, 4), "2026-02-19 06:00:00+00");
    assert_string_equal(db_str(r, 0, 5), "\\x00ff");
    db_free(db);
}

/* --- a database that is not there ------------------------------------------------------ */

static void ask_in_vain(struct crowd *c, size_t i, struct arena *a)
{
    struct db_rows *r;
    struct err err;
    int64_t from_us = clock_mono_us();
    const struct db_val v[] = { db_i64(1), db_text("x") };
    CHECK(db_query(c->db, a, i % 2 ? &f_echo : &nap, v, i % 2 ? 2 : 1, &r, &err) == -E_unavailable);
    int64_t ms = (clock_mono_us() - from_us) / 1000;
    CHECK(err.retry_after_s == 1 && ms >= 100 && ms < 1500);
}

static void a_database_that_is_down_is_waited_for_then_unavailable(void **state)
{
    (void)state;
    struct db_conf conf = conf_of("db_test");
    struct db_stats st;
    conf.conninfo = "postgresql://nobody@127.0.0.1:1/nothing";
    conf.wait_ms = 300;
    struct db *db = db_new(&conf);
    struct err err;
    run_crowd(db, 6, ask_in_vain, NULL);
    assert_int_equal(db_ping(db, &err), -E_unavailable);
    db_stats(db, &st);
    assert_int_equal(st.conns_open, 0);
    db_free(db);
}

static void a_server_that_says_nothing_is_given_up(void **state)
{
    (void)state;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 5), 0);
    getsockname(fd, (struct sockaddr *)&at, &len);
    char conninfo[100];
    snprintf(conninfo, sizeof(conninfo), "host=127.0.0.1 port=%d user=x dbname=x sslmode=disable",
             ntohs(at.sin_port));
    struct db_conf conf = conf_of("db_test");
    conf.conninfo = conninfo;
    conf.connect_timeout_ms = 200;
    conf.wait_ms = 0;
    struct db *db = db_new(&conf);
    struct err err;
    int64_t from_us = clock_mono_us();
    assert_int_equal(db_ping(db, &err), -E_unavailable);
    assert_in_range((clock_mono_us() - from_us) / 1000, 200, 1500);
    db_free(db);
    close(fd);
}

/* --- errors ---------------------------------------------------------------------------- */

/* The pipelined connection reads in the clear or by TLS; what asks for more than that is told. */
static void encryption_that_is_not_ours_is_refused(void **state)
{
    (void)state;
    char conninfo[1200];
    struct db_conf conf = conf_of("db_test");
    struct db_session *s;
    struct err err;
    snprintf(conninfo, sizeof(conninfo), "%s&gssencmode=require", conf.conninfo);
    conf.conninfo = conninfo;
    assert_int_equal(db_session_open(&conf, &s, &err), -E_unavailable);
    assert_non_null(strstr(err.detail, "gssencmode=require is not supported"));
}

static void violations_name_their_constraint(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        enum err_code want;
        const char *pointer, *state;
    } cases[] = {
        { "insert into t(id, name) values (9001, 'taken')", E_conflict,    "t_name_key",      "23505" },
        { "insert into child(t_id) values (-5)",            E_validation,  "child_t_id_fkey", "23503" },
        { "insert into t(id, n) values (9001, -1)",         E_validation,  "n_positive",      "23514" },
        { "insert into t(id, n) values (9001, null)",       E_validation,  "n",               "23502" },
        { "select nonsense",                                E_internal,    "",                "42703" },
        { "select fail('40001')",                           E_unavailable, "",                "40001" },
        { "select fail('53300')",                           E_unavailable, "",                "53300" },
        { "select fail('57014')",                           E_timeout,     "",                "57014" },
    };
    struct db_conf conf = conf_of("db_test");
    struct db *db = db_new(&conf);
    script("insert into t(id, name) values (9000, 'taken')");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct db_stmt s = { .sql = cases[i].sql, .flags = DB_ONCE };
        struct db_rows *r;
        struct err err;
        assert_int_equal(db_query(db, arena, &s, NULL, 0, &r, &err), -(int)cases[i].want);
        assert_string_equal(err.pointer, cases[i].pointer);
        assert_true(str_starts(err.detail, cases[i].state));
        assert_null(strstr(err.msg, "taken'"));
    }
    db_free(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_make_the_round_trip),
        cmocka_unit_test(arrays_with_bounds_or_nothing_are_split),
        cmocka_unit_test(session_settings_hold),
        cmocka_unit_test(a_database_that_is_down_is_waited_for_then_unavailable),
        cmocka_unit_test(a_server_that_says_nothing_is_given_up),
        cmocka_unit_test(encryption_that_is_not_ours_is_refused),
        cmocka_unit_test(violations_name_their_constraint),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
