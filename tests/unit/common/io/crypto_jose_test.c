#include "common/io/crypto_jose.h"

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

#define PAYLOAD                                                                                    \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnV"  \
    "lfQ"

/* RFC 7515, appendix A.3 */
static const char ec_public[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
static const char ec_token[] =
    "eyJhbGciOiJFUzI1NiJ9." PAYLOAD
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

/* RFC 7515, appendix A.2 */
static const char rsa_public[] =
    "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26m"
    "PddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo"
    "9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZl"
    "xvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW"
    "yuXpoQ\"}";
static const char rsa_token[] =
    "eyJhbGciOiJSUzI1NiJ9." PAYLOAD
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5j"
    "ujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L0"
    "7Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUip"
    "UTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

static struct jose_key *key_of(const char *text, enum jose_half half)
{
    struct jose_key *k = NULL;
    struct err err;
    if (jose_key_parse(text, strlen(text), half, &k, &err))
        fail_msg("%s", err.msg);
    return k;
}

/* proves: AU-08 */
static void published_signatures_verify_and_altered_ones_do_not(void **state)
{
    (void)state;
    static const struct {
        const char *key, *token;
        enum jose_alg alg;
    } cases[] = {
        { ec_public,  ec_token,  JOSE_ES256 },
        { rsa_public, rsa_token, JOSE_RS256 }
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct jose_key *k = key_of(cases[i].key, JOSE_PUBLIC);
        assert_int_equal(jose_key_alg(k), cases[i].alg);
        assert_true(jws_verify(k, arena, cases[i].token));
        for (size_t at = 0, n = strlen(cases[i].token); at < n; at += 7) {
            char *bad = arena_strdup(arena, cases[i].token);
            bad[at] = bad[at] == 'A' ? 'B' : 'A';
            if (strcmp(bad, cases[i].token) != 0)
                assert_false(jws_verify(k, arena, bad));
        }
        assert_false(jws_verify(k, arena, cases[1 - i].token));
        jose_key_free(k);
    }
}

/* RFC 7638 §3.1, RFC 9449 §4.1's key is in tests of DPoP */
static void thumbprint_is_rfc7638s(void **state)
{
    (void)state;
    struct jose_key *k =
        key_of("{\"kty\":\"RSA\",\"n\":"
               "\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1"
               "RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_"
               "RN5w6Cf0h"
               "4QyQ5v-65YGjQR0_"
               "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLy"
               "rdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
               "kEgU8awapJzKnqDKgw\""
               ",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}",
               JOSE_PUBLIC);
    assert_string_equal(jose_key_thumb(k), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    jose_key_free(k);
}

static void keys_that_we_make_sign_and_travel(void **state)
{
    (void)state;
    for (enum jose_alg alg = JOSE_ES256; alg <= JOSE_RS256; alg++) {
        struct jose_key *k;
        struct err err;
        char *token;
        assert_int_equal(jose_key_make(alg, &k, &err), 0);
        const json_t *payload = json_in(arena, json_pack("{s:s,s:i}", "iss", "ü", "n", 7));
        assert_int_equal(jws_sign(k, arena, "at+jwt", payload, &token, &err), 0);
        char *text = jose_key_text(k, arena, JOSE_PUBLIC);
        assert_null(strstr(text, "\"d\""));
        struct jose_key *pub = key_of(text, JOSE_PUBLIC);
        assert_true(jws_verify(pub, arena, token));
        assert_string_equal(jose_key_thumb(pub), jose_key_thumb(k));
        struct jose_key *again = key_of(jose_key_text(k, arena, JOSE_PRIVATE), JOSE_PRIVATE);
        assert_string_equal(jose_key_thumb(again), jose_key_thumb(k));
        struct jws parts;
        assert_int_equal(jws_decode(arena, token, &parts, &err), 0);
        assert_string_equal(parts.kid, jose_key_thumb(k));
        assert_string_equal(parts.typ, "at+jwt");
        assert_string_equal(parts.alg, jose_alg_name(alg));
        jose_key_free(again);
        jose_key_free(pub);
        jose_key_free(k);
    }
}

static char *joined(const char *header, const char *payload, const char *mac)
{
    return arena_printf(arena, "%s.%s.%s", b64url_encode(arena, header, strlen(header)),
                        b64url_encode(arena, payload, strlen(payload)), mac);
}

/* proves: AU-08: alg none, a symmetric alg over the public key, crit, and what is no JWS */
static void forged_headers_are_refused(void **state)
{
    (void)state;
    struct jose_key *k = key_of(rsa_public, JOSE_PUBLIC);
    const char *mac = strrchr(rsa_token, '.') + 1;
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"HS256\"}",
        "{\"alg\":\"ES256\"}",
        "{\"alg\":\"PS256\"}",
        "{\"alg\":[\"RS256\"]}",
        "{\"alg\":\"RS256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"RS256\",\"alg\":\"RS256\"}",
        "{\"typ\":\"JWT\"}",
        "[]",
        "{",
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        assert_false(jws_verify(k, arena, joined(headers[i], "{\"iss\":\"joe\"}", mac)));
    static const char *const texts[] = {
        "", ".", "..", "a.b", "a.b.c", "....", "eyJhbGciOiJSUzI1NiJ9..x"
    };
    struct jws parts;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(jws_decode(arena, texts[i], &parts, &err), -E_invalid);
    char *deep = arena_alloc(arena, 6000);
    memset(deep, '[', 4000);
    assert_int_equal(jws_decode(arena, joined("{\"alg\":\"ES256\"}", deep, mac), &parts, &err),
                     -E_invalid);
    char *longer = arena_alloc(arena, jws_bytes_max + 2);
    memset(longer, 'a', jws_bytes_max + 1);
    assert_int_equal(jws_decode(arena, longer, &parts, &err), -E_invalid);
    jose_key_free(k);
}

static void unfit_keys_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum jose_half half;
    } cases[] = {
        { "",                                                                             JOSE_PUBLIC  },
        { "[]",                                                                           JOSE_PUBLIC  },
        { "{\"kty\":\"oct\",\"k\":\"AAAA\"}",                                             JOSE_PUBLIC  },
        { "{\"kty\":\"oct\",\"k\":\"AAAA\"}",                                             JOSE_PRIVATE },
        { "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",                              JOSE_PUBLIC  }, /* 24 bits */
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",             JOSE_PUBLIC  },
        /* not a point of the curve */
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
          "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}",              JOSE_PUBLIC  },
        /* for another purpose */
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"use\":\"enc\",\"x\":"
          "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tu"
          "s9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}", JOSE_PUBLIC  },
        /* a secret half where none belongs */
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
          "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\","
          "\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}",              JOSE_PUBLIC  },
        { ec_public,                                                                      JOSE_PRIVATE },
    };
    struct jose_key *k;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (!jose_key_parse(cases[i].text, strlen(cases[i].text), cases[i].half, &k, &err))
            fail_msg("taken: %s", cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_signatures_verify_and_altered_ones_do_not),
        cmocka_unit_test(thumbprint_is_rfc7638s),
        cmocka_unit_test(keys_that_we_make_sign_and_travel),
        cmocka_unit_test(forged_headers_are_refused),
        cmocka_unit_test(unfit_keys_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
