#include "services/analytics/anomaly.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/metrics.h"
#include "common/kit/outbox.h"
#include "common/kit/rowjson.h"

#include <math.h>

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "analytics/sql.h"

extern const struct entity_def entity_anomaly;

/* Who or what it is about. */
struct about {
    const char *subject, *label;
    int64_t key, client, user;
    const char *program, *method, *route;
};

static void about_consumer(struct arena *a, const struct db_rows *r, struct about *ret)
{
    const char *kind = db_str(r, 0, 1);
    int64_t number = db_get_i64(r, 0, 2);
    ret->user = db_get_i64(r, 0, 3);
    ret->subject = kind;
    if (str_eq(kind, "key")) {
        ret->key = number;
        ret->label = arena_printf(a, "API key %lld", (long long)number);
    } else if (str_eq(kind, "client")) {
        ret->client = number;
        ret->label = arena_printf(a, "OAuth client %lld", (long long)number);
    } else if (str_eq(kind, "session")) {
        ret->label = arena_printf(a, "The sessions of user %lld", (long long)ret->user);
    } else {
        ret->label = "Requests without a credential";
    }
}

static int find_about(const struct anomaly_db *db, const struct anomaly_facts *f, struct about *ret,
                      struct err *err)
{
    const int64_t id = f->ref;
    const struct db_val v = db_i64s(&id, 1);
    struct db_rows *r;
    *ret = (struct about){ .subject = "all", .label = "All requests" };
    if (f->dim == DIM_ALL)
        return 0;
    int rc = db_exec(db->tx, db->a, f->dim == DIM_ROUTE ? &sql_route_names : &sql_consumer_names,
                     &v, 1, &r, err);
    if (rc || !db_nrows(r))
        return rc;
    if (f->dim == DIM_CONSUMER) {
        about_consumer(db->a, r, ret);
        return 0;
    }
    ret->subject = "route";
    ret->program = db_str(r, 0, 1);
    ret->method = db_str(r, 0, 2);
    ret->route = db_str(r, 0, 3);
    ret->label = arena_printf(db->a, "%s %s", ret->method, ret->route);
    return 0;
}

/* "14", "2.5", "0.3" */
static const char *figure(struct arena *a, double v)
{
    return arena_printf(a, fabs(v) >= 10 || v == floor(v) ? "%.0f" : "%.1f", v);
}

static const char *explain(struct arena *a, const struct about *s, const struct anomaly_facts *f)
{
    char hour[16] = "";
    const char *seen = figure(a, f->observed), *usual = figure(a, f->usual);
    if (f->slot >= 0)
        detect_hour_name(f->slot, hour);
    switch (f->signal) {
    case SIGNAL_RATE_HIGH:
        return arena_printf(a, "%s: %s × its usual %s rate (%s requests in 5 minutes, usually %s).",
                            s->label, figure(a, f->observed / fmax(f->usual, 1)), hour, seen,
                            usual);
    case SIGNAL_RATE_LOW:
        return arena_printf(
            a, "%s: %s %% of its usual %s rate (%s requests in 5 minutes, usually %s).", s->label,
            figure(a, 100 * f->observed / fmax(f->usual, 1)), hour, seen, usual);
    case SIGNAL_ERRORS:
        return arena_printf(
            a, "%s: %s %% of requests fail, usually %s %% at %s (of %.0f in 5 minutes).", s->label,
            figure(a, f->observed / 10), figure(a, f->usual / 10), hour, f->n);
    case SIGNAL_LATENCY:
        return arena_printf(a, "%s: 95 %% are answered within %s ms, usually within %s ms at %s.",
                            s->label, seen, usual, hour);
    case SIGNAL_KEY_SHARING:
        return arena_printf(a, "%s was used from %s networks within an hour, usually from %s.",
                            s->label, seen, usual);
    case SIGNAL_NEW_COUNTRY:
        return arena_printf(
            a, "%s was used from a country for the first time: %s (%s requests in 5 minutes).",
            s->label, f->what, seen);
    case SIGNAL_NEW_AGENT:
        return arena_printf(a,
                            "%s was used by another kind of client for the first time: %s (%s "
                            "requests in 5 minutes).",
                            s->label, f->what, seen);
    case SIGNALS_MAX_:
        break;
    }
    return s->label;
}

static int64_t percent(const struct anomaly_facts *f)
{
    return f->usual > 0 ? (int64_t)(100 * f->observed / f->usual + 0.5) : 0;
}

int anomaly_event(const struct anomaly_db *db, const char *type, int64_t id, struct err *err)
{
    const struct db_val v = db_i64(id);
    enum { USER = 5 };
    struct rowplan plan;
    struct db_rows *r;
    struct buf b;
    int rc = db_exec(db->tx, db->a, &sql_anomaly_row, &v, 1, &r, err);
    if (rc || !db_nrows(r))
        return rc;
    rowplan_init(&plan, db->a, &entity_anomaly, VC_ADMIN, ~UINT64_C(0));
    buf_init(&b, db->a, 1024, 64 * 1024);
    rowjson_put(&b, &plan, r, 0, ~UINT64_C(0), NULL, 0);
    const char *owner = db_is_null(r, 0, USER)
                            ? "null"
                            : arena_printf(db->a, "%lld", (long long)db_get_i64(r, 0, USER));
    const struct outbox_event e = { .type = type,
                                    .key = arena_printf(db->a, "anomaly:%lld", (long long)id),
                                    .payload = arena_printf(
                                        db->a, "{\"data\":%s,\"changed\":[],\"owner_id\":%s}",
                                        b.data, owner) };
    rc = outbox_put(db->tx, db->a, &e, NULL, err);
    return rc ? rc : anomaly_mail(db, type, id, b.data, err);
}

int anomaly_open(const struct anomaly_db *db, const struct anomaly_facts *f, int64_t *ret_id,
                 struct err *err)
{
    struct about s;
    char hour[16];
    struct db_rows *r;
    bool muted = f->muted_until > clock_us() / 1000000;
    int rc = find_about(db, f, &s, err);
    if (rc)
        return rc;
    const struct db_val v[] = {
        db_text(signal_defs[f->signal].name),
        db_text(s.subject),
        db_i64(f->dim),
        db_i64(f->ref),
        db_i64(s.key),
        db_i64(s.client),
        db_i64(s.user),
        db_text(s.program),
        db_text(s.method),
        db_text(s.route),
        db_text(explain(db->a, &s, f)),
        db_i64((int64_t)(f->observed + 0.5)),
        db_i64((int64_t)(f->usual + 0.5)),
        db_text(signal_defs[f->signal].unit),
        db_i64(percent(f)),
        db_text(f->slot >= 0 ? detect_hour_name(f->slot, hour) : NULL),
        db_i64(f->at),
        db_i64(muted ? f->muted_until : 0),
    };
    rc = db_exec(db->tx, db->a, &sql_anomaly_make, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    *ret_id = db_get_i64(r, 0, 0);
    metric_add(metric_cell(M_anomalies_found, &signal_defs[f->signal].name, 1), 1);
    return muted ? 0 : anomaly_event(db, "anomaly.detected", *ret_id, err);
}

int anomaly_go_on(const struct anomaly_db *db, int64_t id, const struct anomaly_facts *f,
                  struct err *err)
{
    struct about s;
    struct db_rows *r;
    int rc = find_about(db, f, &s, err);
    if (rc)
        return rc;
    const struct db_val v[] = { db_i64(id), db_i64((int64_t)(f->observed + 0.5)),
                                db_i64(percent(f)), db_text(explain(db->a, &s, f)) };
    return db_exec(db->tx, db->a, &sql_anomaly_higher, v, ARRAY_LEN(v), &r, err);
}

/* Of each row, that it is over; what was muted ends as quietly. */
static int tell_ended(const struct anomaly_db *db, const struct db_rows *r, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < db_nrows(r) && !rc; i++)
        if (!db_get_bool(r, i, 1))
            rc = anomaly_event(db, "anomaly.resolved", db_get_i64(r, i, 0), err);
    return rc;
}

int anomaly_end(const struct anomaly_db *db, int64_t id, int64_t at, struct err *err)
{
    const struct db_val v[] = { db_i64(id), db_i64(at) };
    struct db_rows *r;
    int rc = db_exec(db->tx, db->a, &sql_anomaly_end, v, ARRAY_LEN(v), &r, err);
    return rc ? rc : tell_ended(db, r, err);
}

int anomaly_end_news(const struct anomaly_db *db, int64_t at, struct err *err)
{
    const struct db_val v = db_i64(at);
    struct db_rows *r;
    int rc = db_exec(db->tx, db->a, &sql_anomaly_end_news, &v, 1, &r, err);
    return rc ? rc : tell_ended(db, r, err);
}
