/* The dispatcher's session: its shards, its endpoints, what is due, and what became of it. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/kit/metrics.h"
#include "common/kit/outbox.h"
#include "services/webhooks-out/dispatch.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

enum { windows_max = 20, window_rows = 64 };

static void lock(struct dispatch *d)
{
    if (pthread_mutex_lock(&d->lock) != 0)
        abort();
}

static void unlock(struct dispatch *d)
{
    if (pthread_mutex_unlock(&d->lock) != 0)
        abort();
}

static int run(struct dispatch *d, const struct db_stmt *s, const struct db_val *v, size_t n,
               struct db_rows **ret, struct err *err)
{
    return db_session_exec(d->session, d->arena, s, v, n, ret, err);
}

/* --- session and shards --- */

int dispatch_open(struct dispatch *d, struct err *err)
{
    struct db_rows *rows;
    int rc = db_session_open(svc_db_conf(d->svc), &d->session, err);
    if (rc)
        return rc;
    d->balance_us = d->reload_us = 0;
    /* A result that is lost with the machine is a delivery repeated, never one forgotten. */
    rc = db_session_script(d->session, "SET synchronous_commit = off", err);
    return rc ? rc : run(d, &sql_shard_presence, NULL, 0, &rows, err);
}

/* Under the lock. */
static void let_go(struct dispatch *d, bool every, size_t shard)
{
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (struct endpoint *ep = d->endpoints[i], *next; ep; ep = next) {
            next = ep->next;
            if (!every && (size_t)(ep->id % shards_max) != shard)
                continue;
            ep->mine = false;
            endpoint_drop_queue(ep);
        }
}

void dispatch_close(struct dispatch *d)
{
    if (!d->session)
        return;
    db_session_close(d->session);
    d->session = NULL;
    d->nshards = 0;
    for (size_t i = 0; i < shards_max; i++)
        d->shard[i] = false;
    lock(d);
    let_go(d, true, 0);
    unlock(d);
}

static bool shard_busy(struct dispatch *d, size_t shard)
{
    bool busy = false;
    lock(d);
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (const struct endpoint *ep = d->endpoints[i]; ep; ep = ep->next)
            busy |= (size_t)(ep->id % shards_max) == shard && (ep->in_flight || ep->unwritten);
    if (!busy)
        let_go(d, false, shard);
    unlock(d);
    return busy;
}

/* Others wait for what is too much here; a shard with something under way is kept for now. */
static int leave_some(struct dispatch *d, size_t share, struct err *err)
{
    struct db_rows *rows;
    for (size_t i = 0; i < shards_max && d->nshards > share; i++) {
        if (!d->shard[i] || shard_busy(d, i))
            continue;
        struct db_val v = db_i64((int64_t)i);
        int rc = run(d, &sql_shard_leave, &v, 1, &rows, err);
        if (rc)
            return rc;
        d->shard[i] = false;
        d->nshards--;
        d->reload_us = 0;
    }
    return 0;
}

int dispatch_balance(struct dispatch *d, struct err *err)
{
    struct db_rows *rows;
    int rc = run(d, &sql_shard_replicas, NULL, 0, &rows, err);
    if (rc)
        return rc;
    d->replicas = (size_t)db_get_i64(rows, 0, 0);
    size_t n = d->replicas ? d->replicas : 1, share = (shards_max + n - 1) / n;
    size_t start = (size_t)random_below(shards_max);
    rc = leave_some(d, share, err);
    for (size_t i = 0; i < shards_max && d->nshards < share && !rc; i++) {
        size_t shard = (start + i) % shards_max;
        if (d->shard[shard])
            continue;
        struct db_val v = db_i64((int64_t)shard);
        rc = run(d, &sql_shard_take, &v, 1, &rows, err);
        if (rc || !db_get_bool(rows, 0, 0))
            continue;
        d->shard[shard] = true;
        d->nshards++;
        d->reload_us = d->poll_us = 0;
    }
    return rc;
}

/* --- endpoints --- */

static void set_text(char **at, const char *text)
{
    free(*at);
    *at = strdup(text);
    if (!*at)
        abort();
}

/* Under the lock. */
static void take_endpoint(struct dispatch *d, const struct db_rows *r, size_t i)
{
    struct endpoint *ep = endpoint_find(d, db_get_i64(r, i, 0));
    const char *secret;
    struct err err;
    if (!ep)
        ep = endpoint_add(d, db_get_i64(r, i, 0));
    ep->seen = true;
    if (!ep->mine)
        ep->probe = true;
    ep->mine = true;
    if (ep->version == db_get_i64(r, i, 5))
        return;
    if (secret_open(d->svc->keyring, d->arena, ep->id, db_str(r, i, 2), &secret, &err)) {
        log_error("dispatch.secret", kv_i("endpoint", ep->id), kv_s("error", err.msg));
        ep->active = false;
        return;
    }
    set_text(&ep->url, db_str(r, i, 1));
    set_text(&ep->secret, secret);
    ep->version = db_get_i64(r, i, 5);
    ep->max = db_get_i64(r, i, 3);
    ep->active = db_get_bool(r, i, 4);
    endpoint_drop_queue(ep);
}

int dispatch_reload(struct dispatch *d, struct err *err)
{
    int64_t mine[shards_max];
    size_t n = 0;
    struct db_rows *rows;
    for (size_t i = 0; i < shards_max; i++)
        if (d->shard[i])
            mine[n++] = (int64_t)i;
    struct db_val v[] = { db_i64(shards_max), db_i64s(mine, n) };
    int rc = run(d, &sql_endpoints_mine, v, 2, &rows, err);
    if (rc)
        return rc;
    lock(d);
    for (size_t i = 0; i < db_nrows(rows); i++)
        take_endpoint(d, rows, i);
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (struct endpoint *ep = d->endpoints[i], *next; ep; ep = next) {
            next = ep->next;
            if (!ep->seen)
                endpoint_gone(d, ep);
            else
                ep->seen = false;
        }
    unlock(d);
    return 0;
}

/* --- what is due --- */

static void take_delivery(struct dispatch *d, struct endpoint *ep, const struct db_rows *r,
                          size_t i)
{
    struct offer o = { .id = db_str(r, i, 0),
                       .event_id = db_str(r, i, 2),
                       .entity = db_str(r, i, 3),
                       .trace = db_str(r, i, 7),
                       .request_id = db_str(r, i, 8),
                       .event_us = db_get_i64(r, i, 9),
                       .event = db_str(r, i, 13),
                       .user_id = db_get_i64(r, i, 14) };
    o.body = db_cell(r, i, 6, &o.body_n);
    struct delivery *dl = delivery_new(d, &o);
    dl->n = (unsigned)db_get_i64(r, i, 4) + 1;
    dl->before = (unsigned)db_get_i64(r, i, 5);
    endpoint_hold(ep, dl);
    endpoint_push(ep, dl);
}

struct probe { /* endpoints to be looked at */
    int64_t *many, *rooms, *ordered;
    size_t nmany, nordered;
    const char **held;
    size_t nheld;
};

static void add_held(struct probe *p, const struct endpoint *ep, struct arena *a, size_t *cap)
{
    for (const struct delivery *dl = ep->held; dl; dl = dl->held) {
        if (p->nheld == *cap) {
            *cap = *cap ? 2 * *cap : 64;
            const char **more = arena_alloc(a, *cap * sizeof(*more));
            if (p->nheld)
                memcpy(more, p->held, p->nheld * sizeof(*more));
            p->held = more;
        }
        p->held[p->nheld++] = arena_strdup(a, dl->id);
    }
}

/* Under the lock: who has room and a reason to be looked at. */
static void choose(struct dispatch *d, bool all, struct probe *p)
{
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (const struct endpoint *ep = d->endpoints[i]; ep; ep = ep->next)
            n++;
    *p = (struct probe){ .many = arena_alloc(d->arena, (n + 1) * sizeof(int64_t)),
                         .rooms = arena_alloc(d->arena, (n + 1) * sizeof(int64_t)),
                         .ordered = arena_alloc(d->arena, (n + 1) * sizeof(int64_t)) };
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (struct endpoint *ep = d->endpoints[i]; ep; ep = ep->next) {
            endpoint_pump(d, ep);
            if (!ep->mine || !ep->active || !(all || ep->probe))
                continue;
            if (endpoint_ordered(ep)) {
                if (ep->nqueue || ep->unwritten)
                    continue; /* asked again when these are gone */
                p->ordered[p->nordered++] = ep->id;
            } else {
                if (ep->nqueue >= queue_max / 2)
                    continue;
                p->many[p->nmany] = ep->id;
                p->rooms[p->nmany++] = queue_max - (int64_t)ep->nqueue;
                add_held(p, ep, d->arena, &cap);
            }
            ep->probe = false;
        }
}

static int probe_many(struct dispatch *d, const struct probe *p, struct err *err)
{
    struct db_rows *rows;
    struct db_val v[] = { db_i64s(p->many, p->nmany), db_i64s(p->rooms, p->nmany),
                          db_texts(p->held, p->nheld) };
    int rc = p->nmany ? run(d, &sql_deliveries_due, v, 3, &rows, err) : 0;
    if (rc || !p->nmany)
        return rc;
    lock(d);
    for (size_t i = 0; i < p->nmany; i++) {
        struct endpoint *ep = endpoint_find(d, p->many[i]);
        if (ep)
            ep->taken = 0;
    }
    for (size_t i = 0; i < db_nrows(rows); i++) {
        struct endpoint *ep = endpoint_find(d, db_get_i64(rows, i, 1));
        if (!ep || !ep->mine || !ep->active || endpoint_ordered(ep))
            continue;
        ep->taken++;
        /* Handed over since it was asked for: known until this thread writes its result. */
        if (!delivery_held(ep, db_str(rows, i, 0)))
            take_delivery(d, ep, rows, i);
    }
    for (size_t i = 0; i < p->nmany; i++) {
        struct endpoint *ep = endpoint_find(d, p->many[i]);
        if (!ep)
            continue;
        ep->behind = (int64_t)ep->taken >= p->rooms[i];
        ep->probe |= ep->behind;
        endpoint_pump(d, ep);
    }
    unlock(d);
    return 0;
}

static bool is_blocked(const char *const *keys, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(keys[i], key))
            return true;
    return false;
}

/* Under the lock: in order, but what waits for its retry holds the later ones of its key. */
static size_t take_ordered(struct dispatch *d, struct endpoint *ep, const struct db_rows *r,
                           const char ***blocked, size_t *nblocked)
{
    size_t taken = 0, n = db_nrows(r);
    const char **keys = arena_alloc(d->arena, (*nblocked + n + 1) * sizeof(*keys));
    if (*nblocked)
        memcpy(keys, *blocked, *nblocked * sizeof(*keys));
    *blocked = keys;
    for (size_t i = 0; i < n; i++) {
        const char *key = db_str(r, i, 3);
        if (delivery_held(ep, db_str(r, i, 0)) || is_blocked(keys, *nblocked, key))
            continue;
        if (!db_get_bool(r, i, 11)) {
            keys[(*nblocked)++] = key;
            continue;
        }
        take_delivery(d, ep, r, i);
        taken++;
    }
    return taken;
}

static int probe_ordered(struct dispatch *d, int64_t id, struct err *err)
{
    const char **blocked = NULL;
    size_t nblocked = 0, taken = 0;
    int64_t after = 0;
    lock(d);
    struct endpoint *ep = endpoint_find(d, id);
    uint64_t failures = ep ? ep->failures : 0;
    unlock(d);
    for (int i = 0; i < windows_max && !taken; i++) {
        struct db_rows *rows;
        struct db_val v[] = { db_i64(id), db_i64(after), db_i64(window_rows) };
        int rc = run(d, &sql_deliveries_ordered, v, 3, &rows, err);
        if (rc)
            return rc;
        size_t n = db_nrows(rows);
        lock(d);
        ep = endpoint_find(d, id);
        bool usable = ep && ep->mine && ep->active && ep->failures == failures && !ep->nqueue;
        if (usable) {
            taken = take_ordered(d, ep, rows, &blocked, &nblocked);
            ep->probe |= taken > 0;
            endpoint_pump(d, ep);
        } else if (ep) {
            ep->probe = true;
        }
        unlock(d);
        if (!usable || n < window_rows)
            break;
        after = db_get_i64(rows, n - 1, 12);
    }
    return 0;
}

int dispatch_probe(struct dispatch *d, bool all, struct err *err)
{
    struct probe p;
    struct db_rows *rows;
    lock(d);
    choose(d, all, &p);
    unlock(d);
    int rc = probe_many(d, &p, err);
    if (rc || !p.nordered)
        return rc;
    if (p.nordered == 1)
        return probe_ordered(d, p.ordered[0], err);
    struct db_val v = db_i64s(p.ordered, p.nordered);
    rc = run(d, &sql_deliveries_any, &v, 1, &rows, err);
    for (size_t i = 0; !rc && i < db_nrows(rows); i++)
        rc = probe_ordered(d, db_get_i64(rows, i, 0), err);
    return rc;
}

/* --- what became of it --- */

struct batch {
    struct dispatch *d;
    struct delivery *list[results_max];
    size_t n;
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

static int pause_endpoint(struct db_tx *tx, const struct batch *b, const struct delivery *dl,
                          struct err *err)
{
    struct db_rows *rows;
    struct db_val v = db_i64(dl->ep->id);
    int rc = db_exec(tx, b->d->arena, &sql_endpoint_pause, &v, 1, &rows, err);
    if (rc || !db_nrows(rows))
        return rc;
    return endpoint_event(tx, b->d->arena, "webhook.endpoint.disabled",
                          endpoint_json(b->d->arena, rows), NULL, NULL, err);
}

static bool was_changed(const struct batch *b, const struct delivery *dl)
{
    for (size_t i = 0; i < db_nrows(b->changed); i++)
        if (str_eq(db_str(b->changed, i, 0), dl->id))
            return true;
    return false;
}

struct results {
    struct db_val v[9];
};

static void results_of(const struct batch *b, struct results *ret)
{
    struct arena *a = b->d->arena;
    const char **text[5];
    int64_t *num[4];
    for (size_t c = 0; c < ARRAY_LEN(text); c++)
        text[c] = arena_alloc(a, b->n * sizeof(**text));
    for (size_t c = 0; c < ARRAY_LEN(num); c++)
        num[c] = arena_alloc(a, b->n * sizeof(**num));
    for (size_t i = 0; i < b->n; i++) {
        const struct delivery *dl = b->list[i];
        text[0][i] = dl->id;
        text[1][i] = dl->status;
        text[2][i] = dl->error;
        text[3][i] = dl->reply ? dl->reply : "";
        text[4][i] = dl->address;
        num[0][i] = dl->n;
        num[1][i] = dl->code;
        num[2][i] = dl->latency_us / 1000;
        num[3][i] = dl->wait_ms;
    }
    *ret = (struct results){
        { db_texts(text[0], b->n), db_texts(text[1], b->n), db_i64s(num[0], b->n),
         db_i64s(num[1], b->n), db_i64s(num[2], b->n), db_texts(text[2], b->n),
         db_texts(text[3], b->n), db_texts(text[4], b->n), db_i64s(num[3], b->n) }
    };
}

static int write_tx(struct db_tx *tx, void *ctx, struct err *err)
{
    struct batch *b = ctx;
    struct results r;
    results_of(b, &r);
    int rc = db_exec(tx, b->d->arena, &sql_attempts_add, r.v, ARRAY_LEN(r.v), &b->changed, err);
    for (size_t i = 0; i < b->n && !rc; i++) {
        const struct delivery *dl = b->list[i];
        if (str_eq(dl->status, "dead") && was_changed(b, dl))
            rc = dead_event(tx, b, dl, err);
        if (dl->gone && !rc)
            rc = pause_endpoint(tx, b, dl, err);
    }
    return rc;
}

static void account(const struct delivery *dl)
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
    if (str_eq(dl->status, "failed")) {
        int64_t due = now + dl->wait_ms * 1000;
        if (!ep->due_us || due < ep->due_us)
            ep->due_us = due;
    }
    delivery_free(dl);
}

int dispatch_write(struct dispatch *d, bool *ret_more, struct err *err)
{
    struct batch *b = arena_alloc(d->arena, sizeof(*b));
    b->d = d;
    lock(d);
    bool tells = false; /* an event goes with it */
    for (struct delivery *dl = d->results; dl && b->n < results_max; dl = dl->next) {
        b->list[b->n++] = dl;
        tells |= dl->gone || str_eq(dl->status, "dead");
    }
    d->rush = false;
    unlock(d);
    *ret_more = b->n > 0;
    if (!b->n)
        return 0;
    int rc;
    if (tells) {
        rc = db_session_tx(d->session, write_tx, b, err);
    } else { /* one statement, one journey */
        struct results r;
        results_of(b, &r);
        rc = run(d, &sql_attempts_add, r.v, ARRAY_LEN(r.v), &b->changed, err);
    }
    if (rc)
        return rc; /* they stay in the list */
    if (tells)
        events_wake(d->svc);
    for (size_t i = 0; i < b->n; i++)
        account(b->list[i]);
    int64_t now = clock_mono_us();
    lock(d);
    for (size_t i = 0; i < b->n; i++) {
        d->results = b->list[i]->next;
        if (!d->results)
            d->results_tail = &d->results;
        settle(b->list[i], now);
    }
    d->nresults -= b->n;
    d->first_result_us = now;
    unlock(d);
    return 0;
}
