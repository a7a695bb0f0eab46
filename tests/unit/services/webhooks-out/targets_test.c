/*
 * The walker over targets[]: each must build what its golden send.req says, byte for byte, and take
 * each of its answers as it says.  A target without its files fails. proves: W-01, W-04
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/str.h"
#include "services/webhooks-out/provider.h"

enum { file_max = 65536 };

static const struct target_job job = {
    .message_id = "evt_0195f3c2-6f00-7abc-8def-0123456789ab",
    .timestamp_s = 1771583405,
    .secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
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
    const struct target_job j = { .message_id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
                                  .timestamp_s = 1614265330,
                                  .secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_its_golden_request),
        cmocka_unit_test(takes_answers_as_its_golden_files_say),
        cmocka_unit_test(signs_the_published_example),
        cmocka_unit_test(names_are_unique_and_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
