/* Needs Redis: CMS365_TEST_REDIS_URL.  Replicas are limits of their own on one Redis. */
#include "common/kit/limit_internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/cache.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

enum { replicas = 3, wait_ms = 70000 };
static struct cache *cache;
static struct arena *a;
static const char *program;
static int64_t next_key;

static void redis(const char *const *argv, size_t n)
{
    struct cache_reply r;
    struct err err;
    if (cache_call(cache, a, argv, n, &r, &err))
        fail_msg("%s: %s", argv[0], err.detail);
}

static int setup(void **state)
{
    (void)state;
    struct err err;
    const char *url = getenv("CMS365_TEST_REDIS_URL");
    if (!url) {
        fputs("CMS365_TEST_REDIS_URL is not set\n", stderr);
        return -1;
    }
    log_init("limit_test", LOG_ERROR);
    a = arena_new();
    next_key = clock_us(); /* counters of an earlier run are another's */
    return cache_new(&(struct cache_conf){ .url = url, .timeout_ms = 1000 }, &cache, &err);
}

static int teardown(void **state)
{
    (void)state;
    cache_free(cache);
    arena_free(a);
    return 0;
}

/* Each test has replicas of a program of its own. */
static int alone(void **state)
{
    (void)state;
    program = arena_printf(a, "test%lld", (long long)clock_us());
    return 0;
}

static struct limits *replica(void)
{
    struct err err;
    const struct limits_conf conf = { .cache = cache, .program = program };
    struct limits *l = limits_new(&conf);
    if (limits_beat(l, a, &err))
        fail_msg("%s", err.detail);
    return l;
}

/* kill -9: what it had ahead is gone. */
static void killed(struct limits *l)
{
    l->cache = NULL;
    limits_free(l);
}

static int take_one(struct limits *l, const struct principal *who, unsigned cost)
{
    struct arena *own = arena_new();
    struct limit_answer x;
    struct err err = { 0 };
    const struct limit_request r = { LIMIT_API, cost, who, "" };
    int rc = limits_take(l, own, &r, &x, &err);
    if (rc && rc != -E_rate_limited && rc != -E_quota_exceeded)
        fail_msg("%s %s", err.msg, err.detail);
    arena_free(own);
    return rc;
}

/* The beginning of a minute of Redis' is not far behind, and it has been there before that. */
static void fresh_minute(struct limits *l)
{
    struct err err;
    for (int waited = 0; waited < wait_ms; waited += 50) {
        const char *const since[] = { "HGET", "cms365:limit:redis", "since" };
        struct cache_reply r;
        int64_t from = 0;
        if (limits_beat(l, a, &err) || cache_call(cache, a, since, 3, &r, &err))
            fail_msg("%s", err.detail);
        int64_t now = clock_ms() + l->clock_ms, begin = now / 60000 * 60000;
        bool old = r.type == CACHE_TEXT && str_to_i64(r.text, 1, INT64_MAX, &from) && from < begin;
        if (old && now - begin < 30000)
            return;
        if (r.type != CACHE_TEXT) { /* nobody has asked yet */
            const struct principal who = { .key_id = next_key++, .rate_limit = 1 };
            take_one(l, &who, 1);
        }
        usleep(50000);
    }
    fail_msg("no minute begins");
}

struct worker {
    struct limits *l;
    const struct principal *who;
    int calls;
    unsigned cost_max; /* each costs 1 … */
    atomic_llong *units;
    unsigned seed;
};

static void *work(void *p)
{
    struct worker *w = p;
    for (int i = 0; i < w->calls; i++) {
        w->seed = w->seed * 1103515245 + 12345;
        unsigned cost = 1 + (w->seed >> 16) % w->cost_max;
        if (take_one(w->l, w->who, cost) == 0)
            atomic_fetch_add(w->units, cost);
    }
    return NULL;
}

/* `threads` a replica, each with its own connection. */
static int64_t crowd(struct limits **l, const struct principal *who, int threads, int calls,
                     unsigned cost_max)
{
    enum { most = 32 };
    pthread_t t[most];
    struct worker w[most];
    atomic_llong units = 0;
    assert_true(threads * replicas <= most);
    for (int i = 0; i < threads * replicas; i++) {
        w[i] = (struct worker){ l[i % replicas], who, calls, cost_max, &units, (unsigned)i * 77 };
        assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < threads * replicas; i++)
        pthread_join(t[i], NULL);
    return units;
}

/* proves: N-04 */
static void exactly_the_limit_over_three_replicas(void **state)
{
    (void)state;
    struct limits *l[replicas];
    for (int i = 0; i < replicas; i++)
        l[i] = replica();
    fresh_minute(l[0]);
    const struct principal who = { .key_id = next_key++, .rate_limit = 1000 };
    assert_int_equal(crowd(l, &who, 4, 850, 1), 1000); /* 10,200 calls */
    const struct principal quota = { .key_id = next_key++, .quota_monthly = 1500 };
    assert_int_equal(crowd(l, &quota, 4, 500, 1), 1500);
    /* Costs of up to 7: never more, and less than a cost stays, as each thread goes on asking. */
    const struct principal mixed = { .key_id = next_key++, .quota_monthly = 2000 };
    int64_t units = crowd(l, &mixed, 4, 500, 7);
    assert_true(units <= 2000 && units > 2000 - 7);
    for (int i = 0; i < replicas; i++)
        limits_free(l[i]);
}

static void a_stopping_replica_gives_its_lease_back(void **state)
{
    (void)state;
    struct limits *one = replica(), *two = replica();
    const struct principal who = { .key_id = next_key++, .quota_monthly = 400 };
    int let = 0;
    for (int i = 0; i < 10; i++)
        let += take_one(one, &who, 1) == 0;
    limits_free(one);
    for (int i = 0; i < 1000; i++)
        let += take_one(two, &who, 1) == 0;
    assert_int_equal(let, 400);
    limits_free(two);
}

/* proves: N-04 */
static void a_killed_replica_never_gives_more(void **state)
{
    (void)state;
    struct limits *one = replica(), *two = replica();
    const struct principal who = { .key_id = next_key++, .quota_monthly = 400 };
    int let = 0;
    for (int i = 0; i < 10; i++)
        let += take_one(one, &who, 1) == 0;
    killed(one);
    for (int i = 0; i < 1000; i++)
        let += take_one(two, &who, 1) == 0;
    assert_true(let <= 400 && let >= 400 - limit_lease_least);
    killed(two);
}

/* proves: N-04 */
static void a_lease_covers_the_common_case(void **state)
{
    (void)state;
    struct limits *one = replica();
    const struct principal who = { .key_id = next_key++, .quota_monthly = 1000000 };
    const char *const info[] = { "INFO", "commandstats" };
    struct cache_reply r;
    struct err err;
    const char *const reset[] = { "CONFIG", "RESETSTAT" };
    redis(reset, 2);
    for (int i = 0; i < 3200; i++)
        assert_int_equal(take_one(one, &who, 1), 0);
    assert_int_equal(cache_call(cache, a, info, 2, &r, &err), 0);
    const char *calls = strstr(r.text, "cmdstat_evalsha:calls=");
    assert_non_null(calls);
    int64_t n = strtoll(calls + strlen("cmdstat_evalsha:calls="), NULL, 10);
    assert_true(n <= 3200 / limit_lease_least + 2);
    limits_free(one);
}

/* Counters that Redis lost come back from what the replicas were granted, and nobody gets more than
 * his part meanwhile.  proves: N-06 */
static void a_lost_redis_grants_no_second_limit(void **state)
{
    (void)state;
    struct limits *l[replicas];
    for (int i = 0; i < replicas; i++)
        l[i] = replica();
    for (int i = 0; i < replicas; i++) { /* each knows of the others */
        struct err err;
        assert_int_equal(limits_beat(l[i], a, &err), 0);
    }
    fresh_minute(l[0]);
    const struct principal who = { .key_id = next_key++, .rate_limit = 900 };
    int let = 0;
    for (int i = 0; i < 450; i++)
        let += take_one(l[i % replicas], &who, 1) == 0;
    assert_int_equal(let, 450);
    const char *const flush[] = { "FLUSHDB" };
    redis(flush, 1);
    struct err err;
    assert_int_equal(limits_beat(l[0], a, &err), 0); /* the first that Redis hears of now */
    assert_int_equal(l[0]->replicas, replicas);
    int first = 0;
    for (int i = 0; i < 900; i++)
        first += take_one(l[0], &who, 1) == 0;
    assert_true(first <= 900 / replicas);
    let += first;
    for (int i = 0; i < 3000; i++)
        let += take_one(l[i % replicas], &who, 1) == 0;
    assert_int_equal(let, 900);
    for (int i = 0; i < replicas; i++)
        limits_free(l[i]);
}

/* Who is gone is missed, but not by a Redis that has begun to count in this minute.  proves: N-06
 */
static void replicas_are_counted_by_a_redis_that_has_heard_of_all(void **state)
{
    (void)state;
    struct limits *one = replica(), *two = replica();
    struct err err;
    const char *const flush[] = { "FLUSHDB" };
    assert_int_equal(limits_beat(one, a, &err), 0);
    assert_int_equal(one->replicas, 2);
    redis(flush, 1);
    killed(two);
    assert_int_equal(limits_beat(one, a, &err), 0);
    assert_int_equal(one->replicas, 2);
    const char *since = arena_printf(
        a, "%lld", (long long)(clock_ms() + one->clock_ms - 1000 * (limit_window_s - 5)));
    const char *const younger[] = { "HSET", "cms365:limit:redis", "since", since };
    redis(younger, ARRAY_LEN(younger));
    assert_int_equal(limits_beat(one, a, &err), 0);
    assert_int_equal(one->replicas, 2);
    since = arena_printf(a, "%lld",
                         (long long)(clock_ms() + one->clock_ms - 1000 * (limit_window_s + 1)));
    const char *const older[] = { "HSET", "cms365:limit:redis", "since", since };
    redis(older, ARRAY_LEN(older));
    assert_int_equal(limits_beat(one, a, &err), 0);
    assert_int_equal(one->replicas, 1);
    limits_free(one);
}

/* Two loops have connections of their own: one may have found Redis again while the other goes on
 * alone.  proves: N-06 */
static void what_a_hop_may_bring_is_not_taken_alone(void **state)
{
    (void)state;
    struct limits *one = replica(), *two = replica();
    struct err err;
    int64_t granted, label, leased;
    assert_int_equal(limits_beat(one, a, &err), 0);
    fresh_minute(one);
    const struct principal who = { .key_id = next_key++, .rate_limit = 100 };
    assert_int_equal(take_one(one, &who, 1), 0);
    struct limit_need hop = {
        .who = { .policy = POLICY_KEY }, .limit = 100, .cost = 1, .lease = true
    };
    memcpy(hop.who.id, &who.key_id, sizeof who.key_id);
    limit_own(one, &hop, &granted, &label, &leased);
    assert_true(granted >= 1);
    one->cache = NULL;
    int let = 1;
    for (int i = 0; i < 300; i++)
        let += take_one(one, &who, 1) == 0;
    assert_true(let <= 50 - limit_lease_least); /* of its part of 50 */
    limit_asked(one, &hop);
    for (int i = 0; i < 300; i++)
        let += take_one(one, &who, 1) == 0;
    assert_int_equal(let, 50);
    one->cache = cache;
    limits_free(one);
    limits_free(two);
}

/* What a replica let through alone is counted when Redis is back. */
static void alone_and_together_again(void **state)
{
    (void)state;
    struct limits *one = replica(), *two = replica();
    struct err err;
    assert_int_equal(limits_beat(one, a, &err), 0);
    fresh_minute(one);
    const struct principal who = { .key_id = next_key++, .rate_limit = 100 };
    int let = 0;
    assert_int_equal(take_one(one, &who, 1), 0);
    one->cache = NULL; /* no way to Redis */
    for (int i = 0; i < 300; i++)
        let += take_one(one, &who, 1) == 0;
    assert_int_equal(let, 50 - 1); /* its part, of which one is used */
    one->cache = cache;
    one->rate[POLICY_KEY] = 0;
    const struct principal again = { .key_id = who.key_id, .rate_limit = 100 };
    int rest = 0;
    assert_int_equal(take_one(one, &again, 1), 0); /* reports what it used */
    for (int i = 0; i < 300; i++)
        rest += take_one(two, &again, 1) == 0;
    for (int i = 0; i < 300; i++)
        rest += take_one(one, &again, 1) == 0;
    assert_int_equal(1 + let + 1 + rest, 100);
    limits_free(one);
    limits_free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(exactly_the_limit_over_three_replicas, alone),
        cmocka_unit_test_setup(a_stopping_replica_gives_its_lease_back, alone),
        cmocka_unit_test_setup(a_killed_replica_never_gives_more, alone),
        cmocka_unit_test_setup(a_lease_covers_the_common_case, alone),
        cmocka_unit_test_setup(alone_and_together_again, alone),
        cmocka_unit_test_setup(what_a_hop_may_bring_is_not_taken_alone, alone),
        cmocka_unit_test_setup(a_lost_redis_grants_no_second_limit, alone),
        cmocka_unit_test_setup(replicas_are_counted_by_a_redis_that_has_heard_of_all, alone),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
