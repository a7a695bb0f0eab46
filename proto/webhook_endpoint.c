#include "proto/fields.h"

static const char *const states[] = { "active", "paused", NULL };

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
    { .name = "description", .type = F_TEXT, .format = FMT_LINE, .max = 500,
      .example = QUOTED("Shop front end"), .doc = "What the endpoint is for." },
    { .name = "max_in_flight", .type = F_INT, .flags = FF_NONNULL, .min = 1, .max = 100,
      .fallback = "8", .example = "8",
      .doc = "Deliveries at the same time; 1 keeps the order of each entity's events." },
    { .name = "status", .type = F_ENUM, .flags = FF_NONNULL | FF_FILTER, .choices = states,
      .fallback = QUOTED("active"), .example = QUOTED("active"),
      .doc = "A paused endpoint keeps its events until it is active again." },
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
};
