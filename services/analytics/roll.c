/*
 * New cells are added to the sums of their minute, hour and day, by all, by route, by consumer and
 * by both.  One replica at a time (a lock that lives as long as the transaction), so sketches are
 * read, merged here and written back without anybody in between; a crash leaves all as it was.
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/metrics.h"
#include "services/analytics/analytics.h"
#include "services/analytics/cells.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "analytics/sql.h"

enum { cells_a_round_max = 10000, sums_at_once_max = 5000 };

struct roll {
    struct svc *svc;
    struct arena *a;
    size_t taken;
};
enum { F_BUCKET, F_ROUTE, F_CONSUMER, F_CLASS, F_SUMS, F_MAX_US = F_SUMS + SUMS_MAX_, F_SKETCH };

static int spread(struct cells *c, const struct db_rows *r, size_t i, struct err *err)
{
    size_t n;
    const char *hex = db_cell(r, i, F_SKETCH, &n);
    for (short level = 0; level < LEVELS_MAX_; level++) {
        for (short dim = 0; dim < DIMS_MAX_; dim++) {
            int64_t s = db_get_i64(r, i, F_BUCKET);
            struct cell_key key = { .bucket = s - s % level_s[level],
                                    .level = level,
                                    .dim = dim,
                                    .class = (short)db_get_i64(r, i, F_CLASS) };
            if (dim == DIM_ROUTE || dim == DIM_BOTH)
                key.route = (int32_t)db_get_i64(r, i, F_ROUTE);
            if (dim == DIM_CONSUMER || dim == DIM_BOTH)
                key.consumer = (int32_t)db_get_i64(r, i, F_CONSUMER);
            struct cell *cell = cells_at(c, &key);
            for (size_t k = 0; k < SUMS_MAX_; k++)
                cell->sum[k] += db_get_i64(r, i, F_SUMS + k);
            int64_t max = db_get_i64(r, i, F_MAX_US);
            if (max > cell->max_us)
                cell->max_us = max;
            if (!cells_bins_hex(c, cell, hex, n))
                return err_set(err, E_internal, "A sketch cannot be read.");
        }
    }
    return 0;
}

/* Columns that both statements begin with: level, bucket, dim, route, consumer, class. */
enum {
    S_LEVEL,
    S_BUCKET,
    S_DIM,
    S_ROUTE,
    S_CONSUMER,
    S_CLASS,
    S_KEY_,
    S_SUMS = S_KEY_,
    S_MAX_US = S_SUMS + SUMS_MAX_,
    S_NUMBERS_
};

static void columns(struct arena *a, const struct cell *v, size_t n, struct db_val *out)
{
    int64_t *number[S_NUMBERS_];
    for (size_t k = 0; k < S_NUMBERS_; k++) {
        number[k] = arena_raw(a, n * sizeof(int64_t));
        out[k] = db_i64s(number[k], n);
    }
    for (size_t i = 0; i < n; i++) {
        number[S_LEVEL][i] = v[i].key.level;
        number[S_BUCKET][i] = v[i].key.bucket;
        number[S_DIM][i] = v[i].key.dim;
        number[S_ROUTE][i] = v[i].key.route;
        number[S_CONSUMER][i] = v[i].key.consumer;
        number[S_CLASS][i] = v[i].key.class;
        for (size_t k = 0; k < SUMS_MAX_; k++)
            number[S_SUMS + k][i] = v[i].sum[k];
        number[S_MAX_US][i] = v[i].max_us;
    }
}

static int add_known(struct db_tx *tx, struct roll *ro, struct cells *c, struct err *err)
{
    struct db_val v[S_NUMBERS_];
    struct db_rows *r;
    int rc = 0;
    for (size_t at = 0; at < c->n && !rc; at += sums_at_once_max) {
        size_t n = c->n - at < sums_at_once_max ? c->n - at : sums_at_once_max;
        columns(ro->a, c->v + at, n, v);
        rc = db_exec(tx, ro->a, &sql_roll_known, v, S_KEY_, &r, err);
        for (size_t i = 0; !rc && i < db_nrows(r); i++) {
            size_t len;
            const char *hex = db_cell(r, i, 1, &len);
            if (!cells_bins_hex(c, &c->v[at + (size_t)db_get_i64(r, i, 0) - 1], hex, len))
                rc = err_set(err, E_internal, "A sketch cannot be read.");
        }
    }
    return rc;
}

static int store(struct db_tx *tx, struct roll *ro, struct cells *c, struct err *err)
{
    struct db_val v[S_NUMBERS_ + 1];
    struct db_rows *r;
    int rc = 0;
    for (size_t at = 0; at < c->n && !rc; at += sums_at_once_max) {
        size_t n = c->n - at < sums_at_once_max ? c->n - at : sums_at_once_max;
        const char **sketch = arena_raw(ro->a, n * sizeof *sketch);
        for (size_t i = 0; i < n; i++) {
            const struct cell *cell = &c->v[at + i];
            char *hex = arena_raw(ro->a, 2 * cell->sketch_n + 1);
            hex_encode(cell->sketch, cell->sketch_n, hex);
            sketch[i] = hex;
        }
        columns(ro->a, c->v + at, n, v);
        v[S_NUMBERS_] = db_texts(sketch, n);
        rc = db_exec(tx, ro->a, &sql_roll_store, v, ARRAY_LEN(v), &r, err);
    }
    return rc;
}

static int roll_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct roll *ro = ctx;
    struct db_rows *r;
    struct cells c;
    const struct db_val most = db_i64(cells_a_round_max);
    ro->taken = 0;
    int rc = db_exec(tx, ro->a, &sql_roll_lock, NULL, 0, &r, err);
    if (rc || !db_get_bool(r, 0, 0))
        return rc;
    rc = db_exec(tx, ro->a, &sql_roll_take, &most, 1, &r, err);
    if (rc || !db_nrows(r))
        return rc;
    ro->taken = db_nrows(r);
    cells_init(&c, ro->a);
    for (size_t i = 0; i < ro->taken && !rc; i++)
        rc = spread(&c, r, i, err);
    if (!rc)
        rc = add_known(tx, ro, &c, err);
    if (rc)
        return rc;
    cells_finish(&c);
    return store(tx, ro, &c, err);
}

int roll_once(struct svc *svc, struct arena *a, size_t *ret_n, struct err *err)
{
    struct roll ro = { .svc = svc, .a = a };
    int rc = db_tx(svc->db, a, roll_tx, &ro, err);
    *ret_n = rc ? 0 : ro.taken;
    return rc;
}

void roll_job(struct svc *svc)
{
    struct metric_cell *rolled = metric_cell(M_analytics_rolled, NULL, 0);
    while (!svc_stopping(svc)) {
        struct arena *a = arena_new();
        struct err err;
        size_t n;
        int rc = roll_once(svc, a, &n, &err);
        if (rc && rc != -E_unavailable)
            log_error("roll.failed", kv_s("error", err.msg), kv_s("detail", err.detail));
        arena_free(a);
        metric_add(rolled, (int64_t)n);
        if (n < cells_a_round_max)
            svc_pause(svc, (unsigned)analytics_conf(svc)->roll_ms);
    }
}
