/* Browser sessions: the cookie's form and its token, and when what is known of one still holds. */
#include "common/kit/session.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/token_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct keyring *ring(const char *kid, char byte)
{
    unsigned char raw[seal_key_bytes];
    struct keyring *k;
    struct err err;
    struct arena *a = arena_new();
    memset(raw, byte, sizeof(raw));
    assert_int_equal(
        keyring_parse(arena_printf(a, "%s:%s", kid, b64_encode(a, raw, sizeof(raw))), &k, &err), 0);
    arena_free(a);
    return k;
}

/* proves: AU-05: made-up cookies are found without a look-up */
static void a_cookie_of_another_maker_is_none(void **state)
{
    (void)state;
    struct keyring *ours = ring("a", 1), *other = ring("b", 2);
    char text[session_text_max], hash[65], again[65];
    session_make(ours, text, hash);
    sha256_hex(text, strlen(text), again);
    assert_string_equal(hash, again);
    assert_true(session_form_ok(ours, text));
    assert_false(session_form_ok(other, text));
    for (size_t i = 0; i < strlen(text); i++) {
        char bad[session_text_max];
        snprintf(bad, sizeof(bad), "%s", text);
        bad[i] = bad[i] == 'A' ? 'E' : 'A'; /* not only the bits that base64 has no use for */
        assert_false(session_form_ok(ours, bad));
        bad[i] = '\0';
        assert_false(session_form_ok(ours, bad));
    }
    keyring_free(ours);
    keyring_free(other);
}

/* proves: AU-05 */
static void the_token_is_of_one_session(void **state)
{
    (void)state;
    char csrf[session_csrf_max];
    session_csrf("one", csrf);
    assert_true(session_csrf_ok("one", csrf));
    assert_false(session_csrf_ok("two", csrf));
    assert_false(session_csrf_ok("one", NULL));
    assert_false(session_csrf_ok("one", ""));
    csrf[3] ^= 1;
    assert_false(session_csrf_ok("one", csrf));
}

/* proves: AU-05 */
static void cookies_are_found_by_their_whole_name(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    static const struct {
        const char *header, *want;
    } rows[] = {
        { "s=1",             "1"  },
        { "x=0; s=1; ss=2",  "1"  },
        { "xs=0",            NULL },
        { "s",               NULL },
        { "s=1; s=2",        NULL },
        { "s=1; s=1",        NULL },
        { "",                NULL },
        { "S=1",             NULL },
        { "x=\"; s=1; y=\"", "1"  },
        { "s=",              ""   },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *got = cookie_find(a, rows[i].header, "s");
        if (!str_eq(got, rows[i].want))
            fail_msg("%s: %s", rows[i].header, got ? got : "none");
    }
    assert_null(cookie_find(a, NULL, "s"));
    const char *plain = "http://cms.example", *tls = "https://cms.example";
    assert_string_equal(cookie_make(a, "session", "v", tls, "Strict", 60),
                        "__Host-cms365_session=v; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; "
                        "Secure");
    assert_string_equal(cookie_make(a, "login", "", plain, "Lax", 60),
                        "cms365_login=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    arena_free(a);
}

/* proves: AU-05 */
static void the_origin_is_the_whole_of_it(void **state)
{
    (void)state;
    static const struct {
        const char *url, *origin;
        bool ours;
    } rows[] = {
        { "https://cms.example",      "https://cms.example",      true  },
        { "https://cms.example/base", "https://cms.example",      true  },
        { "https://cms.example:8443", "https://cms.example:8443", true  },
        { "https://cms.example",      "http://cms.example",       false },
        { "https://cms.example",      "https://cms.example.evil", false },
        { "https://cms.example",      "https://cms.exampl",       false },
        { "https://cms.example",      "https://cms.example:8443", false },
        { "https://cms.example",      "null",                     false },
        { "https://cms.example",      "",                         false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(session_own_origin(rows[i].url, rows[i].origin), rows[i].ours);
}

/* proves: AU-12: a session that was ended, or whose user was changed, is asked for again */
static void what_was_changed_since_is_denied(void **state)
{
    (void)state;
    struct token_table t;
    table_init(&t);
    assert_false(table_denies_session(&t, 7, 3, 1000));
    assert_true(table_revoke(&t, "session:7", 2000));
    assert_true(table_denies_session(&t, 7, 3, 1000));
    assert_true(table_denies_session(&t, 7, 3, 2000));
    assert_false(table_denies_session(&t, 7, 3, 2001));
    assert_false(table_denies_session(&t, 8, 3, 1000));
    assert_true(table_revoke(&t, "tokens:3", 3000));
    assert_true(table_denies_session(&t, 8, 3, 2500));
    assert_true(table_revoke(&t, "user:4", 3000));
    assert_true(table_denies_session(&t, 8, 4, 2500));
    assert_false(table_denies_session(&t, 8, 5, 2500));
    table_done(&t);
}

static void states_travel_whole_or_not_at_all(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct err err;
    const struct session_state s = {
        .id = 7, .user_id = 3, .expires_us = 99, .as_of_ms = 5, .role = ROLE_EDITOR
    };
    struct session_state got;
    char *text = session_state_json(a, &s);
    assert_int_equal(session_state_parse(a, text, strlen(text), &got, &err), 0);
    assert_memory_equal(&got, &s, sizeof(s));
    static const char *const bad[] = {
        "{}",
        "[]",
        "7",
        "{\"id\":7,\"user_id\":3,\"role\":\"none\",\"expires_us\":99,\"as_of_ms\":5}",
        "{\"id\":7,\"user_id\":3,\"role\":\"admin\",\"as_of_ms\":5}",
        "{\"id\":\"7\",\"user_id\":3,\"role\":\"admin\",\"expires_us\":99,\"as_of_ms\":5}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_not_equal(session_state_parse(a, bad[i], strlen(bad[i]), &got, &err), 0);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cookie_of_another_maker_is_none),
        cmocka_unit_test(the_token_is_of_one_session),
        cmocka_unit_test(cookies_are_found_by_their_whole_name),
        cmocka_unit_test(the_origin_is_the_whole_of_it),
        cmocka_unit_test(what_was_changed_since_is_denied),
        cmocka_unit_test(states_travel_whole_or_not_at_all),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
