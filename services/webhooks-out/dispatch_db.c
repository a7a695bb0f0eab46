/* The dispatcher's session: its shards, its endpoints, and what is due. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "services/webhooks-out/dispatch.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "webhooks-out/sql.h"

enum { windows_max = 20, window_rows = 64 };

int dispatch_run(struct dispatch *d, const struct db_stmt *s, const struct db_val *v, size_t n,
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
    dispatch_lock(d);
    d->deferred_us = 0;
    dispatch_unlock(d);
    /* A result that is lost with the machine is a delivery repeated, never one forgotten. */
    rc = db_session_script(d->session, "SET synchronous_commit = off", err);
    return rc ? rc : dispatch_run(d, &sql_shard_presence, NULL, 0, &rows, err);
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
    dispatch_lock(d);
    let_go(d, true, 0);
    dispatch_unlock(d);
}

static bool shard_busy(struct dispatch *d, size_t shard)
{
    bool busy = false;
    dispatch_lock(d);
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (const struct endpoint *ep = d->endpoints[i]; ep; ep = ep->next)
            busy |= (size_t)(ep->id % shards_max) == shard && (ep->in_flight || ep->unwritten);
    if (!busy)
        let_go(d, false, shard);
    dispatch_unlock(d);
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
        int rc = dispatch_run(d, &sql_shard_leave, &v, 1, &rows, err);
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
    int rc = dispatch_run(d, &sql_shard_replicas, NULL, 0, &rows, err);
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
        rc = dispatch_run(d, &sql_shard_take, &v, 1, &rows, err);
        if (rc || !db_get_bool(rows, 0, 0))
            continue;
        d->shard[shard] = true;
        d->nshards++;
        d->reload_us = d->poll_us = 0;
    }
    return rc;
}

/* --- endpoints --- */

/* Under the lock: who is new or was changed. */
static size_t changed_endpoints(struct dispatch *d, const struct db_rows *r, int64_t *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < db_nrows(r); i++) {
        int64_t id = db_get_i64(r, i, 0);
        struct endpoint *ep = endpoint_find(d, id);
        if (!ep)
            ep = endpoint_add(d, id);
        ep->seen = true;
        if (!ep->mine)
            ep->probe = true;
        ep->mine = true;
        int64_t version = db_get_i64(r, i, 1);
        if (ep->broken != version && (!ep->how || ep->how->version != version))
            ret[n++] = id;
    }
    return n;
}

static int load_secrets(struct dispatch *d, struct sending **how, size_t n, const int64_t *ids,
                        size_t nids, struct err *err)
{
    struct db_rows *rows;
    struct db_val v = db_i64s(ids, nids);
    int rc = dispatch_run(d, &sql_secrets_live, &v, 1, &rows, err);
    for (size_t i = 0, at = 0; !rc && i < db_nrows(rows); i++) {
        struct err why;
        int64_t id = db_get_i64(rows, i, 0);
        while (at < n && (!how[at] || how[at]->id < id))
            at++;
        if (at == n || how[at]->id != id)
            continue;
        if (sending_add_secret(how[at], d->svc->keyring, db_str(rows, i, 1), db_str(rows, i, 2),
                               db_get_i64(rows, i, 3), &why)) {
            log_error("dispatch.secret", kv_i("endpoint", id), kv_s("error", why.msg));
            how[at]->active = false;
        }
    }
    return rc;
}

/* Under the lock.  It cannot be read: nothing is sent until it is changed. */
static void take_broken(struct dispatch *d, int64_t id, int64_t version)
{
    struct endpoint *ep = endpoint_find(d, id);
    if (!ep)
        return;
    ep->broken = version;
    ep->active = false;
}

/* Under the lock.  Owned by the endpoint from now on. */
static void take_sending(struct dispatch *d, struct sending *how)
{
    struct endpoint *ep = endpoint_find(d, how->id);
    if (!ep) {
        sending_free(how);
        return;
    }
    gate_set(ep, how);
    endpoint_drop_queue(ep);
}

static int load_endpoints(struct dispatch *d, const int64_t *ids, size_t n, struct err *err)
{
    struct db_rows *rows;
    struct db_val v = db_i64s(ids, n);
    int rc = n ? dispatch_run(d, &sql_endpoints_sending, &v, 1, &rows, err) : 0;
    if (rc || !n)
        return rc;
    size_t m = db_nrows(rows);
    struct sending **how = arena_alloc(d->arena, (m + 1) * sizeof(struct sending *));
    for (size_t i = 0; i < m; i++) {
        struct err why;
        how[i] = sending_of_row(d->svc->keyring, rows, i, &why);
        if (!how[i])
            log_error("dispatch.endpoint", kv_i("endpoint", db_get_i64(rows, i, 0)),
                      kv_s("error", why.msg));
    }
    rc = load_secrets(d, how, m, ids, n, err);
    dispatch_lock(d);
    for (size_t i = 0; i < m; i++) {
        if (how[i] && !rc)
            take_sending(d, how[i]);
        else if (!how[i])
            take_broken(d, db_get_i64(rows, i, 0), db_get_i64(rows, i, 1));
        else
            sending_free(how[i]);
    }
    dispatch_unlock(d);
    return rc;
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
    int rc = dispatch_run(d, &sql_endpoints_mine, v, 2, &rows, err);
    if (rc)
        return rc;
    int64_t *changed = arena_alloc(d->arena, (db_nrows(rows) + 1) * sizeof(*changed));
    dispatch_lock(d);
    n = changed_endpoints(d, rows, changed);
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (struct endpoint *ep = d->endpoints[i], *next; ep; ep = next) {
            next = ep->next;
            if (!ep->seen)
                endpoint_gone(d, ep);
            else
                ep->seen = false;
        }
    dispatch_unlock(d);
    return load_endpoints(d, changed, n, err);
}

/* --- what is due --- */

void dispatch_take(struct dispatch *d, struct endpoint *ep, const struct db_rows *r, size_t i)
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
    int64_t *many, *rooms, *ordered, *batches;
    size_t nmany, nordered, nbatches;
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

/* Has it room, and a reason to be looked at? */
static bool is_wanted(const struct endpoint *ep, bool all)
{
    if (!ep->mine || !ep->active || !ep->how || !(all || ep->probe) || ep->nqueue >= queue_max / 2)
        return false;
    return !endpoint_ordered(ep) || !ep->unwritten_failed; /* asked again when it is written */
}

/* What each may read ahead: all together no more than may be held; one with nothing gets one. */
static int64_t share_of(const struct dispatch *d, size_t wanted)
{
    size_t each = d->nheld ? d->held_bytes / d->nheld : 0;
    each = each > held_bytes_least ? each : held_bytes_least;
    size_t bytes = d->held_bytes < held_bytes_max ? held_bytes_max - d->held_bytes : 0;
    size_t left = d->nheld < held_max ? held_max - d->nheld : 0;
    left = left < bytes / each ? left : bytes / each;
    return wanted ? (int64_t)(left / wanted) : 0;
}

/* Under the lock. */
static void choose(struct dispatch *d, bool all, struct probe *p)
{
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (struct endpoint *ep = d->endpoints[i]; ep; ep = ep->next) {
            endpoint_pump(d, ep);
            n += is_wanted(ep, all);
        }
    int64_t share = share_of(d, n);
    *p = (struct probe){ .many = arena_alloc(d->arena, (n + 1) * sizeof(int64_t)),
                         .rooms = arena_alloc(d->arena, (n + 1) * sizeof(int64_t)),
                         .ordered = arena_alloc(d->arena, (n + 1) * sizeof(int64_t)),
                         .batches = arena_alloc(d->arena, (n + 1) * sizeof(int64_t)) };
    for (size_t i = 0; i < endpoint_buckets; i++)
        for (struct endpoint *ep = d->endpoints[i]; ep; ep = ep->next) {
            int64_t room = queue_max - (int64_t)ep->nqueue;
            if (!is_wanted(ep, all) || (!share && ep->held))
                continue;
            room = share < 1 ? 1 : share < room ? share : room;
            if (endpoint_batches(ep)) {
                p->batches[p->nbatches++] = ep->id;
            } else if (endpoint_ordered(ep)) {
                p->ordered[p->nordered++] = ep->id;
            } else {
                p->many[p->nmany] = ep->id;
                p->rooms[p->nmany++] = room;
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
    int rc = p->nmany ? dispatch_run(d, &sql_deliveries_due, v, 3, &rows, err) : 0;
    if (rc || !p->nmany)
        return rc;
    dispatch_lock(d);
    for (size_t i = 0; i < p->nmany; i++) {
        struct endpoint *ep = endpoint_find(d, p->many[i]);
        if (ep)
            ep->taken = 0;
    }
    for (size_t i = 0; i < db_nrows(rows); i++) {
        struct endpoint *ep = endpoint_find(d, db_get_i64(rows, i, 1));
        if (!ep || !ep->mine || !ep->active || endpoint_ordered(ep) || endpoint_batches(ep))
            continue;
        ep->taken++;
        /* Handed over since it was asked for: known until this thread writes its result. */
        if (!delivery_held(ep, db_str(rows, i, 0)))
            dispatch_take(d, ep, rows, i);
    }
    for (size_t i = 0; i < p->nmany; i++) {
        struct endpoint *ep = endpoint_find(d, p->many[i]);
        if (!ep)
            continue;
        ep->behind = (int64_t)ep->taken >= p->rooms[i];
        ep->probe |= ep->behind;
        endpoint_pump(d, ep);
    }
    dispatch_unlock(d);
    return 0;
}

static bool is_blocked(const char *const *keys, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(keys[i], key))
            return true;
    return false;
}

/* As many of its entity as are read ahead? */
static bool is_enough(const struct endpoint *ep, const char *key)
{
    size_t n = 0, most = ep->how->max_in_flight == 1 ? queue_max : queue_per_key_max;
    for (const struct delivery *dl = ep->held; dl; dl = dl->held)
        n += !dl->status && str_eq(dl->entity, key);
    return n >= most;
}

/* Under the lock: in order, but what waits for its retry holds the later ones of its entity, until
 * the endpoint's patience ends. */
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
        bool due = db_get_bool(r, i, 11), waited = db_get_bool(r, i, 15);
        if ((!due && !waited) || (due && (is_enough(ep, key) || ep->nqueue >= queue_max))) {
            keys[(*nblocked)++] = key;
            continue;
        }
        if (!due)
            continue;
        dispatch_take(d, ep, r, i);
        taken++;
    }
    return taken;
}

static int probe_ordered(struct dispatch *d, int64_t id, struct err *err)
{
    const char **blocked = NULL;
    size_t nblocked = 0, taken = 0;
    int64_t after = 0;
    dispatch_lock(d);
    struct endpoint *ep = endpoint_find(d, id);
    uint64_t failures = ep ? ep->failures : 0;
    int64_t patience = ep && ep->how ? ep->how->order_timeout_us / 1000 : 0;
    dispatch_unlock(d);
    for (int i = 0; i < windows_max && !taken; i++) {
        struct db_rows *rows;
        struct db_val v[] = { db_i64(id), db_i64(after), db_i64(window_rows), db_i64(patience) };
        int rc = dispatch_run(d, &sql_deliveries_ordered, v, ARRAY_LEN(v), &rows, err);
        if (rc)
            return rc;
        size_t n = db_nrows(rows);
        dispatch_lock(d);
        ep = endpoint_find(d, id);
        bool usable =
            ep && ep->mine && ep->active && ep->failures == failures && endpoint_ordered(ep);
        if (usable) {
            taken = take_ordered(d, ep, rows, &blocked, &nblocked);
            ep->probe |= taken > 0;
            endpoint_pump(d, ep);
        } else if (ep) {
            ep->probe = true;
        }
        dispatch_unlock(d);
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
    dispatch_lock(d);
    choose(d, all, &p);
    dispatch_unlock(d);
    int rc = probe_many(d, &p, err);
    if (!rc && p.nbatches)
        rc = dispatch_batches(d, p.batches, p.nbatches, err);
    if (rc || !p.nordered)
        return rc;
    if (p.nordered == 1)
        return probe_ordered(d, p.ordered[0], err);
    struct db_val v = db_i64s(p.ordered, p.nordered);
    rc = dispatch_run(d, &sql_deliveries_any, &v, 1, &rows, err);
    for (size_t i = 0; !rc && i < db_nrows(rows); i++)
        rc = probe_ordered(d, db_get_i64(rows, i, 0), err);
    return rc;
}
