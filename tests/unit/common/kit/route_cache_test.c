/* Kept answers in the pipeline: the same bytes, no parking, and every phase before them still runs.
 */
#define _GNU_SOURCE /* strcasestr */
#include "common/kit/rcache.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/kit/route.h"

#include "tests/unit/common/kit/route_fixture.h"

static int asked; /* how often a handler ran */

static int get_thing(struct req *req, struct res *res, struct err *err)
{
    (void)err;
    fiber_sleep_ms(1); /* as a statement would */
    rcache_made_of_row(req->made, entity_find("company"), VC_ADMIN, 7);
    buf_printf(&res->body, "{\"data\":{\"id\":7,\"text\":\"%01200d\"}}", 0);
    res->etag = "\"3.abc\"";
    res->modified_s = 1700000000; /* Tue, 14 Nov 2023 22:13:20 GMT */
    res->link = "<http://cms.test/next>; rel=\"next\"";
    res_header(res, "X-Total-Count", "9");
    asked++;
    return 0;
}

static int get_mine(struct req *req, struct res *res, struct err *err)
{
    (void)err;
    rcache_made_of_rows(req->made, entity_find("post"), VC_OWN); /* hangs on who asks */
    buf_printf(&res->body, "{\"reader\":%lld}", (long long)req->who.user_id);
    asked++;
    return 0;
}

static int get_silent(struct req *req, struct res *res, struct err *err)
{
    (void)req;
    (void)err;
    buf_puts(&res->body, "{}");
    asked++;
    return 0;
}

static const struct route routes[] = {
    { GET, "/c/things/{id}", get_thing, .flags = ROUTE_PUBLIC | ROUTE_ETAG | ROUTE_CACHED },
    { GET, "/c/mine", get_mine, .scope = "posts:read", .flags = ROUTE_CACHED },
    { GET, "/c/silent", get_silent, .flags = ROUTE_PUBLIC | ROUTE_CACHED },
    { .path = NULL },
};
const struct route *const tables[] = { routes, NULL };

static int begin(void **state)
{
    struct err err;
    int rc = setup(state);
    assert_int_equal(rcache_new(rcache_bytes_min, &w.svc.rcache, &err), 0);
    rcache_fresh_until(w.svc.rcache, clock_mono_us() + INT64_C(1000000000));
    for (size_t i = 0; entities[i]; i++)
        if (rcache_is_timed(entities[i]))
            rcache_due(w.svc.rcache, entities[i], rcache_due_begin(w.svc.rcache), INT64_MAX);
    asked = 0;
    return rc;
}

static int end(void **state)
{
    int rc = teardown(state);
    rcache_free(w.svc.rcache);
    return rc;
}

#define STATUS(s) "\r\nCache-Status: cms365; " s "\r\n"
#define HEAD_OF_IT                                                                                 \
    "\r\nETag: \"3.abc\"\r\n", "\r\nLast-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n",             \
        "\r\nLink: <http://cms.test/next>; rel=\"next\"\r\n", "\r\nX-Total-Count: 9\r\n",          \
        "\r\nContent-Length: 1227\r\n"

static uint64_t suspended(void)
{
    struct httpd_stats s;
    httpd_stats(w.http, &s);
    return s.suspended;
}

/* proves: R-08 */
static void the_third_answer_is_a_kept_one_and_the_same(void **state)
{
    static const struct exchange first[] = {
        { "GET /c/things/7", NULL, NULL, 200, HAS(STATUS("fwd=miss"),         HEAD_OF_IT) },
        { "GET /c/things/7", NULL, NULL, 200, HAS(STATUS("fwd=miss; stored"), HEAD_OF_IT) },
    };
    static const struct exchange hits[] = {
        { "GET /c/things/7", NULL, NULL, 200, HAS(STATUS("hit"), HEAD_OF_IT) },
        { "GET /c/things/7", "If-None-Match: \"3.abc\"\r\n", NULL, 304,
         HAS(STATUS("hit"), "\r\nETag: \"3.abc\"\r\n", "!\nLast-Modified:", "!\nLink:") },
        { "GET /c/things/7", "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT\r\n", NULL, 304,
         HAS(STATUS("hit"), "!text") },
        { "GET /c/things/7", "If-None-Match: \"4.abc\"\r\n", NULL, 200, HAS("\"id\":7") },
        { "GET /c/things/7", "If-Match: \"4.abc\"\r\n", NULL, 412, HAS("\r\nETag: \"3.abc\"\r\n") },
    };
    (void)state;
    talk_all(first, ARRAY_LEN(first));
    uint64_t before = suspended();
    talk_all(hits, ARRAY_LEN(hits));
    assert_int_equal(asked, 2);
    assert_int_equal(suspended(), before); /* rulings.md 2 */
}

/* proves: R-08 */
static void a_change_ends_it(void **state)
{
    static const struct exchange get[] = {
        { "GET /c/things/7", NULL, NULL, 200, HAS("200")                      },
        { "GET /c/things/7", NULL, NULL, 200, HAS(STATUS("fwd=miss; stored")) },
        { "GET /c/things/7", NULL, NULL, 200, HAS(STATUS("hit"))              },
    };
    static const struct exchange after = { "GET /c/things/7", NULL, NULL, 200,
                                           HAS(STATUS("fwd=stale; stored")) };
    (void)state;
    talk_all(get, ARRAY_LEN(get));
    rcache_wrote(w.svc.rcache, entity_find("company"), 8);
    talk_all(get + 2, 1);
    rcache_wrote(w.svc.rcache, entity_find("company"), 7);
    talk_all(&after, 1);
    talk_all(get + 2, 1);
}

/* Form, coding, query and credential make answers of their own; a client may ask past them. */
static void what_decides_the_bytes_is_in_the_key(void **state)
{
    static const struct exchange list[] = {
        { "GET /c/things/7", NULL, NULL, 200, HAS("200") },
        { "GET /c/things/7", NULL, NULL, 200, HAS(STATUS("fwd=miss; stored")) },
        { "GET /c/things/7?", NULL, NULL, 200, HAS(STATUS("hit")) },
        { "GET /c/things/8", NULL, NULL, 200, HAS(STATUS("fwd=miss")) },
        { "GET /c/things/7", "Accept-Encoding: gzip\r\n", NULL, 200,
         HAS(STATUS("fwd=miss"), "\r\nETag: \"3.abc-gzip\"") },
        { "GET /c/things/7", "Accept-Encoding: gzip\r\nIf-None-Match: \"3.abc-gzip\"\r\n", NULL,
         304, HAS(STATUS("fwd=miss; stored"), "!Content-Encoding") },
        { "GET /c/things/7", "Accept-Encoding: gzip\r\n", NULL, 200,
         HAS(STATUS("hit"), "\r\nETag: \"3.abc-gzip\"", "\r\nContent-Encoding: gzip\r\n") },
        { "GET /c/things/7", READER, NULL, 200,
         HAS(STATUS("fwd=miss"), "\r\nCache-Control: private, no-cache\r\n") },
        { "GET /c/things/7", "Cache-Control: max-age=0, No-Cache\r\n", NULL, 200,
         HAS(STATUS("fwd=request")) },
        { "GET /c/silent", NULL, NULL, 200, HAS("200") },
        { "GET /c/silent", NULL, NULL, 200, HAS(STATUS("fwd=miss")) }, /* says nothing of itself */
        { "GET /c/silent", NULL, NULL, 200, HAS(STATUS("fwd=miss")) },
    };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
}

/* proves: R-08 */
static void the_phases_before_it_still_refuse(void **state)
{
    static const struct exchange list[] = {
        { "GET /c/mine", READER, NULL, 200, HAS("200") },
        { "GET /c/mine", READER, NULL, 200, HAS(STATUS("fwd=miss; stored")) },
        { "GET /c/mine", READER, NULL, 200, HAS(STATUS("hit"), "{\"reader\":7}") },
        { "GET /c/mine", WRITER, NULL, 200, HAS(STATUS("fwd=miss")) }, /* other scopes */
        { "GET /c/mine", NULL, NULL, 401, HAS("!Cache-Status") },
        { "GET /c/mine", "Authorization: Bearer other\r\n", NULL, 401, HAS("!Cache-Status") },
        { "GET /c/mine", READER "Accept: image/png\r\n", NULL, 406, HAS("!Cache-Status") },
        { "GET /c/mine?nothing=1", READER, NULL, 400, HAS("nothing") },
    };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
    assert_int_equal(asked, 3);
}

static void a_deaf_replica_asks_each_time(void **state)
{
    static const struct exchange list[] = {
        { "GET /c/things/7", NULL, NULL, 200, HAS("200")         },
        { "GET /c/things/7", NULL, NULL, 200, HAS("stored")      },
        { "GET /c/things/7", NULL, NULL, 200, HAS(STATUS("hit")) },
    };
    static const struct exchange deaf = { "GET /c/things/7", NULL, NULL, 200,
                                          HAS(STATUS("fwd=bypass")) };
    (void)state;
    talk_all(list, ARRAY_LEN(list));
    rcache_fresh_until(w.svc.rcache, clock_mono_us() - 1);
    talk_all(&deaf, 1);
    talk_all(&deaf, 1);
    assert_int_equal(asked, 4);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(the_third_answer_is_a_kept_one_and_the_same),
        T(a_change_ends_it),
        T(what_decides_the_bytes_is_in_the_key),
        T(the_phases_before_it_still_refuse),
        T(a_deaf_replica_asks_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
