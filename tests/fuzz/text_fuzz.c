/* Any text for the codecs of common/base: what is decoded is encoded as it was, numbers are within
 * their bounds, slugs are slugs. */
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/str.h"
#include "tests/fuzz/replay.h"

#include <assert.h>

static void check_codes(struct arena *a, const char *text)
{
    void *raw;
    size_t n = strlen(text), len;
    char *plain;
    if (b64_decode(a, text, &raw, &len))
        assert(str_eq(b64_encode(a, raw, len), text));
    if (b64url_decode(a, text, &raw, &len))
        assert(str_eq(b64url_encode(a, raw, len), text));
    unsigned char *bytes = arena_raw(a, n / 2 + 1);
    char *hex = arena_raw(a, n + 2);
    if (n % 2 == 0 && hex_decode(text, n, bytes))
        assert(hex_encode(bytes, n / 2, hex) == n && str_ieq(hex, text));
    if (url_decode(a, text, n, false, &plain)) {
        char *again;
        const char *coded = url_encode(a, plain);
        assert(url_decode(a, coded, strlen(coded), false, &again) && str_eq(again, plain));
    }
}

static void check_slug(struct arena *a, const char *text)
{
    const char *slug = str_slug(a, text, 80);
    assert(strlen(slug) <= 80 &&
           strspn(slug, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(slug));
    assert(*slug != '-' && !str_ends(slug, "-"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 16 * 1024)
        return 0;
    struct arena *a = arena_new();
    const char *text = arena_strndup(a, (const char *)data, size);
    unsigned char uuid[16];
    int64_t i = 0;
    uint64_t u = 0;
    bool yes;
    check_codes(a, text);
    if (str_utf8_ok(text, strlen(text)))
        check_slug(a, text);
    assert(!str_to_i64(text, -5, 9, &i) || (i >= -5 && i <= 9));
    assert(!str_to_u64(text, 9, &u) || u <= 9);
    (void)str_to_bool(text, &yes);
    (void)uuid_parse(text, uuid);
    for (size_t at = 0; at <= strlen(text); at += 1 + strlen(text) / 16)
        assert(json_place(a, text, at)[0] != '0');
    arena_free(a);
    return 0;
}
