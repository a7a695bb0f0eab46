/* The key table with its sources: Redis (CMS365_TEST_REDIS_URL), a mock Kafka, and a listener that
 * plays auth. */
#include "common/kit/token_internal.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/bus.h"
#include "common/io/cache.h"
#include "common/io/httpc.h"
#include "common/io/httpd.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { threads = 8 };
static int port;
static const char no_broker[] = "127.0.0.1:1";
static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *mock;
static struct bus_producer *producer;
static struct cache *cache;
static struct httpd *httpd;
static struct arena *arena;

/* --- what auth knows
 * ------------------------------------------------------------------------------ */

static char at_auth[8][1024]; /* states by id, "" for none */
static int asked, answers_500;

static void on_serve(struct http_req *req, struct http_res *res, void *ctx)
{
    (void)ctx;
    if (str_starts(req->path, "/internal/auth/keys/")) /* and not what is read at the start */
        __atomic_fetch_add(&asked, 1, __ATOMIC_RELAXED);
    fiber_sleep_ms(50); /* long enough for others to come meanwhile */
    res->status = 200;
    if (!str_eq(http_header(req, "Authorization"), "Bearer inside"))
        res->status = 401;
    if (__atomic_load_n(&answers_500, __ATOMIC_RELAXED))
        res->status = 500;
    if (res->status != 200)
        return;
    struct buf b;
    buf_init(&b, req->arena, 1024, 1024 * 1024);
    int64_t id = 0;
    if (str_eq(req->path, "/internal/auth/keys")) {
        for (size_t i = 0; i < ARRAY_LEN(at_auth); i++)
            if (*at_auth[i])
                buf_printf(&b, "%s\n", at_auth[i]);
    } else if (str_eq(req->path, "/internal/auth/policy")) {
        buf_puts(&b, policy_state_json(req->arena, &(struct policy_state){ 1, "127.0.0.0/8" }));
    } else if (str_to_i64(strrchr(req->path, '/') + 1, 1, 1000000, &id) && id < 8 && *at_auth[id]) {
        buf_puts(&b, at_auth[id]);
    } else {
        res->status = 404;
    }
    res->body = b.data;
    res->body_n = b.len;
}

static bool on_head(struct http_req *req, struct http_res *res, void *ctx)
{
    (void)req, (void)res, (void)ctx;
    return true;
}

/* --- tools
 * ---------------------------------------------------------------------------------------- */

static char texts[8][key_text_max];

static char *make(int64_t id, int64_t changed_us)
{
    struct key_state k = { .id = id,
                           .user_id = 70 + id,
                           .role = ROLE_ADMIN,
                           .changed_us = changed_us,
                           .granted = (scope_set)1 << S_api_read,
                           .name = "n",
                           .allowed_networks = "" };
    key_make("test", id, texts[id], k.hash);
    return key_state_json(arena, &k);
}

static void on_done(void *ctx, int result, const char *reason)
{
    (void)ctx, (void)reason;
    assert_int_equal(result, 0);
}

static void publish(int64_t id, const char *state)
{
    struct err err;
    struct bus_msg m = { .topic = "auth.keys",
                         .key = arena_printf(arena, "key:%lld", (long long)id),
                         .payload = state,
                         .len = state ? strlen(state) : 0 };
    assert_int_equal(bus_produce(producer, &m, on_done, NULL, &err), 0);
    assert_int_equal(bus_flush(producer, 10000, &err), 0);
}

static int check_from(struct tokens *t, int64_t id, const char *address)
{
    struct err err;
    struct principal who;
    struct arena *a = arena_new();
    int rc = token_check(t, a, texts[id], address, &who, &err);
    arena_free(a);
    return rc;
}

static int check(struct tokens *t, int64_t id)
{
    return check_from(t, id, "127.0.0.1");
}

/* Milliseconds until the check answers so; fails after 10 s. */
static int64_t until(struct tokens *t, int64_t id, int want)
{
    int64_t start = clock_mono_us();
    while (check(t, id) != want) {
        if (clock_mono_us() - start > 10000000)
            fail_msg("key %d never answered %d", (int)id, want);
        usleep(2000);
    }
    return (clock_mono_us() - start) / 1000;
}

static struct tokens *start(const char *brokers, bool with_auth, bool wait)
{
    struct tokens *t;
    struct err err;
    struct tokens_conf conf = { .brokers = brokers, .cache = cache, .internal_token = "inside" };
    struct httpc_conf hc = { .egress_allow = "127.0.0.0/8",
                             .dns_servers = "",
                             .conns_max = 8,
                             .conns_per_host_max = 8,
                             .user_agent = "test" };
    if (with_auth) {
        conf.auth_url = arena_printf(arena, "http://127.0.0.1:%d", port);
        assert_int_equal(httpc_new(&hc, &conf.httpc, &err), 0);
    }
    assert_int_equal(tokens_open(&conf, &t, &err), 0);
    for (int i = 0; wait && i < 1000 && !tokens_ready(t); i++)
        usleep(10000);
    assert_int_equal(tokens_ready(t), wait);
    return t;
}

static void redis(const char *const *argv, size_t n)
{
    struct cache_reply r;
    struct err err;
    if (cache_call(cache, arena, argv, n, &r, &err))
        fail_msg("%s", err.detail);
}

static void mark_revoked(const char *member)
{
    redis((const char *const[]){ "ZADD", "cms365:revoked",
                                 arena_printf(arena, "%lld", (long long)clock_ms()), member },
          4);
}

/* --- tests
 * ---------------------------------------------------------------------------------------- */

static void table_follows_the_topic(void **state)
{
    (void)state;
    publish(1, make(1, clock_us()));
    struct tokens *t = start(rd_kafka_mock_cluster_bootstraps(mock), false, true);
    assert_int_equal(check(t, 1), 0); /* ready means read to the end */
    char *second = make(2, clock_us());
    assert_int_equal(check(t, 2), -E_unauthorized);
    publish(2, second);
    until(t, 2, 0);
    publish(2, "{\"not\":\"a state\"}"); /* is passed over */
    publish(1, NULL);
    until(t, 1, -E_unauthorized);
    assert_int_equal(check(t, 2), 0);
    assert_int_equal(tokens_count(t), 2);
    tokens_stop(t);
}

/* proves: AU-12: live on every replica within a second though Kafka says nothing */
static void revocation_by_redis_is_live_within_a_second(void **state)
{
    (void)state;
    publish(3, make(3, clock_us()));
    publish(4, make(4, clock_us()));
    const char *brokers = rd_kafka_mock_cluster_bootstraps(mock);
    struct tokens *t[2] = { start(brokers, false, true), start(brokers, false, true) };
    for (int i = 0; i < 2; i++)
        assert_int_equal(check(t[i], 3) | check(t[i], 4), 0);
    mark_revoked("key:3");
    for (int i = 0; i < 2; i++)
        assert_in_range(until(t[i], 3, -E_unauthorized), 0, 1000);
    assert_int_equal(check(t[0], 4), 0);
    mark_revoked("user:74");
    for (int i = 0; i < 2; i++)
        assert_in_range(until(t[i], 4, -E_unauthorized), 0, 1000);
    tokens_stop(t[0]);
    tokens_stop(t[1]);
    /* also for one that starts afterwards */
    t[0] = start(brokers, false, true);
    until(t[0], 3, -E_unauthorized);
    until(t[0], 4, -E_unauthorized);
    tokens_stop(t[0]);
}

static void *check_once(void *arg)
{
    return check(arg, 5) == 0 ? arg : NULL;
}

/* proves: AU-02: also one that was replaced a moment ago */
static void unknown_key_is_asked_of_auth_once(void **state)
{
    (void)state;
    struct tokens *t = start(rd_kafka_mock_cluster_bootstraps(mock), true, true);
    snprintf(at_auth[5], sizeof(at_auth[5]), "%s", make(5, clock_us()));
    pthread_t th[threads];
    void *ok;
    asked = 0;
    for (int i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&th[i], NULL, check_once, t), 0);
    for (int i = 0; i < threads; i++) {
        pthread_join(th[i], &ok);
        assert_non_null(ok);
    }
    assert_int_equal(asked, 1);
    /* It was replaced, and no message of that is here yet. */
    snprintf(at_auth[5], sizeof(at_auth[5]), "%s", make(5, clock_us()));
    asked = 0;
    for (int i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&th[i], NULL, check_once, t), 0);
    for (int i = 0; i < threads; i++) {
        pthread_join(th[i], &ok);
        assert_non_null(ok);
    }
    assert_int_equal(asked, 1);
    /* Of a text that is made up auth is asked once a second at most, and the key goes on. */
    char good[key_text_max];
    memcpy(good, texts[5], sizeof(good));
    make(5, 0);
    asked = 0;
    int64_t since_us = clock_mono_us();
    for (int i = 0; i < 50; i++)
        assert_int_equal(check(t, 5), -E_unauthorized);
    assert_in_range(asked, 0, 1 + (clock_mono_us() - since_us) / 1000000);
    answers_500 = 1;
    assert_int_equal(check(t, 5), -E_unauthorized);
    answers_500 = 0;
    memcpy(texts[5], good, sizeof(good));
    assert_int_equal(check(t, 5), 0);
    /* One that auth does not know: asked once a second at most. */
    make(6, 0);
    asked = 0;
    int64_t start_us = clock_mono_us();
    for (int i = 0; i < 50; i++)
        assert_int_equal(check(t, 6), -E_unauthorized);
    assert_in_range(asked, 1, 1 + (clock_mono_us() - start_us) / 1000000);
    /* A wrong checksum is not asked for at all. */
    asked = 0;
    texts[6][strlen(texts[6]) - 1] ^= 1;
    assert_int_equal(check(t, 6), -E_unauthorized);
    assert_int_equal(asked, 0);
    /* And when auth does not know itself: try later, not "refused". */
    make(7, 0);
    answers_500 = 1;
    assert_int_equal(check(t, 7), -E_unavailable);
    answers_500 = 0;
    tokens_stop(t);
}

static void snapshot_serves_when_kafka_is_away(void **state)
{
    (void)state;
    for (size_t i = 1; i < 4; i++)
        snprintf(at_auth[i], sizeof(at_auth[i]), "%s", make((int64_t)i, clock_us() + 1000000));
    redis((const char *const[]){ "DEL", "cms365:revoked" }, 2);
    struct tokens *t = start(no_broker, false, false);
    usleep(2000000);
    assert_false(tokens_ready(t)); /* neither source: not ready */
    tokens_stop(t);
    t = start(no_broker, true, true);
    for (int64_t i = 1; i < 4; i++)
        assert_int_equal(check(t, i), 0);
    assert_true(check_from(t, 1, "192.0.2.1") < 0); /* the policy is part of the snapshot */
    tokens_stop(t);
}

/* One that is free now. */
static int free_port(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    close(fd);
    return ntohs(in.sin_port);
}

static int setup(void **state)
{
    (void)state;
    char text[256];
    struct err err;
    static const struct httpd_ops ops = { .head = on_head, .serve = on_serve };
    const char *url = getenv("CMS365_TEST_REDIS_URL");
    if (!url) {
        fputs("CMS365_TEST_REDIS_URL is not set\n", stderr);
        return -1;
    }
    log_init("token_test", LOG_ERROR);
    arena = arena_new();
    port = free_port();
    host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    mock = rd_kafka_mock_cluster_new(host, 1);
    rd_kafka_mock_topic_create(mock, "auth.keys", 4, 1);
    struct httpd_conf hc = { .listen = arena_printf(arena, "127.0.0.1:%d", port),
                             .loops = 1,
                             .conns_max = 100,
                             .idle_timeout_s = 10,
                             .ops = &ops };
    int rc = bus_producer_new(rd_kafka_mock_cluster_bootstraps(mock), "test", &producer, &err);
    if (!rc)
        rc = cache_new(&(struct cache_conf){ .url = url, .timeout_ms = 1000 }, &cache, &err);
    if (!rc)
        rc = httpd_start(&hc, &httpd, &err);
    redis((const char *const[]){ "DEL", "cms365:revoked" }, 2);
    return rc;
}

static int teardown(void **state)
{
    (void)state;
    httpd_stop(httpd, 100);
    bus_producer_free(producer);
    cache_free(cache);
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(host);
    arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_follows_the_topic),
        cmocka_unit_test(revocation_by_redis_is_live_within_a_second),
        cmocka_unit_test(unknown_key_is_asked_of_auth_once),
        cmocka_unit_test(snapshot_serves_when_kafka_is_away),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
