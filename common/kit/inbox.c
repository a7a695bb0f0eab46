#define _GNU_SOURCE /* pthread_setname_np */
#include "common/kit/inbox_internal.h"

#include "common/base/background.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/kit/metrics.h"
#include "common/kit/svc.h"

#include <assert.h>

enum {
    batch_default = 500,
    consume_ms = 100,
    gather_look_ms = 50,
    days_every_us = 600 * 1000 * 1000,
    days_again_us = 5 * 1000 * 1000,
    lag_every_us = 1000 * 1000,
};

/* The database (or the bus) is away: nothing is lost by waiting, everything by giving up. */
static void back_off(struct inbox_thread *t, const struct err *err)
{
    if (t->pause_ms == 0) {
        log_warn("inbox.waiting", kv_s("consumer", t->row->name), kv_s("why", err->msg),
                 kv_s("detail", err->detail));
        t->pause_ms = inbox_pause_first_ms;
    }
    halt_pause(&t->inbox->halt, t->pause_ms);
    t->pause_ms = t->pause_ms * 2 > inbox_pause_most_ms ? inbox_pause_most_ms : t->pause_ms * 2;
}

static void upkeep(struct inbox_thread *t, struct arena *a)
{
    struct err err = { 0 };
    int64_t now = clock_mono_us();
    if (t->row->mode != INBOX_EFFECT)
        return;
    if (now >= t->next_days_us) {
        bool ok = inbox_days(t, a, &err) == 0;
        t->next_days_us = now + (ok ? days_every_us : days_again_us);
    }
    if (now >= t->next_retry_us && inbox_retry_due(t, a, &err))
        t->next_retry_us = clock_mono_us() + inbox_retry_poll_us;
}

/* What is left of a batch is read again, from the first message of each partition. */
static void read_again(struct inbox_thread *t, const struct bus_msg *m, size_t n)
{
    struct err ignored;
    for (size_t i = 0; i < n; i++) {
        bool first = true;
        for (size_t k = 0; k < i && first; k++)
            first = m[k].partition != m[i].partition || strcmp(m[k].topic, m[i].topic) != 0;
        while (first && bus_rewind(t->bus, m[i].topic, m[i].partition, m[i].offset, &ignored) &&
               !halt_pause(&t->inbox->halt, 100))
            ;
    }
}

/* One batch; how many messages there were. */
static size_t step(struct inbox_thread *t, struct arena *a)
{
    struct bus_msg *m;
    size_t n = 0, done = 0, max = t->row->batch_max ? t->row->batch_max : batch_default;
    struct err err = { 0 }, ignored;
    int rc = bus_consume(t->bus, a, max, consume_ms, &m, &n, &err);
    if (rc) {
        back_off(t, &err);
        return 0;
    }
    if (!n)
        return 0;
    rc = inbox_batch(t, a, m, n, &done, &err);
    if (bus_store_all(t->bus, m, done, &ignored))
        log_debug("inbox.store", kv_s("detail", ignored.detail));
    if (!rc) {
        t->pause_ms = 0;
        return n;
    }
    /* Go back rather than wait with the batch in hand: polling on keeps the place in the group. */
    read_again(t, m + done, n - done);
    back_off(t, &err);
    return 0;
}

/* Until there are enough for a batch, or batch_ms have passed.  How many wait is known as of the
 * last answer to a fetch, and none is on its way while the queue is full: looked at again and
 * again. */
static void gather(struct inbox_thread *t, size_t max)
{
    for (unsigned waited = 0; waited < t->row->batch_ms && bus_lag(t->bus) < (int64_t)max;
         waited += gather_look_ms)
        if (halt_pause(&t->inbox->halt, gather_look_ms))
            return;
}

static void *thread_main(void *arg)
{
    struct inbox_thread *t = arg;
    struct arena *a = arena_new();
    int64_t next_lag_us = 0;
    unsigned max = t->row->batch_max ? t->row->batch_max : batch_default;
    const struct inbox_conf *conf = &t->inbox->conf;
    if (t->row->background)
        background_thread();
    while (conf->ready && !halt_is_set(&t->inbox->halt) && !conf->ready(conf->svc))
        halt_pause(&t->inbox->halt, inbox_ready_poll_ms);
    while (!halt_is_set(&t->inbox->halt)) {
        upkeep(t, a);
        size_t n = step(t, a);
        arena_reset(a);
        if (clock_mono_us() >= next_lag_us) {
            metric_set(t->lag, bus_lag(t->bus));
            next_lag_us = clock_mono_us() + lag_every_us;
        }
        if (t->row->mode == INBOX_BULK && n && n < max)
            gather(t, max);
    }
    arena_free(a);
    return NULL;
}

static int start_thread(struct inbox_thread *t, struct err *err)
{
    const char *const single[] = { t->row->topic, NULL };
    char name[16];
    static const char *const outcomes[] = { "done", "retried", "dead" };
    struct metric_cell **cells[] = { &t->done, &t->failed, &t->dead_letters };
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
        *cells[i] =
            metric_cell(M_inbox_messages, (const char *const[]){ t->row->name, outcomes[i] }, 2);
    t->lag = metric_cell(M_inbox_lag, &t->row->name, 1);
    int rc = bus_consumer_new(t->inbox->conf.brokers, t->row->name,
                              t->row->topics ? t->row->topics : single, &t->bus, err);
    if (rc)
        return rc;
    if (pthread_create(&t->thread, NULL, thread_main, t))
        return err_set(err, E_internal, "A consumer's thread cannot be started.");
    snprintf(name, sizeof(name), "%.15s", t->row->name);
    pthread_setname_np(t->thread, name);
    t->started = true;
    return 0;
}

int inbox_open(const struct inbox_conf *conf, struct inbox **ret, struct err *err)
{
    struct inbox *in = calloc(1, sizeof(*in));
    assert(in);
    in->conf = *conf;
    halt_init(&in->halt);
    while (conf->rows[in->n].name)
        in->n++;
    in->threads = calloc(in->n + 1, sizeof(*in->threads));
    assert(in->threads);
    int rc = 0;
    for (size_t i = 0; i < in->n && !rc; i++) {
        assert((conf->rows[i].mode == INBOX_EFFECT && conf->rows[i].fn) || conf->rows[i].fn_batch);
        in->threads[i] = (struct inbox_thread){ .inbox = in, .row = &conf->rows[i] };
        rc = start_thread(&in->threads[i], err);
    }
    if (rc) {
        inbox_stop(in);
        return rc;
    }
    *ret = in;
    return 0;
}

int inbox_start(struct svc *svc, const struct consumer *rows, struct inbox **ret, struct err *err)
{
    struct inbox_conf conf = { .svc = svc,
                               .traces = svc->traces,
                               .db = svc->db,
                               .brokers = svc->conf->kafka_brokers,
                               .rows = rows,
                               .ready = svc_schema_ok };
    return inbox_open(&conf, ret, err);
}

void inbox_stop(struct inbox *in)
{
    if (!in)
        return;
    halt_set(&in->halt);
    for (size_t i = 0; i < in->n; i++) {
        struct inbox_thread *t = &in->threads[i];
        if (t->started)
            pthread_join(t->thread, NULL);
        bus_consumer_free(t->bus);
        bus_producer_free(t->dead);
    }
    halt_done(&in->halt);
    free(in->threads);
    free(in);
}
