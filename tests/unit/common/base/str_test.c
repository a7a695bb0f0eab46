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

static void comparing(void **state)
{
    (void)state;
    assert_true(str_eq(NULL, NULL));
    assert_false(str_eq(NULL, ""));
    assert_false(str_eq("a", "b"));
    assert_true(str_eq("a", (char[]){ "a" }));
    assert_true(str_ieq("Content-TYPE", "content-type"));
    assert_false(str_ieq("abc", "abcd"));
    assert_false(str_ieq("abcd", "abc"));
    assert_false(str_ieq("\xC4", "\xE4"));
    assert_false(str_ieq("a", NULL));
    assert_true(str_ieq(NULL, NULL));
    assert_true(str_starts("abc", "ab"));
    assert_true(str_starts("abc", ""));
    assert_false(str_starts("a", "ab"));
    assert_true(str_ends("abc", "bc"));
    assert_false(str_ends("c", "bc"));
}

static void integers(void **state)
{
    static const struct {
        const char *in;
        int64_t min, max;
        bool ok;
        int64_t want;
    } cases[] = {
        { "0",                       0,         9,         true,  0         },
        { "007",                     0,         9,         true,  7         },
        { "-5",                      -9,        9,         true,  -5        },
        { "9223372036854775807",     INT64_MIN, INT64_MAX, true,  INT64_MAX },
        { "-9223372036854775808",    INT64_MIN, INT64_MAX, true,  INT64_MIN },
        { "9223372036854775808",     INT64_MIN, INT64_MAX, false, 0         },
        { "-9223372036854775809",    INT64_MIN, INT64_MAX, false, 0         },
        { "99999999999999999999999", INT64_MIN, INT64_MAX, false, 0         },
        { "10",                      0,         9,         false, 0         },
        { "-1",                      0,         9,         false, 0         },
        { "",                        0,         9,         false, 0         },
        { "-",                       -9,        9,         false, 0         },
        { "--1",                     -9,        9,         false, 0         },
        { "+1",                      -9,        9,         false, 0         },
        { " 1",                      0,         9,         false, 0         },
        { "1 ",                      0,         9,         false, 0         },
        { "1.0",                     0,         9,         false, 0         },
        { "0x1",                     0,         9,         false, 0         },
        { NULL,                      0,         9,         false, 0         },
    };
    uint64_t u = 77;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t v = 77;

        assert_int_equal(str_to_i64(cases[i].in, cases[i].min, cases[i].max, &v), cases[i].ok);
        assert_int_equal(v, cases[i].ok ? cases[i].want : 77);
    }
    assert_true(str_to_u64("18446744073709551615", UINT64_MAX, &u));
    assert_true(u == UINT64_MAX);
    assert_false(str_to_u64("18446744073709551616", UINT64_MAX, &u));
    assert_false(str_to_u64("-1", UINT64_MAX, &u));
}

static void booleans(void **state)
{
    static const char *const yes[] = { "true", "1", "yes", "on", "TRUE" };
    static const char *const no[] = { "false", "0", "no", "off", "Off" };
    static const char *const neither[] = { "", "2", "t", "truex", " true" };
    bool b;

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_true(str_to_bool(yes[i], &b) && b);
        assert_true(str_to_bool(no[i], &b) && !b);
        assert_false(str_to_bool(neither[i], &b));
    }
    assert_false(str_to_bool(NULL, &b));
}

static void utf8(void **state)
{
    static const struct {
        const char *in;
        size_t n;
        bool ok;
        size_t len;
    } cases[] = {
        { "",                                           0,  true,  0  },
        { "0123456789abcdef",                           16, true,  16 },
        { "\x7F\xC2\x80\xDF\xBF",                       5,  true,  3  },
        { "\xE0\xA0\x80\xEF\xBF\xBF",                   6,  true,  2  },
        { "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF",           8,  true,  2  },
        { "\xED\x9F\xBF\xEE\x80\x80",                   6,  true,  2  },
        { "\xED\xA0\x80",                               3,  false, 0  }, /* surrogate */
        { "\xED\xBF\xBF",                               3,  false, 0  },
        { "\xC0\x80",                                   2,  false, 0  }, /* overlong NUL */
        { "\xC1\xBF",                                   2,  false, 0  },
        { "\xE0\x9F\xBF",                               3,  false, 0  },
        { "\xF0\x8F\xBF\xBF",                           4,  false, 0  },
        { "\xF4\x90\x80\x80",                           4,  false, 0  }, /* above U+10FFFF */
        { "\xF5\x80\x80\x80",                           4,  false, 0  },
        { "\x80",                                       1,  false, 0  },
        { "\xFF",                                       1,  false, 0  },
        { "\xC3",                                       1,  false, 0  }, /* cut */
        { "\xE2\x82",                                   2,  false, 0  },
        { "\xE2\x82z",                                  3,  false, 0  },
        { "01234567\0",                                 9,  false, 0  },
        { "0123\000567",                                8,  false, 0  },
        { "\0",                                         1,  false, 0  },
        { "01234567012345\xC3\xA4",                     16, true,  15 },
        { "01234567012345\xC3",                         15, false, 0  },
        { "äöüßäöüßäöü",                     22, true,  11 }, /* in every lane */
        { "x€y€z€\xF0\x9F\x98\x80€0123456\x7F", 27, true,  16 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (str_utf8_ok(cases[i].in, cases[i].n) != cases[i].ok)
            fail_msg("case %zu", i);
        if (cases[i].ok)
            assert_int_equal(str_utf8_len(cases[i].in, cases[i].n), cases[i].len);
    }
}

/* Writes `cp` as UTF-8 without asking whether it may be. */
static size_t put_utf8(uint32_t cp, char *out)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 63));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 63));
        out[2] = (char)(0x80 | (cp & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 63));
    out[2] = (char)(0x80 | (cp >> 6 & 63));
    out[3] = (char)(0x80 | (cp & 63));
    return 4;
}

static void utf8_of_every_code_point(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp < 0x111000; cp++) {
        char text[4];
        bool want = cp > 0 && cp <= 0x10FFFF && !(cp >= 0xD800 && cp <= 0xDFFF);

        if (str_utf8_ok(text, put_utf8(cp, text)) != want)
            fail_msg("U+%04X", cp);
    }
}

static void slugs(void **state)
{
    static const struct {
        const char *title, *want;
        size_t max;
    } cases[] = {
        { "Über uns!",                           "ueber-uns",                 100 },
        { "  Hello,  World  ",                    "hello-world",               100 },
        { "Straße & Weg – GROẞ",             "strasse-weg-gross",         100 },
        { "ÄÖÜ äöü ß",                     "aeoeue-aeoeue-ss",          100 },
        { "Café à la crème",                   "cafe-a-la-creme",           100 },
        { "Łódź, Čeština, Ñandú, Ørsted", "lodz-cestina-nandu-orsted", 100 },
        { "Cafe\xCC\x81",                         "cafe",                      100 }, /* combining acute */
        { "Don\xE2\x80\x99t stop",                "dont-stop",                 100 },
        { "2024",                                 "n-2024",                    100 },
        { "2024!",                                "n-2024",                    100 },
        { "2024-10",                              "2024-10",                   100 },
        { "---",                                  "",                          100 },
        { "",                                     "",                          100 },
        { "日本語",                            "",                          100 },
        { "日本語 v2",                         "v2",                        100 },
        { "one two three",                        "one-two",                   7   },
        { "one two three",                        "one-two",                   8   },
        { "one two three",                        "one-two-t",                 9   },
        { "123456",                               "n-123",                     5   },
        { "aß",                                  "a",                         2   },
        { "bad \xFF byte",                        "bad-byte",                  100 },
        { "a",                                    "",                          0   },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *got = str_slug(*state, cases[i].title, cases[i].max);

        assert_string_equal(got, cases[i].want);
        assert_true(strlen(got) <= cases[i].max);
    }
}

static void hex(void **state)
{
    unsigned char bytes[4] = { 0x00, 0x7f, 0xA0, 0xff }, back[4] = { 0 };
    char text[9];

    (void)state;
    assert_int_equal(hex_encode(bytes, 4, text), 8);
    assert_string_equal(text, "007fa0ff");
    assert_true(hex_decode("007FA0ff", 8, back));
    assert_memory_equal(back, bytes, 4);
    assert_false(hex_decode("0", 1, back));
    assert_false(hex_decode("0g", 2, back));
    assert_false(hex_decode(" 0", 2, back));
    for (int c = 0; c < 256; c++) {
        const char *small = "0123456789abcdef", *large = "0123456789ABCDEF";
        const char *at = c ? strchr(small, c) : NULL, *upper = c ? strchr(large, c) : NULL;
        const char two[2] = { '7', (char)c };
        assert_int_equal(hex_decode(two, 2, back), at || upper);
        if (at || upper)
            assert_int_equal(back[0], 0x70 + (at ? at - small : upper - large));
    }
}

/* RFC 4648 §10 */
static void base64(void **state)
{
    static const struct {
        const char *plain, *std, *url;
    } cases[] = {
        { "",             "",         ""         },
        { "f",            "Zg==",     "Zg"       },
        { "fo",           "Zm8=",     "Zm8"      },
        { "foo",          "Zm9v",     "Zm9v"     },
        { "foob",         "Zm9vYg==", "Zm9vYg"   },
        { "fooba",        "Zm9vYmE=", "Zm9vYmE"  },
        { "foobar",       "Zm9vYmFy", "Zm9vYmFy" },
        { "\xfb\xff\xfe", "+//+",     "-__-"     },
    };
    static const char *const bad[] = { "Z",        "Zg=",    "Zg",    "Zh==", "Zm9=", "====",
                                       "Zg==Zg==", "Zm9v\n", "Zm 9v", "-__-", "Zg=g", "=" };
    static const char *const bad_url[] = { "Z", "Zg==", "Zh", "+//+", "Zm9vY" };
    void *out;
    size_t n;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].plain);

        assert_string_equal(b64_encode(*state, cases[i].plain, len), cases[i].std);
        assert_string_equal(b64url_encode(*state, cases[i].plain, len), cases[i].url);
        assert_true(b64_decode(*state, cases[i].std, &out, &n));
        assert_int_equal(n, len);
        assert_string_equal(out, cases[i].plain);
        assert_true(b64url_decode(*state, cases[i].url, &out, &n));
        assert_int_equal(n, len);
        assert_string_equal(out, cases[i].plain);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (b64_decode(*state, bad[i], &out, &n))
            fail_msg("took %s", bad[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad_url); i++)
        if (b64url_decode(*state, bad_url[i], &out, &n))
            fail_msg("took %s", bad_url[i]);
}

static void crc32(void **state)
{
    (void)state;
    assert_int_equal(crc32_of("123456789", 9), 0xCBF43926);
    assert_int_equal(crc32_of("", 0), 0);
}

static void url_decoding(void **state)
{
    static const struct {
        const char *in;
        bool plus;
        const char *want; /* NULL: refused */
    } cases[] = {
        { "a%20b+c",   true,  "a b c" },
        { "a%20b+c",   false, "a b+c" },
        { "%C3%A4%2f", false, "ä/"   },
        { "",          false, ""      },
        { "%",         false, NULL    },
        { "%2",        false, NULL    },
        { "%2g",       false, NULL    },
        { "%g2",       false, NULL    },
        { "a%00b",     false, NULL    },
        { "%FF",       false, NULL    },
        { "%ED%A0%80", false, NULL    },
        { "%25%32%30", false, "%20"   },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *out = NULL;
        bool ok = url_decode(*state, cases[i].in, strlen(cases[i].in), cases[i].plus, &out);

        assert_int_equal(ok, cases[i].want != NULL);
        if (ok)
            assert_string_equal(out, cases[i].want);
    }
    assert_string_equal(url_encode(*state, "a b/ä~-._&=+"), "a%20b%2F%C3%A4~-._%26%3D%2B");
}

#define ARENA_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(comparing),    ARENA_TEST(integers), ARENA_TEST(booleans),
        ARENA_TEST(utf8),         ARENA_TEST(slugs),    ARENA_TEST(utf8_of_every_code_point),
        ARENA_TEST(hex),          ARENA_TEST(base64),   ARENA_TEST(crc32),
        ARENA_TEST(url_decoding),
    };

    return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
