/* What became of deliveries, and of their endpoints: results, members of batches, events. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/metrics.h"
#include "common/kit/outbox.h"
#include "common/kit/trace.h"
#include "services/webhooks-out/dispatch.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

/* --- what became of it --- */

enum standing { STAYS, BEGAN, TOLD, ENDED, EXHAUSTED }; /* of an endpoint's record of failures */
struct record {
    int64_t endpoint, since_us;
    int percent;
    enum standing what;
    const char *reason;
};

struct batch {
    struct dispatch *d;
    struct delivery *list[results_max];
    struct record records[results_max]; /* of endpoints, each once */
    size_t n, nrecords;
    bool tells, batches;     /* an event goes with it; some are batches */
    struct db_rows *changed; /* those whose row took the result */
};

static int dead_event(struct db_tx *tx, const struct batch *b, const struct delivery *dl,
                      struct err *err)
{
    struct arena *a = b->d->arena;
    json_t *data =
        json_in(a, json_pack("{s:s, s:{s:I}, s:{s:I}, s:s, s:s, s:s, s:s, s:i, s:s}", "id", dl->id,
                             "endpoint", "id", (json_int_t)dl->ep->id, "user", "id",
                             (json_int_t)dl->user_id, "event_id", dl->message_id + strlen("evt_"),
                             "event", dl->event, "entity", dl->entity, "status", "dead", "attempts",
                             (int)dl->n, "last_error", dl->error));
    json_t *payload = json_in(a, json_pack("{s:O, s:[], s:I}", "data", data, "changed", "owner_id",
                                           (json_int_t)dl->user_id));
    /* Two dead endpoints must not tell each other of their deaths for ever. */
    if (str_starts(dl->event, "webhook."))
        return 0;
    const struct outbox_event e = { .type = "webhook.delivery.dead",
                                    .key = arena_printf(a, "webhook_delivery:%s", dl->id),
                                    .payload = json_text(a, payload),
                                    .traceparent = dl->trace,
                                    .request_id = dl->request_id };
    return outbox_put(tx, a, &e, NULL, err);
}

/* --- an endpoint's record --- */

static const int told_at[] = { 50, 70, 90, 100 };
enum { began_us = 30 * 1000000 }; /* a failure that long is written down */

/* Under the lock: what its latest result means. */
static void judge(struct batch *b, struct endpoint *ep, const struct delivery *last)
{
    struct dispatch *d = b->d;
    struct record r = { .endpoint = ep->id,
                        .since_us = ep->failing_since_us,
                        .percent = ep->percent };
    int64_t spent_us = clock_us() - ep->failing_since_us, budget_s = d->conf->disable_after_s;
    int64_t percent = spent_us / 10000 / (budget_s ? budget_s : 1);
    if (ep->judged)
        return;
    ep->judged = true;
    if (last->gone) {
        r.what = EXHAUSTED;
        r.reason = "The endpoint answered 410.";
    } else if (str_eq(last->status, "delivered")) {
        r.what = ep->failing_saved ? ENDED : STAYS;
        ep->failing_since_us = 0; /* another failure begins anew */
    } else if (ep->failed_in_row >= health_failures_min && ep->failing_since_us) {
        for (size_t i = 0; i < ARRAY_LEN(told_at); i++)
            if (percent >= told_at[i] && told_at[i] > ep->percent)
                r.percent = told_at[i];
        r.what = r.percent > ep->percent ? (r.percent == 100 ? EXHAUSTED : TOLD)
                 : !ep->failing_saved && (percent >= 1 || spent_us >= began_us) ? BEGAN
                                                                                : STAYS;
        r.reason = "It failed for as long as is allowed.";
    }
    if (r.what == STAYS)
        return;
    b->records[b->nrecords++] = r;
    b->tells = true;
}

static int save_record(struct db_tx *tx, struct arena *a, const struct record *r, const char *type,
                       struct err *err)
{
    struct db_rows *rows;
    const struct db_val v[] = { db_i64(r->endpoint),
                                r->what == ENDED ? db_null() : db_i64(r->since_us),
                                db_i64(r->what == ENDED ? 0 : r->percent) };
    int rc = db_exec(tx, a, &sql_endpoint_failing, v, ARRAY_LEN(v), &rows, err);
    if (rc || !db_nrows(rows) || !type)
        return rc;
    return endpoint_event(tx, a, type, endpoint_json(a, rows), NULL, NULL, err);
}

static int write_record(struct db_tx *tx, struct arena *a, const struct record *r, struct err *err)
{
    struct db_rows *rows;
    const char *type = r->what == TOLD || (r->what == EXHAUSTED && r->percent == 100)
                           ? "webhook.endpoint.failing"
                       : r->what == ENDED && r->percent ? "webhook.endpoint.recovered"
                                                        : NULL;
    int rc = save_record(tx, a, r, type, err);
    if (rc || r->what != EXHAUSTED)
        return rc;
    const struct db_val v[] = { db_i64(r->endpoint), db_text(r->reason) };
    rc = db_exec(tx, a, &sql_endpoint_disable, v, ARRAY_LEN(v), &rows, err);
    if (rc || !db_nrows(rows))
        return rc;
    return endpoint_event(tx, a, "webhook.endpoint.disabled", endpoint_json(a, rows), NULL, NULL,
                          err);
}

/* Under the lock, after the commit. */
static void settle_record(struct dispatch *d, const struct record *r)
{
    struct endpoint *ep = endpoint_find(d, r->endpoint);
    if (!ep)
        return;
    if (r->what == ENDED) {
        ep->percent = 0;
        ep->failing_saved = false;
        return;
    }
    ep->percent = r->percent;
    ep->failing_saved = true;
    if (r->what == EXHAUSTED)
        ep->active = false;
}

/* --- results --- */

static bool was_changed(const struct batch *b, const struct delivery *dl)
{
    for (size_t i = 0; i < db_nrows(b->changed); i++)
        if (str_eq(db_str(b->changed, i, 0), dl->id))
            return true;
    return false;
}

enum { TEXTS = 8, NUMBERS = 8 };
struct results {
    struct db_val v[TEXTS + NUMBERS];
};

static void results_of(const struct batch *b, struct results *ret)
{
    struct arena *a = b->d->arena;
    const char **text[TEXTS];
    int64_t *num[NUMBERS];
    for (size_t c = 0; c < TEXTS; c++)
        text[c] = arena_alloc(a, b->n * sizeof(**text));
    for (size_t c = 0; c < NUMBERS; c++)
        num[c] = arena_alloc(a, b->n * sizeof(**num));
    for (size_t i = 0; i < b->n; i++) {
        const struct delivery *dl = b->list[i];
        const char *const texts[TEXTS] = { dl->id,      dl->status, dl->error, dl->reply,
                                           dl->address, dl->url,    dl->sent,  dl->reply_headers };
        const int64_t numbers[NUMBERS] = { dl->n,
                                           dl->code,
                                           dl->latency_us / 1000,
                                           dl->wait_ms,
                                           dl->dns_us ? dl->dns_us / 1000 : -1,
                                           dl->connect_us ? dl->connect_us / 1000 : -1,
                                           dl->tls_us ? dl->tls_us / 1000 : -1,
                                           dl->first_byte_us ? dl->first_byte_us / 1000 : -1 };
        for (size_t c = 0; c < TEXTS; c++)
            text[c][i] = texts[c];
        for (size_t c = 0; c < NUMBERS; c++)
            num[c][i] = numbers[c];
        if (dl->probe)
            num[0][i] = -num[0][i]; /* a probe */
    }
    for (size_t c = 0; c < TEXTS; c++)
        ret->v[c] = db_texts(text[c], b->n);
    for (size_t c = 0; c < NUMBERS; c++)
        ret->v[TEXTS + c] = db_i64s(num[c], b->n);
}

static int write_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct batch *b = ctx;
    struct arena *a = b->d->arena;
    struct results r;
    struct db_rows *rows;
    results_of(b, &r);
    int rc = db_exec(tx, a, &sql_attempts_add, r.v, ARRAY_LEN(r.v), &b->changed, err);
    if (!rc && b->batches)
        rc = db_exec(tx, a, &sql_members_follow, r.v, 1, &rows, err);
    for (size_t i = 0; i < b->n && !rc; i++)
        if (str_eq(b->list[i]->status, "dead") && was_changed(b, b->list[i]))
            rc = dead_event(tx, b, b->list[i], err);
    for (size_t i = 0; i < b->nrecords && !rc; i++)
        rc = write_record(tx, a, &b->records[i], err);
    return rc;
}

static void trace(const struct dispatch *d, const struct delivery *dl)
{
    char code[8];
    const char *error = str_eq(dl->status, "delivered") ? NULL
                        : dl->refused                   ? "egress_refused"
                        : dl->code                      ? code
                                                        : "unreachable";
    snprintf(code, sizeof code, "%d", (int)(dl->code % 1000));
    const struct span_attr attrs[] = {
        { .key = "http.request.method",        .text = "POST"       },
        { .key = "http.response.status_code",  .number = dl->code   },
        { .key = "http.request.resend_count",  .number = dl->n - 1  },
        { .key = "cms365.event",               .text = dl->event    },
        { .key = "cms365.webhook.endpoint_id", .number = dl->ep->id },
        { .key = "cms365.webhook.delivery_id", .text = dl->id       },
    };
    trace_put(d->svc->traces, &(struct span){ .traceparent = dl->trace,
                                              .kind = SPAN_CLIENT,
                                              .name = "deliver webhook",
                                              .error = error,
                                              .begin_us = dl->ended_us - dl->latency_us,
                                              .end_us = dl->ended_us,
                                              .attrs = attrs,
                                              .nattrs = ARRAY_LEN(attrs) });
}

static void account(const struct dispatch *d, const struct delivery *dl)
{
    static const char *const outcomes[] = { "delivered", "failed", "dead" };
    static struct metric_cell *cells[3], *seconds, *lag;
    struct log_context ctx = { 0 };
    if (!seconds) { /* the dispatcher's thread only */
        for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
            cells[i] = metric_cell(M_deliveries, &outcomes[i], 1);
        seconds = metric_cell(M_delivery_seconds, NULL, 0);
        lag = metric_cell(M_delivery_lag, NULL, 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
        if (str_eq(dl->status, outcomes[i]))
            metric_add(cells[i], 1);
    metric_observe_us(seconds, dl->latency_us);
    if (dl->n == 1)
        metric_observe_us(lag, dl->ended_us - dl->event_us);
    if (dl->refused)
        metric_inc(M_egress_refused);
    snprintf(ctx.request_id, sizeof(ctx.request_id), "%s", dl->request_id ? dl->request_id : "");
    if (dl->trace && strlen(dl->trace) > 35)
        snprintf(ctx.trace_id, sizeof(ctx.trace_id), "%.32s", dl->trace + 3);
    log_context_set(&ctx);
    if (trace_wants(d->svc->traces, dl->trace))
        trace(d, dl);
    log_info("webhook.attempt", kv_s("delivery", dl->id), kv_s("message", dl->message_id),
             kv_s("type", dl->event), kv_i("endpoint", dl->ep->id), kv_i("attempt", dl->n),
             kv_s("outcome", dl->status), kv_i("status", dl->code),
             kv_i("ms", dl->latency_us / 1000), kv_s("error", dl->error));
    log_context_set(NULL);
}

/* Under the lock. */
static void settle(struct delivery *dl, int64_t now)
{
    struct endpoint *ep = dl->ep;
    ep->unwritten--;
    ep->unwritten_failed -= !str_eq(dl->status, "delivered");
    ep->judged = false;
    if (str_eq(dl->status, "failed")) {
        int64_t due = now + dl->wait_ms * 1000;
        if (!ep->due_us || due < ep->due_us)
            ep->due_us = due;
    }
    if (endpoint_ordered(ep) || endpoint_batches(ep))
        ep->probe = true;
    delivery_free(dl);
}

/* Under the lock: the results there are, newest judged. */
static void collect(struct dispatch *d, struct batch *b)
{
    for (struct delivery *dl = d->results; dl && b->n < results_max; dl = dl->next) {
        b->list[b->n++] = dl;
        b->tells |= dl->batch || str_eq(dl->status, "dead");
        b->batches |= dl->batch;
    }
    for (size_t i = b->n; i-- > 0;)
        if (b->list[i]->gone || b->list[i]->ep->failing_since_us || b->list[i]->ep->failing_saved)
            judge(b, b->list[i]->ep, b->list[i]);
    d->rush = false;
}

int dispatch_write(struct dispatch *d, bool *ret_more, struct err *err)
{
    struct batch *b = arena_alloc(d->arena, sizeof(*b));
    int rc;
    b->d = d;
    dispatch_lock(d);
    collect(d, b);
    dispatch_unlock(d);
    *ret_more = b->n > 0;
    if (!b->n)
        return 0;
    if (b->tells) {
        rc = db_session_tx(d->session, write_tx, b, err);
    } else { /* one statement, one journey */
        struct results r;
        results_of(b, &r);
        rc = dispatch_run(d, &sql_attempts_add, r.v, ARRAY_LEN(r.v), &b->changed, err);
    }
    if (rc) { /* they stay in the list */
        dispatch_lock(d);
        for (size_t i = 0; i < b->n; i++)
            b->list[i]->ep->judged = false;
        dispatch_unlock(d);
        return rc;
    }
    if (b->tells)
        events_wake(d->svc);
    for (size_t i = 0; i < b->n; i++)
        account(b->d, b->list[i]);
    int64_t now = clock_mono_us();
    dispatch_lock(d);
    for (size_t i = 0; i < b->nrecords; i++)
        settle_record(d, &b->records[i]);
    for (size_t i = 0; i < b->n; i++) {
        d->results = b->list[i]->next;
        if (!d->results)
            d->results_tail = &d->results;
        settle(b->list[i], now);
    }
    d->nresults -= b->n;
    d->first_result_us = now;
    dispatch_unlock(d);
    return 0;
}

/* Receivers that agreed to be sent to. */
int dispatch_write_allowed(struct dispatch *d, struct err *err)
{
    struct db_rows *rows;
    int64_t list[3 * results_max];
    size_t n = 0;
    int rc = 0;
    dispatch_lock(d);
    bool any = d->allowed_unwritten;
    d->allowed_unwritten = false;
    for (size_t i = 0; any && i < endpoint_buckets; i++)
        for (struct endpoint *ep = d->endpoints[i]; ep; ep = ep->next) {
            if (!ep->allowed_unwritten || !ep->how)
                continue;
            if (n == results_max) {
                d->allowed_unwritten = true;
                break;
            }
            ep->allowed_unwritten = false;
            list[3 * n] = ep->id;
            list[3 * n + 1] = ep->allowed_rate;
            list[3 * n++ + 2] = ep->how->version;
        }
    dispatch_unlock(d);
    for (size_t i = 0; i < n && !rc; i++) {
        const struct db_val v[] = { db_i64(list[3 * i]), db_i64(list[3 * i + 1]),
                                    db_i64(list[3 * i + 2]) };
        rc = dispatch_run(d, &sql_endpoint_allowed, v, ARRAY_LEN(v), &rows, err);
    }
    return rc; /* what is lost is asked for again */
}
