#include "common/base/fiber.h"

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct trace {
    char text[128];
    size_t len;
};

static struct loop *loop;
static struct trace trace;

static void note(char c)
{
    assert_true(trace.len < sizeof(trace.text) - 1);
    trace.text[trace.len++] = c;
    trace.text[trace.len] = '\0';
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    trace = (struct trace){ 0 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void ends_at_once(void *ctx)
{
    assert_non_null(fiber_self());
    note(*(char *)ctx);
}

static void spawn_runs_at_once(void **state)
{
    (void)state;
    assert_null(fiber_self());
    assert_true(fiber_spawn(loop, ends_at_once, (char[]){ 'a' }));
    assert_true(fiber_spawn(loop, ends_at_once, (char[]){ 'b' }));
    assert_string_equal(trace.text, "ab");
    assert_int_equal(fiber_count(loop), 0);
    assert_null(fiber_self());
}

static struct fiber *parked;

static void parks_once(void *ctx)
{
    volatile double held = 1.5; /* survives the switch */

    (void)ctx;
    note('1');
    parked = fiber_self();
    fiber_park();
    note('2');
    assert_true(held == 1.5);
    loop_stop(loop);
}

static void wake_runs_from_the_loop(void **state)
{
    (void)state;
    assert_true(fiber_spawn(loop, parks_once, NULL));
    assert_string_equal(trace.text, "1");
    assert_int_equal(fiber_count(loop), 1);
    fiber_wake(parked);
    assert_string_equal(trace.text, "1");
    loop_run(loop);
    assert_string_equal(trace.text, "12");
    assert_int_equal(fiber_count(loop), 0);
}

static void woken_before_parking(void *ctx)
{
    (void)ctx;
    fiber_wake(fiber_self());
    fiber_park();
    note('x');
}

static void early_wake_is_not_lost(void **state)
{
    (void)state;
    assert_true(fiber_spawn(loop, woken_before_parking, NULL));
    assert_string_equal(trace.text, "x");
}

static void inner(void *ctx)
{
    (void)ctx;
    note('i');
    parked = fiber_self();
    fiber_park();
    note('I');
    loop_stop(loop);
}

static void outer(void *ctx)
{
    const struct fiber *me = fiber_self();

    (void)ctx;
    note('o');
    assert_true(fiber_spawn(loop, inner, NULL));
    assert_ptr_equal(fiber_self(), me);
    note('O');
    fiber_wake(parked);
}

static void fibers_spawn_fibers(void **state)
{
    (void)state;
    assert_true(fiber_spawn(loop, outer, NULL));
    assert_string_equal(trace.text, "oiO");
    loop_run(loop);
    assert_string_equal(trace.text, "oiOI");
}

static unsigned slept;

static void sleeps(void *ctx)
{
    int64_t before = clock_mono_us();
    unsigned ms = *(const unsigned *)ctx;

    fiber_sleep_ms(ms);
    assert_true(clock_mono_us() - before >= (int64_t)ms * 1000);
    note((char)('0' + ms / 10));
    if (++slept == 3)
        loop_stop(loop);
}

static void sleeping_fibers_do_not_hold_each_other(void **state)
{
    static unsigned ms[] = { 30, 10, 20 };
    int64_t before = clock_mono_us();

    (void)state;
    slept = 0;
    for (size_t i = 0; i < ARRAY_LEN(ms); i++)
        assert_true(fiber_spawn(loop, sleeps, &ms[i]));
    loop_run(loop);
    assert_string_equal(trace.text, "123");
    assert_true(clock_mono_us() - before < 600 * 1000);
    fiber_sleep_ms(1); /* outside a fiber it sleeps the thread */
}

static void has_local(void *ctx)
{
    static struct log_context log = { .request_id = "r" };

    (void)ctx;
    assert_null(log_context());
    log_context_set(&log);
    parked = fiber_self();
    fiber_park();
    assert_ptr_equal(log_context(), &log);
    loop_stop(loop);
}

static void log_context_follows_the_fiber(void **state)
{
    static struct log_context of_thread = { .request_id = "t" };

    (void)state;
    log_context_set(&of_thread);
    assert_true(fiber_spawn(loop, has_local, NULL));
    assert_ptr_equal(log_context(), &of_thread);
    fiber_wake(parked);
    loop_run(loop);
    assert_ptr_equal(log_context(), &of_thread);
    log_context_set(NULL);
    assert_null(log_context());
}

static void just_parks(void *ctx)
{
    struct fiber **at = ctx;

    *at = fiber_self();
    fiber_park();
    note('.');
}

static void stops(void *ctx)
{
    loop_stop(ctx);
}

/* A cap is a cap: one more is refused, and ending one makes room. */
static void fibers_are_limited(void **state)
{
    static struct fiber *all[fibers_max];
    struct fiber *one_more = NULL;

    (void)state;
#if defined(__SANITIZE_THREAD__)
    skip(); /* its state of a fiber is a megabyte */
#endif
    for (size_t i = 0; i < fibers_max; i++)
        assert_true(fiber_spawn(loop, just_parks, &all[i]));
    assert_int_equal(fiber_count(loop), fibers_max);
    assert_false(fiber_spawn(loop, just_parks, &one_more));
    assert_null(one_more);
    for (size_t i = 0; i < 80; i++)
        fiber_wake(all[i]);
    loop_stop(loop);
    loop_run(loop);
    assert_int_equal(fiber_count(loop), fibers_max);
    loop_post(loop, stops, loop);
    loop_run(loop);
    assert_int_equal(fiber_count(loop), fibers_max - 80);
    assert_int_equal(trace.len, 80);
    assert_true(fiber_spawn(loop, just_parks, &one_more));
    assert_non_null(one_more);
}

static void parks_quietly(void *ctx)
{
    struct fiber **at = ctx;

    *at = fiber_self();
    fiber_park();
}

static void burst(size_t n)
{
    static struct fiber *all[100];

    assert_in_range(n, 1, ARRAY_LEN(all));
    for (size_t i = 0; i < n; i++)
        assert_true(fiber_spawn(loop, parks_quietly, &all[i]));
    for (size_t i = 0; i < n; i++)
        fiber_wake(all[i]);
    loop_post(loop, stops, loop);
    loop_run(loop);
    assert_int_equal(fiber_count(loop), 0);
}

/* What a burst left goes by halves; what is in use every time stays. */
static void free_stacks_go_by_halves(void **state)
{
    (void)state;
    assert_int_equal(fibers_trim(loop), 0);
    burst(100);
    assert_int_equal(fibers_trim(loop), 100); /* all were needed since the last time */
    assert_int_equal(fibers_trim(loop), 50);
    burst(40); /* ten were not */
    assert_int_equal(fibers_trim(loop), 45);
    burst(45);
    assert_int_equal(fibers_trim(loop), 45);
    for (size_t left = 45; left; left /= 2)
        assert_int_equal(fibers_trim(loop), left / 2);
    burst(3); /* and come back */
    assert_int_equal(fibers_trim(loop), 3);
}

/* ---- workers ---- */

struct work {
    pthread_t ran_on;
    const struct log_context *log;
    int r;
};

static void work_fn(void *ctx)
{
    struct work *w = ctx;

    w->ran_on = pthread_self();
    w->log = log_context();
}

static struct workers *workers;
static struct work work;
static unsigned to_go;

static void uses_worker(void *ctx)
{
    static struct log_context log = { .request_id = "w" };
    pthread_t here = pthread_self();
    struct err err;

    (void)ctx;
    log_context_set(&log);
    work.r = worker_run(workers, work_fn, &work, &err);
    assert_int_equal(work.r, 0);
    assert_true(pthread_equal(pthread_self(), here));
    assert_false(pthread_equal(work.ran_on, here));
    assert_ptr_equal(work.log, &log);
    if (--to_go == 0)
        loop_stop(loop);
}

static void worker_runs_elsewhere_while_the_fiber_waits(void **state)
{
    struct err err;

    (void)state;
    workers = workers_new(2, 100);
    to_go = 1;
    assert_true(fiber_spawn(loop, uses_worker, NULL));
    loop_run(loop);
    assert_int_equal(to_go, 0);
    assert_int_equal(worker_run(workers, work_fn, &work, &err), 0);
    assert_true(pthread_equal(work.ran_on, pthread_self()));
    workers_free(workers);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static unsigned refused, served;

static void behind_gate(void *ctx)
{
    (void)ctx;
    assert_int_equal(pthread_mutex_lock(&gate), 0);
    assert_int_equal(pthread_mutex_unlock(&gate), 0);
}

static void may_be_refused(void *ctx)
{
    struct err err = { 0 };

    (void)ctx;
    if (worker_run(workers, behind_gate, NULL, &err) == 0) {
        served++;
    } else {
        assert_int_equal(err.code, E_unavailable);
        refused++;
    }
    if (served + refused == 10)
        loop_stop(loop);
}

static void full_queue_refuses(void **state)
{
    (void)state;
    workers = workers_new(1, 3);
    served = refused = 0;
    assert_int_equal(pthread_mutex_lock(&gate), 0);
    for (int i = 0; i < 10; i++)
        assert_true(fiber_spawn(loop, may_be_refused, NULL));
    assert_int_equal(served, 0);
    assert_in_range(refused, 6, 7); /* 3 wait, one may be running */
    assert_int_equal(pthread_mutex_unlock(&gate), 0);
    loop_run(loop);
    assert_int_equal(served + refused, 10);
    workers_free(workers);
    workers_free(NULL);
}

/* Deep frames and many switches: what the sanitizers have to follow. */
static unsigned recurse(unsigned n)
{
    volatile char frame[512];

    frame[0] = (char)n;
    frame[511] = (char)(n >> 8);
    if (n == 0) {
        fiber_sleep_ms(1);
        return 0;
    }
    return recurse(n - 1) + (unsigned)(frame[0] == (char)n && frame[511] == (char)(n >> 8));
}

static void goes_deep(void *ctx)
{
    (void)ctx;
    assert_int_equal(recurse(150), 150);
    if (--to_go == 0)
        loop_stop(loop);
}

static void deep_stacks_survive_switches(void **state)
{
    (void)state;
    to_go = 50;
    for (int i = 0; i < 50; i++)
        assert_true(fiber_spawn(loop, goes_deep, NULL));
    loop_run(loop);
    assert_int_equal(to_go, 0);
    assert_int_equal(fiber_count(loop), 0);
}

static unsigned too_deep(volatile char *above, unsigned n)
{
    volatile char frame[1024];

    frame[0] = *above;
    return n == 0 ? 0 : too_deep(frame, n - 1) + (unsigned char)frame[0];
}

static void overruns(void *ctx)
{
    volatile char c = 'x';

    (void)ctx;
    (void)too_deep(&c, 2 * fiber_stack_bytes / 1024);
}

/* In a child: the guard page ends it before it writes into somebody else's memory. */
static void overrun_hits_the_guard_page(void **state)
{
    int status = 0;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL); /* the sanitizers and cmocka have handlers */
        (void)fiber_spawn(loop, overruns, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_true(WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

static void *run_on_thread(void *arg)
{
    loop_run(arg);
    return NULL;
}

/* A fiber made by the main thread before its loop runs on another. */
static void loop_may_run_on_another_thread(void **state)
{
    pthread_t t;

    (void)state;
    assert_true(fiber_spawn(loop, parks_once, NULL));
    fiber_wake(parked);
    assert_int_equal(pthread_create(&t, NULL, run_on_thread, loop), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_string_equal(trace.text, "12");
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(spawn_runs_at_once),
        LOOP_TEST(wake_runs_from_the_loop),
        LOOP_TEST(early_wake_is_not_lost),
        LOOP_TEST(fibers_spawn_fibers),
        LOOP_TEST(sleeping_fibers_do_not_hold_each_other),
        LOOP_TEST(log_context_follows_the_fiber),
        LOOP_TEST(fibers_are_limited),
        LOOP_TEST(free_stacks_go_by_halves),
        LOOP_TEST(worker_runs_elsewhere_while_the_fiber_waits),
        LOOP_TEST(full_queue_refuses),
        LOOP_TEST(deep_stacks_survive_switches),
        LOOP_TEST(overrun_hits_the_guard_page),
        LOOP_TEST(loop_may_run_on_another_thread),
    };

    return cmocka_run_group_tests_name("fiber", tests, NULL, NULL);
}
