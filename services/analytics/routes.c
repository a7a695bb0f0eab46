#include "common/base/str.h"
#include "common/kit/crud.h"
#include "common/kit/idem.h"
#include "common/kit/inbox.h"
#include "common/kit/migrate.h"
#include "common/kit/outbox.h"
#include "services/analytics/analytics.h"
#include "services/analytics/anomaly.h"
#include "services/analytics/answers.h"
#include "services/analytics/tail.h"

#pragma GCC diagnostic ignored "-Woverlength-strings" /* migrations are long */
#include "analytics/migrations.h"

extern const struct entity_def entity_api_request, entity_anomaly;

#define BASE "/api/v2/analytics"

/* clang-format off */
static const struct param_def window_params[] = { WINDOW_PARAMS, { .name = NULL } };
static const struct param_def series_params[] = {
    WINDOW_PARAMS,
    { "step", "string", 0, 0, "Length of a point: 1m, 15m, 1h, 1d; chosen by the window if absent." },
    { .name = NULL },
};
static const struct param_def top_params[] = {
    WINDOW_PARAMS,
    { "sort", "string", 0, 0, "requests, errors, error_rate, mean, time, bytes, limited, or p50, p95, p99 (of the 200 with most requests); the most first." },
    { "limit", "integer", 1, 100, "How many; 20 if absent." },
    { .name = NULL },
};

#define ANSWERED FF_READONLY | FF_NONNULL
#define FIELD_AT(n, what) { .name = n, .type = F_TIME, .flags = ANSWERED, .example = "\"2026-02-19T08:00:00.000000Z\"", .doc = what }
static const struct field_def overview_fields[] = {
    FIELD_AT("since", "Begin of the window."),
    FIELD_AT("until", "End of the window."),
    TOTALS_FIELDS,
    TOTALS_FIELD("not_recorded", "0", "Requests that no program could tell of, under a rule of overload; api:admin only, else 0."),
    TOTALS_FIELD("open_anomalies", "1", "Anomalies that go on."),
    { .name = "before", .type = F_JSON, .flags = ANSWERED, .max = 4096, .example = "{\"requests\":1100}",
      .doc = "The same numbers for the window of that length before it." },
    { .name = NULL },
};
static const struct shape overview = { .name = "AnalyticsOverview", .doc = "A window in numbers.", .fields = overview_fields };
static const struct field_def series_fields[] = {
    FIELD_AT("since", "Begin of the first point."),
    FIELD_AT("until", "End of the last point."),
    { .name = "step_s", .type = F_INT, .flags = ANSWERED, .min = 60, .max = INT32_MAX, .example = "3600",
      .doc = "Length of a point, seconds." },
    { .name = "points", .type = F_JSON, .format = FMT_LIST, .flags = ANSWERED, .max = 4 * 1024 * 1024,
      .example = "[{\"at\":\"2026-02-19T08:00:00.000000Z\",\"requests\":1200}]",
      .doc = "One a step: at, and the numbers of the overview." },
    { .name = NULL },
};
static const struct shape series = { .name = "AnalyticsSeries", .doc = "A window over time.", .fields = series_fields };
static const struct field_def route_fields[] = {
    { .name = "program", .type = F_TEXT, .format = FMT_LINE, .flags = ANSWERED, .max = 40, .example = "\"api\"", .doc = "Who answers it." },
    { .name = "method", .type = F_TEXT, .format = FMT_LINE, .flags = ANSWERED, .max = 10, .example = "\"GET\"", .doc = "HTTP method." },
    { .name = "route", .type = F_TEXT, .format = FMT_LINE, .flags = ANSWERED, .max = 200, .example = "\"/api/v2/posts/{id}\"",
      .doc = "Template of the path; unmatched: there is nothing there." },
    TOTALS_FIELDS,
    { .name = NULL },
};
static const struct shape route_row = { .name = "AnalyticsRoute", .doc = "A route in a window.", .fields = route_fields };
static const char *const kinds[] = { "anonymous", "key", "client", "session", NULL };
#define FIELD_WHO(n, what) { .name = n, .type = F_REF, .flags = FF_READONLY, .ref = what, .example = "{\"id\":7}", .doc = "The " n "." }
static const struct field_def consumer_fields[] = {
    { .name = "consumer", .type = F_ENUM, .flags = ANSWERED, .choices = kinds, .example = "\"key\"", .doc = "What kind of credential." },
    FIELD_WHO("key", "api_key"), FIELD_WHO("client", "oauth_client"), FIELD_WHO("user", "user"),
    TOTALS_FIELDS,
    { .name = NULL },
};
static const struct shape consumer_row = { .name = "AnalyticsConsumer", .doc = "A credential in a window.", .fields = consumer_fields };

static const struct field_def mute_fields[] = {
    { .name = "minutes", .type = F_INT, .flags = FF_NONNULL, .min = 1, .max = 43200, .fallback = "1440", .example = "1440",
      .doc = "For how long." },
    { .name = NULL },
};
static const struct shape mute = { .name = "AnomalyMute", .doc = "Do not tell of this signal of this subject.", .fields = mute_fields };
static const char *const verdicts[] = { "useful", "false_alarm", NULL };
static const struct field_def feedback_fields[] = {
    { .name = "verdict", .type = F_ENUM, .flags = FF_REQUIRED, .choices = verdicts, .example = "\"useful\"",
      .doc = "false_alarm: the next one takes half as much more; useful: that is taken back." },
    { .name = NULL },
};
static const struct shape feedback = { .name = "AnomalyFeedback", .doc = "What you think of it.", .fields = feedback_fields };

static const struct param_def tail_params[] = {
    { "program", "string", 0, 200, "Only what this program answers." },
    { "method", "string", 0, 200, "Only this HTTP method." },
    { "route", "string", 0, 200, "Only this template of paths." },
    { "key", "integer", 1, (INT64_C(1) << 53) - 1, "Only this API key." },
    { "min_status", "integer", 100, 999, "Only answers with this status or a higher one." },
    { "min_us", "integer", 1, INT32_MAX, "Only what took so many microseconds or more." },
    { .name = NULL },
};
static const int tail_errors[] = { 400, 0 };
static const int say_errors[] = { 404, 412, 415, 422, 0 };
static const int unmute_errors[] = { 404, 412, 0 };
static const int ask_errors[] = { 400, 0 };
static const int read_errors[] = { 400, 404, 0 };

const struct route analytics_routes[] = {
    { GET, BASE "/overview", get_overview, .scope = "analytics:read", .query = window_params, .out = &overview,
      .flags = ROUTE_NO_BODY, .errors = ask_errors, .cost = 5, .op_id = "get_analytics_overview",
      .doc = "Requests, errors and latency of a window, and of the one before; of your credentials, with api:admin of all." },
    { GET, BASE "/series", get_series, .scope = "analytics:read", .query = series_params, .out = &series,
      .flags = ROUTE_NO_BODY, .errors = ask_errors, .cost = 5, .op_id = "get_analytics_series",
      .doc = "The same over time." },
    { GET, BASE "/routes", list_routes, .scope = "analytics:read", .query = top_params, .out = &route_row,
      .flags = ROUTE_LIST | ROUTE_NO_BODY, .errors = ask_errors, .cost = 5, .op_id = "list_analytics_routes",
      .doc = "The routes with most requests, errors or time." },
    { GET, BASE "/consumers", list_consumers, .scope = "analytics:read", .query = top_params, .out = &consumer_row,
      .flags = ROUTE_LIST | ROUTE_NO_BODY, .errors = ask_errors, .cost = 5, .op_id = "list_analytics_consumers",
      .doc = "The credentials with most requests, errors or time." },
    { GET, BASE "/requests", list_requests, .scope = "analytics:read", .entity = &entity_api_request,
      .query = crud_flat_list_params, .flags = ROUTE_LIST | ROUTE_ETAG | ROUTE_NO_BODY, .errors = ask_errors, .cost = 5,
      .op_id = "list_api_requests", .doc = "The request log, newest first; it is not counted.  Filter by `at` to look at older days." },
    { GET, BASE "/requests/{id}", get_request, .scope = "analytics:read", .entity = &entity_api_request,
      .query = crud_flat_get_params, .flags = ROUTE_ETAG | ROUTE_NO_BODY, .errors = read_errors, .cost = 1,
      .op_id = "get_api_request", .doc = "Read one request of the log." },
    { GET, BASE "/tail", get_tail, .scope = "analytics:read", .query = tail_params, .flags = ROUTE_NO_BODY,
      .produces = "text/event-stream", .errors = tail_errors, .cost = 10, .op_id = "tail_api_requests",
      .doc = "Requests as they come in, as server-sent events: `ready`, then `request` for each, `dropped` if you read too slowly.  Ends after five minutes: connect again; after three seconds if Accept does not name text/event-stream." },
    { GET, BASE "/anomalies", crud_list, .scope = "analytics:read", .entity = &entity_anomaly, .query = crud_flat_list_params,
      .flags = ROUTE_LIST | ROUTE_ETAG | ROUTE_NO_BODY, .errors = ask_errors, .cost = 2, .op_id = "list_anomalies",
      .doc = "What is and was unusual, newest first; of your credentials, with api:admin of all." },
    { GET, BASE "/anomalies/{id}", crud_get, .scope = "analytics:read", .entity = &entity_anomaly, .query = crud_flat_get_params,
      .flags = ROUTE_ETAG | ROUTE_NO_BODY, .errors = read_errors, .cost = 1, .op_id = "get_anomaly", .doc = "Read one anomaly." },
    { POST, BASE "/anomalies/{id}/mute", anomaly_mute, .scope = "analytics:write", .entity = &entity_anomaly, .in = &mute,
      .errors = say_errors, .cost = 5, .op_id = "mute_anomaly", .doc = "Tell nobody of this signal of this subject for some time." },
    { POST, BASE "/anomalies/{id}/unmute", anomaly_unmute, .scope = "analytics:write", .entity = &entity_anomaly,
      .flags = ROUTE_NO_BODY, .errors = unmute_errors, .cost = 5, .op_id = "unmute_anomaly", .doc = "Tell of it again." },
    { POST, BASE "/anomalies/{id}/feedback", anomaly_feedback, .scope = "analytics:write", .entity = &entity_anomaly, .in = &feedback,
      .errors = say_errors, .cost = 5, .op_id = "rate_anomaly", .doc = "Say whether it was useful to be told: the bounds follow." },
    { .path = NULL },
};
/* clang-format on */

/* --- the program --- */

static const struct route *const routes[] = { analytics_routes, NULL };
static const struct job_def jobs[] = {
    { "roll", "Adds new requests to the sums of minutes, hours and days.", roll_job },
    { "anomalies", "Looks at each five minutes for what is unusual.", anomaly_job },
    { "tail", "Follows the topic for those who read the live log.", tail_job },
    { "retention", "Makes partitions ahead and drops those past their time.", retention_job },
    { "idempotency", "Drops idempotency records past their time.", idem_job },
    { .name = NULL },
};
/* What comes in a second shares a block of the log. */
const struct consumer analytics_consumers[] = {
    { .name = "analytics.ingest",
     .topic = "api.requests",
     .mode = INBOX_BULK,
     .batch_max = 32,
     .background = true,
     .batch_ms = 1000,
     .fn_batch = ingest,
     .committed = ingest_committed,
     .failed = ingest_failed,
     .doc = "Stores the request log." },
    { 0 },
};

static int init(struct svc *svc, struct err *err)
{
    struct analytics *state = arena_alloc(svc->arena, sizeof *state);
    int rc = anomaly_mail_check(svc->arena, analytics_conf(svc)->anomaly_mail_to, err);
    if (rc)
        return rc;
    state->names = names_new();
    state->tail = tail_new();
    svc->state = state;
    return 0;
}

static void done(struct svc *svc)
{
    struct analytics *state = svc->state;
    if (state) {
        names_free(state->names);
        tail_free(state->tail);
    }
    svc->state = NULL;
}

/* The first migration also makes the tables that the kit keeps in every program. */
static const struct migration *make_migrations(struct arena *a)
{
    struct migration *m = arena_alloc(a, sizeof(migrations));
    memcpy(m, migrations, sizeof(migrations));
    m[0].sql = arena_printf(a, "%s%s%s%s", migrations[0].sql, outbox_schema_sql, inbox_schema_sql,
                            idem_schema_sql);
    migrate_append(a, m, "0001_analytics", outbox_also_sql);
    return m;
}

const struct svc_def *analytics_def(void)
{
    static struct svc_def def; /* one a process; made before there are threads */
    static struct arena *arena;
    if (!arena)
        arena = arena_new();
    if (!def.name)
        def = (struct svc_def){ .name = "analytics",
                                .doc = "What the API does, who uses it and what is unusual.",
                                .schema = "analytics",
                                .conf = analytics_conf_defs,
                                .conf_size = sizeof(struct analytics_conf),
                                .routes = routes,
                                .consumers = analytics_consumers,
                                .jobs = jobs,
                                .migrations = make_migrations(arena),
                                .init = init,
                                .done = done };
    return &def;
}
