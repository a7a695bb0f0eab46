/* Many changes in one transaction, on a real database.  proves: R-10 X-03 X-04 */
#include "tests/integration/services/api/api_fixture.h"

#include "common/kit/crud_bulk.h"
#include "common/kit/operation.h"

#include <pthread.h>
#include <stdatomic.h>

static struct principal admin;

static int bulk_setup(void **state)
{
    int rc = fx_setup(state);
    admin = fx_who(1, ROLE_ADMIN, (scope_set)1 << S_api_admin);
    admin.user_id = 0;
    return rc;
}

static void counts_hold(void)
{
    assert_int_equal(fx_int("SELECT count(*) FROM (SELECT status, count(*) AS n FROM companies "
                            "WHERE deleted_at IS NULL GROUP BY 1) a FULL JOIN (SELECT status, "
                            "sum(n) AS n FROM counts WHERE entity = 'company' GROUP BY 1 HAVING "
                            "sum(n) <> 0) b USING (status) WHERE a.n IS DISTINCT FROM b.n"),
                     0);
}

static struct answer bulk(const char *query, const char *body)
{
    return ASK(.method = "PATCH", .plural = "companies", .query = query, .body = body,
               .who = &admin);
}

static const char *events_since(int64_t id)
{
    return db_str(fx_sql(arena_printf(fx.a,
                                      "SELECT coalesce(string_agg(u.t || ' ' || (payload::json->"
                                      "'data'->>'name'), ', ' ORDER BY id, u.n), '') FROM outbox, "
                                      "unnest(type || also_types) WITH ORDINALITY AS u(t, n) WHERE "
                                      "id > %lld",
                                      (long long)id)),
                  0, 0);
}

static int64_t last_event(void)
{
    return fx_int("SELECT coalesce(max(id), 0) FROM outbox");
}

static void events_are_those_of_single_writes(void **state)
{
    (void)state;
    struct answer first = ASK(.method = "POST", .plural = "companies", .who = &admin,
                              .body = "{\"name\":\"first\",\"slug\":\"first\"}");
    const char *id = fx_id(&first);
    int64_t before = last_event();
    const char *ops = arena_printf(fx.a,
                                   "[{\"op\":\"create\",\"data\":{\"name\":\"a\"}},"
                                   "{\"op\":\"update\",\"id\":%s,\"data\":{\"name\":\"b\"}},"
                                   "{\"op\":\"update\",\"id\":%s,\"data\":{\"name\":\"b\"}},"
                                   "{\"op\":\"delete\",\"id\":%s},{\"op\":\"restore\",\"id\":%s}]",
                                   id, id, id, id);
    EXPECT(bulk("dry_run=true", ops), 200);
    assert_string_equal(events_since(before), "");
    EXPECT(bulk(NULL, ops), 200);
    assert_string_equal(events_since(before), "company.created a, company.updated b, "
                                              "company.deleted b, company.restored b");
    before = last_event();
    EXPECT(bulk(NULL, "[{\"op\":\"create\",\"data\":{\"name\":\"c\"}},"
                      "{\"op\":\"create\",\"data\":{\"name\":\"d\",\"slug\":\"first\"}}]"),
           409);
    assert_string_equal(events_since(before), "");
    EXPECT(bulk("atomic=false", "[{\"op\":\"create\",\"data\":{\"name\":\"c\"}},"
                                "{\"op\":\"create\",\"data\":{\"name\":\"d\",\"slug\":\"first\"}},"
                                "{\"op\":\"create\",\"data\":{\"name\":\"e\"}}]"),
           207);
    assert_string_equal(events_since(before), "company.created c, company.created e");
    counts_hold();
}

/* --- two bulks that want the same in opposite order --- */

enum { rivals = 4, rounds = 30, wanted = 12 };

static int64_t row_ids[wanted];

static const char *rival_ops(struct arena *a, bool up, int round)
{
    struct buf b;
    buf_init(&b, a, 1024, 64 * 1024);
    for (int k = 0; k < wanted; k++) {
        int i = up ? k : wanted - 1 - k;
        buf_printf(&b,
                   "%s{\"op\":\"upsert\",\"data\":{\"slug\":\"rival-%d\",\"name\":\"n%d\"}},"
                   "{\"op\":\"create\",\"data\":{\"name\":\"Round %d of %d\",\"logo\":%d,"
                   "\"status\":\"%s\"}},"
                   "{\"op\":\"update\",\"id\":%lld,\"data\":{\"city\":\"%s %d\"}}",
                   k ? "," : "[", i, round, round, i, i % 3 + 1,
                   (k ^ up) & 1 ? "active" : "inactive", (long long)row_ids[i], up ? "up" : "down",
                   round);
    }
    buf_putc(&b, ']');
    return b.data;
}

static void *rival(void *arg)
{
    const bool *up = arg;
    for (int i = 0; i < rounds; i++) {
        thread_arena = arena_new();
        EXPECT(bulk(NULL, rival_ops(thread_arena, *up, i)), 200);
        arena_free(thread_arena);
    }
    thread_arena = NULL;
    return NULL;
}

static int64_t deadlocks(void)
{
    fx_sql("SELECT pg_stat_clear_snapshot()");
    return fx_int("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
}

static void bulks_in_opposite_order_do_not_deadlock(void **state)
{
    pthread_t thread[rivals];
    static const bool directions[rivals] = { true, false, true, false };
    (void)state;
    for (int i = 0; i < 3; i++)
        EXPECT(ASK(.method = "POST", .plural = "media", .who = &admin,
                   .body = "{\"filename\":\"f\",\"mime_type\":\"image/png\"}"),
               201);
    for (int i = 0; i < wanted; i++) {
        struct answer made = ASK(.method = "POST", .plural = "companies",
                                 .body = "{\"name\":\"row\"}", .who = &admin);
        row_ids[i] = json_integer_value(json_object_get(made.data, "id"));
    }
    int64_t before = deadlocks();
    for (size_t i = 0; i < rivals; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, rival, (void *)(uintptr_t)&directions[i]),
                         0);
    for (size_t i = 0; i < rivals; i++)
        pthread_join(thread[i], NULL);
    /* Backends report at most once a second: what is seen after a change of the count of commits
     * is what there was. */
    int64_t commits = fx_int("SELECT xact_commit FROM pg_stat_database WHERE datname = "
                             "current_database()");
    int64_t until = clock_mono_us() + 5000000;
    while (clock_mono_us() < until &&
           fx_int("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()") <
               commits + 500)
        fx_sql("SELECT pg_stat_clear_snapshot()");
    assert_int_equal(deadlocks(), before);
    assert_int_equal(fx_int("SELECT count(*) FROM companies WHERE slug LIKE 'rival-%'"), wanted);
    counts_hold();
}

/* --- a connection that goes away in the middle --- */

static atomic_bool killer_ready;

/* Holds the bulk up at its first event, when its rows are there already, and ends its connection.
 */
static void *killer(void *arg)
{
    struct arena *a = arena_new();
    struct err err;
    struct db_rows *r;
    struct db_session *s;
    struct db_stmt kill = { .flags = DB_ONCE,
                            .sql =
                                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                "WHERE application_name = 'api_test' AND pid <> pg_backend_pid() "
                                "AND state <> 'idle' AND backend_xid IS NOT NULL AND "
                                "wait_event_type = 'Lock'" };
    bool *killed = arg;
    fx_check(db_session_open(&fx.dbc, &s, &err), &err);
    fx_check(db_session_script(s,
                               "BEGIN; INSERT INTO companies (name, slug) VALUES ('x', "
                               "'half-900')",
                               &err),
             &err);
    atomic_store(&killer_ready, true);
    int64_t until = clock_mono_us() + 20000000;
    while (!*killed && clock_mono_us() < until) {
        fx_check(db_session_script(s, "SELECT pg_stat_clear_snapshot()", &err), &err);
        fx_check(db_session_exec(s, a, &kill, NULL, 0, &r, &err), &err);
        *killed = db_get_i64(r, 0, 0) > 0;
    }
    fx_check(db_session_script(s, "ROLLBACK", &err), &err);
    db_session_close(s);
    arena_free(a);
    return NULL;
}

static void a_lost_connection_leaves_nothing_half_done(void **state)
{
    static const char *const modes[] = { "atomic=true", "atomic=false" };
    struct buf b;
    (void)state;
    buf_init(&b, fx.a, 1024, 1024 * 1024);
    for (int i = 0; i < bulk_ops_max; i++)
        buf_printf(&b, "%s{\"op\":\"create\",\"data\":{\"name\":\"half %d\"}}", i ? "," : "[", i);
    buf_putc(&b, ']');
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        pthread_t thread;
        bool killed = false;
        int64_t rows = fx_int("SELECT count(*) FROM companies"), event = last_event();
        atomic_store(&killer_ready, false);
        assert_int_equal(pthread_create(&thread, NULL, killer, &killed), 0);
        for (int ms = 0; ms < 30000 && !atomic_load(&killer_ready); ms++)
            usleep(1000);
        assert_true(atomic_load(&killer_ready));
        struct answer an = bulk(modes[i], b.data);
        pthread_join(thread, NULL);
        assert_true(killed);
        fx_expect(&an, 503, __FILE__, __LINE__);
        assert_int_equal(fx_int("SELECT count(*) FROM companies"), rows);
        assert_string_equal(events_since(event), "");
    }
    counts_hold();
}

/* What a setting asks for holds for operations too.  proves: R-09 */
static void required_preconditions_hold_in_bulks(void **state)
{
    struct err err = { 0 };
    (void)state;
    assert_int_equal(api_require_if_match(fx.api, "posts,nosuch", &err), -E_config);
    assert_int_equal(api_require_if_match(fx.api, "companies", &err), 0);
    EXPECT(bulk(NULL, "[{\"op\":\"update\",\"id\":1,\"data\":{\"city\":\"x\"}}]"), 428);
    EXPECT(bulk(NULL, "[{\"op\":\"delete\",\"id\":1}]"), 428);
    EXPECT(bulk(NULL, "{\"ids\":[1],\"patch\":{\"city\":\"x\"}}"), 428);
    EXPECT(bulk(NULL, "[{\"op\":\"create\",\"data\":{\"name\":\"n\"}}]"), 200);
    EXPECT(
        bulk(NULL, "[{\"op\":\"update\",\"id\":1,\"if_match\":\"*\",\"data\":{\"city\":\"x\"}}]"),
        200);
    for (struct crud *const *c = fx.api->cruds; *c; c++)
        crud_require_cond(*c, false);
    EXPECT(bulk(NULL, "[{\"op\":\"update\",\"id\":1,\"data\":{\"city\":\"y\"}}]"), 200);
}

/* Of one owner one operation runs at a time, whoever works: what a claim cannot get it leaves.
 * proves: R-20 */
static void one_operation_of_an_owner_runs_at_a_time(void **state)
{
    struct err err;
    struct operation *op[3];
    (void)state;
    fx_sql("INSERT INTO operations (id, owner, entity, request, options, credential) SELECT "
           "gen_random_uuid(), o, 'company', '[]', '{}', '1 1 0 admin 1' FROM unnest(ARRAY["
           "'user:1', 'user:1', 'user:2']) o");
    for (size_t i = 0; i < ARRAY_LEN(op); i++)
        fx_check(operation_claim(&fx.svc, fx.a, 30000, &op[i], &err), &err);
    assert_non_null(op[0]);
    assert_non_null(op[1]);
    assert_null(op[2]);
    assert_int_equal(fx_int("SELECT count(DISTINCT owner) FROM operations WHERE status = "
                            "'running'"),
                     2);
    /* A lease that ran out is taken over, and what its former worker does is refused. */
    fx_sql("UPDATE operations SET due_at = now() - interval '1 second' WHERE status = 'running' "
           "AND owner = 'user:1'");
    fx_check(operation_claim(&fx.svc, fx.a, 30000, &op[2], &err), &err);
    assert_non_null(op[2]);
    struct operation *late = str_eq(op[0]->id, op[2]->id) ? op[0] : op[1];
    const struct operation_page_new page = { .rows = 1, .total = 1, .body = "x", .bytes = 1 };
    assert_int_equal(operation_page(&fx.svc, fx.a, late, &page, &err), -E_gone);
    fx_check(operation_page(&fx.svc, fx.a, op[2], &page, &err), &err);
    assert_int_equal(fx_int("SELECT count(*) FROM operation_pages"), 1);
    fx_sql("DELETE FROM operations");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_those_of_single_writes),
        cmocka_unit_test(bulks_in_opposite_order_do_not_deadlock),
        cmocka_unit_test(a_lost_connection_leaves_nothing_half_done),
        cmocka_unit_test(required_preconditions_hold_in_bulks),
        cmocka_unit_test(one_operation_of_an_owner_runs_at_a_time),
    };
    return cmocka_run_group_tests(tests, bulk_setup, fx_teardown);
}
