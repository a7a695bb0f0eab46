#include "services/webhooks-out/dispatch.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/httpc.h"
#include "common/kit/metrics.h"
#include "services/webhooks-out/schedule.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    reload_every_us = 250000,
    balance_every_us = 500000,
    poll_alone_us = 250000,
    reopen_ms = 250,
    connect_timeout_ms = 5000
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void lock(struct dispatch *d)
{
    must(pthread_mutex_lock(&d->lock) == 0);
}

static void unlock(struct dispatch *d)
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
    return ep->max == 1;
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
    struct delivery *dl = calloc(1, sizeof(*dl) + id + strlen(prefix) + event_id + entity + event +
                                        trace + request + o->body_n + 7);
    must(dl);
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
    dl->n = 1;
    return dl;
}

void delivery_free(struct delivery *dl)
{
    if (dl->held)
        dl->held->held_back = dl->held_back;
    *dl->held_back = dl->held;
    free(dl->reply);
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

static struct delivery *queue_pop(struct endpoint *ep)
{
    struct delivery *dl = ep->queue;
    ep->queue = dl->next;
    if (!ep->queue)
        ep->queue_tail = &ep->queue;
    ep->nqueue--;
    dl->next = NULL;
    return dl;
}

void endpoint_drop_queue(struct endpoint *ep)
{
    while (ep->queue)
        delivery_free(queue_pop(ep));
    ep->probe = ep->behind = true;
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
    free(ep->url);
    free(ep->secret);
    free(ep);
}

/* --- one attempt --- */

static void classify(struct dispatch *d, struct delivery *dl, const struct httpc_res *res)
{
    const char *retry_after = NULL;
    enum outcome out = res->result ? OUT_RETRY : provider_outcome(&target_standard.p, res->status);
    unsigned n = dl->n - dl->before;
    dl->code = res->result ? 0 : res->status;
    dl->refused = res->result == -E_egress_refused;
    dl->gone = out == OUT_CONFIG;
    if (out == OUT_OK) {
        dl->status = "delivered";
        return;
    }
    for (size_t i = 0; i < res->nheaders; i++)
        if (str_ieq(res->headers[i].name, "Retry-After"))
            retry_after = res->headers[i].value;
    if (res->result)
        snprintf(dl->error, sizeof(dl->error), "%s", res->reason);
    else
        snprintf(dl->error, sizeof(dl->error), "The endpoint answered %d.", res->status);
    dl->status = (int64_t)n > d->conf->retry_max ? "dead" : "failed";
    dl->wait_ms = retry_wait_ms(d->conf->retry_base_ms, n, (unsigned)random_below(1001),
                                retry_after_ms(retry_after, clock_ms(), retry_wait_ms_max));
}

/* Text only, and no half character at the cut. */
static void keep_reply(struct delivery *dl, const struct httpc_res *res)
{
    size_t n = res->body_n < reply_bytes_kept ? res->body_n : reply_bytes_kept;
    for (size_t cut = 0; cut < 4 && cut <= n; cut++)
        if (str_utf8_ok(res->body, n - cut)) {
            dl->reply = n > cut ? strndup(res->body, n - cut) : NULL;
            return;
        }
}

/* Under the lock. */
static void ended(struct dispatch *d, struct delivery *dl, const struct httpc_res *res)
{
    struct endpoint *ep = dl->ep;
    classify(d, dl, res);
    dl->latency_us = res->total_us;
    dl->ended_us = clock_us();
    keep_reply(dl, res);
    snprintf(dl->address, sizeof(dl->address), "%s", res->address ? res->address : "");
    ep->in_flight--;
    ep->unwritten++;
    d->in_flight--;
    *d->results_tail = dl;
    d->results_tail = &dl->next;
    if (d->nresults++ == 0)
        d->first_result_us = clock_mono_us();
    if (!str_eq(dl->status, "delivered")) {
        ep->failures++;
        if (endpoint_ordered(ep) || dl->gone)
            endpoint_drop_queue(ep);
        if (dl->gone)
            ep->active = false;
    }
}

/* Is there a reason to wake the dispatcher for this result?  Most can wait to be written together.
 */
static bool is_urgent(struct dispatch *d, const struct delivery *dl)
{
    const struct endpoint *ep = dl->ep;
    bool waits = (endpoint_ordered(ep) && !ep->queue) || dl->gone || d->stopping;
    d->rush |= waits;
    return waits || d->nresults == 1 || d->nresults == results_rush ||
           (ep->probe && ep->nqueue < queue_max / 2);
}

/* On httpc's thread: the next one goes out at once, the dispatcher only writes down what was. */
static void on_done(void *ctx, const struct httpc_res *res)
{
    struct delivery *dl = ctx;
    struct dispatch *d = dl->d;
    struct endpoint *ep = dl->ep;
    lock(d);
    ended(d, dl, res);
    endpoint_pump(d, ep);
    if (is_urgent(d, dl))
        dispatch_ring(d); /* before the lock goes, and perhaps the dispatcher with it */
    unlock(d);
}

/* Under the lock.  Signed anew: the timestamp is the attempt's. */
static void attempt(struct dispatch *d, struct delivery *dl)
{
    struct endpoint *ep = dl->ep;
    struct arena *a = arena_new();
    struct target_request tr;
    struct httpc_header headers[target_headers_max];
    const struct target_job job = { .message_id = dl->message_id,
                                    .timestamp_s = clock_ms() / 1000,
                                    .secret = ep->secret,
                                    .body = dl->body,
                                    .body_n = dl->body_n,
                                    .traceparent = dl->trace,
                                    .request_id = dl->request_id };
    target_standard.build(a, &job, &tr);
    for (size_t i = 0; i < tr.nheaders; i++)
        headers[i] = (struct httpc_header){ tr.headers[i].name, tr.headers[i].value };
    const struct httpc_req req = { .method = tr.method,
                                   .url = ep->url,
                                   .headers = headers,
                                   .nheaders = tr.nheaders,
                                   .body = dl->body,
                                   .body_n = dl->body_n,
                                   .timeout_ms = (unsigned)d->conf->timeout_ms,
                                   .connect_timeout_ms = connect_timeout_ms,
                                   .reply_bytes_max = reply_bytes_kept };
    struct err err;
    ep->in_flight++;
    d->in_flight++;
    int rc = httpc_send(d->svc->httpc, &req, on_done, dl, &err);
    if (rc) {
        struct httpc_res res = { .result = rc, .reason = err.msg, .body = "", .address = "" };
        ended(d, dl, &res);
        dispatch_ring(d);
    }
    arena_free(a);
}

/* When most of the room is taken, by receivers that hang, everybody still gets one. */
static size_t room(const struct dispatch *d, const struct endpoint *ep)
{
    if (d->in_flight >= in_flight_max)
        return 0;
    return d->in_flight >= in_flight_max * 3 / 4 ? 1 : (size_t)ep->max;
}

void endpoint_pump(struct dispatch *d, struct endpoint *ep)
{
    while (ep->active && ep->mine && !d->stopping && ep->queue && ep->in_flight < room(d, ep))
        attempt(d, queue_pop(ep));
}

/* --- waking --- */

void dispatch_due(struct svc *svc, int64_t endpoint)
{
    struct dispatch *d = svc->state;
    if (!d)
        return;
    lock(d);
    struct endpoint *ep = endpoint_find(d, endpoint);
    if (ep)
        ep->probe = true;
    unlock(d);
    if (ep)
        dispatch_ring(d);
}

void dispatch_wake(struct svc *svc)
{
    struct dispatch *d = svc->state;
    if (!d)
        return;
    lock(d);
    d->endpoints_changed = d->probe_all = true;
    unlock(d);
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
    d->arena = arena_new();
    return d;
}

void dispatch_free(struct dispatch *d)
{
    if (!d)
        return;
    lock(d);
    size_t left = d->in_flight;
    unlock(d);
    if (left) /* httpc still has them: the process ends, their rows are due */
        return;
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (struct endpoint *ep = d->endpoints[i], *next; ep; ep = next) {
            next = ep->next;
            while (ep->held)
                delivery_free(ep->held);
            free(ep->url);
            free(ep->secret);
            free(ep);
        }
    arena_free(d->arena);
    (void)close(d->wake_fd);
    (void)pthread_mutex_destroy(&d->lock);
    free(d);
}

/* What this round has to do, and when the next one is due at the latest. */
static int64_t next_due(struct dispatch *d, int64_t now)
{
    int64_t at = d->poll_us < d->reload_us ? d->poll_us : d->reload_us;
    lock(d);
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (struct endpoint *ep = d->endpoints[i]; ep; ep = ep->next) {
            if (ep->due_us && ep->due_us <= now) {
                ep->due_us = 0;
                ep->probe = true;
                at = now;
            } else if (ep->due_us && ep->due_us < at) {
                at = ep->due_us;
            }
        }
    int64_t written = d->rush ? now : d->first_result_us + results_wait_us;
    if (d->results && written < at)
        at = written;
    if (d->endpoints_changed || d->probe_all)
        at = now;
    unlock(d);
    return at;
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
    lock(d);
    bool write = d->rush || d->nresults >= results_rush ||
                 (d->results && d->first_result_us + results_wait_us <= now);
    unlock(d);
    if (!rc && write)
        rc = dispatch_write(d, &more, err);
    lock(d);
    reload |= d->endpoints_changed;
    d->endpoints_changed = false;
    all = d->probe_all || d->poll_us <= now;
    d->probe_all = false;
    unlock(d);
    if (!rc && reload) {
        rc = dispatch_reload(d, err);
        d->reload_us = now + reload_every_us;
    }
    if (!rc)
        rc = dispatch_probe(d, all, err);
    if (all) { /* never more than a twentieth of the time goes into looking */
        int64_t cost = clock_mono_us() - now, least = d->replicas > 1 ? 20000 : poll_alone_us;
        d->poll_us = clock_mono_us() + (20 * cost > least ? 20 * cost : least);
    }
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
    lock(d);
    d->stopping = true;
    unlock(d);
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
