/*
 * Storing the request log and adding it up, on a real database.
 * proves: N-01, N-02, N-03, X-07, X-08, X-10
 */
#include "tests/integration/services/analytics/analytics_fixture.h"

#include <math.h>
#include <pthread.h>

static const struct asking admin = { .user = 1, .admin = true };

static void clean(void)
{
    sql("TRUNCATE request_blocks, fresh, facets, sums, losses, taken", NULL, 0);
}

static int64_t now_s(void)
{
    return clock_us() / 1000000;
}

/* --- once ------------------------------------------------------------------------------------ */

static void a_record_counts_once_though_its_message_comes_again(void **state)
{
    struct err err = { 0 };
    const struct made r = { .at_s = now_s(), .key = 7, .user = 3 };
    struct buf b[3];
    struct msg m[3];
    (void)state;
    clean();
    for (int i = 0; i < 3; i++) {
        begin_message(&b[i], fx.a);
        for (int k = 0; k < 10; k++)
            put_record(&b[i], &r);
        m[i] = end_message(&b[i], fx.a, i % 2, i / 2);
    }
    /* It dies before the commit, twice; then all come, then some again. */
    assert_int_equal(store_as(&fx.svc, m, 2, true, &err), -E_unavailable);
    assert_int_equal(store_as(&fx.svc, m, 3, true, &err), -E_unavailable);
    assert_int_equal(number("SELECT count(*) FROM requests"), 0);
    store(m, 2);
    store(m, 3);
    store(m + 1, 2);
    assert_int_equal(number("SELECT count(*) FROM requests"), 30);
    assert_int_equal(number("SELECT sum(n) FROM fresh"), 30);
    assert_int_equal(number("SELECT next_offset FROM taken WHERE partition = 0"), 2);
    roll();
    assert_int_equal(number("SELECT count(*) FROM fresh"), 0);
    assert_int_equal(field(ask(get_overview, &admin,
                               (const char *const[][2]){
                                   { "window", "1h" },
                                   { NULL }
    }),
                           "requests"),
                     30);
}

/* What was found for the row before is used again: each of these differs from the one before it in
 * one thing. */
static void a_record_is_counted_as_what_it_is(void **state)
{
    const int64_t begin = now_s() / 300 * 300 - 900;
    const struct made rows[] = {
        { .at_s = begin + 299, .key = 7, .user = 3, .route = "/a" },
        { .at_s = begin + 300, .key = 7, .user = 3, .route = "/a" },
        { .at_s = begin + 300, .key = 8, .user = 3, .route = "/a" },
        { .at_s = begin + 300, .key = 8, .user = 4, .route = "/a" },
        { .at_s = begin + 300, .key = 8, .user = 4, .route = "/a", .method = "PUT" },
        { .at_s = begin + 300, .key = 8, .user = 4, .route = "/b", .method = "PUT" },
        { .at_s = begin + 300, .key = 8, .user = 4, .route = "/b", .agent = "go" },
        { .at_s = begin + 300, .client = 8, .user = 4, .route = "/b", .agent = "go" },
        { .at_s = begin + 300, .session = 1, .user = 4, .route = "/b", .agent = "go" },
        { .at_s = begin + 300, .user = 4, .route = "/b", .agent = "go" },
    };
    static const char each[] =
        "SELECT count(*) FROM (SELECT count(*) AS n FROM requests_shown GROUP BY at, method, route,"
        " consumer, key_id, client_id, user_id, agent) x WHERE n = 3";
    static const char differ[] =
        "WITH told AS (SELECT to_timestamp(floor(extract(epoch FROM at) / 300) * 300), consumer,"
        " coalesce(key_id, client_id, 0), coalesce(user_id, 0), agent, count(*)::bigint"
        " FROM requests WHERE consumer <> 'anonymous' GROUP BY 1, 2, 3, 4, 5),"
        " kept AS (SELECT f.bucket, c.kind, c.number, c.user_id, f.value, f.n::bigint FROM facets f"
        " JOIN consumers c ON c.id = f.consumer WHERE f.kind = 'agent')"
        " SELECT (SELECT count(*) FROM (TABLE told EXCEPT ALL TABLE kept) x)"
        " + (SELECT count(*) FROM (TABLE kept EXCEPT ALL TABLE told) x)";
    struct buf b;
    struct msg m;
    (void)state;
    clean();
    begin_message(&b, fx.a);
    for (size_t i = 0; i < 3 * ARRAY_LEN(rows); i++)
        put_record(&b, &rows[i / 3]);
    m = end_message(&b, fx.a, 0, 0);
    store(&m, 1);
    assert_int_equal(number(each), ARRAY_LEN(rows));
    assert_int_equal(number("SELECT count(*) FROM facets WHERE kind = 'agent'"), 7);
    assert_int_equal(number(differ), 0);
}

struct replica {
    struct svc svc;
    struct analytics state;
    struct msg *m;
    size_t n;
    pthread_t thread;
};

static void *take_part(void *p)
{
    struct replica *r = p;
    for (size_t i = 0; i < r->n; i++) {
        struct err err = { 0 };
        /* Whoever comes second finds it done; who waits for a name made by the other tries again.
         */
        while (store_as(&r->svc, &r->m[i], 1, false, &err) == -E_unavailable)
            ;
    }
    return NULL;
}

static void two_replicas_that_read_the_same_count_each_record_once(void **state)
{
    enum { messages = 24, rows = 20 };
    static struct replica two[2];
    struct arena *own[2][messages];
    (void)state;
    clean();
    for (size_t k = 0; k < 2; k++) {
        two[k] = (struct replica){ .svc = fx.svc, .n = messages };
        two[k].state.names = names_new();
        two[k].svc.state = &two[k].state;
        two[k].svc.db = db_new(&fx.priv.db_conf);
        two[k].m = calloc(messages, sizeof(struct msg));
        for (size_t i = 0; i < messages; i++) {
            struct buf b;
            own[k][i] = arena_new();
            begin_message(&b, own[k][i]);
            for (int64_t j = 0; j < rows; j++)
                put_record(&b,
                           &(struct made){ .at_s = now_s() - (int64_t)i,
                                           .key = 100 + j % 5,
                                           .user = 3,
                                           .route = j % 2 ? "/api/v2/pages" : "/api/v2/posts" });
            two[k].m[i] = end_message(&b, own[k][i], (int)(i % 4), (int64_t)(i / 4));
        }
        assert_int_equal(pthread_create(&two[k].thread, NULL, take_part, &two[k]), 0);
    }
    /* The sums are made while both store. */
    for (int i = 0; i < 5; i++)
        roll();
    for (size_t k = 0; k < 2; k++)
        pthread_join(two[k].thread, NULL);
    roll();
    assert_int_equal(number("SELECT count(*) FROM requests"), messages * rows);
    for (int dim = 0; dim < 4; dim++)
        for (int level = 0; level < 3; level++)
            assert_int_equal(
                number(arena_printf(fx.a, "SELECT sum(n) FROM sums WHERE dim = %d AND level = %d",
                                    dim, level)),
                messages * rows);
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < messages; i++)
            arena_free(own[k][i]);
        names_free(two[k].state.names);
        db_free(two[k].svc.db);
        free(two[k].m);
    }
}

static void what_is_no_message_stores_nothing(void **state)
{
    struct err err = { 0 };
    struct buf b;
    (void)state;
    clean();
    begin_message(&b, fx.a);
    put_record(&b, &(struct made){ .at_s = now_s() });
    struct msg m[2] = { end_message(&b, fx.a, 0, 0), { .payload = "{\"v\":1}" } };
    m[1].arena = fx.a;
    m[1].len = 7;
    m[1].offset = 1;
    assert_int_equal(store_as(&fx.svc, m, 2, false, &err), -E_invalid);
    assert_int_equal(number("SELECT count(*) FROM requests"), 0);
}

/* --- answers ---------------------------------------------------------------------------------- */

/* The golden data set: minutes of two days ago whose every number is known. */
static int64_t golden(void)
{
    int64_t begin = now_s() / 86400 * 86400 - 2 * 86400 + 3600;
    int64_t offset = 0;
    clean();
    for (int minute = 0; minute < 10; minute++) {
        const int64_t at = begin + minute * 60;
        const struct made rows[] = {
            { .at_s = at, .key = 7, .user = 3, .total_us = 1000 },
            { .at_s = at, .key = 7, .user = 3, .total_us = 3000, .status = 404 },
            { .at_s = at, .key = 8, .user = 4, .total_us = 50000, .route = "/api/v2/pages" },
            { .at_s = at, .key = 8, .user = 4, .total_us = 900, .status = 500 },
            { .at_s = at, .total_us = 200, .status = 429 },
        };
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            store_many(&rows[i], i == 0 ? 6 : 1, 0, offset++);
        if (minute == 4)
            roll(); /* half is in the sums, half is not */
    }
    return begin;
}

static void numbers_of_the_golden_set_are_what_they_are(void **state)
{
    int64_t begin = golden();
    const char *const window[][2] = {
        { "since", text_of(begin) },
        { "until", text_of(begin + 600) },
        { NULL }
    };
    (void)state;
    for (int rolled = 0; rolled < 2; rolled++) {
        const json_t *o = ask(get_overview, &admin, window);
        assert_int_equal(field(o, "requests"), 100);
        assert_int_equal(field(o, "client_errors"), 20);
        assert_int_equal(field(o, "server_errors"), 10);
        assert_int_equal(field(o, "limited"), 10);
        assert_int_equal(field(o, "error_ppm"), 300000);
        assert_int_equal(field(o, "bytes_out"), 10000);
        assert_int_equal(field(o, "mean_us"), (6 * 1000 + 3000 + 50000 + 900 + 200) / 10);
        assert_int_equal(field(o, "max_us"), 50000);
        assert_true(llabs(field(o, "p50_us") - 1000) <= 10);
        assert_true(llabs(field(o, "p95_us") - 50000) <= 500);
        assert_int_equal(field(json_object_get(o, "before"), "requests"), 0);
        roll();
    }
}

static void the_series_has_a_point_for_every_step(void **state)
{
    int64_t begin = golden();
    const char *const fine[][2] = {
        { "since", text_of(begin - 120) },
        { "until", text_of(begin + 600) },
        { "step", "1m" },
        { NULL }
    };
    const char *const coarse[][2] = {
        { "since", text_of(begin - 3600) },
        { "until", text_of(begin + 7200) },
        { "step", "1h" },
        { NULL }
    };
    (void)state;
    const json_t *points = json_object_get(ask(get_series, &admin, fine), "points");
    assert_int_equal(json_array_size(points), 12);
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(field(json_array_get(points, i), "requests"), i < 2 ? 0 : 10);
    points = json_object_get(ask(get_series, &admin, coarse), "points");
    assert_int_equal(json_array_size(points), 3);
    assert_int_equal(field(json_array_get(points, 1), "requests"), 100);
    assert_int_equal(field(json_array_get(points, 2), "requests"), 0);
}

static const char *name_at(const json_t *list, size_t i, const char *name)
{
    return json_string_value(json_object_get(json_array_get(list, i), name));
}

static void the_most_asked_slowest_and_failing_are_found(void **state)
{
    int64_t begin = golden();
    const char *sort = "requests";
    const char *args[][2] = {
        { "since", text_of(begin) },
        { "until", text_of(begin + 600) },
        { "sort", sort },
        { NULL }
    };
    (void)state;
    const json_t *list = ask(list_routes, &admin, (const char *const(*)[2])args);
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(name_at(list, 0, "route"), "/api/v2/posts");
    assert_int_equal(field(json_array_get(list, 0), "requests"), 90);
    args[2][1] = "p95";
    list = ask(list_routes, &admin, (const char *const(*)[2])args);
    assert_string_equal(name_at(list, 0, "route"), "/api/v2/pages");
    args[2][1] = "error_rate";
    list = ask(list_consumers, &admin, (const char *const(*)[2])args);
    assert_int_equal(json_array_size(list), 3);
    assert_string_equal(name_at(list, 0, "consumer"), "anonymous");
    assert_int_equal(field(json_array_get(list, 0), "error_ppm"), 1000000);
    args[2][1] = "requests";
    list = ask(list_consumers, &admin, (const char *const(*)[2])args);
    assert_int_equal(field(json_object_get(json_array_get(list, 0), "key"), "id"), 7);
}

static void an_owner_sees_the_traffic_of_own_keys_only(void **state)
{
    int64_t begin = golden();
    const struct asking owner = { .user = 3 }, other = { .user = 99 };
    const char *args[][2] = {
        { "since", text_of(begin) },
        { "until", text_of(begin + 600) },
        { NULL },
        { NULL }
    };
    const char *const(*window)[2] = (const char *const(*)[2])args;
    (void)state;
    for (int rolled = 0; rolled < 2; rolled++) {
        args[2][0] = NULL;
        assert_int_equal(field(ask(get_overview, &owner, window), "requests"), 70);
        assert_int_equal(field(ask(get_overview, &other, window), "requests"), 0);
        assert_int_equal(json_array_size(ask(list_consumers, &owner, window)), 1);
        assert_int_equal(field(json_array_get(ask(list_routes, &owner, window), 0), "requests"),
                         70);
        /* Naming another's key gives nothing. */
        args[2][0] = "key";
        args[2][1] = "8";
        assert_int_equal(field(ask(get_overview, &owner, window), "requests"), 0);
        assert_int_equal(field(ask(get_overview, &admin, window), "requests"), 20);
        args[2][0] = "user";
        args[2][1] = "4";
        assert_int_equal(field(ask(get_overview, &owner, window), "requests"), 0);
        args[2][0] = "route";
        args[2][1] = "/api/v2/pages";
        assert_int_equal(field(ask(get_overview, &admin, window), "requests"), 10);
        assert_int_equal(field(ask(get_overview, &owner, window), "requests"), 0);
        roll();
    }
}

static void bad_windows_are_refused(void **state)
{
    static const char *const bad[][3][2] = {
        { { "window", "5" } },
        { { "window", "0h" } },
        { { "window", "9999999999d" } },
        { { "since", "yesterday" } },
        { { "since", "2026-02-19T08:00:00Z" }, { "until", "2026-02-19T07:00:00Z" } },
        { { "since", "2026-02-19T08:00:00Z" }, { "window", "1h" } },
        { { "consumer", "robot" } },
        { { "step", "1s" } },
        { { "window", "30d" }, { "step", "1m" } },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = { 0 };
        json_t *ignored;
        if (ask_rc(get_series, &admin, bad[i], &ignored, &err) != -E_invalid_parameter)
            fail_msg("%s=%s is taken", bad[i][0][0], bad[i][0][1]);
    }
}

/* No dashboard looks at single requests: without the log all the answers are the same. */
static void answers_do_not_need_the_log(void **state)
{
    int64_t begin = golden();
    const char *const window[][2] = {
        { "since", text_of(begin) },
        { "until", text_of(begin + 600) },
        { NULL }
    };
    (void)state;
    roll();
    sql("ALTER VIEW requests RENAME TO requests_hidden", NULL, 0);
    sql("ALTER TABLE request_blocks RENAME TO blocks_hidden", NULL, 0);
    assert_int_equal(field(ask(get_overview, &admin, window), "requests"), 100);
    assert_int_equal(json_array_size(json_object_get(ask(get_series, &admin, window), "points")),
                     10);
    assert_int_equal(json_array_size(ask(list_routes, &admin, window)), 2);
    assert_int_equal(json_array_size(ask(list_consumers, &admin, window)), 3);
    sql("ALTER VIEW requests_hidden RENAME TO requests", NULL, 0);
    sql("ALTER TABLE blocks_hidden RENAME TO request_blocks", NULL, 0);
}

/* Counters live in memory: a scrape sends no statement, whatever lies in the tables. */
static void a_scrape_of_metrics_asks_no_table(void **state)
{
    const struct route *scrape = NULL;
    struct db_stats before, after;
    struct err err = { 0 };
    (void)state;
    for (const struct route *r = svc_ops_routes; r->path; r++)
        scrape = str_eq(r->path, "/metrics") ? r : scrape;
    assert_non_null(scrape);
    struct req req = { .svc = &fx.svc, .arena = fx.a, .route = scrape };
    struct res res = { .arena = fx.a };
    buf_init(&res.body, fx.a, 4096, 4 * 1024 * 1024);
    pthread_mutex_init(&fx.priv.pub_mu, NULL);
    db_stats(fx.svc.db, &before);
    check(scrape->fn(&req, &res, &err), &err);
    db_stats(fx.svc.db, &after);
    assert_non_null(strstr(res.body.data, "cms365_analytics_records_total"));
    assert_true(before.statements > 0 && after.statements == before.statements);
}

/* --- time goes by ----------------------------------------------------------------------------- */

static void old_days_are_dropped_as_partitions(void **state)
{
    struct err err = { 0 };
    (void)state;
    clean();
    check(retain_once(&fx.svc, fx.a, &err), &err);
    assert_true(
        number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'request_blocks'::regclass") >=
        3);
    sql("SELECT part_ensure('request_blocks', ((now() AT TIME ZONE 'UTC')::date - 40), 1)", NULL,
        0);
    sql("SELECT part_ensure('sums_minute', ((now() AT TIME ZONE 'UTC')::date - 20), 1)", NULL, 0);
    store_many(&(struct made){ .at_s = now_s() - 40 * 86400 }, 5, 0, 0);
    store_many(&(struct made){ .at_s = now_s() - 20 * 86400 }, 5, 0, 1);
    store_many(&(struct made){ .at_s = now_s() }, 5, 0, 2);
    roll();
    assert_int_equal(number("SELECT count(*) FROM requests"), 15);
    int64_t before =
        number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'request_blocks'::regclass");
    check(retain_once(&fx.svc, fx.a, &err), &err);
    assert_int_equal(number("SELECT count(*) FROM requests"), 10);
    assert_int_equal(
        number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'request_blocks'::regclass"),
        before - 1);
    /* Minutes go after 8 days, hours and days stay: the numbers of the longer past are whole. */
    assert_int_equal(number("SELECT sum(n) FROM sums WHERE level = 0 AND dim = 0"), 5);
    assert_int_equal(number("SELECT sum(n) FROM sums WHERE level = 1 AND dim = 0"), 15);
    const char *since = text_of((now_s() - 20 * 86400) / 3600 * 3600 - 600);
    const char *until = text_of((now_s() - 20 * 86400) / 3600 * 3600 + 4200);
    assert_int_equal(field(ask(get_overview, &admin,
                               (const char *const[][2]){
                                   { "since", since },
                                   { "until", until },
                                   { NULL }
    }),
                           "requests"),
                     5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_counts_once_though_its_message_comes_again),
        cmocka_unit_test(a_record_is_counted_as_what_it_is),
        cmocka_unit_test(two_replicas_that_read_the_same_count_each_record_once),
        cmocka_unit_test(what_is_no_message_stores_nothing),
        cmocka_unit_test(numbers_of_the_golden_set_are_what_they_are),
        cmocka_unit_test(the_series_has_a_point_for_every_step),
        cmocka_unit_test(the_most_asked_slowest_and_failing_are_found),
        cmocka_unit_test(an_owner_sees_the_traffic_of_own_keys_only),
        cmocka_unit_test(bad_windows_are_refused),
        cmocka_unit_test(answers_do_not_need_the_log),
        cmocka_unit_test(a_scrape_of_metrics_asks_no_table),
        cmocka_unit_test(old_days_are_dropped_as_partitions),
    };
    set_up("ingest");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tear_down();
    return failed;
}
