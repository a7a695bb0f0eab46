/*
 * What would only wait.  A receiver that hangs, or whose circuit is open, and that has enough read
 * ahead, is sent nothing until it answers, so fan-out does not make it a delivery before the
 * others' are sent: all such endpoints share one row an event.  The dispatcher makes deliveries of
 * these rows in the background, soon, but in a twentieth of its time while nobody waits for them.
 * They keep no order, so an endpoint that does is never put off.
 */
#include "services/webhooks-out/dispatch.h"

#include "common/base/clock.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

enum {
    rows_at_once = 1,       /* of one event, so a statement is short */
    soon_us = 300000,       /* after an event that was put off; more come meanwhile */
    otherwise_us = 5000000, /* what a replica left behind that is gone */
    pause_per_cost = 19,    /* so a twentieth of the time, */
    pause_if_wanted = 1,    /* and half of it when somebody who hung answers again */
};

/* Under the lock.  It hangs, and as much waits in memory as it may be sent at a time. */
static bool is_put_off(const struct dispatch *d, const struct endpoint *ep, int64_t now)
{
    return ep && endpoint_takes(d, ep) && endpoint_hangs(ep, now) &&
           ep->nqueue + ep->offered >= (size_t)ep->how->max_in_flight;
}

void dispatch_defer(struct svc *svc, const int64_t *endpoint, size_t n, bool *ret)
{
    struct dispatch *d = svc->state;
    int64_t now = clock_mono_us();
    if (!d)
        return;
    dispatch_lock(d);
    for (size_t i = 0; i < n; i++) {
        struct endpoint *ep = endpoint_find(d, endpoint[i]);
        ret[i] = is_put_off(d, ep, now);
        d->deferring |= ret[i];
        if (ret[i])
            ep->deferred = true;
    }
    dispatch_unlock(d);
}

void deferred_settle(struct dispatch *d, bool committed)
{
    int64_t soon = clock_mono_us() + soon_us;
    if (d->deferring && committed && soon < d->deferred_us)
        d->deferred_us = soon;
    d->deferring = false;
}

/* Under the lock.  Does somebody wait for what was put off?  `none`: there is no more of it. */
static bool is_wanted(struct dispatch *d, bool none, int64_t now)
{
    bool wanted = false;
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (struct endpoint *ep = d->endpoints[i]; ep; ep = ep->next) {
            ep->deferred &= !none;
            wanted |= ep->deferred && ep->nqueue < queue_max / 2 && !endpoint_hangs(ep, now);
        }
    return wanted;
}

int dispatch_expand(struct dispatch *d, struct err *err)
{
    const struct db_val v = db_i64(rows_at_once);
    int64_t began = clock_mono_us();
    struct db_rows *rows;
    dispatch_lock(d);
    bool due = d->deferred_us <= began;
    if (due)
        d->deferred_us = began + otherwise_us; /* what commits meanwhile says so */
    dispatch_unlock(d);
    int rc = due ? dispatch_run(d, &sql_deferred_expand, &v, 1, &rows, err) : 0;
    if (!due || rc)
        return rc;
    bool none = !db_affected(rows);
    int64_t now = clock_mono_us(), cost = now - began;
    dispatch_lock(d);
    cost *= is_wanted(d, none && !d->deferring, now) ? pause_if_wanted : pause_per_cost;
    if (!none && now + cost < d->deferred_us)
        d->deferred_us = now + cost;
    dispatch_unlock(d);
    return rc;
}
