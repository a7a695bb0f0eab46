/*
 * The short way from fan-out to receiver.  What fan-out wrote is handed over before its transaction
 * commits, so that the dispatcher, which looks for due rows at any time, knows which of them are
 * taken; it is sent when the transaction has committed.  Rows that are not taken (the endpoint is
 * another replica's, keeps order, is full or behind) are found in the table, as all are after a
 * crash.
 */
#include "services/webhooks-out/dispatch.h"

bool endpoint_takes(const struct dispatch *d, const struct endpoint *ep)
{
    return ep && ep->mine && ep->active && !d->stopping && !endpoint_ordered(ep) &&
           !endpoint_batches(ep);
}

static void hint(struct dispatch *d, int64_t endpoint)
{
    if (d->nhints && d->nhints <= hints_max && d->hints[d->nhints - 1] == endpoint)
        return;
    if (d->nhints < hints_max)
        d->hints[d->nhints] = endpoint;
    if (d->nhints <= hints_max)
        d->nhints++;
}

void dispatch_offer(struct svc *svc, const struct offer *o, size_t n)
{
    struct dispatch *d = svc->state;
    if (!d)
        return;
    dispatch_lock(d);
    for (size_t i = 0; i < n; i++) {
        struct endpoint *ep = endpoint_find(d, o[i].endpoint_id);
        if (o[i].batched || !endpoint_takes(d, ep) || ep->behind || dispatch_full(d) ||
            ep->nqueue + ep->offered >= queue_max) {
            hint(d, o[i].endpoint_id);
            if (ep)
                ep->behind = true;
            continue;
        }
        struct delivery *dl = delivery_new(d, &o[i]);
        endpoint_hold(ep, dl);
        ep->offered++;
        *d->offers_tail = dl;
        d->offers_tail = &dl->next;
    }
    dispatch_unlock(d);
}

/* Under the lock. */
static bool settle_offers(struct dispatch *d, bool committed)
{
    struct delivery *dl = d->offers, *next;
    bool look = false;
    d->offers = NULL;
    d->offers_tail = &d->offers;
    for (; dl; dl = next) {
        struct endpoint *ep = dl->ep;
        next = dl->next;
        ep->offered--;
        if (committed && endpoint_takes(d, ep)) {
            endpoint_push(ep, dl);
            endpoint_pump(d, ep);
            continue;
        }
        delivery_free(dl);
        ep->probe = ep->behind = look = true; /* it may be there all the same */
    }
    return look;
}

/* Under the lock. */
static bool settle_hints(struct dispatch *d)
{
    bool look = d->nhints > 0;
    d->probe_all |= d->nhints > hints_max;
    for (size_t i = 0; i < d->nhints && i < hints_max; i++) {
        struct endpoint *ep = endpoint_find(d, d->hints[i]);
        if (ep)
            ep->probe = true;
        else if (d->shard[(uint64_t)d->hints[i] % shards_max])
            d->endpoints_changed = true; /* made just now, elsewhere */
    }
    d->nhints = 0;
    return look;
}

void dispatch_offered(struct svc *svc, bool committed)
{
    struct dispatch *d = svc->state;
    if (!d)
        return;
    dispatch_lock(d);
    bool look = settle_offers(d, committed);
    look |= settle_hints(d);
    deferred_settle(d, committed);
    dispatch_unlock(d);
    if (look)
        dispatch_ring(d);
}
