/* The response cache: never an answer older than a change that was told before, whatever the order;
 * never more memory than it may have. */
#include "common/kit/rcache_internal.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { long_us = 1000 * 1000 * 1000, small_bytes = rcache_bytes_min };

static struct rcache *cache;
static const struct entity_def *post, *user, *media, *company;

static int setup(void **state)
{
    struct err err;
    (void)state;
    post = entity_find("post");
    user = entity_find("user");
    media = entity_find("media");
    company = entity_find("company");
    assert_int_equal(rcache_new(small_bytes, &cache, &err), 0);
    rcache_fresh_until(cache, clock_mono_us() + long_us);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rcache_free(cache);
    return 0;
}

/* --- a reader and what it reads ------------------------------------------------------------------
 */

static struct rcache_key key_of(const char *text)
{
    return (struct rcache_key){ text, strlen(text) };
}

static bool find(const char *text, struct rcache_answer *ret, enum rcache_result *result)
{
    struct rcache_key k = key_of(text);
    struct rcache_entry *e;
    bool wanted;
    enum rcache_result r = rcache_find(cache, &k, 1, &e, &wanted);
    if (result)
        *result = r;
    if (r != RCACHE_HIT)
        return false;
    *ret = *rcache_answer(e);
    rcache_release(e); /* single threaded tests only look at the number right after */
    return true;
}

static bool put(const char *text, const struct rcache_made *m, const char *body)
{
    struct rcache_key k = key_of(text);
    const struct rcache_answer a = { .body = body, .body_n = strlen(body), .etag = "\"1.a\"" };
    return rcache_put(cache, &k, m, &a);
}

/* proves: R-08 */
static void an_answer_lives_until_what_it_was_made_of_changes(void **state)
{
    static const struct {
        const char *entity; /* made of: a row of it (7), or any rows */
        bool rows;
        enum vis_class vc;
        const char *changed;
        int64_t id;
        bool dies;
    } cases[] = {
        { "post",    false, VC_PUBLIC, "post",    7, true  },
        { "post",    false, VC_PUBLIC, "post",    8, false },
        { "post",    false, VC_PUBLIC, "post",    0, true  }, /* which one is not known */
        { "post",    false, VC_ADMIN,  "user",    7, false },
        { "post",    true,  VC_ADMIN,  "post",    8, true  },
        { "post",    true,  VC_ADMIN,  "user",    8, false },
        { "company", true,  VC_PUBLIC, "company", 1, true  },
        { "company", true,  VC_PUBLIC, "media",   1, false },
        /* A person is public by a post, media by whatever shows it. */
        { "user",    false, VC_PUBLIC, "post",    8, true  },
        { "user",    false, VC_OWN,    "post",    8, true  },
        { "user",    false, VC_ALL,    "post",    8, false },
        { "media",   false, VC_PUBLIC, "company", 8, true  },
        { "media",   false, VC_PUBLIC, "post",    8, true  },
        { "media",   false, VC_PUBLIC, "media",   8, false },
        { "media",   true,  VC_ADMIN,  "company", 8, false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct entity_def *e = entity_find(cases[i].entity);
        struct rcache_made m;
        struct rcache_answer a;
        for (size_t k = 0; entities[k]; k++)
            if (rcache_is_timed(entities[k]))
                rcache_due(cache, entities[k], rcache_due_begin(cache), INT64_MAX);
        rcache_begin(cache, &m);
        if (cases[i].rows)
            rcache_made_of_rows(&m, e, cases[i].vc);
        else
            rcache_made_of_row(&m, e, cases[i].vc, 7);
        assert_true(put("k", &m, "x"));
        assert_true(find("k", &a, NULL));
        rcache_wrote(cache, entity_find(cases[i].changed), cases[i].id);
        if (find("k", &a, NULL) == cases[i].dies)
            fail_msg("case %zu: %s", i, cases[i].dies ? "still there" : "gone");
    }
}

static void the_reader_is_part_of_what_is_his(void **state)
{
    struct rcache_made m;
    (void)state;
    rcache_begin(cache, &m);
    rcache_made_of_rows(&m, company, VC_PUBLIC);
    assert_false(m.personal);
    rcache_made_of_rows(&m, post, VC_OWN);
    assert_true(m.personal);
    rcache_begin(cache, &m);
    rcache_made_of_row(&m, user, VC_ALL, 7); /* he sees his own private fields */
    assert_true(m.personal);
    rcache_begin(cache, &m);
    rcache_made_of_row(&m, user, VC_ADMIN, 7);
    assert_false(m.personal);
}

/* What a handler says nothing of, or what is not one of the entities, is not kept. */
static void what_is_not_known_is_not_kept(void **state)
{
    struct rcache_made m;
    (void)state;
    rcache_begin(cache, &m);
    assert_false(put("k", &m, "x"));
    rcache_made_of_rows(&m, entity_find("api_key"), VC_ADMIN);
    assert_false(put("k", &m, "x"));
}

/* --- every order of steps ------------------------------------------------------------------------
 * Two readers (token, statement, storing) and two writers (commit, telling) of one row, in each of
 * the 25,200 orders.  At each point a request that begins then must not get less than what was told
 * before. */

enum { readers = 2, writers = 2, reader_steps = 3, writer_steps = 2 };
struct world {
    int row, told; /* versions */
    struct rcache_made made[readers];
    int read[readers], wrote[writers];
};
static size_t orders;

static void step(struct world *w, int who, int at)
{
    char body[8];
    if (who < readers && at == 0) {
        rcache_begin(cache, &w->made[who]);
        rcache_made_of_row(&w->made[who], post, VC_PUBLIC, 7);
    } else if (who < readers && at == 1) {
        w->read[who] = w->row;
    } else if (who < readers) {
        snprintf(body, sizeof(body), "%d", w->read[who]);
        (void)put("k", &w->made[who], body);
    } else if (at == 0) {
        w->wrote[who - readers] = ++w->row;
    } else {
        rcache_wrote(cache, post, 7);
        if (w->wrote[who - readers] > w->told)
            w->told = w->wrote[who - readers];
    }
}

static void run_order(const int *order, size_t n)
{
    struct world w = { 0 };
    int at[readers + writers] = { 0 };
    rcache_forget(cache);
    for (size_t i = 0; i < n; i++) {
        step(&w, order[i], at[order[i]]++);
        struct rcache_answer a;
        if (find("k", &a, NULL) && a.body[0] - '0' < w.told)
            fail_msg("version %d was told, %c was answered", w.told, a.body[0]);
    }
    orders++;
}

static void all_orders(int *order, size_t n, int *left)
{
    bool any = false;
    for (int who = 0; who < readers + writers; who++) {
        if (!left[who])
            continue;
        any = true;
        left[who]--;
        order[n] = who;
        all_orders(order, n + 1, left);
        left[who]++;
    }
    if (!any)
        run_order(order, n);
}

/* proves: R-08 */
static void no_order_of_steps_answers_what_is_over(void **state)
{
    int order[readers * reader_steps + writers * writer_steps], left[readers + writers];
    (void)state;
    for (int i = 0; i < readers + writers; i++)
        left[i] = i < readers ? reader_steps : writer_steps;
    orders = 0;
    all_orders(order, 0, left);
    assert_int_equal(orders, 25200);
}

/* --- threads ------------------------------------------------------------------------------------
 */

enum { rows = 8, rounds = 30000, racers = 4 };
static int64_t database[rows], acknowledged[rows];

static int64_t load(const int64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void write_one(int row)
{
    int64_t v = __atomic_add_fetch(&database[row], 1, __ATOMIC_SEQ_CST),
            seen = load(&acknowledged[row]);
    rcache_wrote(cache, post, row + 1);
    while (seen < v && !__atomic_compare_exchange_n(&acknowledged[row], &seen, v, false,
                                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

/* A single row, or the sum of all as a list. */
static int64_t look(int row)
{
    int64_t sum = 0;
    for (int i = 0; i < rows; i++)
        sum += row < 0 || row == i ? load(&database[i]) : 0;
    return sum;
}

static void *race(void *arg)
{
    uint64_t seed = (uintptr_t)arg * UINT64_C(0x9E3779B97F4A7C15);
    int64_t hits = 0;
    for (int i = 0; i < rounds; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1;
        int row = (int)(seed >> 60) % (rows + 1) - 1;
        if (seed >> 40 & 15) {
            char text[24];
            struct rcache_entry *e;
            struct rcache_made m;
            bool wanted;
            int64_t least = 0, v = 0;
            for (int k = 0; k < rows; k++)
                least += row < 0 || row == k ? load(&acknowledged[k]) : 0;
            snprintf(text, sizeof(text), "row%d", row);
            struct rcache_key k = key_of(text);
            if (rcache_find(cache, &k, 1, &e, &wanted) == RCACHE_HIT) {
                memcpy(&v, rcache_answer(e)->body, sizeof(v));
                if (v < least)
                    fail_msg("%s: %lld was acknowledged, %lld was answered", text, (long long)least,
                             (long long)v);
                rcache_release(e);
                hits++;
                continue;
            }
            rcache_begin(cache, &m);
            if (row < 0)
                rcache_made_of_rows(&m, post, VC_ADMIN);
            else
                rcache_made_of_row(&m, post, VC_ADMIN, row + 1);
            v = look(row);
            const struct rcache_answer a = { .body = (const char *)&v, .body_n = sizeof(v) };
            (void)rcache_put(cache, &k, &m, &a);
        } else if (row >= 0) {
            write_one(row);
        }
    }
    return (void *)(uintptr_t)hits;
}

/* proves: R-08 */
static void racing_threads_never_get_less_than_was_acknowledged(void **state)
{
    pthread_t t[racers];
    uintptr_t hits = 0;
    (void)state;
    for (size_t i = 0; i < racers; i++)
        assert_int_equal(pthread_create(&t[i], NULL, race, (void *)(uintptr_t)(i + 1)), 0);
    for (size_t i = 0; i < racers; i++) {
        void *n;
        pthread_join(t[i], &n);
        hits += (uintptr_t)n;
    }
    assert_true(hits > 0);
}

/* --- memory -------------------------------------------------------------------------------------
 */

static void put_sized(const char *text, size_t n, bool expect)
{
    static char body[small_bytes];
    struct rcache_made m;
    struct rcache_key k = key_of(text);
    const struct rcache_answer a = { .body = body, .body_n = n };
    rcache_begin(cache, &m);
    rcache_made_of_row(&m, post, VC_ADMIN, 1);
    assert_int_equal(rcache_put(cache, &k, &m, &a), expect);
}

/* proves: R-08 */
static void memory_stays_within_the_setting(void **state)
{
    struct rcache_stats s;
    char text[24];
    (void)state;
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof(text), "k%d", i);
        put_sized(text, (size_t)(i * 37 % 4000), true);
        rcache_stats(cache, &s);
        assert_true(s.bytes <= s.bytes_max);
    }
    assert_true(s.evicted > 0 && s.entries > 100);
    put_sized("large", small_bytes / 16, false); /* would throw out most of a shard */
    size_t chunks = 0;
    for (size_t i = 0; i < rcache_shards; i++) {
        size_t sum = 0;
        for (struct rcache_entry *e = cache->shards[i].newest; e; e = e->older, chunks++)
            sum += e->size;
        assert_int_equal(sum, cache->shards[i].bytes);
    }
    assert_int_equal(chunks, s.entries);
}

/* What is being sent is there until it is sent, and counts. */
static void what_is_being_sent_counts(void **state)
{
    struct rcache_entry *held[200];
    struct rcache_stats s;
    size_t n = 0;
    char text[24];
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct rcache_made m;
        snprintf(text, sizeof(text), "h%d", i);
        struct rcache_key k = key_of(text);
        bool wanted;
        static char body[8192];
        const struct rcache_answer a = { .body = body, .body_n = sizeof(body) };
        rcache_begin(cache, &m);
        rcache_made_of_row(&m, post, VC_ADMIN, 1);
        (void)rcache_put(cache, &k, &m, &a);
        n += rcache_find(cache, &k, 1, &held[n], &wanted) == RCACHE_HIT;
        rcache_stats(cache, &s);
        assert_true(s.bytes <= s.bytes_max);
    }
    assert_true(n > 20 && n < 200);
    rcache_forget(cache);
    for (size_t i = 0; i < n; i++)
        rcache_release(held[i]);
}

/* proves: R-08 */
static void a_walk_over_everything_throws_nothing_out(void **state)
{
    struct rcache_answer a;
    struct rcache_stats s;
    char text[24];
    (void)state;
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof(text), "hot%d", i);
        put_sized(text, 2000, true);
    }
    for (int i = 0; i < 100000; i++) {
        struct rcache_entry *e;
        bool wanted;
        snprintf(text, sizeof(text), "cold%d", i);
        struct rcache_key k = key_of(text);
        assert_int_equal(rcache_find(cache, &k, 1, &e, &wanted), RCACHE_MISS);
        if (wanted) /* a mark that is another key's */
            put_sized(text, 2000, true);
    }
    rcache_stats(cache, &s);
    assert_true(s.stored < 50 + 10 && s.evicted == 0);
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof(text), "hot%d", i);
        assert_true(find(text, &a, NULL));
    }
}

static void a_key_is_stored_when_it_comes_again(void **state)
{
    struct rcache_key k = key_of("again");
    struct rcache_entry *e;
    bool wanted;
    (void)state;
    assert_int_equal(rcache_find(cache, &k, 1, &e, &wanted), RCACHE_MISS);
    assert_false(wanted);
    assert_int_equal(rcache_find(cache, &k, 1, &e, &wanted), RCACHE_MISS);
    assert_true(wanted);
    put_sized("again", 10, true);
    rcache_wrote(cache, post, 1);
    assert_int_equal(rcache_find(cache, &k, 1, &e, &wanted), RCACHE_STALE);
    assert_true(wanted); /* it was worth it before */
}

/* Whoever reads is looked up twice, as anybody and in person; wherever the two keys fall, the
 * second time counts.  One pair in 8,192 falls together. */
static void two_keys_of_a_look_up_do_not_drive_each_other_out(void **state)
{
    enum { pairs = 100000 };
    (void)state;
    for (int i = 0; i < pairs; i++) {
        char any[32], own[32];
        struct rcache_entry *e;
        bool wanted = false;
        snprintf(any, sizeof(any), "any %d", i);
        snprintf(own, sizeof(own), "own %d", i);
        const struct rcache_key k[] = { key_of(any), key_of(own) };
        assert_int_equal(rcache_find(cache, k, 2, &e, &wanted), RCACHE_MISS);
        assert_int_equal(rcache_find(cache, k, 2, &e, &wanted), RCACHE_MISS);
        assert_true(wanted);
    }
}

/* --- time ---------------------------------------------------------------------------------------
 */

/* proves: R-08 */
static void without_a_heartbeat_nothing_is_answered(void **state)
{
    struct rcache_answer a;
    enum rcache_result r;
    (void)state;
    put_sized("k", 10, true);
    assert_true(find("k", &a, NULL));
    rcache_fresh_until(cache, clock_mono_us() - 1);
    assert_false(find("k", &a, &r));
    assert_int_equal(r, RCACHE_BYPASS);
    rcache_fresh_until(cache, clock_mono_us() + long_us); /* all that was told meanwhile is known */
    assert_true(find("k", &a, NULL));
}

static bool keep_list(const struct entity_def *e, enum vis_class vc)
{
    struct rcache_made m;
    rcache_begin(cache, &m);
    rcache_made_of_rows(&m, e, vc);
    return put("list", &m, "x");
}

/* proves: R-08 */
static void a_list_does_not_outlive_the_next_publication(void **state)
{
    struct rcache_answer a;
    (void)state;
    assert_false(keep_list(post, VC_PUBLIC)); /* when that is, is not known */
    assert_true(rcache_due_wanted(cache, post));
    assert_false(rcache_due_wanted(cache, post));
    assert_true(keep_list(post, VC_ADMIN)); /* who sees all, does not ask the clock */
    assert_true(keep_list(company, VC_PUBLIC));

    rcache_due(cache, post, rcache_due_begin(cache), clock_mono_us() + long_us);
    assert_true(keep_list(post, VC_PUBLIC));
    assert_true(find("list", &a, NULL));

    uint64_t token = rcache_due_begin(cache);
    rcache_wrote(cache, post, 3); /* this may be the one that is due next */
    rcache_due(cache, post, token, clock_mono_us() + long_us);
    assert_false(keep_list(post, VC_PUBLIC));

    rcache_due(cache, post, rcache_due_begin(cache), clock_mono_us() + 2000);
    bool kept = keep_list(post, VC_PUBLIC); /* a slow machine may be past it already */
    for (int64_t end = clock_mono_us() + 2000; clock_mono_us() <= end;)
        ;
    assert_false(find("list", &a, NULL));
    assert_false(keep_list(post, VC_PUBLIC));
    (void)kept;
}

static void a_token_is_worth_nothing_once_all_is_forgotten(void **state)
{
    struct rcache_made m;
    struct rcache_answer a;
    (void)state;
    put_sized("k", 10, true);
    rcache_begin(cache, &m);
    rcache_made_of_row(&m, post, VC_ADMIN, 2);
    rcache_forget(cache);
    assert_false(find("k", &a, NULL));
    assert_false(put("late", &m, "x"));
    put_sized("k", 10, true);
    assert_true(find("k", &a, NULL));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_answer_lives_until_what_it_was_made_of_changes),
        T(the_reader_is_part_of_what_is_his),
        T(what_is_not_known_is_not_kept),
        T(no_order_of_steps_answers_what_is_over),
        T(racing_threads_never_get_less_than_was_acknowledged),
        T(memory_stays_within_the_setting),
        T(what_is_being_sent_counts),
        T(a_walk_over_everything_throws_nothing_out),
        T(a_key_is_stored_when_it_comes_again),
        T(two_keys_of_a_look_up_do_not_drive_each_other_out),
        T(without_a_heartbeat_nothing_is_answered),
        T(a_list_does_not_outlive_the_next_publication),
        T(a_token_is_worth_nothing_once_all_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
