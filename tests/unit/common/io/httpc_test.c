/*
 * The client against a small server and name server of this test's own.
 * proves: X-05, W-04, W-14
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/str.h"
#include "common/io/httpc.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    int http, dns;
    unsigned http_port, dns_port;
    pthread_t http_thread, dns_thread;
    _Atomic int accepted, asked, flips, losses;
    pthread_mutex_t mu;
    char request[8192]; /* the last one */
} server = { .mu = PTHREAD_MUTEX_INITIALIZER };

static void keep_request(const char *text, size_t n)
{
    pthread_mutex_lock(&server.mu);
    memcpy(server.request, text, n + 1);
    pthread_mutex_unlock(&server.mu);
}

static const char *last_request(struct arena *a)
{
    pthread_mutex_lock(&server.mu);
    const char *text = arena_strdup(a, server.request);
    pthread_mutex_unlock(&server.mu);
    return text;
}

static int listen_on(int type, unsigned *ret_port)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t n = sizeof(in);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, type, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    *ret_port = ntohs(in.sin_port);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    ssize_t ignored = send(fd, text, strlen(text), MSG_NOSIGNAL);
    (void)ignored;
}

static bool sends(int fd, const void *data, size_t n)
{
    return send(fd, data, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* Answers that want to be remembered, waited for or unpacked without end. */
static void hostile_answer(int fd, const char *request)
{
    static const unsigned char bomb[] = { 0x1f, 0x8b, 8,    0, 0, 0, 0, 0, 0,
                                          3,    0xed, 0xc1, 1, 1, 0, 0, 0 };
    char page[4096];
    memset(page, 'x', sizeof(page));
    if (strstr(request, " /headers")) { /* 64 MB of them at most */
        char line[1024];
        int n = snprintf(line, sizeof(line), "X-Filler: %.900s\r\n", page);
        say(fd, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 65536 && sends(fd, line, (size_t)n); i++)
            ;
    }
    if (strstr(request, " /heads"))
        for (int i = 0; i < 1 << 20 && sends(fd, "HTTP/1.1 103 Early Hints\r\n\r\n", 28); i++)
            ;
    if (strstr(request, " /endless")) {
        say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while (sends(fd, "1000\r\n", 6) && sends(fd, page, sizeof(page)) && sends(fd, "\r\n", 2))
            ;
    }
    if (strstr(request, " /drip")) /* a byte at a time, for longer than anybody waits */
        for (int i = 0; i < 200 && sends(fd, i < 17 ? &"HTTP/1.1 200 OK\r\n"[i] : "X", 1); i++)
            usleep(20000);
    if (strstr(request, " /bomb")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 17\r\n\r\n");
        sends(fd, bomb, sizeof(bomb));
    }
}

/* False: the connection ends. */
static bool answer(int fd, const char *request)
{
    if (strstr(request, " /ok")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-One: 1\r\n\r\nok");
        return true;
    }
    if (strstr(request, " /redirect")) {
        say(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
        return true;
    }
    if (strstr(request, " /early"))
        say(fd, "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
                "HTTP/1.1 204 No Content\r\nX-Late: 1\r\n\r\n");
    if (strstr(request, " /big")) {
        char page[4096];
        memset(page, 'x', sizeof(page) - 1);
        page[sizeof(page) - 1] = '\0';
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        for (int i = 0; i < 64; i++)
            say(fd, page);
        usleep(200000);
    }
    if (strstr(request, " /slow"))
        usleep(1500000);
    hostile_answer(fd, request);
    return false;
}

static void *connection(void *ctx)
{
    int fd = (int)(intptr_t)ctx;
    size_t n = 0;
    char text[8192];
    for (ssize_t got; (got = recv(fd, text + n, sizeof(text) - 1 - n, 0)) > 0;) {
        n += (size_t)got;
        text[n] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        const char *length = strstr(text, "Content-Length: ");
        if (!end || (length && n < (size_t)(end + 4 - text) + strtoul(length + 16, NULL, 10)))
            continue;
        keep_request(text, n);
        if (!answer(fd, text))
            break;
        n = 0;
    }
    close(fd);
    return NULL;
}

static void *http_main(void *ctx)
{
    (void)ctx;
    for (int fd; (fd = accept(server.http, NULL, NULL)) >= 0;) {
        pthread_t t;
        atomic_fetch_add(&server.accepted, 1);
        if (pthread_create(&t, NULL, connection, (void *)(intptr_t)fd) == 0)
            pthread_detach(t);
    }
    return NULL;
}

/* good.test and lost.test are this machine, evil.test a private network, both.test both; the rest
 * does not exist. */
static size_t dns_answer(unsigned char *m, size_t n)
{
    static const unsigned char local[4] = { 127, 0, 0, 1 }, private[4] = { 10, 0, 0, 1 };
    const unsigned char *addr[2] = { 0 };
    bool is_a = n > 16 && m[n - 3] == 1;
    size_t name = n > 12 ? m[12] : 0, count = 0;
    if (name == 4 && (!memcmp(m + 13, "good", 4) || !memcmp(m + 13, "lost", 4)))
        addr[count++] = local;
    else if (name == 4 && !memcmp(m + 13, "evil", 4))
        addr[count++] = private;
    else if (name == 4 && !memcmp(m + 13, "both", 4))
        addr[count++] = private, addr[count++] = local;
    else if (name == 4 &&
             !memcmp(m + 13, "flip", 4)) /* rebinding: the guard's answer, then the attacker's */
        addr[count++] = is_a && atomic_fetch_add(&server.flips, 1) > 0 ? private : local;
    m[2] = 0x81;
    m[3] = count ? 0x80 : 0x83;
    if (!is_a)
        count = 0;
    m[6] = 0;
    m[7] = (unsigned char)count;
    m[8] = m[9] = m[10] = m[11] = 0;
    for (size_t i = 0; i < count; i++) {
        const unsigned char head[12] = { 0xc0, 12, 0, 1, 0,
                                         1,    0,  0, 0, name == 4 && m[13] == 'f' ? 0 : 60,
                                         0,    4 };
        memcpy(m + n, head, sizeof(head));
        memcpy(m + n + sizeof(head), addr[i], 4);
        n += sizeof(head) + 4;
    }
    return n;
}

static void *dns_main(void *ctx)
{
    unsigned char m[1024];
    struct sockaddr_in from;
    (void)ctx;
    for (;;) {
        socklen_t from_n = sizeof(from);
        ssize_t n = recvfrom(server.dns, m, 512, 0, (struct sockaddr *)&from, &from_n);
        if (n <= 0)
            return NULL;
        atomic_fetch_add(&server.asked, 1);
        if (n > 17 && !memcmp(m + 13, "lost", 4) && atomic_fetch_add(&server.losses, 1) < 4)
            continue; /* two questions, each twice */
        size_t out = dns_answer(m, (size_t)n);
        sendto(server.dns, m, out, 0, (struct sockaddr *)&from, from_n);
    }
}

static int setup(void **state)
{
    (void)state;
    server.http = listen_on(SOCK_STREAM, &server.http_port);
    server.dns = listen_on(SOCK_DGRAM, &server.dns_port);
    assert_int_equal(pthread_create(&server.http_thread, NULL, http_main, NULL), 0);
    assert_int_equal(pthread_create(&server.dns_thread, NULL, dns_main, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    shutdown(server.http, SHUT_RDWR);
    shutdown(server.dns, SHUT_RDWR);
    pthread_join(server.http_thread, NULL);
    pthread_join(server.dns_thread, NULL);
    close(server.http);
    close(server.dns);
    return 0;
}

static struct httpc *client(const char *allow)
{
    char dns[64];
    struct httpc *c;
    struct err err;
    snprintf(dns, sizeof(dns), "127.0.0.1:%u", server.dns_port);
    const struct httpc_conf conf = { .egress_allow = allow,
                                     .dns_servers = dns,
                                     .conns_max = 16,
                                     .conns_per_host_max = 8,
                                     .user_agent = "365CMS/test" };
    assert_int_equal(httpc_new(&conf, &c, &err), 0);
    return c;
}

static int get(struct httpc *c, struct arena *a, const char *host, const char *path,
               struct httpc_res *ret, struct err *err)
{
    const struct httpc_req req = { .method = "GET",
                                   .url = arena_printf(a, "http://%s:%u%s", host, server.http_port,
                                                       path),
                                   .timeout_ms = 700,
                                   .reply_bytes_max = 1000 };
    return httpc_call(c, a, &req, ret, err);
}

static void sends_what_it_was_given_and_reuses_connections(void **state)
{
    struct httpc *c = client("127.0.0.0/8");
    struct arena *a = arena_new();
    struct httpc_res res;
    struct err err;
    const struct httpc_header headers[] = {
        { "X-Two",   "2" },
        { "X-Empty", ""  }
    };
    (void)state;
    int before = atomic_load(&server.accepted);
    for (int i = 0; i < 3; i++) {
        const struct httpc_req req = { .method = "POST",
                                       .url = arena_printf(a, "http://127.0.0.1:%u/ok?a=b",
                                                           server.http_port),
                                       .headers = headers,
                                       .nheaders = 2,
                                       .body = "{\"x\":1}",
                                       .body_n = 7,
                                       .timeout_ms = 2000,
                                       .reply_bytes_max = 100 };
        assert_int_equal(httpc_call(c, a, &req, &res, &err), 0);
        assert_int_equal(res.status, 200);
        assert_string_equal(res.body, "ok");
        assert_false(res.body_cut);
        assert_string_equal(res.address, "127.0.0.1");
    }
    assert_int_equal(atomic_load(&server.accepted) - before, 1);
    const char *request = last_request(a);
    assert_non_null(strstr(request, "POST /ok?a=b HTTP/1.1\r\n"));
    assert_non_null(strstr(request, "User-Agent: 365CMS/test\r\n"));
    assert_non_null(strstr(request, "X-Two: 2\r\n"));
    assert_non_null(strstr(request, "X-Empty:"));
    assert_non_null(strstr(request, "\r\n\r\n{\"x\":1}"));
    assert_null(strstr(request, "Expect:"));
    bool seen = false;
    for (size_t i = 0; i < res.nheaders; i++)
        seen |= str_eq(res.headers[i].name, "X-One") && str_eq(res.headers[i].value, "1");
    assert_true(seen);
    arena_free(a);
    httpc_free(c);
}

static void does_not_follow_redirects(void **state)
{
    struct httpc *c = client("127.0.0.0/8");
    struct arena *a = arena_new();
    struct httpc_res res;
    struct err err;
    (void)state;
    assert_int_equal(get(c, a, "127.0.0.1", "/redirect", &res, &err), 0);
    assert_int_equal(res.status, 302);
    assert_non_null(strstr(last_request(a), " /redirect"));
    arena_free(a);
    httpc_free(c);
}

static void takes_the_last_head_and_caps_the_body(void **state)
{
    struct httpc *c = client("127.0.0.0/8");
    struct arena *a = arena_new();
    struct httpc_res res;
    struct err err;
    (void)state;
    assert_int_equal(get(c, a, "127.0.0.1", "/early", &res, &err), 0);
    assert_int_equal(res.status, 204);
    assert_int_equal(res.nheaders, 1);
    assert_string_equal(res.headers[0].name, "X-Late");
    assert_int_equal(get(c, a, "127.0.0.1", "/big", &res, &err), 0);
    assert_int_equal(res.status, 200);
    assert_int_equal(res.body_n, 1000);
    assert_true(res.body_cut);
    arena_free(a);
    httpc_free(c);
}

static void names_its_failures(void **state)
{
    struct httpc *c = client("127.0.0.0/8");
    struct arena *a = arena_new();
    struct httpc_res res;
    struct err err;
    (void)state;
    assert_int_equal(get(c, a, "127.0.0.1", "/slow", &res, &err), -E_timeout);
    assert_int_equal(get(c, a, "127.0.0.1", "/hangup", &res, &err), -E_upstream);
    assert_int_equal(get(c, a, "nosuch.test", "/ok", &res, &err), -E_upstream);
    assert_string_equal(err.msg, "The host name does not exist.");
    const struct httpc_req closed = { .method = "GET",
                                      .url = "http://127.0.0.1:1/",
                                      .timeout_ms = 2000 };
    assert_int_equal(httpc_call(c, a, &closed, &res, &err), -E_upstream);
    const struct httpc_header split = { "X-A", "b\r\nX-C: d" };
    const struct httpc_req injected = { .method = "GET",
                                        .url = "http://127.0.0.1:1/",
                                        .headers = &split,
                                        .nheaders = 1,
                                        .timeout_ms = 2000 };
    assert_int_equal(httpc_call(c, a, &injected, &res, &err), -E_invalid);
    arena_free(a);
    httpc_free(c);
}

/* What a name means is judged when it is connected to, whatever it meant before. */
static void judges_what_names_mean(void **state)
{
    struct httpc *c = client("127.0.0.0/8");
    struct arena *a = arena_new();
    struct httpc_res res;
    struct err err;
    (void)state;
    assert_int_equal(get(c, a, "good.test", "/ok", &res, &err), 0);
    assert_string_equal(res.address, "127.0.0.1");
    assert_true(res.dns_us > 0 && res.total_us >= res.dns_us);
    int asked = atomic_load(&server.asked);
    assert_int_equal(get(c, a, "GOOD.test", "/ok", &res, &err), 0);
    assert_int_equal(atomic_load(&server.asked), asked); /* kept for its TTL */
    assert_int_equal(get(c, a, "evil.test", "/ok", &res, &err), -E_egress_refused);
    assert_int_equal(get(c, a, "both.test", "/ok", &res, &err), 0);
    assert_string_equal(res.address, "127.0.0.1");
    httpc_free(c);
    c = client("");
    assert_int_equal(get(c, a, "good.test", "/ok", &res, &err), -E_egress_refused);
    assert_int_equal(get(c, a, "127.0.0.1", "/ok", &res, &err), -E_egress_refused);
    arena_free(a);
    httpc_free(c);
}

static void asks_again_when_packets_are_lost(void **state)
{
    struct httpc *c = client("127.0.0.0/8");
    struct arena *a = arena_new();
    struct httpc_res res;
    struct err err;
    const struct httpc_req req = { .method = "GET",
                                   .url =
                                       arena_printf(a, "http://lost.test:%u/ok", server.http_port),
                                   .timeout_ms = 20000,
                                   .reply_bytes_max = 1000 };
    (void)state;
    assert_int_equal(httpc_call(c, a, &req, &res, &err), 0);
    arena_free(a);
    httpc_free(c);
}

/* proves: W-14.  A resolver that changes its answer gains nothing: the name is judged each time. */
static void a_name_that_changes_its_answer_is_refused(void **state)
{
    struct httpc *c = client("127.0.0.0/8");
    struct arena *a = arena_new();
    struct httpc_res res;
    struct err err;
    int rc = 0;
    (void)state;
    assert_int_equal(get(c, a, "flip.test", "/ok", &res, &err), 0);
    int64_t until = clock_mono_us() + 10000000; /* its TTL of nothing is kept for a second */
    while (!rc && clock_mono_us() < until) {
        rc = get(c, a, "flip.test", "/ok", &res, &err);
        usleep(50000);
    }
    assert_int_equal(rc, -E_egress_refused);
    arena_free(a);
    httpc_free(c);
}

/* proves: W-14.  Each is bounded in memory and time, and the client goes on. */
static void hostile_answers_are_bounded(void **state)
{
    struct httpc *c = client("127.0.0.0/8");
    struct arena *a = arena_new();
    struct httpc_res res;
    struct err err;
    (void)state;
    assert_int_equal(get(c, a, "127.0.0.1", "/headers", &res, &err), -E_upstream);
    assert_string_equal(err.msg, "The answer's headers are too long.");
    assert_true(get(c, a, "127.0.0.1", "/heads", &res, &err) < 0);
    assert_int_equal(get(c, a, "127.0.0.1", "/endless", &res, &err), 0);
    assert_true(res.body_cut);
    assert_int_equal(res.body_n, 1000);
    assert_int_equal(get(c, a, "127.0.0.1", "/drip", &res, &err), -E_timeout);
    assert_int_equal(get(c, a, "127.0.0.1", "/bomb", &res, &err), 0);
    assert_int_equal(res.body_n, 17); /* as it came: nothing is unpacked */
    assert_int_equal(get(c, a, "127.0.0.1", "/ok", &res, &err), 0);
    assert_true(arena_used(a) < 1024 * 1024);
    arena_free(a);
    httpc_free(c);
}

struct cancelled {
    _Atomic int n, result;
};

static void on_cancelled(void *ctx, const struct httpc_res *res)
{
    struct cancelled *x = ctx;
    atomic_store(&x->result, res->result);
    atomic_fetch_add(&x->n, 1);
}

static void freeing_it_cancels_what_is_under_way(void **state)
{
    struct httpc *c = client("127.0.0.0/8");
    struct cancelled x = { 0 };
    char url[64];
    struct err err;
    (void)state;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/slow", server.http_port);
    const struct httpc_req req = { .method = "GET", .url = url, .timeout_ms = 60000 };
    for (int i = 0; i < 4; i++)
        assert_int_equal(httpc_send(c, &req, on_cancelled, &x, &err), 0);
    assert_true(httpc_in_flight(c) > 0);
    httpc_free(c);
    assert_int_equal(atomic_load(&x.n), 4);
    assert_int_equal(atomic_load(&x.result), -E_unavailable);
}

/* Fibers of one loop wait together, not one after the other. */
struct together {
    struct loop *loop;
    struct httpc *c;
    int left, right;
};

static void one_of_many(void *ctx)
{
    struct together *t = ctx;
    struct arena *a = arena_new();
    struct httpc_res res;
    struct err err;
    if (get(t->c, a, "127.0.0.1", "/slow", &res, &err) == -E_timeout)
        t->right++;
    arena_free(a);
    if (--t->left == 0)
        loop_stop(t->loop);
}

static void spawn_all(void *ctx)
{
    struct together *t = ctx;
    for (int i = 0; i < 6; i++)
        assert_true(fiber_spawn(t->loop, one_of_many, t));
}

static void a_fiber_waits_without_holding_its_loop(void **state)
{
    struct together t = { .loop = loop_new(), .c = client("127.0.0.0/8"), .left = 6 };
    (void)state;
    int64_t begin = clock_mono_us();
    loop_post(t.loop, spawn_all, &t);
    loop_run(t.loop);
    assert_int_equal(t.right, 6);
    assert_true(clock_mono_us() - begin < 3 * 700000);
    loop_free(t.loop);
    httpc_free(t.c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_what_it_was_given_and_reuses_connections),
        cmocka_unit_test(does_not_follow_redirects),
        cmocka_unit_test(takes_the_last_head_and_caps_the_body),
        cmocka_unit_test(names_its_failures),
        cmocka_unit_test(judges_what_names_mean),
        cmocka_unit_test(asks_again_when_packets_are_lost),
        cmocka_unit_test(a_name_that_changes_its_answer_is_refused),
        cmocka_unit_test(hostile_answers_are_bounded),
        cmocka_unit_test(freeing_it_cancels_what_is_under_way),
        cmocka_unit_test(a_fiber_waits_without_holding_its_loop),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
