#include "common/base/buf.h"

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

static void writers_append(void **state)
{
    struct buf b;

    buf_init(&b, *state, 0, 1000);
    assert_string_equal(b.data, "");
    buf_puts(&b, "a");
    buf_putc(&b, 'b');
    buf_put(&b, "cd", 1);
    buf_put(&b, NULL, 0);
    buf_printf(&b, "-%d-%s", 7, "x");
    assert_string_equal(b.data, "abc-7-x");
    assert_int_equal(b.len, 7);
    assert_false(b.overflow);
    buf_reset(&b);
    assert_string_equal(b.data, "");
}

static void numbers(void **state)
{
    static const struct {
        int64_t v;
        const char *want;
    } cases[] = {
        { 0,         "0"                    },
        { 7,         "7"                    },
        { -1,        "-1"                   },
        { 1234567,   "1234567"              },
        { INT64_MAX, "9223372036854775807"  },
        { INT64_MIN, "-9223372036854775808" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b;

        buf_init(&b, *state, 4, 100);
        buf_put_i64(&b, cases[i].v);
        assert_string_equal(b.data, cases[i].want);
    }
}

static void grows_up_to_the_cap(void **state)
{
    struct buf b;

    buf_init(&b, *state, 1, 1000);
    for (int i = 0; i < 1000; i++)
        buf_putc(&b, (char)('a' + i % 26));
    assert_false(b.overflow);
    assert_int_equal(b.len, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(b.data[i], 'a' + i % 26);
    buf_putc(&b, '!');
    assert_true(b.overflow);
    assert_int_equal(b.len, 1000);
    assert_int_equal(b.data[1000], '\0');
}

static void overflow_drops_what_is_too_much(void **state)
{
    struct buf b;

    buf_init(&b, *state, 2, 5);
    buf_puts(&b, "1234567");
    assert_true(b.overflow);
    assert_string_equal(b.data, "12345");
    buf_reset(&b);
    assert_false(b.overflow);
    buf_printf(&b, "%s", "1234567");
    assert_true(b.overflow);
    assert_string_equal(b.data, "12345");
    buf_reset(&b);
    assert_null(buf_room(&b, 6));
    assert_true(b.overflow);
    buf_init(&b, *state, 64, 5); /* the first size is not above the cap */
    assert_int_equal(b.cap, 5);
    memcpy(buf_room(&b, 5), "abcde", 5);
    b.len += 5;
    assert_int_equal(b.len, 5);
}

/* proves: R-01: written as PostgreSQL's to_json writes it. */
static void json_strings(void **state)
{
    static const struct {
        const char *in, *want;
        size_t n;
    } cases[] = {
        { "",                                   "\"\"",                                   0  },
        { "plain",                              "\"plain\"",                              5  },
        { "a\"b\\c/d",                          "\"a\\\"b\\\\c/d\"",                      7  },
        { "\b\f\n\r\t",                         "\"\\b\\f\\n\\r\\t\"",                    5  },
        { "\0\1\x1f\x7f",                       "\"\\u0000\\u0001\\u001f\x7f\"",          4  },
        { "Ünïcödé \xF0\x9F\x98\x80",       "\"Ünïcödé \xF0\x9F\x98\x80\"",       16 },
        { "0123456\"",                          "\"0123456\\\"\"",                        8  },
        { "01234567\n",                         "\"01234567\\n\"",                        9  },
        { "<script>&amp;</script>\xE2\x80\xA8", "\"<script>&amp;</script>\xE2\x80\xA8\"", 25 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b;

        buf_init(&b, *state, 0, 200);
        buf_put_json_string(&b, cases[i].in, cases[i].n);
        assert_string_equal(b.data, cases[i].want);
    }
}

/* Whatever fits is the beginning of the whole, and the end is told by the flag alone. */
static void json_strings_are_cut_off(void **state)
{
    static const char text[] =
        "01234567890123456789\n\"\1 plain again, and again, for more than 64 "
        "bytes, which is four blocks and a bit\\";
    struct buf whole;

    buf_init(&whole, *state, 0, 400);
    buf_put_json_string(&whole, text, sizeof(text) - 1);
    assert_false(whole.overflow);
    for (size_t max = 0; max <= whole.len; max++) {
        struct buf b;

        buf_init(&b, *state, 0, max);
        buf_put_json_string(&b, text, sizeof(text) - 1);
        assert_int_equal(b.overflow, max < whole.len);
        assert_int_equal(b.len, max);
        assert_memory_equal(b.data, whole.data, max);
        assert_int_equal(b.data[max], '\0');
    }
}

/* The block-wise scan must find a special byte at any place, and nothing else: strings as long as
 * its blocks of 16 and 64, and between. */
static void json_strings_at_each_offset(void **state)
{
    enum { most = 150 };
    for (unsigned c = 1; c < 256; c++) {
        for (size_t at = 0; at < most; at++) {
            static const size_t lens[] = { 1, 15, 16, 17, 20, 31, 32, 64, 80, 143, most };
            bool special = c < 0x20 || c == '"' || c == '\\';
            for (size_t k = 0; k < ARRAY_LEN(lens); k++) {
                char text[most];
                struct buf b;
                size_t n = lens[k];
                if (at >= n)
                    continue;
                memset(text, 'a', n);
                text[at] = (char)c;
                buf_init(&b, *state, 64, 400);
                buf_put_json_string(&b, text, n);
                assert_int_equal(b.len > n + 2, special);
                assert_int_equal(b.data[b.len], '\0');
                assert_memory_equal(b.data + 1, text, at);
                memset(text, 'a', n);
                assert_memory_equal(b.data + b.len - n + at, text, n - 1 - at);
                if (!special)
                    assert_int_equal((unsigned char)b.data[at + 1], c);
            }
        }
        arena_reset(*state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writers_append, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(grows_up_to_the_cap, setup, teardown),
        cmocka_unit_test_setup_teardown(overflow_drops_what_is_too_much, setup, teardown),
        cmocka_unit_test_setup_teardown(json_strings, setup, teardown),
        cmocka_unit_test_setup_teardown(json_strings_are_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(json_strings_at_each_offset, setup, teardown),
    };

    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
