#include "proto/fields.h"

static const char *const roles[] = { "admin", "editor", "author", "member", NULL };
static const char *const states[] = { "active", "suspended", NULL };

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("user"),
    { .name = "username", .type = F_TEXT, .flags = FF_REQUIRED | FF_UNIQUE | FF_FIND,
      .format = FMT_USERNAME, .min = 2, .max = 60, .example = QUOTED("erika"),
      .doc = "Name to sign in with." },
    FIELD_EMAIL(FF_REQUIRED | FF_UNIQUE | FF_PRIVATE,
                "E-mail address; shown to the user and to api:admin only."),
    FIELD_LINE("display_name", FF_FIND, "Erika Muster", "Name shown to readers."),
    { .name = "role", .type = F_ENUM, .flags = FF_REQUIRED | FF_ADMIN | FF_FILTER,
      .choices = roles, .example = QUOTED("author"),
      .doc = "What the user may do; changed with api:admin only." },
    { .name = "status", .type = F_ENUM, .flags = FF_NONNULL | FF_ADMIN | FF_FILTER,
      .choices = states, .fallback = QUOTED("active"), .example = QUOTED("active"),
      .doc = "A suspended user's credentials are refused; changed with api:admin only." },
    { .name = "locale", .type = F_TEXT, .flags = FF_FILTER, .format = FMT_LANGUAGE, .max = 35,
      .example = QUOTED("de-DE"), .doc = "Language the user reads, BCP 47." },
    FIELD_LONG("bio", 5000, "Writes about tea.", "About the user."),
    FIELD_URL("website", "The user's own site."),
    FIELD_REF("avatar", "media", "Picture of the user."),
    FIELDS_COMMON,
};
static const struct relation_def relations[] = {
    { .name = "posts", .kind = REL_REVERSE, .ref = "post", .via = "author",
      .doc = "Posts that the user wrote." },
    { 0 },
};
/* clang-format on */
const struct entity_def entity_user = {
    .name = "user",
    .plural = "users",
    .table = "users",
    .service = "api",
    .path = "/api/v2/users",
    .scope_read = "users:read",
    .scope_write = "users:write",
    .jsonld_type = "Person",
    .doc = "A person with an account.",
    .fields = fields,
    .relations = relations,
    .lifecycle = LIFE_ACTIVE,
    .visibility = VIS_USERS,
    .owner = "id",
    .title = "display_name",
    .sort = "id",
    .soft_delete = true,
    .events = true,
};
