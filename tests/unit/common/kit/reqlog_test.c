/* proves: N-01 */
#include "common/kit/reqlog.h"

#include "common/base/background.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/str.h"
#include "common/io/bus.h"
#include "common/kit/token.h"
#include "proto/request_record.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

static const struct principal nobody;

static struct reqlog_record record(void)
{
    return (struct reqlog_record){ .at_us = clock_us(),
                                   .total_us = 1000,
                                   .who = &nobody,
                                   .request_id = "0e123daa197d1a8c7446d8d241e92193",
                                   .method = "GET",
                                   .route = "/api/v2/posts/{id}",
                                   .address = "2001:db8::1",
                                   .user_agent = "curl/8.5.0",
                                   .status = 200 };
}

static struct reqlog *start_without_broker(void)
{
    const struct reqlog_conf conf = { .program = "test", .brokers = "127.0.0.1:1" };
    struct reqlog *l = NULL;
    struct err err = { 0 };
    assert_int_equal(reqlog_start(&conf, &l, &err), 0);
    return l;
}

/* Rule buffer_full: what waits is bounded, the rest is counted; nobody waits. */
static void without_a_broker_memory_is_bounded_and_what_is_dropped_is_counted(void **state)
{
    enum { sent = 40000 };
    struct reqlog *l = start_without_broker();
    const struct reqlog_record r = record();
    (void)state;
    for (int i = 0; i < sent; i++)
        reqlog_put(l, &r);
    uint64_t most =
        (uint64_t)(reqlog_chunks_max + reqlog_in_flight_max + 1) * request_batch_rows_max;
    assert_true(reqlog_dropped(l) >= sent - most);
    assert_true(reqlog_dropped(l) < sent);
    int64_t begin = clock_mono_us();
    reqlog_stop(l); /* gives up after reqlog_close_ms */
    assert_true(clock_mono_us() - begin < 30000000);
}

/* No two beside each other have anything in common, so that each row is as long as one can be. */
static void whatever_a_client_sends_fits_a_row(void **state)
{
    static const char *const ids[] = { "01a226d7-dcc9-7d68-afa3-1516619c6971",
                                       "ffffffff-ffff-ffff-ffff-ffffffffffff" };
    struct reqlog *l = start_without_broker();
    static char longest[8000], route[201];
    struct reqlog_record r = record();
    (void)state;
    memset(longest, '"', sizeof longest - 1);
    memset(route, 'r', sizeof route - 1);
    for (int i = 0; i < 2000; i++) { /* past the end of chunks */
        const struct principal who = { .key_id = INT64_MAX - i,
                                       .client_id = INT64_MAX - i,
                                       .user_id = INT64_MAX - i,
                                       .session_id = i % 2 };
        r.who = &who;
        r.request_id = ids[i % 2];
        r.method = i % 2 ? "OPTIONS" : "CONNECT";
        route[0] = (char)('a' + i % 2);
        r.route = route;
        r.address = i % 2 ? longest : "192.0.2.1";
        r.user_agent = i % 2 ? "python-requests/2.32" : longest;
        r.country = i % 2 ? "AT" : "DE";
        r.problem = i % 2 ? "unsupported_media_type" : "precondition_required";
        r.at_us = r.total_us = r.queue_us = r.db_us = INT64_MAX - i;
        r.bytes_in = r.bytes_out = UINT64_MAX - (uint64_t)i;
        r.status = INT32_MAX - i;
        reqlog_put(l, &r);
    }
    r.who = &nobody;
    r.route = r.request_id = r.country = longest;
    reqlog_put(l, &r);
    assert_int_equal(reqlog_dropped(l), 0);
    reqlog_stop(l);
    reqlog_stop(NULL);
}

/* --- with a broker -------------------------------------------------------------------------------
 */

static int nice_of(const char *thread)
{
    glob_t all;
    int nice = -1;
    assert_int_equal(glob("/proc/self/task/*/comm", 0, NULL, &all), 0);
    for (size_t i = 0; i < all.gl_pathc; i++) {
        char name[32] = "";
        const char *id = all.gl_pathv[i] + strlen("/proc/self/task/");
        FILE *f = fopen(all.gl_pathv[i], "r");
        if (f && fgets(name, sizeof name, f) && str_starts(name, thread))
            nice = getpriority(PRIO_PROCESS, (id_t)strtol(id, NULL, 10));
        if (f)
            fclose(f);
    }
    globfree(&all);
    return nice;
}

/* Each row whole: what it does not say is as in the one before (proto/request_record.h). */
static void add_whole(json_t *to, const json_t *message)
{
    const json_t *rows = json_object_get(message, "rows"), *now[RR_MAX_] = { NULL };
    assert_int_equal(json_integer_value(json_object_get(message, "v")), request_record_version);
    for (size_t k = 0; k < json_array_size(rows); k++) {
        const json_t *row = json_array_get(rows, k);
        json_int_t said = json_integer_value(json_array_get(row, 0));
        json_t *whole = json_array();
        size_t at = 1;
        for (size_t i = 0; i < RR_MAX_; i++) {
            const json_t *before = now[i];
            if (said >> i & 1)
                now[i] = json_array_get(row, at++);
            assert_non_null(now[i]);
            if (k)
                assert_int_equal(said >> i & 1, !json_equal(now[i], before));
            json_array_append(whole, (json_t *)(uintptr_t)now[i]);
        }
        assert_int_equal(at, json_array_size(row));
        json_array_append_new(to, whole);
    }
}

/* The rows of as many messages as it takes. */
static json_t *rows_sent(const char *brokers, struct arena *a, size_t n)
{
    const char *const from[] = { "api.requests", NULL };
    struct bus_consumer *c;
    struct bus_msg *m;
    size_t got;
    struct err err = { 0 };
    json_t *rows = json_array();
    int64_t until = clock_mono_us() + 20000000;
    assert_int_equal(bus_consumer_new(brokers, "reqlog_test", from, &c, &err), 0);
    while (json_array_size(rows) < n && clock_mono_us() < until) {
        assert_int_equal(bus_consume(c, a, 10, 100, &m, &got, &err), 0);
        for (size_t i = 0; i < got; i++) {
            json_t *all = json_loadb(m[i].payload, m[i].len, 0, NULL);
            assert_non_null(all);
            add_whole(rows, all);
            json_decref(all);
        }
    }
    bus_consumer_free(c);
    assert_int_equal(json_array_size(rows), n);
    return rows;
}

static void what_arrives_is_what_was_put(void **state)
{
    /* `as`: the first record with the same pseudonym.  Networks of IPv6 are of 64 bits. */
    static const struct {
        const char *address;
        size_t as;
        int64_t us;
    } put[] = {
        { "192.0.2.1",       0, 0         },
        { "192.0.2.1",       0, 9         },
        { "192.0.2.2",       2, 10        },
        { "192.0.2.1",       0, 99        },
        { "192.0.2.2",       2, 100       },
        { "2001:db8::1",     5, 101       },
        { "2001:db8::2",     5, 12345     },
        { "2001:db8:0:1::1", 7, 1000000   },
        { "nothing",         8, 987654321 },
    };
    char text[256], country[3];
    rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    rd_kafka_mock_cluster_t *mock = rd_kafka_mock_cluster_new(host, 1);
    const char *brokers = rd_kafka_mock_cluster_bootstraps(mock);
    const struct reqlog_conf conf = { .program = "test", .brokers = brokers };
    struct arena *a = arena_new();
    struct reqlog *l = NULL;
    struct err err = { 0 };
    struct reqlog_record r = record();
    (void)state;
    assert_int_equal(rd_kafka_mock_topic_create(mock, "api.requests", 1, 1), 0);
    assert_int_equal(reqlog_start(&conf, &l, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(put); i++) {
        r.address = put[i].address;
        r.total_us = put[i].us;
        r.own_id = i % 2;
        r.status = put[i].us > 100 ? 404 : 200;
        r.user_agent = i % 3 ? "curl/8.5.0" : "Wget/1.2";
        memcpy(country, i < 4 ? "DE" : "AT", sizeof country); /* another text in the same place */
        r.country = country;
        reqlog_put(l, &r);
    }
    json_t *rows = rows_sent(brokers, a, ARRAY_LEN(put));
    for (size_t i = 0; i < ARRAY_LEN(put); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *mine = json_string_value(json_array_get(row, RR_network));
        assert_int_equal(json_integer_value(json_array_get(row, RR_at)), r.at_us);
        assert_int_equal(json_integer_value(json_array_get(row, RR_total_us)), put[i].us);
        assert_string_equal(json_string_value(json_array_get(row, RR_id)), r.request_id);
        assert_int_equal(json_integer_value(json_array_get(row, RR_status)),
                         put[i].us > 100 ? 404 : 200);
        assert_string_equal(json_string_value(json_array_get(row, RR_agent)),
                            i % 3 ? "curl" : "wget");
        assert_string_equal(json_string_value(json_array_get(row, RR_country)),
                            i < 4 ? "DE" : "AT");
        assert_int_equal(strlen(mine), 16);
        for (size_t k = 0; k < i; k++) {
            const char *other =
                json_string_value(json_array_get(json_array_get(rows, k), RR_network));
            assert_int_equal(str_eq(mine, other), put[k].as == put[i].as);
        }
    }
    /* Whoever sends, and the producer's own threads, are behind who answers requests. */
    assert_int_equal(nice_of("request-log"), background_nice);
    assert_int_equal(nice_of("rdk:broker1"), background_nice);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), 0);
    reqlog_stop(l);
    json_decref(rows);
    arena_free(a);
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_broker_memory_is_bounded_and_what_is_dropped_is_counted),
        cmocka_unit_test(whatever_a_client_sends_fits_a_row),
        cmocka_unit_test(what_arrives_is_what_was_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
