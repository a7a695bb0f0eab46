/*
 * A week of 50 million requests, as sums: dashboards read buckets, never requests.
 * proves: N-01, N-03, X-08
 */
#include "tests/integration/services/analytics/analytics_fixture.h"

enum { routes_n = 100, consumers_n = 200, tries = 5 };
static const struct asking admin = { .user = 1, .admin = true };

/* Each cell with the sketch of what it sums up; `times` makes every number larger, not the rows
 * more. */
static int64_t until; /* the same for all, though time goes by */

static void fill(const char *sketch, int64_t times, int days)
{
    sql("TRUNCATE sums", NULL, 0);
    static const char *const cells[] = { "0, 0, 0 FROM generate_series(1, 1) x",
                                         "1, x, 0 FROM generate_series(1, 100) x",
                                         "2, 0, x FROM generate_series(1, 200) x" };
    static const char *const steps[] = { "1 minute", "1 hour", "1 day" };
    for (int level = 0; level < 3; level++) {
        for (size_t k = 0; k < ARRAY_LEN(cells); k++) {
            const char *begin =
                level == 0 ? "interval '1 hour'" : arena_printf(fx.a, "interval '%d days'", days);
            sql(arena_printf(
                    fx.a,
                    "INSERT INTO sums (level, dim, route, consumer, bucket, class, n, limited, "
                    "bytes_in, bytes_out,"
                    " total_us, queue_us, db_us, max_us, sketch)"
                    " SELECT %d, c.dim, c.route, c.consumer, b, k.class, %lld, 0, 0, 0, %lld, 0, "
                    "0, 5000, decode('%s', 'hex')"
                    " FROM (SELECT %s) c(dim, route, consumer), (VALUES (2), (4), (5)) k(class),"
                    " generate_series(date_trunc('day', now()) - %s, to_timestamp(%lld), interval "
                    "'%s') b",
                    level, (long long)(level + 1) * times, (long long)(level + 1) * times * 1000,
                    sketch, cells[k], begin, (long long)until, steps[level]),
                NULL, 0);
        }
    }
    sql("ANALYZE sums", NULL, 0);
}

static void tell_what_it_takes(void)
{
    static int (*const handlers[])(struct req *, struct res *,
                                   struct err *) = { get_overview, get_series, list_routes,
                                                     list_consumers };
    static const char *const names[] = { "overview", "series", "routes by p95",
                                         "consumers by p95" };
    for (size_t h = 0; h < ARRAY_LEN(handlers); h++) {
        const char *args[][2] = {
            { "window", "7d" },
            { h >= 2 ? "sort" : NULL, "p95" },
            { NULL }
        };
        double ms[tries];
        for (int i = 0; i < tries; i++) {
            int64_t began = clock_mono_us();
            const json_t *o = ask(handlers[h], &admin, (const char *const(*)[2])args);
            ms[i] = (double)(clock_mono_us() - began) / 1000;
            assert_non_null(o);
            if (h >= 2)
                assert_int_equal(json_array_size(o), 20);
        }
        for (int i = 1; i < tries; i++)
            for (int k = i; k > 0 && ms[k] < ms[k - 1]; k--) {
                double t = ms[k];
                ms[k] = ms[k - 1];
                ms[k - 1] = t;
            }
        print_message("  %-18s %6.1f ms\n", names[h], ms[tries / 2]);
    }
}

static void what_a_week_costs_does_not_grow_with_its_requests(void **state)
{
    struct sketch *s = arena_alloc(fx.a, sizeof *s);
    unsigned char *bytes;
    int64_t first_cells = 0, first_requests = 0;
    (void)state;
    until = clock_us() / 1000000;
    sketch_init(s);
    for (int64_t us = 200; us < 20000; us += us / 30)
        sketch_add(s, us, (uint64_t)us % 97 + 1);
    size_t n = sketch_write(s, fx.a, &bytes);
    char *hex = arena_raw(fx.a, 2 * n + 1);
    hex_encode(bytes, n, hex);
    sql("INSERT INTO routes (program, method, template) SELECT 'api', 'GET', '/r' || x FROM "
        "generate_series(1, 100) x",
        NULL, 0);
    sql("INSERT INTO consumers (kind, number, user_id) SELECT 'key', x, x FROM generate_series(1, "
        "200) x",
        NULL, 0);
    static const struct {
        int64_t times;
        int days;
    } weeks[] = {
        { 1,      7 },
        { 250000, 7 }
    };
    for (size_t i = 0; i < ARRAY_LEN(weeks); i++) {
        fill(hex, weeks[i].times, weeks[i].days);
        int64_t cells = number("SELECT count(*) FROM sums");
        const json_t *o = ask(get_overview, &admin,
                              (const char *const[][2]){
                                  { "window", "7d" },
                                  { NULL }
        });
        print_message(
            "%lld days kept, %lld cells, %lld requests in the week (a sketch has %zu bytes):\n",
            (long long)weeks[i].days, (long long)cells, (long long)field(o, "requests"), n);
        tell_what_it_takes();
        /* The same rows for a quarter of a million times the requests, and for a longer past. */
        if (i == 0) {
            first_cells = cells;
            first_requests = field(o, "requests");
        } else {
            assert_int_equal(field(o, "requests"), first_requests * weeks[i].times);
        }
        if (i == 1)
            assert_int_equal(cells, first_cells);
    }
    assert_int_equal(number("SELECT count(*) FROM requests"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_week_costs_does_not_grow_with_its_requests),
    };
    set_up("scale");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tear_down();
    return failed;
}
