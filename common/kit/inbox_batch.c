#include "common/kit/inbox_internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/metrics.h"
#include "common/kit/trace.h"

enum { again_ms = 50 };

bool inbox_event(struct inbox_thread *t, struct arena *a, const struct bus_msg *in, struct msg *out,
                 const char **ret_why)
{
    const char *id = bus_header(in, "ce_id"), *type = bus_header(in, "ce_type");
    *out = (struct msg){ .svc = t->inbox->conf.svc,
                         .arena = a,
                         .topic = in->topic,
                         .key = in->key,
                         .event_id = id,
                         .time = bus_header(in, "ce_time"),
                         .traceparent = bus_header(in, "traceparent"),
                         .request_id = bus_header(in, "x-request-id"),
                         .actor = bus_header(in, "ce_actor"),
                         .payload = in->payload,
                         .len = in->len,
                         .partition = in->partition,
                         .offset = in->offset };
    if (!id || !*id || strlen(id) > 128 || !str_utf8_ok(id, strlen(id)))
        *ret_why = "ce_id is missing or not readable";
    else if (!type || !str_starts(type, CE_TYPE_PREFIX) || strlen(type) > 128)
        *ret_why = "ce_type is missing or not ours";
    else if (in->payload && !str_utf8_ok(in->payload, in->len))
        *ret_why = "the payload is not UTF-8";
    else if (in->key && !str_utf8_ok(in->key, strlen(in->key)))
        *ret_why = "the key is not UTF-8";
    else {
        out->type = type + strlen(CE_TYPE_PREFIX);
        if (!out->key)
            out->key = id; /* nothing to keep in order with */
        return true;
    }
    return false;
}

struct batch {
    struct inbox_thread *t;
    struct arena *a;
    struct msg **m;
    size_t n;
    size_t fresh; /* not recorded before */
    size_t parked;
    bool park_all; /* the second try of a message that wants to wait */
};

/* Names after OpenTelemetry's semantic conventions for messaging. */
static void trace(const struct inbox_thread *t, struct msg *const *m, size_t n, int64_t begin_us,
                  int rc)
{
    struct traces *traces = t->inbox->conf.traces;
    for (size_t i = 0; traces && i < n; i++) {
        if (!trace_wants(traces, m[i]->traceparent))
            continue;
        const struct span_attr attrs[] = {
            { .key = "messaging.system",              .text = "kafka"        },
            { .key = "messaging.operation.type",      .text = "process"      },
            { .key = "messaging.destination.name",    .text = m[i]->topic    },
            { .key = "messaging.consumer.group.name", .text = t->row->name   },
            { .key = "messaging.batch.message_count", .number = (int64_t)n   },
            { .key = "cms365.event",                  .text = m[i]->type     },
            { .key = "messaging.message.id",          .text = m[i]->event_id },
        };
        trace_put(traces, &(struct span){
                              .traceparent = m[i]->traceparent,
                              .kind = SPAN_CONSUMER,
                              .name = arena_printf(m[i]->arena, "process %s", m[i]->topic),
                              .error = rc ? err_name((enum err_code) - rc) : NULL,
                              .begin_us = begin_us,
                              .end_us = clock_us(),
                              .attrs = attrs,
                              .nattrs = ARRAY_LEN(attrs),
                          });
    }
}

int inbox_call(const struct inbox_thread *t, struct msg **m, size_t n, struct db_tx *tx,
               struct err *err)
{
    int rc = 0;
    int64_t begin_us = clock_us();
    if (t->row->fn_batch) {
        rc = t->row->fn_batch(t->inbox->conf.svc, m, n, tx, err);
        trace(t, m, n, begin_us, rc);
        return rc;
    }
    for (size_t i = 0; i < n && !rc; i++) {
        struct log_context ctx = { .request_id = "" };
        if (m[i]->request_id)
            snprintf(ctx.request_id, sizeof(ctx.request_id), "%s", m[i]->request_id);
        if (m[i]->traceparent && strlen(m[i]->traceparent) >= 35)
            snprintf(ctx.trace_id, sizeof(ctx.trace_id), "%.32s", m[i]->traceparent + 3);
        log_context_set(&ctx);
        begin_us = clock_us();
        rc = t->row->fn(m[i], tx, err);
        log_context_set(NULL);
        trace(t, &m[i], 1, begin_us, rc);
    }
    return rc;
}

static bool parked_before(struct msg *const *m, const struct inbox_known *known, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (known[k].parked && str_eq(m[k]->key, m[i]->key))
            return true;
    return known[i].parked;
}

/* Those that may have an effect, in their order. */
static int wanted(struct db_tx *tx, const struct batch *b, struct msg **ret, size_t *ret_n,
                  struct err *err)
{
    const struct consumer *row = b->t->row;
    bool *want = arena_alloc(b->a, b->n * sizeof(*want));
    int rc = row->wants ? row->wants(b->t->inbox->conf.svc, b->m, b->n, tx, want, err) : 0;
    *ret_n = 0;
    for (size_t i = 0; i < b->n && !rc; i++)
        if (!row->wants || want[i])
            ret[(*ret_n)++] = b->m[i];
    return rc;
}

static int effect_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct batch *b = ctx;
    const char *name = b->t->row->name;
    struct inbox_known *known = arena_alloc(b->a, b->n * sizeof(*known));
    struct msg **m = arena_alloc(b->a, b->n * sizeof(struct msg *)), **now;
    size_t n, nnow = 0;
    now = arena_alloc(b->a, b->n * sizeof(struct msg *));
    b->fresh = b->parked = 0;
    int rc = wanted(tx, b, m, &n, err);
    if (!rc && n)
        rc = inbox_record(tx, b->a, name, m, n, known, err);
    for (size_t i = 0; i < n && !rc; i++) {
        if (!known[i].fresh)
            continue;
        b->fresh++;
        if (b->park_all || parked_before(m, known, i)) {
            rc = inbox_park(tx, b->a, name, m[i], b->park_all ? inbox_retry_first_ms : 0, err);
            b->parked++;
        } else {
            now[nnow++] = m[i];
        }
    }
    return rc || !nnow ? rc : inbox_call(b->t, now, nnow, tx, err);
}

static int bulk_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct batch *b = ctx;
    b->fresh = b->n;
    return b->t->row->fn_batch(b->t->inbox->conf.svc, b->m, b->n, tx, err);
}

/* Only the record of the message: it was dead-lettered. */
static int record_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct batch *b = ctx;
    struct inbox_known known;
    return inbox_record(tx, b->a, b->t->row->name, b->m, 1, &known, err);
}

static int run(struct batch *b, struct err *err)
{
    struct inbox_thread *t = b->t;
    bool effect = t->row->mode == INBOX_EFFECT;
    int rc = db_tx(t->inbox->conf.db, b->a, effect ? effect_tx : bulk_tx, b, err);
    if (rc && t->row->failed)
        t->row->failed(t->inbox->conf.svc);
    if (rc)
        return rc;
    metric_add(t->done, (int64_t)(b->fresh - b->parked));
    if (b->parked)
        t->next_retry_us = 0;
    if (t->row->committed && b->fresh)
        t->row->committed(t->inbox->conf.svc, b->fresh);
    return 0;
}

/* What may be the fault of the moment is tried again before the message is given up. */
static bool worth_trying(int rc)
{
    return rc == -E_internal || rc == -E_conflict || rc == -E_upstream;
}

static int single(struct inbox_thread *t, struct arena *a, struct msg *m, const struct bus_msg *raw,
                  struct err *err)
{
    struct batch b = { .t = t, .a = a, .m = &m, .n = 1 };
    int rc = 0;
    for (int tries = 1;; tries++) {
        rc = run(&b, err);
        if (rc == 0 || inbox_waits(rc))
            return rc;
        if (!worth_trying(rc) || tries == inbox_tries_max || halt_pause(&t->inbox->halt, again_ms))
            break;
    }
    metric_add(t->failed, 1);
    if (rc == -E_retry_later && t->row->mode == INBOX_EFFECT) {
        b.park_all = true;
        return run(&b, err);
    }
    char *reason = arena_printf(a, "%s %s", err->msg, err->detail);
    if (halt_is_set(&t->inbox->halt))
        return err_set(err, E_unavailable, "The program is stopping.");
    rc = inbox_dead(t, raw, rc, reason, err);
    if (!rc && t->row->mode == INBOX_EFFECT)
        rc = db_tx(t->inbox->conf.db, a, record_tx, &b, err);
    return rc;
}

/* One of its messages failed: all over again, one transaction each, to find out which. */
static int replay(struct inbox_thread *t, struct arena *a, struct batch *b,
                  struct bus_msg *const *from, size_t *ret_at, struct err *err)
{
    for (size_t i = 0; i < b->n; i++) {
        int rc = single(t, a, b->m[i], from[i], err);
        if (rc) {
            *ret_at = i;
            return rc;
        }
    }
    return 0;
}

int inbox_batch(struct inbox_thread *t, struct arena *a, struct bus_msg *raw, size_t n,
                size_t *ret_done, struct err *err)
{
    struct msg **m = arena_alloc(a, n * sizeof(*m)), *all = arena_alloc(a, n * sizeof(*all));
    struct bus_msg **from = arena_alloc(a, n * sizeof(*from));
    size_t good = 0, at = 0;
    *ret_done = 0;
    for (size_t i = 0; i < n; i++) {
        const char *why = "";
        if (inbox_event(t, a, &raw[i], &all[good], &why)) {
            m[good] = &all[good];
            from[good] = &raw[i];
            good += !t->row->types || str_starts(all[good].type, t->row->types);
            continue;
        }
        int rc = inbox_dead(t, &raw[i], -E_invalid, why, err);
        if (rc)
            return rc;
    }
    struct batch b = { .t = t, .a = a, .m = m, .n = good };
    int rc = good ? run(&b, err) : 0;
    if (rc && !inbox_waits(rc))
        rc = replay(t, a, &b, from, &at, err);
    *ret_done = rc ? (size_t)(from[at] - raw) : n;
    return rc;
}
