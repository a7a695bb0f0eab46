#include "common/kit/inbox_internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/kit/metrics.h"

enum { dead_wait_us = 10 * 1000 * 1000, dead_headers = 6 };

struct wait {
    bool done;
    int result;
};

static void on_done(void *ctx, int result, const char *reason)
{
    struct wait *w = ctx;
    (void)reason;
    w->done = true;
    w->result = result;
}

static void add(struct bus_msg *m, const char *name, const char *value)
{
    m->headers[m->nheaders++] = (struct bus_header){ name, value };
}

int inbox_dead(struct inbox_thread *t, const struct bus_msg *in, int code, const char *reason,
               struct err *err)
{
    struct bus_msg m = *in;
    char topic[160], partition[24], offset[24];
    struct wait w = { .done = false };
    int rc = 0;
    if (!t->dead)
        rc = bus_producer_new(t->inbox->conf.brokers, t->row->name, &t->dead, err);
    if (rc)
        return rc;
    snprintf(topic, sizeof(topic), "%s.dlq", in->topic);
    snprintf(partition, sizeof(partition), "%d", (int)in->partition);
    snprintf(offset, sizeof(offset), "%lld", (long long)in->offset);
    m.topic = topic;
    if (m.nheaders > bus_headers_max - dead_headers)
        m.nheaders = bus_headers_max - dead_headers;
    add(&m, "x-dlq-consumer", t->row->name);
    add(&m, "x-dlq-topic", in->topic);
    add(&m, "x-dlq-partition", partition);
    add(&m, "x-dlq-offset", offset);
    add(&m, "x-dlq-code", err_name((enum err_code) - code));
    add(&m, "x-dlq-reason", reason);
    rc = bus_produce(t->dead, &m, on_done, &w, err);
    int64_t until = clock_mono_us() + dead_wait_us;
    while (!rc && !w.done && clock_mono_us() < until && !halt_is_set(&t->inbox->halt))
        bus_poll(t->dead, 100);
    if (rc || !w.done || w.result) {
        /* Freeing it ends what is under way, so nothing reports to this stack frame later. */
        bus_producer_free(t->dead);
        t->dead = NULL;
        return rc ? rc : err_set(err, E_unavailable, "The dead letter could not be produced.");
    }
    metric_add(t->dead_letters, 1);
    log_warn("inbox.dead", kv_s("consumer", t->row->name), kv_s("topic", in->topic),
             kv_i("partition", in->partition), kv_i("offset", in->offset),
             kv_s("code", err_name((enum err_code) - code)), kv_s("reason", reason));
    return 0;
}
