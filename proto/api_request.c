#include "proto/fields.h"

static const char *const consumers[] = { "anonymous", "key", "client", "session", NULL };
#define FIELD_US(n, what)                                                                          \
    { .name = n,                                                                                   \
      .type = F_INT,                                                                               \
      .flags = FF_READONLY | FF_NONNULL | FF_FILTER,                                               \
      .min = 0,                                                                                    \
      .max = INT32_MAX,                                                                            \
      .example = "1840",                                                                           \
      .doc = what }
#define FIELD_BYTES(n, what)                                                                       \
    { .name = n,                                                                                   \
      .type = F_INT,                                                                               \
      .flags = FF_READONLY | FF_NONNULL | FF_FILTER,                                               \
      .min = 0,                                                                                    \
      .max = (INT64_C(1) << 53) - 1,                                                               \
      .example = "2048",                                                                           \
      .doc = what }

/* clang-format off */
static const struct field_def fields[] = {
    { .name = "id", .type = F_ID, .flags = FF_READONLY | FF_NONNULL | FF_FILTER, .min = 1,
      .max = (INT64_C(1) << 53) - 1, .example = "7", .doc = "Number of the record." },
    { .name = "at", .type = F_TIME, .flags = FF_READONLY | FF_NONNULL | FF_FIND,
      .example = QUOTED("2026-02-19T08:00:00.000000Z"), .doc = "When the request began." },
    FIELD_LINE("program", FF_READONLY | FF_NONNULL | FF_FILTER, "api", "Who answered it."),
    FIELD_LINE("method", FF_READONLY | FF_NONNULL | FF_FILTER, "GET", "HTTP method."),
    FIELD_LINE("route", FF_READONLY | FF_NONNULL | FF_FILTER, "/api/v2/posts/{id}",
               "Template of the path; unmatched: there is nothing there."),
    { .name = "status", .type = F_INT, .flags = FF_READONLY | FF_NONNULL | FF_FILTER, .min = 100,
      .max = 999, .example = "200", .doc = "HTTP status of the answer." },
    FIELD_US("total_us", "Microseconds from its first byte to the answer."),
    FIELD_US("queue_us", "Of these, until its handler began."),
    FIELD_US("db_us", "Of these, waiting for the database."),
    FIELD_BYTES("bytes_in", "Length of its body."),
    FIELD_BYTES("bytes_out", "Length of the answer's body."),
    { .name = "consumer", .type = F_ENUM, .flags = FF_READONLY | FF_NONNULL | FF_FILTER,
      .choices = consumers, .example = QUOTED("key"), .doc = "What kind of credential it had." },
    { .name = "key", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "api_key",
      .example = "{\"id\":7}", .doc = "The API key." },
    { .name = "client", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "oauth_client",
      .example = "{\"id\":7}", .doc = "The OAuth client." },
    { .name = "user", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "user",
      .example = "{\"id\":7}", .doc = "Whom the credential stands for." },
    FIELD_LINE("request_id", FF_READONLY | FF_FILTER, "0195f3c2-6f00-7abc-8def-0123456789ab",
               "Its X-Request-Id; null: the client sent one that is neither a UUID nor 32 hex digits."),
    FIELD_LINE("network", FF_READONLY | FF_NONNULL | FF_FILTER, "9f86d081884c7d65",
               "Pseudonym of the client's network for that day."),
    FIELD_LINE("agent", FF_READONLY | FF_NONNULL | FF_FILTER, "curl", "Family of the User-Agent."),
    { .name = "country", .type = F_TEXT, .flags = FF_READONLY | FF_FILTER, .format = FMT_COUNTRY, .max = 2,
      .example = QUOTED("DE"), .doc = "Country of the client, if a proxy says it; ISO 3166-1 alpha-2." },
    FIELD_LINE("problem", FF_READONLY | FF_FILTER, "not_found", "Name of the problem that was answered."),
    { 0 },
};
/* clang-format on */
const struct entity_def entity_api_request = {
    .name = "api_request",
    .plural = "api_requests",
    .table = "requests_shown",
    .service = "analytics",
    .path = "/api/v2/analytics/requests",
    .scope_read = "analytics:read",
    .scope_write = "analytics:write",
    .doc = "One request of the log.",
    .fields = fields,
    .visibility = VIS_OWNER,
    .owner = "user",
    .title = "route",
    .sort = "-at",
};
