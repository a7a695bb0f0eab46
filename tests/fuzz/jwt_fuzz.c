/* Any text as a token, a DPoP proof and a key: refused, or read within its limits; nobody's
 * signature is ever right. */
#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/token_dpop.h"
#include "common/kit/token_jwt.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char known[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";

static void as_token(struct arena *a, const char *text)
{
    struct jws t;
    struct jwt_claims c;
    struct jose_key *k;
    struct err err = { 0 };
    int rc = jose_key_parse(known, sizeof(known) - 1, JOSE_PUBLIC, &k, &err);
    assert(!rc);
    assert(!jws_verify(k, a, text));
    jose_key_free(k);
    rc = jws_decode(a, text, &t, &err);
    if (rc) {
        assert(rc == -E_invalid);
        return;
    }
    rc = jwt_read(a, &t, "https://cms.example", clock_us(), &c, &err);
    assert(rc == 0 || rc == -E_unauthorized);
    if (!rc)
        assert(c.client_id > 0 && c.naud > 0 && c.naud <= jwt_aud_max && c.role != ROLE_NONE);
}

static void as_proof(struct arena *a, const char *text)
{
    struct dpop d;
    struct err err = { 0 };
    const struct dpop_ask ask = { .proof = text,
                                  .proofs = 1,
                                  .method = "POST",
                                  .url = "https://cms.example/oauth/token",
                                  .now_us = clock_us() };
    int rc = dpop_read(a, NULL, &ask, &d, &err);
    assert(rc == 0 || rc == -E_unauthorized);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct jose_key *k = NULL;
    struct err err = { 0 };
    const char *text = arena_strndup(a, (const char *)data, size);
    as_token(a, text);
    as_proof(a, text);
    if (jose_key_parse(text, strlen(text), JOSE_PUBLIC, &k, &err) == 0)
        assert(strlen(jose_key_thumb(k)) == jwk_thumb_len);
    jose_key_free(k);
    arena_free(a);
    return 0;
}
