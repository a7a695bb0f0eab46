/*
 * CloudEvents 1.0, HTTP binding, binary mode (§3.1): the attributes are headers, the body is the
 * data.  There is no batched binary mode.
 */
#include "services/webhooks-out/provider.h"

#include "proto/names.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/str.h"

/* §3.1.3.2: printable ASCII but for the quote and the percent sign stays. */
static const char *escaped(struct arena *a, const char *s)
{
    struct buf b;
    buf_init(&b, a, 64, 8192);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c > 0x20 && c < 0x7f && c != '"' && c != '%')
            buf_putc(&b, (char)c);
        else
            buf_printf(&b, "%%%02X", c);
    }
    return b.data ? b.data : "";
}

static void build(struct arena *a, const struct target_job *j, struct target_request *ret)
{
    char *time = arena_alloc(a, rfc3339_len + 1);
    rfc3339_format(j->event_us, time);
    *ret = (struct target_request){ .method = "POST" };
    target_add(ret, "Content-Type", "application/json");
    target_add(ret, "ce-specversion", "1.0");
    target_add(ret, "ce-id", j->message_id);
    target_add(ret, "ce-source", escaped(a, j->source));
    target_add(ret, "ce-type", arena_printf(a, CE_TYPE_PREFIX "%s", j->type));
    target_add(ret, "ce-subject", escaped(a, j->subject));
    target_add(ret, "ce-time", time);
    target_sign(a, j, ret);
}

static json_t *body(const struct target_event *e)
{
    json_t *o = json_pack("{s:O, s:O}", "data", e->data, "changed", e->changed);
    if (e->link)
        json_object_set_new(o, "link", json_string(e->link));
    return o;
}

const struct target target_cloudevents_binary = {
    .p = { .name = "cloudevents_binary",
          .label = "CloudEvents, binary",
          .doc = "A signed POST of a CloudEvent's data, its attributes as headers.",
          .status = target_status },
    .handshake = true,
    .build = build,
    .body = body,
};
