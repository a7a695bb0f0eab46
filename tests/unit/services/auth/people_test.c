/* Passwords that will do, and one-time passwords by the RFCs' own values. */
#include "services/auth/audit.h"
#include "services/auth/password.h"
#include "services/auth/totp.h"

#include "common/base/str.h"
#include "common/io/crypto.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* proves: AU-11: RFC 4226, appendix D */
static void codes_by_counter_are_those_of_rfc_4226(void **state)
{
    (void)state;
    static const char *const want[] = { "755224", "287082", "359152", "969429", "338314",
                                        "254676", "287922", "162583", "399871", "520489" };
    static const char secret[] = "12345678901234567890";
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        char got[totp_text_max];
        totp_code(secret, sizeof(secret) - 1, (int64_t)i, 6, got);
        assert_string_equal(got, want[i]);
    }
}

/* proves: AU-11: RFC 6238, appendix B, the rows for SHA-1 */
static void codes_by_time_are_those_of_rfc_6238(void **state)
{
    (void)state;
    static const struct {
        int64_t at;
        const char *want;
    } rows[] = {
        { 59,          "94287082" },
        { 1111111109,  "07081804" },
        { 1111111111,  "14050471" },
        { 1234567890,  "89005924" },
        { 2000000000,  "69279037" },
        { 20000000000, "65353130" },
    };
    static const char secret[] = "12345678901234567890";
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char got[totp_text_max];
        totp_code(secret, sizeof(secret) - 1, rows[i].at / totp_step_s, 8, got);
        assert_string_equal(got, rows[i].want);
    }
}

/* proves: AU-11: RFC 4648 §10, without padding */
static void secrets_are_shown_in_base32(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    static const char *const rows[][2] = {
        { "",       ""           },
        { "f",      "MY"         },
        { "fo",     "MZXQ"       },
        { "foo",    "MZXW6"      },
        { "foob",   "MZXW6YQ"    },
        { "fooba",  "MZXW6YTB"   },
        { "foobar", "MZXW6YTBOI" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(totp_base32(a, rows[i][0], strlen(rows[i][0])), rows[i][1]);
    arena_free(a);
}

/* proves: AU-11: NIST SP 800-63B §5.1.1.2: length and what everybody knows, no composition */
static void passwords_are_long_and_not_known_to_all(void **state)
{
    (void)state;
    const char *const names[] = { "erika", "erika.muster@example.com", "Erika Muster",
                                  "u_288aa6bf1918", NULL };
    static const char *const good[] = {
        "tea leaves in the morning",
        "xkqz pwvt mnrl",
        "Hör mal, wer da hämmert",
        "2718281828459045",
        "erikalikesteaverymuch",
        "🫖🫖🫖🫖🍵🍵🍵🍵🍃🍃🍃🍃",
        "            x",
    };
    static const char *const bad[] = {
        "",
        "short",
        "elevenchars",
        "password1234",
        "PASSWORD!!!!!",
        "Passwort2026!",
        "qwertyuiop12",
        "123456789012",
        "098765432109",
        "abcdefghijklmnop",
        "zyxwvutsrqpo",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "121212121212",
        "correcthorsebatterystaple",
        "Erika Muster",
        "erika.muster@example.com",
        "erika.muster2026",
        "ERIKA1234567",
        "u_288aa6bf1918-1234",
        "tea leaves \xff\xfe in the",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        const char *why = password_fault(good[i], 12, names);
        if (why)
            fail_msg("%s: %s", good[i], why);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (!password_fault(bad[i], 12, names))
            fail_msg("%s was taken", bad[i]);
    char longest[1024 + 2];
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "a long one with words ", 22);
    longest[1024] = '\0';
    assert_null(password_fault(longest, 12, names));
    longest[1024] = 'x';
    longest[1025] = '\0';
    assert_non_null(password_fault(longest, 12, names));
    assert_null(password_fault("eightchr", 8, names));
    assert_non_null(password_fault("eightchr", 9, names));
}

/* proves: AU-11: parameters that grew are noticed */
static void hashes_of_other_parameters_are_stale(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    char *phc = password_hash(a, "tea");
    assert_false(password_stale(phc));
    assert_true(password_matches(phc, "tea"));
    assert_false(password_matches(phc, "Tea"));
    assert_true(password_stale("$argon2id$v=19$m=12288,t=2,p=1$c2FsdHNhbHQ$aGFzaA"));
    assert_true(password_stale("$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA"));
    arena_free(a);
}

/* proves: AU-11, AU-13: a household or a server is one network */
static void addresses_are_counted_by_their_network(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    static const char *const rows[][2] = {
        { "192.0.2.7",            "192.0.2.7"         },
        { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
        { "2001:db8:1:2::1",      "2001:db8:1:2::/64" },
        { "2001:db8:1:3::1",      "2001:db8:1:3::/64" },
        { "::1",                  "::/64"             },
        { "nonsense",             ""                  },
        { "",                     ""                  },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(audit_network(a, rows[i][0]), rows[i][1]);
    assert_string_equal(audit_network(a, NULL), "");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_by_counter_are_those_of_rfc_4226),
        cmocka_unit_test(codes_by_time_are_those_of_rfc_6238),
        cmocka_unit_test(secrets_are_shown_in_base32),
        cmocka_unit_test(passwords_are_long_and_not_known_to_all),
        cmocka_unit_test(hashes_of_other_parameters_are_stale),
        cmocka_unit_test(addresses_are_counted_by_their_network),
    };
    return cmocka_run_group_tests_name("people", tests, NULL, NULL);
}
