#include "proto/fields.h"

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("page"),
    FIELD_LINE("title", FF_REQUIRED | FF_FIND, "About us", "Headline."),
    FIELD_SLUG("page", "title"),
    FIELD_STATUS_PUBLISH("page"),
    FIELD_CONTENT("page"),
    FIELD_LANGUAGE("page"),
    FIELD_REF("author", "user", "Who wrote it; the caller if absent."),
    FIELD_REF("parent", "page", "The page above this one."),
    { .name = "menu_order", .type = F_INT, .flags = FF_NONNULL | FF_FIND, .min = -1000000,
      .max = 1000000, .fallback = "0", .example = "10",
      .doc = "Place among its neighbours, small first." },
    { .name = "template", .type = F_TEXT, .flags = FF_FILTER, .format = FMT_LINE, .max = 100,
      .example = QUOTED("landing"), .doc = "Name of the template that shows it." },
    FIELD_PUBLISHED_AT("page"),
    FIELD_SEO,
    FIELDS_COMMON,
};
static const struct relation_def relations[] = {
    { .name = "children", .kind = REL_REVERSE, .ref = "page", .via = "parent",
      .doc = "Pages right below this one." },
    { 0 },
};
/* clang-format on */
const struct entity_def entity_page = {
    .name = "page",
    .plural = "pages",
    .table = "pages",
    .service = "api",
    .path = "/api/v2/pages",
    .scope_read = "pages:read",
    .scope_write = "pages:write",
    .jsonld_type = "WebPage",
    .doc = "A page of the site's tree.",
    .fields = fields,
    .relations = relations,
    .lifecycle = LIFE_PUBLISH,
    .visibility = VIS_PUBLISHED,
    .owner = "author",
    .slug_from = "title",
    .title = "title",
    .sort = "menu_order",
    .soft_delete = true,
    .events = true,
};
