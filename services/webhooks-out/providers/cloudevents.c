/*
 * CloudEvents 1.0, HTTP binding, structured mode (§3.2) and, for batches, batched mode (§3.3),
 * signed as Standard Webhooks are.  data holds what the standard form has beside the attributes.
 */
#include "services/webhooks-out/provider.h"

#include "proto/names.h"

#include "common/base/str.h"

static void build(struct arena *a, const struct target_job *j, struct target_request *ret)
{
    *ret = (struct target_request){ .method = "POST" };
    target_add(ret, "Content-Type",
               j->batch ? "application/cloudevents-batch+json; charset=utf-8"
                        : "application/cloudevents+json; charset=utf-8");
    target_sign(a, j, ret);
}

static json_t *body(const struct target_event *e)
{
    char type[sizeof(CE_TYPE_PREFIX) + event_type_max];
    snprintf(type, sizeof(type), CE_TYPE_PREFIX "%s", e->type);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:O, s:O}}", "specversion", "1.0",
                          "id", e->message_id, "source", e->source, "type", type, "subject",
                          e->subject, "time", e->time, "datacontenttype", "application/json",
                          "data", "data", e->data, "changed", e->changed);
    if (e->link)
        json_object_set_new(json_object_get(o, "data"), "link", json_string(e->link));
    return o;
}

const struct target target_cloudevents = {
    .p = { .name = "cloudevents",
          .label = "CloudEvents, structured",
          .doc = "A signed POST of a CloudEvent as one JSON object.",
          .status = target_status },
    .handshake = true,
    .batches = true,
    .batch_open = "[",
    .batch_close = "]",
    .build = build,
    .body = body,
};
