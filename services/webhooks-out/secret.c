#include "services/webhooks-out/webhooks.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/io/crypto_keys.h"

enum { secret_bytes = 32 };
static const char prefix[] = "whsec_";

void secret_make(char out[secret_text_max])
{
    unsigned char raw[secret_bytes];
    struct arena *a = arena_new();
    random_bytes(raw, sizeof(raw));
    char *text = b64_encode(a, raw, sizeof(raw));
    snprintf(out, secret_text_max, "%s%s", prefix, text);
    crypto_wipe(raw, sizeof(raw));
    crypto_wipe(text, strlen(text));
    arena_free(a);
}

void secret_make_pair(struct arena *a, const char **ret_secret, const char **ret_public)
{
    unsigned char seed[ed25519_seed_bytes], pub[ed25519_public_bytes];
    ed25519_make(seed, pub);
    *ret_secret = b64_encode(a, seed, sizeof(seed));
    *ret_public = arena_printf(a, "whpk_%s", b64_encode(a, pub, sizeof(pub)));
    crypto_wipe(seed, sizeof(seed));
}

bool secret_ok(const char *text)
{
    struct arena *a = arena_new();
    void *raw;
    size_t n = 0;
    bool ok = str_starts(text, prefix) && strlen(text) < secret_text_max &&
              b64_decode(a, text + strlen(prefix), &raw, &n) && n >= 24 && n <= 64;
    arena_free(a);
    return ok;
}

static const char *context(struct arena *a, int64_t endpoint)
{
    return arena_printf(a, "endpoints.secret:%lld", (long long)endpoint);
}

char *secret_seal(const struct keyring *k, struct arena *a, int64_t endpoint, const char *secret)
{
    return crypto_seal(k, a, context(a, endpoint), secret, strlen(secret));
}

int secret_open(const struct keyring *k, struct arena *a, int64_t endpoint, const char *sealed,
                const char **ret, struct err *err)
{
    void *text;
    size_t n;
    int rc = crypto_open(k, a, context(a, endpoint), sealed, &text, &n, err);
    if (rc)
        return rc;
    *ret = arena_strndup(a, text, n);
    return 0;
}
