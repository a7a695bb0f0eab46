#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/str.h"
#include "common/kit/shape.h"

static const char *const colors[] = { "red", "blue", NULL };
static const struct field_def fields[] = {
    { .name = "id", .type = F_ID, .flags = FF_READONLY, .doc = "x" },
    { .name = "title",
     .type = F_TEXT,
     .flags = FF_REQUIRED,
     .format = FMT_LINE,
     .max = 5,
     .doc = "x" },
    { .name = "color",
     .type = F_ENUM,
     .flags = FF_NONNULL,
     .choices = colors,
     .fallback = "\"red\"",
     .doc = "x" },
    { .name = "size", .type = F_INT, .min = 1, .max = 10, .doc = "x" },
    { .name = "open", .type = F_BOOL, .doc = "x" },
    { .name = "at", .type = F_TIME, .doc = "x" },
    { .name = "meta",
     .type = F_JSON,
     .flags = FF_NONNULL,
     .max = 20,
     .fallback = "{}",
     .doc = "x" },
    { .name = "tags",
     .type = F_TEXTS,
     .flags = FF_NONNULL,
     .format = FMT_LINE,
     .max = 3,
     .items_max = 2,
     .fallback = "[]",
     .doc = "x" },
    { .name = "author", .type = F_REF, .ref = "user", .doc = "x" },
    { .name = "speakers", .type = F_REFS, .ref = "expert", .items_max = 3, .doc = "x" },
    { .name = "role", .type = F_TEXT, .flags = FF_ADMIN, .max = 9, .doc = "x" },
    { .name = "kind", .type = F_TEXT, .flags = FF_CREATE, .max = 9, .doc = "x" },
    { .name = "secret", .type = F_TEXT, .flags = FF_HIDDEN, .doc = "x" },
    { 0 },
};

static struct arena *a;

static struct shape_row decode(const char *body, enum shape_mode mode, bool admin)
{
    struct shape_row row;
    struct err err;
    json_t *tree;
    assert_int_equal(json_parse(a, body, strlen(body), &tree, &err), 0);
    shape_read(a, fields, mode, admin, tree, &row);
    return row;
}

/* "pointer code" of each fault. */
static const char *faults(const struct shape_row *row)
{
    struct buf b;
    buf_init(&b, a, 64, 4096);
    buf_puts(&b, "");
    for (size_t i = 0; i < row->faults->n; i++) {
        buf_printf(&b, "%s%s %s", i ? ", " : "", row->faults->items[i].pointer,
                   row->faults->items[i].code);
        assert_true(strlen(row->faults->items[i].msg) > 5);
    }
    return b.data ? b.data : "";
}

static const struct {
    const char *body, *want;
    enum shape_mode mode;
} cases[] = {
    { "{\"title\":\"abc\"}",                                   "",                                 SHAPE_CREATE  },
    { "{}",                                                    "/title required",                  SHAPE_CREATE  },
    { "{}",                                                    "/title required",                  SHAPE_REPLACE },
    { "{}",                                                    "",                                 SHAPE_PATCH   },
    { "[]",                                                    " type",                            SHAPE_CREATE  },
    { "\"x\"",                                                 " type",                            SHAPE_PATCH   },
    { "{\"title\":null}",                                      "/title required",                  SHAPE_PATCH   },
    { "{\"title\":\"\"}",                                      "/title min_length",                SHAPE_CREATE  },
    { "{\"title\":\"abcdef\"}",                                "/title max_length",                SHAPE_CREATE  },
    { "{\"title\":\"äöüßé\"}",                            "",                                 SHAPE_CREATE  },
    { "{\"title\":\"a\\nb\"}",                                 "/title format",                    SHAPE_CREATE  },
    { "{\"title\":7}",                                         "/title type",                      SHAPE_CREATE  },
    { "{\"Title\":\"a\"}",                                     "/Title unknown, /title required",  SHAPE_CREATE  },
    { "{\"title\":\"a\",\"nope\":1,\"a/b~c\":2}",              "/nope unknown, /a~1b~0c unknown",  SHAPE_CREATE  },
    { "{\"title\":\"a\",\"secret\":\"x\"}",                    "/secret unknown",                  SHAPE_CREATE  },
    { "{\"id\":7}",                                            "/id readonly",                     SHAPE_PATCH   },
    { "{\"color\":\"Red\"}",                                   "/color choice",                    SHAPE_PATCH   },
    { "{\"color\":7}",                                         "/color type",                      SHAPE_PATCH   },
    { "{\"size\":0}",                                          "/size min",                        SHAPE_PATCH   },
    { "{\"size\":11}",                                         "/size max",                        SHAPE_PATCH   },
    { "{\"size\":1.5}",                                        "/size type",                       SHAPE_PATCH   },
    { "{\"size\":\"5\"}",                                      "/size type",                       SHAPE_PATCH   },
    { "{\"open\":\"true\"}",                                   "/open type",                       SHAPE_PATCH   },
    { "{\"at\":\"2026-02-30T00:00:00Z\"}",                     "/at format",                       SHAPE_PATCH   },
    { "{\"at\":1}",                                            "/at type",                         SHAPE_PATCH   },
    { "{\"meta\":[]}",                                         "/meta type",                       SHAPE_PATCH   },
    { "{\"meta\":{\"a\":\"012345678901234567890\"}}",          "/meta max_length",                 SHAPE_PATCH   },
    { "{\"tags\":[\"a\",\"b\",\"c\"]}",                        "/tags too_many",                   SHAPE_PATCH   },
    { "{\"tags\":[\"a\",\"a\"]}",                              "/tags/1 duplicate",                SHAPE_PATCH   },
    { "{\"tags\":[1,\"abcd\"]}",                               "/tags/0 type, /tags/1 max_length", SHAPE_PATCH   },
    { "{\"author\":0}",                                        "/author reference",                SHAPE_PATCH   },
    { "{\"author\":\"7\"}",                                    "/author type",                     SHAPE_PATCH   },
    { "{\"author\":{\"id\":1,\"x\":2}}",                       "/author reference",                SHAPE_PATCH   },
    { "{\"author\":9007199254740992}",                         "/author reference",                SHAPE_PATCH   },
    { "{\"speakers\":[1,{\"id\":1}]}",                         "/speakers/1 duplicate",            SHAPE_PATCH   },
    { "{\"speakers\":[1,\"x\"]}",                              "/speakers/1 reference",            SHAPE_PATCH   },
    { "{\"speakers\":[1,2,3,4]}",                              "/speakers too_many",               SHAPE_PATCH   },
    { "{\"role\":\"admin\"}",                                  "/role not_allowed",                SHAPE_PATCH   },
    { "{\"kind\":\"x\"}",                                      "/kind readonly",                   SHAPE_PATCH   },
    { "{\"title\":\"a\",\"kind\":\"x\"}",                      "",                                 SHAPE_CREATE  },
    { "{\"size\":99,\"open\":1,\"at\":\"x\",\"color\":\"x\"}",
     "/size max, /open type, /at format, /color choice",                                           SHAPE_PATCH   },
};

static void every_fault_has_its_pointer_and_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct shape_row row = decode(cases[i].body, cases[i].mode, false);
        struct err err;
        if (!str_eq(faults(&row), cases[i].want))
            fail_msg("%s: \"%s\", not \"%s\"", cases[i].body, faults(&row), cases[i].want);
        int want = strstr(cases[i].want, "not_allowed") ? -E_forbidden : -E_validation;
        assert_int_equal(shape_check(&row, &err), *cases[i].want ? want : 0);
    }
}

static void values_are_typed(void **state)
{
    (void)state;
    struct shape_row r =
        decode("{\"title\":\"a\",\"size\":3,\"open\":true,\"at\":\"2026-02-19T09:00:00.25+01:00\","
               "\"meta\":{\"b\":1,\"a\":2},\"tags\":[\"x\"],\"author\":{\"id\":7},"
               "\"speakers\":[3,{\"id\":1}]}",
               SHAPE_CREATE, false);
    assert_string_equal(faults(&r), "");
    assert_string_equal(shape_text(&r, "title"), "a");
    assert_string_equal(shape_text(&r, "color"), "red");
    assert_int_equal(shape_i64(&r, "size"), 3);
    assert_int_equal(shape_val(&r, "open")->type, DBV_BOOL);
    assert_string_equal(shape_text(&r, "at"), "2026-02-19T08:00:00.250000Z");
    assert_string_equal(shape_text(&r, "meta"), "{\"b\":1,\"a\":2}");
    assert_int_equal(shape_i64(&r, "author"), 7);
    const int64_t *ids = shape_val(&r, "speakers")->list;
    assert_int_equal(shape_val(&r, "speakers")->n, 2);
    assert_int_equal(ids[0], 3);
    assert_int_equal(ids[1], 1);
    assert_false(shape_given(&r, "color"));
    assert_true(shape_given(&r, "meta"));
}

static void null_takes_the_default_back(void **state)
{
    (void)state;
    struct shape_row r = decode("{\"color\":null,\"size\":null,\"tags\":null}", SHAPE_PATCH, false);
    assert_string_equal(faults(&r), "");
    assert_string_equal(shape_text(&r, "color"), "red");
    assert_int_equal(shape_val(&r, "size")->type, DBV_NULL);
    assert_int_equal(shape_val(&r, "tags")->type, DBV_TEXTS);
    assert_true(shape_given(&r, "color") && shape_given(&r, "size") && shape_given(&r, "tags"));
    assert_false(shape_given(&r, "title"));
}

static void admins_write_what_is_theirs(void **state)
{
    (void)state;
    struct shape_row r = decode("{\"role\":\"admin\"}", SHAPE_PATCH, true);
    assert_string_equal(faults(&r), "");
    assert_string_equal(shape_text(&r, "role"), "admin");
}

static const struct {
    enum text_format f;
    const char *s;
    bool ok;
} formats[] = {
    { FMT_EMAIL,    "a@b.de",                                                           true  },
    { FMT_EMAIL,    "a.b+c@x-y.example",                                                true  },
    { FMT_EMAIL,    "a@b",                                                              false },
    { FMT_EMAIL,    "@b.de",                                                            false },
    { FMT_EMAIL,    "a..b@c.de",                                                        false },
    { FMT_EMAIL,    "a@-b.de",                                                          false },
    { FMT_EMAIL,    "a b@c.de",                                                         false },
    { FMT_EMAIL,    ".a@c.de",                                                          false },
    { FMT_EMAIL,    "a@b..de",                                                          false },
    { FMT_URL,      "https://example.com/a?b=c#d",                                      true  },
    { FMT_URL,      "http://[::1]:8080/",                                               true  },
    { FMT_URL,      "http://localhost:1",                                               true  },
    { FMT_URL,      "ftp://example.com",                                                false },
    { FMT_URL,      "javascript:alert(1)",                                              false },
    { FMT_URL,      "https://u:p@example.com",                                          false },
    { FMT_URL,      "https://",                                                         false },
    { FMT_URL,      "https://exa mple.com",                                             false },
    { FMT_URL,      "https://a.de:0/",                                                  false },
    { FMT_URL,      "https://a.de:99999/",                                              false },
    { FMT_URL,      "https://a.de/<b>",                                                 false },
    { FMT_URL,      "HTTPS://a.de",                                                     false },
    { FMT_SLUG,     "a-b-1",                                                            true  },
    { FMT_SLUG,     "123",                                                              false },
    { FMT_SLUG,     "-a",                                                               false },
    { FMT_SLUG,     "a-",                                                               false },
    { FMT_SLUG,     "a--b",                                                             false },
    { FMT_SLUG,     "A",                                                                false },
    { FMT_SLUG,     "",                                                                 false },
    { FMT_USERNAME, "a.b_c-1",                                                          true  },
    { FMT_USERNAME, "1a",                                                               false },
    { FMT_USERNAME, "a b",                                                              false },
    { FMT_LANGUAGE, "de",                                                               true  },
    { FMT_LANGUAGE, "zh-Hant-TW",                                                       true  },
    { FMT_LANGUAGE, "d",                                                                false },
    { FMT_LANGUAGE, "de_DE",                                                            false },
    { FMT_LANGUAGE, "de-",                                                              false },
    { FMT_LANGUAGE, "de--x",                                                            false },
    { FMT_COUNTRY,  "DE",                                                               true  },
    { FMT_COUNTRY,  "de",                                                               false },
    { FMT_COUNTRY,  "XX",                                                               false },
    { FMT_COUNTRY,  "EA",                                                               false },
    { FMT_COUNTRY,  "ZW",                                                               true  },
    { FMT_CURRENCY, "EUR",                                                              true  },
    { FMT_CURRENCY, "EURO",                                                             false },
    { FMT_CURRENCY, "URD",                                                              false },
    { FMT_CURRENCY, "ZMW",                                                              true  },
    { FMT_TIMEZONE, "Europe/Berlin",                                                    true  },
    { FMT_TIMEZONE, "UTC",                                                              true  },
    { FMT_TIMEZONE, "Etc/GMT+3",                                                        true  },
    { FMT_TIMEZONE, "Berlin",                                                           false },
    { FMT_TIMEZONE, "../etc/passwd",                                                    false },
    { FMT_TIMEZONE, "Mars/Base",                                                        false },
    { FMT_TIMEZONE, "Europe",                                                           false },
    { FMT_TIMEZONE, "America/Argentina",                                                false },
    { FMT_TIMEZONE, "America/Argentina/Ushuaia",                                        true  },
    { FMT_TIMEZONE, "Asia/Calcutta",                                                    true  },
    { FMT_TIMEZONE, "Africa/Abidjan",                                                   true  },
    { FMT_TIMEZONE, "Africa/Abidjan Africa/Accra",                                      false },
    { FMT_TIMEZONE, "",                                                                 false },
    { FMT_FILENAME, "harbour.jpg",                                                      true  },
    { FMT_FILENAME, "..a b\xc3\xa4.tar.gz",                                             true  },
    { FMT_FILENAME, "../../etc/passwd",                                                 false },
    { FMT_FILENAME, "a\\b",                                                             false },
    { FMT_FILENAME, "..",                                                               false },
    { FMT_FILENAME, "a\nb",                                                             false },
    { FMT_TIMEZONE, "A//B",                                                             false },
    { FMT_PHONE,    "+49 30 1234567",                                                   true  },
    { FMT_PHONE,    "12",                                                               false },
    { FMT_PHONE,    "abc123",                                                           false },
    { FMT_MIME,     "image/svg+xml",                                                    true  },
    { FMT_MIME,     "image",                                                            false },
    { FMT_MIME,     "a/b/c",                                                            false },
    { FMT_MIME,     "a/b c",                                                            false },
    { FMT_SHA256,   "00",                                                               false },
    { FMT_SHA256,   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", true  },
    { FMT_SHA256,   "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855", false },
    { FMT_LINE,     "a\tb",                                                             false },
    { FMT_LINE,     "ä",                                                               true  },
    { FMT_LONG,     "a\tb\r\n",                                                         true  },
    { FMT_LONG,     "a\x01",                                                            false },
    { FMT_LONG,     "a\x7f",                                                            false },
};

static void formats_are_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        const char *why = NULL;
        if (shape_format_ok(formats[i].f, formats[i].s, &why) != formats[i].ok)
            fail_msg("%s: is %s", formats[i].s, why);
        assert_non_null(why);
    }
}

/* proves: what the tables say of themselves is true: each fallback and example passes the decoder.
 */
static void the_tables_own_values_are_valid(void **state)
{
    (void)state;
    for (const struct entity_def *const *e = entities; *e; e++)
        for (const struct field_def *f = (*e)->fields; f->name; f++) {
            if (f->flags & (FF_READONLY | FF_HIDDEN) || !f->example)
                continue;
            struct field_def one[2] = { *f, { 0 } };
            struct shape_row row;
            json_t *body = json_in(a, json_object());
            json_object_set_new(body, f->name, json_loads(f->example, JSON_DECODE_ANY, NULL));
            shape_read(a, one, SHAPE_CREATE, true, body, &row);
            if (row.faults->n)
                fail_msg("%s.%s: %s", (*e)->name, f->name, row.faults->items[0].msg);
        }
}

/* proves: R-23: free JSON holds the numbers that every reader keeps, in the bytes that they take in
 * the database, which knows no exponents */
static void numbers_of_free_json(void **state)
{
    static const struct field_def one[] = {
        { .name = "meta", .type = F_JSON, .max = 64, .doc = "x" },
        { 0 },
    };
    static const struct {
        const char *text, *fault;
    } rows[] = {
        { "{\"a\":9007199254740991,\"b\":-9007199254740991}", NULL                  },
        { "{\"a\":9007199254740992}",                         "/meta/a range"       },
        { "{\"a\":[0,{\"b/\":-9223372036854775807}]}",        "/meta/a/1/b~1 range" },
        { "{\"a\":[0,-1e16]}",                                "/meta/a/1 range"     },
        { "{\"a\":1e300}",                                    "/meta/a range"       },
        { "{\"a\":\"9007199254740992\"}",                     NULL                  },
        { "{\"a\":1e-30,\"b\":0.0}",                          NULL                  },
        { "{\"a\":1e-30,\"b\":1e-30}",                        "/meta max_length"    },
        { "{\"a\":\"\\\\u0000\"}",                            NULL                  },
    };
    (void)state;
    for (int depth = shape_json_depth_max; depth <= shape_json_depth_max + 1; depth++) {
        struct field_def deep[2] = { one[0], { 0 } };
        struct shape_row row;
        json_t *tree = json_integer(1);
        for (int i = 0; i < depth; i++)
            tree = json_pack("{s:o}", "a", tree);
        json_t *body = json_in(a, json_pack("{s:o}", "meta", tree));
        deep[0].max = 1000;
        shape_read(a, deep, SHAPE_PATCH, false, body, &row);
        assert_int_equal(row.faults->n, depth > shape_json_depth_max);
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shape_row row;
        json_t *body = json_in(a, json_object());
        json_object_set_new(body, "meta", json_loads(rows[i].text, 0, NULL));
        shape_read(a, one, SHAPE_PATCH, false, body, &row);
        assert_int_equal(row.faults->n, rows[i].fault ? 1 : 0);
        if (rows[i].fault)
            assert_string_equal(
                arena_printf(a, "%s %s", row.faults->items[0].pointer, row.faults->items[0].code),
                rows[i].fault);
    }
}

static int setup(void **state)
{
    (void)state;
    a = arena_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(a);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_has_its_pointer_and_code),
        cmocka_unit_test(numbers_of_free_json),
        cmocka_unit_test(values_are_typed),
        cmocka_unit_test(null_takes_the_default_back),
        cmocka_unit_test(admins_write_what_is_theirs),
        cmocka_unit_test(formats_are_kept),
        cmocka_unit_test(the_tables_own_values_are_valid),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
