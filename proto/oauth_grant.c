#include "proto/fields.h"

static const char *const states[] = { "active", "revoked", NULL };

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("grant"),
    { .name = "user", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "user",
      .example = "{\"id\":7}", .doc = "Who consented." },
    { .name = "client", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "oauth_client",
      .example = "{\"id\":12}", .doc = "The client that acts for them." },
    FIELD_LINE("client_name", FF_READONLY | FF_FIND, "Reader for phones",
               "What the client was called when they consented."),
    { .name = "scopes", .type = F_TEXTS, .flags = FF_REQUIRED | FF_FILTER, .format = FMT_LINE,
      .max = 64, .items_max = 64, .example = "[\"posts:read\"]",
      .doc = "What the client may do; may be narrowed." },
    { .name = "status", .type = F_ENUM, .flags = FF_READONLY | FF_NONNULL | FF_FILTER,
      .choices = states, .fallback = QUOTED("active"), .example = QUOTED("active"),
      .doc = "The tokens of a revoked consent are refused." },
    { .name = "revoked_at", .type = F_TIME, .flags = FF_READONLY | FF_FIND,
      .example = QUOTED("2026-03-01T08:00:00.000000Z"), .doc = "When it was revoked." },
    FIELD_VERSION,
    FIELD_CREATED,
    FIELD_UPDATED,
    { 0 },
};
/* clang-format on */
const struct entity_def entity_oauth_grant = {
    .name = "oauth_grant",
    .plural = "oauth_grants",
    .table = "oauth_grants",
    .service = "auth",
    .path = "/api/v2/auth/grants",
    .scope_read = "grants:read",
    .scope_write = "grants:write",
    .doc = "A person's consent that a client acts for them.",
    .fields = fields,
    .visibility = VIS_OWNER,
    .owner = "user",
    .title = "client_name",
    .sort = "-created_at",
};
