#include "proto/fields.h"

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("entry"),
    { .name = "type", .type = F_TEXT, .flags = FF_READONLY | FF_NONNULL | FF_FIND,
      .format = FMT_LINE, .max = 64, .example = QUOTED("login.failed"), .doc = "What happened." },
    { .name = "actor", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = 128,
      .example = QUOTED("user:7 session:12"), .doc = "Who did it, and by which credential." },
    { .name = "user", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "user",
      .example = "{\"id\":7}", .doc = "Whom it concerns; null: nobody that is known." },
    { .name = "subject", .type = F_TEXT, .flags = FF_READONLY | FF_NONNULL | FF_FILTER,
      .format = FMT_LINE, .max = 128, .example = QUOTED("key:7"), .doc = "What it was done to." },
    { .name = "address", .type = F_TEXT, .flags = FF_READONLY | FF_FILTER, .format = FMT_LINE,
      .max = 45, .example = QUOTED("192.0.2.10"), .doc = "Where the request came from." },
    { .name = "agent", .type = F_TEXT, .flags = FF_READONLY, .format = FMT_LINE, .max = 200,
      .example = QUOTED("newsletter/2.1"), .doc = "What the client called itself (User-Agent)." },
    { .name = "request_id", .type = F_TEXT, .flags = FF_READONLY | FF_FILTER, .format = FMT_LINE,
      .max = 128, .example = QUOTED("01890a5d-ac96-774b-bcce-b302099a8057"),
      .doc = "Request that did it." },
    { .name = "data", .type = F_JSON, .flags = FF_READONLY | FF_NONNULL, .max = 65536,
      .fallback = "{}", .example = "{\"changed\":[\"scopes\"]}", .doc = "More about it." },
    FIELD_CREATED,
    { 0 },
};
/* clang-format on */
const struct entity_def entity_audit_entry = {
    .name = "audit_entry",
    .plural = "audit_entries",
    .table = "audit",
    .service = "auth",
    .path = "/api/v2/auth/audit",
    .scope_read = "audit:read",
    .scope_write = "audit:read",
    .doc = "What was done to a credential, a sign-in or a webhook source.",
    .fields = fields,
    .visibility = VIS_OWNER,
    .owner = "user",
    .title = "type",
    .sort = "-id",
    .unversioned = true,
};
