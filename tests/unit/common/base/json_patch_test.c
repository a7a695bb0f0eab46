/* JSON Patch and JSON Pointer.  proves: R-11 */
#include "common/base/json_patch.h"

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

static json_t *tree(struct arena *a, const char *text)
{
    struct err err;
    json_t *v;
    if (json_parse(a, text, strlen(text), &v, &err))
        fail_msg("%s: %s", text, err.msg);
    return v;
}

struct vector {
    const char *name, *doc, *patch;
    const char *want;   /* NULL: refused */
    enum err_code code; /* with what */
    const char *at;     /* and where */
};

static void run(struct arena *a, const struct vector *v)
{
    struct err err = { 0 };
    json_t *doc = tree(a, v->doc), *before = json_in(a, json_deep_copy(doc)), *got = NULL;
    int rc = json_patch(a, doc, tree(a, v->patch), &got, &err);
    assert_true(json_equal(doc, before)); /* it stays as it is, whatever happens */
    if (v->want) {
        if (rc)
            fail_msg("%s: %s", v->name, err.msg);
        if (!json_equal(got, tree(a, v->want)))
            fail_msg("%s: %s", v->name, json_text(a, got));
        return;
    }
    assert_null(got);
    if (rc != -(int)v->code || !str_eq(err.pointer, v->at))
        fail_msg("%s: %s at %s: %s", v->name, err_name(err.code), err.pointer, err.msg);
}

static void vectors_of_RFC_6902_appendix_A(void **state)
{
    static const struct vector cases[] = {
        { "A.1",  "{\"foo\":\"bar\"}",                                                             "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
         "{\"baz\":\"qux\",\"foo\":\"bar\"}",                                                                                                                                                                                                    0,          NULL       },
        { "A.2",  "{\"foo\":[\"bar\",\"baz\"]}",
         "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",                                                                                             "{\"foo\":[\"bar\",\"qux\",\"baz\"]}",                                          0,          NULL       },
        { "A.3",  "{\"baz\":\"qux\",\"foo\":\"bar\"}",                                             "[{\"op\":\"remove\",\"path\":\"/baz\"}]",
         "{\"foo\":\"bar\"}",                                                                                                                                                                                                                    0,          NULL       },
        { "A.4",  "{\"foo\":[\"bar\",\"qux\",\"baz\"]}",                                           "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]",
         "{\"foo\":[\"bar\",\"baz\"]}",                                                                                                                                                                                                          0,          NULL       },
        { "A.5",  "{\"baz\":\"qux\",\"foo\":\"bar\"}",
         "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}]",                                                                                           "{\"baz\":\"boo\",\"foo\":\"bar\"}",                                            0,          NULL       },
        { "A.6",  "{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":\"grault\"}}",
         "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",                                                                                   "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}", 0,          NULL       },
        { "A.7",  "{\"foo\":[\"all\",\"grass\",\"cows\",\"eat\"]}",
         "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",                                                                                          "{\"foo\":[\"all\",\"cows\",\"eat\",\"grass\"]}",                               0,          NULL       },
        { "A.8",  "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
         "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},"
          "{\"op\":\"test\",\"path\":\"/foo/1\",\"value\":2}]",                                                                                                  "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",                                    0,          NULL       },
        { "A.9",  "{\"baz\":\"qux\"}",                                                             "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]",
         NULL,                                                                                                                                                                                                                                   E_conflict, "/0/value" },
        { "A.10", "{\"foo\":\"bar\"}",
         "[{\"op\":\"add\",\"path\":\"/child\",\"value\":{\"grandchild\":{}}}]",                                                                                 "{\"foo\":\"bar\",\"child\":{\"grandchild\":{}}}",                              0,          NULL       },
        { "A.11", "{\"foo\":\"bar\"}",
         "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\",\"xyz\":123}]",                                                                                   "{\"foo\":\"bar\",\"baz\":\"qux\"}",                                            0,          NULL       },
        { "A.12", "{\"foo\":\"bar\"}",                                                             "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]",
         NULL,                                                                                                                                                                                                                                   E_conflict, "/0/path"  },
        /* A.13, the same member twice, is refused by json_parse. */
        { "A.14", "{\"/\":9,\"~1\":10}",                                                           "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]",
         "{\"/\":9,\"~1\":10}",                                                                                                                                                                                                                  0,          NULL       },
        { "A.15", "{\"/\":9,\"~1\":10}",                                                           "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}]",
         NULL,                                                                                                                                                                                                                                   E_conflict, "/0/value" },
        { "A.16", "{\"foo\":[\"bar\"]}",
         "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[\"abc\",\"def\"]}]",                                                                                   "{\"foo\":[\"bar\",[\"abc\",\"def\"]]}",                                        0,          NULL       },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        run(*state, &cases[i]);
    struct err err;
    json_t *v;
    const char twice[] = "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\",\"op\":\"remove\"}]";
    assert_int_equal(json_parse(*state, twice, strlen(twice), &v, &err), -E_invalid_json);
}

static void a_patch_is_applied_whole_or_not_at_all(void **state)
{
    static const struct vector cases[] = {
        { "the second fails",                        "{\"a\":1}",
         "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":2},{\"op\":\"remove\",\"path\":\"/b\"}]",                                 NULL,                         E_conflict, "/1/path" },
        { "test sees what was done before it",       "{\"a\":1}",
         "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":2},{\"op\":\"test\",\"path\":\"/a\","
          "\"value\":2}]",                                                                                                         "{\"a\":2}",                  0,          NULL      },
        { "the whole document",                      "{\"a\":1}",           "[{\"op\":\"replace\",\"path\":\"\",\"value\":[]}]",
         "[]",                                                                                                                                                   0,          NULL      },
        { "add replaces a member",                   "{\"a\":1}",           "[{\"op\":\"add\",\"path\":\"/a\",\"value\":null}]",
         "{\"a\":null}",                                                                                                                                         0,          NULL      },
        { "add at the end",                          "[1]",                 "[{\"op\":\"add\",\"path\":\"/1\",\"value\":2}]",      "[1,2]",                      0,
         NULL                                                                                                                                                                          },
        { "add behind the end",                      "[1]",                 "[{\"op\":\"add\",\"path\":\"/2\",\"value\":2}]",      NULL,
         E_conflict,                                                                                                                                                         "/0/path" },
        { "an element is replaced where it is",      "[1,2,3]",
         "[{\"op\":\"replace\",\"path\":\"/1\",\"value\":9}]",                                                                     "[1,9,3]",                    0,          NULL      },
        { "- is no element",                         "[1]",                 "[{\"op\":\"replace\",\"path\":\"/-\",\"value\":2}]",  NULL,
         E_conflict,                                                                                                                                                         "/0/path" },
        { "no leading zero",                         "[1,2]",               "[{\"op\":\"remove\",\"path\":\"/01\"}]",              NULL,                         E_conflict,
         "/0/path"                                                                                                                                                                     },
        { "no sign",                                 "[1,2]",               "[{\"op\":\"remove\",\"path\":\"/+1\"}]",              NULL,                         E_conflict,
         "/0/path"                                                                                                                                                                     },
        { "a number beyond all",                     "[1]",
         "[{\"op\":\"remove\",\"path\":\"/99999999999999999999999999\"}]",                                                         NULL,                         E_conflict,
         "/0/path"                                                                                                                                                                     },
        { "into itself",                             "{\"a\":{\"b\":1}}",
         "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]",                                                                  NULL,                         E_invalid,  "/0/path" },
        { "a name that only begins alike",           "{\"a\":1,\"ab\":{}}",
         "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/ab/c\"}]",                                                                 "{\"ab\":{\"c\":1}}",         0,          NULL      },
        { "onto itself",                             "{\"a\":1}",           "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]",
         "{\"a\":1}",                                                                                                                                            0,          NULL      },
        { "copy is deep",                            "{\"a\":{\"x\":1}}",
         "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"},{\"op\":\"remove\",\"path\":\"/a/"
          "x\"}]",                                                                                                                 "{\"a\":{},\"b\":{\"x\":1}}", 0,          NULL      },
        { "numbers by value",                        "{\"a\":1}",
         "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1.0},{\"op\":\"test\",\"path\":\"\","
          "\"value\":{\"a\":1e0}}]",                                                                                               "{\"a\":1}",                  0,          NULL      },
        { "numbers that a double cannot tell apart", "[9007199254740993]",
         "[{\"op\":\"test\",\"path\":\"/0\",\"value\":9007199254740992.0}]",                                                       NULL,                         E_conflict,
         "/0/value"                                                                                                                                                                    },
        { "empty names",                             "{\"\":{\"\":1}}",     "[{\"op\":\"replace\",\"path\":\"//\",\"value\":2}]",
         "{\"\":{\"\":2}}",                                                                                                                                      0,          NULL      },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        run(*state, &cases[i]);
}

static void malformed_patches_are_named(void **state)
{
    static const struct vector cases[] = {
        { "no array",         "{}",        "{\"op\":\"add\"}",                                     NULL, E_invalid, ""         },
        { "no object",        "{}",        "[1]",                                                  NULL, E_invalid, "/0"       },
        { "no op",            "{}",        "[{\"path\":\"/a\"}]",                                  NULL, E_invalid, "/0/op"    },
        { "an op of its own", "{}",        "[{\"op\":\"merge\",\"path\":\"/a\"}]",                 NULL, E_invalid,
         "/0/op"                                                                                                               },
        { "op is a number",   "{}",        "[{\"op\":1,\"path\":\"/a\"}]",                         NULL, E_invalid, "/0/op"    },
        { "no path",          "{}",        "[{\"op\":\"remove\"}]",                                NULL, E_invalid, "/0/path"  },
        { "no value",         "{}",        "[{\"op\":\"add\",\"path\":\"/a\"}]",                   NULL, E_invalid, "/0/value" },
        { "no from",          "{}",        "[{\"op\":\"copy\",\"path\":\"/a\"}]",                  NULL, E_invalid, "/0/from"  },
        { "no pointer",       "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"a\"}]",                 NULL, E_invalid,
         "/0/path"                                                                                                             },
        { "a loose tilde",    "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/a~\"}]",               NULL, E_invalid,
         "/0/path"                                                                                                             },
        { "another escape",   "{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"/~2\",\"path\":\"/a\"}]",
         NULL,                                                                                           E_invalid, "/0/from"  },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        run(*state, &cases[i]);
}

/* A short patch that doubles the document a thousand times, or nests it, or is long. */
static void what_a_patch_makes_is_bounded(void **state)
{
    static const char *const steps[] = {
        "{\"op\":\"copy\",\"from\":\"/l\",\"path\":\"/l/-\"}",
        "{\"op\":\"copy\",\"from\":\"\",\"path\":\"/x\"}",
        "{\"op\":\"copy\",\"from\":\"/s\",\"path\":\"/l/-\"}",
    };
    char *long_text = arena_alloc(*state, 20001);
    memset(long_text, 'x', 20000);
    const char *doc = arena_printf(*state, "{\"l\":[1],\"s\":\"%s\"}", long_text);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct buf b;
        struct err err = { 0 };
        json_t *got = NULL;
        buf_init(&b, *state, 1024, 1 << 20);
        for (unsigned k = 0; k < json_patch_ops_max; k++)
            buf_printf(&b, "%s%s", k ? "," : "[", steps[i]);
        buf_putc(&b, ']');
        assert_int_equal(json_patch(*state, tree(*state, doc), tree(*state, b.data), &got, &err),
                         -E_too_large);
        b.data[b.len - 1] = '\0';
        const char *more = arena_printf(*state, "%s,%s]", b.data, steps[i]);
        assert_int_equal(json_patch(*state, tree(*state, doc), tree(*state, more), &got, &err),
                         -E_too_large);
        assert_string_equal(err.msg, "A JSON Patch has at most 1000 operations.");
    }
}

static void pointers_of_RFC_6901(void **state)
{
    static const struct {
        const char *pointer, *want; /* NULL: nothing */
    } cases[] = {
        { "/foo",     "[\"bar\",\"baz\"]" },
        { "/foo/0",   "\"bar\""           },
        { "/",        "0"                 },
        { "/a~1b",    "1"                 },
        { "/c%d",     "2"                 },
        { "/e^f",     "3"                 },
        { "/g|h",     "4"                 },
        { "/i\\j",    "5"                 },
        { "/k\"l",    "6"                 },
        { "/ ",       "7"                 },
        { "/m~0n",    "8"                 },
        { "/foo/2",   NULL                },
        { "/foo/-",   NULL                },
        { "/foo/0/x", NULL                },
        { "foo",      NULL                },
        { "/m~n",     NULL                },
    };
    static const char doc[] = "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,"
                              "\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}";
    json_t *v = tree(*state, doc);
    assert_ptr_equal(json_pointer_get(v, ""), v);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const json_t *got = json_pointer_get(v, cases[i].pointer);
        if (!cases[i].want ? got != NULL : !got || !json_equal(got, tree(*state, cases[i].want)))
            fail_msg("%s", cases[i].pointer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(vectors_of_RFC_6902_appendix_A, setup, teardown),
        cmocka_unit_test_setup_teardown(a_patch_is_applied_whole_or_not_at_all, setup, teardown),
        cmocka_unit_test_setup_teardown(malformed_patches_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_patch_makes_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(pointers_of_RFC_6901, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
