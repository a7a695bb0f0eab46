#include "proto/fields.h"

static const char *const states[] = { "active", "paused", NULL };
static const char *const verifications[] = { "provider", "none", NULL };

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("source"),
    { .name = "user", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "user",
      .example = "{\"id\":7}", .doc = "Whose source it is: its actions have this user's rights." },
    { .name = "name", .type = F_TEXT, .flags = FF_REQUIRED | FF_FIND, .format = FMT_LINE,
      .max = 200, .example = QUOTED("Shop"), .doc = "What people call the source." },
    { .name = "slug", .type = F_TEXT, .flags = FF_NONNULL | FF_UNIQUE | FF_FIND | FF_CREATE,
      .format = FMT_SLUG, .max = slug_max, .example = QUOTED("shop"),
      .doc = "Name of the source in its address; made from the name if absent." },
    { .name = "provider", .type = F_TEXT, .flags = FF_REQUIRED | FF_FILTER | FF_CREATE,
      .format = FMT_SLUG, .max = 40, .example = QUOTED("github"),
      .doc = "Who sends, which says how messages are verified; hmac, jwt, basic and token are "
             "general, none verifies nothing." },
    { .name = "path", .type = F_TEXT, .flags = FF_READONLY | FF_NONNULL, .format = FMT_LINE,
      .max = 300, .example = QUOTED("/hooks/shop"),
      .doc = "Where the provider posts to; token providers append their token." },
    { .name = "status", .type = F_ENUM, .flags = FF_NONNULL | FF_FILTER, .choices = states,
      .fallback = QUOTED("active"), .example = QUOTED("active"),
      .doc = "A paused source takes messages and holds them until it is active again." },
    { .name = "verification", .type = F_ENUM, .flags = FF_NONNULL | FF_FILTER | FF_CREATE,
      .choices = verifications, .fallback = QUOTED("provider"), .example = QUOTED("provider"),
      .doc = "provider: as the provider signs; none: nothing is verified, which the provider none "
             "needs said, with a reason." },
    { .name = "reason", .type = F_TEXT, .format = FMT_LINE, .max = 500,
      .example = QUOTED("The sender cannot sign; it is reached from one network only."),
      .doc = "Why nothing is verified; needed with the provider none." },
    { .name = "settings", .type = F_JSON, .flags = FF_NONNULL, .max = 16 * 1024, .fallback = "{}",
      .example = "{\"header\":\"X-Signature\",\"algorithm\":\"sha256\",\"encoding\":\"hex\"}",
      .doc = "What the provider's verification needs beside the secret; replaced as a whole." },
    { .name = "secret", .type = F_TEXT, .flags = FF_CREATE | FF_SECRET, .format = FMT_LINE,
      .max = 8192, .example = QUOTED("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
      .doc = "What signatures are checked with; shown once, when it was generated." },
    { .name = "previous_until", .type = F_TIME, .flags = FF_READONLY,
      .example = QUOTED("2026-02-20T10:30:05.000000Z"),
      .doc = "Until when the secret before the last rotation is taken too." },
    { .name = "allowed_networks", .type = F_TEXTS, .flags = FF_NONNULL, .format = FMT_LINE,
      .max = 50, .items_max = 64, .fallback = "[]", .example = "[\"192.0.2.0/24\"]",
      .doc = "CIDR blocks that messages may come from; empty: any." },
    { .name = "dedupe", .type = F_TEXT, .format = FMT_LINE, .max = 300,
      .example = QUOTED("/id"),
      .doc = "Where a message's own id stands: a JSON pointer into the body, or header:Name. "
             "Absent: where the provider puts it, else the digest of the body." },
    { .name = "order_by", .type = F_TEXT, .format = FMT_LINE, .max = 300, .example = QUOTED("/data/object/id"),
      .doc = "Where the key stands of which messages are worked on one after the other, in the order "
             "they came: a JSON pointer into the body, header:Name, or source (all of them). Absent: "
             "none waits for another." },
    { .name = "rate_limit", .type = F_INT, .min = 1, .max = 1000000, .example = "600",
      .doc = "Messages a minute; more are answered 429." },
    { .name = "retention_days", .type = F_INT, .flags = FF_NONNULL, .min = 7, .max = 90,
      .fallback = "30", .example = "30", .doc = "How long messages are kept: 7, 30 or 90." },
    { .name = "mapping", .type = F_JSON, .flags = FF_NONNULL, .max = 128 * 1024, .fallback = "{}",
      .example = "{\"fields\":[{\"to\":\"title\",\"from\":\"/data/name\"}],"
                 "\"actions\":[{\"do\":\"upsert\",\"entity\":\"post\",\"key\":\"slug\"}]}",
      .doc = "What becomes of a message: jq or fields, and actions; replaced as a whole, earlier "
             "versions are kept." },
    { .name = "mapping_version", .type = F_INT, .flags = FF_READONLY | FF_NONNULL, .min = 0,
      .max = INT32_MAX, .fallback = "0", .example = "3", .doc = "Counts the changes of mapping." },
    FIELD_VERSION,
    FIELD_CREATED,
    FIELD_UPDATED,
    { 0 },
};
/* clang-format on */
const struct entity_def entity_webhook_source = {
    .name = "webhook_source",
    .plural = "webhook_sources",
    .table = "sources",
    .service = "webhooks-in",
    .path = "/api/v2/webhook-sources",
    .scope_read = "webhooks:read",
    .scope_write = "webhooks:write",
    .doc = "A system outside that tells us of what happens there.",
    .fields = fields,
    .visibility = VIS_OWNER,
    .owner = "user",
    .slug_from = "name",
    .title = "name",
    .sort = "-created_at",
};
