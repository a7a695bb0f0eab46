/* proves: N-01 */
#define _GNU_SOURCE /* strcasestr */
#include "common/io/httpd.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/raw_http.h"

/* --- a server whose only answer has no end -------------------------------------------------------
 */

static struct feed {
    struct http_stream stream; /* first */
    struct loop *loop;
    pthread_mutex_t mu;
    char text[256];
    size_t len;
    bool over, open;
    unsigned gone;
} feed;

static ssize_t feed_read(struct http_stream *s, char *out, size_t max)
{
    struct feed *f = (struct feed *)(void *)s;
    pthread_mutex_lock(&f->mu);
    size_t n = f->len < max ? f->len : max;
    memcpy(out, f->text, n);
    memmove(f->text, f->text + n, f->len - n);
    f->len -= n;
    ssize_t answer = n == 0 && f->over ? -1 : (ssize_t)n;
    pthread_mutex_unlock(&f->mu);
    return answer;
}

static void feed_gone(struct http_stream *s)
{
    struct feed *f = (struct feed *)(void *)s;
    pthread_mutex_lock(&f->mu);
    f->gone++;
    f->open = false;
    pthread_mutex_unlock(&f->mu);
}

static bool on_head(struct http_req *req, struct http_res *res, void *ctx)
{
    (void)req, (void)res, (void)ctx;
    return true;
}

static void on_serve(struct http_req *req, struct http_res *res, void *ctx)
{
    (void)req, (void)ctx;
    res->status = 200;
    http_res_header(res, "Content-Type", "text/event-stream");
    feed.loop = loop_self();
    feed.stream = (struct http_stream){ .read = feed_read, .gone = feed_gone };
    feed.len = 0;
    feed.over = false;
    __atomic_store_n(&feed.open, true, __ATOMIC_RELEASE);
    res->stream = &feed.stream;
}

static const struct httpd_ops ops = { .head = on_head, .serve = on_serve };

static struct httpd *start(void)
{
    struct httpd_conf conf = { .listen = "127.0.0.1:0", .loops = 1, .conns_max = 16, .ops = &ops };
    struct httpd *h = NULL;
    struct err err = { 0 };
    pthread_mutex_init(&feed.mu, NULL);
    feed.gone = 0;
    assert_int_equal(httpd_start(&conf, &h, &err), 0);
    return h;
}

static void wake(void *p)
{
    struct feed *f = p;
    pthread_mutex_lock(&f->mu);
    bool open = f->open;
    pthread_mutex_unlock(&f->mu);
    if (open) /* only this thread closes it */
        http_wake(&f->stream);
}

static void tell(const char *text, bool over)
{
    pthread_mutex_lock(&feed.mu);
    size_t n = strlen(text);
    assert_true(feed.len + n <= sizeof feed.text);
    memcpy(feed.text + feed.len, text, n);
    feed.len += n;
    feed.over = over;
    pthread_mutex_unlock(&feed.mu);
    loop_post(feed.loop, wake, &feed);
}

static bool is_open(void)
{
    return __atomic_load_n(&feed.open, __ATOMIC_ACQUIRE);
}

static unsigned gone(void)
{
    pthread_mutex_lock(&feed.mu);
    unsigned n = feed.gone;
    pthread_mutex_unlock(&feed.mu);
    return n;
}

/* Reads until `want` has come. */
static void hear_text(int fd, const char *want)
{
    static char got[8192];
    size_t n = 0;
    const struct timeval patience = { .tv_sec = 20 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (;;) {
        ssize_t k = recv(fd, got + n, sizeof got - n - 1, 0);
        assert_true(k > 0);
        n += (size_t)k;
        got[n] = '\0';
        if (strstr(got, want))
            return;
    }
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: t\r\n\r\n"

/* --- tests ---------------------------------------------------------------------------------------
 */

static void what_comes_later_is_sent_when_it_comes(void **state)
{
    struct httpd *h = start();
    (void)state;
    int fd = dial(httpd_port(h));
    say(fd, GET("/"));
    WAIT_FOR(is_open());
    for (int i = 0; i < 20; i++) {
        char text[32];
        snprintf(text, sizeof text, "data: number %d\n\n", i);
        tell(text, false);
        hear_text(fd, text);
    }
    tell("data: last\n\n", true);
    hear_text(fd, "data: last");
    WAIT_FOR(gone() == 1);
    close(fd);
    httpd_stop(h, 1000);
    assert_int_equal(gone(), 1);
}

static void a_client_that_left_is_noticed_by_the_next_word(void **state)
{
    struct httpd *h = start();
    (void)state;
    int fd = dial(httpd_port(h));
    say(fd, GET("/"));
    WAIT_FOR(is_open());
    tell("hello", false);
    hear_text(fd, "hello");
    close(fd);
    for (unsigned i = 0; i < 1000 && gone() == 0; i++) {
        tell(".", false);
        usleep(5000);
        pthread_mutex_lock(&feed.mu);
        feed.len = 0;
        pthread_mutex_unlock(&feed.mu);
    }
    assert_int_equal(gone(), 1);
    httpd_stop(h, 1000);
}

static void a_listener_that_stops_ends_its_streams(void **state)
{
    struct httpd *h = start();
    (void)state;
    int fd = dial(httpd_port(h));
    say(fd, GET("/"));
    WAIT_FOR(is_open());
    tell("hello", false);
    hear_text(fd, "hello");
    int64_t begin = clock_mono_us();
    httpd_stop(h, 60000); /* does not take its patience */
    assert_true(clock_mono_us() - begin < 30000000);
    assert_int_equal(gone(), 1);
    close(fd);
}

static void a_head_request_has_no_stream(void **state)
{
    struct httpd *h = start();
    (void)state;
    int fd = dial(httpd_port(h));
    say(fd, "HEAD / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    hear_text(fd, "200 OK");
    WAIT_FOR(gone() == 1);
    close(fd);
    httpd_stop(h, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_later_is_sent_when_it_comes),
        cmocka_unit_test(a_client_that_left_is_noticed_by_the_next_word),
        cmocka_unit_test(a_listener_that_stops_ends_its_streams),
        cmocka_unit_test(a_head_request_has_no_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
