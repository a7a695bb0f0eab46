#include "services/webhooks-out/dispatch.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/httpc.h"
#include "common/kit/metrics.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    reload_every_us = 250000,
    balance_every_us = 500000,
    poll_alone_us = 250000,
    poll_beside_us = 20000, /* beside other replicas */
    reopen_ms = 250,
    inner_conns_max = 16
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

void dispatch_lock(struct dispatch *d)
{
    must(pthread_mutex_lock(&d->lock) == 0);
}

void dispatch_unlock(struct dispatch *d)
{
    must(pthread_mutex_unlock(&d->lock) == 0);
}

void dispatch_ring(struct dispatch *d)
{
    const uint64_t one = 1;
    ssize_t ignored = write(d->wake_fd, &one, sizeof(one)); /* only a full counter refuses */
    (void)ignored;
}

/* --- endpoints and queues --- */

struct endpoint *endpoint_find(struct dispatch *d, int64_t id)
{
    struct endpoint *ep = d->endpoints[(uint64_t)id % endpoint_buckets];
    while (ep && ep->id != id)
        ep = ep->next;
    return ep;
}

struct endpoint *endpoint_add(struct dispatch *d, int64_t id)
{
    struct endpoint **head = &d->endpoints[(uint64_t)id % endpoint_buckets];
    struct endpoint *ep = calloc(1, sizeof(*ep));
    must(ep);
    ep->id = id;
    ep->queue_tail = &ep->queue;
    ep->next = *head;
    *head = ep;
    return ep;
}

bool endpoint_ordered(const struct endpoint *ep)
{
    return ep->how && ep->how->ordered && !endpoint_batches(ep);
}

bool endpoint_batches(const struct endpoint *ep)
{
    return ep->how && ep->how->batch_events > 0;
}

bool dispatch_full(const struct dispatch *d)
{
    return d->nheld >= held_max || d->held_bytes >= held_bytes_max;
}

bool delivery_held(const struct endpoint *ep, const char *id)
{
    for (const struct delivery *dl = ep->held; dl; dl = dl->held)
        if (str_eq(dl->id, id))
            return true;
    return false;
}

static const char *put(char **at, const char *text, size_t n)
{
    char *to = *at;
    if (!text)
        return NULL;
    memcpy(to, text, n);
    to[n] = '\0';
    *at += n + 1;
    return to;
}

static size_t length(const char *text)
{
    return text ? strlen(text) : 0;
}

struct delivery *delivery_new(struct dispatch *d, const struct offer *o)
{
    static const char prefix[] = "evt_";
    size_t id = length(o->id), event_id = length(o->event_id), entity = length(o->entity),
           event = length(o->event), trace = length(o->trace), request = length(o->request_id);
    size_t bytes = sizeof(struct delivery) + id + strlen(prefix) + event_id + entity + event +
                   trace + request + o->body_n + 7;
    struct delivery *dl = calloc(1, bytes);
    must(dl);
    dl->bytes = bytes;
    d->nheld++;
    d->held_bytes += bytes;
    char *at = (char *)(dl + 1);
    dl->d = d;
    dl->id = put(&at, o->id, id);
    dl->message_id = at;
    memcpy(at, prefix, strlen(prefix));
    at += strlen(prefix);
    (void)put(&at, o->event_id, event_id);
    dl->entity = put(&at, o->entity, entity);
    dl->event = put(&at, o->event, event);
    dl->trace = put(&at, o->trace, trace);
    dl->request_id = put(&at, o->request_id, request);
    dl->body = put(&at, o->body, o->body_n);
    dl->body_n = o->body_n;
    dl->user_id = o->user_id;
    dl->event_us = o->event_us;
    dl->key = crc32_of(o->entity, entity);
    dl->batch = str_eq(o->event, "batch");
    dl->n = 1;
    return dl;
}

void delivery_free(struct delivery *dl)
{
    if (dl->held)
        dl->held->held_back = dl->held_back;
    *dl->held_back = dl->held;
    dl->d->nheld--;
    dl->d->held_bytes -= dl->bytes;
    free(dl->reply);
    free(dl->reply_headers);
    free(dl->url);
    free(dl);
}

void endpoint_hold(struct endpoint *ep, struct delivery *dl)
{
    dl->ep = ep;
    dl->held = ep->held;
    dl->held_back = &ep->held;
    if (ep->held)
        ep->held->held_back = &dl->held;
    ep->held = dl;
}

void endpoint_push(struct endpoint *ep, struct delivery *dl)
{
    dl->next = NULL;
    *ep->queue_tail = dl;
    ep->queue_tail = &dl->next;
    ep->nqueue++;
}

/* At an ordered endpoint one of an entity goes at a time, and none past one that failed and is not
 * written down yet. */
static bool is_barred(const struct endpoint *ep, const struct delivery *dl)
{
    for (const struct delivery *o = ep->held; o; o = o->held)
        if (o->key == dl->key && o != dl &&
            (o->flying || (o->status && !str_eq(o->status, "delivered"))))
            return true;
    return false;
}

struct delivery *endpoint_pop(struct endpoint *ep)
{
    struct delivery **at = &ep->queue;
    while (*at && endpoint_ordered(ep) && is_barred(ep, *at))
        at = &(*at)->next;
    struct delivery *dl = *at;
    if (!dl)
        return NULL;
    *at = dl->next;
    if (ep->queue_tail == &dl->next)
        ep->queue_tail = at;
    ep->nqueue--;
    dl->next = NULL;
    return dl;
}

void endpoint_drop_queue(struct endpoint *ep)
{
    struct delivery *dl = ep->queue, *next;
    for (; dl; dl = next) {
        next = dl->next;
        delivery_free(dl);
    }
    ep->queue = NULL;
    ep->queue_tail = &ep->queue;
    ep->nqueue = 0;
    ep->probe = ep->behind = true;
}

void endpoint_free(struct endpoint *ep)
{
    line_leave(ep);
    sending_free(ep->how);
    free(ep->token);
    free(ep);
}

void endpoint_gone(struct dispatch *d, struct endpoint *ep)
{
    endpoint_drop_queue(ep);
    ep->active = ep->mine = false;
    if (ep->held)
        return;
    struct endpoint **p = &d->endpoints[(uint64_t)ep->id % endpoint_buckets];
    while (*p != ep)
        p = &(*p)->next;
    *p = ep->next;
    endpoint_free(ep);
}

/* --- waking --- */

void dispatch_due(struct svc *svc, int64_t endpoint)
{
    struct dispatch *d = svc->state;
    if (!d)
        return;
    dispatch_lock(d);
    struct endpoint *ep = endpoint_find(d, endpoint);
    if (ep)
        ep->probe = true;
    dispatch_unlock(d);
    if (ep)
        dispatch_ring(d);
}

void dispatch_wake(struct svc *svc)
{
    struct dispatch *d = svc->state;
    if (!d)
        return;
    dispatch_lock(d);
    d->endpoints_changed = d->probe_all = true;
    dispatch_unlock(d);
    dispatch_ring(d);
}

/* --- the rounds --- */

struct dispatch *dispatch_new(struct svc *svc)
{
    struct dispatch *d = calloc(1, sizeof(*d));
    must(d);
    d->svc = svc;
    d->conf = (const struct webhooks_conf *)(const void *)svc->conf;
    d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(d->wake_fd >= 0);
    must(pthread_mutex_init(&d->lock, NULL) == 0);
    d->results_tail = &d->results;
    d->offers_tail = &d->offers;
    for (size_t i = 0; i < ARRAY_LEN(d->line); i++)
        d->line[i].tail = &d->line[i].first;
    d->arena = arena_new();
    return d;
}

void dispatch_free(struct dispatch *d)
{
    if (!d)
        return;
    dispatch_lock(d);
    size_t left = d->in_flight + d->asking;
    dispatch_unlock(d);
    if (left) /* httpc still has them: the process ends, their rows are due */
        return;
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (struct endpoint *ep = d->endpoints[i], *next; ep; ep = next) {
            next = ep->next;
            while (ep->held)
                delivery_free(ep->held);
            endpoint_free(ep);
        }
    httpc_free(d->inner);
    arena_free(d->arena);
    (void)close(d->wake_fd);
    (void)pthread_mutex_destroy(&d->lock);
    free(d);
}

struct httpc *svc_inner(struct svc *svc)
{
    struct dispatch *d = svc->state;
    return d->inner;
}

int dispatch_start_inner(struct svc *svc, struct err *err)
{
    struct dispatch *d = svc->state;
    const struct httpc_conf conf = { .egress_allow = "0.0.0.0/0,::/0",
                                     .dns_servers = svc->conf->dns_servers,
                                     .conns_max = inner_conns_max,
                                     .conns_per_host_max = 0,
                                     .user_agent = "365CMS-webhooks-out" };
    return httpc_new(&conf, &d->inner, err);
}

/* What this round has to do, and when the next one is due at the latest. */
static int64_t next_due(struct dispatch *d, int64_t now)
{
    int64_t at = d->poll_us < d->reload_us ? d->poll_us : d->reload_us;
    dispatch_lock(d);
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (struct endpoint *ep = d->endpoints[i]; ep; ep = ep->next) {
            if (ep->due_us && ep->due_us <= now) {
                ep->due_us = 0;
                ep->probe = true;
                at = now;
            } else if (ep->due_us && ep->due_us < at) {
                at = ep->due_us;
            }
            if (ep->gate_us && ep->gate_us <= now) {
                ep->gate_us = 0;
                endpoint_pump(d, ep);
            }
            if (ep->gate_us && ep->gate_us < at)
                at = ep->gate_us;
        }
    int64_t written = d->rush ? now : d->first_result_us + results_wait_us;
    if (d->results && written < at)
        at = written;
    if (d->deferred_us < at)
        at = d->deferred_us;
    if (d->endpoints_changed || d->probe_all || d->allowed_unwritten)
        at = now;
    dispatch_unlock(d);
    return at;
}

/* When to look again: never more than a twentieth of the time goes into looking, however many
 * endpoints there are. */
static int64_t not_too_often(int64_t began_us, int64_t least_us)
{
    int64_t now = clock_mono_us(), cost = 20 * (now - began_us);
    return now + (cost > least_us ? cost : least_us);
}

static int round_of(struct dispatch *d, struct err *err)
{
    int64_t now = clock_mono_us();
    bool more = false, reload = d->reload_us <= now, all;
    int rc = 0;
    if (!d->session)
        rc = dispatch_open(d, err);
    if (!rc && d->balance_us <= now) {
        rc = dispatch_balance(d, err);
        d->balance_us = now + balance_every_us;
    }
    dispatch_lock(d);
    bool write = d->rush || d->nresults >= results_rush ||
                 (d->results && d->first_result_us + results_wait_us <= now);
    dispatch_unlock(d);
    if (!rc && write)
        rc = dispatch_write(d, &more, err);
    dispatch_lock(d);
    reload |= d->endpoints_changed;
    d->endpoints_changed = false;
    all = d->probe_all || d->poll_us <= now;
    d->probe_all = false;
    dispatch_unlock(d);
    if (!rc && reload) {
        int64_t began = clock_mono_us();
        rc = dispatch_reload(d, err);
        d->reload_us = not_too_often(began, reload_every_us);
    }
    if (!rc)
        rc = dispatch_write_allowed(d, err);
    if (!rc)
        rc = dispatch_expand(d, err);
    if (!rc)
        rc = dispatch_probe(d, all, err);
    if (all)
        d->poll_us = not_too_often(now, d->replicas > 1 ? poll_beside_us : poll_alone_us);
    metric_gauge(M_deliveries_due, (int64_t)d->in_flight);
    return rc;
}

static void wait_for_work(struct dispatch *d)
{
    struct pollfd p = { .fd = d->wake_fd, .events = POLLIN };
    int64_t now = clock_mono_us(), left = next_due(d, now) - now;
    uint64_t n;
    int ready = poll(&p, 1, left > 0 ? (int)((left + 999) / 1000) : 0);
    if (ready > 0) {
        ssize_t ignored = read(d->wake_fd, &n, sizeof(n));
        (void)ignored;
    }
}

/* What is under way may end, and is written down; what is not stays due. */
static void drain(struct dispatch *d)
{
    int64_t until = clock_mono_us() + d->conf->svc.drain_ms * 1000;
    bool more = true;
    struct err err;
    dispatch_lock(d);
    d->stopping = true;
    dispatch_unlock(d);
    while (clock_mono_us() < until && (d->in_flight || more)) {
        struct pollfd p = { .fd = d->wake_fd, .events = POLLIN };
        uint64_t n;
        arena_reset(d->arena);
        if (poll(&p, 1, 20) > 0) {
            ssize_t ignored = read(d->wake_fd, &n, sizeof(n));
            (void)ignored;
        }
        if ((!d->session && dispatch_open(d, &err)) || dispatch_write(d, &more, &err))
            break;
    }
}

void dispatch_job(struct svc *svc)
{
    struct dispatch *d = svc->state;
    struct err err;
    while (!svc_stopping(svc)) {
        arena_reset(d->arena);
        int rc = round_of(d, &err);
        if (rc) {
            if (rc != -E_unavailable)
                log_error("dispatch.failed", kv_s("error", err.msg), kv_s("detail", err.detail));
            dispatch_close(d);
            svc_pause(svc, reopen_ms);
            continue;
        }
        wait_for_work(d);
    }
    drain(d);
    dispatch_close(d);
}
