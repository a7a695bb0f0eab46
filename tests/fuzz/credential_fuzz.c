/* Any text in the place of a credential, and any message about one: nothing made up is taken, and
 * what is taken reads back as it was. */
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/kit/session.h"
#include "common/kit/token_internal.h"
#include "tests/fuzz/replay.h"

#include <assert.h>

static void check_texts(const char *text)
{
    static struct keyring *keys;
    struct err err;
    unsigned char hash[32];
    int64_t id;
    if (!keys && keyring_parse("k:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &keys, &err))
        abort();
    assert(!key_parse(text, &id, hash) || id > 0);
    assert(!session_form_ok(keys, text) && !session_csrf_ok(text, text));
    (void)session_own_origin("https://cms.example", text);
    struct keyring *other = NULL;
    if (keyring_parse(text, &other, &err) == 0)
        keyring_free(other);
    struct token_table t;
    table_init(&t);
    (void)table_revoke(&t, text, 1);
    table_done(&t);
}

static void check_messages(struct arena *a, const char *text, size_t n)
{
    struct key_state k, again;
    struct session_state s;
    struct err err;
    if (key_state_parse(a, text, n, &k, &err) == 0 && strlen(k.name) < 10000 &&
        strlen(k.allowed_networks) < 10000) {
        const char *json = key_state_json(a, &k);
        assert(key_state_parse(a, json, strlen(json), &again, &err) == 0);
        assert(again.id == k.id && again.granted == k.granted && again.revoked == k.revoked);
        assert(!memcmp(again.hash, k.hash, sizeof(k.hash)));
    }
    if (session_state_parse(a, text, n, &s, &err) == 0)
        assert(s.id > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 8192)
        return 0;
    struct arena *a = arena_new();
    const char *text = arena_strndup(a, (const char *)data, size);
    check_texts(text);
    check_messages(a, text, strlen(text));
    arena_free(a);
    return 0;
}
