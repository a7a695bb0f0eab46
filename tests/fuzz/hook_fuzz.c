/* Any header and body, to every verifier: nobody who does not know the secret is believed, and
 * nothing is read that is not there.  The first byte chooses the provider; the rest is header NUL
 * header NUL body. */
#include "common/base/arena.h"
#include "common/base/str.h"
#include "services/webhooks-in/verify.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const char *one, *two;
};

/* The header that a provider reads first is one, all others are two. */
static const char *get_header(const void *ctx, const char *name)
{
    const struct input *in = ctx;
    bool first = strstr(name, "ignature") || strstr(name, "Hmac") || strstr(name, "Token") ||
                 strstr(name, "Sig") || str_ieq(name, "Authorization");
    return first ? in->one : in->two;
}

static int no_fetch(void *ctx, struct arena *a, const char *url, const char *bearer,
                    unsigned keep_s, struct fetched *ret, struct err *err)
{
    (void)ctx, (void)a, (void)bearer, (void)keep_s, (void)err;
    assert(url);
    *ret = (struct fetched){ 200, "-----BEGIN CERTIFICATE-----", 27 };
    return 0;
}

static const char *take(struct arena *a, const uint8_t **p, const uint8_t *end)
{
    const uint8_t *stop = memchr(*p, 0, (size_t)(end - *p));
    size_t n = (size_t)((stop ? stop : end) - *p);
    const char *text = arena_strndup(a, (const char *)*p, n);
    *p += n + (stop != NULL);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char settings[] =
        "{\"header\":\"X-Sig\",\"timestamp_header\":\"X-Time\",\"webhook_id\":\"w\","
        "\"topic_arn\":\"t\",\"verify_token\":\"verify-me\"}";
    const uint8_t *end = data + size;
    size_t n = 0;
    struct err err = { 0 };
    json_t *tree;
    if (!size)
        return 0;
    while (providers[n].name)
        n++;
    const struct provider_def *p = &providers[*data++ % n];
    struct arena *a = arena_new();
    struct input in;
    in.one = take(a, &data, end);
    in.two = take(a, &data, end);
    struct hook h = { .a = a,
                      .method = "POST",
                      .url = "https://cms.example.com/hooks/x",
                      .query = in.two,
                      .content_type = "application/x-www-form-urlencoded",
                      .body = (const char *)data,
                      .n = (size_t)(end - data),
                      .now_s = 1614556800,
                      .header = get_header,
                      .header_ctx = &in,
                      .fetch = no_fetch,
                      .fetch_any = no_fetch };
    int rc = json_parse(a, settings, sizeof(settings) - 1, &tree, &err);
    assert(rc == 0);
    const struct hook_key k = { .secrets = { "zq8W-no-input-has-this-secret:in-it" },
                                .n = 1,
                                .settings = tree };
    struct hook_reply reply;
    /* What is not verified may be answered only with what it says itself. */
    if (p->handshake && p->handshake(&h, &k, &reply))
        assert(!reply.fetch);
    (void)hook_at(&h, p->id);
    (void)hook_at(&h, p->event);
    rc = provider_prepare(p, &h, &k, &err);
    if (!rc)
        rc = provider_check(p, &h, &k, &err);
    /* Mollie's own answer is what counts there; fetched above, and no JSON. */
    assert(rc == -E_unauthorized || str_eq(p->name, "none"));
    arena_free(a);
    return 0;
}
