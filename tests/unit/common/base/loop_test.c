#include "common/base/loop.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static char trace[64];

static void note(char c)
{
    size_t n = strlen(trace);

    assert_true(n < sizeof(trace) - 1);
    trace[n] = c;
    trace[n + 1] = '\0';
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    trace[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    loop_free(NULL);
    return 0;
}

static void stop(void *ctx)
{
    assert_ptr_equal(loop_self(), loop);
    loop_stop(ctx);
}

static void on_stop_timer(struct timer *t)
{
    (void)t;
    loop_stop(loop);
}

/* Runs the loop for a few milliseconds. */
static void run_ms(int ms)
{
    struct timer t = { .fn = on_stop_timer };

    timer_set(loop, &t, ms * 1000);
    loop_run(loop);
}

/* ---- timers ---- */

struct tagged {
    struct timer timer;
    int64_t due;
    unsigned n;
};
static int64_t last_due;
static unsigned fired;

static void on_tagged(struct timer *t)
{
    struct tagged *x = container_of(t, struct tagged, timer);

    assert_int_equal(t->slot, 0);
    assert_true(x->due >= last_due);
    assert_true(clock_mono_us() >= x->due);
    last_due = x->due;
    fired++;
    x->n++;
}

static void timers_fire_in_order_and_never_early(void **state)
{
    static struct tagged timers[200];
    unsigned want = 0;

    (void)state;
    last_due = fired = 0;
    memset(timers, 0, sizeof(timers));
    for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
        timers[i].timer.fn = on_tagged;
        timer_set(loop, &timers[i].timer, (int64_t)(i * 7919 % 200) * 50);
    }
    for (size_t i = 0; i < ARRAY_LEN(timers); i += 3) /* some move, some go */
        timer_set(loop, &timers[i].timer, (int64_t)(i * 104729 % 200) * 60);
    for (size_t i = 1; i < ARRAY_LEN(timers); i += 5) {
        timer_clear(loop, &timers[i].timer);
        timer_clear(loop, &timers[i].timer);
    }
    for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
        timers[i].due = timers[i].timer.at_us;
        want += timers[i].timer.slot != 0;
    }
    run_ms(20);
    assert_int_equal(want, 160);
    assert_int_equal(fired, want);
}

static void on_again(struct timer *t)
{
    if (strlen(trace) < 5) {
        note('t');
        timer_set(loop, t, 0);
    } else {
        loop_stop(loop);
    }
}

static void timer_may_arm_itself(void **state)
{
    struct timer t = { .fn = on_again };

    (void)state;
    timer_set(loop, &t, -5);
    loop_run(loop);
    assert_string_equal(trace, "ttttt");
}

/* ---- deferred calls ---- */

static struct deferred second;

static void on_deferred(struct deferred *d)
{
    note(d == &second ? '2' : '1');
    if (d != &second)
        loop_defer(loop, &second);
}

static void deferred_runs_once_before_sleeping(void **state)
{
    struct deferred first = { .fn = on_deferred }, never = { .fn = on_deferred };

    (void)state;
    second = (struct deferred){ .fn = on_deferred };
    loop_defer(loop, &first);
    loop_defer(loop, &never);
    loop_defer(loop, &first);
    loop_defer_clear(loop, &never);
    loop_defer_clear(loop, &never);
    assert_false(never.armed);
    run_ms(1);
    assert_string_equal(trace, "12");
    assert_false(first.armed);
    loop_defer(loop, &never); /* the list's end is right after a clear */
    loop_defer(loop, &second);
    loop_defer_clear(loop, &second);
    loop_defer(loop, &second);
    loop_defer_clear(loop, &never);
    trace[0] = '\0';
    run_ms(1);
    assert_string_equal(trace, "2");
}

static struct deferred flush;
static void on_flush(struct deferred *d)
{
    (void)d;
    note('F');
}

static void writes(void *ctx)
{
    (void)ctx;
    fiber_sleep_ms(1);
    note('w');
    loop_defer(loop, &flush);
}

/* What fibers of one round write is flushed once, after all of them. */
static void flush_comes_after_all_fibers(void **state)
{
    (void)state;
    flush = (struct deferred){ .fn = on_flush };
    for (int i = 0; i < 3; i++)
        assert_true(fiber_spawn(loop, writes, NULL));
    usleep(2000);
    run_ms(2);
    assert_string_equal(trace, "wwwF");
}

/* ---- posts ---- */

enum { posts_each = 2000 };
static unsigned got[4];
static struct post_ctx {
    unsigned thread, n;
} ctxs[4][posts_each];
static unsigned in_all;

static void on_post(void *ctx)
{
    struct post_ctx *p = ctx;

    assert_int_equal(got[p->thread], p->n); /* in each thread's order */
    got[p->thread]++;
    if (++in_all == 4 * posts_each)
        loop_stop(loop);
}

static void *poster(void *arg)
{
    struct post_ctx *p = arg;

    for (unsigned i = 0; i < posts_each; i++)
        loop_post(loop, on_post, &p[i]);
    return NULL;
}

static void posts_of_many_threads_arrive_in_order(void **state)
{
    pthread_t t[4];

    (void)state;
    in_all = 0;
    for (unsigned i = 0; i < 4; i++) {
        got[i] = 0;
        for (unsigned k = 0; k < posts_each; k++)
            ctxs[i][k] = (struct post_ctx){ .thread = i, .n = k };
        assert_int_equal(pthread_create(&t[i], NULL, poster, ctxs[i]), 0);
    }
    loop_run(loop);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_int_equal(in_all, 4 * posts_each);
}

static void posts_again(void *ctx)
{
    note('p');
    if (strlen(trace) < 3)
        loop_post(loop, posts_again, ctx);
    else
        loop_stop(loop);
}

static void post_may_post(void **state)
{
    (void)state;
    loop_post(loop, posts_again, NULL);
    loop_run(loop);
    assert_string_equal(trace, "ppp");
}

static void *stopper(void *arg)
{
    usleep(2000);
    loop_stop(arg);
    return NULL;
}

static void another_thread_stops_a_sleeping_loop(void **state)
{
    pthread_t t;
    int64_t before = clock_mono_us();

    (void)state;
    assert_null(loop_self());
    assert_int_equal(pthread_create(&t, NULL, stopper, loop), 0);
    loop_run(loop);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_true(clock_mono_us() - before < 5 * 1000 * 1000);
    assert_null(loop_self());
}

/* ---- descriptors ---- */

struct end {
    struct watch watch;
    struct end *other;
    uint32_t seen;
};

static void on_readable(struct watch *w, uint32_t events)
{
    struct end *e = container_of(w, struct end, watch);
    char c;

    e->seen |= events;
    assert_int_equal(read(w->fd, &c, 1), 1);
    note(c);
    if (e->other) { /* its event is in the same batch and must not come */
        watch_set(loop, &e->other->watch, 0);
        e->other->watch.fn = NULL;
    }
}

static void removed_watch_gets_no_more_events(void **state)
{
    int p[2], q[2];
    struct end a = { 0 }, b = { 0 };

    (void)state;
    assert_int_equal(pipe(p) | pipe(q), 0);
    a = (struct end){
        .watch = { .fd = p[0], .fn = on_readable },
          .other = &b
    };
    b = (struct end){
        .watch = { .fd = q[0], .fn = on_readable },
          .other = &a
    };
    watch_set(loop, &a.watch, EPOLLIN);
    watch_set(loop, &b.watch, EPOLLIN);
    assert_int_equal(write(p[1], "a", 1) + write(q[1], "b", 1), 2);
    run_ms(3);
    assert_int_equal(strlen(trace), 1);
    assert_int_equal((a.seen != 0) + (b.seen != 0), 1);
    watch_set(loop, &a.watch, 0);
    watch_set(loop, &b.watch, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(close(p[i]) | close(q[i]), 0);
}

static void on_writable(struct watch *w, uint32_t events)
{
    assert_true(events & EPOLLOUT);
    note('o');
    watch_set(loop, w, 0);
    loop_stop(loop);
}

static void watch_changes_and_survives_a_closed_descriptor(void **state)
{
    int p[2];
    struct watch w = { .fn = on_writable };

    (void)state;
    assert_int_equal(pipe(p), 0);
    w.fd = p[1];
    watch_set(loop, &w, EPOLLIN);
    assert_int_equal(w.events, EPOLLIN);
    watch_set(loop, &w, EPOLLOUT);
    watch_set(loop, &w, EPOLLOUT);
    loop_run(loop);
    assert_string_equal(trace, "o");
    watch_set(loop, &w, EPOLLOUT);
    assert_int_equal(close(p[1]), 0);
    watch_set(loop, &w, 0); /* its library closed it first */
    assert_int_equal(w.events, 0);
    assert_int_equal(close(p[0]), 0);
}

static void holds(void *ctx)
{
    int64_t until = clock_mono_us() + loop_hold_warn_us + 2000;

    while (clock_mono_us() < until)
        continue;
    stop(ctx);
}

static void long_callbacks_are_counted(void **state)
{
    (void)state;
    loop_post(loop, holds, loop);
    loop_run(loop);
    run_ms(1);
    assert_true(loop_holds(loop) >= 1);
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(timers_fire_in_order_and_never_early),
        LOOP_TEST(timer_may_arm_itself),
        LOOP_TEST(deferred_runs_once_before_sleeping),
        LOOP_TEST(flush_comes_after_all_fibers),
        LOOP_TEST(posts_of_many_threads_arrive_in_order),
        LOOP_TEST(post_may_post),
        LOOP_TEST(another_thread_stops_a_sleeping_loop),
        LOOP_TEST(removed_watch_gets_no_more_events),
        LOOP_TEST(watch_changes_and_survives_a_closed_descriptor),
        LOOP_TEST(long_callbacks_are_counted),
    };

    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
