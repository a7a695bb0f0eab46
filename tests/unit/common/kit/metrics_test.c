/* proves: X-08, N-07 */
#include "common/kit/metrics.h"

#include "common/base/str.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *printed(struct arena *a)
{
    struct buf b;
    buf_init(&b, a, 4096, (size_t)4 * 1024 * 1024);
    metrics_write(&b);
    assert_false(b.overflow);
    return b.data;
}

static void same_labels_are_one_cell(void **state)
{
    struct metric_cell *a = metric_cell(M_inbox_messages, (const char *[]){ "c1", "done" }, 2);
    struct metric_cell *b = metric_cell(M_inbox_messages, (const char *[]){ "c1", "dead" }, 2);
    (void)state;
    assert_ptr_equal(a, metric_cell(M_inbox_messages, (const char *[]){ "c1", "done" }, 2));
    assert_ptr_not_equal(a, b);
    /* "ab","c" and "a","bc" differ though their letters do not */
    assert_ptr_not_equal(metric_cell(M_inbox_messages, (const char *[]){ "ab", "c" }, 2),
                         metric_cell(M_inbox_messages, (const char *[]){ "a", "bc" }, 2));
}

static void text_is_prometheus(void **state)
{
    struct arena *a = arena_new();
    struct metric_cell *c =
        metric_cell(M_inbox_messages, (const char *[]){ "q\"uo\\te\nx", "done" }, 2);
    struct metric_cell *h = metric_cell(M_http_seconds, (const char *[]){ "/x" }, 1);
    (void)state;
    metric_add(c, 3);
    metric_inc(M_outbox_produced);
    metric_inc(M_outbox_produced);
    metric_gauge(M_keys_known, 9);
    metric_observe_us(h, 1000); /* on the bound: le is inclusive */
    metric_observe_us(h, 1001);
    metric_observe_us(h, 99000000); /* above all */
    const char *s = printed(a);
    static const char *const want[] = {
        "# TYPE cms365_inbox_messages_total counter\n",
        "cms365_inbox_messages_total{consumer=\"q\\\"uo\\\\te x\",outcome=\"done\"} 3\n",
        "cms365_outbox_produced_total 2\n",
        "# TYPE cms365_auth_keys gauge\ncms365_auth_keys 9\n",
        "cms365_egress_refused_total 0\n", /* never moved, but there */
        "cms365_http_request_duration_seconds_bucket{route=\"/x\",le=\"0.001\"} 1\n",
        "cms365_http_request_duration_seconds_bucket{route=\"/x\",le=\"0.0025\"} 2\n",
        "cms365_http_request_duration_seconds_bucket{route=\"/x\",le=\"10.0\"} 2\n",
        "cms365_http_request_duration_seconds_bucket{route=\"/x\",le=\"+Inf\"} 3\n",
        "cms365_http_request_duration_seconds_sum{route=\"/x\"} 99.002001\n",
        "cms365_http_request_duration_seconds_count{route=\"/x\"} 3\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        if (!strstr(s, want[i]))
            fail_msg("not there: %s\n%s", want[i], s);
    }
    arena_free(a);
}

static void text_is_openmetrics_for_who_asks(void **state)
{
    struct arena *a = arena_new();
    struct buf b;
    (void)state;
    metric_inc(M_db_reconnects);
    buf_init(&b, a, 4096, 4 * 1024 * 1024);
    metrics_write_open(&b);
    assert_non_null(strstr(b.data, "# TYPE cms365_db_reconnects counter\n"));
    assert_non_null(strstr(b.data, "\ncms365_db_reconnects_total "));
    assert_null(strstr(b.data, "# TYPE cms365_db_reconnects_total"));
    assert_true(str_ends(b.data, "\n# EOF\n"));
    assert_null(strstr(b.data, "\n\n"));
    arena_free(a);
}

static void labels_cannot_grow_without_bound(void **state)
{
    struct metric_cell *last = NULL, *before = NULL;
    char name[16];
    (void)state;
    for (int i = 0; i < metric_cells_max + 10; i++) {
        snprintf(name, sizeof name, "%d", i);
        before = last;
        last = metric_cell(M_inbox_lag, (const char *[]){ name }, 1);
    }
    assert_ptr_equal(last, before); /* both "other" */
    assert_ptr_equal(last, metric_cell(M_inbox_lag, (const char *[]){ "other" }, 1));
}

static void *bump(void *p)
{
    (void)p;
    for (int i = 0; i < 20000; i++) {
        metric_inc(M_db_errors);
        metric_add(metric_cell(M_auth_checks, (const char *[]){ i & 1 ? "ok" : "refused" }, 1), 1);
    }
    return NULL;
}

static void threads_lose_no_count(void **state)
{
    pthread_t t[4];
    struct arena *a = arena_new();
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_create(&t[i], NULL, bump, NULL);
    printed(a); /* while they run */
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_join(t[i], NULL);
    const char *s = printed(a);
    assert_non_null(strstr(s, "cms365_db_errors_total 80000\n"));
    assert_non_null(strstr(s, "{outcome=\"ok\"} 40000\n"));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_labels_are_one_cell),
        cmocka_unit_test(text_is_prometheus),
        cmocka_unit_test(text_is_openmetrics_for_who_asks),
        cmocka_unit_test(labels_cannot_grow_without_bound),
        cmocka_unit_test(threads_lose_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
