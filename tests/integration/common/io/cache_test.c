/* Needs Redis: CMS365_TEST_REDIS_URL. */
#include "common/io/cache.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/loop.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct cache *cache;
static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    struct err err;
    const char *url = getenv("CMS365_TEST_REDIS_URL");
    if (!url) {
        fputs("CMS365_TEST_REDIS_URL is not set\n", stderr);
        return -1;
    }
    arena = arena_new();
    return cache_new(&(struct cache_conf){ .url = url, .timeout_ms = 1000 }, &cache, &err);
}

static int teardown(void **state)
{
    (void)state;
    cache_free(cache);
    arena_free(arena);
    return 0;
}

#define CALL(c, a, ret, err, ...)                                                                  \
    cache_call(c, a, (const char *const[]){ __VA_ARGS__ },                                         \
               sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), ret, err)

static void replies_have_their_types(void **state)
{
    (void)state;
    struct cache_reply r;
    struct err err;
    assert_int_equal(CALL(cache, arena, &r, &err, "DEL", "test:l", "test:s", "test:z"), 0);
    assert_int_equal(r.type, CACHE_INT);
    assert_int_equal(CALL(cache, arena, &r, &err, "GET", "test:s"), 0);
    assert_int_equal(r.type, CACHE_NIL);
    assert_int_equal(CALL(cache, arena, &r, &err, "SET", "test:s", "a b\r\n\"c"), 0);
    assert_int_equal(CALL(cache, arena, &r, &err, "GET", "test:s"), 0);
    assert_int_equal(r.type, CACHE_TEXT);
    assert_string_equal(r.text, "a b\r\n\"c");
    assert_int_equal(
        CALL(cache, arena, &r, &err, "ZADD", "test:z", "1795433703703", "key:1", "5", "key:2"), 0);
    assert_int_equal(
        CALL(cache, arena, &r, &err, "ZRANGEBYSCORE", "test:z", "6", "+inf", "WITHSCORES"), 0);
    assert_int_equal(r.type, CACHE_LIST);
    assert_int_equal(r.n, 2);
    assert_string_equal(r.items[0].text, "key:1");
    assert_string_equal(r.items[1].text, "1795433703703");
    assert_int_equal(CALL(cache, arena, &r, &err, "INCR", "test:s"), -E_internal);
    assert_non_null(strstr(err.detail, "not an integer"));
    assert_null(strstr(err.msg, "not an integer"));
}

static void script_is_loaded_once_and_again_when_forgotten(void **state)
{
    (void)state;
    static const struct cache_script add = { "add",
                                             "return redis.call('INCRBY', KEYS[1], ARGV[1])" };
    const char *const keys[] = { "test:n" }, *const args[] = { "3" };
    struct cache_reply r;
    struct err err;
    assert_int_equal(CALL(cache, arena, &r, &err, "DEL", "test:n"), 0);
    assert_int_equal(cache_eval(cache, arena, &add, keys, 1, args, 1, &r, &err), 0);
    assert_int_equal(r.i64, 3);
    assert_int_equal(cache_eval(cache, arena, &add, keys, 1, args, 1, &r, &err), 0);
    assert_int_equal(CALL(cache, arena, &r, &err, "SCRIPT", "FLUSH"), 0);
    assert_int_equal(cache_eval(cache, arena, &add, keys, 1, args, 1, &r, &err), 0);
    assert_int_equal(r.i64, 9);
}

/* --- on a loop
 * ------------------------------------------------------------------------------------ */

enum { fibers = 50, rounds = 20 };
static struct loop *loop;
static int left, good, away;
static struct cache *subject;

static void incr(void *ctx)
{
    (void)ctx;
    struct arena *a = arena_new();
    for (int i = 0; i < rounds; i++) {
        struct cache_reply r;
        struct err err;
        int rc = CALL(subject, a, &r, &err, "INCR", "test:fibers");
        good += rc == 0 && r.type == CACHE_INT;
        away += rc == -E_unavailable;
        arena_reset(a);
    }
    arena_free(a);
    if (--left == 0)
        loop_stop(loop);
}

static void spawn_all(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < fibers; i++)
        fiber_spawn(loop, incr, NULL);
}

static void on_loop(struct cache *c)
{
    subject = c;
    left = fibers;
    good = away = 0;
    loop = loop_new();
    loop_post(loop, spawn_all, NULL);
    loop_run(loop);
    loop_free(loop);
}

static void fibers_share_a_pipelined_connection(void **state)
{
    (void)state;
    struct cache_reply r;
    struct err err;
    struct cache *c;
    assert_int_equal(cache_new(&(struct cache_conf){ .url = getenv("CMS365_TEST_REDIS_URL"),
                                                     .timeout_ms = 1000 },
                               &c, &err),
                     0);
    assert_int_equal(CALL(cache, arena, &r, &err, "DEL", "test:fibers"), 0);
    on_loop(c);
    assert_int_equal(good, fibers * rounds);
    cache_free(c);
    assert_int_equal(CALL(cache, arena, &r, &err, "GET", "test:fibers"), 0);
    assert_int_equal(strtol(r.text, NULL, 10), fibers * rounds);
}

/* Accepts and says nothing. */
static int silent_server(char url[64])
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, n), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    snprintf(url, 64, "redis://127.0.0.1:%d", ntohs(in.sin_port));
    return fd;
}

static void silent_redis_is_unavailable_within_the_deadline(void **state)
{
    (void)state;
    char url[64];
    struct cache *c;
    struct cache_reply r;
    struct err err;
    int fd = silent_server(url);
    assert_int_equal(cache_new(&(struct cache_conf){ .url = url, .timeout_ms = 100 }, &c, &err), 0);
    int64_t start = clock_mono_us();
    assert_int_equal(CALL(c, arena, &r, &err, "PING"), -E_unavailable);
    assert_int_equal(CALL(c, arena, &r, &err, "PING"),
                     -E_unavailable); /* at once: known to be down */
    assert_in_range(clock_mono_us() - start, 90000, 1000000);
    start = clock_mono_us();
    on_loop(c);
    assert_int_equal(good, 0);
    assert_int_equal(away, fibers * rounds);
    assert_in_range(clock_mono_us() - start, 90000, 5000000);
    cache_free(c);
    close(fd);
}

static void absent_redis_is_unavailable(void **state)
{
    (void)state;
    struct cache *c;
    struct cache_reply r;
    struct err err;
    assert_int_equal(
        cache_new(&(struct cache_conf){ .url = "redis://127.0.0.1:1/0", .timeout_ms = 100 }, &c,
                  &err),
        0);
    assert_int_equal(CALL(c, arena, &r, &err, "PING"), -E_unavailable);
    assert_int_equal(err.retry_after_s, 1);
    on_loop(c);
    assert_int_equal(away, fibers * rounds);
    cache_free(c);
}

static void bad_urls_stop_the_start(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "http://x",
                                       "redis://",
                                       "redis://h:0",
                                       "redis://h:x",
                                       "redis://h/x",
                                       "redis://user@h",
                                       "redis://[::1" };
    struct cache *c;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(
            cache_new(&(struct cache_conf){ .url = bad[i], .timeout_ms = 100 }, &c, &err),
            -E_config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_have_their_types),
        cmocka_unit_test(script_is_loaded_once_and_again_when_forgotten),
        cmocka_unit_test(fibers_share_a_pipelined_connection),
        cmocka_unit_test(silent_redis_is_unavailable_within_the_deadline),
        cmocka_unit_test(absent_redis_is_unavailable),
        cmocka_unit_test(bad_urls_stop_the_start),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
