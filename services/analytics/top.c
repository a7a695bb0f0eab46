/*
 * The routes and the consumers of a window, by whatever they are many, slow or failing in.  Sums of
 * all are added up without their sketches; sketches are read for those that are shown, or, sorted
 * by a quantile, for the candidates with the most requests.
 */
#include "services/analytics/answers.h"

#include "common/base/str.h"
#include "common/kit/svc.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "analytics/sql.h"

enum { rows_default = 20, rows_max = 100, candidates_max = 200 };

struct row {
    int64_t id;
    struct totals *t;
    double by; /* what it is sorted by */
};
struct top {
    struct req *req;
    struct window w;
    enum window_group group;
    const struct order *order;
    struct row *rows;
    size_t n, limit, total;
};

static double by_requests(const struct totals *t)
{
    return (double)t->sum[SUM_N];
}

static double errors_of(const struct totals *t)
{
    return (double)(t->class[4] + t->class[5]);
}

static double by_error_rate(const struct totals *t)
{
    return t->sum[SUM_N] ? errors_of(t) / (double)t->sum[SUM_N] : 0;
}

static double by_bytes(const struct totals *t)
{
    return (double)(t->sum[SUM_BYTES_IN] + t->sum[SUM_BYTES_OUT]);
}

static double by_mean(const struct totals *t)
{
    return t->sum[SUM_N] ? (double)t->sum[SUM_TOTAL_US] / (double)t->sum[SUM_N] : 0;
}

static double by_time(const struct totals *t)
{
    return (double)t->sum[SUM_TOTAL_US];
}

static double by_limited(const struct totals *t)
{
    return (double)t->sum[SUM_LIMITED];
}

static double by_p50(const struct totals *t)
{
    return sketch_quantile(&t->sketch, 0.50);
}

static double by_p95(const struct totals *t)
{
    return sketch_quantile(&t->sketch, 0.95);
}

static double by_p99(const struct totals *t)
{
    return sketch_quantile(&t->sketch, 0.99);
}

static const struct order {
    const char *name;
    double (*of)(const struct totals *t);
    bool sketched;
} orders[] = {
    { "requests",   by_requests,   false },
    { "errors",     errors_of,     false },
    { "error_rate", by_error_rate, false },
    { "mean",       by_mean,       false },
    { "time",       by_time,       false },
    { "bytes",      by_bytes,      false },
    { "limited",    by_limited,    false },
    { "p50",        by_p50,        true  },
    { "p95",        by_p95,        true  },
    { "p99",        by_p99,        true  },
};

static int read_order(struct top *top, struct err *err)
{
    const char *sort = req_arg(top->req, "sort"), *limit = req_arg(top->req, "limit");
    int64_t n = rows_default;
    if (limit && !str_to_i64(limit, 1, rows_max, &n))
        return err_at(err, E_invalid_parameter, "limit", "limit is a number from 1 to %d.",
                      rows_max);
    top->limit = (size_t)n;
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        if (!sort || str_eq(sort, orders[i].name)) {
            top->order = &orders[i];
            return 0;
        }
    }
    return err_at(
        err, E_invalid_parameter, "sort",
        "sort is requests, errors, error_rate, mean, time, bytes, limited, p50, p95 or p99.");
}

static int descending(const void *pa, const void *pb)
{
    const struct row *a = pa, *b = pb;
    if (a->by != b->by)
        return a->by < b->by ? 1 : -1;
    return (a->id > b->id) - (a->id < b->id);
}

static int read_sums(struct top *top, struct err *err)
{
    enum { ID, FIRST_SUM, MAX_US = FIRST_SUM + SUMS_MAX_, CLASS4, CLASS5 };
    const struct window *w = &top->w;
    bool routes = top->group == GROUP_ROUTE;
    bool narrow = routes ? w->any_consumer : w->any_route;
    struct db_val v[] = {
        db_i64s(w->pieces.level, w->pieces.n),
        db_i64s(w->pieces.since, w->pieces.n),
        db_i64s(w->pieces.until, w->pieces.n),
        db_i64(narrow ? (routes ? DIM_ROUTE : DIM_CONSUMER) : DIM_BOTH),
        routes ? db_i64s(w->consumers, w->nconsumers) : db_i64s(w->routes, w->nroutes),
        db_i64(w->since),
        db_i64(w->until),
        db_bool(narrow),
        db_bool(routes ? w->any_route : w->any_consumer),
        routes ? db_i64s(w->routes, w->nroutes) : db_i64s(w->consumers, w->nconsumers),
    };
    struct db_rows *r;
    int rc =
        db_query(top->req->svc->db, top->req->arena,
                 routes ? &sql_window_by_route : &sql_window_by_consumer, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    struct totals *t = arena_alloc(top->req->arena, sizeof *t);
    top->total = top->n = db_nrows(r);
    top->rows = arena_raw(top->req->arena, (top->n + 1) * sizeof *top->rows);
    for (size_t i = 0; i < top->n; i++) { /* only what the order needs of it */
        memset(t, 0, offsetof(struct totals, sketch));
        for (size_t k = 0; k < SUMS_MAX_; k++)
            t->sum[k] = db_get_i64(r, i, FIRST_SUM + k);
        t->class[4] = db_get_i64(r, i, CLASS4);
        t->class[5] = db_get_i64(r, i, CLASS5);
        top->rows[i] =
            (struct row){ .id = db_get_i64(r, i, ID),
                          .by = top->order->sketched ? by_requests(t) : top->order->of(t) };
    }
    qsort(top->rows, top->n, sizeof *top->rows, descending);
    size_t most = top->order->sketched ? candidates_max : top->limit;
    if (top->n > most)
        top->n = most;
    return 0;
}

static void take_group(void *ctx, int64_t group, const struct totals *t)
{
    struct top *top = ctx;
    for (size_t i = 0; i < top->n; i++) {
        if (top->rows[i].id != group)
            continue;
        top->rows[i].t = arena_raw(top->req->arena, sizeof *t);
        memcpy(top->rows[i].t, t, sizeof *t);
    }
}

static int read_sketches(struct top *top, struct err *err)
{
    bool routes = top->group == GROUP_ROUTE;
    struct window w = top->w;
    int64_t *ids = arena_raw(top->req->arena, (top->n + 1) * sizeof *ids);
    for (size_t i = 0; i < top->n; i++)
        ids[i] = top->rows[i].id;
    if (routes) {
        w.dim = w.any_consumer ? DIM_ROUTE : DIM_BOTH;
        w.routes = ids;
        w.nroutes = top->n;
        w.any_route = false;
    } else {
        w.dim = w.any_route ? DIM_CONSUMER : DIM_BOTH;
        w.consumers = ids;
        w.nconsumers = top->n;
        w.any_consumer = false;
    }
    int rc = window_totals(
        top->req, &(struct window_read){ .w = &w, .by = top->group, .fn = take_group, .ctx = top },
        err);
    if (rc || !top->order->sketched)
        return rc;
    for (size_t i = 0; i < top->n; i++)
        top->rows[i].by = top->rows[i].t ? top->order->of(top->rows[i].t) : 0;
    qsort(top->rows, top->n, sizeof *top->rows, descending);
    if (top->n > top->limit)
        top->n = top->limit;
    return 0;
}

static void put_ref(struct buf *b, const char *name, bool there, int64_t id)
{
    if (there)
        buf_printf(b, "\"%s\":{\"id\":%lld},", name, (long long)id);
    else
        buf_printf(b, "\"%s\":null,", name);
}

static void put_name(struct buf *b, enum window_group group, const struct db_rows *r, size_t i)
{
    size_t n;
    const char *s;
    if (group == GROUP_ROUTE) {
        static const char *const names[] = { "program", "method", "route" };
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            s = db_cell(r, i, k + 1, &n);
            buf_printf(b, "\"%s\":", names[k]);
            buf_put_json_string(b, s, n);
            buf_putc(b, ',');
        }
        return;
    }
    const char *kind = db_str(r, i, 1);
    buf_printf(b, "\"consumer\":\"%s\",", kind);
    put_ref(b, "key", str_eq(kind, "key"), db_get_i64(r, i, 2));
    put_ref(b, "client", str_eq(kind, "client"), db_get_i64(r, i, 2));
    put_ref(b, "user", db_get_i64(r, i, 3) != 0, db_get_i64(r, i, 3));
}

static int answer(struct top *top, struct res *res, struct err *err)
{
    struct buf *b = &res->body;
    struct db_rows *r;
    int64_t *ids = arena_raw(top->req->arena, (top->n + 1) * sizeof *ids);
    for (size_t i = 0; i < top->n; i++)
        ids[i] = top->rows[i].id;
    const struct db_val v = db_i64s(ids, top->n);
    int rc = db_query(top->req->svc->db, top->req->arena,
                      top->group == GROUP_ROUTE ? &sql_route_names : &sql_consumer_names, &v, 1, &r,
                      err);
    if (rc)
        return rc;
    buf_puts(b, "{\"data\":[");
    bool any = false;
    for (size_t i = 0; i < top->n; i++) {
        size_t k = 0;
        while (k < db_nrows(r) && db_get_i64(r, k, 0) != ids[i])
            k++;
        if (k == db_nrows(r) || !top->rows[i].t)
            continue;
        buf_puts(b, any ? ",{" : "{");
        put_name(b, top->group, r, k);
        totals_json(b, top->rows[i].t);
        buf_putc(b, '}');
        any = true;
    }
    buf_printf(b, "],\"meta\":{\"total\":%zu,\"page\":1,\"per_page\":%zu},\"links\":{\"self\":",
               top->total, top->limit);
    const char *self = req_url(top->req, top->req->path);
    buf_put_json_string(b, self, strlen(self));
    buf_puts(b, ",\"next\":null,\"prev\":null}}");
    return 0;
}

static int list(struct req *req, struct res *res, enum window_group group, struct err *err)
{
    struct top top = { .req = req, .group = group };
    int rc = window_read(req, &top.w, err);
    if (!rc)
        rc = read_order(&top, err);
    if (!rc)
        rc = read_sums(&top, err);
    if (!rc)
        rc = read_sketches(&top, err);
    return rc ? rc : answer(&top, res, err);
}

int list_routes(struct req *req, struct res *res, struct err *err)
{
    return list(req, res, GROUP_ROUTE, err);
}

int list_consumers(struct req *req, struct res *res, struct err *err)
{
    return list(req, res, GROUP_CONSUMER, err);
}
