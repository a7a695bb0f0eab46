/*
 * Several events in one request: what is due at an endpoint becomes the row of a batch, a delivery
 * with a webhook-id of its own and the bodies of its members joined, and is sent and tried again
 * like any other.  Its members point to it and follow what becomes of it.
 *
 * At an ordered endpoint there is one batch at a time, in the events' order: the next is made when
 * it was taken or given up, or has failed for longer than order_timeout_s.
 */
#include "services/webhooks-out/dispatch.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

enum { batch_bytes_max = 1024 * 1024, rounds_max = 8 };

struct plan { /* of one endpoint, taken under the lock */
    int64_t id, user_id, events, wait_ms, patience_ms;
    size_t room;
    bool usable, ordered;
    const char *open, *close;
    const char **held;
    size_t nheld;
};

static void plan_of(struct dispatch *d, int64_t id, struct plan *p)
{
    *p = (struct plan){ .id = id };
    dispatch_lock(d);
    const struct endpoint *ep = endpoint_find(d, id);
    p->usable = ep && ep->mine && ep->active && endpoint_batches(ep) && !ep->unwritten_failed;
    if (p->usable) {
        const struct sending *how = ep->how;
        size_t busy = ep->in_flight + ep->nqueue, most = (size_t)how->max_in_flight;
        p->user_id = how->user_id;
        p->events = how->batch_events;
        p->wait_ms = how->batch_wait_ms;
        p->ordered = how->ordered;
        p->patience_ms = how->order_timeout_us / 1000;
        p->room = busy < most ? most - busy : 0;
        p->open = how->target->batch_open;
        p->close = how->target->batch_close;
        for (const struct delivery *dl = ep->held; dl; dl = dl->held)
            p->nheld++;
        p->held = arena_alloc(d->arena, (p->nheld + 1) * sizeof(*p->held));
        p->nheld = 0;
        for (const struct delivery *dl = ep->held; dl; dl = dl->held)
            p->held[p->nheld++] = arena_strdup(d->arena, dl->id);
    }
    dispatch_unlock(d);
}

/* The batches that are due to the queue. */
static int take(struct dispatch *d, const struct plan *p, size_t *ret_n, struct err *err)
{
    struct db_rows *rows;
    const struct db_val v[] = { db_i64(p->id), db_texts(p->held, p->nheld),
                                db_i64((int64_t)p->room) };
    int rc = dispatch_run(d, &sql_batches_due, v, ARRAY_LEN(v), &rows, err);
    *ret_n = 0;
    if (rc)
        return rc;
    dispatch_lock(d);
    struct endpoint *ep = endpoint_find(d, p->id);
    for (size_t i = 0; i < db_nrows(rows); i++) {
        if (!ep || !ep->mine || !ep->active || delivery_held(ep, db_str(rows, i, 0)))
            continue;
        dispatch_take(d, ep, rows, i);
        (*ret_n)++;
    }
    if (ep)
        endpoint_pump(d, ep);
    dispatch_unlock(d);
    return 0;
}

/* One more batch, if there is enough for it or the first has waited long enough. */
static int make(struct dispatch *d, const struct plan *p, bool *ret_made, struct err *err)
{
    char id[uuid_len + 1];
    struct db_rows *rows;
    uuid7(id);
    const struct db_val v[] = { db_i64(p->id),           db_i64(p->events), db_i64(p->wait_ms),
                                db_i64(batch_bytes_max), db_text(id),       db_i64(p->user_id),
                                db_text(p->open),        db_text(p->close), db_bool(p->ordered),
                                db_i64(p->patience_ms) };
    int rc = dispatch_run(d, &sql_batch_make, v, ARRAY_LEN(v), &rows, err);
    if (rc)
        return rc;
    *ret_made = db_get_i64(rows, 0, 0) > 0;
    if (*ret_made || db_is_null(rows, 0, 1))
        return 0;
    int64_t due = clock_mono_us() + db_get_i64(rows, 0, 1) * 1000;
    dispatch_lock(d);
    struct endpoint *ep = endpoint_find(d, p->id);
    if (ep && (!ep->due_us || due < ep->due_us))
        ep->due_us = due;
    dispatch_unlock(d);
    return 0;
}

static int one_endpoint(struct dispatch *d, int64_t id, struct err *err)
{
    for (int i = 0; i < rounds_max; i++) {
        struct plan p;
        size_t taken;
        bool made = false;
        plan_of(d, id, &p);
        if (!p.usable || !p.room)
            return 0; /* looked at again when something ends */
        int rc = take(d, &p, &taken, err);
        if (rc)
            return rc;
        if (taken >= p.room)
            continue;
        rc = make(d, &p, &made, err);
        if (rc || (!made && !taken))
            return rc;
    }
    dispatch_lock(d);
    struct endpoint *ep = endpoint_find(d, id);
    if (ep)
        ep->probe = true;
    dispatch_unlock(d);
    return 0;
}

int dispatch_batches(struct dispatch *d, const int64_t *ids, size_t n, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++)
        rc = one_endpoint(d, ids[i], err);
    return rc;
}
