#ifndef TESTS_UNIT_ROUTE_FIXTURE_H
#define TESTS_UNIT_ROUTE_FIXTURE_H
/*
 * A router over `tables`, which the test defines, on real sockets, and a client that compares.
 * Define _GNU_SOURCE (strcasestr) before the first include.
 */
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/httpd.h"
#include "common/kit/route_server.h"
#include "common/kit/session.h"
#include "common/kit/svc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/raw_http.h"

extern const struct route *const tables[];

/* --- the rest of the program, as far as the pipeline asks it -------------------------------------
 */

int token_check_use(struct tokens *t, struct arena *a, const struct token_use *use,
                    struct principal *ret, struct err *err)
{
    const char *credential = use->credential;
    (void)t;
    (void)a;
    if (str_eq(credential, "down"))
        return err_set(err, E_unavailable, "auth does not answer");
    bool writer = str_eq(credential, "writer");
    if (!writer && !str_eq(credential, "reader"))
        return err_set(err, E_unauthorized, "The credential is not valid.");
    *ret = (struct principal){ .user_id = 7, .key_id = 3, .role = ROLE_EDITOR };
    ret->scopes = (scope_set)1 << S_posts_read | (writer ? (scope_set)1 << S_posts_write : 0);
    return 0;
}

int session_check(struct tokens *t, struct arena *a, const char *text, const char *addr,
                  struct principal *ret, struct err *err)
{
    (void)addr;
    const struct token_use use = { .credential = text };
    int rc = token_check_use(t, a, &use, ret, err);
    if (!rc)
        *ret = (struct principal){
            .user_id = 7, .session_id = 5, .role = ret->role, .scopes = ret->scopes
        };
    return rc;
}

struct world {
    struct svc svc;
    struct svc_conf conf;
    struct svc_def def;
    struct router *pub, *ops;
    struct httpd *http, *http_ops;
};
static struct world w;

static struct httpd *listen_with(struct router *r)
{
    struct httpd_conf conf = {
        .listen = "127.0.0.1:0", .loops = 1, .conns_max = 64, .ops = &router_ops, .ctx = r
    };
    struct httpd *h = NULL;
    struct err err;
    assert_int_equal(httpd_start(&conf, &h, &err), 0);
    return h;
}

static char exchange_log[64];

static int setup(void **state)
{
    struct err err = { 0 };
    (void)state;
    snprintf(exchange_log, sizeof exchange_log, "/tmp/route_test.%d.log", (int)getpid());
    w = (struct world){
        .conf = { .public_url = "http://cms.test",
                 .trusted_proxies = "127.0.0.0/8, 10.1.0.0/16,fd00::/8",
                 .internal_token = "hush",
                 .reqres_log = exchange_log,
                 .body_bytes_max = 1000,
                 .public_read = true },
        .def = { .name = "test" }
    };
    w.svc = (struct svc){ .def = &w.def, .conf = &w.conf, .arena = arena_new() };
    log_init("test", LOG_ERROR);
    assert_int_equal(router_new(&w.svc, tables, false, &w.pub, &err), 0);
    assert_int_equal(router_new(&w.svc, tables, true, &w.ops, &err), 0);
    w.http = listen_with(w.pub);
    w.http_ops = listen_with(w.ops);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    httpd_stop(w.http, 1000);
    httpd_stop(w.http_ops, 1000);
    router_free(w.pub);
    router_free(w.ops);
    arena_free(w.svc.arena);
    unlink(exchange_log);
    return 0;
}

/* --- requests and what must come back ------------------------------------------------------------
 */

#define READER   "Authorization: Bearer reader\r\n"
#define WRITER   "Authorization: Bearer writer\r\n"
#define JSON     "Content-Type: application/json\r\n"
#define HAS(...) { __VA_ARGS__ }

struct exchange {
    const char *line, *headers, *body; /* body NULL: none */
    int status;
    const char *has[6]; /* each is in the answer; "!x": x is not */
};

static void talk(unsigned port, const struct exchange *e)
{
    static struct reply r;
    char text[4096], length[48] = "";
    if (e->body)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(e->body));
    snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n%s%s\r\n%s",
             e->line, e->headers ? e->headers : "", length, e->body ? e->body : "");
    int got = ask(port, text, &r);
    if (got != e->status)
        fail_msg("%s %s: %d, not %d\n%s", e->line, e->headers ? e->headers : "", got, e->status,
                 r.text);
    for (size_t i = 0; i < ARRAY_LEN(e->has) && e->has[i]; i++) {
        bool not = e->has[i][0] == '!';
        if (!strcasestr(r.text, e->has[i] + not ) == !not )
            fail_msg("%s: %s %s\n%s", e->line, not ? "has" : "has not", e->has[i] + not, r.text);
    }
    if (!strcasestr(r.text, "\r\nX-Request-Id: "))
        fail_msg("%s: no request id\n%s", e->line, r.text);
    bool xml = e->headers && strstr(e->headers, "xml");
    if (got >= 400 && !strcasestr(r.text, xml ? "\r\nContent-Type: application/problem+xml"
                                              : "\r\nContent-Type: application/problem+json\r\n"))
        fail_msg("%s: not a problem\n%s", e->line, r.text);
}

static void talk_all(const struct exchange *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        talk(httpd_port(w.http), &list[i]);
}

#endif
