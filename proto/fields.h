#ifndef PROTO_FIELDS_H
#define PROTO_FIELDS_H
/*
 * Rows that every entity table has, and the shorthands its own rows are written with.  Only the
 * files that define entities include this.
 */
#include "proto/entity.h"

#define QUOTED(s) "\"" s "\""
#define FF_FIND   (FF_FILTER | FF_SORT)

enum {
    id_max_bits = 53,
    meta_bytes_max = 64 * 1024,
    line_max = 300,
    slug_max = 200,
    url_max = 2048,
    excerpt_max = 2000,
    content_max = 900 * 1024, /* characters; the body as a whole is limited to 1 MiB */
    description_max = 20000,
    list_items_max = 50,
    list_item_max = 100,
};
#define ID_MAX ((INT64_C(1) << id_max_bits) - 1)
/* Minor units of money: a thousand million of the major unit is more than anyone asks for an hour.
 */
#define MONEY_MAX INT64_C(100000000000)

#define FIELD_ID(what)                                                                             \
    { .name = "id",                                                                                \
      .type = F_ID,                                                                                \
      .flags = FF_READONLY | FF_NONNULL | FF_FIND,                                                 \
      .min = 1,                                                                                    \
      .max = ID_MAX,                                                                               \
      .example = "7",                                                                              \
      .doc = "Number of the " what "." }
#define FIELD_META                                                                                 \
    { .name = "meta",                                                                              \
      .type = F_JSON,                                                                              \
      .flags = FF_NONNULL,                                                                         \
      .max = meta_bytes_max,                                                                       \
      .fallback = "{}",                                                                            \
      .example = "{\"color\":\"blue\"}",                                                           \
      .doc = "Free JSON object for your own data; a merge patch merges into it." }
#define FIELD_VERSION                                                                              \
    { .name = "version",                                                                           \
      .type = F_INT,                                                                               \
      .flags = FF_READONLY | FF_NONNULL,                                                           \
      .min = 1,                                                                                    \
      .max = INT64_MAX,                                                                            \
      .fallback = "1",                                                                             \
      .example = "3",                                                                              \
      .doc = "Counts the changes; the number in the ETag, to be sent back in If-Match." }
#define FIELD_CREATED                                                                              \
    { .name = "created_at",                                                                        \
      .type = F_TIME,                                                                              \
      .flags = FF_READONLY | FF_NONNULL | FF_FIND,                                                 \
      .example = QUOTED("2026-02-19T08:00:00.000000Z"),                                            \
      .doc = "When it was created." }
#define FIELD_UPDATED                                                                              \
    { .name = "updated_at",                                                                        \
      .type = F_TIME,                                                                              \
      .flags = FF_READONLY | FF_NONNULL | FF_FIND,                                                 \
      .example = QUOTED("2026-02-20T10:30:00.000000Z"),                                            \
      .doc = "When it was last changed." }
#define FIELD_DELETED                                                                              \
    { .name = "deleted_at",                                                                        \
      .type = F_TIME,                                                                              \
      .flags = FF_READONLY | FF_HIDDEN,                                                            \
      .doc = "When it was deleted; such rows are hidden until restored." }
/* The end of every content entity's table. */
#define FIELDS_COMMON                                                                              \
    FIELD_META, FIELD_VERSION, FIELD_CREATED, FIELD_UPDATED, FIELD_DELETED,                        \
    {                                                                                              \
        0                                                                                          \
    }

#define FIELD_SLUG(what, of)                                                                       \
    { .name = "slug",                                                                              \
      .type = F_TEXT,                                                                              \
      .flags = FF_NONNULL | FF_UNIQUE | FF_FIND,                                                   \
      .format = FMT_SLUG,                                                                          \
      .max = slug_max,                                                                             \
      .example = QUOTED("hello-world"),                                                            \
      .doc = "Name of the " what " in addresses; made from the " of " if absent." }
#define FIELD_STATUS_PUBLISH(what)                                                                 \
    { .name = "status",                                                                            \
      .type = F_ENUM,                                                                              \
      .flags = FF_REQUIRED | FF_FILTER,                                                            \
      .choices = publish_states,                                                                   \
      .example = QUOTED("published"),                                                              \
      .doc = "Where the " what " is in its life; readers see published ones only." }
#define FIELD_PUBLISHED_AT(what)                                                                   \
    { .name = "published_at",                                                                      \
      .type = F_TIME,                                                                              \
      .flags = FF_FIND,                                                                            \
      .example = QUOTED("2026-02-19T08:00:00.000000Z"),                                            \
      .doc = "When the " what " appears; set at publishing if absent, hidden while it lies "       \
             "ahead." }
#define FIELD_STATUS_ACTIVE(what)                                                                  \
    { .name = "status",                                                                            \
      .type = F_ENUM,                                                                              \
      .flags = FF_NONNULL | FF_FILTER,                                                             \
      .choices = active_states,                                                                    \
      .fallback = QUOTED("active"),                                                                \
      .example = QUOTED("active"),                                                                 \
      .doc = "Readers see the " what " only while it is active." }
#define FIELD_CONTENT(what)                                                                        \
    { .name = "content",                                                                           \
      .type = F_TEXT,                                                                              \
      .format = FMT_LONG,                                                                          \
      .max = content_max,                                                                          \
      .example = QUOTED("<p>Hello, world.</p>"),                                                   \
      .doc = "Body of the " what "." },                                                            \
    {                                                                                              \
        .name = "content_format", .type = F_ENUM, .flags = FF_NONNULL | FF_FILTER,                 \
        .choices = content_formats, .fallback = QUOTED("html"), .example = QUOTED("html"),         \
        .doc = "How the content is written."                                                       \
    }
#define FIELD_LANGUAGE(what)                                                                       \
    { .name = "language",                                                                          \
      .type = F_TEXT,                                                                              \
      .flags = FF_FILTER,                                                                          \
      .format = FMT_LANGUAGE,                                                                      \
      .max = 35,                                                                                   \
      .example = QUOTED("de"),                                                                     \
      .doc = "Language of the " what ", BCP 47." }
#define FIELD_SEO                                                                                  \
    { .name = "seo_title",                                                                         \
      .type = F_TEXT,                                                                              \
      .format = FMT_LINE,                                                                          \
      .max = line_max,                                                                             \
      .example = QUOTED("Hello, world | Example"),                                                 \
      .doc = "Title for search engines." },                                                        \
    {                                                                                              \
        .name = "seo_description", .type = F_TEXT, .format = FMT_LINE, .max = 500,                 \
        .example = QUOTED("A first greeting."), .doc = "Description for search engines."           \
    }
#define FIELD_REF(field, other, text)                                                              \
    { .name = field,                                                                               \
      .type = F_REF,                                                                               \
      .flags = FF_FILTER,                                                                          \
      .ref = other,                                                                                \
      .example = "{\"id\":7}",                                                                     \
      .doc = text }
#define FIELD_EMAIL(extra, text)                                                                   \
    { .name = "email",                                                                             \
      .type = F_TEXT,                                                                              \
      .flags = FF_FILTER | (extra),                                                                \
      .format = FMT_EMAIL,                                                                         \
      .max = 254,                                                                                  \
      .example = QUOTED("erika@example.com"),                                                      \
      .doc = text }
#define FIELD_URL(field, text)                                                                     \
    { .name = field,                                                                               \
      .type = F_TEXT,                                                                              \
      .format = FMT_URL,                                                                           \
      .max = url_max,                                                                              \
      .example = QUOTED("https://example.com/"),                                                   \
      .doc = text }
#define FIELD_LINE(field, more, sample, text)                                                      \
    { .name = field,                                                                               \
      .type = F_TEXT,                                                                              \
      .flags = (more),                                                                             \
      .format = FMT_LINE,                                                                          \
      .max = line_max,                                                                             \
      .example = QUOTED(sample),                                                                   \
      .doc = text }
#define FIELD_LONG(field, most, sample, text)                                                      \
    { .name = field,                                                                               \
      .type = F_TEXT,                                                                              \
      .format = FMT_LONG,                                                                          \
      .max = (most),                                                                               \
      .example = QUOTED(sample),                                                                   \
      .doc = text }
#define FIELD_PHONE                                                                                \
    { .name = "phone",                                                                             \
      .type = F_TEXT,                                                                              \
      .format = FMT_PHONE,                                                                         \
      .max = 32,                                                                                   \
      .example = QUOTED("+49 30 1234567"),                                                         \
      .doc = "Telephone number, E.164 with spaces." }
#define FIELD_COUNTRY                                                                              \
    { .name = "country",                                                                           \
      .type = F_TEXT,                                                                              \
      .flags = FF_FILTER,                                                                          \
      .format = FMT_COUNTRY,                                                                       \
      .max = 2,                                                                                    \
      .example = QUOTED("DE"),                                                                     \
      .doc = "Country, ISO 3166-1 alpha-2." }
#define FIELD_TEXTS(field, sample, text)                                                           \
    { .name = field,                                                                               \
      .type = F_TEXTS,                                                                             \
      .flags = FF_NONNULL | FF_FILTER,                                                             \
      .format = FMT_LINE,                                                                          \
      .max = list_item_max,                                                                        \
      .items_max = list_items_max,                                                                 \
      .fallback = "[]",                                                                            \
      .example = sample,                                                                           \
      .doc = text }
#define FIELD_MONEY(field, text)                                                                   \
    { .name = field,                                                                               \
      .type = F_INT,                                                                               \
      .flags = FF_FIND,                                                                            \
      .min = 0,                                                                                    \
      .max = MONEY_MAX,                                                                            \
      .example = "12000",                                                                          \
      .doc = text },                                                                               \
    {                                                                                              \
        .name = "currency", .type = F_TEXT, .flags = FF_FILTER, .format = FMT_CURRENCY, .max = 3,  \
        .example = QUOTED("EUR"), .doc = "Currency of the amount, ISO 4217."                       \
    }

extern const char *const publish_states[]; /* draft scheduled published archived */
extern const char *const active_states[];  /* active inactive */
extern const char *const content_formats[];
#endif
