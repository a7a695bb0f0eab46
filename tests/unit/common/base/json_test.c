#include "common/base/json.h"

#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = arena_new();
    return 0;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

/* RFC 7493: what is taken comes back as it was (but for spaces and number forms). */
static void valid_texts_round_trip(void **state)
{
    static const char *const cases[][2] = {
        { "{}",                                            "{}"                                  },
        { " [ ] ",                                         "[]"                                  },
        { "null",                                          "null"                                },
        { "true",                                          "true"                                },
        { "\"\"",                                          "\"\""                                },
        { "-0",                                            "0"                                   },
        { "9223372036854775807",                           "9223372036854775807"                 },
        { "-9223372036854775808",                          "-9223372036854775808"                },
        { "{\"b\":1,\"a\":[1,2,{\"c\":false}]}",           "{\"b\":1,\"a\":[1,2,{\"c\":false}]}" },
        { "0.1",                                           "0.1"                                 },
        { "1.0",                                           "1.0"                                 },
        { "1e2",                                           "100.0"                               },
        { "1.7976931348623157e308",                        "1.7976931348623157e+308"             },
        { "123456789.123456789",                           "123456789.12345679"                  },
        { "\"\\u00e4\\ud83d\\ude00\\/\\n\"",               "\"ä\xF0\x9F\x98\x80/\\n\""          },
        { "\"\\u0001\\u001F\\u007f\"",                     "\"\\u0001\\u001f\x7f\""              },
        { "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"",
         "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\""                                         },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };
        json_t *v = NULL;

        if (json_parse(*state, cases[i][0], strlen(cases[i][0]), &v, &err) != 0)
            fail_msg("%s: %s", cases[i][0], err.msg);
        assert_string_equal(json_text(*state, v), cases[i][1]);
    }
}

static void invalid_texts_are_refused(void **state)
{
    static const struct {
        const char *in;
        size_t n; /* 0: strlen */
        const char *msg;
    } cases[] = {
        { "",                          0, "The body is empty."                                    },
        { "\xEF\xBB\xBF{}",            0, "A byte order mark is not allowed at line 1, column 1." },
        { "{\"a\":1,\"a\":2}",         0, "An object has the same key twice at line 1, column 1"  },
        { "{\"a\":{\"x\":1,\"x\":2}}", 0, "An object has the same key twice at line 1, column 1"  },
        { "\"\\u0000\"",               0, "A string has a NUL character at line 1"                },
        { "{\"\\u0000\":1}",           0, "A string has a NUL character at line 1"                },
        { "{\"a\":\0}",                7, "The text is not valid UTF-8 at line 1, column 6."      },
        { "{\n\"ä\": \"\xFF\"}",      0, "The text is not valid UTF-8 at line 2, column 7."      },
        { "\"\xED\xA0\x80\"",          0, "The text is not valid UTF-8 at line 1, column 2."      },
        { "\"\\ud800\"",               0, "The text is not JSON at line 1"                        },
        { "\"\\udc00\\ud800\"",        0, "The text is not JSON at line 1"                        },
        { "9223372036854775808",       0, "A number is out of range at line 1"                    },
        { "-9223372036854775809",      0, "A number is out of range at line 1"                    },
        { "1e400",                     0, "A number is out of range at line 1"                    },
        { "{} {}",                     0, "There is more after the value at line 1"               },
        { "{}x",                       0, "There is more after the value at line 1"               },
        { "{\"a\":",                   0, "The text ends too early at line 1"                     },
        { "[1,]",                      0, "The text is not JSON at line 1, column 4."             },
        { "{'a':1}",                   0, "The text is not JSON at line 1"                        },
        { "[01]",                      0, "The text is not JSON at line 1"                        },
        { "NaN",                       0, "The text is not JSON at line 1"                        },
        { "[1] // no",                 0, "There is more after the value at line 1"               },
        { "\"a\nb\"",                  0, "The text is not JSON at line 1"                        },
        { "   ",                       0, "The text"                                              },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };
        json_t *v = (json_t *)*state;
        size_t n = cases[i].n ? cases[i].n : strlen(cases[i].in);

        assert_int_equal(json_parse(*state, cases[i].in, n, &v, &err), -E_invalid_json);
        assert_int_equal(err.code, E_invalid_json);
        if (!str_starts(err.msg, cases[i].msg))
            fail_msg("%s: %s", cases[i].in, err.msg);
        assert_ptr_equal(v, *state); /* outputs are untouched */
    }
}

/* Takes what jansson's own reader takes, for the same values. */
static void as_jansson(struct arena *a, const char *text, size_t n)
{
    struct err err = { 0 };
    json_t *mine = NULL, *its = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    bool taken = json_parse(a, text, n, &mine, &err) == 0;
    bool same = taken == (its != NULL) && (!taken || json_equal(mine, its));
    json_decref(its);
    if (!same)
        fail_msg("%.*s: %s", (int)n, text, err.msg);
}

/* Each text, each of its beginnings, and with each byte left out or replaced. */
static void reads_as_jansson_does(void **state)
{
    static const char *const seeds[] = {
        "{\"a\":[1,-2.5e+3,0,true,false,null],\"b\\n\":{\"\":\"x\"},\"c\" : [ ] }",
        "[\"plain enough to be taken by eights\",\"\\u00e4\\uD83D\\ude00 "
        "\\\"\\\\\\/\\b\\f\\n\\r\\t end\"]",
        "\"\\ud83d\\ud83d\\ude00\"",
        "\"1234567\\u0041\\ud800\\udc00\\udbff\\udfff\"",
        "\"\\u0800\\uffff\\u007f\\u0080\\u07ff\"",
        "[9223372036854775807,-9223372036854775808,-0,-0.0,1E5,1e-400,0.1]",
        " \t\r\n{\"k\":0,\"kk\":{\"k\":1}} \n",
        "[\"ä€\xF0\x9F\x98\x80\",\"0123456\x7f\"]",
        "true",
        "[[[]],{}]",
    };
    static const char swaps[] = "\"\\{}[]:,0123456789aAeEuUv.+-tfn/ \n\x01\x1f\x7f\x80\xff";
    for (size_t i = 0; i < ARRAY_LEN(seeds); i++) {
        size_t n = strlen(seeds[i]);
        char text[128];
        assert_true(n < sizeof(text));
        for (size_t at = 0; at <= n; at++) {
            if (at)
                as_jansson(*state, seeds[i], at);
            for (size_t k = 0; at < n && k < sizeof(swaps) - 1; k++) {
                memcpy(text, seeds[i], n);
                text[at] = swaps[k];
                as_jansson(*state, text, n);
            }
            if (at < n && n > 1) {
                memcpy(text, seeds[i], at);
                memcpy(text + at, seeds[i] + at + 1, n - at - 1);
                as_jansson(*state, text, n - 1);
            }
        }
    }
}

/* Where it went wrong, to the byte. */
static void faults_have_their_places(void **state)
{
    static const struct {
        const char *in, *msg, *at;
    } cases[] = {
        { "{\"a\":{\"b\":1,\"b\":2}}",   "An object has the same key twice at line 1, column 16.",
         "/a/b"                                                                                           },
        { "[1,\n 2e999]",                "A number is out of range at line 2, column 2.",          "/1"   },
        { "{\"a\":[\"x\",\"\\q\"]}",     "The text is not JSON at line 1, column 12.",             "/a/1" },
        { "{\"a\":\"12345678\\u0000\"}", "A string has a NUL character at line 1, column 15.",
         "/a"                                                                                             },
        { "{\"a\":\"12345678\x02\"}",    "The text is not JSON at line 1, column 15.",             "/a"   },
        { "{\"a\" 1}",                   "The text is not JSON at line 1, column 6.",              "/a"   },
        { "{\"a\":1 \"b\":2}",           "The text is not JSON at line 1, column 8.",              "/a"   },
        { "[tru]",                       "The text is not JSON at line 1, column 5.",              "/0"   },
        { "[1,2",                        "The text ends too early at line 1, column 5.",           "/1"   },
        { "[\"abc\\",                    "The text ends too early at line 1, column 7.",           "/0"   },
        { "[-]",                         "The text is not JSON at line 1, column 3.",              "/0"   },
        { "[1.]",                        "The text is not JSON at line 1, column 4.",              "/0"   },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };
        json_t *v;
        assert_int_equal(json_parse(*state, cases[i].in, strlen(cases[i].in), &v, &err),
                         -E_invalid_json);
        assert_string_equal(err.msg, cases[i].msg);
        assert_string_equal(err.pointer, cases[i].at);
    }
}

static void message_does_not_quote_the_text(void **state)
{
    static const char *const secrets[] = { "{\"password\":\"hunter2\" x}", "[hunter2]",
                                           "{\"hunter2\":1,\"hunter2\":2}", "hunter2" };

    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        struct err err = { 0 };
        json_t *v;

        assert_true(json_parse(*state, secrets[i], strlen(secrets[i]), &v, &err) < 0);
        assert_null(strstr(err.msg, "hunter2"));
        assert_null(strstr(err.detail, "hunter2"));
    }
}

/* A hundred thousand brackets, in all the ways that are not the same to a scanner. */
static void deep_nesting_is_an_error(void **state)
{
    static const char *const units[] = { "[", "{\"a\":", "[\"]\",", "[\"\\\"\\\\\",[" };
    enum { deep = 100000 };

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        struct buf b;
        struct err err = { 0 };
        json_t *v;

        buf_init(&b, *state, 1 << 20, 1 << 21);
        for (int k = 0; k < deep; k++)
            buf_puts(&b, units[i]);
        assert_false(b.overflow);
        assert_int_equal(json_parse(*state, b.data, b.len, &v, &err), -E_invalid_json);
        assert_true(str_starts(err.msg, "Nesting is too deep at line 1, column "));
    }
}

static void nesting_up_to_the_limit_is_fine(void **state)
{
    for (size_t depth = json_depth_max - 1; depth <= json_depth_max + 1; depth++) {
        char text[2 * (json_depth_max + 1)];
        struct err err = { 0 };
        json_t *v;

        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(json_parse(*state, text, 2 * depth, &v, &err) == 0,
                         depth <= json_depth_max);
    }
}

/* RFC 7396, appendix A */
static void merge_patch(void **state)
{
    static const char *const cases[][3] = {
        { "{\"a\":\"b\"}",             "{\"a\":\"c\"}",                    "{\"a\":\"c\"}"             },
        { "{\"a\":\"b\"}",             "{\"b\":\"c\"}",                    "{\"a\":\"b\",\"b\":\"c\"}" },
        { "{\"a\":\"b\"}",             "{\"a\":null}",                     "{}"                        },
        { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}",                     "{\"b\":\"c\"}"             },
        { "{\"a\":[\"b\"]}",           "{\"a\":\"c\"}",                    "{\"a\":\"c\"}"             },
        { "{\"a\":\"c\"}",             "{\"a\":[\"b\"]}",                  "{\"a\":[\"b\"]}"           },
        { "{\"a\":{\"b\":\"c\"}}",     "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"     },
        { "{\"a\":[{\"b\":\"c\"}]}",   "{\"a\":[1]}",                      "{\"a\":[1]}"               },
        { "[\"a\",\"b\"]",             "[\"c\",\"d\"]",                    "[\"c\",\"d\"]"             },
        { "{\"a\":\"b\"}",             "[\"c\"]",                          "[\"c\"]"                   },
        { "{\"a\":\"foo\"}",           "null",                             "null"                      },
        { "{\"a\":\"foo\"}",           "\"bar\"",                          "\"bar\""                   },
        { "{\"e\":null}",              "{\"a\":1}",                        "{\"e\":null,\"a\":1}"      },
        { "[1,2]",                     "{\"a\":\"b\",\"c\":null}",         "{\"a\":\"b\"}"             },
        { "{}",                        "{\"a\":{\"bb\":{\"ccc\":null}}}",  "{\"a\":{\"bb\":{}}}"       },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        json_t *target, *patch, *got;

        assert_int_equal(json_parse(*state, cases[i][0], strlen(cases[i][0]), &target, &err), 0);
        assert_int_equal(json_parse(*state, cases[i][1], strlen(cases[i][1]), &patch, &err), 0);
        got = json_in(*state, json_merge_patch(target, patch));
        assert_string_equal(json_text(*state, got), cases[i][2]);
        assert_string_equal(json_text(*state, target), cases[i][0]);
        assert_string_equal(json_text(*state, patch), cases[i][1]);
    }
}

static void pointers(void **state)
{
    assert_string_equal(json_pointer_add(*state, "", "a"), "/a");
    assert_string_equal(json_pointer_add(*state, "/meta", "a/b~c"), "/meta/a~1b~0c");
    assert_string_equal(json_pointer_add(*state, "/x", ""), "/x/");
}

/* Where a text ceases to be JSON, or holds a number that would be rounded (RFC 7493 §2.2). */
static void places_are_pointers(void **state)
{
    static const struct {
        const char *in, *at;
        bool exact; /* json_parse takes it, json_exact does not */
    } cases[] = {
        { "x",                                                                   "",           false },
        { "{\"a\":x}",                                                           "/a",         false },
        { "{\"a\":{\"b\":[1,{\"c\":\"\\ud800\"}]}}",                             "/a/b/1/c",   false },
        { "{\"a\":1,\"b\":{},\"c\":[{},[],x]}",                                  "/c/2",       false },
        { "{\"a\":1,\"a\":2}",                                                   "/a",         false },
        { "{\"a/b~\":{\"\\u00e4\":x}}",                                          "/a~1b~0/ä", false },
        { "{\"a\":\"{[,:\\\"\",\"b\":x}",                                        "/b",         false },
        { "[[1,2],[3,\"\xff\"]]",                                                "/1/1",       false },
        { "{\"a\":1e999}",                                                       "/a",         false },
        { "{\"a\":[0.5,3.141592653589793238]}",                                  "/a/1",       true  },
        { "{\"a\":\"3.141592653589793238\",\"b\":1234567890123456789e0}",        "/b",         true  },
        { "{\"a\":0.1000000000000000000000,\"b\":0.12345678901234567}",          NULL,         true  },
        { "{\"a\":0.00000000000000000000012,\"b\":-100000000000000000000000.0}", NULL,         true  },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };
        json_t *v = NULL;
        const char *in = cases[i].in;
        int rc = json_parse(*state, in, strlen(in), &v, &err);

        assert_int_equal(rc, cases[i].exact ? 0 : -E_invalid_json);
        if (!rc)
            rc = json_exact(*state, in, strlen(in), &err);
        assert_int_equal(rc, cases[i].at ? -E_invalid_json : 0);
        if (cases[i].at && strcmp(err.pointer, cases[i].at) != 0)
            fail_msg("%s: %s", in, err.pointer);
    }
}

static void writing_made_values(void **state)
{
    struct buf b;

    buf_init(&b, *state, 0, 100);
    json_write(&b, NULL);
    json_write(&b, json_in(*state, json_stringn("a\0b", 3)));
    json_write(&b, json_in(*state, json_pack("[f, b, n]", 2.5, 0)));
    assert_string_equal(b.data, "null\"a\\u0000b\"[2.5,false,null]");
    assert_null(json_in(*state, NULL));
}

#define ARENA_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(valid_texts_round_trip),
        ARENA_TEST(invalid_texts_are_refused),
        ARENA_TEST(reads_as_jansson_does),
        ARENA_TEST(faults_have_their_places),
        ARENA_TEST(message_does_not_quote_the_text),
        ARENA_TEST(deep_nesting_is_an_error),
        ARENA_TEST(nesting_up_to_the_limit_is_fine),
        ARENA_TEST(merge_patch),
        ARENA_TEST(pointers),
        ARENA_TEST(places_are_pointers),
        ARENA_TEST(writing_made_values),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
