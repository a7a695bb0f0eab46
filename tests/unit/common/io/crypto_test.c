#include "common/io/crypto.h"

#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

/* FIPS 180-4 examples, and the empty message. */
static void sha256_matches_fips_examples(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "abc",                                                      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "",                                                         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"                                                              },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char hex[sha256_hex_len + 1];
        sha256_hex(cases[i].in, strlen(cases[i].in), hex);
        assert_string_equal(hex, cases[i].want);
    }
    char *million = arena_raw(arena, 1000000);
    char hex[sha256_hex_len + 1];
    memset(million, 'a', 1000000);
    sha256_hex(million, 1000000, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* RFC 4231, test cases 1-4, 6 and 7 (5 truncates). */
static void hmac_matches_rfc4231(void **state)
{
    (void)state;
    static const struct {
        const char *key, *data, *want; /* hexadecimal; a key "xx*n" is repeated */
        unsigned char fill;
        size_t key_n;
        unsigned char data_fill;
        size_t data_n;
    } cases[] = {
        { .fill = 0x0b,
         .key_n = 20,
         .data = "4869205468657265",
         .want = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
        { .key = "4a656665",
         .data = "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         .want = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        { .fill = 0xaa,
         .key_n = 20,
         .data_fill = 0xdd,
         .data_n = 50,
         .want = "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
        { .key = "0102030405060708090a0b0c0d0e0f10111213141516171819",
         .data_fill = 0xcd,
         .data_n = 50,
         .want = "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
        { .fill = 0xaa,
         .key_n = 131,
         .data = "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579"
                  "202d2048617368204b6579204669727374", .want = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
        { .fill = 0xaa,
         .key_n = 131,
         .data = "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f63"
                  "6b2d73697a65206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a65"
                  "20646174612e20546865206b6579206e6565647320746f20626520686173686564206265666f72"
                  "65206265696e6720757365642062792074686520484d414320616c676f726974686d2e", .want = "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned char key[200], data[200], mac[sha256_bytes];
        char hex[sha256_hex_len + 1];
        size_t key_n = cases[i].key_n, data_n = cases[i].data_n;
        memset(key, cases[i].fill, sizeof(key));
        memset(data, cases[i].data_fill, sizeof(data));
        if (cases[i].key) {
            key_n = strlen(cases[i].key) / 2;
            assert_true(hex_decode(cases[i].key, 2 * key_n, key));
        }
        if (cases[i].data) {
            data_n = strlen(cases[i].data) / 2;
            assert_true(hex_decode(cases[i].data, 2 * data_n, data));
        }
        /* In one part, and cut in three (the first empty): the joints must not show. */
        hmac_sha256(key, key_n, &(struct sha256_part){ data, data_n }, 1, mac);
        hex_encode(mac, sizeof(mac), hex);
        assert_string_equal(hex, cases[i].want);
        const struct sha256_part parts[] = {
            { data,     0          },
            { data,     3          },
            { data + 3, data_n - 3 }
        };
        hmac_sha256(key, key_n, parts, ARRAY_LEN(parts), mac);
        hex_encode(mac, sizeof(mac), hex);
        assert_string_equal(hex, cases[i].want);
    }
}

static void equality_and_wiping(void **state)
{
    (void)state;
    char secret[] = "secret";
    assert_true(crypto_equal("abcd", "abcd", 4));
    assert_false(crypto_equal("abcd", "abce", 4));
    assert_true(crypto_equal("x", "y", 0));
    crypto_wipe(secret, sizeof(secret));
    for (size_t i = 0; i < sizeof(secret); i++)
        assert_int_equal(secret[i], 0);
}

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "//////////////////////////////////////////8="

static struct keyring *keyring_of(const char *spec)
{
    struct keyring *k;
    struct err err;
    assert_int_equal(keyring_parse(spec, &k, &err), 0);
    return k;
}

static void keyring_refuses_what_is_not_one(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        ",",
        "a",
        "a:",
        ":" KEY_A,
        "a:" KEY_A ",",
        "a:" KEY_A ",a:" KEY_A,
        "a b:" KEY_A,
        "a:AAEC",
        "a:not base64 at all, really",
        "k0123456789abcdef:" KEY_A,
        "1:" KEY_A ",2:" KEY_A ",3:" KEY_A ",4:" KEY_A ",5:" KEY_A ",6:" KEY_A ",7:" KEY_A
        ",8:" KEY_A ",9:" KEY_A,
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct keyring *k;
        struct err err;
        assert_int_equal(keyring_parse(bad[i], &k, &err), -E_config);
        assert_null(strstr(err.msg, KEY_A)); /* no key in a message */
    }
    keyring_free(NULL);
}

/* proves: X-06 */
static void sealed_values_open_only_where_they_belong(void **state)
{
    (void)state;
    struct keyring *k = keyring_of("a:" KEY_A ",b:" KEY_B), *b_only = keyring_of("b:" KEY_B),
                   *b_first = keyring_of("b:" KEY_B ",a:" KEY_A);
    static const char *const texts[] = { "", "x", "whsec_0123456789abcdef0123456789" };
    struct err err;
    void *out;
    size_t n;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char *sealed = crypto_seal(k, arena, "endpoints.secret:7", texts[i], strlen(texts[i]));
        assert_true(str_starts(sealed, "a."));
        assert_int_equal(crypto_open(k, arena, "endpoints.secret:7", sealed, &out, &n, &err), 0);
        assert_int_equal(n, strlen(texts[i]));
        assert_string_equal(out, texts[i]);
        /* After a rotation the old key still opens, and the new one seals. */
        assert_int_equal(crypto_open(b_first, arena, "endpoints.secret:7", sealed, &out, &n, &err),
                         0);
        assert_true(str_starts(crypto_seal(b_first, arena, "c", "x", 1), "b."));
        assert_int_equal(crypto_open(k, arena, "endpoints.secret:8", sealed, &out, &n, &err),
                         -E_internal);
        assert_int_equal(crypto_open(b_only, arena, "endpoints.secret:7", sealed, &out, &n, &err),
                         -E_config);
        for (size_t at = 2; sealed[at]; at++) { /* every character of it counts */
            char *bent = arena_strdup(arena, sealed);
            bent[at] = bent[at] == 'A' ? 'B' : 'A';
            assert_true(crypto_open(k, arena, "endpoints.secret:7", bent, &out, &n, &err) < 0);
        }
    }
    assert_string_not_equal(crypto_seal(k, arena, "c", "x", 1), crypto_seal(k, arena, "c", "x", 1));
    assert_int_equal(crypto_open(k, arena, "c", "no dot", &out, &n, &err), -E_config);
    assert_int_equal(crypto_open(k, arena, "c", "a.", &out, &n, &err), -E_internal);
    assert_int_equal(crypto_open(k, arena, "c", "a.!!", &out, &n, &err), -E_internal);
    keyring_free(k);
    keyring_free(b_only);
    keyring_free(b_first);
}

static void password_hash_is_argon2id_with_owasp_parameters(void **state)
{
    (void)state;
    char *one = password_hash(arena, "correct horse"), *two = password_hash(arena, "correct horse");
    assert_true(str_starts(one, "$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_string_not_equal(one, two);
    assert_true(password_matches(one, "correct horse"));
    assert_false(password_matches(one, "correct horsf"));
    assert_false(password_matches(one, ""));
    assert_false(password_matches("", "correct horse"));
    assert_false(password_matches("$argon2id$v=19$m=19456,t=2,p=1$", "correct horse"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sha256_matches_fips_examples, setup, teardown),
        cmocka_unit_test_setup_teardown(hmac_matches_rfc4231, setup, teardown),
        cmocka_unit_test(equality_and_wiping),
        cmocka_unit_test(keyring_refuses_what_is_not_one),
        cmocka_unit_test_setup_teardown(sealed_values_open_only_where_they_belong, setup, teardown),
        cmocka_unit_test_setup_teardown(password_hash_is_argon2id_with_owasp_parameters, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
