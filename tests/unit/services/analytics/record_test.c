/* proves: N-01 */
#include "services/analytics/record.h"

#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ROW                                                                                        \
    "[1795819680000000,\"0195f3c2-6f00-7abc-8def-0123456789ab\",\"GET\",\"/api/v2/posts\",200,0,"  \
    "512,1840,20,900,7,0,3,0,\"9f86d081884c7d65\",\"curl\",\"DE\",\"\"]"
#define ROW_WITH(agent)                                                                            \
    "[1795819680000000,\"\",\"GET\",\"/api/v2/posts\",200,0,512,1840,20,900,7,0,3,0,"              \
    "\"9f86d081884c7d65\",\"" agent "\",\"DE\",\"\"]"
#define MESSAGE(rows)                                                                              \
    "{\"v\":1,\"program\":\"api\",\"dropped\":2,\"rule\":\"buffer_full\",\"rows\":" rows "}"

#define CHANGES(rows)                                                                              \
    "{\"v\":2,\"program\":\"api\",\"dropped\":2,\"rule\":\"buffer_full\",\"rows\":" rows "}"
/* Which fields it says, and all of ROW. */
#define FIRST                                                                                      \
    "[262143,1795819680000000,\"0195f3c2-6f00-7abc-8def-0123456789ab\",\"GET\",\"/api/v2/posts\"," \
    "200,0,512,1840,20,900,7,0,3,0,\"9f86d081884c7d65\",\"curl\",\"DE\",\"\"]"

static int read_text(struct arena *a, const char *json, struct batch *ret)
{
    struct err err = { 0 };
    return batch_read(a, json, strlen(json), ret, &err);
}

static void a_message_is_read_and_shown_as_the_log_has_it(void **state)
{
    struct arena *a = arena_new();
    struct batch b;
    struct buf text;
    int64_t number;
    (void)state;
    assert_int_equal(read_text(a, MESSAGE("[" ROW "," ROW "]"), &b), 0);
    assert_int_equal(b.n, 2);
    assert_int_equal(b.dropped, 2);
    assert_string_equal(b.program, "api");
    assert_int_equal(b.rows[1].number[RR_db_us], 900);
    assert_int_equal(record_consumer(&b.rows[0], &number), BY_KEY);
    assert_int_equal(number, 7);
    buf_init(&text, a, 512, 4096);
    record_json(&text, &b, &b.rows[0]);
    assert_non_null(strstr(text.data, "\"key\":{\"id\":7},\"client\":null,\"user\":{\"id\":3}"));
    assert_non_null(strstr(text.data, "\"problem\":null"));
    json_t *tree = json_loads(text.data, 0, NULL);
    assert_non_null(tree);
    json_decref(tree);
    arena_free(a);
}

static void texts_are_each_rows_own(void **state)
{
    static const char *const agents[] = { "curl", "curl", "curlx", "curl", "cur",
                                          "",     "curl", "other", "othe", "other" };
    static const char whole[] = MESSAGE("[" ROW_WITH("curl") "," ROW_WITH("curl") "]");
    struct arena *a = arena_new();
    struct batch b;
    struct buf text;
    (void)state;
    buf_init(&text, a, 4096, 16384);
    buf_puts(&text, "{\"v\":1,\"program\":\"api\",\"dropped\":0,\"rule\":\"x\",\"rows\":[");
    for (size_t i = 0; i < ARRAY_LEN(agents); i++)
        buf_printf(&text,
                   "%s[1795819680000000,\"\",\"GET\",\"/r\",200,0,512,1840,20,900,7,0,3,0,"
                   "\"9f86d081884c7d65\",\"%s\",\"DE\",\"%s\"]",
                   i ? "," : "", agents[i], agents[ARRAY_LEN(agents) - 1 - i]);
    buf_puts(&text, "]}");
    assert_int_equal(read_text(a, text.data, &b), 0);
    assert_int_equal(b.n, ARRAY_LEN(agents));
    for (size_t i = 0; i < b.n; i++) {
        assert_string_equal(b.rows[i].text[RR_agent], agents[i]);
        assert_string_equal(b.rows[i].text[RR_problem], agents[ARRAY_LEN(agents) - 1 - i]);
    }
    for (size_t n = 0; n < sizeof whole - 1; n++) { /* cut off anywhere, in a text or behind it */
        struct err err = { 0 };
        assert_int_equal(batch_read(a, whole, n, &b, &err), -E_invalid);
    }
    arena_free(a);
}

/* Version 2: bit 4 is the status, bit 7 the time it took, bit 15 the agent. */
static void what_a_row_does_not_say_is_as_in_the_row_before(void **state)
{
    static const char text[] = CHANGES(
        "[" FIRST ",[0],[32912,404,77,\"wget\"],[128,78],[262144,\"later\"],[786560,79,5,6]]");
    static const struct {
        int64_t status, total_us;
        const char *agent;
    } want[] = {
        { 200, 1840, "curl" },
        { 200, 1840, "curl" },
        { 404, 77,   "wget" },
        { 404, 78,   "wget" },
        { 404, 78,   "wget" },
        { 404, 79,   "wget" },
    };
    struct arena *a = arena_new();
    struct batch b;
    (void)state;
    assert_int_equal(read_text(a, text, &b), 0);
    assert_int_equal(b.n, ARRAY_LEN(want));
    for (size_t i = 0; i < b.n; i++) {
        assert_int_equal(b.rows[i].number[RR_status], want[i].status);
        assert_int_equal(b.rows[i].number[RR_total_us], want[i].total_us);
        assert_string_equal(b.rows[i].text[RR_agent], want[i].agent);
        assert_int_equal(b.rows[i].number[RR_db_us], 900);
        assert_ptr_equal(b.rows[i].text[RR_route],
                         b.rows[0].text[RR_route]); /* as ingest sees it */
    }
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct err err = { 0 };
        assert_int_equal(batch_read(a, text, n, &b, &err), -E_invalid);
    }
    arena_free(a);
}

static void what_is_no_record_is_refused_whole(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{\"v\":3,\"program\":\"api\",\"dropped\":0,\"rule\":\"x\",\"rows\":[]}",
        "{\"v\":0,\"program\":\"api\",\"dropped\":0,\"rule\":\"x\",\"rows\":[]}",
        "{\"program\":\"api\",\"dropped\":0,\"rule\":\"x\",\"rows\":[],\"v\":2}", /* rows of what?
                                                                                   */
        CHANGES("[[0]]"),                                                         /* as what? */
        CHANGES("[[262142,\"\",\"GET\",\"/\",200,0,0,1,1,1,7,0,3,0,\"9f86d081884c7d65\",\"curl\","
                "\"DE\",\"\"]]"),
        CHANGES("[" ROW "]"),
        CHANGES("[" FIRST ",[]]"),
        CHANGES("[" FIRST ",[16]]"),                  /* a value too few */
        CHANGES("[" FIRST ",[16,200,1]]"),            /* or too many */
        CHANGES("[" FIRST ",[16,\"200\"]]"),          /* a text for a number */
        CHANGES("[" FIRST ",[4,7]]"),                 /* a number for a text */
        CHANGES("[" FIRST ",[16,7]]"),                /* no status */
        CHANGES("[" FIRST ",[2,\"a@example.com\"]]"), /* no id */
        CHANGES("[" FIRST ",[16384,\"192.0.2.7\"]]"), /* an address */
        CHANGES("[" FIRST ",[1,-1]]"),
        CHANGES("[" FIRST ",[9007199254740992,1]]"),
        MESSAGE("[" FIRST "]"),
        "{\"v\":1,\"dropped\":0,\"rule\":\"x\",\"rows\":[]}",
        "{\"v\":1,\"program\":\"api\",\"dropped\":-1,\"rule\":\"x\",\"rows\":[]}",
        MESSAGE("{}"),
        MESSAGE("[[1,2,3]]"),
        MESSAGE("[[1795819680000000,\"alice@example.com\",\"GET\",\"/\",200,0,0,1,1,1,7,0,3,0,"
                "\"9f86d081884c7d65\",\"curl\",\"DE\",\"\"]]"),
        MESSAGE(
            "[[1795819680000000,\"\",\"GET\",\"/\",200,0,0,1,1,1,7,0,3,0,\"192.0.2.7\",\"curl\","
            "\"DE\",\"\"]]"),
        MESSAGE("[[-5,\"\",\"GET\",\"/"
                "\",200,0,0,1,1,1,7,0,3,0,\"9f86d081884c7d65\",\"curl\",\"\",\"\"]]"),
        MESSAGE(
            "[[5,\"\",\"GET\",\"/\",7,0,0,1,1,1,7,0,3,0,\"9f86d081884c7d65\",\"curl\",\"\",\"\"]]"),
        MESSAGE("[" ROW "]") "x", /* something behind it */
        MESSAGE("[" ROW ",]"),
        MESSAGE("[" ROW ROW "]"),
        MESSAGE("[" ROW_WITH("cu\\u0072l") "]"),  /* no sender writes escapes, */
        MESSAGE("[" ROW_WITH("c\xc3\xbcrl") "]"), /* bytes beyond ASCII */
        MESSAGE("[" ROW_WITH("cu\trl") "]"),      /* or controls */
        "{\"v\":1,\"v\":1,\"program\":\"api\",\"dropped\":0,\"rule\":\"x\",\"rows\":[]}",
        "{\"v\":01,\"program\":\"api\",\"dropped\":0,\"rule\":\"x\",\"rows\":[]}",
        "{\"v\":1,\"program\":\"api\",\"dropped\":9007199254740992,\"rule\":\"x\",\"rows\":[]}",
        "{\"v\":1,\"program\":\"api\",\"dropped\":0,\"rule\":\"x\",\"rows\":[],\"more\":1}",
    };
    struct arena *a = arena_new();
    struct batch b;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (!read_text(a, bad[i], &b))
            fail_msg("taken: %s", bad[i]);
    }
    arena_free(a);
}

static void a_user_agent_is_known_by_its_family_only(void **state)
{
    static const char *const cases[][2] = {
        { "curl/8.5.0",                                                              "curl"            },
        { "Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 Chrome/131.0 Safari/537.36",  "chrome"          },
        { "Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/131.0 Safari/537.36 Edg/131", "edge"            },
        { "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/18 Safari/605.1.15", "safari"          },
        { "python-requests/2.32",                                                    "python-requests" },
        { "Mozilla/5.0 (compatible; Googlebot/2.1)",                                 "googlebot"       },
        { "alice.smith@example.com's own client",                                    "other"           },
        { "",                                                                        "none"            },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(agent_family(cases[i][0]), cases[i][1]);
    assert_string_equal(agent_family(NULL), "none");
}

/* Programs of two versions run side by side while they are replaced. */
static void a_later_sender_may_say_more_of_a_request(void **state)
{
    static const char text[] =
        MESSAGE("[[1795819680000000,\"\",\"GET\",\"/\",200,0,0,1,1,1,7,0,3,0,"
                "\"9f86d081884c7d65\",\"curl\",\"DE\",\"gone\",\"later\",7]]");
    struct arena *a = arena_new();
    struct batch b;
    struct err err;
    (void)state;
    assert_int_equal(batch_read(a, text, strlen(text), &b, &err), 0);
    assert_int_equal(b.n, 1);
    assert_string_equal(b.rows[0].text[RR_problem], "gone");
    arena_free(a);
}

static void a_message_has_a_limit_of_rows(void **state)
{
    struct arena *a = arena_new();
    (void)state;
    for (size_t rows = request_batch_rows_max; rows <= request_batch_rows_max + 1; rows++) {
        struct buf text;
        struct batch b;
        buf_init(&text, a, 65536, 1 << 20);
        buf_puts(&text, "{\"v\":1,\"program\":\"api\",\"dropped\":0,\"rule\":\"x\",\"rows\":[");
        for (size_t i = 0; i < rows; i++)
            buf_puts(&text, i ? "," ROW : ROW);
        buf_puts(&text, "]}");
        int rc = batch_read(a, text.data, text.len, &b, &(struct err){ 0 });
        assert_int_equal(rc, rows > request_batch_rows_max ? -E_invalid : 0);
        assert_int_equal(b.n, request_batch_rows_max);
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_read_and_shown_as_the_log_has_it),
        cmocka_unit_test(texts_are_each_rows_own),
        cmocka_unit_test(what_a_row_does_not_say_is_as_in_the_row_before),
        cmocka_unit_test(what_is_no_record_is_refused_whole),
        cmocka_unit_test(a_later_sender_may_say_more_of_a_request),
        cmocka_unit_test(a_message_has_a_limit_of_rows),
        cmocka_unit_test(a_user_agent_is_known_by_its_family_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
