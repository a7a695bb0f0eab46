#define _GNU_SOURCE /* strcasestr */
/*
 * Spans as a small collector of this test's own gets them.
 * proves: N-07
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/metrics.h"
#include "common/kit/trace.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { request_max = 512 * 1024, wait_s_max = 30 };
#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN   "00f067aa0ba902b7"
#define PARENT "b7ad6b7169203331"
static const char sampled[] = "00-" TRACE "-" SPAN "-01", unsampled[] = "00-" TRACE "-" SPAN "-00";

static struct {
    int fd;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t cv;
    char request[request_max]; /* the last one */
    _Atomic int asked, refuse; /* requests so far; how many of them are answered 503 */
} collector = { .mu = PTHREAD_MUTEX_INITIALIZER, .cv = PTHREAD_COND_INITIALIZER };

static size_t read_request(int fd, char *text)
{
    size_t n = 0;
    for (;;) {
        ssize_t got = recv(fd, text + n, request_max - 1 - n, 0);
        if (got <= 0)
            return 0;
        n += (size_t)got;
        text[n] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "content-length:");
        int64_t body = 0;
        if (end && length && sscanf(length + strlen("content-length:"), "%ld", &body) == 1 &&
            n >= (size_t)(end + 4 - text) + (size_t)body)
            return n;
    }
}

static void *serve(void *unused)
{
    static char text[request_max];
    (void)unused;
    for (int fd; (fd = accept(collector.fd, NULL, NULL)) >= 0; close(fd)) {
        size_t n = read_request(fd, text);
        if (!n)
            continue;
        bool refused = collector.refuse > 0;
        pthread_mutex_lock(&collector.mu);
        memcpy(collector.request, text, n + 1);
        pthread_mutex_unlock(&collector.mu);
        const char *answer =
            refused ? "HTTP/1.1 503 Away\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        ssize_t ignored = send(fd, answer, strlen(answer), MSG_NOSIGNAL);
        (void)ignored;
        collector.refuse -= refused;
        pthread_mutex_lock(&collector.mu);
        collector.asked++;
        pthread_cond_signal(&collector.cv);
        pthread_mutex_unlock(&collector.mu);
    }
    return NULL;
}

static int begin(void **state)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t n = sizeof in;
    (void)state;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    collector.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(collector.fd, (struct sockaddr *)&in, sizeof in) || listen(collector.fd, 16) ||
        getsockname(collector.fd, (struct sockaddr *)&in, &n))
        return -1;
    collector.port = ntohs(in.sin_port);
    return pthread_create(&collector.thread, NULL, serve, NULL);
}

static int end(void **state)
{
    (void)state;
    shutdown(collector.fd, SHUT_RDWR);
    pthread_join(collector.thread, NULL);
    close(collector.fd);
    return 0;
}

static struct traces *start(int64_t ppm)
{
    char url[64];
    struct traces *t = NULL;
    struct err err = { 0 };
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", collector.port);
    const struct trace_conf conf = { .url = url,
                                     .headers = "x-api-key=a=b,x-other=1",
                                     .sample_ppm = ppm,
                                     .program = "test",
                                     .instance = "127.0.0.1:8080" };
    assert_int_equal(trace_start(&conf, &t, &err), 0);
    assert_non_null(t);
    return t;
}

static struct span span(const char *traceparent, const char *parent)
{
    static const struct span_attr attrs[] = {
        { .key = "http.route",                .text = "/api/v2/posts" },
        { .key = "http.response.status_code", .number = 503           }
    };
    return (struct span){ .traceparent = traceparent,
                          .parent = parent,
                          .kind = SPAN_SERVER,
                          .name = "GET /api/v2/posts",
                          .error = "unavailable",
                          .begin_us = 1700000000000001,
                          .end_us = 1700000000000901,
                          .attrs = attrs,
                          .nattrs = ARRAY_LEN(attrs) };
}

static int64_t counted(const char *outcome)
{
    struct arena *a = arena_new();
    struct buf b;
    int64_t n = 0;
    buf_init(&b, a, 65536, (size_t)4 * 1024 * 1024);
    metrics_write(&b);
    const char *name = arena_printf(a, "cms365_trace_spans_total{outcome=\"%s\"} ", outcome);
    const char *at = strstr(b.data, name);
    if (at)
        n = strtoll(at + strlen(name), NULL, 10);
    arena_free(a);
    return n;
}

static void wait_for_asked(int least)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += wait_s_max;
    pthread_mutex_lock(&collector.mu);
    while (collector.asked < least && !pthread_cond_timedwait(&collector.cv, &collector.mu, &end))
        ;
    pthread_mutex_unlock(&collector.mu);
    assert_true(collector.asked >= least);
}

static json_t *last_body(const char **ret_headers)
{
    static char text[request_max];
    json_error_t why;
    pthread_mutex_lock(&collector.mu);
    memcpy(text, collector.request, strlen(collector.request) + 1);
    pthread_mutex_unlock(&collector.mu);
    char *body = strstr(text, "\r\n\r\n");
    *body = '\0';
    *ret_headers = text;
    json_t *v = json_loads(body + 4, JSON_REJECT_DUPLICATES, &why);
    assert_non_null(v);
    return v;
}

static const json_t *spans_of(const json_t *body)
{
    const json_t *resource = json_array_get(json_object_get(body, "resourceSpans"), 0);
    const json_t *scope = json_array_get(json_object_get(resource, "scopeSpans"), 0);
    return json_object_get(scope, "spans");
}

static const char *text_of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static void N07_spans_reach_the_collector_in_a_batch(void **state)
{
    const char *headers;
    int asked = collector.asked;
    int64_t sent = counted("sent");
    struct traces *t = start(1000000);
    const struct span own = span(sampled, PARENT), root = span(sampled, ""),
                      below = span(sampled, NULL);
    (void)state;
    trace_put(t, &own);
    trace_put(t, &root);
    trace_put(t, &below);
    wait_for_asked(asked + 1);
    trace_stop(t);
    json_t *body = last_body(&headers);
    assert_non_null(strstr(headers, "POST /v1/traces HTTP/1.1\r\n"));
    assert_non_null(strstr(headers, "x-api-key: a=b\r\n"));
    assert_non_null(strstr(headers, "Content-Type: application/json\r\n"));
    const json_t *spans = spans_of(body);
    assert_int_equal(json_array_size(spans), 3);
    const json_t *a = json_array_get(spans, 0), *b = json_array_get(spans, 1),
                 *c = json_array_get(spans, 2);
    assert_string_equal(text_of(a, "traceId"), TRACE);
    assert_string_equal(text_of(a, "spanId"), SPAN);
    assert_string_equal(text_of(a, "parentSpanId"), PARENT);
    assert_string_equal(text_of(a, "startTimeUnixNano"), "1700000000000001000");
    assert_string_equal(text_of(a, "endTimeUnixNano"), "1700000000000901000");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(a, "status"), "code")), 2);
    assert_int_equal(json_array_size(json_object_get(a, "attributes")), 3);
    assert_null(json_object_get(b, "parentSpanId"));
    assert_string_equal(text_of(c, "parentSpanId"), SPAN);
    assert_int_equal(strlen(text_of(c, "spanId")), 16);
    assert_string_not_equal(text_of(c, "spanId"), SPAN);
    assert_int_equal(counted("sent"), sent + 3);
    json_decref(body);
}

static void N07_what_is_not_sampled_is_not_sent(void **state)
{
    static const char *const others[] = { NULL, "", "00-" TRACE "-" SPAN, unsampled, "nonsense" };
    (void)state;
    struct traces *t = start(1000000), *none = start(0), *half = start(500000);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(trace_wants(t, others[i]));
    assert_true(trace_wants(t, sampled));
    assert_false(trace_wants(none, sampled));
    assert_false(trace_wants(NULL, sampled));
    /* By the trace alone, so that all programs take the same. */
    int taken = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char other[sizeof sampled];
        snprintf(other, sizeof other, "00-%024x%08x-" SPAN "-01", 1, i * 4294967u);
        taken += trace_wants(half, other);
    }
    assert_in_range(taken, 490, 510);
    trace_stop(t);
    trace_stop(none);
    trace_stop(half);
    trace_stop(NULL);
}

static void N07_a_collector_that_is_busy_is_asked_again(void **state)
{
    int asked = collector.asked;
    int64_t sent = counted("sent"), refused = counted("refused");
    const struct span s = span(sampled, "");
    (void)state;
    collector.refuse = 1;
    struct traces *t = start(1000000);
    trace_put(t, &s);
    wait_for_asked(asked + 2);
    trace_stop(t);
    assert_int_equal(counted("sent"), sent + 1);
    assert_int_equal(counted("refused"), refused);
}

/* Nobody waits, memory is bounded, and what is lost is counted. */
static void N07_without_a_collector_spans_are_dropped_and_counted(void **state)
{
    enum { n = 5000 };
    int64_t before = counted("sent") + counted("dropped") + counted("refused");
    int64_t dropped = counted("dropped");
    struct traces *t = NULL;
    struct err err = { 0 };
    const struct span s = span(sampled, "");
    const struct trace_conf conf = { .url = "http://127.0.0.1:1",
                                     .headers = "",
                                     .sample_ppm = 1000000,
                                     .program = "test",
                                     .instance = "x" };
    (void)state;
    assert_int_equal(trace_start(&conf, &t, &err), 0);
    for (int i = 0; i < n; i++)
        trace_put(t, &s);
    trace_stop(t);
    assert_true(counted("dropped") > dropped);
    assert_int_equal(counted("sent") + counted("dropped") + counted("refused"), before + n);
}

static void N07_settings_that_are_none_are_refused(void **state)
{
    static const struct {
        const char *url, *headers;
    } wrong[] = {
        { "collector:4318",   ""                                    },
        { "ftp://collector",  ""                                    },
        { "http://collector", "name"                                },
        { "http://collector", "=value"                              },
        { "http://collector", "a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1" }
    };
    struct traces *t;
    struct err err;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        const struct trace_conf conf = {
            .url = wrong[i].url, .headers = wrong[i].headers, .program = "test", .instance = "x"
        };
        assert_int_equal(trace_start(&conf, &t, &err), -E_config);
        assert_null(t);
    }
    const struct trace_conf off = { .url = "", .headers = "", .program = "test", .instance = "x" };
    assert_int_equal(trace_start(&off, &t, &err), 0);
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(N07_spans_reach_the_collector_in_a_batch),
        cmocka_unit_test(N07_what_is_not_sampled_is_not_sent),
        cmocka_unit_test(N07_a_collector_that_is_busy_is_asked_again),
        cmocka_unit_test(N07_without_a_collector_spans_are_dropped_and_counted),
        cmocka_unit_test(N07_settings_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
