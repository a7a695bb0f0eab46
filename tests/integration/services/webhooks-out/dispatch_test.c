/*
 * Fan-out and dispatcher on a real database, against tests/bench/sink.
 * proves: W-01, W-03, W-04, W-06, W-11, W-13, W-18, X-07
 */
#include "tests/integration/services/webhooks-out/webhooks_fixture.h"

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
    fx.conf.retry_base_ms = 700;
    int64_t id = endpoint(EP("/hold?answer=500,200", "company.*", .max = 1));
    company(1, 1);
    wait_arrived("/hold", 1);
    company(1, 2);
    company(2, 1);
    wait_until(count_delivered, id, 1);
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

static void gone_pauses_at_once_and_keeps_the_rest(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/gone?answer=410,200", "company.*", .max = 1));
    company(1, 1);
    wait_until("SELECT count(*) FROM endpoints WHERE id = $1::bigint AND status = 'paused'", id, 1);
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
    for (int i = 1; i <= 200; i++)
        company(i, 1);
    usleep(300000);
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
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "dispatch_test", "--dispatch", fx.schema, (char *)NULL);
        _exit(127);
    }
    int64_t id = endpoint(EP("/kill?delay_ms=1500", "company.*"));
    company(1, 1);
    wait_arrived("/kill", 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
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
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "dispatch_test", "--dispatch", fx.schema, (char *)NULL);
        _exit(127);
    }
    int64_t ids[8];
    for (int i = 0; i < 8; i++)
        ids[i] = endpoint(EP(arena_printf(fx.a, "/two%d?delay_ms=5", i), "company.*", .max = 1));
    for (int i = 1; i <= 60; i++)
        company(1, i);
    for (int i = 0; i < 8; i++)
        wait_until(count_delivered, ids[i], 60);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    for (int i = 0; i < 8; i++) {
        json_t *got;
        assert_int_equal(arrived(arena_printf(fx.a, "/two%d", i), &got), 60);
        for (size_t k = 0; k < 60; k++)
            assert_int_equal(json_integer_value(
                                 json_object_get(json_object_get(body(got, k), "data"), "version")),
                             k + 1);
    }
}

/* --- another replica --- */

static volatile sig_atomic_t asked_to_stop;

static void on_term(int sig)
{
    (void)sig;
    asked_to_stop = 1;
}

/* Another replica: dispatches until it is told to stop, or killed. */
static int be_replica(const char *schema)
{
    signal(SIGTERM, on_term);
    open_svc(schema);
    start();
    while (!asked_to_stop)
        usleep(20000);
    stop();
    return 0;
}

int main(int argc, char **argv)
{
    log_init("dispatch_test", LOG_ERROR);
    if (argc == 3 && str_eq(argv[1], "--dispatch"))
        return be_replica(argv[2]);
#define T(fn) cmocka_unit_test_setup_teardown(fn, each_setup, each_teardown)
    const struct CMUnitTest tests[] = {
        T(retries_with_the_same_id_and_bytes_and_a_fresh_signature),
        T(a_slow_endpoint_delays_no_other),
        T(one_at_a_time_keeps_the_order_of_each_key),
        T(a_waiting_retry_holds_its_key_only),
        T(dies_after_six_attempts_tells_and_can_be_resent),
        T(gone_pauses_at_once_and_keeps_the_rest),
        T(a_paused_endpoint_drains_in_order),
        T(everybody_hears_what_they_may_see),
        T(private_fields_reach_their_owner_and_admins_only),
        T(a_killed_replica_loses_nothing),
        T(two_replicas_never_exceed_max_in_flight),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
