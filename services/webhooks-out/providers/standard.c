/*
 * Standard Webhooks (HMAC-SHA256 with the base64-decoded secret over id.timestamp.body), and beside
 * it the GitHub-style header, keyed with the whole secret as shown: hash_hmac('sha256', $body,
 * $secret).
 */
#include "services/webhooks-out/provider.h"

#include "common/base/str.h"
#include "common/io/crypto.h"

static const char prefix[] = "whsec_";

static const char *standard_signature(struct arena *a, const struct target_job *j, const char *ts)
{
    const struct sha256_part parts[] = {
        { j->message_id, strlen(j->message_id) },
        { ".",           1                     },
        { ts,            strlen(ts)            },
        { ".",           1                     },
        { j->body,       j->body_n             },
    };
    const char *text = str_starts(j->secret, prefix) ? j->secret + strlen(prefix) : j->secret;
    unsigned char mac[sha256_bytes];
    void *key;
    size_t n;
    if (!b64_decode(a, text, &key, &n))
        return "";
    hmac_sha256(key, n, parts, ARRAY_LEN(parts), mac);
    crypto_wipe(key, n);
    return arena_printf(a, "v1,%s", b64_encode(a, mac, sizeof(mac)));
}

static const char *plain_signature(struct arena *a, const struct target_job *j)
{
    const struct sha256_part body = { j->body, j->body_n };
    unsigned char mac[sha256_bytes];
    char hex[sha256_hex_len + 1];
    hmac_sha256(j->secret, strlen(j->secret), &body, 1, mac);
    hex_encode(mac, sizeof(mac), hex);
    return arena_printf(a, "sha256=%s", hex);
}

static void add(struct target_request *r, const char *name, const char *value)
{
    r->headers[r->nheaders++] = (struct target_header){ name, value };
}

static void build(struct arena *a, const struct target_job *j, struct target_request *ret)
{
    const char *ts = arena_printf(a, "%lld", (long long)j->timestamp_s);
    *ret = (struct target_request){ .method = "POST" };
    add(ret, "Content-Type", "application/json");
    add(ret, "webhook-id", j->message_id);
    add(ret, "webhook-timestamp", ts);
    add(ret, "webhook-signature", standard_signature(a, j, ts));
    add(ret, "X-CMS365-Signature", plain_signature(a, j));
    if (j->traceparent)
        add(ret, "traceparent", j->traceparent);
    if (j->request_id)
        add(ret, "X-Request-Id", j->request_id);
}

/* Only 2xx is success; everything else is worth another try (a redirect or a 404 may be a deploy
 * under way), but for 410, by which the receiver says never again. */
static const struct status_row status[] = {
    { 200, 299, OUT_OK },
    { 410, 410, OUT_CONFIG },
    { 100, 999, OUT_RETRY },
    { 0 },
};

const struct target target_standard = {
    .p = { .name = "standard",
          .label = "Standard Webhooks",
          .doc = "A signed POST of the event, as standardwebhooks.com describes it.",
          .status = status },
    .build = build,
};
