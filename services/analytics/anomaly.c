/*
 * Windows of five minutes, one after the other, against what is usual (detect.c).  A transaction a
 * window holds all of it: what was read, what was learned, what is told.  One replica at a time; a
 * crash leaves the window to the next.
 */
#include "services/analytics/anomaly.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/metrics.h"
#include "common/kit/outbox.h"
#include "services/analytics/window.h"

#include <math.h>

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "analytics/sql.h"

enum {
    settle_s = 60,            /* what comes later than this is not looked at */
    behind_max_s = 2 * 86400, /* older windows are left out: nobody wants to hear of them now */
    look_every_ms = 10000,
    news_min = 20, /* requests in a window with what is new */
};

/* A subject of the window: all, a route or a consumer, and its measures. */
struct subject {
    short dim;
    int32_t ref;
    struct sample sample[MEASURES_MAX_];
    bool measured[MEASURES_MAX_];
    struct baseline base[MEASURES_MAX_][2]; /* hour of the week, of the day */
    struct watching watch[SIGNALS_WATCHED_];
    int64_t anomaly[SIGNALS_WATCHED_], muted_until[SIGNALS_WATCHED_];
    bool stored[SIGNALS_WATCHED_]; /* watched before */
};
struct looking {
    struct svc *svc;
    struct arena *a;
    struct db_tx *tx;
    int64_t since, until;
    int slot[2];
    double min_requests;
    struct subject *v;
    size_t n, max;
    bool done;
};

static struct subject *subject_at(struct looking *l, int dim, int64_t ref)
{
    for (size_t i = l->n; i-- > 0;) /* rows come in order: mostly it is the last */
        if (l->v[i].dim == dim && l->v[i].ref == ref)
            return &l->v[i];
    if (l->n == l->max) {
        size_t max = l->max ? 2 * l->max : 64;
        struct subject *more = arena_alloc(l->a, max * sizeof *more);
        if (l->n)
            memcpy(more, l->v, l->n * sizeof *more);
        l->v = more;
        l->max = max;
    }
    l->v[l->n] = (struct subject){ .dim = (short)dim, .ref = (int32_t)ref };
    return &l->v[l->n++];
}

/* --- reading ----------------------------------------------------------------------------------
 */

static void set_measures(struct subject *s, const struct totals *t)
{
    double n = (double)t->sum[SUM_N];
    s->sample[MEASURE_RATE] = (struct sample){ n, n };
    s->sample[MEASURE_ERRORS] =
        (struct sample){ n > 0 ? 1000 * (double)(t->class[4] + t->class[5]) / n : 0, n };
    s->sample[MEASURE_LATENCY] = (struct sample){ sketch_quantile(&t->sketch, 0.95) / 1000, n };
    s->measured[MEASURE_RATE] = s->dim != DIM_ROUTE;
    s->measured[MEASURE_ERRORS] = s->measured[MEASURE_LATENCY] = true;
}

static int read_cells(struct looking *l, struct err *err)
{
    enum { DIM, REF, CLASS, N, SKETCH };
    const struct db_val v[] = { db_i64(l->since), db_i64(l->until) };
    struct totals *t = arena_raw(l->a, sizeof *t);
    struct subject *s = NULL;
    struct db_rows *r;
    int rc = db_exec(l->tx, l->a, &sql_detector_cells, v, ARRAY_LEN(v), &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++) {
        size_t len;
        const char *hex = db_cell(r, i, SKETCH, &len);
        int64_t dim = db_get_i64(r, i, DIM), ref = db_get_i64(r, i, REF), n = db_get_i64(r, i, N);
        if (!s || s->dim != dim || s->ref != ref) {
            if (s)
                set_measures(s, t);
            totals_init(t);
            s = subject_at(l, (int)dim, ref);
        }
        t->sum[SUM_N] += n;
        int64_t class = db_get_i64(r, i, CLASS);
        if (class >= 0 && class < (int64_t)ARRAY_LEN(t->class))
            t->class[class] += n;
        if (!sketch_read_hex(&t->sketch, hex, len))
            rc = err_set(err, E_internal, "A sketch cannot be read.");
    }
    if (!rc && s)
        set_measures(s, t);
    return rc;
}

static int read_networks(struct looking *l, struct err *err)
{
    const struct db_val v = db_i64(l->since);
    struct db_rows *r;
    int rc = db_exec(l->tx, l->a, &sql_detector_networks, &v, 1, &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++) {
        struct subject *s = subject_at(l, DIM_CONSUMER, db_get_i64(r, i, 0));
        double n = (double)db_get_i64(r, i, 1);
        s->sample[MEASURE_NETWORKS] = (struct sample){ n, n };
        s->measured[MEASURE_NETWORKS] = true;
    }
    return rc;
}

static double real(const struct db_rows *r, size_t i, size_t col)
{
    return strtod(db_str(r, i, col), NULL);
}

/* Who usually sends requests at this hour and sent none has a rate too: 0. */
static int read_baselines(struct looking *l, struct err *err)
{
    enum { DIM, REF, SIGNAL, SLOT, MEAN, DEV, WEIGHT };
    const struct db_val v[] = { db_i64(l->slot[0]), db_i64(l->slot[1]) };
    struct db_rows *r;
    int rc = db_exec(l->tx, l->a, &sql_detector_baselines, v, ARRAY_LEN(v), &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++) {
        size_t m = 0;
        while (m < MEASURES_MAX_ && !str_eq(measure_names[m], db_str(r, i, SIGNAL)))
            m++;
        if (m == MEASURES_MAX_)
            continue;
        struct subject *s = subject_at(l, (int)db_get_i64(r, i, DIM), db_get_i64(r, i, REF));
        s->base[m][db_get_i64(r, i, SLOT) != l->slot[0]] =
            (struct baseline){ real(r, i, MEAN), real(r, i, DEV), (int)db_get_i64(r, i, WEIGHT) };
        if (m == MEASURE_RATE)
            s->measured[MEASURE_RATE] = true;
    }
    return rc;
}

static int read_watched(struct looking *l, struct err *err)
{
    enum { DIM, REF, SIGNAL, HOT, CALM, ANOMALY, FACTOR, MUTED };
    struct db_rows *r;
    int rc = db_exec(l->tx, l->a, &sql_detector_watched, NULL, 0, &r, err);
    for (size_t i = 0; !rc && i < db_nrows(r); i++) {
        size_t k = 0;
        while (k < SIGNALS_WATCHED_ && !str_eq(signal_defs[k].name, db_str(r, i, SIGNAL)))
            k++;
        if (k == SIGNALS_WATCHED_)
            continue;
        struct subject *s = subject_at(l, (int)db_get_i64(r, i, DIM), db_get_i64(r, i, REF));
        s->watch[k] = (struct watching){ .hot = (int)db_get_i64(r, i, HOT),
                                         .calm = (int)db_get_i64(r, i, CALM),
                                         .open = !db_is_null(r, i, ANOMALY),
                                         .factor = real(r, i, FACTOR) };
        s->anomaly[k] = db_get_i64(r, i, ANOMALY);
        s->muted_until[k] = db_get_i64(r, i, MUTED);
        s->stored[k] = true;
    }
    return rc;
}

/* --- deciding ---------------------------------------------------------------------------------
 */

static struct anomaly_facts facts_of(const struct looking *l, const struct subject *s,
                                     enum signal_kind k, const struct finding *f)
{
    const struct sample *in = &s->sample[signal_defs[k].measure];
    return (struct anomaly_facts){ .signal = k,
                                   .dim = s->dim,
                                   .ref = s->ref,
                                   .observed = in->value,
                                   .usual = f->usual,
                                   .n = in->n,
                                   .slot = l->slot[!f->by_week],
                                   .at = l->since,
                                   .muted_until = s->muted_until[k] };
}

static int act(struct looking *l, struct subject *s, enum signal_kind k, enum verdict what,
               const struct finding *f, struct err *err)
{
    const struct anomaly_facts facts = facts_of(l, s, k, f);
    const struct anomaly_db at = { .a = l->a, .tx = l->tx, .conf = analytics_conf(l->svc) };
    int rc = 0;
    switch (what) {
    case VERDICT_OPENS:
        rc = anomaly_open(&at, &facts, &s->anomaly[k], err);
        break;
    case VERDICT_GOES_ON:
        rc = anomaly_go_on(&at, s->anomaly[k], &facts, err);
        break;
    case VERDICT_ENDS:
        rc = anomaly_end(&at, s->anomaly[k], l->since, err);
        s->anomaly[k] = 0;
        break;
    case VERDICT_NONE:
        break;
    }
    return rc;
}

static int decide(struct looking *l, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < l->n && !rc; i++) {
        struct subject *s = &l->v[i];
        for (enum signal_kind k = 0; k < SIGNALS_WATCHED_ && !rc; k++) {
            enum measure m = signal_defs[k].measure;
            struct finding f;
            if (!s->measured[m] && !s->watch[k].open)
                continue;
            enum verdict what =
                detect(k, l->min_requests, &s->sample[m], s->base[m], &s->watch[k], &f);
            rc = act(l, s, k, what, &f, err);
        }
        for (size_t m = 0; m < MEASURES_MAX_; m++) {
            /* Of few requests a share or a quantile says nothing that is worth learning. */
            if (!s->measured[m] || (m != MEASURE_RATE && m != MEASURE_NETWORKS &&
                                    s->sample[m].n < l->min_requests / 5))
                continue;
            baseline_learn(&s->base[m][0], s->sample[m].value);
            baseline_learn(&s->base[m][1], s->sample[m].value);
        }
    }
    return rc;
}

/* --- writing ----------------------------------------------------------------------------------
 */

static int store_baselines(struct looking *l, struct err *err)
{
    size_t max = l->n * MEASURES_MAX_ * 2 + 1, n = 0;
    int64_t *dim = arena_raw(l->a, max * 8), *ref = arena_raw(l->a, max * 8),
            *slot = arena_raw(l->a, max * 8), *weight = arena_raw(l->a, max * 8);
    const char **name = arena_raw(l->a, max * sizeof *name),
               **mean = arena_raw(l->a, max * sizeof *mean),
               **dev = arena_raw(l->a, max * sizeof *dev);
    for (size_t i = 0; i < l->n; i++) {
        for (size_t m = 0; m < MEASURES_MAX_; m++) {
            for (size_t k = 0; k < 2; k++) {
                const struct baseline *b = &l->v[i].base[m][k];
                if (!l->v[i].measured[m] || !b->weight)
                    continue;
                dim[n] = l->v[i].dim;
                ref[n] = l->v[i].ref;
                name[n] = measure_names[m];
                slot[n] = l->slot[k];
                mean[n] = arena_printf(l->a, "%.9g", b->mean);
                dev[n] = arena_printf(l->a, "%.9g", b->dev);
                weight[n++] = b->weight;
            }
        }
    }
    const struct db_val v[] = { db_i64s(dim, n),   db_i64s(ref, n),   db_texts(name, n),
                                db_i64s(slot, n),  db_texts(mean, n), db_texts(dev, n),
                                db_i64s(weight, n) };
    struct db_rows *r;
    return n ? db_exec(l->tx, l->a, &sql_baselines_store, v, ARRAY_LEN(v), &r, err) : 0;
}

static int store_watched(struct looking *l, struct err *err)
{
    size_t max = l->n * SIGNALS_WATCHED_ + 1, n = 0;
    int64_t *dim = arena_raw(l->a, max * 8), *ref = arena_raw(l->a, max * 8),
            *hot = arena_raw(l->a, max * 8), *calm = arena_raw(l->a, max * 8),
            *anomaly = arena_raw(l->a, max * 8);
    const char **name = arena_raw(l->a, max * sizeof *name);
    for (size_t i = 0; i < l->n; i++) {
        for (size_t k = 0; k < SIGNALS_WATCHED_; k++) {
            const struct watching *w = &l->v[i].watch[k];
            if (!l->v[i].stored[k] && !w->hot && !w->open)
                continue;
            dim[n] = l->v[i].dim;
            ref[n] = l->v[i].ref;
            name[n] = signal_defs[k].name;
            hot[n] = w->hot < 100 ? w->hot : 100;
            calm[n] = w->calm < 100 ? w->calm : 100;
            anomaly[n++] = l->v[i].anomaly[k];
        }
    }
    const struct db_val v[] = { db_i64s(dim, n), db_i64s(ref, n),  db_texts(name, n),
                                db_i64s(hot, n), db_i64s(calm, n), db_i64s(anomaly, n) };
    struct db_rows *r;
    return n ? db_exec(l->tx, l->a, &sql_watched_store, v, ARRAY_LEN(v), &r, err) : 0;
}

/* --- what is new ------------------------------------------------------------------------------
 */

static int look_at_news(struct looking *l, struct err *err)
{
    enum { CONSUMER, KIND, VALUE, N, KNOWN };
    const struct db_val at = db_i64(l->since);
    const struct anomaly_db db = { .a = l->a, .tx = l->tx, .conf = analytics_conf(l->svc) };
    struct db_rows *r;
    int rc = db_exec(l->tx, l->a, &sql_detector_unseen, &at, 1, &r, err);
    size_t rows = rc ? 0 : db_nrows(r), n = 0;
    int64_t *consumer = arena_raw(l->a, (rows + 1) * 8);
    const char **kind = arena_raw(l->a, (rows + 1) * sizeof *kind),
               **value = arena_raw(l->a, (rows + 1) * sizeof *value);
    for (size_t i = 0; i < rows && !rc; i++) {
        bool country = str_eq(db_str(r, i, KIND), "country");
        bool known = db_get_bool(r, i, KNOWN);
        if (known && db_get_i64(r, i, N) < news_min)
            continue; /* a few are no news, and are not yet usual either */
        if (known) {
            const struct anomaly_facts facts = { .signal = country ? SIGNAL_NEW_COUNTRY
                                                                   : SIGNAL_NEW_AGENT,
                                                 .dim = DIM_CONSUMER,
                                                 .ref = (int32_t)db_get_i64(r, i, CONSUMER),
                                                 .observed = (double)db_get_i64(r, i, N),
                                                 .what = db_str(r, i, VALUE),
                                                 .slot = -1,
                                                 .at = l->since };
            int64_t ignored;
            rc = anomaly_open(&db, &facts, &ignored, err);
        }
        consumer[n] = db_get_i64(r, i, CONSUMER);
        kind[n] = db_str(r, i, KIND);
        value[n++] = db_str(r, i, VALUE);
    }
    const struct db_val v[] = { db_i64s(consumer, n), db_texts(kind, n), db_texts(value, n), at };
    if (!rc && n)
        rc = db_exec(l->tx, l->a, &sql_seen_store, v, ARRAY_LEN(v), &r, err);
    return rc ? rc : anomaly_end_news(&db, l->until, err);
}

/* --- a window ---------------------------------------------------------------------------------
 */

/* Which is next; `done` stays false if there is none, or another replica is at it. */
static int next_window(struct looking *l, bool *ret, struct err *err)
{
    int64_t latest = (clock_us() / 1000000 - settle_s) / detect_window_s * detect_window_s;
    struct db_rows *r;
    int rc = db_exec(l->tx, l->a, &sql_detector_lock, NULL, 0, &r, err);
    *ret = false;
    if (rc || !db_nrows(r))
        return rc;
    l->since = db_is_null(r, 0, 0) ? latest - detect_window_s : db_get_i64(r, 0, 0);
    if (l->since < latest - behind_max_s)
        l->since = latest - behind_max_s;
    l->until = l->since + detect_window_s;
    l->slot[0] = detect_hour(l->since);
    l->slot[1] = detect_hours + l->slot[0] % 24;
    *ret = l->until <= latest;
    return 0;
}

static int look_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct looking *l = ctx;
    bool there;
    l->tx = tx;
    l->n = 0;
    l->done = false;
    int rc = next_window(l, &there, err);
    if (rc || !there)
        return rc;
    static int (*const steps[])(struct looking *, struct err *) = {
        read_cells, read_networks,   read_baselines, read_watched,
        decide,     store_baselines, store_watched,  look_at_news,
    };
    for (size_t i = 0; i < ARRAY_LEN(steps) && !rc; i++)
        rc = steps[i](l, err);
    const struct db_val until = db_i64(l->until);
    struct db_rows *r;
    if (!rc)
        rc = db_exec(tx, l->a, &sql_detector_done, &until, 1, &r, err);
    l->done = !rc;
    return rc;
}

int look_once(struct svc *svc, struct arena *a, bool *ret_done, struct err *err)
{
    struct looking l = { .svc = svc,
                         .a = a,
                         .min_requests = (double)analytics_conf(svc)->anomaly_min };
    int rc = db_tx(svc->db, a, look_tx, &l, err);
    *ret_done = !rc && l.done;
    if (*ret_done && svc->outbox)
        outbox_wake(svc->outbox);
    return rc;
}

void anomaly_job(struct svc *svc)
{
    while (!svc_stopping(svc)) {
        struct arena *a = arena_new();
        struct err err;
        bool done;
        int rc = look_once(svc, a, &done, &err);
        if (rc && rc != -E_unavailable)
            log_error("anomalies.failed", kv_s("error", err.msg), kv_s("detail", err.detail));
        arena_free(a);
        if (!done)
            svc_pause(svc, look_every_ms);
    }
}
