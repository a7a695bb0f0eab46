/*
 * The detector on a real database: history is made, a window is looked at, what is told is read.
 * proves: N-05, X-07
 */
#include "services/analytics/anomaly.h"

#include "common/io/httpd_internal.h"
#include "common/kit/shape.h"
#include "proto/command.h"
#include "tests/integration/services/analytics/analytics_fixture.h"

static int64_t window; /* begin of the one that is looked at next */

static void clean(void)
{
    sql("TRUNCATE request_blocks, fresh, facets, sums, losses, taken, baselines, watched, seen, "
        "anomalies,"
        " outbox, consumers, routes RESTART IDENTITY",
        NULL, 0);
    names_free(fx.state.names); /* their numbers are gone */
    fx.state.names = names_new();
    window = clock_us() / 1000000 / 300 * 300 - 2 * 86400 + 3600;
    const struct db_val v = db_i64(window);
    sql("UPDATE detector SET done_until = to_timestamp($1::bigint)", &v, 1);
}

static int64_t offset;

/* `n` requests in the window that comes next. */
static void happen(const struct made *m, size_t n)
{
    struct made now = *m;
    now.at_s = window + 10;
    for (size_t left = n; left; left -= left > 400 ? 400 : left)
        store_many(&now, left > 400 ? 400 : left, 0, offset++);
}

static void look(void)
{
    struct err err = { 0 };
    bool done;
    check(look_once(&fx.svc, fx.a, &done, &err), &err);
    assert_true(done);
    window += 300;
}

/* What is usual, as if it had been learned for weeks: for the key's consumer and all. */
static void usual(const char *measure, double mean, double dev)
{
    sql(arena_printf(fx.a,
                     "INSERT INTO baselines (dim, ref, signal, slot, mean, dev, weight) SELECT d, "
                     "r, '%s', s,"
                     " %g, %g, 48 FROM (SELECT 2 d, id r FROM consumers WHERE kind = 'key') x,"
                     " generate_series(0, 167) s ON CONFLICT DO NOTHING",
                     measure, mean, dev),
        NULL, 0);
}

static const char *text(const char *query)
{
    struct db_rows *r = sql(query, NULL, 0);
    return db_nrows(r) ? db_str(r, 0, 0) : NULL;
}

static const struct made ordinary = { .key = 7, .user = 3, .total_us = 20000 };

static void a_key_far_above_its_usual_rate_is_told_of_and_ends(void **state)
{
    (void)state;
    clean();
    happen(&ordinary, 60);
    look(); /* the consumer has a number now */
    usual("rate", 60, 6);
    sql("UPDATE baselines SET mean = 60, dev = 6, weight = 48", NULL, 0);
    char hour[16]; /* of the window it begins in: the next may be of another */
    detect_hour_name(detect_hour(window), hour);
    happen(&ordinary, 840);
    look();
    happen(&ordinary, 840);
    look();
    assert_int_equal(
        number("SELECT count(*) FROM anomalies WHERE signal = 'rate_high' AND subject = 'key'"), 1);
    const char *told =
        text("SELECT explanation FROM anomalies WHERE signal = 'rate_high' AND subject = 'key'");
    assert_non_null(strstr(told, "API key 7: 14 × its usual "));
    assert_non_null(strstr(told, hour));
    assert_int_equal(
        number("SELECT user_id FROM anomalies WHERE subject = 'key' AND signal = 'rate_high'"), 3);
    assert_int_equal(
        number("SELECT count(*) FROM outbox WHERE type = 'anomaly.detected' AND"
               " payload::json->'data'->'key'->>'id' = '7' AND payload::json->>'owner_id' = '3'"),
        1);
    happen(&ordinary, 1200);
    look(); /* higher still: the same anomaly */
    assert_int_equal(
        number("SELECT count(*) FROM anomalies WHERE signal = 'rate_high' AND subject = 'key'"), 1);
    assert_int_equal(
        number("SELECT observed FROM anomalies WHERE signal = 'rate_high' AND subject = 'key'"),
        1200);
    for (int i = 0; i < 3; i++) {
        happen(&ordinary, 60);
        look();
    }
    assert_int_equal(
        number("SELECT count(*) FROM anomalies WHERE status = 'open' AND subject = 'key'"), 0);
    assert_true(number("SELECT count(*) FROM outbox WHERE type = 'anomaly.resolved'") >= 1);
}

static int64_t mails(const char *template, const char *to)
{
    return number(arena_printf(
        fx.a,
        "SELECT count(*) FROM outbox WHERE type = 'mail.command' AND payload::json->>'template' ="
        " '%s' AND payload::json->>'to' = '%s' AND payload::json->'data'->'anomaly'->>'signal' ="
        " 'rate_high' AND payload::json->'data'->'anomaly'->'key'->>'id' = '7' AND"
        " payload::json->'data'->>'url' = 'http://cms.test/admin/operations/anomalies'",
        template, to));
}

/* Once when it begins, once when it ends, to each address; never about what is muted. */
static void mail_tells_of_it_and_of_its_end(void **state)
{
    struct err err = { 0 };
    (void)state;
    fx.conf.anomaly_mail_to = "ops@example.com, second@example.org";
    clean();
    happen(&ordinary, 60);
    look();
    usual("rate", 60, 6);
    sql("UPDATE baselines SET mean = 60, dev = 6, weight = 48", NULL, 0);
    for (int i = 0; i < 3; i++) {
        happen(&ordinary, 840);
        look();
    }
    assert_int_equal(mails("anomaly_detected", "ops@example.com"), 1);
    assert_int_equal(mails("anomaly_detected", "second@example.org"), 1);
    assert_int_equal(mails("anomaly_resolved", "ops@example.com"), 0);
    struct db_rows *r =
        sql("SELECT payload FROM outbox WHERE type = 'mail.command' LIMIT 1", NULL, 0);
    struct shape_row row;
    json_t *body;
    check(json_parse(fx.a, db_str(r, 0, 0), strlen(db_str(r, 0, 0)), &body, &err), &err);
    shape_read(fx.a, command_find("mail.command")->shape->fields, SHAPE_CREATE, false, body, &row);
    assert_int_equal(row.faults->n, 0);
    for (int i = 0; i < 3; i++) {
        happen(&ordinary, 60);
        look();
    }
    assert_int_equal(mails("anomaly_resolved", "ops@example.com"), 1);
    assert_int_equal(mails("anomaly_resolved", "second@example.org"), 1);
    fx.conf.anomaly_mail_to = "";
}

static void a_list_of_addresses_is_checked(void **state)
{
    struct err err = { 0 };
    (void)state;
    check(anomaly_mail_check(fx.a, "", &err), &err);
    check(anomaly_mail_check(fx.a, " a@example.com,b@example.com ", &err), &err);
    assert_int_equal(anomaly_mail_check(fx.a, "a@example.com;b@example.com", &err), -E_invalid);
    assert_int_equal(anomaly_mail_check(fx.a, "a@example.com, ops", &err), -E_invalid);
    assert_non_null(strstr(err.msg, "CMS365_ANOMALY_MAIL_TO: ops"));
    const char *many = "a@example.com";
    for (size_t i = 1; i < 20; i++)
        many = arena_printf(fx.a, "%s,a@example.com", many);
    check(anomaly_mail_check(fx.a, many, &err), &err);
    many = arena_printf(fx.a, "%s,a@example.com", many);
    assert_int_equal(anomaly_mail_check(fx.a, many, &err), -E_invalid);
    assert_non_null(strstr(err.msg, "more than 20"));
}

static void errors_latency_and_silence_are_told_of(void **state)
{
    struct made failing = ordinary, slow = ordinary;
    (void)state;
    failing.status = 500;
    slow.total_us = 900000;
    clean();
    happen(&ordinary, 300);
    look();
    usual("rate", 300, 10);
    usual("errors", 10, 4);
    usual("latency", 20, 2);
    sql("UPDATE baselines SET weight = 48", NULL, 0);
    for (int i = 0; i < 2; i++) {
        happen(&ordinary, 200);
        happen(&failing, 100);
        look();
    }
    assert_int_equal(
        number("SELECT observed FROM anomalies WHERE signal = 'errors' AND subject = 'key'"), 333);
    for (int i = 0; i < 2; i++) {
        happen(&slow, 300);
        look();
    }
    int64_t ms =
        number("SELECT observed FROM anomalies WHERE signal = 'latency' AND subject = 'key'");
    assert_true(ms >= 891 && ms <= 909);
    for (int i = 0; i < 2; i++)
        look(); /* nobody asks */
    assert_int_equal(
        number("SELECT observed FROM anomalies WHERE signal = 'rate_low' AND subject = 'key'"), 0);
}

static void a_new_country_and_many_networks_of_a_key_are_told_of(void **state)
{
    struct made home = ordinary, abroad = ordinary, few = ordinary;
    (void)state;
    home.country = "DE";
    abroad.country = "BR";
    abroad.agent = "python-requests";
    few.country = "FR";
    clean();
    happen(&home, 60);
    look();
    happen(&abroad, 30);
    look(); /* the key is new itself: all of it is how it is used */
    assert_int_equal(number("SELECT count(*) FROM anomalies"), 0);
    sql("DELETE FROM seen WHERE value IN ('BR', 'python-requests')", NULL, 0);
    sql("UPDATE consumers SET first_at = now() - interval '30 days'", NULL, 0);
    happen(&few, 5); /* too few to speak of */
    happen(&abroad, 30);
    look();
    assert_int_equal(number("SELECT count(*) FROM anomalies WHERE signal = 'new_country'"), 1);
    assert_int_equal(number("SELECT count(*) FROM anomalies WHERE signal = 'new_agent'"), 1);
    assert_non_null(
        strstr(text("SELECT explanation FROM anomalies WHERE signal = 'new_country'"), "BR"));
    happen(&abroad, 30);
    look(); /* known by now */
    assert_int_equal(number("SELECT count(*) FROM anomalies WHERE signal LIKE 'new%'"), 2);

    usual("networks", 2, 0.5);
    sql("UPDATE baselines SET mean = 2, dev = 0.5, weight = 48 WHERE signal = 'networks'", NULL, 0);
    for (int i = 0; i < 14; i++) {
        struct made other = home;
        other.network = arena_printf(fx.a, "%016x", 0x1000 + i);
        happen(&other, 2);
    }
    look();
    assert_int_equal(number("SELECT count(*) FROM anomalies WHERE signal = 'key_sharing'"), 1);
}

static int say(int (*fn)(struct req *, struct res *, struct err *), const struct asking *by,
               const struct shape *in, const char *id, const char *body)
{
    struct err err = { 0 };
    const struct route row = { .path = "/api/v2/analytics/x", .in = in };
    struct httpd_conn bare = { 0 }; /* a request without headers */
    bare.req.conn = &bare;
    struct req req = {
        .svc = &fx.svc,
        .arena = fx.a,
        .route = &row,
        .path = row.path,
        .raw_query = "",
        .params = { id },
        .body = body ? json_in(fx.a, json_loads(body, 0, NULL)) : NULL,
        .now_us = clock_us(),
        .http = &bare.req,
        .who = { .user_id = by->user,
                   .role = by->admin ? ROLE_ADMIN : ROLE_AUTHOR,
                   .scopes = by->admin ? scope_expand((scope_set)1 << S_api_admin)
                                     : (scope_set)1 << S_analytics_write }
    };
    struct res res = { .arena = fx.a };
    buf_init(&res.body, fx.a, 4096, 1024 * 1024);
    return fn(&req, &res, &err);
}

static const struct route *row_of(const char *op)
{
    for (const struct route *r = analytics_routes; r->path; r++)
        if (str_eq(r->op_id, op))
            return r;
    fail_msg("there is no %s", op);
    return NULL;
}

static void what_is_muted_is_written_down_and_not_told(void **state)
{
    const struct asking owner = { .user = 3 }, stranger = { .user = 4 };
    const struct shape *mute = row_of("mute_anomaly")->in;
    (void)state;
    clean();
    happen(&ordinary, 60);
    look();
    usual("rate", 60, 6);
    sql("UPDATE baselines SET mean = 60, dev = 6, weight = 48", NULL, 0);
    for (int i = 0; i < 2; i++) {
        happen(&ordinary, 900);
        look();
    }
    const char *id = text("SELECT id FROM anomalies WHERE subject = 'key'");
    assert_int_equal(say(anomaly_mute, &stranger, mute, id, "{}"), -E_not_found);
    assert_int_equal(say(anomaly_mute, &owner, mute, id, "{\"minutes\":0}"), -E_validation);
    assert_int_equal(say(anomaly_mute, &owner, mute, id, "{\"hours\":1}"), -E_validation);
    assert_int_equal(say(anomaly_mute, &owner, mute, id, "{\"minutes\":60}"), 0);
    for (int i = 0; i < 3; i++) {
        happen(&ordinary, 60);
        look();
    }
    int64_t told =
        number("SELECT count(*) FROM outbox WHERE payload::json->'data'->>'subject' = 'key'");
    for (int i = 0; i < 2; i++) {
        happen(&ordinary, 900);
        look();
    }
    assert_int_equal(number("SELECT count(*) FROM anomalies WHERE subject = 'key'"), 2);
    assert_int_equal(
        number("SELECT count(*) FROM outbox WHERE payload::json->'data'->>'subject' = 'key'"),
        told);
    assert_int_equal(say(anomaly_unmute, &owner, NULL, id, NULL), 0);
    assert_int_equal(number("SELECT count(*) FROM watched WHERE muted_until IS NOT NULL"), 0);
}

static void feedback_moves_the_bounds_once(void **state)
{
    const struct asking owner = { .user = 3 };
    const struct shape *in = row_of("rate_anomaly")->in;
    (void)state;
    const char *id = text("SELECT id FROM anomalies WHERE subject = 'key'");
    assert_int_equal(say(anomaly_feedback, &owner, in, id, "{\"verdict\":\"boring\"}"),
                     -E_validation);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(say(anomaly_feedback, &owner, in, id, "{\"verdict\":\"false_alarm\"}"), 0);
        assert_int_equal(
            number("SELECT (10 * factor)::int FROM watched WHERE signal = 'rate_high' AND dim = 2"),
            15);
    }
    assert_int_equal(say(anomaly_feedback, &owner, in, id, "{\"verdict\":\"useful\"}"), 0);
    assert_int_equal(
        number("SELECT (10 * factor)::int FROM watched WHERE signal = 'rate_high' AND dim = 2"),
        10);
}

static void a_window_is_looked_at_once(void **state)
{
    struct err err = { 0 };
    bool done;
    (void)state;
    clean();
    sql("UPDATE detector SET done_until = NULL", NULL, 0);
    check(look_once(&fx.svc, fx.a, &done, &err), &err);
    assert_true(done);
    check(look_once(&fx.svc, fx.a, &done, &err), &err);
    assert_false(done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_far_above_its_usual_rate_is_told_of_and_ends),
        cmocka_unit_test(mail_tells_of_it_and_of_its_end),
        cmocka_unit_test(a_list_of_addresses_is_checked),
        cmocka_unit_test(errors_latency_and_silence_are_told_of),
        cmocka_unit_test(a_new_country_and_many_networks_of_a_key_are_told_of),
        cmocka_unit_test(what_is_muted_is_written_down_and_not_told),
        cmocka_unit_test(feedback_moves_the_bounds_once),
        cmocka_unit_test(a_window_is_looked_at_once),
    };
    set_up("anomaly");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tear_down();
    return failed;
}
