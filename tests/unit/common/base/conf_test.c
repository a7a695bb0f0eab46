#include "common/base/conf.h"

#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

struct settings {
    const char *url, *key, *note;
    int64_t loops;
    bool read_only;
};

static const struct conf_def main_table[] = {
    { .name = "CMS365_PUBLIC_URL",
     .type = CONF_TEXT,
     .offset = offsetof(struct settings, url),
     .doc = "Where clients reach us." },
    { .name = "CMS365_LOOPS",
     .type = CONF_INT,
     .fallback = "0",
     .min = 0,
     .max = 64,
     .offset = offsetof(struct settings, loops),
     .doc = "Event loops; 0 | one a core." },
    { .name = "CMS365_READ_ONLY",
     .type = CONF_BOOL,
     .fallback = "false",
     .offset = offsetof(struct settings, read_only),
     .doc = "Refuse writes." },
    { .name = NULL },
};
static const struct conf_def secret_table[] = {
    { .name = "CMS365_KEY",
     .type = CONF_TEXT,
     .fallback = "none-default",
     .max = 16,
     .offset = offsetof(struct settings, key),
     .secret = true,
     .doc = "Seals secrets." },
    { .name = "CMS365_NOTE",
     .type = CONF_TEXT,
     .fallback = "hi",
     .offset = offsetof(struct settings, note),
     .doc = "A word." },
    { .name = NULL },
};
static const struct conf_def *const tables[] = { main_table, secret_table, NULL };
static const char *const known[] = { "CMS365_DATABASE_URL", "CMS365_TEST_*", NULL };

static char secret_file[] = "/tmp/conf_test_XXXXXX";
static char file_setting[sizeof("CMS365_KEY_FILE=") + sizeof(secret_file)];

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

static int load(struct arena *a, const char *const *others, const char *const *env,
                struct settings *ret, struct err *err)
{
    char *copy[16] = { NULL };

    for (size_t i = 0; env[i]; i++) {
        assert_true(i < ARRAY_LEN(copy) - 1);
        copy[i] = arena_strdup(a, env[i]);
    }
    return conf_load(a, tables, others, copy, ret, err);
}

/* The file of this run with n bytes in it. */
static void write_file(const void *bytes, size_t n)
{
    FILE *f = fopen(secret_file, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void defaults_fill_what_is_not_set(void **state)
{
    const char *env[] = { "PATH=/bin", "CMS365_PUBLIC_URL=http://x", NULL };
    struct settings s = { 0 };
    struct err err = { 0 };

    assert_int_equal(load(*state, known, env, &s, &err), 0);
    assert_string_equal(s.url, "http://x");
    assert_string_equal(s.key, "none-default");
    assert_string_equal(s.note, "hi");
    assert_int_equal(s.loops, 0);
    assert_false(s.read_only);
    assert_int_equal(err.code, E_OK);
}

static void environment_is_read(void **state)
{
    const char *env[] = { "CMS365_PUBLIC_URL=u=v",
                          "CMS365_LOOPS=64",
                          "CMS365_READ_ONLY=yes",
                          "CMS365_KEY=0123456789abcdef",
                          "CMS365_NOTE=",
                          "CMS365_DATABASE_URL=ignored",
                          "CMS365_DATABASE_URL_FILE=x",
                          "CMS365_TEST_ANYTHING=1",
                          "CMS365LOOPS=other",
                          NULL };
    struct settings s = { 0 };
    struct err err;

    assert_int_equal(load(*state, known, env, &s, &err), 0);
    assert_string_equal(s.url, "u=v");
    assert_int_equal(s.loops, 64);
    assert_true(s.read_only);
    assert_string_equal(s.key, "0123456789abcdef");
    assert_string_equal(s.note, "");
}

static void secrets_may_come_from_a_file(void **state)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "k1",     "k1"   },
        { "k1\n",   "k1"   },
        { "k1\r\n", "k1"   },
        { "k1\n\n", "k1\n" },
        { "",       ""     },
    };
    const char *env[] = { "CMS365_PUBLIC_URL=x", file_setting, NULL };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct settings s = { 0 };
        struct err err;

        write_file(cases[i].in, strlen(cases[i].in));
        assert_int_equal(load(*state, known, env, &s, &err), 0);
        assert_string_equal(s.key, cases[i].want);
    }
}

static void bad_settings_stop_with_one_sentence(void **state)
{
    static const struct {
        const char *set[2]; /* beside the required one */
        const char *msg;
    } cases[] = {
        { { "CMS365_LOOP=1" },                      "CMS365_LOOP is not a setting; did you mean CMS365_LOOPS?"      },
        { { "CMS365_COMPLETELY_ELSE=1" },
         "CMS365_COMPLETELY_ELSE is not a setting of this program or any other."                                    },
        { { "CMS365_=1" },                          "CMS365_ is not a setting of this program or any other."        },
        { { "CMS365_NOTE_FILE=/x" },
         "CMS365_NOTE_FILE is not a setting of this program or any other."                                          },
        { { "CMS365_LOOPS=65" },                    "CMS365_LOOPS must be a whole number from 0 to 64, not \"65\"." },
        { { "CMS365_LOOPS=-1" },                    "CMS365_LOOPS must be a whole number from 0 to 64, not \"-1\"." },
        { { "CMS365_LOOPS=" },                      "CMS365_LOOPS must be a whole number from 0 to 64, not \"\"."   },
        { { "CMS365_LOOPS=four" },
         "CMS365_LOOPS must be a whole number from 0 to 64, not \"four\"."                                          },
        { { "CMS365_READ_ONLY=maybe" },             "CMS365_READ_ONLY must be true or false, not \"maybe\"."        },
        { { "CMS365_KEY=0123456789abcdefg" },       "CMS365_KEY is longer than 16 bytes."                           },
        { { "CMS365_KEY=k", "CMS365_KEY_FILE=/x" },
         "CMS365_KEY and CMS365_KEY_FILE are both set; set one."                                                    },
        { { "CMS365_KEY_FILE=/nonexistent/x" },
         "CMS365_KEY_FILE names a file that cannot be read: No such file or directory."                             },
        { { "CMS365_KEY_FILE=/" },
         "CMS365_KEY_FILE names a file that cannot be read: Is a directory."                                        },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *env[] = { "CMS365_PUBLIC_URL=x", NULL, NULL, NULL };
        struct settings s = { 0 };
        struct err err = { 0 };

        for (size_t k = 0; k < 2 && cases[i].set[k]; k++)
            env[k + 1] = arena_strdup(*state, cases[i].set[k]);
        assert_int_equal(load(*state, known, env, &s, &err), -E_config);
        assert_string_equal(err.msg, cases[i].msg);
        assert_true(str_starts(err.msg, err.pointer));
    }
}

static void required_settings_are_required(void **state)
{
    const char *none[] = { NULL }, *empty[] = { "CMS365_PUBLIC_URL=", NULL };
    struct settings s = { 0 };
    struct err err = { 0 };

    assert_int_equal(load(*state, known, none, &s, &err), -E_config);
    assert_string_equal(err.msg, "CMS365_PUBLIC_URL is required.");
    assert_int_equal(load(*state, NULL, empty, &s, &err), -E_config);
    assert_string_equal(err.msg, "CMS365_PUBLIC_URL is required and must not be empty.");
}

static void secret_files_have_limits(void **state)
{
    const char *env[] = { "CMS365_PUBLIC_URL=x", file_setting, NULL };
    struct settings s = { 0 };
    struct err err;

    write_file("0123456789abcdef\n", 17);
    assert_int_equal(load(*state, known, env, &s, &err), 0);
    write_file("0123456789abcdefg", 17);
    assert_int_equal(load(*state, known, env, &s, &err), -E_config);
    assert_null(strstr(err.msg, "0123"));
    write_file("a\0b", 3);
    assert_int_equal(load(*state, known, env, &s, &err), -E_config);
    assert_string_equal(err.msg, "CMS365_KEY_FILE names a file that holds a NUL byte.");
}

static void help_and_reference_show_no_secret_default(void **state)
{
    void (*const print[])(FILE *, const struct conf_def *const *) = { conf_help, conf_markdown };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(print); i++) {
        char *text = NULL;
        size_t n;
        FILE *out = open_memstream(&text, &n);

        assert_non_null(out);
        print[i](out, tables);
        assert_int_equal(fclose(out), 0);
        assert_null(strstr(text, "none-default"));
        assert_non_null(strstr(text, "CMS365_PUBLIC_URL"));
        assert_non_null(strstr(text, "required"));
        assert_non_null(strstr(text, "Seals secrets."));
        assert_non_null(strstr(text, i ? "0 \\| one a core." : "0 to 64"));
        free(text);
    }
}

static int make_file(void **state)
{
    int fd = mkstemp(secret_file);

    (void)state;
    (void)snprintf(file_setting, sizeof(file_setting), "CMS365_KEY_FILE=%s", secret_file);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(secret_file);
}

#define ARENA_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(defaults_fill_what_is_not_set),
        ARENA_TEST(environment_is_read),
        ARENA_TEST(secrets_may_come_from_a_file),
        ARENA_TEST(bad_settings_stop_with_one_sentence),
        ARENA_TEST(required_settings_are_required),
        ARENA_TEST(secret_files_have_limits),
        ARENA_TEST(help_and_reference_show_no_secret_default),
    };

    return cmocka_run_group_tests_name("conf", tests, make_file, remove_file);
}
