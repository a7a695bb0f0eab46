#include "proto/fields.h"

static const char *const signals[] = { "rate_high",   "rate_low",  "errors",      "latency",
                                       "new_country", "new_agent", "key_sharing", NULL };
static const char *const subjects[] = { "all",    "route",   "anonymous", "key",
                                        "client", "session", NULL };
static const char *const units[] = { "requests", "permille", "ms", "networks", NULL };
static const char *const states[] = { "open", "resolved", NULL };
static const char *const verdicts[] = { "useful", "false_alarm", NULL };
#define FIELD_COUNT(n, ex, what)                                                                   \
    { .name = n,                                                                                   \
      .type = F_INT,                                                                               \
      .flags = FF_READONLY | FF_NONNULL,                                                           \
      .min = 0,                                                                                    \
      .max = (INT64_C(1) << 53) - 1,                                                               \
      .example = ex,                                                                               \
      .doc = what }

/* clang-format off */
static const struct field_def fields[] = {
    FIELD_ID("anomaly"),
    { .name = "signal", .type = F_ENUM, .flags = FF_READONLY | FF_NONNULL | FF_FILTER, .choices = signals,
      .example = QUOTED("rate_high"), .doc = "What is unusual." },
    { .name = "subject", .type = F_ENUM, .flags = FF_READONLY | FF_NONNULL | FF_FILTER, .choices = subjects,
      .example = QUOTED("key"), .doc = "Of what; all: of all requests together." },
    { .name = "key", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "api_key",
      .example = "{\"id\":7}", .doc = "The API key." },
    { .name = "client", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "oauth_client",
      .example = "{\"id\":7}", .doc = "The OAuth client." },
    { .name = "user", .type = F_REF, .flags = FF_READONLY | FF_FILTER, .ref = "user",
      .example = "{\"id\":7}", .doc = "Whom the credential stands for; null: it concerns the platform." },
    FIELD_LINE("program", FF_READONLY | FF_FILTER, "api", "Of a route: who answers it."),
    FIELD_LINE("method", FF_READONLY | FF_FILTER, "GET", "Of a route: the HTTP method."),
    FIELD_LINE("route", FF_READONLY | FF_FILTER, "/api/v2/posts", "Of a route: the template of its path."),
    { .name = "explanation", .type = F_TEXT, .flags = FF_READONLY | FF_NONNULL, .format = FMT_LINE, .max = 500,
      .example = QUOTED("API key 7: 14 × its usual Monday-09h rate (840 requests in 5 minutes, usually 60)."),
      .doc = "For people." },
    FIELD_COUNT("observed", "840", "What was seen, in `unit`; the highest while it is open."),
    FIELD_COUNT("usual", "60", "What is usual at that hour, in `unit`."),
    { .name = "unit", .type = F_ENUM, .flags = FF_READONLY | FF_NONNULL, .choices = units,
      .example = QUOTED("requests"), .doc = "Requests in 5 minutes, failures in 1,000 requests, milliseconds at the 95th percentile, networks in an hour." },
    FIELD_COUNT("factor_percent", "1400", "Observed as percent of usual; 0: there was none before."),
    FIELD_LINE("slot", FF_READONLY, "Monday-09h", "Hour of the week that it was compared with, UTC; null: another measure."),
    { .name = "status", .type = F_ENUM, .flags = FF_READONLY | FF_NONNULL | FF_FILTER, .choices = states,
      .fallback = QUOTED("open"), .example = QUOTED("open"), .doc = "open: it goes on." },
    { .name = "started_at", .type = F_TIME, .flags = FF_READONLY | FF_NONNULL | FF_FIND,
      .example = QUOTED("2026-02-19T08:00:00.000000Z"), .doc = "Begin of the five minutes in which it began." },
    { .name = "ended_at", .type = F_TIME, .flags = FF_READONLY | FF_FILTER,
      .example = QUOTED("2026-02-19T09:00:00.000000Z"), .doc = "When all was usual again." },
    { .name = "muted_until", .type = F_TIME, .flags = FF_READONLY | FF_FILTER,
      .example = QUOTED("2026-02-20T08:00:00.000000Z"), .doc = "Until then nobody is told of this signal of this subject." },
    { .name = "feedback", .type = F_ENUM, .flags = FF_READONLY | FF_FILTER, .choices = verdicts,
      .example = QUOTED("useful"), .doc = "What people said of it: the next such thing needs more, or less, to be told." },
    FIELD_VERSION, FIELD_CREATED, FIELD_UPDATED,
    { 0 },
};
/* clang-format on */
const struct entity_def entity_anomaly = {
    .name = "anomaly",
    .plural = "anomalies",
    .table = "anomalies",
    .service = "analytics",
    .path = "/api/v2/analytics/anomalies",
    .scope_read = "analytics:read",
    .scope_write = "analytics:write",
    .doc = "Something unusual about the API's traffic.",
    .fields = fields,
    .visibility = VIS_OWNER,
    .owner = "user",
    .title = "explanation",
    .sort = "-started_at",
};
