/* Parked keys: the oldest message of each key, once it is due; those behind it follow in their
 * order. */
#include "common/kit/inbox_internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/kit/metrics.h"

enum { idle_us = 2 * 1000 * 1000, burst = 200 };

struct parked {
    struct inbox_thread *t;
    struct arena *a;
    int64_t id, tries, wait_ms; /* id 0: none is due; wait_ms: to the next one, -1: none at all */
    struct msg m;
    int fn_rc; /* of the callback */
};

static int load(struct parked *p, struct db_tx *tx, struct err *err)
{
    /* SKIP LOCKED and "no older one of the key" together: two replicas never hold two messages of
     * one key, because the older row is visible until the transaction that deletes it has
     * committed. */
    static const struct db_stmt head = {
        .name = "inbox_retry_head",
        .sql = "select id, tries, key, event_id, type, topic, time, traceparent, request_id, "
               "actor, payload,"
               " partition, msg_offset from inbox_retry r where consumer = $1::text and next_at <= "
               "now()"
               " and not exists (select 1 from inbox_retry o where"
               " o.consumer = r.consumer and o.key = r.key and o.id < r.id)"
               " order by next_at limit 1 for update skip locked",
        .flags = DB_WRITE,
    };
    const struct db_val v[] = { db_text(p->t->row->name) };
    struct db_rows *r;
    int rc = db_exec(tx, p->a, &head, v, ARRAY_LEN(v), &r, err);
    p->id = 0;
    if (rc || !db_nrows(r))
        return rc;
    p->id = db_get_i64(r, 0, 0);
    p->tries = db_get_i64(r, 0, 1);
    size_t len = 0;
    p->m = (struct msg){ .svc = p->t->inbox->conf.svc,
                         .arena = p->a,
                         .key = db_str(r, 0, 2),
                         .event_id = db_str(r, 0, 3),
                         .type = db_str(r, 0, 4),
                         .topic = db_str(r, 0, 5),
                         .time = db_str(r, 0, 6),
                         .traceparent = db_str(r, 0, 7),
                         .request_id = db_str(r, 0, 8),
                         .actor = db_str(r, 0, 9),
                         .partition = (int32_t)db_get_i64(r, 0, 11),
                         .offset = db_get_i64(r, 0, 12) };
    if (!db_is_null(r, 0, 10)) {
        p->m.payload = db_cell(r, 0, 10, &len);
        p->m.len = len;
    }
    return 0;
}

static int remove_row(struct parked *p, struct db_tx *tx, struct err *err)
{
    static const struct db_stmt del = {
        .name = "inbox_retry_done",
        .sql = "delete from inbox_retry where id = $1::bigint",
        .flags = DB_WRITE,
    };
    const struct db_val v = db_i64(p->id);
    struct db_rows *r;
    return db_exec(tx, p->a, &del, &v, 1, &r, err);
}

static int try_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct parked *p = ctx;
    p->fn_rc = 0;
    int rc = load(p, tx, err);
    if (rc || !p->id)
        return rc;
    struct msg *m = &p->m;
    p->fn_rc = inbox_call(p->t, &m, 1, tx, err);
    return p->fn_rc ? p->fn_rc : remove_row(p, tx, err);
}

static int remove_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    return remove_row(ctx, tx, err);
}

static int postpone(struct parked *p, struct err *err)
{
    static const struct db_stmt later = {
        .name = "inbox_retry_later",
        .sql = "update inbox_retry set tries = tries + 1, next_at = now() + $2::bigint * interval"
               " '1 millisecond' where id = $1::bigint",
        .flags = DB_WRITE,
    };
    int64_t ms = inbox_retry_first_ms;
    for (int64_t i = 0; i < p->tries && ms < inbox_retry_most_ms; i++)
        ms *= 2;
    const struct db_val v[] = { db_i64(p->id),
                                db_i64(ms > inbox_retry_most_ms ? inbox_retry_most_ms : ms) };
    struct db_rows *r;
    return db_query(p->t->inbox->conf.db, p->a, &later, v, ARRAY_LEN(v), &r, err);
}

static int bury(struct parked *p, int code, struct err *err)
{
    struct bus_msg m = { .topic = p->m.topic,
                         .key = p->m.key,
                         .payload = p->m.payload,
                         .len = p->m.len,
                         .partition = p->m.partition,
                         .offset = p->m.offset };
    const struct bus_header h[] = {
        { "ce_id", p->m.event_id },
        { "ce_type", arena_printf(p->a, CE_TYPE_PREFIX "%s", p->m.type) },
        { "ce_time", p->m.time },
        { "ce_actor", p->m.actor },
        { "traceparent", p->m.traceparent },
        { "x-request-id", p->m.request_id },
    };
    for (size_t i = 0; i < ARRAY_LEN(h); i++)
        if (h[i].value)
            m.headers[m.nheaders++] = h[i];
    char *reason = arena_printf(p->a, "%s %s", err->msg, err->detail);
    int rc = inbox_dead(p->t, &m, code, reason, err);
    return rc ? rc : db_tx(p->t->inbox->conf.db, p->a, remove_tx, p, err);
}

static int next_due(struct parked *p, struct err *err)
{
    static const struct db_stmt due = {
        .name = "inbox_retry_due",
        .sql = "select ceil(greatest(0, extract(epoch from next_at - now()) * 1000))::bigint"
               " from inbox_retry where consumer = $1::text order by next_at limit 1",
    };
    const struct db_val v = db_text(p->t->row->name);
    struct db_rows *r;
    int rc = db_query(p->t->inbox->conf.db, p->a, &due, &v, 1, &r, err);
    if (!rc)
        p->wait_ms = db_nrows(r) ? db_get_i64(r, 0, 0) : -1;
    return rc;
}

int inbox_retry_due(struct inbox_thread *t, struct arena *a, struct err *err)
{
    struct parked p = { .t = t, .a = a };
    int rc = 0;
    for (int i = 0; i < burst && !halt_is_set(&t->inbox->halt); i++) {
        rc = db_tx(t->inbox->conf.db, a, try_tx, &p, err);
        if (rc && t->row->failed)
            t->row->failed(t->inbox->conf.svc);
        if (rc && (!p.fn_rc || inbox_waits(rc)))
            return rc;
        if (!rc && !p.id)
            break;
        if (!rc) {
            metric_add(t->done, 1);
            if (t->row->committed)
                t->row->committed(t->inbox->conf.svc, 1);
            continue;
        }
        bool again = rc == -E_retry_later || p.tries < inbox_tries_max;
        rc = again && p.tries < inbox_retries_max ? postpone(&p, err) : bury(&p, rc, err);
        if (rc)
            return rc;
    }
    rc = next_due(&p, err);
    int64_t wait = p.wait_ms < 0 || p.wait_ms > idle_us / 1000 ? idle_us : p.wait_ms * 1000;
    if (wait < inbox_retry_poll_us / 4)
        wait = inbox_retry_poll_us / 4;
    if (!rc)
        t->next_retry_us = clock_mono_us() + wait;
    return rc;
}
