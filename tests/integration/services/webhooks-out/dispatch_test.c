/*
 * Fan-out and dispatcher on a real database, against tests/bench/sink.
 * proves: W-01, W-03, W-04, W-05, W-06, W-11, W-12, W-13, W-18, X-07
 */
#include "tests/integration/services/webhooks-out/webhooks_replica.h"

static const char count_delivered[] =
    "SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status = 'delivered'";

/* --- tests --- */

static void retries_with_the_same_id_and_bytes_and_a_fresh_signature(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/a?answer=500,503,200", "company.*"));
    const char *event = company(1, 1);
    wait_until(count_delivered, id, 1);
    json_t *got;
    assert_int_equal(arrived("/a?", &got), 3);
    for (size_t i = 0; i < 3; i++) {
        const char *text = field(got, i, "body");
        const char *mid = field(got, i, "webhook_id"), *ts = field(got, i, "timestamp");
        assert_string_equal(mid, arena_printf(fx.a, "evt_%s", event));
        assert_string_equal(text, field(got, 0, "body"));
        assert_string_equal(mid, json_string_value(json_object_get(body(got, i), "id")));
        unsigned char key[32], mac[sha256_bytes];
        for (unsigned k = 0; k < sizeof(key); k++)
            key[k] = (unsigned char)k;
        const char *signed_text = arena_printf(fx.a, "%s.%s.%s", mid, ts, text);
        const struct sha256_part part = { signed_text, strlen(signed_text) };
        hmac_sha256(key, sizeof(key), &part, 1, mac);
        assert_string_equal(field(got, i, "signature"),
                            arena_printf(fx.a, "v1,%s", b64_encode(fx.a, mac, sizeof(mac))));
    }
    assert_int_equal(
        number("SELECT count(*) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE"
               " d.endpoint_id = $1::bigint AND a.attempt BETWEEN 1 AND 3",
               id),
        3);
    assert_int_equal(
        number("SELECT attempts + response_code FROM deliveries WHERE endpoint_id = $1::bigint",
               id),
        203);
}

static void a_slow_endpoint_delays_no_other(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        endpoint(EP("/slow?delay_ms=4000", "company.*"));
    int64_t fast = endpoint(EP("/fast", "company.*"));
    int64_t begin = clock_mono_us();
    for (int i = 0; i < 40; i++)
        company(i + 1, 1);
    wait_until(count_delivered, fast, 40);
    assert_true(clock_mono_us() - begin < 3000000);
}

static void one_at_a_time_keeps_the_order_of_each_key(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/o?answer=200,500,200,200,500,500,200", "company.*", .max = 1));
    for (int v = 1; v <= 20; v++)
        for (int c = 1; c <= 3; c++)
            company(c, v);
    wait_until(count_delivered, id, 60);
    int64_t last[4] = { 0 };
    json_t *got;
    size_t n = arrived("/o?", &got), accepted = 0;
    for (size_t i = 0; i < n; i++) {
        if (json_integer_value(json_object_get(json_array_get(got, i), "status")) != 200)
            continue;
        const json_t *data = json_object_get(body(got, i), "data");
        int64_t c = json_integer_value(json_object_get(data, "id"));
        int64_t v = json_integer_value(json_object_get(data, "version"));
        assert_int_equal(v, last[c] + 1);
        last[c] = v;
        accepted++;
    }
    assert_int_equal(accepted, 60);
    assert_int_equal(n, 63);
}

static void a_waiting_retry_holds_its_key_only(void **state)
{
    (void)state;
    fx.conf.retry_base_ms = 1500;
    int64_t id = endpoint(EP("/hold?answer=500,200", "company.*", .max = 1));
    company(1, 1);
    wait_arrived("/hold", 1);
    company(1, 2);
    company(2, 1);
    wait_arrived("/hold", 2);
    json_t *got;
    arrived("/hold", &got);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(body(got, 1), "data"), "id")), 2);
    wait_until(count_delivered, id, 3);
    arrived("/hold", &got);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(body(got, 3), "data"), "version")), 2);
    fx.conf.retry_base_ms = retry_base_ms;
}

static void dies_after_six_attempts_tells_and_can_be_resent(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/dead?answer=500,500,500,500,500,500,204", "company.*", .user = 5));
    company(1, 1);
    wait_until("SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status = 'dead'"
               " AND attempts = 6 AND next_attempt_at IS NULL",
               id, 1);
    assert_int_equal(arrived("/dead", NULL), 6);
    assert_int_equal(number("SELECT count(*) FROM outbox WHERE type = 'webhook.delivery.dead' AND"
                            " payload::json->'data'->'endpoint'->>'id' = $1::bigint::text",
                            id),
                     1);
    number(
        "UPDATE deliveries SET status = 'pending', trigger = 'resend', attempts_before = attempts,"
        " next_attempt_at = now() WHERE endpoint_id = $1::bigint RETURNING 1",
        id);
    dispatch_due(&fx.svc, id);
    wait_until(count_delivered, id, 1);
    json_t *got;
    assert_int_equal(arrived("/dead", &got), 7);
    assert_string_equal(field(got, 0, "webhook_id"), field(got, 6, "webhook_id"));
    assert_int_equal(
        number("SELECT count(*) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE"
               " d.endpoint_id = $1::bigint AND a.trigger = 'resend' AND a.attempt = 7",
               id),
        1);
}

static void gone_disables_at_once_and_keeps_the_rest(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/gone?answer=410,200", "company.*", .max = 1));
    company(1, 1);
    wait_until("SELECT count(*) FROM endpoints WHERE id = $1::bigint AND status = 'disabled' AND"
               " disabled_at IS NOT NULL AND disabled_reason LIKE '%410%'",
               id, 1);
    company(1, 2);
    usleep(500000);
    assert_int_equal(arrived("/gone", NULL), 1);
    assert_int_equal(number("SELECT count(*) FROM outbox WHERE type = 'webhook.endpoint.disabled'"
                            " AND key = 'webhook_endpoint:' || $1::bigint",
                            id),
                     1);
    number("UPDATE endpoints SET status = 'active', version = version + 1 WHERE id = $1::bigint"
           " RETURNING 1",
           id);
    dispatch_wake(&fx.svc);
    wait_until(count_delivered, id, 2);
}

static void a_paused_endpoint_drains_in_order(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/paused", "company.*", .max = 1, .status = "paused"));
    int64_t other = endpoint(EP("/not-paused", "company.*"));
    for (int i = 1; i <= 200; i++)
        company(i, 1);
    wait_until(count_delivered, other, 200); /* all had their chance */
    assert_int_equal(arrived("/paused", NULL), 0);
    number("UPDATE endpoints SET status = 'active', version = version + 1 WHERE id = $1::bigint"
           " RETURNING 1",
           id);
    dispatch_wake(&fx.svc);
    wait_until(count_delivered, id, 200);
    json_t *got;
    assert_int_equal(arrived("/paused", &got), 200);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(
            json_integer_value(json_object_get(json_object_get(body(got, i), "data"), "id")),
            i + 1);
}

static void everybody_hears_what_they_may_see(void **state)
{
    (void)state;
    int64_t admin = endpoint(EP("/see", "*"));
    int64_t plain_admin = endpoint(EP("/see", "*", .role = "admin"));
    int64_t editor = endpoint(EP("/see", "*", .role = "editor", .user = 3));
    int64_t author = endpoint(EP("/see", "post.*,user.*", .role = "author", .user = 4));
    int64_t member = endpoint(EP("/see", "*", .role = "member", .user = 6));
    int64_t picky = endpoint(EP("/see", "post.deleted"));
    static const struct {
        const char *type, *payload;
        int heard[6]; /* admin, admin's key without api:admin, editor, author, member, picky */
    } cases[] = {
        { "post.created",
         "{\"data\":{\"id\":1,\"status\":\"draft\"},\"owner_id\":9}",       { 1, 1, 1, 0, 0, 0 } },
        { "post.created",
         "{\"data\":{\"id\":2,\"status\":\"draft\"},\"owner_id\":4}",       { 1, 1, 1, 1, 0, 0 } },
        { "post.published",
         "{\"data\":{\"id\":1,\"status\":\"published\",\"published_at\":\"2020-01-01T00:00:00Z\"},"
          "\"owner_id\":9}",                                                { 1, 1, 1, 1, 1, 0 } },
        { "post.published",
         "{\"data\":{\"id\":1,\"status\":\"published\",\"published_at\":\"2999-01-01T00:00:00Z\"},"
          "\"owner_id\":9}",                                                { 1, 1, 1, 0, 0, 0 } },
        { "post.deleted",
         "{\"data\":{\"id\":1,\"status\":\"published\",\"published_at\":\"2020-01-01T00:00:00Z\","
          "\"deleted_at\":\"2026-01-01T00:00:00Z\"},\"owner_id\":9}",       { 1, 1, 1, 1, 1, 1 } },
        { "company.updated",
         "{\"data\":{\"id\":1,\"status\":\"inactive\"},\"owner_id\":null}", { 1, 1, 1, 0, 0, 0 } },
        { "user.created",
         "{\"data\":{\"id\":77,\"role\":\"author\",\"status\":\"active\",\"email\":\"x@y.z\"},"
          "\"owner_id\":77}",                                               { 1, 0, 0, 0, 0, 0 } },
        { "key.created",
         "{\"data\":{\"id\":1,\"user\":{\"id\":6}},\"owner_id\":6}",        { 1, 0, 0, 0, 1, 0 } },
    };
    const int64_t ids[] = { admin, plain_admin, editor, author, member, picky };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *event = happens(cases[i].type, "x:1", cases[i].payload);
        for (size_t k = 0; k < ARRAY_LEN(ids); k++) {
            const struct db_val v[] = { db_text(event), db_i64(ids[k]) };
            struct db_rows *r = sql("SELECT count(*) FROM deliveries WHERE event_id = $1::uuid AND"
                                    " endpoint_id = $2::bigint",
                                    v, 2);
            if (db_get_i64(r, 0, 0) != cases[i].heard[k])
                fail_msg("case %zu, listener %zu", i, k);
        }
    }
    /* A role that changed counts from then on; a suspended owner hears nothing. */
    happens("user.updated", "user:6",
            "{\"data\":{\"id\":6,\"role\":\"editor\",\"status\":\"active\"},\"owner_id\":6}");
    happens("post.created", "post:1", "{\"data\":{\"id\":3,\"status\":\"draft\"},\"owner_id\":9}");
    static const char heard[] =
        "SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND event = 'post.created'";
    assert_int_equal(number(heard, member), 1);
    happens("user.updated", "user:6",
            "{\"data\":{\"id\":6,\"role\":\"editor\",\"status\":\"suspended\"},\"owner_id\":6}");
    happens("post.created", "post:1", "{\"data\":{\"id\":4,\"status\":\"draft\"},\"owner_id\":9}");
    assert_int_equal(number(heard, member), 1);
}

static void private_fields_reach_their_owner_and_admins_only(void **state)
{
    (void)state;
    endpoint(EP("/p-admin", "user.*"));
    endpoint(EP("/p-editor", "expert.*", .role = "editor", .user = 3));
    happens(
        "user.created", "user:50",
        "{\"data\":{\"id\":50,\"username\":\"u\",\"email\":\"canary@example.org\",\"role\":"
        "\"member\",\"status\":\"active\",\"deleted_at\":null},\"changed\":[],\"owner_id\":50}");
    happens("expert.created", "expert:1",
            "{\"data\":{\"id\":1,\"name\":\"n\",\"status\":\"active\",\"deleted_at\":null,"
            "\"secret_column\":1},\"changed\":[],\"owner_id\":50}");
    wait_arrived("/p-admin", 1);
    wait_arrived("/p-editor", 1);
    json_t *got;
    arrived("/p-admin", &got);
    const json_t *data = json_object_get(body(got, 0), "data");
    assert_string_equal(json_string_value(json_object_get(data, "email")), "canary@example.org");
    assert_null(json_object_get(data, "deleted_at"));
    arrived("/p-editor", &got);
    data = json_object_get(body(got, 0), "data");
    assert_string_equal(json_string_value(json_object_get(data, "name")), "n");
    assert_null(json_object_get(data, "secret_column"));
    assert_null(json_object_get(data, "deleted_at"));
}

/* A replica that is killed in the middle of an attempt: the other sends it again, soon. */
static void a_killed_replica_loses_nothing(void **state)
{
    (void)state;
    stop();
    replica_start();
    int64_t id = endpoint(EP("/kill?delay_ms=1500", "company.*"));
    company(1, 1);
    wait_arrived("/kill", 1);
    replica_end(SIGKILL);
    assert_int_equal(number(count_delivered, id), 0);
    start();
    wait_until(count_delivered, id, 1);
    json_t *got;
    assert_int_equal(arrived("/kill", &got), 2);
    assert_string_equal(field(got, 0, "webhook_id"), field(got, 1, "webhook_id"));
}

/* Two replicas share the endpoints, and no endpoint has two senders. */
static void two_replicas_never_exceed_max_in_flight(void **state)
{
    (void)state;
    replica_start();
    int64_t ids[8];
    for (int i = 0; i < 8; i++)
        ids[i] = endpoint(EP(arena_printf(fx.a, "/two%d?delay_ms=5", i), "company.*", .max = 1));
    for (int i = 1; i <= 60; i++)
        company(1, i);
    for (int i = 0; i < 8; i++)
        wait_until(count_delivered, ids[i], 60);
    replica_end(SIGTERM);
    for (int i = 0; i < 8; i++) {
        json_t *got;
        assert_int_equal(arrived(arena_printf(fx.a, "/two%d", i), &got), 60);
        for (size_t k = 0; k < 60; k++)
            assert_int_equal(json_integer_value(
                                 json_object_get(json_object_get(body(got, k), "data"), "version")),
                             k + 1);
    }
}

/* --- the short way, and its limits --- */

static int in_tx_that_fails(struct db_tx *tx, void *ctx, struct err *err)
{
    struct msg *m = ctx;
    int rc = fanout(m->svc, &m, 1, tx, err);
    return rc ? rc : err_set(err, E_conflict, "no");
}

/* What was handed over before a roll-back is not sent; what commits afterwards is, once. */
static void only_what_commits_is_sent(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/commit", "company.*"));
    company(1, 1); /* known from now on */
    wait_until(count_delivered, id, 1);
    struct err err;
    struct arena *batch = arena_new();
    struct msg m = { .svc = &fx.svc,
                     .arena = batch,
                     .key = "company:2",
                     .event_id = "0195f3c2-6f00-7abc-8def-0123456789ab",
                     .type = "company.updated",
                     .time = "2026-01-01T00:00:00Z",
                     .payload = "{\"data\":{\"id\":2,\"status\":\"active\"},\"changed\":[]}" };
    m.len = strlen(m.payload);
    assert_int_equal(db_tx(fx.svc.db, fx.a, in_tx_that_fails, &m, &err), -E_conflict);
    arena_free(batch);
    dispatch_offered(&fx.svc, false);
    for (int i = 0; i < 50; i++)
        company(3, i);
    wait_until(count_delivered, id, 51);
    assert_int_equal(arrived("/commit", NULL), 51);
}

/* proves: W-13.  Endpoints at one host and port have their rooms each. */
static void endpoints_of_one_host_do_not_share_a_limit(void **state)
{
    (void)state;
    int64_t a = endpoint(EP("/wide-a?delay_ms=1500", "company.*", .max = 80));
    int64_t b = endpoint(EP("/wide-b?delay_ms=1500", "company.*", .max = 80));
    int64_t begin = clock_mono_us();
    for (int i = 0; i < 80; i++)
        company(i + 1, 1);
    wait_until(count_delivered, a, 80);
    wait_until(count_delivered, b, 80);
    assert_true(clock_mono_us() - begin < 2900000); /* two rounds would take 3 s */
}

/* --- the log --- */

static int64_t count_of(struct db_session *s, const char *text)
{
    struct err err;
    struct db_rows *rows;
    const struct db_stmt st = { .sql = text, .flags = DB_ONCE };
    check(db_session_exec(s, fx.a, &st, NULL, 0, &rows, &err), &err);
    return db_get_i64(rows, 0, 0);
}

static const char old_rows[] =
    "INSERT INTO endpoints (user_id, url, events, secret, role, admin)"
    " VALUES (1, 'http://x.test/', '{*}', 's', 'admin', true);"
    "INSERT INTO deliveries (id, endpoint_id, user_id, event_id, event, entity, event_at, body,"
    " status, updated_at) SELECT ('018f0000-0000-7000-8000-00000000000' || n)::uuid, 1, 1,"
    " gen_random_uuid(), 'post.created', 'post:1', now(), '{}', status, now() - age"
    " FROM (VALUES (1, 'delivered', interval '60 days'), (2, 'pending', interval '60 days'),"
    " (3, 'failed', interval '60 days'), (4, 'delivered', interval '1 day'),"
    " (5, 'dead', interval '60 days')) v(n, status, age) ORDER BY n;"
    "INSERT INTO attempts (delivery_id, attempt, outcome, trigger)"
    " SELECT id, 1, 'failed', 'event' FROM deliveries";

/* proves: W-12.  A table with rows becomes partitions; a week goes as a whole, but for what is
 * still to go or ended since. */
static void the_log_leaves_by_the_week(void **state)
{
    (void)state;
    struct err err;
    struct db_session *s;
    int applied;
    const struct migration *all = webhooks_def()->migrations, first[2] = { all[0] };
    struct db_conf conf = fx.priv.db_conf;
    conf.conninfo = arena_printf(fx.a, "%s_log", conf.conninfo);
    check(db_session_open(&conf, &s, &err), &err);
    check(db_session_script(s, arena_printf(fx.a, "CREATE SCHEMA %s_log", fx.schema), &err), &err);
    check(migrate_run(s, first, &applied, &err), &err);
    check(db_session_script(s, old_rows, &err), &err);
    check(migrate_run(s, all, &applied, &err), &err);
    assert_int_equal(count_of(s, "SELECT count(*) FROM deliveries"), 5);
    assert_int_equal(count_of(s, "SELECT count(*) FROM attempts"), 5);
    assert_int_equal(count_of(s, "SELECT count(*) FROM deliveries_rest"), 0);
    assert_int_equal(
        count_of(s, "SELECT count(*) FROM deliveries_shown WHERE event_id LIKE 'evt\\_%-%'"), 5);
    check(db_session_script(
              s,
              "INSERT INTO deliveries (id, endpoint_id, user_id, event_id, event, entity, event_at,"
              " body) VALUES ('018f0000-0000-7000-8000-000000000009', 1, 1, gen_random_uuid(), 'e',"
              " 'k', now(), '{}')",
              &err),
          &err);
    assert_int_equal(count_of(s, "SELECT count(*) FROM deliveries WHERE seq = 6"), 1);
    /* Ahead: made once. */
    assert_int_equal(count_of(s, "SELECT deliveries_ensure(date '2099-01-05')::int"), 1);
    assert_int_equal(count_of(s, "SELECT deliveries_ensure(date '2099-01-05')::int"), 0);
    assert_int_equal(count_of(s, "SELECT deliveries_expire(current_date - 30)"), 0);
    /* As if its end were long ago. */
    check(
        db_session_script(s,
                          "DO $$ DECLARE part text; BEGIN FOR part IN SELECT relname FROM pg_class"
                          " WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
                          " AND relname ~ '_to_20[0-8]' AND relname < 'x' ORDER BY"
                          " right(relname, 8) LIMIT 2 LOOP EXECUTE format('ALTER TABLE %I RENAME"
                          " TO %I', part, split_part(part, '_', 1) || '_to_20200106'); END LOOP;"
                          " END $$",
                          &err),
        &err);
    assert_int_equal(count_of(s, "SELECT deliveries_expire(current_date - 30)"), 1);
    assert_int_equal(count_of(s, "SELECT count(*) FROM deliveries_rest"), 4);
    assert_int_equal(count_of(s, "SELECT sum(right(id::text, 1)::int) FROM deliveries"),
                     2 + 3 + 4 + 9);
    assert_int_equal(count_of(s, "SELECT count(*) FROM attempts"), 3);
    check(db_session_script(s, arena_printf(fx.a, "DROP SCHEMA %s_log CASCADE", fx.schema), &err),
          &err);
    db_session_close(s);
}

/* proves: W-05, W-12.  An attempt that was under way when its endpoint was deleted is in the log.
 */
static void what_ends_after_a_deletion_is_written_down(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/late?delay_ms=700&answer=500", "company.*"));
    company(1, 1);
    wait_arrived("/late", 1);
    number("UPDATE endpoints SET deleted_at = now(), status = 'paused',"
           " version = version + 1 WHERE id = $1::bigint RETURNING 1",
           id);
    number("UPDATE deliveries SET status = 'canceled', next_attempt_at = NULL"
           " WHERE endpoint_id = $1::bigint RETURNING 1",
           id);
    dispatch_wake(&fx.svc);
    wait_until("SELECT count(*) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE"
               " d.endpoint_id = $1::bigint AND d.status = 'canceled' AND a.response_code = 500"
               " AND d.next_attempt_at IS NULL",
               id, 1);
    company(2, 1); /* nobody listens any more */
    assert_int_equal(number("SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint", id),
                     1);
}

int main(int argc, char **argv)
{
    log_init("dispatch_test", LOG_ERROR);
    if (argc == 3 && str_eq(argv[1], replica_verb))
        return be_replica(argv[2]);
#define T(fn) cmocka_unit_test_setup_teardown(fn, each_setup, each_end)
    const struct CMUnitTest tests[] = {
        T(retries_with_the_same_id_and_bytes_and_a_fresh_signature),
        T(a_slow_endpoint_delays_no_other),
        T(one_at_a_time_keeps_the_order_of_each_key),
        T(a_waiting_retry_holds_its_key_only),
        T(dies_after_six_attempts_tells_and_can_be_resent),
        T(gone_disables_at_once_and_keeps_the_rest),
        T(a_paused_endpoint_drains_in_order),
        T(everybody_hears_what_they_may_see),
        T(private_fields_reach_their_owner_and_admins_only),
        T(a_killed_replica_loses_nothing),
        T(two_replicas_never_exceed_max_in_flight),
        T(only_what_commits_is_sent),
        T(endpoints_of_one_host_do_not_share_a_limit),
        T(the_log_leaves_by_the_week),
        T(what_ends_after_a_deletion_is_written_down),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
