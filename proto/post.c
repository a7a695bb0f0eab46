#include "proto/fields.h"

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("post"),
    FIELD_LINE("title", FF_REQUIRED | FF_FIND, "Hello, world", "Headline."),
    FIELD_SLUG("post", "title"),
    FIELD_STATUS_PUBLISH("post"),
    FIELD_LONG("excerpt", excerpt_max, "A first greeting.", "Short text for lists."),
    FIELD_CONTENT("post"),
    FIELD_LANGUAGE("post"),
    FIELD_REF("author", "user", "Who wrote it; the caller if absent."),
    FIELD_REF("featured_media", "media", "Picture shown with the post."),
    FIELD_TEXTS("categories", "[\"news\"]", "Categories the post is in."),
    FIELD_TEXTS("tags", "[\"tea\",\"travel\"]", "Free keywords."),
    FIELD_PUBLISHED_AT("post"),
    FIELD_SEO,
    FIELDS_COMMON,
};
/* clang-format on */
const struct entity_def entity_post = {
    .name = "post",
    .plural = "posts",
    .table = "posts",
    .service = "api",
    .path = "/api/v2/posts",
    .scope_read = "posts:read",
    .scope_write = "posts:write",
    .jsonld_type = "Article",
    .doc = "An article.",
    .fields = fields,
    .lifecycle = LIFE_PUBLISH,
    .visibility = VIS_PUBLISHED,
    .owner = "author",
    .slug_from = "title",
    .title = "title",
    .sort = "-published_at",
    .soft_delete = true,
    .events = true,
};
