#include "services/analytics/window.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/svc.h"
#include "common/kit/vis.h"
#include "services/analytics/analytics.h"
#include "services/analytics/record.h"

#include <assert.h>

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "analytics/sql.h"

enum { window_default_s = 86400 };

/* --- time -------------------------------------------------------------------------------------
 */

bool window_duration(const char *text, int64_t *ret_s)
{
    static const struct {
        char unit;
        int64_t s;
    } units[] = {
        { 'm', 60    },
        { 'h', 3600  },
        { 'd', 86400 }
    };
    size_t n = strlen(text);
    char digits[12];
    int64_t v;
    if (n < 2 || n > sizeof digits)
        return false;
    memcpy(digits, text, n - 1);
    digits[n - 1] = '\0';
    if (!str_to_i64(digits, 1, window_max_s, &v))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (units[i].unit == text[n - 1] && v <= window_max_s / units[i].s) {
            *ret_s = v * units[i].s;
            return true;
        }
    }
    return false;
}

static void piece(struct window *w, enum level level, int64_t since, int64_t until)
{
    if (since >= until)
        return;
    size_t i = w->pieces.n++;
    assert(i < window_pieces_max);
    w->pieces.level[i] = level;
    w->pieces.since[i] = since;
    w->pieces.until[i] = until;
}

static int64_t floor_to(int64_t v, int64_t unit)
{
    return v - v % unit;
}

static int64_t ceil_to(int64_t v, int64_t unit)
{
    return floor_to(v + unit - 1, unit);
}

/* Minutes to the next hour, hours to the next day, days, and down again; the finest is what the
 * length allows. */
void window_cut(struct window *w)
{
    int64_t len = w->until - w->since;
    enum level finest = len <= window_minutes_max_s ? LEVEL_MINUTE
                        : len <= window_hours_max_s ? LEVEL_HOUR
                                                    : LEVEL_DAY;
    while (finest < LEVEL_DAY && w->since < w->oldest[finest])
        finest++;
    w->since = floor_to(w->since, level_s[finest]);
    w->until = ceil_to(w->until, level_s[finest]);
    w->pieces.n = 0;
    int64_t begin[LEVELS_MAX_ + 1], end[LEVELS_MAX_ + 1];
    begin[0] = w->since;
    end[0] = w->until;
    for (int l = 1; l < LEVELS_MAX_; l++) {
        begin[l] = ceil_to(begin[l - 1], level_s[l]);
        end[l] = floor_to(end[l - 1], level_s[l]);
        if (begin[l] > end[l]) /* no whole bucket: the finer level has it all */
            begin[l] = end[l] = end[l - 1];
    }
    for (int l = 0; l + 1 < LEVELS_MAX_; l++) {
        piece(w, (enum level)l, begin[l], begin[l + 1]);
        piece(w, (enum level)l, end[l + 1], end[l]);
    }
    piece(w, LEVEL_DAY, begin[LEVEL_DAY], end[LEVEL_DAY]);
}

static int time_of(const struct req *req, const char *name, int64_t *ret_s, struct err *err)
{
    const char *text = req_arg(req, name);
    int64_t us;
    if (!text)
        return 0;
    if (!rfc3339_parse(text, &us) || us < 0)
        return err_at(err, E_invalid_parameter, name,
                      "%s is a time as in RFC 3339, 2026-02-19T08:00:00Z.", name);
    *ret_s = us / 1000000;
    return 0;
}

int window_time(struct req *req, struct window *ret, struct err *err)
{
    const char *text = req_arg(req, "window");
    int64_t len = window_default_s, since = -1, until = req->now_us / 1000000 + 1;
    if (text && !window_duration(text, &len))
        return err_at(err, E_invalid_parameter, "window",
                      "window is a length of time: 15m, 24h, 7d.");
    const struct analytics_conf *conf = analytics_conf(req->svc);
    ret->oldest[LEVEL_MINUTE] = until - (conf->minute_days - 1) * 86400;
    ret->oldest[LEVEL_HOUR] = until - (conf->hour_days - 1) * 86400;
    int rc = time_of(req, "until", &until, err);
    if (!rc)
        rc = time_of(req, "since", &since, err);
    if (rc)
        return rc;
    if (text && since >= 0)
        return err_at(err, E_invalid_parameter, "window", "Give window or since, not both.");
    ret->until = until;
    ret->since = since >= 0 ? since : until > len ? until - len : 0;
    if (ret->since >= ret->until)
        return err_at(err, E_invalid_parameter, "since", "since is before until.");
    if (ret->until - ret->since > window_max_s)
        return err_at(err, E_invalid_parameter, "since", "A window is ten years at most.");
    window_cut(ret);
    return 0;
}

struct window window_before(const struct window *w)
{
    struct window b = *w;
    b.since = w->since - (w->until - w->since);
    if (b.since < 0)
        b.since = 0;
    b.until = w->since;
    window_cut(&b);
    return b;
}

/* --- whose, and what ---------------------------------------------------------------------------
 */

static struct db_val number_of(const struct req *req, const char *name)
{
    const char *text = req_arg(req, name); /* its form was checked by the route */
    int64_t v;
    return text && str_to_i64(text, 1, (INT64_C(1) << 53) - 1, &v) ? db_i64(v) : db_null();
}

static void take_ids(struct arena *a, const struct db_rows *r, int64_t **ret, size_t *ret_n)
{
    *ret_n = r ? db_nrows(r) : 0;
    *ret = arena_alloc(a, (*ret_n + 1) * sizeof **ret);
    for (size_t i = 0; i < *ret_n; i++)
        (*ret)[i] = db_get_i64(r, i, 0);
    if (!*ret_n) { /* -1: there is none such; without rows asked for: all together */
        (*ret)[0] = r ? -1 : 0;
        *ret_n = 1;
    }
}

static int whose(struct req *req, struct window *w, struct err *err)
{
    bool admin = vis_is_admin(&req->who);
    const char *kind = req_arg(req, "consumer");
    const struct db_val v[] = { db_bool(admin),         db_i64(req->who.user_id),
                                number_of(req, "key"),  number_of(req, "client"),
                                number_of(req, "user"), db_text(kind) };
    struct db_rows *r = NULL;
    size_t known = 0;
    while (kind && consumer_kinds[known] && !str_eq(consumer_kinds[known], kind))
        known++;
    if (kind && !consumer_kinds[known])
        return err_at(err, E_invalid_parameter, "consumer",
                      "consumer is anonymous, key, client or session.");
    w->any_consumer =
        admin && !kind && v[2].type == DBV_NULL && v[3].type == DBV_NULL && v[4].type == DBV_NULL;
    int rc = w->any_consumer ? 0
                             : db_query(req->svc->db, req->arena, &sql_scope_consumers, v,
                                        ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (r && db_nrows(r) > window_consumers_max)
        return err_at(err, E_invalid_parameter, "consumer",
                      "These are more than %d credentials; name one.", window_consumers_max);
    take_ids(req->arena, r, &w->consumers, &w->nconsumers);
    return 0;
}

static int what(struct req *req, struct window *w, struct err *err)
{
    const struct db_val v[] = { db_text(req_arg(req, "program")), db_text(req_arg(req, "method")),
                                db_text(req_arg(req, "route")) };
    struct db_rows *r = NULL;
    w->any_route = v[0].type == DBV_NULL && v[1].type == DBV_NULL && v[2].type == DBV_NULL;
    int rc = w->any_route
                 ? 0
                 : db_query(req->svc->db, req->arena, &sql_scope_routes, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        take_ids(req->arena, r, &w->routes, &w->nroutes);
    return rc;
}

int window_read(struct req *req, struct window *ret, struct err *err)
{
    *ret = (struct window){ 0 };
    int rc = window_time(req, ret, err);
    if (!rc)
        rc = whose(req, ret, err);
    if (!rc)
        rc = what(req, ret, err);
    ret->dim = ret->any_consumer ? (ret->any_route ? DIM_ALL : DIM_ROUTE)
                                 : (ret->any_route ? DIM_CONSUMER : DIM_BOTH);
    return rc;
}

/* --- sums --------------------------------------------------------------------------------------
 */

void totals_init(struct totals *t)
{
    memset(t, 0, offsetof(struct totals, sketch));
    sketch_init(&t->sketch);
}

static int add_row(struct totals *t, const struct db_rows *r, size_t i, struct err *err)
{
    enum { GROUP, CLASS, FIRST_SUM, MAX_US = FIRST_SUM + SUMS_MAX_, SKETCH };
    size_t n;
    const char *hex = db_cell(r, i, SKETCH, &n);
    int64_t class = db_get_i64(r, i, CLASS), max = db_get_i64(r, i, MAX_US);
    for (size_t k = 0; k < SUMS_MAX_; k++)
        t->sum[k] += db_get_i64(r, i, FIRST_SUM + k);
    if (class >= 0 && class < (int64_t)ARRAY_LEN(t->class))
        t->class[class] += db_get_i64(r, i, FIRST_SUM);
    if (max > t->max_us)
        t->max_us = max;
    return sketch_read_hex(&t->sketch, hex, n)
               ? 0
               : err_set(err, E_internal, "A sketch cannot be read.");
}

int window_totals(struct req *req, const struct window_read *in, struct err *err)
{
    const struct window *w = in->w;
    const struct db_val v[] = { db_i64s(w->pieces.level, w->pieces.n),
                                db_i64s(w->pieces.since, w->pieces.n),
                                db_i64s(w->pieces.until, w->pieces.n),
                                db_i64(w->dim),
                                db_i64s(w->consumers, w->nconsumers),
                                db_i64s(w->routes, w->nroutes),
                                db_i64(w->since),
                                db_i64(w->until),
                                db_bool(w->any_consumer),
                                db_bool(w->any_route),
                                db_i64(in->by == GROUP_NONE ? GROUP_BUCKET : (int64_t)in->by) };
    struct totals *t = arena_raw(req->arena, sizeof *t);
    struct db_rows *r;
    int64_t group = 0;
    bool any = in->by == GROUP_NONE;
    int rc = db_query(req->svc->db, req->arena, &sql_window_cells, v, ARRAY_LEN(v), &r, err);
    totals_init(t);
    for (size_t i = 0; i < (rc ? 0 : db_nrows(r)) && !rc; i++) {
        int64_t g = in->by == GROUP_NONE ? 0 : db_get_i64(r, i, 0);
        if (in->by == GROUP_BUCKET)
            g -= (g - w->since) % in->step;
        if (any && g != group) {
            in->fn(in->ctx, group, t);
            totals_init(t);
        }
        group = g;
        any = true;
        rc = add_row(t, r, i, err);
    }
    if (!rc && any)
        in->fn(in->ctx, group, t);
    return rc;
}

void totals_json(struct buf *b, const struct totals *t)
{
    int64_t n = t->sum[SUM_N], errors = t->class[4] + t->class[5];
    const struct {
        const char *name;
        int64_t v;
    } fields[] = {
        { "requests", n },
        { "client_errors", t->class[4] },
        { "server_errors", t->class[5] },
        { "limited", t->sum[SUM_LIMITED] },
        { "error_ppm", n ? (int64_t)((double)errors * 1e6 / (double)n) : 0 },
        { "bytes_in", t->sum[SUM_BYTES_IN] },
        { "bytes_out", t->sum[SUM_BYTES_OUT] },
        { "mean_us", n ? t->sum[SUM_TOTAL_US] / n : 0 },
        { "queue_us", n ? t->sum[SUM_QUEUE_US] / n : 0 },
        { "db_us", n ? t->sum[SUM_DB_US] / n : 0 },
        { "p50_us", (int64_t)(sketch_quantile(&t->sketch, 0.50) + 0.5) },
        { "p95_us", (int64_t)(sketch_quantile(&t->sketch, 0.95) + 0.5) },
        { "p99_us", (int64_t)(sketch_quantile(&t->sketch, 0.99) + 0.5) },
        { "max_us", t->max_us },
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        buf_printf(b, "%s\"%s\":%lld", i ? "," : "", fields[i].name, (long long)fields[i].v);
}
