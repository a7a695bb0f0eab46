/* Older versions of the API, and what is deprecated. */
#define _GNU_SOURCE /* strcasestr */
#include "common/kit/route_internal.h"

#include "tests/unit/common/kit/route_fixture.h"

const struct route *const tables[] = { NULL };

/* proves: R-01 */
static void rows_of_an_older_version_are_the_present_ones_less_what_it_lacks(void **state)
{
    static const struct param_def query[] = { { .name = "page" }, { .name = "cursor" }, { 0 } };
    static const struct route rows[] = {
        { GET, "/api/v2/posts", NULL, .query = query, .op_id = "list_posts",
         .flags = ROUTE_FORMS | ROUTE_LIST | ROUTE_ETAG },
        { PATCH, "/api/v2/posts", NULL, .op_id = "bulk_posts", .flags = ROUTE_BULK },
        { GET, "/elsewhere", NULL, .op_id = "elsewhere" },
        { PATCH, "/api/v2/posts/{id}", NULL, .op_id = "patch_post",
         .flags = ROUTE_MERGE | ROUTE_PATCHES },
        { .path = NULL },
    };
    struct arena *a = arena_new();
    const struct route *old = route_version_rows(a, &route_versions[1], rows);
    (void)state;
    assert_string_equal(old[0].path, "/api/v1/posts");
    assert_string_equal(old[0].op_id, "v1_list_posts");
    assert_string_equal(old[0].deprecated, "v1");
    assert_int_equal(old[0].flags, ROUTE_LIST | ROUTE_ETAG);
    assert_string_equal(old[0].query[0].name, "page");
    assert_null(old[0].query[1].name);
    assert_string_equal(old[1].path, "/api/v1/posts/{id}");
    assert_int_equal(old[1].flags, ROUTE_MERGE);
    assert_null(old[2].path);
    arena_free(a);
}

/* proves: R-01 */
static void accept_says_which_version(void **state)
{
    static const struct {
        const char *accept;
        int64_t version;
    } rows[] = {
        { NULL,                                                           0  },
        { "",                                                             0  },
        { "application/json",                                             0  },
        { "application/json;version=1",                                   1  },
        { "application/json; Version=\"1\"",                              1  },
        { "application/json;version=1;q=0.4, application/json;version=2", 2  },
        { "application/json;version=1, application/json;version=2",       1  },
        { "application/json;version=1;q=0",                               0  },
        { "application/json;version=1;q=x",                               0  },
        { "text/html, */*;version=1;q=0.1",                               1  },
        { "application/json;version=x",                                   -1 },
        { "application/json;version=12345678901",                         -1 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (accept_version(rows[i].accept) != rows[i].version)
            fail_msg("%s: %lld", rows[i].accept, (long long)accept_version(rows[i].accept));
}

/* proves: R-22 */
static void the_setting_says_since_when_and_until_when(void **state)
{
    static const struct {
        const char *text;
        int64_t since, sunset; /* -1: refused */
    } rows[] = {
        { "",                                          0,          0          },
        { "v1=2026-02-19/2027-12-31",                  1771459200, 1830211200 },
        { " v1=2026-02-19T01:00:00+01:00/2026-02-19 ", 1771459200, 1771459200 },
        { "v1=2026-02-19/2026-02-18",                  -1,         0          },
        { "v1=2026-02-19",                             -1,         0          },
        { "v1=2026-02-30/2027-12-31",                  -1,         0          },
        { "v7=2026-02-19/2027-12-31",                  -1,         0          },
        { "v1",                                        -1,         0          },
    };
    struct arena *a = arena_new();
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct deprecation_dates d[deprecations_max] = { 0 };
        struct err err;
        int rc = deprecation_read(a, rows[i].text, d, &err);
        if ((rc < 0) != (rows[i].since < 0))
            fail_msg("'%s': %d", rows[i].text, rc);
        if (rc < 0)
            assert_int_equal(err.code, E_config);
        else
            assert_true(d[0].since_s == rows[i].since && d[0].sunset_s == rows[i].sunset);
    }
    arena_free(a);
}

int main(void)
{
    (void)talk_all;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_an_older_version_are_the_present_ones_less_what_it_lacks),
        cmocka_unit_test(accept_says_which_version),
        cmocka_unit_test(the_setting_says_since_when_and_until_when),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
