/* Requests, and what their answers mean. */
#include "services/webhooks-out/dispatch.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/httpc.h"
#include "services/webhooks-out/schedule.h"

enum { connect_timeout_ms = 5000 };

static const char *header_of(const struct httpc_res *res, const char *name)
{
    for (size_t i = 0; i < res->nheaders; i++)
        if (str_ieq(res->headers[i].name, name))
            return res->headers[i].value;
    return NULL;
}

/* Returns what Retry-After asks for. */
static int64_t classify(struct dispatch *d, struct delivery *dl, const struct httpc_res *res)
{
    const struct sending *how = dl->ep->how;
    enum outcome out = res->result ? OUT_RETRY : provider_outcome(&how->target->p, res->status);
    unsigned n = dl->n - dl->before;
    const struct retry_plan plan = { d->conf->retry_base_ms, d->conf->retry_max, how->schedule_s,
                                     how->nschedule };
    dl->code = res->result ? 0 : res->status;
    dl->refused = res->result == -E_egress_refused;
    dl->gone = out == OUT_CONFIG;
    if (out == OUT_OK) {
        dl->status = "delivered";
        return 0;
    }
    int64_t after = retry_after_ms(header_of(res, "Retry-After"), clock_ms(), retry_wait_ms_max);
    if (res->result)
        snprintf(dl->error, sizeof(dl->error), "%s", res->reason);
    else
        snprintf(dl->error, sizeof(dl->error), "The endpoint answered %d.", res->status);
    dl->status = n > retries_of(&plan) ? "dead" : "failed";
    dl->wait_ms = retry_wait_ms(&plan, n, (unsigned)random_below(1001), after);
    return after;
}

static char *own(const char *text)
{
    return text && *text ? strdup(text) : NULL;
}

static void keep(struct delivery *dl, const struct httpc_res *res)
{
    struct arena *a = arena_new();
    dl->latency_us = res->total_us;
    dl->dns_us = res->dns_us;
    dl->connect_us = res->connect_us;
    dl->tls_us = res->tls_us;
    dl->first_byte_us = res->first_byte_us;
    dl->ended_us = clock_us();
    dl->reply = own(log_body(a, res->body, res->body_n));
    dl->reply_headers = own(log_headers(a, res->headers, res->nheaders, log_response_headers_max));
    snprintf(dl->address, sizeof(dl->address), "%s", res->address ? res->address : "");
    arena_free(a);
}

/* Under the lock. */
static void ended(struct dispatch *d, struct delivery *dl, const struct httpc_res *res)
{
    struct endpoint *ep = dl->ep;
    int64_t after = classify(d, dl, res);
    keep(dl, res);
    if (res->total_us > 0)
        ep->pace_us = ep->pace_us ? ep->pace_us + (res->total_us - ep->pace_us) / 8 : res->total_us;
    ep->heard_us = clock_mono_us();
    ep->in_flight--;
    ep->unwritten++;
    d->in_flight--;
    dl->flying = false;
    *d->results_tail = dl;
    d->results_tail = &dl->next;
    if (d->nresults++ == 0)
        d->first_result_us = clock_mono_us();
    gate_ended(d, ep, dl, after);
    if (!str_eq(dl->status, "delivered")) {
        ep->failures++;
        ep->unwritten_failed++;
        if (!ep->failing_since_us)
            ep->failing_since_us = dl->ended_us;
        if (endpoint_ordered(ep) || dl->gone)
            endpoint_drop_queue(ep);
        if (dl->gone)
            ep->active = false;
    }
}

/* --- room ---
 *
 * Receivers that hang must not fill all of it.  Who answers has what it may have.  Of who does not,
 * or has not yet, each gets one when half of the room is taken, and none of what is kept for the
 * others; who finds no room stands in line for it. */

static bool is_quick(const struct endpoint *ep)
{
    return ep->pace_us && ep->pace_us < answers_within_us;
}

bool endpoint_hangs(const struct endpoint *ep, int64_t now_us)
{
    bool silent = ep->in_flight && now_us - ep->heard_us > answers_within_us;
    return silent || ep->pace_us >= answers_within_us || ep->circuit != CIRCUIT_CLOSED;
}

static bool has_room(const struct dispatch *d, bool quick)
{
    return d->in_flight < in_flight_max - (quick ? 0 : in_flight_kept);
}

static size_t room(const struct dispatch *d, const struct endpoint *ep)
{
    bool quick = is_quick(ep);
    size_t most = (size_t)ep->how->max_in_flight;
    if (!has_room(d, quick))
        return 0;
    if (!quick)
        return d->in_flight < in_flight_wide ? most : 1;
    bool enough = d->in_flight >= in_flight_enough && ep->pace_us < at_once_us;
    return enough && most > at_once_in_flight ? at_once_in_flight : most;
}

static void line_up(struct dispatch *d, struct endpoint *ep)
{
    struct line *l = &d->line[is_quick(ep)];
    if (ep->line)
        return;
    ep->line = l;
    ep->before = l->tail;
    *l->tail = ep;
    l->tail = &ep->after;
}

void line_leave(struct endpoint *ep)
{
    if (!ep->line)
        return;
    *ep->before = ep->after;
    if (ep->after)
        ep->after->before = ep->before;
    else
        ep->line->tail = ep->before;
    ep->line = NULL;
    ep->after = NULL;
}

static void serve_lines(struct dispatch *d)
{
    for (size_t quick = ARRAY_LEN(d->line); quick-- > 0;)
        while (d->line[quick].first && has_room(d, quick)) {
            struct endpoint *ep = d->line[quick].first;
            line_leave(ep);
            endpoint_pump(d, ep);
        }
}

/* Is there a reason to wake the dispatcher for this result?  Most can wait to be written together.
 */
static bool is_urgent(struct dispatch *d, const struct delivery *dl)
{
    const struct endpoint *ep = dl->ep;
    bool waits = (endpoint_ordered(ep) && !ep->queue) || dl->gone || d->stopping;
    d->rush |= waits;
    return waits || ep->gate_us || d->nresults == 1 || d->nresults == results_rush ||
           (ep->probe && ep->nqueue < queue_max / 2);
}

/* On httpc's thread: the next one goes out at once, the dispatcher only writes down what was. */
static void on_done(void *ctx, const struct httpc_res *res)
{
    struct delivery *dl = ctx;
    struct dispatch *d = dl->d;
    struct endpoint *ep = dl->ep;
    dispatch_lock(d);
    ended(d, dl, res);
    serve_lines(d); /* who waited goes first */
    endpoint_pump(d, ep);
    if (is_urgent(d, dl))
        dispatch_ring(d); /* before the lock goes, and perhaps the dispatcher with it */
    dispatch_unlock(d);
}

static void refuse(struct dispatch *d, struct delivery *dl, int result, const char *reason)
{
    struct httpc_res res = { .result = result, .reason = reason, .body = "", .address = "" };
    ended(d, dl, &res);
    dispatch_ring(d);
}

/* The address and what is sent beside the body, for the log. */
static void keep_sent(struct delivery *dl, const struct sending *how, struct arena *a,
                      const struct sent *s)
{
    const char *lines = log_headers(a, s->headers, s->req.nheaders, log_request_headers_max);
    size_t n = strlen(how->url) + 1, m = strlen(lines) + 1;
    dl->url = malloc(n + m);
    if (!dl->url)
        abort();
    memcpy(dl->url, how->url, n);
    dl->sent = dl->url + n;
    memcpy(dl->sent, lines, m);
}

/* Under the lock.  Signed anew: the timestamp is the attempt's. */
static void attempt(struct dispatch *d, struct delivery *dl)
{
    struct endpoint *ep = dl->ep;
    const struct sending *how = ep->how;
    const char *barred = sending_barred(how, d->conf);
    struct arena *a = arena_new();
    struct sent s;
    struct err err;
    const struct target_job job = { .message_id = dl->message_id,
                                    .timestamp_s = clock_ms() / 1000,
                                    .keys = how->keys,
                                    .nkeys = how->nkeys,
                                    .body = dl->body,
                                    .body_n = dl->body_n,
                                    .type = dl->event,
                                    .subject = dl->entity,
                                    .source = d->svc->conf->public_url,
                                    .event_us = dl->event_us,
                                    .batch = dl->batch,
                                    .traceparent = dl->trace,
                                    .request_id = dl->request_id };
    sending_request(how, a, &job, ep->token, &s);
    s.req.timeout_ms = (unsigned)d->conf->timeout_ms;
    s.req.connect_timeout_ms = connect_timeout_ms;
    s.req.reply_bytes_max = log_body_max;
    keep_sent(dl, how, a, &s);
    gate_sends(ep, dl);
    dl->flying = true;
    if (!ep->in_flight)
        ep->heard_us = clock_mono_us();
    ep->in_flight++;
    d->in_flight++;
    if (barred)
        refuse(d, dl, -E_egress_refused, barred);
    else if (httpc_send(d->svc->httpc, &s.req, on_done, dl, &err))
        refuse(d, dl, -(int)err.code, err.msg);
    arena_free(a);
}

void endpoint_pump(struct dispatch *d, struct endpoint *ep)
{
    while (ep->active && ep->mine && !d->stopping && ep->queue) {
        size_t most = room(d, ep);
        if (!most)
            line_up(d, ep);
        if (ep->in_flight >= most || !gate_open(d, ep))
            break;
        struct delivery *dl = endpoint_pop(ep);
        if (!dl)
            break;
        attempt(d, dl);
    }
}

void endpoint_fail_next(struct dispatch *d, struct endpoint *ep, const char *reason)
{
    struct delivery *dl = ep->active && ep->mine ? endpoint_pop(ep) : NULL;
    if (!dl)
        return;
    gate_sends(ep, dl);
    ep->in_flight++;
    d->in_flight++;
    dl->flying = true;
    refuse(d, dl, -E_upstream, reason);
}
