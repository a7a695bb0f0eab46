/* RFC 7240.  proves: R-20 */
#include "common/kit/prefer.h"

#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void preferences_are_read_as_RFC_7240_says(void **state)
{
    static const struct {
        const char *header;
        struct prefer want;
    } cases[] = {
        { NULL,                                                 { 0 }                                               },
        { "",                                                   { 0 }                                               },
        { "return=minimal",                                     { .answer = PREFER_MINIMAL }                        },
        { "Return = Representation",                            { .answer = PREFER_REPRESENTATION }                 },
        { "return=\"minimal\"",                                 { .answer = PREFER_MINIMAL }                        },
        { "return=minimal, return=representation",              { .answer = PREFER_MINIMAL }                        },
        { "respond-async, wait=10",                             { .async = true }                                   },
        { "handling=strict, respond-async",                     { .strict = true, .async = true }                   },
        { "handling=lenient, handling=strict",                  { 0 }                                               },
        { "return=minimal; foo=\"some, value\", respond-async",
         { .answer = PREFER_MINIMAL, .async = true }                                                                },
        { " , ,respond-async ; x",                              { .async = true }                                   },
        { "priority=5, return=minimal",                         { .answer = PREFER_MINIMAL, .unknown = "priority" } },
        { "return=all",                                         { .unknown = "return" }                             },
        { "handling=sometimes",                                 { .unknown = "handling" }                           },
        { "foo=\"a\\\"b, return=minimal\"",                     { .unknown = "foo" }                                },
        { "=",                                                  { .unknown = "" }                                   },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *a = arena_new();
        struct prefer got;
        const struct prefer *want = &cases[i].want;
        prefer_parse(a, cases[i].header, &got);
        if (got.answer != want->answer || got.strict != want->strict || got.async != want->async ||
            !str_eq(got.unknown, want->unknown))
            fail_msg("%s: %d %d %d %s", cases[i].header, got.answer, got.strict, got.async,
                     got.unknown ? got.unknown : "-");
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(preferences_are_read_as_RFC_7240_says) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
