#include "proto/fields.h"

static const char *const outcomes[] = { "delivered", "failed", "dead", NULL };
static const char *const triggers[] = { "first",   "retry",  "probe", "resend",
                                        "recover", "replay", "test",  NULL };
#define FIELD_MS(n, what)                                                                          \
    { .name = n,                                                                                   \
      .type = F_INT,                                                                               \
      .flags = FF_READONLY,                                                                        \
      .min = 0,                                                                                    \
      .max = INT32_MAX,                                                                            \
      .example = "12",                                                                             \
      .doc = what }

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("attempt"),
    { .name = "attempt", .type = F_INT, .flags = FF_READONLY | FF_NONNULL, .min = 1, .max = 100,
      .example = "1", .doc = "Which attempt it was, from 1." },
    { .name = "outcome", .type = F_ENUM, .flags = FF_READONLY | FF_NONNULL, .choices = outcomes,
      .example = QUOTED("delivered"), .doc = "How it ended." },
    { .name = "response_code", .type = F_INT, .flags = FF_READONLY, .min = 100, .max = 999,
      .example = "200", .doc = "HTTP status of the answer; null: there was none." },
    { .name = "trigger", .type = F_ENUM, .flags = FF_READONLY | FF_NONNULL, .choices = triggers,
      .example = QUOTED("first"),
      .doc = "Why it was made; probe: the one request that asks whether a failing endpoint is back." },
    FIELD_MS("latency_ms", "Time the attempt took."),
    FIELD_MS("dns_ms", "Until the host name was known; null: it was not asked for."),
    FIELD_MS("connect_ms", "Until the connection stood; null: one was used again, or none came."),
    FIELD_MS("tls_ms", "Until TLS was agreed on."),
    FIELD_MS("first_byte_ms", "Until the answer's first byte."),
    FIELD_LINE("address", FF_READONLY, "192.0.2.7", "Who was connected to."),
    { .name = "url", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = url_max,
      .example = QUOTED("https://example.com/hooks/cms365"), .doc = "Where it went." },
    { .name = "request_headers", .type = F_JSON, .flags = FF_READONLY, .max = 16384,
      .example = "{\"webhook-timestamp\":\"1771583405\"}",
      .doc = "What was sent beside the payload, with credentials masked." },
    { .name = "response_headers", .type = F_JSON, .flags = FF_READONLY, .max = 8192,
      .example = "{\"Content-Type\":\"text/plain\"}", .doc = "Of the answer, with cookies masked." },
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
