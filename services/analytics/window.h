#ifndef ANALYTICS_WINDOW_H
#define ANALYTICS_WINDOW_H
/*
 * What an answer is about: a stretch of time, and whose requests to what.  The time is cut into
 * pieces of days, hours and minutes, so that what is read grows with how many buckets there are,
 * never with how many requests.
 */
#include "common/io/db.h"
#include "common/kit/route.h"
#include "services/analytics/cells.h"

enum {
    window_minutes_max_s = 2 * 86400, /* to the minute up to here, */
    window_hours_max_s = 92 * 86400,  /* to the hour up to here, then to the day */
    window_max_s = 3660 * 86400,
    window_pieces_max = 5,
    window_consumers_max = 10000,
};
struct window {
    int64_t since, until;        /* Unix seconds, at the edges of buckets */
    int64_t oldest[LEVELS_MAX_]; /* from when on there are buckets of each level */
    struct {
        int64_t level[window_pieces_max], since[window_pieces_max], until[window_pieces_max];
        size_t n;
    } pieces;
    enum dim dim;
    int64_t *consumers, *routes; /* which; one 0: they are not told apart */
    size_t nconsumers, nroutes;
    bool any_consumer, any_route;
};
/* Parameters of all answers: window since until program method route key client user consumer. */
#define WINDOW_PARAMS                                                                              \
    { "window", "string", 0, 0,                                                                    \
      "How far back: 15m, 24h, 7d; 24h if neither this nor since is given." },                     \
        { "since", "string", 0, 0,                                                                 \
          "RFC 3339: from then on; cut to the minute, to the hour for "                            \
          "more than two days, to the day for more than 92." },                                    \
        { "until", "string", 0, 0, "RFC 3339: up to then; now if it is absent." },                 \
        { "program", "string", 0, 0, "Only what this program answers." },                          \
        { "method", "string", 0, 0, "Only this HTTP method." },                                    \
        { "route", "string", 0, 0, "Only this template of paths, /api/v2/posts/{id}." },           \
        { "key", "integer", 1, (INT64_C(1) << 53) - 1, "Only this API key." },                     \
        { "client", "integer", 1, (INT64_C(1) << 53) - 1, "Only this OAuth client." },             \
        { "user", "integer", 1, (INT64_C(1) << 53) - 1, "Only what stands for this person." },     \
    {                                                                                              \
        "consumer", "string", 0, 0, "Only anonymous, key, client or session."                      \
    }
/* Reads them, and who may see what.  E_invalid_parameter names the parameter. */
int window_read(struct req *req, struct window *ret, struct err *err) MUST_CHECK;
/* Only the time of it, and how it is cut. */
int window_time(struct req *req, struct window *ret, struct err *err) MUST_CHECK;
void window_cut(struct window *w);
/* The window of the same length before it. */
struct window window_before(const struct window *w);
bool window_duration(const char *text, int64_t *ret_s); /* "15m" */

struct totals {
    int64_t sum[SUMS_MAX_], max_us, class[10];
    struct sketch sketch;
};
void totals_init(struct totals *t);
/* Calls fn for each group in order (0: buckets of `step` seconds, 1: routes, 2: consumers). */
enum window_group { GROUP_NONE = -1, GROUP_BUCKET, GROUP_ROUTE, GROUP_CONSUMER };
struct window_read {
    const struct window *w;
    enum window_group by;
    int64_t step; /* GROUP_BUCKET: what a group is, from w->since on */
    void (*fn)(void *ctx, int64_t group, const struct totals *t);
    void *ctx;
};
int window_totals(struct req *req, const struct window_read *r, struct err *err) MUST_CHECK;
/* "requests":12,"client_errors":… without braces. */
void totals_json(struct buf *b, const struct totals *t);
#define TOTALS_FIELD(n, ex, what)                                                                  \
    { .name = n,                                                                                   \
      .type = F_INT,                                                                               \
      .flags = FF_READONLY | FF_NONNULL,                                                           \
      .max = (INT64_C(1) << 53) - 1,                                                               \
      .example = ex,                                                                               \
      .doc = what }
#define TOTALS_FIELDS                                                                              \
    TOTALS_FIELD("requests", "1200", "How many."),                                                 \
        TOTALS_FIELD("client_errors", "20", "Of these, answered 4xx."),                            \
        TOTALS_FIELD("server_errors", "1", "Of these, answered 5xx."),                             \
        TOTALS_FIELD("limited", "3", "Of these, answered 429."),                                   \
        TOTALS_FIELD("error_ppm", "17500", "Answered 4xx or 5xx, in a million requests."),         \
        TOTALS_FIELD("bytes_in", "81920", "Length of all bodies that came."),                      \
        TOTALS_FIELD("bytes_out", "2457600", "Length of all bodies that went."),                   \
        TOTALS_FIELD("mean_us", "2100", "Mean time to answer, microseconds."),                     \
        TOTALS_FIELD("queue_us", "80", "Of it, until the handler began."),                         \
        TOTALS_FIELD("db_us", "900", "Of it, waiting for the database."),                          \
        TOTALS_FIELD("p50_us", "1900", "Half were answered in this time; within 1 %."),            \
        TOTALS_FIELD("p95_us", "5200", "95 % were; within 1 %."),                                  \
        TOTALS_FIELD("p99_us", "9800", "99 % were; within 1 %."),                                  \
        TOTALS_FIELD("max_us", "21000", "The longest.")
#endif
