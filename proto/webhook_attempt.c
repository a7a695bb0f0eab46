#include "proto/fields.h"

static const char *const outcomes[] = { "delivered", "failed", "dead", NULL };

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("attempt"),
    { .name = "attempt", .type = F_INT, .flags = FF_READONLY | FF_NONNULL, .min = 1, .max = 100,
      .example = "1", .doc = "Which attempt it was, from 1." },
    { .name = "outcome", .type = F_ENUM, .flags = FF_READONLY | FF_NONNULL, .choices = outcomes,
      .example = QUOTED("delivered"), .doc = "How it ended." },
    { .name = "response_code", .type = F_INT, .flags = FF_READONLY, .min = 100, .max = 999,
      .example = "200", .doc = "HTTP status of the answer; null: there was none." },
    { .name = "latency_ms", .type = F_INT, .flags = FF_READONLY, .min = 0, .max = INT32_MAX,
      .example = "84", .doc = "Time the attempt took." },
    { .name = "error", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = 500,
      .example = QUOTED("Connection refused."), .doc = "Why it failed." },
    { .name = "response_body", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LONG,
      .max = 4096, .example = QUOTED("ok"), .doc = "Start of the answer's body." },
    FIELD_CREATED,
    { 0 },
};
/* clang-format on */
const struct entity_def entity_webhook_attempt = {
    .name = "webhook_attempt",
    .plural = "webhook_attempts",
    .table = "attempts",
    .service = "webhooks-out",
    .path = "/api/v2/webhooks/attempts",
    .scope_read = "webhooks:read",
    .scope_write = "webhooks:write",
    .doc = "One request of a delivery.",
    .fields = fields,
    .visibility = VIS_OWNER,
    .title = "attempt",
    .sort = "id",
};
