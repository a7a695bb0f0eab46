#include "services/webhooks-out/provider.h"

#include "common/base/buf.h"
#include "common/base/str.h"
#include "common/io/crypto.h"
#include "common/io/crypto_keys.h"

#include <assert.h>

const struct target *const targets[] = {
#define X(name) &target_##name,
    WEBHOOK_TARGETS(X)
#undef X
        NULL
};

const struct target *target_find(const char *name)
{
    for (const struct target *const *t = targets; *t; t++)
        if (str_eq((*t)->p.name, name))
            return *t;
    return NULL;
}

/* Only 2xx is success; everything else is worth another try (a redirect or a 404 may be a deploy
 * under way), but for 410, by which the receiver says never again. */
const struct status_row target_status[] = {
    { 200, 299, OUT_OK },
    { 410, 410, OUT_CONFIG },
    { 100, 999, OUT_RETRY },
    { 0 },
};

void target_add(struct target_request *r, const char *name, const char *value)
{
    assert(r->nheaders < target_headers_max);
    r->headers[r->nheaders++] = (struct target_header){ name, value };
}

static bool is_live(const struct target_job *j, const struct target_key *k)
{
    return !k->until_ms || k->until_ms > j->timestamp_s * 1000;
}

/* Standard Webhooks: "v1,<hmac>" and "v1a,<ed25519>" over id.timestamp.body, parted by blanks. */
static const char *signatures(struct arena *a, const struct target_job *j, const char *ts)
{
    const struct sha256_part parts[] = {
        { j->message_id, strlen(j->message_id) },
        { ".",           1                     },
        { ts,            strlen(ts)            },
        { ".",           1                     },
        { j->body,       j->body_n             },
    };
    unsigned char mac[ed25519_sig_bytes];
    struct buf b;
    buf_init(&b, a, 128, 8192);
    for (size_t i = 0; i < j->nkeys; i++) {
        const struct target_key *k = &j->keys[i];
        if (!is_live(j, k))
            continue;
        if (k->ed25519)
            ed25519_sign(k->ed25519, parts, ARRAY_LEN(parts), mac);
        else
            hmac_sha256(k->raw, k->raw_n, parts, ARRAY_LEN(parts), mac);
        buf_printf(&b, "%s%s,%s", b.len ? " " : "", k->ed25519 ? "v1a" : "v1",
                   b64_encode(a, mac, k->ed25519 ? ed25519_sig_bytes : sha256_bytes));
    }
    return b.data ? b.data : "";
}

static const char *plain_signature(struct arena *a, const struct target_job *j,
                                   const struct target_key *k)
{
    const struct sha256_part body = { j->body, j->body_n };
    unsigned char mac[sha256_bytes];
    char hex[sha256_hex_len + 1];
    hmac_sha256(k->text, strlen(k->text), &body, 1, mac);
    hex_encode(mac, sizeof(mac), hex);
    return arena_printf(a, "sha256=%s", hex);
}

/* The GitHub-style header holds one signature, keyed with the whole secret as shown:
 * hash_hmac('sha256', $body, $secret).  While two secrets live it is the older one's, so that
 * nobody breaks, and -Next has the newer one's. */
static void add_plain(struct arena *a, const struct target_job *j, struct target_request *ret)
{
    const struct target_key *newest = NULL, *oldest = NULL;
    for (size_t i = 0; i < j->nkeys; i++)
        if (j->keys[i].text && is_live(j, &j->keys[i])) {
            newest = newest ? newest : &j->keys[i];
            oldest = &j->keys[i];
        }
    if (oldest)
        target_add(ret, "X-CMS365-Signature", plain_signature(a, j, oldest));
    if (newest != oldest)
        target_add(ret, "X-CMS365-Signature-Next", plain_signature(a, j, newest));
}

void target_sign(struct arena *a, const struct target_job *j, struct target_request *ret)
{
    const char *ts = arena_printf(a, "%lld", (long long)j->timestamp_s);
    target_add(ret, "webhook-id", j->message_id);
    target_add(ret, "webhook-timestamp", ts);
    target_add(ret, "webhook-signature", signatures(a, j, ts));
    add_plain(a, j, ret);
    if (j->traceparent)
        target_add(ret, "traceparent", j->traceparent);
    if (j->request_id)
        target_add(ret, "X-Request-Id", j->request_id);
    if (j->test)
        target_add(ret, "X-CMS365-Test", "true");
}
