#include "proto/fields.h"

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("portal link"),
    { .name = "user", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "user",
      .example = "{\"id\":7}", .doc = "Whose endpoints it shows." },
    FIELD_LINE("label", FF_READONLY, "Shop team at Muster GmbH", "Whom it was made for."),
    { .name = "endpoint_ids", .type = F_JSON, .flags = FF_READONLY | FF_NONNULL, .format = FMT_LIST,
      .max = 4096, .fallback = "[]", .example = "[5]", .doc = "The endpoints it shows, and no others." },
    { .name = "can_resend", .type = F_BOOL, .flags = FF_READONLY | FF_NONNULL, .fallback = "true",
      .example = "true", .doc = "Whether deliveries may be sent again." },
    { .name = "can_rotate", .type = F_BOOL, .flags = FF_READONLY | FF_NONNULL, .fallback = "false",
      .example = "false", .doc = "Whether the signing secret may be replaced, which shows the new one." },
    { .name = "expires_at", .type = F_TIME, .flags = FF_READONLY | FF_NONNULL | FF_FIND,
      .example = QUOTED("2026-02-20T10:30:05.000000Z"), .doc = "Until when it works." },
    { .name = "revoked_at", .type = F_TIME, .flags = FF_READONLY | FF_FILTER,
      .example = QUOTED("2026-02-20T10:30:05.000000Z"), .doc = "Since when it works no longer." },
    { .name = "last_used_at", .type = F_TIME, .flags = FF_READONLY,
      .example = QUOTED("2026-02-20T10:30:05.000000Z"), .doc = "When it was used last, to the minute." },
    FIELD_LINE("last_action", FF_READONLY, "endpoint 5: rotated", "What was changed through it last."),
    FIELD_CREATED,
    { 0 },
};
/* clang-format on */
const struct entity_def entity_webhook_portal = {
    .name = "webhook_portal",
    .plural = "webhook_portals",
    .table = "portals",
    .service = "webhooks-out",
    .path = "/api/v2/webhooks/portals",
    .scope_read = "webhooks:read",
    .scope_write = "webhooks:write",
    .doc = "A link that shows a receiver's engineer some endpoints and their log, for a while.",
    .fields = fields,
    .visibility = VIS_OWNER,
    .owner = "user",
    .title = "label",
    .sort = "-created_at",
    .unversioned = true,
};
