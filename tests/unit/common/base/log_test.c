#include "common/base/log.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/loop.h"
#include "common/base/str.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static int saved_stderr, file;
static char text[512 * 1024];

static int setup(void **state)
{
    char name[] = "/tmp/log_test_XXXXXX";

    *state = arena_new();
    file = mkstemp(name);
    assert_true(file >= 0);
    assert_int_equal(unlink(name), 0);
    assert_true(fcntl(file, F_SETFL, O_APPEND) == 0);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
    log_init("tester", LOG_DEBUG);
    return 0;
}

static int teardown(void **state)
{
    (void)dup2(saved_stderr, STDERR_FILENO);
    (void)close(saved_stderr);
    (void)close(file);
    arena_free(*state);
    return 0;
}

static const char *written(void)
{
    ssize_t n = pread(file, text, sizeof(text) - 1, 0);

    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

/* The only line so far, parsed. */
static json_t *line(void **state)
{
    const char *s = written();
    struct err err = { 0 };
    json_t *v;

    assert_true(str_ends(s, "}\n"));
    assert_ptr_equal(strchr(s, '\n'), s + strlen(s) - 1);
    assert_true(strlen(s) <= log_line_bytes_max);
    if (json_parse(*state, s, strlen(s), &v, &err) != 0)
        fail_msg("%s: %s", err.msg, s);
    return v;
}

static const char *get(json_t *v, const char *key)
{
    return json_string_value(json_object_get(v, key));
}

static void line_has_all_it_must(void **state)
{
    static const struct log_context ctx = { .request_id = "req-1", .trace_id = "abc" };
    json_t *v;
    int64_t us;

    log_context_set(&ctx);
    log_info("delivery.sent", kv_s("endpoint", "e1"), kv_i("status", -204), kv_s("none", NULL),
             kv_secret("key", "hunter2"), kv_secret("no_key", ""));
    log_context_set(NULL);
    v = line(state);
    assert_string_equal(get(v, "level"), "info");
    assert_string_equal(get(v, "program"), "tester");
    assert_string_equal(get(v, "event"), "delivery.sent");
    assert_string_equal(get(v, "request_id"), "req-1");
    assert_string_equal(get(v, "trace_id"), "abc");
    assert_string_equal(get(v, "endpoint"), "e1");
    assert_int_equal(json_integer_value(json_object_get(v, "status")), -204);
    assert_string_equal(get(v, "none"), "");
    assert_string_equal(get(v, "key"), "***");
    assert_string_equal(get(v, "no_key"), "");
    assert_true(rfc3339_parse(get(v, "ts"), &us));
    assert_in_range(us, clock_us() - 60000000, clock_us() + 1000000);
}

static void line_without_context_or_pairs(void **state)
{
    json_t *v;

    log_write(LOG_ERROR, "svc.start", NULL, 0);
    v = line(state);
    assert_int_equal(json_object_size(v), 4);
    assert_string_equal(get(v, "level"), "error");
}

static void values_are_escaped(void **state)
{
    log_warn("x",
             kv_s("v", "a\"b\\c\nd\te\x01\x7f"
                       "ä\xF0\x9F\x98\x80"),
             kv_s("bad", "\xFFz\xC3"), kv_s("inject", "\",\"level\":\"fake"));
    assert_string_equal(get(line(state), "v"), "a\"b\\c\nd\te\x01\x7f"
                                               "ä\xF0\x9F\x98\x80");
    assert_string_equal(get(line(state), "bad"), "?z?");
    assert_string_equal(get(line(state), "level"), "warn");
    assert_string_equal(get(line(state), "inject"), "\",\"level\":\"fake");
}

static void level_filters(void **state)
{
    enum log_level level = LOG_DEBUG;

    log_init("tester", LOG_WARN);
    assert_int_equal(log_level(), LOG_WARN);
    log_debug("a", kv_i("n", 1));
    log_info("b", kv_i("n", 2));
    assert_string_equal(written(), "");
    log_warn("c", kv_i("n", 3));
    assert_string_equal(get(line(state), "event"), "c");
    assert_true(log_level_parse("error", &level));
    assert_int_equal(level, LOG_ERROR);
    assert_false(log_level_parse("ERROR", &level));
    assert_false(log_level_parse("", &level));
}

/* Whatever the length, what is written is one line of JSON that is not too long. */
static void long_lines_are_cut_and_still_json(void **state)
{
    static char big[log_line_bytes_max * 2];
    static const char *const units[] = { "a", "\n", "\x01", "\xF0\x9F\x98\x80", "\"" };

    for (size_t u = 0; u < ARRAY_LEN(units); u++) {
        size_t n = strlen(units[u]);

        for (size_t bytes = log_line_bytes_max / 6 - 60;
             bytes<sizeof(big) - 8; bytes += bytes> log_line_bytes_max - 300 &&
                     bytes < log_line_bytes_max
                 ? 1
                 : 97) {
            for (size_t i = 0; i + n <= bytes; i += n)
                memcpy(big + i, units[u], n);
            big[bytes - bytes % n] = '\0';
            assert_int_equal(ftruncate(file, 0), 0);
            log_info("long", kv_s("before", "b"), kv_s("big", big), kv_i("after", 1));
            assert_string_equal(get(line(state), "before"), "b");
            arena_reset(*state);
        }
    }
    assert_true(json_is_true(json_object_get(line(state), "cut")));
    assert_null(json_object_get(line(state), "after"));
}

static void *logs_a_lot(void *arg)
{
    for (int i = 0; i < 500; i++)
        log_info("many", kv_s("who", arg), kv_i("i", i));
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    static char who[3][2] = { "a", "b", "c" };
    pthread_t t[3];
    size_t n = 0;
    char *at;

    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, logs_a_lot, who[i]), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    (void)written();
    at = text;
    for (char *end; (end = strchr(at, '\n')); at = end + 1, n++) {
        struct err err;
        json_t *v;

        assert_int_equal(json_parse(*state, at, (size_t)(end - at), &v, &err), 0);
    }
    assert_int_equal(n, 1500);
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static size_t lines_written(void)
{
    size_t n = 0;

    for (const char *s = written(); (s = strchr(s, '\n')); s++)
        n++;
    return n;
}

/* In a round: lines up to info wait for its end, a warning takes those before it along. */
static void in_a_round(struct deferred *d)
{
    log_info("one", kv_i("n", 1));
    log_info("two", kv_i("n", 2));
    assert_int_equal(lines_written(), 0);
    log_warn("three", kv_i("n", 3));
    assert_int_equal(lines_written(), 3);
    log_info("four", kv_i("n", 4));
    assert_int_equal(lines_written(), 3);
    for (size_t i = 0; i < 2000; i++) /* more than the room there is */
        log_info("many", kv_i("n", (int64_t)i));
    d->fn = NULL;
    loop_stop(loop_self());
}

static void lines_of_a_round_leave_whole_and_in_order(void **state)
{
    struct loop *l = loop_new();
    struct deferred d = { .fn = in_a_round };
    const char *at;

    (void)state;
    loop_defer(l, &d);
    loop_run(l);
    assert_int_equal(lines_written(), 2004);
    at = written();
    for (size_t i = 0; i < 4; i++) {
        static const char *const order[] = { "\"one\"", "\"two\"", "\"three\"", "\"four\"" };

        at = strstr(at, order[i]);
        assert_non_null(at);
    }
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(line_has_all_it_must),
        LOG_TEST(line_without_context_or_pairs),
        LOG_TEST(values_are_escaped),
        LOG_TEST(level_filters),
        LOG_TEST(long_lines_are_cut_and_still_json),
        LOG_TEST(lines_of_threads_do_not_mix),
        LOG_TEST(lines_of_a_round_leave_whole_and_in_order),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
