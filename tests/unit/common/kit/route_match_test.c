#include "common/kit/route.h"

#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int fn(struct req *req, struct res *res, struct err *err)
{
    (void)req;
    (void)res;
    (void)err;
    return 0;
}

static const struct route table_a[] = {
    { GET, "/", .fn = fn },
    { GET, "/posts", .fn = fn },
    { POST, "/posts", .fn = fn },
    { GET, "/posts/{id}", .fn = fn },
    { PUT, "/posts/{id}", .fn = fn },
    { PUT, "/posts/slug:{slug}", .fn = fn },
    { GET, "/posts/count", .fn = fn },
    { POST, "/posts/{id}/restore", .fn = fn },
    { GET, "/{kind}/{id}/x/{third}", .fn = fn },
    { .path = NULL },
};
static const struct route table_b[] = {
    { GET, "/schemas/{name}.json", .fn = fn },
    { DELETE, "/posts/{id}", .fn = fn },
    { .path = NULL },
};
static const struct route *const tables[] = { table_a, table_b, NULL };

static void paths_find_their_rows(void **state)
{
    static const struct {
        enum method m;
        const char *path, *want, *param; /* want NULL: no row; param: the first value */
    } cases[] = {
        { GET,    "/",                                      "/",                      NULL          },
        { GET,    "/posts",                                 "/posts",                 NULL          },
        { HEAD,   "/posts",                                 "/posts",                 NULL          },
        { GET,    "/posts/7",                               "/posts/{id}",            "7"           },
        { GET,    "/posts/count",                           "/posts/count",           NULL          },
        { GET,    "/posts/counts",                          "/posts/{id}",            "counts"      },
        { GET,    "/p%6Fsts/7",                             "/posts/{id}",            "7"           },
        { GET,    "/posts/a%2Fb",                           "/posts/{id}",            "a/b"         },
        { GET,    "/posts/%C3%BC",                          "/posts/{id}",            "\xc3\xbc"    },
        { PUT,    "/posts/slug:hello-world",                "/posts/slug:{slug}",     "hello-world" },
        { PUT,    "/posts/slug:",                           "/posts/{id}",            "slug:"       },
        { POST,   "/posts/7/restore",                       "/posts/{id}/restore",    "7"           },
        { GET,    "/posts/7/x/9",                           "/{kind}/{id}/x/{third}", "posts"       },
        { GET,    "/schemas/post.json",                     "/schemas/{name}.json",   "post"        },
        { GET,    "/schemas/.json",                         NULL,                     NULL          },
        { DELETE, "/posts/7",                               "/posts/{id}",            "7"           },
        { GET,    "",                                       NULL,                     NULL          },
        { GET,    "*",                                      NULL,                     NULL          },
        { GET,    "posts",                                  NULL,                     NULL          },
        { GET,    "/posts/",                                NULL,                     NULL          },
        { GET,    "//posts",                                NULL,                     NULL          },
        { GET,    "/posts//7",                              NULL,                     NULL          },
        { GET,    "/./posts",                               NULL,                     NULL          },
        { GET,    "/posts/..",                              NULL,                     NULL          },
        { GET,    "/posts/%2e%2E",                          NULL,                     NULL          },
        { GET,    "/posts/%2",                              NULL,                     NULL          },
        { GET,    "/posts/%zz",                             NULL,                     NULL          },
        { GET,    "/posts/a%00b",                           NULL,                     NULL          },
        { GET,    "/posts/%ff",                             NULL,                     NULL          },
        { GET,    "/posts/\xff",                            NULL,                     NULL          },
        { GET,    "/POSTS",                                 NULL,                     NULL          },
        { GET,    "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s", NULL,                     NULL          },
    };
    struct arena *a = arena_new();
    struct err err;
    struct routes *r = routes_new(a, tables, &err);
    (void)state;
    assert_non_null(r);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *params[4] = { NULL };
        unsigned allowed;
        const struct route *got = routes_match(r, a, cases[i].m, cases[i].path, params, &allowed);
        if (!str_eq(got ? got->path : NULL, cases[i].want))
            fail_msg("%s: %s", cases[i].path, got ? got->path : "none");
        if (cases[i].param)
            assert_string_equal(params[0], cases[i].param);
        assert_int_equal(allowed != 0, cases[i].want != NULL);
    }
    arena_free(a);
}

static void known_path_says_which_methods(void **state)
{
    struct arena *a = arena_new();
    struct err err;
    struct routes *r = routes_new(a, tables, &err);
    const char *params[4];
    unsigned allowed;
    (void)state;
    assert_null(routes_match(r, a, PATCH, "/posts/7", params, &allowed));
    assert_int_equal(allowed, 1 << GET | 1 << HEAD | 1 << PUT | 1 << DELETE | 1 << OPTIONS);
    assert_null(routes_match(r, a, HEAD, "/posts/7/restore", params, &allowed));
    assert_int_equal(allowed, 1 << POST | 1 << OPTIONS);
    assert_null(routes_match(r, a, METHODS_MAX_, "/posts", params, &allowed)); /* TRACE */
    assert_int_equal(allowed, 1 << GET | 1 << HEAD | 1 << POST | 1 << OPTIONS);
    arena_free(a);
}

static void bad_tables_stop_the_start(void **state)
{
    static const struct route bad[][3] = {
        { { GET, "/a/{x}", .fn = fn }, { GET, "/a/{y}", .fn = fn } },
        { { GET, "a", .fn = fn } },
        { { GET, "/a//b", .fn = fn } },
        { { GET, "/a/{x", .fn = fn } },
        { { GET, "/{a}/{b}/{c}/{d}/{e}", .fn = fn } },
        { { GET, "/a", .fn = fn, .scope = "no:such" } },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct route *const list[] = { bad[i], NULL };
        struct arena *a = arena_new();
        struct err err = { 0 };
        assert_null(routes_new(a, list, &err));
        assert_int_equal(err.code, E_config);
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_find_their_rows),
        cmocka_unit_test(known_path_says_which_methods),
        cmocka_unit_test(bad_tables_stop_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
