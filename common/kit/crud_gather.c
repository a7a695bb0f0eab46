/*
 * Inserts that wait share a statement.
 *
 * What a row costs beyond itself (the statement's start, its round trip, its commit and the wait
 * for the disk, the count that it adds to) is paid once a statement.  So while an insert of an
 * entity is under way on an event loop, those that come wait for its end and then go together, in
 * the transaction of one of them.  Nobody waits for company: the first goes at once and alone.
 *
 * One that is alone may find itself waiting for a lock for long; after gather_lock_ms those behind
 * it wait no more.
 *
 * Each keeps its own outcome.  What the statement left out, and all of them if it failed, is
 * inserted alone, as if it had been so from the start; only if nobody knows whether the statement
 * was done (the connection broke, no answer came in time) all get that answer.
 */
#include "common/kit/crud_write_int.h"

#include "common/base/fiber.h"
#include "common/base/str.h"
#include "common/kit/svc.h"

#include <assert.h>

enum {
    gather_entities_max = 16,
    gather_rows_max = 32,
    gather_start_rows = 16,         /* so many that wait go, whatever is under way, */
    gather_running_max = 4,         /* unless it is this many statements */
    gather_bytes_max = 1024 * 1024, /* of bodies, beyond the first */
    gather_lock_ms = 100,           /* that a statement of many waits for anybody's lock, */
                                    /* and those behind one alone for its end */
};

enum gather_outcome { GATHER_WAITING, GATHER_LEADS, GATHER_DONE, GATHER_ALONE };
struct gather_item { /* on the stack of the fiber that waits */
    struct write *w;
    struct fiber *fiber;
    enum gather_outcome outcome;
    int rc;
    struct err err;
    struct gather_batch *batch;
    struct gather_item *next;
};
struct gather { /* of one entity on one loop */
    const struct crud *c;
    unsigned running; /* statements under way, or about to be */
    struct gather_item *head, **tail;
    size_t waiting;
};
struct gather_batch {
    struct arena *arena; /* of all this, and of the rows */
    size_t holders;
};

static struct gather *gather_of(const struct crud *c)
{
    static _Thread_local struct gather all[gather_entities_max];
    size_t i = 0;
    while (i < gather_entities_max && all[i].c && all[i].c != c)
        i++;
    if (i == gather_entities_max)
        return NULL;
    if (!all[i].c) {
        all[i].c = c;
        all[i].tail = &all[i].head;
    }
    return &all[i];
}

static void push(struct gather *g, struct gather_item *it)
{
    it->next = NULL;
    *g->tail = it;
    g->tail = &it->next;
    g->waiting++;
}

static struct gather_item *take(struct gather *g)
{
    struct gather_item *it = g->head;
    g->head = it->next;
    if (!g->head)
        g->tail = &g->head;
    g->waiting--;
    return it;
}

/* The leader and as many of those that wait as go into one statement. */
static size_t take_batch(struct gather *g, struct gather_item *leader, struct gather_item **ret)
{
    size_t n = 1, bytes = 0;
    ret[0] = leader;
    while (g->head && n < gather_rows_max) {
        bytes += g->head->w->req->raw_body_n;
        if (bytes > gather_bytes_max)
            break;
        ret[n++] = take(g);
    }
    return n;
}

int write_many(const struct req *req, struct write *const *w, size_t n, unsigned lock_ms,
               struct err *err)
{
    const struct db_val **rows = arena_alloc(req->arena, n * sizeof(*rows));
    struct db_val v[sqlgen_params_max];
    struct db_rows *done;
    size_t cols = 0;
    bool answer = false;
    for (size_t i = 0; i < n; i++) {
        struct db_val *row = arena_raw(req->arena, sqlgen_params_max * sizeof(*row));
        cols = write_insert_params(w[i], true, row);
        rows[i] = row;
        w[i]->rows = NULL;
        answer = answer || w[i]->prefer.answer != PREFER_MINIMAL;
    }
    assert(cols + sqlgen_many_first <= sqlgen_params_max);
    v[0] = lock_ms ? db_i64(lock_ms) : db_null();
    v[1] = db_bool(answer);
    for (size_t k = 0; k < cols; k++)
        v[k + sqlgen_many_first] = db_column(rows, n, k);
    int rc = crud_change_query(req, w[0]->c, &w[0]->c->write[SQL_INSERT_MANY], v,
                               cols + sqlgen_many_first, &done, err);
    for (size_t i = 0; rc >= 0 && i < db_nrows(done); i++) {
        struct write *one = w[db_get_i64(done, i, WR_ORD) - 1];
        one->rows = done;
        one->at = i;
    }
    return rc;
}

static void batch_release(struct gather_batch *b)
{
    if (--b->holders == 0)
        arena_free(b->arena);
}

static void start_next(struct gather *g)
{
    struct gather_item *next = take(g);
    next->outcome = GATHER_LEADS;
    fiber_wake(next->fiber);
}

/* The turn passes to the first of those that came meanwhile. */
static void pass_turn(struct gather *g)
{
    if (g->head)
        start_next(g);
    else
        g->running--;
}

/* It goes on alone, but who waits behind it does so no more: it may wait for somebody's lock. */
static void on_slow(struct timer *t)
{
    struct gathered *g = container_of(t, struct gathered, slow);
    pass_turn(g->gather);
    g->gather = NULL;
}

/* Nobody knows whether the statement was done.  Not so if it was ended over a lock. */
static bool fate_unknown(int rc, const struct err *err)
{
    return rc == -E_unavailable || (rc == -E_timeout && !str_starts(err->detail, "55P03"));
}

/* Runs the statement and tells each its outcome.  True: there was nobody else, and the turn is
 * still the leader's. */
static bool lead(struct gather *g, struct gather_item *leader)
{
    struct gather_item *items[gather_rows_max];
    size_t n = take_batch(g, leader, items);
    struct err err = { 0 };
    if (n == 1) {
        leader->outcome = GATHER_ALONE;
        return true;
    }
    struct arena *a = arena_new();
    struct gather_batch *b = arena_alloc(a, sizeof(*b));
    struct write *writes[gather_rows_max];
    struct req via = *leader->w->req;
    *b = (struct gather_batch){ .arena = a, .holders = 1 };
    via.arena = a;
    for (size_t i = 0; i < n; i++)
        writes[i] = items[i]->w;
    int rc = write_many(&via, writes, n, gather_lock_ms, &err);
    bool unknown = fate_unknown(rc, &err);
    for (size_t i = 0; i < n; i++) {
        struct gather_item *it = items[i];
        bool done = rc >= 0 && it->w->rows;
        it->outcome = done || unknown ? GATHER_DONE : GATHER_ALONE;
        it->rc = rc;
        it->err = err;
        it->batch = done ? b : NULL;
        b->holders += done;
    }
    batch_release(b);
    for (size_t i = 1; i < n; i++)
        fiber_wake(items[i]->fiber);
    pass_turn(g);
    return false;
}

bool write_gathered(struct write *w, struct gathered *ret, int *ret_rc, struct err *err)
{
    struct gather_item me = { .w = w, .fiber = fiber_self() };
    struct gather *g = NULL;
    *ret = (struct gathered){ 0 };
    if (me.fiber && !w->req->tx && w->c->write[SQL_INSERT_MANY].sql)
        g = gather_of(w->c);
    if (!g)
        return false;
    if (g->running) {
        push(g, &me);
        if (g->waiting >= gather_start_rows && g->running < gather_running_max) {
            g->running++;
            start_next(g);
        }
        fiber_park();
    } else {
        g->running++;
        me.outcome = GATHER_LEADS;
    }
    if (me.outcome == GATHER_LEADS && lead(g, &me)) {
        ret->gather = g;
        ret->slow.fn = on_slow;
        timer_set(loop_self(), &ret->slow, gather_lock_ms * 1000);
    }
    if (me.outcome == GATHER_ALONE)
        return false;
    ret->batch = me.batch;
    *ret_rc = me.rc;
    if (me.rc < 0)
        *err = me.err;
    return true;
}

void write_gathered_end(struct gathered *g)
{
    if (g->batch)
        batch_release(g->batch);
    if (g->gather) {
        timer_clear(loop_self(), &g->slow);
        pass_turn(g->gather);
    }
    *g = (struct gathered){ 0 };
}
