/*
 * The walker over targets[]: each must build what its golden send.req says, byte for byte, and take
 * each of its answers as it says.  A target without its files fails. proves: W-01, W-02, W-04, W-15
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/str.h"
#include "common/io/crypto_keys.h"
#include "common/io/crypto_sig.h"
#include "services/webhooks-out/provider.h"
#include "services/webhooks-out/webhooks.h"

enum { file_max = 65536 };

static unsigned char raw[32]; /* 0, 1, 2 … */
static const char shown[] = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
static struct target_key keys[] = {
    { .text = shown, .raw = raw, .raw_n = sizeof(raw) },
};
static const struct target_job job = {
    .message_id = "evt_0195f3c2-6f00-7abc-8def-0123456789ab",
    .timestamp_s = 1771583405,
    .keys = keys,
    .nkeys = 1,
    .type = "post.published",
    .subject = "post:7",
    .source = "https://cms.example.com",
    .event_us = INT64_C(1771583405000000),
    .body =
        "{\"id\":\"evt_0195f3c2-6f00-7abc-8def-0123456789ab\",\"type\":\"post.published\","
        "\"timestamp\":\"2026-02-20T10:30:05.000000Z\",\"data\":{\"id\":7,\"title\":\"Gr\xc3\xbc"
        "\xc3\x9f"
        "e\"},\"changed\":[\"status\"]}",
    .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    .request_id = "req-1",
};

static char *golden(struct arena *a, const struct target *t, const char *name)
{
    const char *path = arena_printf(a, "tests/golden/webhooks-out/%s/%s", t->p.name, name);
    char *text = arena_alloc(a, file_max);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is missing", path);
    text[fread(text, 1, file_max - 1, f)] = '\0';
    fclose(f);
    return text;
}

static void builds_its_golden_request(void **state)
{
    (void)state;
    for (const struct target *const *t = targets; *t; t++) {
        struct arena *a = arena_new();
        struct target_job j = job;
        struct target_request r;
        struct buf b;
        j.body_n = strlen(j.body);
        buf_init(&b, a, 1024, file_max);
        (*t)->build(a, &j, &r);
        buf_printf(&b, "%s\n", r.method);
        for (size_t i = 0; i < r.nheaders; i++)
            buf_printf(&b, "%s: %s\n", r.headers[i].name, r.headers[i].value);
        buf_printf(&b, "\n%s", j.body);
        assert_string_equal(b.data, golden(a, *t, "send.req"));
        arena_free(a);
    }
}

static void takes_answers_as_its_golden_files_say(void **state)
{
    static const char *const files[] = { "ok.res",  "204.res", "3xx.res", "401.res",      "404.res",
                                         "410.res", "429.res", "5xx.res", "malformed.res" };
    (void)state;
    for (const struct target *const *t = targets; *t; t++)
        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
            struct arena *a = arena_new();
            const char *text = golden(a, *t, files[i]);
            const char *want = strstr(text, "Expect-Outcome: ");
            assert_non_null(want);
            want += strlen("Expect-Outcome: ");
            int status = (int)strtol(text, NULL, 10);
            const char *got = outcome_name(provider_outcome(&(*t)->p, status));
            if (strncmp(got, want, strlen(got)) != 0 || want[strlen(got)] != '\n')
                fail_msg("%s %s: %s", (*t)->p.name, files[i], got);
            arena_free(a);
        }
}

/* The example of the Standard Webhooks specification, and hash_hmac of PHP. */
static void signs_the_published_example(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct target_request r;
    const char *secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    void *decoded;
    struct target_key k = { .text = secret };
    assert_true(b64_decode(a, secret + 6, &decoded, &k.raw_n));
    k.raw = decoded;
    const struct target_job j = { .message_id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
                                  .timestamp_s = 1614265330,
                                  .keys = &k,
                                  .nkeys = 1,
                                  .body = "{\"test\": 2432232314}",
                                  .body_n = 20 };
    target_find("standard")->build(a, &j, &r);
    assert_string_equal(r.headers[3].name, "webhook-signature");
    assert_string_equal(r.headers[3].value, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_string_equal(r.headers[4].value,
                        "sha256=80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c");
    assert_int_equal(r.nheaders, 5);
    arena_free(a);
}

static const char *header(const struct target_request *r, const char *name)
{
    for (size_t i = 0; i < r->nheaders; i++)
        if (str_eq(r->headers[i].name, name))
            return r->headers[i].value;
    return NULL;
}

/* proves: W-02.  Both sign while they overlap; the GitHub-style header stays with the older. */
static void secrets_that_overlap_sign_both(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    unsigned char other[32] = { 9 };
    struct target_key both[] = {
        { .text = "whsec_CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
         .raw = other,
         .raw_n = sizeof(other) },
        keys[0],
    };
    struct target_job j = job;
    struct target_request one, now, later;
    j.body_n = strlen(j.body);
    target_find("standard")->build(a, &j, &one);
    j.keys = both;
    j.nkeys = 2;
    both[1].until_ms = j.timestamp_s * 1000 + 1;
    target_find("standard")->build(a, &j, &now);
    both[1].until_ms = j.timestamp_s * 1000;
    target_find("standard")->build(a, &j, &later);
    const char *old = header(&one, "webhook-signature"), *new = header(&later, "webhook-signature");
    assert_string_equal(header(&now, "webhook-signature"), arena_printf(a, "%s %s", new, old));
    assert_string_equal(header(&now, "X-CMS365-Signature"), header(&one, "X-CMS365-Signature"));
    assert_string_equal(header(&now, "X-CMS365-Signature-Next"),
                        header(&later, "X-CMS365-Signature"));
    assert_null(header(&one, "X-CMS365-Signature-Next"));
    assert_null(header(&later, "X-CMS365-Signature-Next"));
    arena_free(a);
}

/* proves: W-01.  RFC 8032 §7.1, test 1: the seed's public key; and the pair's own signature. */
static void an_ed25519_pair_signs_beside_the_secret(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    unsigned char seed[ed25519_seed_bytes], sig[ed25519_sig_bytes], want[ed25519_sig_bytes];
    struct err err;
    assert_true(
        hex_decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", 64, seed));
    struct ed25519_key *k = ed25519_key_of(a, seed);
    ed25519_sign(k, NULL, 0, sig);
    assert_true(hex_decode("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821"
                           "590a33bacc61e39701cf9b46bd"
                           "25bf5f0595bbe24655141438e7a100b",
                           128, want));
    assert_memory_equal(sig, want, sizeof(sig));
    const char *secret, *public;
    void *raw_seed, *raw_public;
    size_t n;
    secret_make_pair(a, &secret, &public);
    assert_true(str_starts(public, "whpk_"));
    assert_true(b64_decode(a, secret, &raw_seed, &n) && n == ed25519_seed_bytes);
    assert_true(b64_decode(a, public + 5, &raw_public, &n) && n == ed25519_public_bytes);
    struct target_key both[] = { keys[0], { .ed25519 = ed25519_key_of(a, raw_seed) } };
    struct target_job j = job;
    struct target_request r;
    j.body_n = strlen(j.body);
    j.keys = both;
    j.nkeys = 2;
    target_find("standard")->build(a, &j, &r);
    const char *v1a = strstr(header(&r, "webhook-signature"), " v1a,");
    assert_non_null(v1a);
    void *given;
    assert_true(b64_decode(a, v1a + 5, &given, &n) && n == ed25519_sig_bytes);
    const char *signed_text =
        arena_printf(a, "%s.%lld.%s", j.message_id, (long long)j.timestamp_s, j.body);
    struct pubkey *pub;
    const struct sha256_part raw_key = { raw_public, ed25519_public_bytes };
    const struct sha256_part part = { signed_text, strlen(signed_text) }, given_sig = { given, n };
    assert_int_equal(pubkey_parse(a, PUBKEY_ED25519, &raw_key, 0, &pub, &err), 0);
    assert_true(pubkey_verify(pub, a, SIG_ED25519, &part, 1, &given_sig));
    arena_free(a);
}

static void names_are_unique_and_documented(void **state)
{
    (void)state;
    for (const struct target *const *t = targets; *t; t++) {
        assert_ptr_equal(target_find((*t)->p.name), *t);
        assert_true((*t)->p.doc && *(*t)->p.doc && (*t)->p.label && *(*t)->p.label);
    }
    assert_null(target_find("nosuch"));
}

int main(void)
{
    for (size_t i = 0; i < sizeof(raw); i++)
        raw[i] = (unsigned char)i;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_its_golden_request),
        cmocka_unit_test(takes_answers_as_its_golden_files_say),
        cmocka_unit_test(signs_the_published_example),
        cmocka_unit_test(secrets_that_overlap_sign_both),
        cmocka_unit_test(an_ed25519_pair_signs_beside_the_secret),
        cmocka_unit_test(names_are_unique_and_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
