#include "proto/fields.h"

static const char *const states[] = { "active", "paused", "disabled", NULL };
static const char *const payloads[] = { "full", "thin", NULL };
static const char *const formats[] = { "standard", "cloudevents", "cloudevents_binary", NULL };
static const char *const holds[] = { "hold", "skip", NULL };

enum {
    filter_bytes_max = 8 * 1024,
    headers_bytes_max = 8 * 1024,
    auth_bytes_max = 64 * 1024,
    schedule_bytes_max = 400
};

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("endpoint"),
    { .name = "user", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "user",
      .example = "{\"id\":7}", .doc = "Whose endpoint it is: it hears what this user may read." },
    { .name = "url", .type = F_TEXT, .flags = FF_REQUIRED | FF_FILTER, .format = FMT_URL,
      .max = url_max, .example = QUOTED("https://example.com/hooks/cms365"),
      .doc = "Where events are posted to." },
    { .name = "events", .type = F_TEXTS, .flags = FF_REQUIRED | FF_FILTER, .format = FMT_LINE,
      .max = 64, .items_max = 100, .example = "[\"post.*\",\"expert.created\"]",
      .doc = "Event types, or all of an entity as post.*, or * for every one." },
    { .name = "filter", .type = F_JSON, .flags = FF_NONNULL, .max = filter_bytes_max,
      .fallback = "{}", .example = "{\"status\":\"published\",\"author.id\":{\"in\":[7,8]}}",
      .doc = "Only events of which this holds: fields of data with the operators of list filters, "
             "in groups or, and, not; $.type and $.changed look at the event itself." },
    { .name = "fields", .type = F_TEXTS, .flags = FF_NONNULL, .format = FMT_LINE, .max = 100,
      .items_max = 100, .fallback = "[]", .example = "[\"title\",\"author.id\"]",
      .doc = "What data holds beside the id; empty: all that may be seen." },
    { .name = "payload", .type = F_ENUM, .flags = FF_NONNULL | FF_FILTER, .choices = payloads,
      .fallback = QUOTED("full"), .example = QUOTED("full"),
      .doc = "thin: data has the id only, and link says where to read the rest." },
    { .name = "format", .type = F_ENUM, .flags = FF_NONNULL | FF_FILTER, .choices = formats,
      .fallback = QUOTED("standard"), .example = QUOTED("standard"),
      .doc = "Standard Webhooks, or CloudEvents 1.0 in structured or binary mode; the receiver must "
             "allow the latter in an OPTIONS handshake." },
    { .name = "description", .type = F_TEXT, .format = FMT_LINE, .max = 500,
      .example = QUOTED("Shop front end"), .doc = "What the endpoint is for." },
    { .name = "headers", .type = F_JSON, .flags = FF_NONNULL, .max = headers_bytes_max,
      .fallback = "{}", .example = "{\"X-Tenant\":\"muster\"}",
      .doc = "Sent with every request, and shown: what is secret belongs into auth." },
    { .name = "auth", .type = F_JSON, .flags = FF_NONNULL, .max = auth_bytes_max,
      .fallback = "{\"type\":\"none\"}",
      .example = "{\"type\":\"oauth2\",\"token_url\":\"https://example.com/token\","
                 "\"client_id\":\"cms\",\"client_secret\":\"…\"}",
      .doc = "How we prove who we are: none, basic, bearer, oauth2 (client credentials) or mtls, each "
             "also with a client certificate; replaced as a whole, its secrets are never shown." },
    { .name = "rate_limit", .type = F_INT, .min = 1, .max = 1000000, .example = "600",
      .doc = "Requests a minute at most; null: no limit." },
    { .name = "max_in_flight", .type = F_INT, .flags = FF_NONNULL, .min = 1, .max = 100,
      .fallback = "8", .example = "8",
      .doc = "Requests at the same time; 1 keeps the order of each entity's events." },
    { .name = "ordered", .type = F_BOOL, .flags = FF_NONNULL | FF_FILTER, .fallback = "false",
      .example = "true",
      .doc = "Keeps the order of each entity's events with more than one in flight, too." },
    { .name = "order_timeout_s", .type = F_INT, .min = 1, .max = 7 * 86400, .example = "3600",
      .doc = "How long a delivery that fails holds the later ones of its entity; null: until it is "
             "taken or given up." },
    { .name = "batch", .type = F_JSON, .max = 200, .example = "{\"max_events\":100,\"max_wait_ms\":5000}",
      .doc = "Several events a request: when there are max_events (1 to 1000), or the first of them "
             "has waited max_wait_ms (up to 600000).  null: one event a request." },
    { .name = "retry_schedule", .type = F_JSON, .format = FMT_LIST, .max = schedule_bytes_max,
      .example = "[5,300,1800,7200,18000,36000]",
      .doc = "Seconds before each retry, 20 retries at most; null: the platform's, five that double." },
    { .name = "while_paused", .type = F_ENUM, .flags = FF_NONNULL, .choices = holds,
      .fallback = QUOTED("hold"), .example = QUOTED("hold"),
      .doc = "What becomes of events while it is not active: hold sends them afterwards, skip keeps "
             "them to be recovered." },
    { .name = "ed25519", .type = F_BOOL, .flags = FF_NONNULL, .fallback = "false",
      .example = "false", .doc = "Sign with Ed25519 (v1a) too, for receivers that hold no secret." },
    { .name = "public_key", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = 100,
      .example = QUOTED("whpk_w5mL7kYh0yF4mQZr2vT1bq8Jm1w3nN5k2r8d0sTzXvY="),
      .doc = "What v1a signatures are verified with." },
    { .name = "status", .type = F_ENUM, .flags = FF_NONNULL | FF_FILTER, .choices = states,
      .fallback = QUOTED("active"), .example = QUOTED("active"),
      .doc = "A paused endpoint gets nothing until it is active again; disabled is the platform's "
             "way to pause one." },
    { .name = "disabled_at", .type = F_TIME, .flags = FF_READONLY,
      .example = QUOTED("2026-02-20T10:30:05.000000Z"), .doc = "When the platform disabled it." },
    { .name = "disabled_reason", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = 500,
      .example = QUOTED("The endpoint answered 410."), .doc = "Why the platform disabled it." },
    { .name = "failing_since", .type = F_TIME, .flags = FF_READONLY,
      .example = QUOTED("2026-02-20T10:30:05.000000Z"),
      .doc = "First failure since the last success; null: the last attempt succeeded." },
    { .name = "failure_percent", .type = F_INT, .flags = FF_READONLY | FF_NONNULL, .min = 0,
      .max = 100, .fallback = "0", .example = "50",
      .doc = "How much of the time after which a failing endpoint is disabled was told of: 50, 70, 90 "
             "or 100." },
    { .name = "secret", .type = F_TEXT, .flags = FF_READONLY | FF_SECRET, .format = FMT_LINE,
      .max = 100, .example = QUOTED("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
      .doc = "Key of the signatures; shown once, when the endpoint is made." },
    FIELD_VERSION,
    FIELD_CREATED,
    FIELD_UPDATED,
    { 0 },
};
/* clang-format on */
const struct entity_def entity_webhook_endpoint = {
    .name = "webhook_endpoint",
    .plural = "webhook_endpoints",
    .table = "endpoints_shown",
    .service = "webhooks-out",
    .path = "/api/v2/webhooks/endpoints",
    .scope_read = "webhooks:read",
    .scope_write = "webhooks:write",
    .doc = "A URL that is told about events.",
    .fields = fields,
    .visibility = VIS_OWNER,
    .owner = "user",
    .title = "url",
    .sort = "-created_at",
    .unversioned = true, /* failing_since, failure_percent */
};
