/* The bus against librdkafka's mock cluster, in this process. */
#include "common/io/bus.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *mock;
static const char *brokers;

static int up(void **state)
{
    (void)state;
    char text[256];
    host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    mock = rd_kafka_mock_cluster_new(host, 1);
    brokers = rd_kafka_mock_cluster_bootstraps(mock);
    return 0;
}

static int down(void **state)
{
    (void)state;
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(host);
    return 0;
}

static void topic(const char *name, int partitions)
{
    assert_int_equal(rd_kafka_mock_topic_create(mock, name, partitions, 1), 0);
}

struct tally {
    int ok, failed, last;
};

static void on_done(void *ctx, int result, const char *reason)
{
    struct tally *t = ctx;
    assert_non_null(reason);
    if (result == 0)
        t->ok++;
    else
        t->failed++, t->last = result;
}

static void put(struct bus_producer *p, struct tally *t, const char *name, const char *key,
                const char *value)
{
    struct err err = { 0 };
    struct bus_msg m = {
        .topic = name,
        .key = key,
        .payload = value,
        .len = value ? strlen(value) : 0,
        .headers = { { "ce_id", value ? value : "" }, { "ce_type", "test" } },
        .nheaders = 2
    };
    assert_int_equal(bus_produce(p, &m, on_done, t, &err), 0);
}

static void settle(struct bus_producer *p, const struct tally *t, int n)
{
    int64_t until = clock_mono_us() + 10000000;
    while (t->ok + t->failed < n && clock_mono_us() < until)
        bus_poll(p, 20);
    assert_int_equal(t->ok + t->failed, n);
}

static int take(struct bus_consumer *c, char *ret_first, size_t n_first)
{
    struct err err = { 0 };
    for (int64_t until = clock_mono_us() + 15000000; clock_mono_us() < until;) {
        struct arena *a = arena_new();
        struct bus_msg *m;
        size_t n;
        assert_int_equal(bus_consume(c, a, 10, 200, &m, &n, &err), 0);
        if (n)
            snprintf(ret_first, n_first, "%s", m[0].payload);
        arena_free(a);
        if (n)
            return (int)n;
    }
    return 0;
}

static void produced_messages_are_consumed_by_partition_in_order(void **state)
{
    (void)state;
    enum { total = 600, keys = 7 };
    topic("t.order", 3);
    struct err err = { 0 };
    struct bus_producer *p;
    struct bus_consumer *c;
    struct tally t = { 0 };
    assert_int_equal(bus_producer_new(brokers, "test", &p, &err), 0);
    for (int i = 0; i < total; i++) {
        char key[16], value[16];
        snprintf(key, sizeof(key), "k:%d", i % keys);
        snprintf(value, sizeof(value), "%d", i);
        put(p, &t, "t.order", key, value);
    }
    settle(p, &t, total);
    assert_int_equal(t.ok, total);
    const char *const topics[] = { "t.order", NULL };
    assert_int_equal(bus_consumer_new(brokers, "g.order", topics, &c, &err), 0);
    int got = 0, last[keys];
    int64_t next[3] = { 0 };
    memset(last, 0xff, sizeof(last));
    for (int64_t until = clock_mono_us() + 20000000; got < total && clock_mono_us() < until;) {
        struct arena *a = arena_new();
        struct bus_msg *m;
        size_t n;
        assert_int_equal(bus_consume(c, a, 50, 200, &m, &n, &err), 0);
        assert_in_range(n, 0, 50);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(m[i].offset, next[m[i].partition]++);
            int64_t key, value;
            assert_true(str_to_i64(m[i].key + 2, 0, keys, &key));
            assert_true(str_to_i64(m[i].payload, 0, total, &value));
            assert_string_equal(bus_header(&m[i], "CE_ID"), m[i].payload);
            assert_true((int)value > last[key]);
            last[key] = (int)value;
            got++;
        }
        assert_int_equal(bus_store_all(c, m, n, &err), 0);
        arena_free(a);
    }
    assert_int_equal(got, total);
    assert_int_equal(bus_lag(c), 0);
    bus_consumer_free(c); /* commits, of each partition the last */
    assert_int_equal(bus_consumer_new(brokers, "g.order", topics, &c, &err), 0);
    put(p, &t, "t.order", "k:1", "after");
    char first[16] = "";
    assert_int_equal(take(c, first, sizeof(first)), 1);
    assert_string_equal(first, "after");
    bus_consumer_free(c);
    bus_producer_free(p);
}

static void rewound_messages_come_again_and_stored_ones_do_not(void **state)
{
    (void)state;
    topic("t.rewind", 1);
    struct err err = { 0 };
    struct bus_producer *p;
    struct bus_consumer *c;
    struct tally t = { 0 };
    char first[16];
    assert_int_equal(bus_producer_new(brokers, "test", &p, &err), 0);
    for (int i = 0; i < 30; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        put(p, &t, "t.rewind", "k", value);
    }
    settle(p, &t, 30);
    const char *const topics[] = { "t.rewind", NULL };
    assert_int_equal(bus_consumer_new(brokers, "g.rewind", topics, &c, &err), 0);
    assert_true(take(c, first, sizeof(first)) > 0);
    assert_string_equal(first, "0");
    assert_int_equal(bus_rewind(c, "t.rewind", 0, 3, &err), 0);
    assert_true(take(c, first, sizeof(first)) > 0);
    assert_string_equal(first, "3");
    assert_int_equal(bus_store(c, "t.rewind", 0, 6, &err), 0);
    bus_consumer_free(c); /* commits */
    assert_int_equal(bus_consumer_new(brokers, "g.rewind", topics, &c, &err), 0);
    assert_true(take(c, first, sizeof(first)) > 0);
    assert_string_equal(first, "7");
    bus_consumer_free(c);
    bus_producer_free(p);
}

static void reader_reads_all_partitions_from_the_beginning(void **state)
{
    (void)state;
    topic("t.broadcast", 4);
    struct err err = { 0 };
    struct bus_producer *p;
    struct tally t = { 0 };
    assert_int_equal(bus_producer_new(brokers, "test", &p, &err), 0);
    for (int i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key:%d", i);
        put(p, &t, "t.broadcast", key, i == 39 ? NULL : "{}");
    }
    settle(p, &t, 40);
    for (int again = 0; again < 2; again++) {
        struct bus_reader *r;
        assert_int_equal(bus_reader_new(brokers, "t.broadcast", &r, &err), 0);
        assert_false(bus_reader_caught_up(r));
        int got = 0, tombstones = 0;
        int64_t until = clock_mono_us() + 15000000;
        while (!bus_reader_caught_up(r) && clock_mono_us() < until) {
            struct arena *a = arena_new();
            struct bus_msg *m;
            size_t n;
            assert_int_equal(bus_read(r, a, 100, 500, &m, &n, &err), 0);
            for (size_t i = 0; i < n; i++)
                tombstones += m[i].payload == NULL;
            got += (int)n;
            arena_free(a);
        }
        assert_true(bus_reader_caught_up(r));
        assert_int_equal(got, 40);
        assert_int_equal(tombstones, 1);
        bus_reader_free(r);
    }
    bus_producer_free(p);
}

static void broker_errors_are_retried_until_delivered_once(void **state)
{
    (void)state;
    topic("t.faults", 1);
    struct err err = { 0 };
    struct bus_producer *p;
    struct tally t = { 0 };
    assert_int_equal(bus_producer_new(brokers, "test", &p, &err), 0);
    put(p, &t, "t.faults", "k", "0");
    settle(p, &t, 1);
    rd_kafka_mock_push_request_errors(
        mock, 0 /* Produce */, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
    put(p, &t, "t.faults", "k", "1");
    put(p, &t, "t.faults", "k", "2");
    settle(p, &t, 3);
    assert_int_equal(t.ok, 3);
    assert_false(bus_fatal(p));
    bus_producer_free(p);
}

/* The broker knows nothing of the producer yet, refuses the first of two requests and would take
 * the second. */
static void a_first_request_that_is_refused_is_not_taken_for_delivered(void **state)
{
    (void)state;
    topic("t.first", 1);
    struct err err = { 0 };
    struct bus_producer *p;
    struct bus_consumer *c;
    struct tally t = { 0 };
    const char *const topics[] = { "t.first", NULL };
    char first[16] = "";
    assert_int_equal(bus_producer_new(brokers, "test", &p, &err), 0);
    put(p, &t, "t.first", "k", "first"); /* connections stand, the leader is known */
    settle(p, &t, 1);
    assert_int_equal(rd_kafka_mock_broker_set_rtt(mock, 1, 300), 0);
    rd_kafka_mock_push_request_errors(mock, 0 /* Produce */, 1,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
    for (int i = 0; i < 3; i++) {
        put(p, &t, "t.first", "k", i == 0 ? "0" : i == 1 ? "1" : "2");
        for (int64_t until = clock_mono_us() + 60000; clock_mono_us() < until;)
            bus_poll(p, 10); /* each a request of its own */
    }
    settle(p, &t, 4);
    assert_int_equal(t.ok, 4);
    assert_int_equal(rd_kafka_mock_broker_set_rtt(mock, 1, 0), 0);
    assert_int_equal(bus_consumer_new(brokers, "first", topics, &c, &err), 0);
    int n = 0;
    while (n < 4) {
        char one[16];
        int more = take(c, one, sizeof(one));
        if (n == 0)
            memcpy(first, one, sizeof(one));
        assert_int_not_equal(more, 0);
        n += more;
    }
    assert_int_equal(n, 4);
    assert_string_equal(first, "first");
    bus_consumer_free(c);
    bus_producer_free(p);
}

static void too_large_message_is_refused_before_it_is_queued(void **state)
{
    (void)state;
    struct err err = { 0 };
    struct bus_producer *p;
    struct tally t = { 0 };
    assert_int_equal(bus_producer_new(brokers, "test", &p, &err), 0);
    size_t n = bus_message_bytes_max + 128 * 1024;
    char *big = calloc(1, n);
    struct bus_msg m = { .topic = "t.order", .key = "k", .payload = big, .len = n };
    assert_int_equal(bus_produce(p, &m, on_done, &t, &err), -E_too_large);
    assert_int_equal(t.ok + t.failed, 0);
    free(big);
    bus_producer_free(p);
}

static void broker_that_is_away_blocks_nobody(void **state)
{
    (void)state;
    struct err err = { 0 };
    struct bus_producer *p;
    struct bus_consumer *c;
    struct bus_reader *r;
    struct tally t = { 0 };
    static const char nobody[] = "127.0.0.1:1";
    int64_t start = clock_mono_us();
    assert_int_equal(bus_ping(nobody, 300, &err), -E_unavailable);
    assert_int_equal(bus_producer_new(nobody, "test", &p, &err), 0);
    put(p, &t, "t.order", "k", "x");
    assert_int_equal(bus_flush(p, 200, &err), -E_unavailable);
    bus_producer_free(p);
    assert_int_equal(t.failed, 1); /* the report came at the end: nothing is left hanging */
    assert_int_equal(t.last, -E_unavailable);
    const char *const topics[] = { "t.order", NULL };
    struct arena *a = arena_new();
    struct bus_msg *m;
    size_t n;
    assert_int_equal(bus_consumer_new(nobody, "g", topics, &c, &err), 0);
    assert_int_equal(bus_consume(c, a, 10, 200, &m, &n, &err), 0);
    assert_int_equal(n, 0);
    bus_consumer_free(c);
    assert_int_equal(bus_reader_new(nobody, "t.order", &r, &err), 0);
    assert_int_equal(bus_read(r, a, 10, 200, &m, &n, &err), -E_unavailable);
    bus_reader_free(r);
    arena_free(a);
    assert_in_range(clock_mono_us() - start, 0, 8000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(produced_messages_are_consumed_by_partition_in_order),
        cmocka_unit_test(rewound_messages_come_again_and_stored_ones_do_not),
        cmocka_unit_test(reader_reads_all_partitions_from_the_beginning),
        cmocka_unit_test(broker_errors_are_retried_until_delivered_once),
        cmocka_unit_test(a_first_request_that_is_refused_is_not_taken_for_delivered),
        cmocka_unit_test(too_large_message_is_refused_before_it_is_queued),
        cmocka_unit_test(broker_that_is_away_blocks_nobody),
    };
    return cmocka_run_group_tests(tests, up, down);
}
