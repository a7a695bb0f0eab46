/* What happened in a window, as numbers and over time. */
#include "services/analytics/answers.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/svc.h"
#include "common/kit/vis.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "analytics/sql.h"

enum { points_max = 2000, points_default = 120 };

void put_time(struct buf *b, int64_t s)
{
    char text[rfc3339_len + 1];
    rfc3339_format(s * 1000000, text);
    buf_printf(b, "\"%s\"", text);
}

void put_window(struct buf *b, const struct window *w)
{
    buf_puts(b, "\"since\":");
    put_time(b, w->since);
    buf_puts(b, ",\"until\":");
    put_time(b, w->until);
}

/* --- overview ---------------------------------------------------------------------------------
 */

static void put_all(void *ctx, int64_t group, const struct totals *t)
{
    (void)group;
    totals_json(ctx, t);
}

static int count_losses(struct req *req, const struct window *w, int64_t *ret, struct err *err)
{
    const struct db_val v[] = { db_i64(w->since), db_i64(w->until) };
    struct db_rows *r;
    *ret = 0;
    if (!vis_is_admin(&req->who))
        return 0;
    int rc = db_query(req->svc->db, req->arena, &sql_window_losses, v, ARRAY_LEN(v), &r, err);
    if (!rc)
        *ret = db_get_i64(r, 0, 0);
    return rc;
}

int get_overview(struct req *req, struct res *res, struct err *err)
{
    struct window w;
    struct buf *b = &res->body;
    struct db_rows *r;
    int64_t lost;
    const struct db_val who[] = { db_bool(vis_is_admin(&req->who)), db_i64(req->who.user_id) };
    int rc = window_read(req, &w, err);
    if (!rc)
        rc = count_losses(req, &w, &lost, err);
    if (!rc)
        rc = db_query(req->svc->db, req->arena, &sql_window_anomalies, who, 2, &r, err);
    if (rc)
        return rc;
    const struct window before = window_before(&w);
    buf_puts(b, "{\"data\":{");
    put_window(b, &w);
    buf_putc(b, ',');
    rc = window_totals(
        req, &(struct window_read){ .w = &w, .by = GROUP_NONE, .fn = put_all, .ctx = b }, err);
    buf_printf(b, ",\"not_recorded\":%lld,\"open_anomalies\":%lld,\"before\":{", (long long)lost,
               (long long)db_get_i64(r, 0, 0));
    if (!rc)
        rc = window_totals(
            req, &(struct window_read){ .w = &before, .by = GROUP_NONE, .fn = put_all, .ctx = b },
            err);
    buf_puts(b, "}}}");
    return rc;
}

/* --- series -----------------------------------------------------------------------------------
 */

static int step_of(const struct req *req, const struct window *w, int64_t *ret, struct err *err)
{
    static const int64_t nice[] = { 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86400, 7 * 86400 };
    const char *text = req_arg(req, "step");
    int64_t len = w->until - w->since;
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(nice) &&
           (len / nice[i] > points_default || w->since < w->oldest[nice[i] < 3600    ? LEVEL_MINUTE
                                                                   : nice[i] < 86400 ? LEVEL_HOUR
                                                                                     : LEVEL_DAY]))
        i++;
    *ret = nice[i];
    if (!text)
        return 0;
    if (!window_duration(text, ret))
        return err_at(err, E_invalid_parameter, "step",
                      "step is a length of time: 1m, 15m, 1h, 1d.");
    enum level finest = *ret % 86400 == 0  ? LEVEL_DAY
                        : *ret % 3600 == 0 ? LEVEL_HOUR
                                           : LEVEL_MINUTE;
    if (w->since < w->oldest[finest])
        return err_at(err, E_invalid_parameter, "step", "Sums of %s are not kept so long; take %s.",
                      finest == LEVEL_MINUTE ? "a minute" : "an hour",
                      finest == LEVEL_MINUTE ? "1h or 1d" : "1d");
    if (len / *ret > points_max)
        return err_at(err, E_invalid_parameter, "step", "That would be more than %d points.",
                      points_max);
    return 0;
}

struct points {
    struct buf *b;
    const struct window *w;
    int64_t step, next;
    bool any;
};

static void put_point(void *ctx, int64_t at, const struct totals *t)
{
    struct points *p = ctx;
    struct totals *none = NULL;
    for (; p->next < at; p->next += p->step) { /* a point for every step, also without requests */
        if (!none) {
            none = arena_raw(p->b->arena, sizeof *none);
            totals_init(none);
        }
        buf_puts(p->b, p->any ? ",{\"at\":" : "{\"at\":");
        put_time(p->b, p->next);
        buf_putc(p->b, ',');
        totals_json(p->b, none);
        buf_putc(p->b, '}');
        p->any = true;
    }
    if (!t)
        return;
    buf_puts(p->b, p->any ? ",{\"at\":" : "{\"at\":");
    put_time(p->b, at);
    buf_putc(p->b, ',');
    totals_json(p->b, t);
    buf_putc(p->b, '}');
    p->any = true;
    p->next = at + p->step;
}

int get_series(struct req *req, struct res *res, struct err *err)
{
    struct window w;
    int64_t step;
    int rc = window_read(req, &w, err);
    if (!rc)
        rc = step_of(req, &w, &step, err);
    if (rc)
        return rc;
    w.since -= w.since % step; /* whole steps, each read off one level */
    w.until += step - 1 - (w.until + step - 1) % step;
    w.pieces.n = 1;
    w.pieces.level[0] = step % 86400 == 0  ? LEVEL_DAY
                        : step % 3600 == 0 ? LEVEL_HOUR
                                           : LEVEL_MINUTE;
    w.pieces.since[0] = w.since;
    w.pieces.until[0] = w.until;
    struct points p = { .b = &res->body, .w = &w, .step = step, .next = w.since };
    buf_puts(p.b, "{\"data\":{");
    put_window(p.b, &w);
    buf_printf(p.b, ",\"step_s\":%lld,\"points\":[", (long long)step);
    rc = window_totals(req,
                       &(struct window_read){
                           .w = &w, .by = GROUP_BUCKET, .step = step, .fn = put_point, .ctx = &p },
                       err);
    put_point(&p, w.until, NULL);
    buf_puts(p.b, "]}}");
    return rc;
}
