/* proves: R-08 (this hop) */
#define _GNU_SOURCE /* strcasestr */
#include "common/io/httpd.h"

#include "common/base/fiber.h"
#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/raw_http.h"

enum { conns = 24, requests = 8, rounds = 6 };

/* --- a server that says nothing has changed ------------------------------------------------------
 */

static bool on_head(struct http_req *req, struct http_res *res, void *ctx)
{
    (void)req, (void)res, (void)ctx;
    return true;
}

/* ?LENGTH of what has not changed; X-Own comes back. */
static void on_serve(struct http_req *req, struct http_res *res, void *ctx)
{
    int64_t n = 0;
    (void)ctx;
    (void)str_to_i64(req->query, 0, 1 << 20, &n);
    if (str_eq(req->path, "/late"))
        fiber_sleep_ms(1);
    res->status = 304;
    res->body_n = (size_t)n;
    if (str_eq(req->path, "/whole")) {
        res->status = 200;
        res->body = arena_alloc(req->arena, (size_t)n + 1);
    }
    http_res_header(res, "Vary", "Accept");
    http_res_header(res, "X-Own", http_header(req, "X-Own"));
    http_res_header(res, "ETag", arena_printf(req->arena, "\"%lld\"", (long long)n % 3));
    if (str_eq(req->path, "/more"))
        http_res_header(res, "X-More", "more");
}

static struct httpd *start(void)
{
    static const struct httpd_ops ops = { .head = on_head, .serve = on_serve };
    const struct httpd_conf conf = {
        .listen = "127.0.0.1:0", .loops = 2, .conns_max = 256, .ops = &ops
    };
    struct httpd *h = NULL;
    struct err err = { 0 };
    assert_int_equal(httpd_start(&conf, &h, &err), 0);
    return h;
}

/* --- clients -------------------------------------------------------------------------------------
 */

static const char *const paths[] = { "/same", "/same", "/same", "/late", "/more", "/whole" };
static const unsigned lengths[] = { 1000, 1000, 1016 /* in the same place */, 7 };
static const int widths[] = { 36, 36, 36, 32, 700 /* more than is kept */ };
struct asked {
    const char *path;
    unsigned length;
    char own[800];
};

static unsigned below(unsigned n)
{
    static unsigned seed = 1;
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % n;
}

static void say_one(int fd, struct asked *a)
{
    static unsigned nth;
    char text[1024];
    a->path = paths[below(ARRAY_LEN(paths))];
    a->length = lengths[below(ARRAY_LEN(lengths))];
    snprintf(a->own, sizeof a->own, "%0*u", widths[below(ARRAY_LEN(widths))], ++nth);
    snprintf(text, sizeof text, "GET %s?%u HTTP/1.1\r\nHost: t\r\nX-Own: %s\r\n\r\n", a->path,
             a->length, a->own);
    say(fd, text);
}

static bool has_once(const char *text, const char *what)
{
    const char *at = strstr(text, what);
    return at && !strstr(at + 1, what);
}

static void hear_one(int fd, const struct asked *a)
{
    static struct reply r;
    char line[1024];
    assert_true(hear(fd, &r));
    assert_int_equal(r.status, str_eq(a->path, "/whole") ? 200 : 304);
    snprintf(line, sizeof line, "\r\nX-Own: %s\r\n", a->own);
    assert_true(has_once(r.text, line));
    assert_true(has_once(r.text, "\r\nX-Own: "));
    snprintf(line, sizeof line, "\r\nContent-Length: %u\r\n", a->length);
    assert_true(has_once(r.text, line));
    snprintf(line, sizeof line, "\r\nETag: \"%u\"\r\n", a->length % 3);
    assert_true(has_once(r.text, line));
    assert_true(has_once(r.text, "\r\nETag: ") && has_once(r.text, "\r\nVary: Accept\r\n"));
    assert_int_equal(strstr(r.text, "\r\nX-More: more\r\n") != NULL, str_eq(a->path, "/more"));
    assert_null(strcasestr(r.text, "\r\nConnection:"));
}

/* All are said before any is heard. */
static void each_request_has_its_own_header(void **state)
{
    static struct asked asked[conns][requests];
    struct httpd *h = start();
    int fds[conns];
    (void)state;
    for (unsigned c = 0; c < conns; c++)
        fds[c] = dial(httpd_port(h));
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < requests; i++)
            for (unsigned c = 0; c < conns; c++)
                say_one(fds[c], &asked[c][i]);
        for (unsigned c = 0; c < conns; c++)
            for (unsigned i = 0; i < requests; i++)
                hear_one(fds[c], &asked[c][i]);
    }
    for (unsigned c = 0; c < conns; c++)
        close(fds[c]);
    httpd_stop(h, 1000);
}

/* What is said of one connection is not said of the next. */
static void closing_is_each_connections_own(void **state)
{
    static struct reply r;
    struct httpd *h = start();
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        bool last = i % 3 == 1;
        int fd = dial(httpd_port(h));
        say(fd, last ? "GET /same?5 HTTP/1.1\r\nHost: t\r\nX-Own: a\r\nConnection: close\r\n\r\n"
                     : "GET /same?5 HTTP/1.1\r\nHost: t\r\nX-Own: a\r\n\r\n");
        assert_true(hear(fd, &r));
        assert_int_equal(strcasestr(r.text, "\r\nConnection: close\r\n") != NULL, last);
        close(fd);
    }
    httpd_drain(h);
    assert_int_equal(ask(httpd_port(h), "GET /same?5 HTTP/1.1\r\nHost: t\r\nX-Own: a\r\n\r\n", &r),
                     304);
    assert_non_null(strcasestr(r.text, "\r\nConnection: close\r\n"));
    httpd_stop(h, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_has_its_own_header),
        cmocka_unit_test(closing_is_each_connections_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
