/* Needs a real broker: CMS365_TEST_KAFKA_BROKERS. */
#include "common/io/bus.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static const char *brokers;
static char name[64];

static int setup(void **state)
{
    (void)state;
    brokers = getenv("CMS365_TEST_KAFKA_BROKERS");
    if (!brokers) {
        fputs("CMS365_TEST_KAFKA_BROKERS is not set\n", stderr);
        return -1;
    }
    return 0;
}

static void topic(const char *what, int partitions, bool compact)
{
    struct err err;
    snprintf(name, sizeof(name), "test.%s.%d", what, (int)getpid());
    struct bus_topic t = {
        .name = name, .partitions = partitions, .retention_ms = 3600000, .compact = compact
    };
    if (bus_topics_apply(brokers, &t, 1, 1, &err))
        fail_msg("%s: %s", err.msg, err.detail);
}

static void count(void *ctx, int result, const char *reason)
{
    (void)reason;
    assert_int_equal(result, 0);
    ++*(int *)ctx;
}

static void put(struct bus_producer *p, const char *key, const char *value, size_t n, int *done)
{
    struct err err;
    struct bus_msg m = { .topic = name,
                         .key = key,
                         .payload = value,
                         .len = n,
                         .headers = { { "ce_id", key } },
                         .nheaders = 1 };
    while (bus_produce(p, &m, count, done, &err)) {
        assert_int_equal(err.code, E_unavailable);
        bus_poll(p, 10);
    }
}

/* Applied twice, then with more partitions and another policy: the second changes nothing, the
 * third only that. */
static void topics_are_applied_idempotently(void **state)
{
    (void)state;
    struct err err;
    topic("apply", 2, false);
    topic("apply", 2, false);
    topic("apply", 5, true);
    struct bus_producer *p;
    int done = 0;
    assert_int_equal(bus_producer_new(brokers, "test", &p, &err), 0);
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        put(p, key, "x", 1, &done);
    }
    assert_int_equal(bus_flush(p, 20000, &err), 0);
    assert_int_equal(done, 200);
    struct bus_reader *r;
    unsigned seen = 0;
    assert_int_equal(bus_reader_new(brokers, name, &r, &err), 0);
    int64_t end = clock_mono_us() + 20000000;
    while (!bus_reader_caught_up(r) && clock_mono_us() < end) {
        struct arena *a = arena_new();
        struct bus_msg *m;
        size_t n;
        if (bus_read(r, a, 100, 500, &m, &n, &err) == 0)
            for (size_t i = 0; i < n; i++)
                seen |= 1u << m[i].partition;
        arena_free(a);
    }
    assert_int_equal(seen, 0x1f);
    bus_reader_free(r);
    bus_producer_free(p);
    assert_int_equal(bus_ping(brokers, 5000, &err), 0);
}

static void four_mebibytes_pass(void **state)
{
    (void)state;
    struct err err;
    struct bus_producer *p;
    struct bus_reader *r;
    int done = 0;
    topic("large", 1, false);
    assert_int_equal(bus_producer_new(brokers, "test", &p, &err), 0);
    char *big = malloc(bus_message_bytes_max);
    random_bytes(big, bus_message_bytes_max); /* nothing that lz4 could make smaller */
    put(p, "k", big, bus_message_bytes_max, &done);
    put(p, "k", "small", 5, &done);
    assert_int_equal(bus_flush(p, 20000, &err), 0);
    assert_int_equal(done, 2);
    assert_int_equal(bus_reader_new(brokers, name, &r, &err), 0);
    size_t got = 0;
    int64_t end = clock_mono_us() + 20000000;
    while (got < 2 && clock_mono_us() < end) {
        struct arena *a = arena_new();
        struct bus_msg *m;
        size_t n;
        if (bus_read(r, a, 10, 500, &m, &n, &err) == 0)
            for (size_t i = 0; i < n; i++, got++)
                if (got == 0) {
                    assert_int_equal(m[i].len, bus_message_bytes_max);
                    assert_memory_equal(m[i].payload, big, bus_message_bytes_max);
                }
        arena_free(a);
    }
    assert_int_equal(got, 2);
    free(big);
    bus_reader_free(r);
    bus_producer_free(p);
}

/* Two members of a group: each message goes to one, and what one leaves the other takes. */
static void group_shares_and_hands_over(void **state)
{
    (void)state;
    enum { total = 200 };
    struct err err;
    struct bus_producer *p;
    struct bus_consumer *c[2];
    int done = 0, got[2] = { 0 }, seen[total] = { 0 };
    topic("group", 4, false);
    const char *const topics[] = { name, NULL };
    assert_int_equal(bus_producer_new(brokers, "test", &p, &err), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(bus_consumer_new(brokers, name, topics, &c[i], &err), 0);
    for (int i = 0; i < total / 2; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        put(p, text, text, strlen(text), &done);
    }
    bool handed = false;
    int64_t end = clock_mono_us() + 40000000;
    while (got[0] + got[1] < total && clock_mono_us() < end) {
        for (int k = handed; k < 2; k++) {
            struct arena *a = arena_new();
            struct bus_msg *m;
            size_t n;
            assert_int_equal(bus_consume(c[k], a, 20, 50, &m, &n, &err), 0);
            for (size_t i = 0; i < n; i++) {
                int64_t v;
                assert_true(str_to_i64(m[i].payload, 0, total - 1, &v));
                got[k] += seen[v]++ == 0;
            }
            assert_int_equal(bus_store_all(c[k], m, n, &err), 0);
            arena_free(a);
        }
        if (!handed && got[0] + got[1] == total / 2) {
            handed = true;
            bus_consumer_free(c[0]);
            for (int i = total / 2; i < total; i++) {
                char text[16];
                snprintf(text, sizeof(text), "%d", i);
                put(p, text, text, strlen(text), &done);
            }
        }
        bus_poll(p, 0);
    }
    assert_int_equal(got[0] + got[1], total);
    for (int i = 0; i < total; i++)
        assert_int_equal(seen[i], 1);
    if (!handed)
        bus_consumer_free(c[0]);
    bus_consumer_free(c[1]);
    bus_producer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_applied_idempotently),
        cmocka_unit_test(four_mebibytes_pass),
        cmocka_unit_test(group_shares_and_hands_over),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
