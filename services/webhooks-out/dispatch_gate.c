/*
 * May an endpoint be sent to now?  The receiver's permission and our access token are asked for
 * when they are missing, one request at a time; the rate is a generic cell rate (one second's worth
 * at once); a receiver that is overloaded gets half as many at a time and a pause; one that fails
 * circuit_failures times in a row gets a single request after a wait that doubles (half-open).
 */
#include "services/webhooks-out/dispatch.h"
#include "services/webhooks-out/handshake.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/crypto.h"

enum {
    second_us = 1000000,
    minute_us = 60 * second_us,
    token_early_s = 30,
    ask_pause_us = 1000000
};

/* --- asking for a token or permission --- */

struct ask {
    struct dispatch *d;
    struct arena *arena;
    int64_t endpoint, version;
    bool permission;
};

static void drop_token(struct endpoint *ep)
{
    if (ep->token)
        crypto_wipe(ep->token, strlen(ep->token));
    free(ep->token);
    ep->token = NULL;
}

static int take_token(struct ask *k, struct endpoint *ep, const struct httpc_res *res,
                      struct err *err)
{
    const char *token;
    int64_t s;
    int rc = token_answer(k->arena, res, &token, &s, err);
    if (rc)
        return rc;
    drop_token(ep);
    ep->token = strdup(token);
    int64_t early = s > 2 * token_early_s ? token_early_s : s / 2;
    ep->token_until_us = clock_mono_us() + (s - early) * second_us;
    return ep->token ? 0 : err_set(err, E_internal, "Out of memory.");
}

static int take_permission(struct ask *k, struct endpoint *ep, const struct httpc_res *res,
                           struct err *err)
{
    int rc = handshake_answer(res, k->d->svc->conf->public_url, &ep->allowed_rate, err);
    if (!rc)
        ep->allowed = ep->allowed_unwritten = k->d->allowed_unwritten = true;
    return rc;
}

/* On httpc's thread. */
static void on_answer(void *ctx, const struct httpc_res *res)
{
    struct ask *k = ctx;
    struct dispatch *d = k->d;
    struct err err;
    dispatch_lock(d);
    struct endpoint *ep = endpoint_find(d, k->endpoint);
    d->asking--;
    if (ep && ep->how && ep->how->version == k->version) {
        int rc = k->permission ? take_permission(k, ep, res, &err) : take_token(k, ep, res, &err);
        ep->asking = false;
        if (rc) {
            ep->gate_us = ep->not_before_us = clock_mono_us() + ask_pause_us;
            endpoint_fail_next(d, ep, err.msg);
        } else {
            endpoint_pump(d, ep);
        }
    }
    dispatch_ring(d);
    dispatch_unlock(d);
    arena_free(k->arena);
}

static void ask(struct dispatch *d, struct endpoint *ep, bool permission)
{
    struct arena *a = arena_new();
    struct ask *k = arena_alloc(a, sizeof(*k));
    struct httpc_header headers[handshake_headers_max];
    struct httpc_req req;
    struct err err;
    *k = (struct ask){ d, a, ep->id, ep->how->version, permission };
    if (permission)
        handshake_request(a, ep->how, d->svc->conf->public_url, ep->token, headers, &req);
    else
        token_request(a, &ep->how->auth, headers, &req);
    if (permission)
        req.timeout_ms = (unsigned)d->conf->timeout_ms;
    ep->asking = true;
    d->asking++;
    if (!httpc_send(d->svc->httpc, &req, on_answer, k, &err))
        return;
    ep->asking = false;
    d->asking--;
    ep->gate_us = ep->not_before_us = clock_mono_us() + ask_pause_us;
    endpoint_fail_next(d, ep, err.msg);
    arena_free(a);
}

/* --- the gate --- */

void gate_set(struct endpoint *ep, struct sending *how)
{
    sending_free(ep->how);
    ep->how = how;
    ep->active = how->active;
    ep->allowed = how->allowed;
    ep->allowed_unwritten = ep->asking = false;
    ep->allowed_rate = 0;
    drop_token(ep);
    ep->window = (unsigned)how->max_in_flight;
    ep->slot_us = ep->not_before_us = ep->gate_us = 0;
    ep->circuit = CIRCUIT_CLOSED; /* a change by its owner is a new chance */
    ep->failed_in_row = 0;
    ep->failing_since_us = how->failing_since_us;
    ep->failing_saved = how->failing_since_us != 0;
    ep->percent = (int)how->failure_percent;
}

/* Later, at the earliest then. */
static bool closed_until(struct endpoint *ep, int64_t us)
{
    if (!ep->gate_us || us < ep->gate_us)
        ep->gate_us = us;
    return false;
}

static int64_t rate_of(const struct endpoint *ep)
{
    int64_t a = ep->how->rate, b = ep->allowed_rate;
    return !a || (b && b < a) ? b : a;
}

static bool rate_open(struct endpoint *ep, int64_t now)
{
    int64_t rate = rate_of(ep);
    if (!rate)
        return true;
    int64_t interval = minute_us / rate, burst = interval < second_us ? second_us - interval : 0;
    if (ep->slot_us < now)
        ep->slot_us = now;
    return ep->slot_us - now <= burst || closed_until(ep, ep->slot_us - burst);
}

bool gate_open(struct dispatch *d, struct endpoint *ep)
{
    int64_t now = clock_mono_us();
    if (ep->asking)
        return false;
    if (now < ep->not_before_us)
        return closed_until(ep, ep->not_before_us);
    if (ep->circuit == CIRCUIT_OPEN)
        ep->circuit = CIRCUIT_HALF;
    if (ep->circuit == CIRCUIT_HALF && ep->in_flight)
        return false;
    if (ep->in_flight >= ep->window)
        return false;
    if (sending_barred(ep->how, d->conf)) /* it fails without a request of any kind */
        return rate_open(ep, now);
    if (ep->how->auth.kind == AUTH_OAUTH2 && (!ep->token || now >= ep->token_until_us)) {
        ask(d, ep, false);
        return false;
    }
    if (!ep->allowed) {
        ask(d, ep, true);
        return false;
    }
    return rate_open(ep, now);
}

void gate_sends(struct endpoint *ep, struct delivery *dl)
{
    int64_t rate = rate_of(ep);
    dl->probe = ep->circuit == CIRCUIT_HALF;
    if (rate)
        ep->slot_us += minute_us / rate;
}

static void trip(struct dispatch *d, struct endpoint *ep)
{
    int64_t wait =
        ep->circuit == CIRCUIT_CLOSED ? 2 * d->conf->retry_base_ms : 2 * ep->circuit_wait_ms;
    ep->circuit = CIRCUIT_OPEN;
    ep->circuit_wait_ms = wait < circuit_wait_ms_max ? wait : circuit_wait_ms_max;
    ep->not_before_us = clock_mono_us() + ep->circuit_wait_ms * 1000;
    log_info("dispatch.circuit_open", kv_i("endpoint", ep->id),
             kv_i("wait_ms", ep->circuit_wait_ms));
}

static void succeeded(struct endpoint *ep)
{
    if (ep->circuit != CIRCUIT_CLOSED) {
        log_info("dispatch.circuit_closed", kv_i("endpoint", ep->id));
        ep->not_before_us = 0;
    }
    ep->circuit = CIRCUIT_CLOSED;
    ep->failed_in_row = 0;
    if (ep->window < (unsigned)ep->how->max_in_flight && ++ep->window_ok >= ep->window) {
        ep->window++;
        ep->window_ok = 0;
    }
}

void gate_ended(struct dispatch *d, struct endpoint *ep, const struct delivery *dl,
                int64_t retry_after_ms)
{
    if (str_eq(dl->status, "delivered")) {
        succeeded(ep);
        return;
    }
    bool throttled = dl->code == 429 || dl->code == 502 || dl->code == 504;
    ep->failed_in_row++;
    if (dl->code == 401 && ep->how->auth.kind == AUTH_OAUTH2)
        drop_token(ep);
    if (throttled || retry_after_ms) {
        int64_t wait = retry_after_ms ? retry_after_ms : d->conf->retry_base_ms;
        int64_t until =
            clock_mono_us() + (wait < throttle_wait_ms_max ? wait : throttle_wait_ms_max) * 1000;
        ep->window = ep->window > 1 ? ep->window / 2 : 1;
        ep->window_ok = 0;
        if (until > ep->not_before_us)
            ep->not_before_us = until;
    }
    if (ep->circuit == CIRCUIT_HALF ||
        (ep->circuit == CIRCUIT_CLOSED && ep->failed_in_row >= circuit_failures))
        trip(d, ep);
}
