#include "proto/fields.h"

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("session"),
    { .name = "user", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "user",
      .example = "{\"id\":7}", .doc = "Who is signed in." },
    { .name = "address", .type = F_TEXT, .flags = FF_READONLY | FF_FILTER, .format = FMT_LINE,
      .max = 45, .example = QUOTED("192.0.2.10"), .doc = "Where the sign-in came from." },
    { .name = "agent", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = 200,
      .example = QUOTED("Mozilla/5.0"), .doc = "What the browser called itself (User-Agent)." },
    { .name = "last_seen_at", .type = F_TIME, .flags = FF_READONLY | FF_NONNULL | FF_FIND,
      .example = QUOTED("2026-02-20T10:30:00.000000Z"),
      .doc = "When it was last used, to the half minute." },
    { .name = "last_seen_address", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE,
      .max = 45, .example = QUOTED("192.0.2.11"), .doc = "Where it was used from then." },
    { .name = "expires_at", .type = F_TIME, .flags = FF_READONLY | FF_NONNULL | FF_FIND,
      .example = QUOTED("2026-02-20T22:30:00.000000Z"), .doc = "When it ends at the latest." },
    { .name = "revoked_at", .type = F_TIME, .flags = FF_READONLY | FF_FIND,
      .example = QUOTED("2026-02-20T11:30:00.000000Z"), .doc = "When it was ended; null: it was not." },
    FIELD_CREATED,
    { 0 },
};
/* clang-format on */
const struct entity_def entity_auth_session = {
    .name = "auth_session",
    .plural = "auth_sessions",
    .table = "sessions",
    .service = "auth",
    .path = "/api/v2/auth/sessions",
    .scope_read = "sessions:read",
    .scope_write = "sessions:write",
    .doc = "A browser that is signed in, or was.",
    .fields = fields,
    .visibility = VIS_OWNER,
    .owner = "user",
    .title = "agent",
    .sort = "-created_at",
    .unversioned = true,
};
