/*
 * How deliveries leave: batches, order with several in flight, rate, circuit, failure budget, what
 * is wanted of an event, and the log's indexes.
 * proves: W-03, W-05, W-06, W-08, W-10, W-11, W-12, W-13, W-15
 */
#include "tests/integration/services/webhooks-out/webhooks_fixture.h"

static const char count_delivered[] = "SELECT count(*) FROM deliveries WHERE endpoint_id = "
                                      "$1::bigint AND status = 'delivered' AND event <> 'batch'";

static int64_t version_of(const json_t *event)
{
    return json_integer_value(json_object_get(json_object_get(event, "data"), "version"));
}

static int64_t id_of(const json_t *event)
{
    return json_integer_value(json_object_get(json_object_get(event, "data"), "id"));
}

static int64_t status_of(const json_t *got, size_t i)
{
    return json_integer_value(json_object_get(json_array_get(got, i), "status"));
}

/* --- batches --- */

/* proves: W-10.  The first is refused once: it comes again as it was. */
static void a_batch_is_one_request_with_an_id_of_its_own(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/batch?answer=500,200", "company.*", .max = 1,
                             .set = "batch = '{\"max_events\":5,\"max_wait_ms\":300}'"));
    for (int i = 1; i <= 12; i++)
        company(i, 1);
    wait_until(count_delivered, id, 12);
    json_t *got;
    size_t n = arrived("/batch", &got), taken = 0;
    assert_true(n >= 4);
    assert_string_equal(field(got, 0, "webhook_id"), field(got, 1, "webhook_id"));
    assert_string_equal(field(got, 0, "body"), field(got, 1, "body"));
    for (size_t i = 0; i < n; i++) {
        const json_t *list = json_object_get(body(got, i), "batch");
        assert_in_range(json_array_size(list), 1, 5);
        taken += status_of(got, i) == 200 ? json_array_size(list) : 0;
        for (size_t k = 0; k < json_array_size(list); k++)
            assert_string_not_equal(
                json_string_value(json_object_get(json_array_get(list, k), "id")),
                field(got, i, "webhook_id"));
        for (size_t k = i + 1; k < n && i > 0; k++)
            assert_string_not_equal(field(got, i, "webhook_id"), field(got, k, "webhook_id"));
    }
    assert_int_equal(taken, 12);
    assert_int_equal(
        number("SELECT count(*) FROM deliveries m JOIN deliveries b ON b.id = m.batch_id WHERE"
               " m.endpoint_id = $1::bigint AND m.status = b.status AND m.attempts = b.attempts",
               id),
        12);
    assert_int_equal(
        number("SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND event = 'batch'",
               id),
        (int64_t)n - 1);
}

static void a_batch_that_dies_takes_its_events_with_it(void **state)
{
    (void)state;
    int64_t id = endpoint(
        EP("/batch-dead?answer=500", "company.*",
           .set = "batch = '{\"max_events\":3,\"max_wait_ms\":50}', retry_schedule = '[0]'"));
    for (int i = 1; i <= 3; i++)
        company(i, 1);
    wait_until("SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status = 'dead'",
               id, 4);
    assert_int_equal(arrived("/batch-dead", NULL), 2);
}

/* One batch after the other, also past failures. */
static void batches_keep_order_if_asked(void **state)
{
    (void)state;
    int64_t id =
        endpoint(EP("/batch-order?answer=200,500,200,500,500,200", "company.*",
                    .set = "ordered = true, batch = '{\"max_events\":7,\"max_wait_ms\":20}'"));
    for (int v = 1; v <= 20; v++)
        for (int c = 1; c <= 3; c++)
            company(c, v);
    wait_until(count_delivered, id, 60);
    int64_t last[4] = { 0 };
    json_t *got;
    for (size_t i = 0, n = arrived("/batch-order", &got); i < n; i++) {
        const json_t *list = json_object_get(body(got, i), "batch");
        for (size_t k = 0; k < json_array_size(list) && status_of(got, i) == 200; k++) {
            const json_t *e = json_array_get(list, k);
            assert_int_equal(version_of(e), last[id_of(e)] + 1);
            last[id_of(e)] = version_of(e);
        }
    }
    assert_int_equal(last[1] + last[2] + last[3], 60);
}

/* --- order --- */

/* proves: W-11.  Many at a time, but one of an entity; some fail. */
static void order_holds_with_several_in_flight(void **state)
{
    enum { entities_n = 20, versions = 15 };
    (void)state;
    int64_t id = endpoint(EP("/ordered?delay_ms=3&answer=200,200,500,200,200,200,503,200,500,200",
                             "company.*", .max = 8, .set = "ordered = true"));
    for (int v = 1; v <= versions; v++)
        for (int c = 1; c <= entities_n; c++)
            company(c, v);
    wait_until(count_delivered, id, entities_n * versions);
    int64_t last[entities_n + 1] = { 0 };
    json_t *got;
    size_t n = arrived("/ordered", &got), accepted = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *e = body(got, i);
        if (status_of(got, i) != 200)
            continue;
        assert_int_equal(version_of(e), last[id_of(e)] + 1);
        last[id_of(e)] = version_of(e);
        accepted++;
    }
    assert_int_equal(accepted, entities_n * versions);
    assert_true(n > accepted);
}

/* The first fails and waits for a minute; its entity's next waits for it no longer than a second.
 */
static void a_head_that_takes_too_long_is_passed(void **state)
{
    (void)state;
    int64_t id =
        endpoint(EP("/head?answer=500,200", "company.*", .max = 4,
                    .set = "ordered = true, order_timeout_s = 1, retry_schedule = '[60]'"));
    company(1, 1);
    wait_arrived("/head", 1);
    company(1, 2);
    wait_until(count_delivered, id, 1);
    json_t *got;
    assert_int_equal(arrived("/head", &got), 2);
    assert_int_equal(version_of(body(got, 1)), 2);
    assert_int_equal(
        number(
            "SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status = 'failed'",
            id),
        1);
}

/* --- rate, throttle, circuit --- */

/* proves: W-13, W-06.  What arrived by any time is no more than a second's worth and the rate
 * since. */
static void the_rate_is_never_exceeded(void **state)
{
    enum { per_s = 20, sent = 60, slack_us = 500000 };
    (void)state;
    int64_t id = endpoint(
        EP("/rate", "company.*", .max = 50, .status = "paused", .set = "rate_limit = 1200"));
    for (int i = 1; i <= sent; i++)
        company(i, 1);
    number("UPDATE endpoints SET status = 'active', version = version + 1 WHERE id = $1::bigint "
           "RETURNING 1",
           id);
    dispatch_wake(&fx.svc);
    wait_until(count_delivered, id, sent);
    json_t *got;
    size_t n = arrived("/rate", &got);
    int64_t first = json_integer_value(json_object_get(json_array_get(got, 0), "at_us"));
    for (size_t i = 0; i < n; i++) {
        int64_t at = json_integer_value(json_object_get(json_array_get(got, i), "at_us"));
        assert_true((int64_t)i + 1 <= per_s + 1 + (at - first + slack_us) * per_s / 1000000);
    }
}

static void a_circuit_opens_and_one_request_asks(void **state)
{
    (void)state;
    int64_t id = endpoint(
        EP("/circuit?answer=500,500,500,500,500,500,500,500,500,500,500,500,500,500,500,500,200",
           "company.*", .max = 4));
    for (int i = 1; i <= 30; i++)
        company(i, 1);
    wait_until(count_delivered, id, 30);
    /* Ten open it, and three more may have been under way. */
    assert_true(
        number("SELECT count(*) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE"
               " d.endpoint_id = $1::bigint AND a.trigger = 'probe'",
               id) >= 3);
    assert_int_equal(arrived("/circuit", NULL), 30 + 16);
}

/* --- the failure budget --- */

static void a_failing_endpoint_is_told_of_and_disabled(void **state)
{
    (void)state;
    fx.conf.disable_after_s = 2;
    int64_t id =
        endpoint(EP("/budget?answer=500", "company.*", .max = 2, .user = 5,
                    .set = "retry_schedule = '[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]'"));
    for (int i = 1; i <= 60; i++)
        company(i, 1);
    wait_until("SELECT count(*) FROM endpoints WHERE id = $1::bigint AND status = 'disabled' AND "
               "failure_percent = 100"
               " AND failing_since IS NOT NULL AND disabled_reason IS NOT NULL",
               id, 1);
    assert_int_equal(
        number("SELECT count(*) FROM outbox WHERE type = 'webhook.endpoint.disabled' AND"
               " key = 'webhook_endpoint:' || $1::bigint",
               id),
        1);
    assert_in_range(
        number("SELECT count(DISTINCT payload::json->'data'->>'failure_percent') FROM outbox WHERE"
               " type = 'webhook.endpoint.failing' AND key = 'webhook_endpoint:' || $1::bigint",
               id),
        1, 4);
    int64_t calls = (int64_t)arrived("/budget", NULL);
    int64_t other = endpoint(EP("/other", "company.*"));
    company(100, 1);
    wait_until(count_delivered, other, 1);             /* both had their chance */
    assert_int_equal(arrived("/budget", NULL), calls); /* held now */
    assert_true(
        number(
            "SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status = 'pending'",
            id) >= 1);
    fx.conf.disable_after_s = 432000;
}

static void success_clears_the_record_and_tells(void **state)
{
    (void)state;
    fx.conf.disable_after_s = 60;
    int64_t id = endpoint(EP("/clears?answer=500,500,500,500,500,200", "company.*", .max = 1,
                             .set = "failing_since = now() - interval '31 seconds',"
                                    " retry_schedule = '[0,0,0,0,0,0,0,0,0]'"));
    company(1, 1);
    wait_until(count_delivered, id, 1);
    wait_until("SELECT count(*) FROM endpoints WHERE id = $1::bigint AND failing_since IS NULL AND "
               "failure_percent = 0",
               id, 1);
    wait_until("SELECT count(*) FROM outbox WHERE type = 'webhook.endpoint.recovered' AND"
               " key = 'webhook_endpoint:' || $1::bigint",
               id, 1);
    fx.conf.disable_after_s = 432000;
}

/* --- what is wanted --- */

static const char *body_at(int64_t id)
{
    const struct db_val v = db_i64(id);
    struct db_rows *r =
        sql("SELECT body FROM deliveries WHERE endpoint_id = $1::bigint ORDER BY seq DESC LIMIT 1",
            &v, 1);
    return db_nrows(r) ? db_str(r, 0, 0) : NULL;
}

/* proves: W-08, W-15 */
static void everybody_gets_it_in_their_words(void **state)
{
    (void)state;
    int64_t full = endpoint(EP("/w", "company.*")),
            thin = endpoint(EP("/w", "company.*", .set = "payload = 'thin'"));
    int64_t some = endpoint(EP("/w", "company.*", .set = "fields = '{name,author.id}'"));
    int64_t ce = endpoint(EP("/w", "company.*", .set = "format = 'cloudevents', payload = 'thin'"));
    int64_t binary =
        endpoint(EP("/w", "company.*", .set = "format = 'cloudevents_binary', fields = '{name}'"));
    int64_t no = endpoint(EP("/w", "company.*", .set = "filter = '{\"name\":\"other\"}'"));
    int64_t yes = endpoint(
        EP("/w", "company.*", .set = "filter = '{\"$.changed\":{\"contains\":\"name\"}}'"));
    const char *event = company(1, 1);
    const char *data =
        "{\"id\":1,\"name\":\"c\",\"slug\":\"c\",\"status\":\"active\",\"version\":1}";
    assert_non_null(
        strstr(body_at(full), arena_printf(fx.a, "\"data\":%s,\"changed\":[\"name\"]}", data)));
    assert_non_null(strstr(body_at(thin), "\"data\":{\"id\":1},\"changed\":[\"name\"],\"link\":"
                                          "\"http://cms.test/api/v2/companies/1\"}"));
    assert_non_null(strstr(body_at(some), "\"data\":{\"id\":1,\"name\":\"c\"},"));
    assert_non_null(strstr(
        body_at(ce),
        arena_printf(fx.a,
                     "{\"specversion\":\"1.0\",\"id\":\"evt_%s\",\"source\":\"http://cms.test\","
                     "\"type\":\"com.cms365.company.updated\",\"subject\":\"company:1\"",
                     event)));
    assert_string_equal(body_at(binary),
                        "{\"data\":{\"id\":1,\"name\":\"c\"},\"changed\":[\"name\"]}");
    assert_null(body_at(no));
    assert_string_equal(body_at(yes), body_at(full));
}

/* proves: W-08.  A filter that cannot say is its owner's matter. */
static void a_filter_that_fails_is_alone(void **state)
{
    (void)state;
    int64_t bad = endpoint(EP("/f-bad", "company.*", .set = "filter = '{\"name\":{\"gt\":5}}'"));
    int64_t good = endpoint(EP("/f-good", "company.*"));
    company(1, 1);
    wait_until(count_delivered, good, 1);
    assert_int_equal(
        number(
            "SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status = 'dead' AND"
            " attempts = 0 AND last_error LIKE '%filter%name%'",
            bad),
        1);
    assert_int_equal(arrived("/f-bad", NULL), 0);
}

/* proves: W-05 */
static void what_is_skipped_is_kept(void **state)
{
    (void)state;
    int64_t id =
        endpoint(EP("/skip", "company.*", .status = "paused", .set = "while_paused = 'skip'"));
    company(1, 1);
    number("UPDATE endpoints SET status = 'active', version = version + 1 WHERE id = $1::bigint "
           "RETURNING 1",
           id);
    dispatch_wake(&fx.svc);
    company(2, 1);
    wait_until(count_delivered, id, 1);
    assert_int_equal(
        number(
            "SELECT count(*) FROM deliveries WHERE endpoint_id = $1::bigint AND status = 'skipped'"
            " AND next_attempt_at IS NULL",
            id),
        1);
    assert_int_equal(arrived("/skip", NULL), 1);
}

/* --- the log --- */

/* proves: W-12 */
static void the_log_has_the_whole_exchange(void **state)
{
    (void)state;
    int64_t id = endpoint(EP("/log", "company.*", .set = "headers = '{\"X-Tenant\":\"t\"}'"));
    company(1, 1);
    wait_until(count_delivered, id, 1);
    assert_int_equal(
        number("SELECT count(*) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE"
               " d.endpoint_id = $1::bigint AND a.trigger = 'first' AND a.url LIKE '%/log' AND "
               "a.address = '127.0.0.1'"
               " AND a.request_headers LIKE '%webhook-signature: v1,%' AND a.request_headers LIKE "
               "'%X-Tenant: t%'"
               " AND a.response_headers LIKE '%Content-Length%' AND a.first_byte_ms >= 0 AND "
               "a.dns_ms IS NULL"
               " AND d.first_attempt_at IS NOT NULL",
               id),
        1);
}

static const char many_rows[] =
    "INSERT INTO deliveries (id, endpoint_id, user_id, event_id, event, entity, event_at, body, "
    "status, created_at)"
    " SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint + n), 12, '0') || '7' || "
    "lpad(to_hex(n), 19, '0'))::uuid,"
    " n % 50, n % 7, ('0195f3c2-6f00-7abc-8def-' || lpad(to_hex(n), 12, '0'))::uuid, "
    "(ARRAY['post.created','post.updated','page.created'])[n % 3 + 1],"
    " 'post:' || n % 500, now(), '{}', CASE WHEN n % 100 = 0 THEN 'dead' ELSE 'delivered' END, "
    "now() + n * interval '1 ms'"
    " FROM generate_series(1, 20000) n";

/* proves: W-12.  What people search by has an index in every partition: nothing is read through. */
static void searching_reads_no_table_through(void **state)
{
    static const char *const where[] = {
        "endpoint_id = 7",
        "user_id = 3",
        "event_id = 'evt_0195f3c2-6f00-7abc-8def-0000000000ff'",
        "entity = 'post:77'",
        "event = 'page.created'",
        "status = 'dead'",
        "endpoint_id = 7 AND status = 'dead'",
        "endpoint_id = 7 AND created_at > now() + interval '19 seconds'",
        "true",
    };
    (void)state;
    sql(many_rows, NULL, 0);
    sql("ANALYZE deliveries", NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(where); i++) {
        struct db_rows *r = sql(arena_printf(fx.a,
                                             "EXPLAIN SELECT * FROM deliveries_shown WHERE %s"
                                             " ORDER BY created_at DESC, id DESC LIMIT 21",
                                             where[i]),
                                NULL, 0);
        for (size_t k = 0; k < db_nrows(r) && i + 1 < ARRAY_LEN(where); k++)
            if (strstr(db_str(r, k, 0), "Seq Scan on deliveries_to_") &&
                strstr(db_str(r, k, 0), arena_printf(fx.a, "rows=%d", 1)) == NULL)
                fail_msg("%s: %s", where[i], db_str(r, k, 0));
    }
}

int main(void)
{
    log_init("sending_test", LOG_ERROR);
#define T(fn) cmocka_unit_test_setup_teardown(fn, each_setup, each_teardown)
    const struct CMUnitTest tests[] = {
        T(a_batch_is_one_request_with_an_id_of_its_own),
        T(a_batch_that_dies_takes_its_events_with_it),
        T(batches_keep_order_if_asked),
        T(order_holds_with_several_in_flight),
        T(a_head_that_takes_too_long_is_passed),
        T(the_rate_is_never_exceeded),
        T(a_circuit_opens_and_one_request_asks),
        T(a_failing_endpoint_is_told_of_and_disabled),
        T(success_clears_the_record_and_tells),
        T(everybody_gets_it_in_their_words),
        T(a_filter_that_fails_is_alone),
        T(what_is_skipped_is_kept),
        T(the_log_has_the_whole_exchange),
        T(searching_reads_no_table_through),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
