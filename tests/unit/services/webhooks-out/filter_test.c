/* Conditions on events. proves: W-08 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/str.h"
#include "services/webhooks-out/filter.h"

static const char data[] =
    "{\"id\":7,\"title\":\"Green "
    "Tea\",\"status\":\"published\",\"capacity\":500,\"price\":9.5,\"open\":true,"
    "\"author\":{\"id\":3},\"tags\":[\"tea\",\"green\"],\"speakers\":[{\"id\":1},{\"id\":2}],"
    "\"nothing\":null,"
    "\"published_at\":\"2026-02-19T08:00:00.000000Z\",\"meta\":{\"color\":\"blue\",\"deep\":{\"n\":"
    "1}}}";

static bool known(void *ctx, const char *field, size_t n)
{
    (void)ctx;
    return strncmp(field, "unknown", n) != 0;
}

static int ask(struct arena *a, const char *text, struct err *err)
{
    struct filter *f;
    json_t *tree, *subject, *changed = json_in(a, json_pack("[ss]", "status", "title"));
    assert_int_equal(json_parse(a, text, strlen(text), &tree, err), 0);
    assert_int_equal(json_parse(a, data, strlen(data), &subject, err), 0);
    if (filter_parse(a, tree, known, NULL, &f, err))
        fail_msg("%s: %s %s", text, err->pointer, err->msg);
    return filter_holds(f, subject, "event.updated", changed, err);
}

static void means_what_list_filters_mean(void **state)
{
    static const struct {
        const char *filter;
        int holds; /* 1, 0; -1: cannot be said */
    } cases[] = {
        { "{}",                                                                         1  },
        { "{\"status\":\"published\"}",                                                 1  },
        { "{\"status\":\"draft\"}",                                                     0  },
        { "{\"status\":{\"ne\":\"draft\"}}",                                            1  },
        { "{\"status\":{\"in\":[\"draft\",\"published\"]}}",                            1  },
        { "{\"status\":{\"nin\":[\"draft\",\"published\"]}}",                           0  },
        { "{\"capacity\":500}",                                                         1  },
        { "{\"capacity\":{\"gt\":499,\"lt\":501}}",                                     1  },
        { "{\"capacity\":{\"gte\":500}}",                                               1  },
        { "{\"capacity\":{\"lte\":499}}",                                               0  },
        { "{\"capacity\":{\"between\":[400,500]}}",                                     1  },
        { "{\"capacity\":{\"between\":[501,600]}}",                                     0  },
        { "{\"price\":9.5}",                                                            1  },
        { "{\"open\":true}",                                                            1  },
        { "{\"open\":{\"ne\":true}}",                                                   0  },
        { "{\"author\":3}",                                                             1  },
        { "{\"author.id\":{\"in\":[3,4]}}",                                             1  },
        { "{\"meta.deep.n\":1}",                                                        1  },
        { "{\"meta.deep.none\":1}",                                                     0  },
        { "{\"tags\":{\"contains\":\"tea\"}}",                                          1  },
        { "{\"tags\":{\"contains\":\"coffee\"}}",                                       0  },
        { "{\"speakers\":{\"contains\":2}}",                                            1  },
        { "{\"title\":{\"contains\":\"TEA\"}}",                                         1  },
        { "{\"title\":{\"like\":\"Green*\"}}",                                          1  },
        { "{\"title\":{\"like\":\"green*\"}}",                                          0  },
        { "{\"title\":{\"ilike\":\"green%a\"}}",                                        1  },
        { "{\"title\":{\"like\":\"_reen T_a\"}}",                                       1  },
        { "{\"title\":{\"like\":\"Gree\"}}",                                            0  },
        { "{\"nothing\":{\"null\":true}}",                                              1  },
        { "{\"absent\":{\"null\":true}}",                                               1  },
        { "{\"title\":{\"null\":true}}",                                                0  },
        { "{\"title\":{\"null\":false}}",                                               1  },
        { "{\"absent\":\"x\"}",                                                         0  },
        { "{\"absent\":{\"ne\":\"x\"}}",                                                1  },
        { "{\"absent\":{\"nin\":[\"x\"]}}",                                             1  },
        { "{\"absent\":{\"lt\":5}}",                                                    0  },
        { "{\"not\":{\"absent\":\"x\"}}",                                               1  },
        { "{\"published_at\":{\"gte\":\"2026-02-19T09:00:00+01:00\"}}",                 1  },
        { "{\"published_at\":\"2026-02-19T08:00:00Z\"}",                                1  },
        { "{\"or\":[{\"status\":\"draft\"},{\"capacity\":500}]}",                       1  },
        { "{\"or\":[{\"status\":\"draft\"},{\"capacity\":1}]}",                         0  },
        { "{\"and\":[{\"status\":\"published\"},{\"capacity\":1}]}",                    0  },
        { "{\"not\":{\"or\":[{\"status\":\"draft\"},{\"capacity\":1}]},\"open\":true}", 1  },
        { "{\"$.type\":\"event.updated\",\"$.changed\":{\"contains\":\"title\"}}",      1  },
        { "{\"$.changed\":{\"contains\":\"slug\"}}",                                    0  },
        { "{\"title\":{\"lt\":5}}",                                                     -1 },
        { "{\"capacity\":{\"like\":\"5*\"}}",                                           -1 },
        { "{\"meta\":{\"gt\":\"a\"}}",                                                  -1 },
        { "{\"status\":\"draft\",\"title\":{\"lt\":5}}",                                0  }, /* decided before */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *a = arena_new();
        struct err err;
        int got = ask(a, cases[i].filter, &err);
        if ((got < 0 ? -1 : got) != cases[i].holds)
            fail_msg("%s: %d", cases[i].filter, got);
        arena_free(a);
    }
}

static void what_is_wrong_is_refused_where_it_stands(void **state)
{
    static const struct {
        const char *filter, *pointer;
    } cases[] = {
        { "{\"status\":{\"eqq\":1}}",                "/status/eqq"                                  },
        { "{\"status\":{\"fts\":\"tea\"}}",          "/status/fts"                                  },
        { "{\"status\":{}}",                         "/status"                                      },
        { "{\"status\":null}",                       "/status"                                      },
        { "{\"status\":[1]}",                        "/status"                                      },
        { "{\"status\":{\"in\":\"a\"}}",             "/status/in"                                   },
        { "{\"status\":{\"in\":[]}}",                "/status/in"                                   },
        { "{\"status\":{\"in\":[{}]}}",              "/status/in"                                   },
        { "{\"status\":{\"between\":[1]}}",          "/status/between"                              },
        { "{\"status\":{\"like\":5}}",               "/status/like"                                 },
        { "{\"status\":{\"gt\":true}}",              "/status/gt"                                   },
        { "{\"status\":{\"null\":1}}",               "/status/null"                                 },
        { "{\"unknown\":1}",                         "/unknown"                                     },
        { "{\"unknown.id\":1}",                      "/unknown.id"                                  },
        { "{\"$.time\":1}",                          "/$.time"                                      },
        { "{\"or\":{}}",                             "/or"                                          },
        { "{\"or\":[]}",                             "/or"                                          },
        { "{\"or\":[{\"a\":1},{\"b\":{\"x\":1}}]}",  "/or/1/b/x"                                    },
        { "{\"not\":[]}",                            "/not"                                         },
        { "{\"not\":{\"not\":{\"not\":{\"not\":{\"not\":{\"not\":{\"not\":{\"not\":{\"not\":{"
          "\"not\":{\"not\":{}}}}}}}}}}}}", "/not/not/not/not/not/not/not/not/not/not/not" },
        { "{\"\":1}",                                "/"                                            },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *a = arena_new();
        struct filter *f;
        struct err err;
        json_t *tree;
        assert_int_equal(json_parse(a, cases[i].filter, strlen(cases[i].filter), &tree, &err), 0);
        if (filter_parse(a, tree, known, NULL, &f, &err) != -E_validation ||
            !str_eq(err.pointer, cases[i].pointer))
            fail_msg("%s: %s", cases[i].filter, err.pointer);
        arena_free(a);
    }
}

static void there_are_at_most_twenty_conditions(void **state)
{
    struct arena *a = arena_new();
    struct filter *f;
    struct err err;
    json_t *tree = json_in(a, json_object());
    (void)state;
    for (int i = 0; i < filter_tests_max; i++)
        json_object_set_new(tree, arena_printf(a, "f%d", i), json_integer(i));
    assert_int_equal(filter_parse(a, tree, NULL, NULL, &f, &err), 0);
    json_object_set_new(tree, "one_more", json_integer(1));
    assert_int_equal(filter_parse(a, tree, NULL, NULL, &f, &err), -E_validation);
    arena_free(a);
}

/* A pattern that would keep a backtracking matcher busy for years. */
static void patterns_cost_little(void **state)
{
    struct arena *a = arena_new();
    struct filter *f;
    struct err err;
    char text[filter_value_bytes_max], pattern[filter_value_bytes_max];
    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (size_t i = 0; i + 2 < sizeof(pattern); i += 2)
        memcpy(pattern + i, "*a", 2);
    memcpy(pattern + sizeof(pattern) - 4, "*b", 3);
    json_t *tree = json_in(a, json_pack("{s:{s:s}}", "t", "like", pattern));
    json_t *subject = json_in(a, json_pack("{s:s}", "t", text));
    assert_int_equal(filter_parse(a, tree, NULL, NULL, &f, &err), 0);
    assert_int_equal(filter_holds(f, subject, "x.y", NULL, &err), 0);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_what_list_filters_mean),
        cmocka_unit_test(what_is_wrong_is_refused_where_it_stands),
        cmocka_unit_test(there_are_at_most_twenty_conditions),
        cmocka_unit_test(patterns_cost_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
