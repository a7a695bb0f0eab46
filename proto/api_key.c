#include "proto/fields.h"

static const char *const states[] = { "active", "expired", "revoked", NULL };

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("key"),
    FIELD_LINE("name", FF_REQUIRED | FF_FIND, "Newsletter script", "What the key is for."),
    FIELD_LINE("device", FF_FILTER, "build server", "Where the key is used."),
    { .name = "user", .type = F_REF, .flags = FF_CREATE | FF_FILTER, .ref = "user",
      .example = "{\"id\":7}", .doc = "Whose key it is; the caller if absent." },
    { .name = "prefix", .type = F_TEXT, .flags = FF_READONLY | FF_NONNULL | FF_FILTER,
      .format = FMT_LINE, .max = 64, .example = QUOTED("365k_live_12_"),
      .doc = "Start of the key, to recognise it by." },
    { .name = "scopes", .type = F_TEXTS, .flags = FF_REQUIRED | FF_FILTER, .format = FMT_LINE,
      .max = 64, .items_max = 64, .example = "[\"posts:read\",\"posts:write\"]",
      .doc = "What the key may do, within what its user's role may." },
    { .name = "status", .type = F_ENUM, .flags = FF_READONLY | FF_NONNULL | FF_FILTER,
      .choices = states, .fallback = QUOTED("active"), .example = QUOTED("active"),
      .doc = "Only active keys are accepted." },
    { .name = "expires_at", .type = F_TIME, .flags = FF_FIND,
      .example = QUOTED("2027-02-19T08:00:00.000000Z"),
      .doc = "When the key stops working; null: never." },
    { .name = "allowed_networks", .type = F_TEXTS, .flags = FF_NONNULL, .format = FMT_LINE,
      .max = 43, .items_max = 32, .fallback = "[]",
      .example = "[\"192.0.2.0/24\",\"2001:db8::/32\"]",
      .doc = "Networks (CIDR) the key is accepted from; empty: any." },
    { .name = "last_used_at", .type = F_TIME, .flags = FF_READONLY | FF_FIND,
      .example = QUOTED("2026-02-20T10:30:00.000000Z"),
      .doc = "When the key was last used, to the hour." },
    { .name = "revoked_at", .type = F_TIME, .flags = FF_READONLY | FF_FIND,
      .example = QUOTED("2026-03-01T08:00:00.000000Z"), .doc = "When it was revoked." },
    FIELD_VERSION,
    FIELD_CREATED,
    FIELD_UPDATED,
    { 0 },
};
/* clang-format on */
const struct entity_def entity_api_key = {
    .name = "api_key",
    .plural = "api_keys",
    .table = "api_keys",
    .service = "auth",
    .path = "/api/v2/auth/keys",
    .scope_read = "keys:read",
    .scope_write = "keys:write",
    .doc = "A key that a program signs in with.",
    .fields = fields,
    .visibility = VIS_OWNER,
    .owner = "user",
    .title = "name",
    .sort = "-created_at",
};
