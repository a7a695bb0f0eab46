#include "proto/fields.h"

static const char *const states[] = { "pending",  "failed",  "delivered", "dead",
                                      "canceled", "skipped", "batched",   NULL };
static const char *const triggers[] = { "event", "resend", "recover", "replay", "test", NULL };

/* clang-format off */
static const struct field_def fields[] = {
    { .name = "id", .type = F_UUID, .flags = FF_READONLY | FF_NONNULL | FF_FIND,
      .example = QUOTED("0195f3c2-6f00-7abc-8def-0123456789ab"),
      .doc = "Identifier of the delivery." },
    { .name = "endpoint", .type = F_REF, .flags = FF_READONLY | FF_FILTER,
      .ref = "webhook_endpoint", .example = "{\"id\":7}", .doc = "Where it goes." },
    { .name = "user", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "user",
      .example = "{\"id\":7}", .doc = "Whose endpoint it is." },
    { .name = "event_id", .type = F_TEXT, .flags = FF_READONLY | FF_NONNULL | FF_FILTER,
      .format = FMT_LINE, .max = 40,
      .example = QUOTED("evt_0195f3c2-6f00-7abc-8def-0123456789ab"),
      .doc = "The event: the webhook-id of every attempt.  Filters take it without evt_ too." },
    FIELD_LINE("event", FF_READONLY | FF_NONNULL | FF_FILTER, "post.published",
               "Type of the event; batch: several in one request."),
    FIELD_LINE("entity", FF_READONLY | FF_NONNULL | FF_FILTER, "post:7",
               "What the event is about."),
    { .name = "trigger", .type = F_ENUM, .flags = FF_READONLY | FF_NONNULL | FF_FILTER,
      .choices = triggers, .fallback = QUOTED("event"), .example = QUOTED("event"),
      .doc = "What made it: the event itself, or a request to send it again or to test." },
    { .name = "status", .type = F_ENUM, .flags = FF_READONLY | FF_NONNULL | FF_FILTER,
      .choices = states, .fallback = QUOTED("pending"), .example = QUOTED("delivered"),
      .doc = "failed: another attempt follows; dead: none does; canceled: its endpoint was deleted; "
             "skipped: its endpoint was not active; batched: it travels in the delivery batch_id." },
    { .name = "batch_id", .type = F_UUID, .flags = FF_READONLY | FF_FILTER,
      .example = QUOTED("0195f3c2-6f00-7abc-8def-0123456789ab"),
      .doc = "The delivery of event batch that carries it." },
    { .name = "attempts", .type = F_INT, .flags = FF_READONLY | FF_NONNULL | FF_FILTER, .min = 0,
      .max = 100, .fallback = "0", .example = "1", .doc = "Attempts made so far." },
    { .name = "response_code", .type = F_INT, .flags = FF_READONLY | FF_FILTER, .min = 100,
      .max = 999, .example = "200", .doc = "HTTP status of the last attempt's answer." },
    { .name = "latency_ms", .type = F_INT, .flags = FF_READONLY | FF_FILTER, .min = 0,
      .max = INT32_MAX, .example = "84", .doc = "Time the last attempt took." },
    { .name = "next_attempt_at", .type = F_TIME, .flags = FF_READONLY | FF_FILTER,
      .example = QUOTED("2026-02-20T10:30:05.000000Z"), .doc = "When it is tried again." },
    { .name = "last_error", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = 500,
      .example = QUOTED("The endpoint answered 500."),
      .doc = "Why the last attempt failed." },
    FIELD_CREATED,
    FIELD_UPDATED,
    { 0 },
};
/* clang-format on */
const struct entity_def entity_webhook_delivery = {
    .name = "webhook_delivery",
    .plural = "webhook_deliveries",
    .table = "deliveries_shown",
    .service = "webhooks-out",
    .path = "/api/v2/webhooks/deliveries",
    .scope_read = "webhooks:read",
    .scope_write = "webhooks:write",
    .doc = "One event on its way to one endpoint.",
    .fields = fields,
    .visibility = VIS_OWNER,
    .owner = "user",
    .title = "event",
    .sort = "-created_at",
};
