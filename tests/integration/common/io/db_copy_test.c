/* Needs PostgreSQL: CMS365_TEST_DATABASE_URL.  proves: N-01 */
#include "tests/support/db_crowd.h"

#include "common/io/db_copy.h"

enum { columns = 7, row_bytes_max = 256, many = 20000 };
static const struct db_stmt copy = { .name = "copied_store",
                                     .sql = "copy copied from stdin (format binary)",
                                     .flags = DB_WRITE };
static const struct db_stmt absent = { .name = "copied_absent",
                                       .sql = "copy no_such_table from stdin (format binary)",
                                       .flags = DB_WRITE };
static const struct db_stmt no_copy = { .name = "copied_none", .sql = "select 1" };
static const struct db_stmt all = {
    .name = "copied_all",
    .sql = "select small, whole, big, yes, at, word from copied order by whole"
};
static const struct db_stmt number = { .name = "copied_number",
                                       .sql =
                                           "select count(*), coalesce(sum(big), 0) from copied" };

struct plan {
    const struct db_stmt *stmt;
    int rows;
    size_t bytes;
    bool wrong_type, broken_check, twice;
};

static void put_row(struct db_copy *c, int i, const struct plan *p)
{
    db_copy_row(c, columns);
    db_copy_i16(c, (int16_t)(-i % 1000));
    if (p->wrong_type)
        db_copy_i64(c, i);
    else
        db_copy_i32(c, p->broken_check ? -1 : i);
    db_copy_i64(c, INT64_MIN + i);
    db_copy_bool(c, i & 1);
    db_copy_time(c, INT64_C(1700000000123456) + i);
    db_copy_text(c, i % 3 ? "ä \\ \t\n\"" : "");
    db_copy_null(c);
}

static int copy_fn(struct db_tx *tx, void *ctx, struct err *err)
{
    const struct plan *p = ctx;
    struct db_copy c;
    db_copy_init(&c, arena, p->bytes);
    int rc = 0;
    for (int turn = 0; turn <= p->twice && !rc; turn++) {
        for (int i = 0; i < p->rows; i++)
            put_row(&c, i + turn * p->rows, p);
        rc = db_copy(tx, &c, p->stmt, err);
    }
    return rc;
}

static int64_t stored(struct db *db)
{
    struct db_rows *r;
    struct err err;
    assert_int_equal(db_query(db, arena, &number, NULL, 0, &r, &err), 0);
    return db_get_i64(r, 0, 0);
}

static struct db *begin(void)
{
    struct db_conf conf = conf_of("db_test");
    struct db *db = db_new(&conf);
    struct db_session *s;
    struct err err;
    assert_int_equal(db_session_open(&conf, &s, &err), 0);
    assert_int_equal(
        db_session_script(s,
                          "drop table if exists copied; create table copied (small "
                          "smallint, whole integer check (whole >= 0), big bigint, yes "
                          "boolean, at timestamptz, word text, nothing text)",
                          &err),
        0);
    db_session_close(s);
    return db;
}

static void rows_arrive_as_they_were(void **state)
{
    struct db *db = begin();
    struct db_rows *r;
    struct err err = { 0 };
    const struct plan p = { .stmt = &copy, .rows = 4, .bytes = 4 * row_bytes_max, .twice = true };
    (void)state;
    assert_int_equal(db_tx(db, arena, copy_fn, (void *)(uintptr_t)&p, &err), 0);
    assert_int_equal(db_query(db, arena, &all, NULL, 0, &r, &err), 0);
    assert_int_equal(db_nrows(r), 8);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(db_get_i64(r, i, 0), -(int64_t)i);
        assert_int_equal(db_get_i64(r, i, 1), i);
        assert_true(db_get_i64(r, i, 2) == INT64_MIN + (int64_t)i);
        assert_string_equal(db_str(r, i, 3), i & 1 ? "t" : "f");
        assert_string_equal(db_str(r, i, 5), i % 3 ? "ä \\ \t\n\"" : "");
    }
    assert_string_equal(db_str(r, 1, 4), "2023-11-14 22:13:20.123457+00");
    db_free(db);
}

/* More than the socket and libpq's buffer take at once. */
static void many_rows_go_in_pieces(void **state)
{
    struct db *db = begin();
    struct err err = { 0 };
    const struct plan p = { .stmt = &copy, .rows = many, .bytes = (size_t)many * row_bytes_max };
    (void)state;
    assert_int_equal(db_tx(db, arena, copy_fn, (void *)(uintptr_t)&p, &err), 0);
    assert_int_equal(stored(db), many);
    db_free(db);
}

static void what_cannot_be_copied_leaves_nothing(void **state)
{
    static const struct plan wrong[] = {
        { .stmt = &absent, .rows = 1, .bytes = row_bytes_max },
        { .stmt = &no_copy, .rows = 1, .bytes = row_bytes_max },
        { .stmt = &copy, .rows = 1, .bytes = row_bytes_max, .wrong_type = true },
        { .stmt = &copy, .rows = many, .bytes = (size_t)many * row_bytes_max, .wrong_type = true },
        { .stmt = &copy, .rows = 2, .bytes = 2 * row_bytes_max, .broken_check = true },
        { .stmt = &copy, .rows = 100, .bytes = row_bytes_max }, /* more than was said */
    };
    struct db *db = begin();
    const struct plan right = { .stmt = &copy, .rows = 1, .bytes = row_bytes_max };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err err = { 0 };
        assert_true(db_tx(db, arena, copy_fn, (void *)(uintptr_t)&wrong[i], &err) < 0);
        assert_int_equal(stored(db), i); /* what went before, and the connection goes on */
        assert_int_equal(db_tx(db, arena, copy_fn, (void *)(uintptr_t)&right, &err), 0);
        assert_int_equal(stored(db), i + 1);
    }
    db_free(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_arrive_as_they_were),
        cmocka_unit_test(many_rows_go_in_pieces),
        cmocka_unit_test(what_cannot_be_copied_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
