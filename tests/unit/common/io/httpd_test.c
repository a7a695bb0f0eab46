#define _GNU_SOURCE /* strcasestr */
#include "common/io/httpd.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/str.h"

#include <ctype.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/raw_http.h"

enum { small_body_max = 4096, big_body_max = 4 * 1024 * 1024 };

/* --- the server under test -----------------------------------------------------------------------
 */

static unsigned heads, serves, dones; /* atomic */
static struct fiber *parked;          /* atomic: the fiber that /park holds */
static struct loop *parked_loop;

static bool on_head(struct http_req *req, struct http_res *res, void *ctx)
{
    (void)ctx;
    __atomic_fetch_add(&heads, 1, __ATOMIC_RELAXED);
    req->body_max = str_eq(req->path, "/big") ? big_body_max : small_body_max;
    if (!str_eq(req->path, "/refused"))
        return true;
    res->status = 403;
    res->body = "no";
    res->body_n = 2;
    return false;
}

static void on_serve(struct http_req *req, struct http_res *res, void *ctx)
{
    (void)ctx;
    __atomic_fetch_add(&serves, 1, __ATOMIC_RELAXED);
    res->status = 200;
    res->body = "ok";
    if (str_eq(req->path, "/400"))
        res->status = 400;
    if (str_eq(req->path, "/401"))
        res->status = 401;
    if (str_eq(req->path, "/sleep"))
        fiber_sleep_ms(5);
    if (str_eq(req->path, "/park")) {
        parked_loop = loop_self();
        __atomic_store_n(&parked, fiber_self(), __ATOMIC_RELEASE);
        fiber_park();
    }
    if (str_eq(req->path, "/echo"))
        res->body = arena_printf(req->arena, "%zu %s", req->body_n, req->body);
    if (str_eq(req->path, "/big")) {
        uint32_t crc = crc32_of(req->body, req->body_n);
        res->body = arena_printf(req->arena, "%zu %08x", req->body_n, crc);
    }
    if (str_eq(req->path, "/who")) {
        const char *accept = http_header(req, "accept");
        res->body =
            arena_printf(req->arena, "%s|%s|%s", req->peer, req->query, accept ? accept : "-");
    }
    if (str_eq(req->path, "/wide")) { /* as many bytes of header as the query says */
        int64_t n = 0;
        (void)str_to_i64(req->query, 0, 65536, &n);
        char *text = arena_alloc(req->arena, (size_t)n + 1);
        memset(text, 'w', (size_t)n);
        http_res_header(res, "Link", text);
    }
    res->body_n = strlen(res->body);
    http_res_header(res, "Content-Type", "text/plain");
}

static void on_done(struct http_req *req, const struct http_res *res, void *ctx)
{
    (void)req;
    (void)res;
    (void)ctx;
    __atomic_fetch_add(&dones, 1, __ATOMIC_RELAXED);
}

static const struct httpd_ops ops = { .head = on_head, .serve = on_serve, .done = on_done };

static struct httpd *start_idle(size_t loops, unsigned idle_timeout_s)
{
    struct httpd_conf conf = { .listen = "127.0.0.1:0",
                               .loops = loops,
                               .conns_max = 256,
                               .idle_timeout_s = idle_timeout_s,
                               .ops = &ops };
    struct httpd *h = NULL;
    struct err err = { 0 };
    heads = serves = dones = 0;
    parked = NULL;
    assert_int_equal(httpd_start(&conf, &h, &err), 0);
    return h;
}

static struct httpd *start(size_t loops)
{
    return start_idle(loops, 0);
}

static size_t in_flight(const struct httpd *h)
{
    struct httpd_stats s;
    httpd_stats(h, &s);
    return s.in_flight;
}

static void wake_parked(void *ctx)
{
    (void)ctx;
    fiber_wake(__atomic_exchange_n(&parked, NULL, __ATOMIC_ACQ_REL));
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: t\r\n\r\n"

/* --- tests ---------------------------------------------------------------------------------------
 */

/* rulings.md 2: an answer that needs no waiting costs no suspend. */
static void answers_without_waiting_never_suspend(void **state)
{
    static struct reply r;
    struct httpd *h = start(1);
    struct httpd_stats s;
    (void)state;
    int fd = dial(httpd_port(h));
    for (unsigned i = 0; i < 50; i++) {
        say(fd, GET("/hit"));
        assert_true(hear(fd, &r));
        assert_int_equal(r.status, 200);
        say(fd, GET("/401"));
        assert_true(hear(fd, &r));
        assert_int_equal(r.status, 401);
        say(fd, GET("/400"));
        assert_true(hear(fd, &r));
        assert_int_equal(r.status, 400);
    }
    close(fd);
    httpd_stats(h, &s);
    assert_int_equal(s.requests, 150);
    assert_int_equal(s.suspended, 0);
    httpd_stop(h, 1000);
    assert_int_equal(dones, 150);
}

/* rulings.md 2: resuming must not wait for MHD's next round, which stalls about 100 ms.  20
 * requests that wait 5 ms each take 100 ms and a little; with the stall they would take 2 s. */
static void parked_requests_resume_promptly(void **state)
{
    static struct reply r;
    struct httpd *h = start(1);
    struct httpd_stats s;
    (void)state;
    int fd = dial(httpd_port(h));
    int64_t begin = clock_mono_us();
    for (unsigned i = 0; i < 20; i++) {
        say(fd, GET("/sleep"));
        assert_true(hear(fd, &r));
        assert_int_equal(r.status, 200);
    }
    assert_true(clock_mono_us() - begin < 20 * 50 * 1000);
    close(fd);
    httpd_stats(h, &s);
    assert_int_equal(s.suspended, 20);
    httpd_stop(h, 1000);
}

static void bodies_arrive_whole(void **state)
{
    static struct reply r;
    struct httpd *h = start(2);
    char *request = malloc(big_body_max + 256);
    (void)state;
    assert_int_equal(
        ask(httpd_port(h), "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello", &r),
        200);
    assert_string_equal(r.body, "5 hello");
    assert_int_equal(ask(httpd_port(h),
                         "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
                         &r),
                     200);
    assert_string_equal(r.body, "7 abcdefg");
    assert_int_equal(ask(httpd_port(h),
                         "POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n"
                         "Content-Length: 2\r\n\r\nhi",
                         &r),
                     200);
    assert_string_equal(r.body, "2 hi");
    size_t head = (size_t)snprintf(
        request, 256, "POST /big HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n", big_body_max);
    for (size_t i = 0; i < big_body_max; i++)
        request[head + i] = (char)('a' + i % 23);
    request[head + big_body_max] = '\0';
    char want[64];
    snprintf(want, sizeof want, "%d %08x", big_body_max,
             crc32_of(request + head, (size_t)big_body_max));
    assert_int_equal(ask(httpd_port(h), request, &r), 200);
    assert_string_equal(r.body, want);
    free(request);
    httpd_stop(h, 1000);
}

static void too_much_is_refused(void **state)
{
    static struct reply r;
    struct httpd *h = start(1);
    static char request[80 * 1024];
    (void)state;
    /* by its announced length: no byte of the body is sent, and nothing but the header was read */
    assert_int_equal(ask(httpd_port(h),
                         "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999\r\n\r\n", &r),
                     413);
    assert_non_null(strstr(r.text, "application/problem+json"));
    assert_non_null(strcasestr(r.text, "connection: close"));
    assert_int_equal(ask(httpd_port(h),
                         "POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n"
                         "Content-Length: 5000\r\n\r\n",
                         &r),
                     413);
    /* the client that sends it all nevertheless gets the answer, not a reset */
    int n = snprintf(request, sizeof request,
                     "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 70000\r\n\r\n");
    memset(request + n, 'x', 70000);
    assert_int_equal(ask(httpd_port(h), request, &r), 413);
    /* chunked, so found out on the way */
    memset(request, 0, sizeof request);
    n = snprintf(request, sizeof request,
                 "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n");
    memset(request + n, 'x', 0x2000);
    memcpy(request + n + 0x2000, "\r\n0\r\n\r\n", 8);
    assert_int_equal(ask(httpd_port(h), request, &r), 413);
    /* a long target, a long header, many headers */
    memset(request, 0, sizeof request);
    n = snprintf(request, sizeof request, "GET /");
    memset(request + n, 'a', target_bytes_max);
    snprintf(request + n + target_bytes_max, 64, " HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_int_equal(ask(httpd_port(h), request, &r), 414);
    memset(request, 0, sizeof request);
    n = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: t\r\nX: ");
    memset(request + n, 'a', header_bytes_max);
    memcpy(request + n + header_bytes_max, "\r\n\r\n", 5);
    assert_int_equal(ask(httpd_port(h), request, &r), 431);
    memset(request, 0, sizeof request);
    n = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: t\r\n");
    for (int i = 0; i <= httpd_headers_max; i++)
        n += snprintf(request + n, sizeof request - (size_t)n, "X%d: y\r\n", i);
    memcpy(request + n, "\r\n", 3);
    assert_int_equal(ask(httpd_port(h), request, &r), 431);
    assert_int_equal(serves, 0);
    httpd_stop(h, 1000);
}

/* What libmicrohttpd has no room for is said, not dropped with the connection; what the limits take
 * is answered. */
static void headers_up_to_the_limits_are_answered(void **state)
{
    (void)state;
    static char request[64 * 1024];
    static const struct {
        int field, target, answer, status;
    } cases[] = {
        { 1,     1,    1,     200 },
        { 16000, 1,    6000,  200 },
        { 1,     8000, 12000, 200 },
        { 8000,  8000, 6000,  200 },
        { 1,     1,    20000, 200 },
        { 1,     1,    30000, 431 },
        { 8000,  8000, 9000,  431 },
        { 12000, 6000, 1,     431 },
    };
    struct httpd *h = start(1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        static struct reply r;
        int n =
            snprintf(request, sizeof request,
                     "GET /wide?%0*d HTTP/1.1\r\nHost: t\r\nX: ", cases[i].target, cases[i].answer);
        memset(request + n, 'a', (size_t)cases[i].field);
        memcpy(request + n + cases[i].field, "\r\n\r\n", 5);
        int status = ask(httpd_port(h), request, &r);
        if (status != cases[i].status)
            fail_msg("case %zu: %d", i, status);
    }
    assert_int_equal(heads, ARRAY_LEN(cases) - 1);
    httpd_stop(h, 1000);
}

static void ambiguous_framing_is_refused(void **state)
{
    static const struct {
        const char *request, *why;
        int want;
    } cases[] = {
        { "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: "
          "chunked\r\n\r\n0\r\n\r\n",                                                     "both lengths",               400 },
        { "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
         "two lengths",                                                                                                          400 },
        { "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: +5\r\n\r\nhello",                     "signed",                     400 },
        { "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
         "unknown coding",                                                                                                       400 },
        { "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
         "space before the colon",                                                                                               400 },
        { "GET /hit HTTP/1.1\r\n\r\n",                                                             "no host",                    400 },
        { "GET /hit HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",                                       "two hosts",                  400 },
        { "GET /hit HTTP/1.1\r\nHost: a\r\nX: a\001b\r\n\r\n",                                     "control byte",               400 },
        { "GET /h\001it HTTP/1.1\r\nHost: a\r\n\r\n",                                              "control byte in the target", 400 },
        { "GET /hit HTTP/1.0\r\n\r\n",                                                             "1.0 needs no host",          200 },
        { "GET http://t/hit HTTP/1.1\r\nHost: t\r\n\r\n",                                          "absolute form",              200 },
    };
    static struct reply r;
    struct httpd *h = start(1);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int got = ask(httpd_port(h), cases[i].request, &r);
        if (got != cases[i].want)
            fail_msg("%s: %d, not %d", cases[i].why, got, cases[i].want);
    }
    httpd_stop(h, 1000);
}

/* RFC 9110 §5.5 and §5.6.2, every byte, at every place of a word of eight. */
static void fields_have_the_bytes_that_they_may(void **state)
{
    static struct reply r;
    char text[128];
    struct httpd *h = start(1);
    (void)state;
    for (int c = 1; c < 256; c++) {
        bool alnum = c < 128 && isalnum(c);
        if (strchr("\r\n", c))
            continue; /* end the line */
        snprintf(text, sizeof text, "GET /hit HTTP/1.1\r\nHost: t\r\nX: %.*s%c%.*s\r\n\r\n",
                 8 + c % 8, "abcdefghijklmnop", c, 15 - c % 8, "abcdefghijklmnop");
        assert_int_equal(ask(httpd_port(h), text, &r),
                         (c < 32 && c != '\t') || c == 127 ? 400 : 200);
        if (strchr(" \t:", c))
            continue; /* end the name */
        snprintf(text, sizeof text, "GET /hit HTTP/1.1\r\nHost: t\r\nX%cY: 1\r\n\r\n", c);
        assert_int_equal(ask(httpd_port(h), text, &r),
                         alnum || strchr("!#$%&'*+-.^_`|~", c) ? 200 : 400);
    }
    httpd_stop(h, 1000);
}

static void request_reaches_the_server_as_sent(void **state)
{
    static struct reply r;
    struct httpd *h = start(1);
    (void)state;
    assert_int_equal(ask(httpd_port(h),
                         "GET /who?a=%2F&b=+%20x HTTP/1.1\r\nHost: t\r\nAccept: a/b\r\n"
                         "ACCEPT: c/d\r\n\r\n",
                         &r),
                     200);
    assert_string_equal(r.body, "127.0.0.1|a=%2F&b=+%20x|a/b, c/d");
    assert_int_equal(ask(httpd_port(h), GET("/refused"), &r), 403);
    assert_string_equal(r.body, "no");
    httpd_stop(h, 1000);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    static struct reply r;
    struct httpd *h = start(1);
    (void)state;
    int fd = dial(httpd_port(h));
    say(fd,
        GET("/sleep") GET(
            "/400") "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc" GET("/401"));
    static const int want[] = { 200, 400, 200, 401 };
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(hear(fd, &r));
        assert_int_equal(r.status, want[i]);
    }
    close(fd);
    httpd_stop(h, 1000);
}

static void a_small_body_of_a_refused_request_keeps_the_connection(void **state)
{
    static struct reply r;
    struct httpd *h = start(1);
    (void)state;
    int fd = dial(httpd_port(h));
    say(fd, "POST /refused HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc");
    assert_true(hear(fd, &r));
    assert_int_equal(r.status, 403);
    say(fd, GET("/hit"));
    assert_true(hear(fd, &r));
    assert_int_equal(r.status, 200);
    close(fd);
    httpd_stop(h, 1000);
}

static void head_has_no_body(void **state)
{
    struct httpd *h = start(1);
    char text[1024] = "";
    size_t n = 0;
    (void)state;
    int fd = dial(httpd_port(h));
    say(fd, "HEAD /hit HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    for (ssize_t k; (k = recv(fd, text + n, sizeof text - 1 - n, 0)) > 0;)
        n += (size_t)k;
    close(fd);
    assert_non_null(strcasestr(text, "content-length: 2\r\n"));
    assert_string_equal(text + n - 4, "\r\n\r\n");
    httpd_stop(h, 1000);
}

static int park(const struct httpd *h)
{
    int fd = dial(httpd_port(h));
    say(fd, GET("/park"));
    WAIT_FOR(__atomic_load_n(&parked, __ATOMIC_ACQUIRE));
    return fd;
}

static unsigned hits(const struct httpd *h, unsigned n)
{
    static struct reply r;
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(ask(httpd_port(h), GET("/hit"), &r), 200);
    return n;
}

enum { looks_enough = 50 }; /* more than a request that waits is looked at in its place */

/* Nothing of the request may be freed under the fiber that still uses it (run under ASan). */
static void client_may_leave_while_parked(void **state)
{
    struct httpd *h = start(1);
    unsigned n = 0;
    (void)state;
    /* in its place, and suspended */
    for (unsigned before = 0; before <= looks_enough; before += looks_enough) {
        int fd = park(h);
        n += 1 + hits(h, before);
        shutdown(fd, SHUT_RDWR);
        close(fd);
        n += hits(h, 1); /* the loop goes on */
        loop_post(parked_loop, wake_parked, NULL);
        WAIT_FOR(in_flight(h) == 0);
        WAIT_FOR(__atomic_load_n(&dones, __ATOMIC_RELAXED) == n);
    }
    /* and one who leaves in the middle of a body */
    int fd = dial(httpd_port(h));
    say(fd, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nabc");
    n++;
    WAIT_FOR(__atomic_load_n(&heads, __ATOMIC_RELAXED) == n);
    close(fd);
    WAIT_FOR(__atomic_load_n(&dones, __ATOMIC_RELAXED) == n);
    httpd_stop(h, 1000);
}

/* A client that has sent all it will (half-closed) still gets its answer. */
static void client_may_finish_sending_while_parked(void **state)
{
    static struct reply r;
    struct httpd *h = start(1);
    (void)state;
    for (unsigned before = 0; before <= looks_enough; before += looks_enough) {
        int fd = park(h);
        shutdown(fd, SHUT_WR);
        hits(h, before + 1);
        loop_post(parked_loop, wake_parked, NULL);
        assert_true(hear(fd, &r));
        assert_int_equal(r.status, 200);
        close(fd);
    }
    httpd_stop(h, 1000);
}

/* The limit on idle connections is not one on requests: neither beside others nor alone. */
static void waiting_is_not_idling(void **state)
{
    static struct reply r;
    struct httpd *h = start_idle(1, 1);
    (void)state;
    for (unsigned busy = 0; busy < 2; busy++) {
        int fd = park(h), idle = dial(httpd_port(h));
        int64_t until = clock_mono_us() + 2500 * 1000;
        while (busy && clock_mono_us() < until)
            hits(h, 1);
        char byte;
        assert_int_equal(recv(idle, &byte, 1, 0), 0); /* the server has had enough of this one */
        close(idle);
        loop_post(parked_loop, wake_parked, NULL);
        assert_true(hear(fd, &r));
        assert_int_equal(r.status, 200);
        close(fd);
    }
    httpd_stop(h, 1000);
}

/* Many wait at once, and each is answered once: what became ready in one round and what did not. */
static void many_wait_side_by_side(void **state)
{
    static struct reply r;
    static int fds[100];
    struct httpd *h = start(1);
    struct httpd_stats s;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = dial(httpd_port(h));
    for (unsigned round = 0; round < 10; round++) {
        for (size_t i = 0; i < ARRAY_LEN(fds); i++)
            say(fds[i], i % 10 == round ? GET("/sleep") GET("/400") : GET("/sleep"));
        for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
            assert_true(hear(fds[i], &r));
            assert_int_equal(r.status, 200);
            if (i % 10 == round) {
                assert_true(hear(fds[i], &r));
                assert_int_equal(r.status, 400);
            }
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    httpd_stats(h, &s);
    assert_int_equal(s.suspended, 10 * ARRAY_LEN(fds));
    assert_int_equal(s.in_flight, 0);
    httpd_stop(h, 1000);
}

struct stopper {
    struct httpd *h;
    unsigned drain_ms;
};

static void *stop_main(void *p)
{
    struct stopper *s = p;
    httpd_stop(s->h, s->drain_ms);
    return NULL;
}

static void stop_waits_for_requests_in_flight(void **state)
{
    static struct reply r;
    struct httpd *h = start(2);
    struct stopper s = { .h = h, .drain_ms = 10000 };
    pthread_t t;
    (void)state;
    int fd = dial(httpd_port(h)), idle = dial(httpd_port(h));
    say(fd, GET("/park"));
    WAIT_FOR(__atomic_load_n(&parked, __ATOMIC_ACQUIRE));
    pthread_create(&t, NULL, stop_main, &s);
    usleep(20 * 1000); /* lets it stop listening first; either way the answer must come */
    loop_post(parked_loop, wake_parked, NULL);
    assert_true(hear(fd, &r));
    assert_int_equal(r.status, 200);
    assert_non_null(strcasestr(r.text, "connection: close"));
    pthread_join(t, NULL);
    close(fd);
    close(idle);
}

static void stop_out_of_patience_answers_503(void **state)
{
    static struct reply r;
    struct httpd *h = start(1);
    struct stopper s = { .h = h, .drain_ms = 50 };
    pthread_t t;
    (void)state;
    int fd = dial(httpd_port(h)), half = dial(httpd_port(h));
    say(half, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nabc");
    say(fd, GET("/park"));
    WAIT_FOR(__atomic_load_n(&parked, __ATOMIC_ACQUIRE));
    pthread_create(&t, NULL, stop_main, &s);
    assert_true(hear(fd, &r));
    assert_int_equal(r.status, 503);
    assert_non_null(strcasestr(r.text, "retry-after: 1"));
    loop_post(parked_loop, wake_parked, NULL);
    pthread_join(t, NULL);
    close(fd);
    close(half);
    assert_int_equal(dones, 2);
}

static void draining_tells_clients_to_leave(void **state)
{
    static struct reply r;
    struct httpd *h = start(1);
    (void)state;
    int fd = dial(httpd_port(h));
    say(fd, GET("/hit"));
    assert_true(hear(fd, &r));
    assert_null(strcasestr(r.text, "connection: close"));
    httpd_drain(h);
    say(fd, GET("/hit"));
    assert_true(hear(fd, &r));
    assert_non_null(strcasestr(r.text, "connection: close"));
    close(fd);
    assert_int_equal(ask(httpd_port(h), GET("/hit"), &r), 200); /* still accepts */
    httpd_stop(h, 1000);
}

static void a_busy_port_is_named(void **state)
{
    struct httpd *h = start(1), *second = NULL;
    struct err err = { 0 };
    char listen[32];
    (void)state;
    snprintf(listen, sizeof listen, "127.0.0.1:%u", httpd_port(h));
    struct httpd_conf conf = { .listen = listen, .loops = 1, .ops = &ops };
    assert_int_equal(httpd_start(&conf, &second, &err), -E_config);
    assert_non_null(strstr(err.msg, listen));
    assert_non_null(strstr(err.msg, "in use"));
    static const char *const bad[] = { "",        "8080",      "1.2.3.4",        "::1:80",
                                       "host:80", "1.2.3.4:x", "127.0.0.1:70000" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        conf.listen = bad[i];
        assert_int_equal(httpd_start(&conf, &second, &err), -E_config);
    }
    httpd_stop(h, 100);
}

static void it_listens_on_ipv6(void **state)
{
    struct httpd_conf conf = { .listen = "[::]:0", .loops = 1, .ops = &ops };
    struct httpd *h = NULL;
    struct err err;
    static struct reply r;
    (void)state;
    int probe = socket(AF_INET6, SOCK_STREAM, 0);
    if (probe < 0)
        skip();
    close(probe);
    if (httpd_start(&conf, &h, &err))
        skip(); /* a kernel without IPv6 */
    assert_int_equal(ask(httpd_port(h), GET("/who"), &r), 200);
    assert_true(str_starts(r.body, "127.0.0.1|")); /* IPv4 clients look like IPv4 */
    httpd_stop(h, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_without_waiting_never_suspend),
        cmocka_unit_test(parked_requests_resume_promptly),
        cmocka_unit_test(bodies_arrive_whole),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(headers_up_to_the_limits_are_answered),
        cmocka_unit_test(ambiguous_framing_is_refused),
        cmocka_unit_test(fields_have_the_bytes_that_they_may),
        cmocka_unit_test(request_reaches_the_server_as_sent),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_small_body_of_a_refused_request_keeps_the_connection),
        cmocka_unit_test(head_has_no_body),
        cmocka_unit_test(client_may_leave_while_parked),
        cmocka_unit_test(client_may_finish_sending_while_parked),
        cmocka_unit_test(waiting_is_not_idling),
        cmocka_unit_test(many_wait_side_by_side),
        cmocka_unit_test(stop_waits_for_requests_in_flight),
        cmocka_unit_test(stop_out_of_patience_answers_503),
        cmocka_unit_test(draining_tells_clients_to_leave),
        cmocka_unit_test(a_busy_port_is_named),
        cmocka_unit_test(it_listens_on_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
