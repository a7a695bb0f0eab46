/* proves: N-01 */
#include "common/kit/reqlog.h"

#include "common/base/background.h"
#include "common/base/clock.h"
#include "common/kit/token.h"
#include "proto/request_record.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static const struct principal nobody;

static struct reqlog_record record(void)
{
    return (struct reqlog_record){ .at_us = clock_us(),
                                   .total_us = 1000,
                                   .who = &nobody,
                                   .request_id = "0e123daa197d1a8c7446d8d241e92193",
                                   .method = "GET",
                                   .route = "/api/v2/posts/{id}",
                                   .address = "2001:db8::1",
                                   .user_agent = "curl/8.5.0",
                                   .status = 200 };
}

static struct reqlog *start_without_broker(void)
{
    const struct reqlog_conf conf = { .program = "test", .brokers = "127.0.0.1:1" };
    struct reqlog *l = NULL;
    struct err err = { 0 };
    assert_int_equal(reqlog_start(&conf, &l, &err), 0);
    return l;
}

/* Rule buffer_full: what waits is bounded, the rest is counted; nobody waits. */
static void without_a_broker_memory_is_bounded_and_what_is_dropped_is_counted(void **state)
{
    enum { sent = 40000 };
    struct reqlog *l = start_without_broker();
    const struct reqlog_record r = record();
    (void)state;
    for (int i = 0; i < sent; i++)
        reqlog_put(l, &r);
    uint64_t most =
        (uint64_t)(reqlog_chunks_max + reqlog_in_flight_max + 1) * request_batch_rows_max;
    assert_true(reqlog_dropped(l) >= sent - most);
    assert_true(reqlog_dropped(l) < sent);
    int64_t begin = clock_mono_us();
    reqlog_stop(l); /* gives up after reqlog_close_ms */
    assert_true(clock_mono_us() - begin < 30000000);
}

static void whatever_a_client_sends_fits_a_row(void **state)
{
    struct reqlog *l = start_without_broker();
    static char longest[8000];
    struct reqlog_record r = record();
    (void)state;
    memset(longest, '"', sizeof longest - 1);
    r.user_agent = r.country = r.request_id = r.address = longest;
    r.route = longest;
    r.at_us = r.total_us = r.queue_us = r.db_us = INT64_MAX;
    r.bytes_in = r.bytes_out = UINT64_MAX;
    r.status = INT32_MAX;
    for (int i = 0; i < 2000; i++) /* past the end of chunks */
        reqlog_put(l, &r);
    assert_int_equal(reqlog_dropped(l), 0);
    reqlog_stop(l);
    reqlog_stop(NULL);
}

/* Its thread, and those of its producer, are behind whoever answers requests. */
static void sending_is_work_in_the_background(void **state)
{
    struct reqlog *l = start_without_broker();
    int nice = 0;
    (void)state;
    for (int i = 0; i < 2000 && nice != background_nice; i++) {
        glob_t all;
        assert_int_equal(glob("/proc/self/task/*/comm", 0, NULL, &all), 0);
        for (size_t k = 0; k < all.gl_pathc; k++) {
            char name[32] = "";
            FILE *f = fopen(all.gl_pathv[k], "r");
            if (f && fgets(name, sizeof name, f) && strcmp(name, "request-log\n") == 0)
                nice = getpriority(
                    PRIO_PROCESS,
                    (id_t)strtol(all.gl_pathv[k] + strlen("/proc/self/task/"), NULL, 10));
            if (f)
                fclose(f);
        }
        globfree(&all);
        usleep(5000);
    }
    assert_int_equal(nice, background_nice);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), 0);
    reqlog_stop(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_broker_memory_is_bounded_and_what_is_dropped_is_counted),
        cmocka_unit_test(whatever_a_client_sends_fits_a_row),
        cmocka_unit_test(sending_is_work_in_the_background),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
