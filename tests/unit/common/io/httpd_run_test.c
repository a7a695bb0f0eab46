/* proves: R-08 (this hop) */
#define _GNU_SOURCE /* strcasestr */
#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/loop.h"
#include "common/base/str.h"
#include "common/io/httpd_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/support/raw_http.h"

enum { pipelined = 400, batches = 10, batch = 4, slow_us = httpd_yield_us_max * 3 / 2 };

/* --- others that can run, by our own measure ----------------------------------------------------
 */

static atomic_uint yields, yield_us;

/* Keeps the processor for yield_us, as one that has work of its own does. */
int sched_yield(void)
{
    int64_t until_us = clock_mono_us() + atomic_load(&yield_us);
    atomic_fetch_add(&yields, 1);
    while (clock_mono_us() < until_us)
        continue;
    return 0;
}

/* --- a server that knows its answers by heart ----------------------------------------------------
 */

static atomic_uint served, posted_at, held;

static bool on_head(struct http_req *req, struct http_res *res, void *ctx)
{
    (void)req, (void)res, (void)ctx;
    return true;
}

static void on_post(void *ctx)
{
    (void)ctx;
    atomic_store(&posted_at, atomic_load(&served));
}

static void on_serve(struct http_req *req, struct http_res *res, void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&served, 1);
    if (str_eq(req->path, "/post") && atomic_load(&served) == 1)
        loop_post(loop_self(), on_post, NULL);
    while (str_eq(req->path, "/held") && atomic_load(&held))
        fiber_sleep_ms(1);
    res->status = 204;
}

static struct httpd *start(unsigned us)
{
    static const struct httpd_ops ops = { .head = on_head, .serve = on_serve };
    const struct httpd_conf conf = {
        .listen = "127.0.0.1:0", .loops = 1, .conns_max = 64, .ops = &ops
    };
    struct httpd *h = NULL;
    struct err err = { 0 };
    atomic_store(&served, 0);
    atomic_store(&posted_at, 0);
    atomic_store(&yields, 0);
    atomic_store(&yield_us, us);
    assert_int_equal(httpd_start(&conf, &h, &err), 0);
    return h;
}

/* On one connection, all at once, and all heard. */
static void ask_all(int fd, const char *path, unsigned n)
{
    static char text[pipelined * 40];
    static struct reply r;
    size_t at = 0;
    for (unsigned i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "GET %s HTTP/1.1\r\nHost: t\r\n\r\n",
                               path);
    say(fd, text);
    for (unsigned i = 0; i < n; i++)
        assert_true(hear(fd, &r) && r.status == 204);
}

/* --- tests ---------------------------------------------------------------------------------------
 */

static void others_run_before_a_loop_sleeps_that_has_answered_all(void **state)
{
    struct httpd *h = start(0);
    int fd = dial(httpd_port(h));
    (void)state;
    ask_all(fd, "/", batch);
    WAIT_FOR(atomic_load(&yields));
    close(fd);
    httpd_stop(h, 1000);
}

static void after_fewer_than_the_least_nobody_is_let_run(void **state)
{
    struct httpd *h = start(0);
    int fd = dial(httpd_port(h));
    (void)state;
    ask_all(fd, "/", httpd_yield_requests_min - 1);
    close(fd);
    httpd_stop(h, 1000); /* the loop has ended: it went to sleep before */
    assert_int_equal(atomic_load(&yields), 0);
}

static void nobody_is_let_run_while_an_answer_is_owed(void **state)
{
    struct httpd *h = start(0);
    static struct reply r;
    int fd = dial(httpd_port(h)), other = dial(httpd_port(h));
    (void)state;
    atomic_store(&held, 1);
    say(other, "GET /held HTTP/1.1\r\nHost: t\r\n\r\n");
    WAIT_FOR(atomic_load(&served) == 1);
    for (unsigned i = 0; i < batches; i++)
        ask_all(fd, "/", batch);
    assert_int_equal(atomic_load(&yields), 0);
    atomic_store(&held, 0);
    assert_true(hear(other, &r) && r.status == 204);
    close(fd);
    close(other);
    httpd_stop(h, 1000);
}

/* Those who take long are not let run again before a pause. */
static void others_that_keep_the_processor_are_let_run_seldom(void **state)
{
    struct httpd *h = start(slow_us);
    int fd = dial(httpd_port(h));
    (void)state;
    int64_t began_us = clock_mono_us();
    for (unsigned i = 0; i < batches; i++)
        ask_all(fd, "/", batch);
    WAIT_FOR(atomic_load(&yields));
    close(fd);
    httpd_stop(h, 1000);
    int64_t pauses = (clock_mono_us() - began_us) / httpd_yield_pause_us;
    assert_in_range(atomic_load(&yields), 1, 1 + pauses);
}

/* However many there are to be answered out of memory. */
static void other_work_of_the_loop_has_its_turn(void **state)
{
    struct httpd *h = start(0);
    int fd = dial(httpd_port(h));
    (void)state;
    ask_all(fd, "/post", pipelined);
    WAIT_FOR(atomic_load(&posted_at));
    assert_in_range(atomic_load(&posted_at), 1, pipelined / 2);
    close(fd);
    httpd_stop(h, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_run_before_a_loop_sleeps_that_has_answered_all),
        cmocka_unit_test(after_fewer_than_the_least_nobody_is_let_run),
        cmocka_unit_test(nobody_is_let_run_while_an_answer_is_owed),
        cmocka_unit_test(others_that_keep_the_processor_are_let_run_seldom),
        cmocka_unit_test(other_work_of_the_loop_has_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
