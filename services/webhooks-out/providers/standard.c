/*
 * Standard Webhooks (HMAC-SHA256 with the base64-decoded secret over id.timestamp.body, v1a with
 * Ed25519), and beside it the GitHub-style header, keyed with the whole secret as shown.
 */
#include "services/webhooks-out/provider.h"

static void build(struct arena *a, const struct target_job *j, struct target_request *ret)
{
    *ret = (struct target_request){ .method = "POST" };
    target_add(ret, "Content-Type", "application/json");
    target_sign(a, j, ret);
}

static json_t *body(const struct target_event *e)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:O, s:O}", "id", e->message_id, "type", e->type,
                          "timestamp", e->time, "data", e->data, "changed", e->changed);
    if (e->link)
        json_object_set_new(o, "link", json_string(e->link));
    return o;
}

const struct target target_standard = {
    .p = { .name = "standard",
          .label = "Standard Webhooks",
          .doc = "A signed POST of the event, as standardwebhooks.com describes it.",
          .status = target_status },
    .batches = true,
    .batch_open = "{\"batch\":[",
    .batch_close = "]}",
    .build = build,
    .body = body,
};
