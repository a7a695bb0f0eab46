#define _GNU_SOURCE /* strcasestr */
#include "common/base/fiber.h"
#include "common/base/str.h"
#include "common/io/httpd_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/raw_http.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: t\r\n\r\n"

static unsigned serves; /* atomic */

static bool on_head(struct http_req *req, struct http_res *res, void *ctx)
{
    (void)req;
    (void)res;
    (void)ctx;
    return true;
}

static void on_serve(struct http_req *req, struct http_res *res, void *ctx)
{
    (void)ctx;
    __atomic_fetch_add(&serves, 1, __ATOMIC_RELAXED);
    if (str_eq(req->path, "/sleep"))
        fiber_sleep_ms(5);
    res->status = 200;
    res->body = arena_strdup(req->arena, req->peer);
    res->body_n = strlen(res->body);
}

static struct httpd *start(size_t conns_max)
{
    static const struct httpd_ops ops = { .head = on_head, .serve = on_serve };
    struct httpd_conf conf = {
        .listen = "127.0.0.1:0", .loops = 2, .conns_max = conns_max, .ops = &ops
    };
    struct httpd *h = NULL;
    struct err err = { 0 };
    serves = 0;
    assert_int_equal(httpd_start(&conf, &h, &err), 0);
    return h;
}

static size_t of_loop(const struct httpd *h, size_t i)
{
    return __atomic_load_n(&h->loops[i].connections, __ATOMIC_RELAXED);
}

/* The kernel spreads few connections by chance: of 20 one loop gets 12 or more half the time. */
static void loops_get_equally_many_connections(void **state)
{
    static struct reply r;
    struct httpd *h = start(256);
    int fds[20];
    (void)state;
    for (unsigned round = 0; round < 10; round++) {
        for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
            fds[i] = dial(httpd_port(h));
            say(fds[i], GET("/hit"));
            assert_true(hear(fds[i], &r));
            assert_int_equal(r.status, 200);
            assert_string_equal(r.body, "127.0.0.1");
        }
        assert_int_equal(of_loop(h, 0) + of_loop(h, 1), ARRAY_LEN(fds));
        assert_in_range(of_loop(h, 0), ARRAY_LEN(fds) / 2 - 1, ARRAY_LEN(fds) / 2 + 1);
        for (size_t i = 0; i < ARRAY_LEN(fds); i++)
            close(fds[i]);
        WAIT_FOR(of_loop(h, 0) + of_loop(h, 1) == 0);
    }
    httpd_stop(h, 1000);
}

/* One too many is not refused: it waits for room. */
static void connections_past_the_limit_wait(void **state)
{
    static struct reply r;
    struct httpd *h = start(4);
    int fds[4], more[3];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = dial(httpd_port(h));
        say(fds[i], GET("/hit"));
        assert_true(hear(fds[i], &r));
    }
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        more[i] = dial(httpd_port(h));
        say(more[i], GET("/hit"));
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) { /* those that are in are served meanwhile */
        say(fds[i], GET("/sleep"));
        assert_true(hear(fds[i], &r));
        assert_int_equal(r.status, 200);
    }
    assert_int_equal(__atomic_load_n(&serves, __ATOMIC_RELAXED), 2 * ARRAY_LEN(fds));
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        close(fds[i]);
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        assert_true(hear(more[i], &r));
        assert_int_equal(r.status, 200);
        close(more[i]);
    }
    close(fds[3]);
    httpd_stop(h, 1000);
}

/* What the kernel took in before the listener closed is answered, whichever loop it was given to.
 */
static void stop_answers_who_has_just_come(void **state)
{
    static struct reply r;
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct httpd *h = start(256);
        int fds[20];
        for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
            fds[i] = dial(httpd_port(h));
            say(fds[i], GET("/sleep"));
        }
        httpd_stop(h, 5000);
        for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
            assert_true(hear(fds[i], &r));
            assert_int_equal(r.status, 200);
            close(fds[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_get_equally_many_connections),
        cmocka_unit_test(connections_past_the_limit_wait),
        cmocka_unit_test(stop_answers_who_has_just_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
