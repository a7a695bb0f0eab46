/* Needs PostgreSQL: CMS365_TEST_DATABASE_URL.  proves: N-01 */
#include "tests/support/db_crowd.h"

#include "common/io/db_copy.h"

enum { columns = 9, row_bytes_max = 400, many = 20000 };
static const struct db_stmt copy = { .name = "copied_store",
                                     .sql = "copy copied from stdin (format binary)",
                                     .flags = DB_WRITE };
static const struct db_stmt absent = { .name = "copied_absent",
                                       .sql = "copy no_such_table from stdin (format binary)",
                                       .flags = DB_WRITE };
static const struct db_stmt no_copy = { .name = "copied_none", .sql = "select 1" };
static const struct db_stmt all = {
    .name = "copied_all",
    .sql = "select whole, small, big, at, times, words, encode(raw, 'escape'), nothing, "
           "array_dims(whole), uuids from copied order by at"
};
static const struct db_stmt number = { .name = "copied_number",
                                       .sql = "select count(*) from copied" };

struct plan {
    const struct db_stmt *stmt;
    int rows;
    size_t bytes;
    bool wrong_type, broken_check, twice;
};

static void put_row(struct db_copy *c, int i, const struct plan *p)
{
    const int64_t whole[] = { p->broken_check ? -1 : i, INT32_MAX, INT32_MIN },
                  small[] = { -i % 1000, INT16_MAX, INT16_MIN },
                  big[] = { INT64_MIN + i, INT64_MAX, 0 },
                  times[] = { INT64_C(1700000000123456) + i, 0 };
    const char *const words[] = { i % 3 ? "ä \\ \t\n\"{}," : "", "NULL", i % 2 ? NULL : "x" };
    const unsigned char first[16] = { 0x01, 0xa2, [14] = (unsigned char)(i / 256),
                                      (unsigned char)i };
    const unsigned char *const uuids[] = { first, i % 2 ? NULL : first,
                                           (const void *)"0123456789abcdef" };
    db_copy_row(c, columns);
    db_copy_ints(c, p->wrong_type ? COPY_BIGINTS : COPY_INTEGERS, whole, 3);
    db_copy_ints(c, COPY_SMALLINTS, small, 3);
    db_copy_ints(c, COPY_BIGINTS, big, 3);
    db_copy_time(c, INT64_C(1700000000123456) + i);
    db_copy_ints(c, COPY_TIMES, times, i % 2 ? 2 : 0);
    db_copy_texts(c, words, 3);
    db_copy_bytes(c, "a\0b", 3);
    db_copy_uuids(c, uuids, 3);
    db_copy_null(c);
}

static int copy_fn(struct db_tx *tx, void *ctx, struct err *err)
{
    const struct plan *p = ctx;
    struct db_copy c;
    db_copy_init(&c, arena, row_bytes_max, p->bytes);
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
        db_session_script(
            s,
            "drop table if exists copied; create table copied (whole integer[]"
            " check (whole[1] >= 0), small smallint[], big bigint[], at timestamptz,"
            " times timestamptz[], words text[], raw bytea, uuids uuid[], nothing text)",
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
        assert_string_equal(db_str(r, i, 0),
                            arena_printf(arena, "{%zu,2147483647,-2147483648}", i));
        assert_string_equal(db_str(r, i, 1), arena_printf(arena, "{%d,32767,-32768}", -(int)i));
        assert_string_equal(db_str(r, i, 2), arena_printf(arena, "{%lld,9223372036854775807,0}",
                                                          (long long)(INT64_MIN + (int64_t)i)));
        assert_string_equal(db_str(r, i, 4),
                            i % 2 ? arena_printf(arena,
                                                 "{\"2023-11-14 22:13:20.1234%zu+00\",\"1970-01-01 "
                                                 "00:00:00+00\"}",
                                                 56 + i)
                                  : "{}");
        const char **words;
        assert_int_equal(db_get_texts(arena, r, i, 5, &words), 3);
        assert_string_equal(words[0], i % 3 ? "ä \\ \t\n\"{}," : "");
        assert_string_equal(words[1], "NULL");
        if (i % 2)
            assert_null(words[2]);
        else
            assert_string_equal(words[2], "x");
        assert_string_equal(db_str(r, i, 6), "a\\000b");
        assert_true(db_is_null(r, i, 7));
        assert_string_equal(db_str(r, i, 8), "[1:3]"); /* as PostgreSQL's own arrays */
        const char *first = arena_printf(arena, "01a20000-0000-0000-0000-00000000%04zx", i);
        assert_string_equal(db_str(r, i, 9),
                            arena_printf(arena, "{%s,%s,30313233-3435-3637-3839-616263646566}",
                                         first, i % 2 ? "NULL" : first));
    }
    assert_string_equal(db_str(r, 1, 3), "2023-11-14 22:13:20.123457+00");
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
