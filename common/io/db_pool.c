#include "common/base/clock.h"
#include "common/io/db_internal.h"

#include <assert.h>
#include <sys/epoll.h>

enum { db_workers_threads = 2, db_workers_queue = 1024 };

struct workers *db_workers(struct db *db)
{
    pthread_mutex_lock(&db->mu);
    if (!db->workers)
        db->workers = workers_new(db_workers_threads, db_workers_queue);
    struct workers *w = db->workers;
    pthread_mutex_unlock(&db->mu);
    return w;
}

/* --- loops ----------------------------------------------------------------------------- */

void pool_init(struct db_loop *dl, size_t share)
{
    dl->share = share;
    dl->wait_tail = &dl->wait_head;
}

struct db_loop *db_loop_here(struct db *db)
{
    if (!fiber_self())
        return NULL;
    struct loop *loop = loop_self();
    size_t n = atomic_load_explicit(&db->nloops, memory_order_acquire);
    for (size_t i = 0; i < n; i++)
        if (db->loops[i]->loop == loop)
            return db->loops[i];

    struct db_loop *dl = calloc(1, sizeof(*dl));
    if (!dl)
        abort();
    dl->db = db;
    dl->loop = loop;
    pthread_mutex_lock(&db->mu);
    n = atomic_load_explicit(&db->nloops, memory_order_relaxed);
    assert(n < db_loops_max);
    size_t loops = db->conf.loops > 0 ? db->conf.loops : 1;
    size_t share = db->conf.conns_max / loops + (n < db->conf.conns_max % loops);
    pool_init(dl, share > 0 ? share : 1);
    fast_init(dl);
    db->loops[n] = dl;
    atomic_store_explicit(&db->nloops, n + 1, memory_order_release);
    pthread_mutex_unlock(&db->mu);
    return dl;
}

/* --- opening, with patience ------------------------------------------------------------ */

struct opening {
    struct db *db;
    struct db_conn *conn;
    int result;
    struct err err;
};

static void open_one(void *ctx)
{
    struct opening *o = ctx;
    o->result = conn_open(&o->db->conf, &o->db->count, &o->conn, &o->err);
}

/* Nothing has been sent yet, so trying again is harmless: a database that restarts is waited for.
 */
static int open_patiently(struct db *db, int64_t deadline_us, struct db_conn **ret, struct err *err)
{
    for (unsigned pause_ms = db_reopen_first_ms;;) {
        struct opening o = { .db = db };
        int rc = 0;
        if (fiber_self())
            rc = worker_run(db_workers(db), open_one, &o, &o.err);
        else
            open_one(&o);
        if (rc == 0 && o.result == 0) {
            *ret = o.conn;
            return 0;
        }
        if (clock_mono_us() + (int64_t)pause_ms * 1000 >= deadline_us) {
            *err = o.err;
            return -(int)o.err.code;
        }
        fiber_sleep_ms(pause_ms);
        pause_ms = pause_ms * 2 < db_reopen_most_ms ? pause_ms * 2 : db_reopen_most_ms;
    }
}

/* --- borrowing in a fiber -------------------------------------------------------------- */

static struct db_waiter *first_waiter(struct db_loop *dl)
{
    struct db_waiter *w = dl->wait_head;
    if (w) {
        dl->wait_head = w->next;
        if (!dl->wait_head)
            dl->wait_tail = &dl->wait_head;
        timer_clear(dl->loop, &w->timer);
    }
    return w;
}

static void on_waited_enough(struct timer *t)
{
    struct db_waiter *w = container_of(t, struct db_waiter, timer);
    struct db_loop *dl = w->home;
    struct db_waiter **at = &dl->wait_head;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    if (!w->next)
        dl->wait_tail = at;
    fiber_wake(w->fiber);
}

/* A place is free: the first in the queue may open a connection in it. */
static void place_free(struct db_loop *dl)
{
    struct db_waiter *w = first_waiter(dl);
    if (w) {
        w->may_open = true;
        fiber_wake(w->fiber);
    } else {
        dl->nopen--;
    }
}

static int open_in_place(struct db_loop *dl, int64_t deadline_us, struct db_conn **ret,
                         struct err *err)
{
    struct db_conn *c;
    int rc = open_patiently(dl->db, deadline_us, &c, err);
    if (rc < 0) {
        place_free(dl);
        return rc;
    }
    c->loop = dl->loop;
    c->home = dl;
    *ret = c;
    return 0;
}

static int wait_for_one(struct db_loop *dl, int64_t deadline_us, struct db_conn **ret,
                        struct err *err)
{
    struct db_waiter w = { .fiber = fiber_self(), .home = dl, .timer = { .fn = on_waited_enough } };
    *dl->wait_tail = &w;
    dl->wait_tail = &w.next;
    timer_set(dl->loop, &w.timer, deadline_us - clock_mono_us());
    atomic_fetch_add_explicit(&dl->db->count.waits, 1, memory_order_relaxed);
    fiber_park();
    if (w.may_open)
        return open_in_place(dl, deadline_us, ret, err);
    if (w.conn) {
        *ret = w.conn;
        return 0;
    }
    err_set(err, E_unavailable, "The database is busy.");
    err->retry_after_s = 1;
    return err_detail(err, "no connection came free in time");
}

static int loop_borrow(struct db_loop *dl, struct db_conn **ret, struct err *err)
{
    int64_t deadline_us = clock_mono_us() + (int64_t)dl->db->conf.wait_ms * 1000;
    /* The last one returned is the warmest. */
    while (dl->idle) {
        struct db_conn *c = dl->idle;
        dl->idle = c->next;
        c->idle = false;
        if (!c->broken && conn_alive(c)) {
            *ret = c;
            return 0;
        }
        conn_close(c);
        dl->nopen--;
    }
    if (dl->nopen < dl->share) {
        dl->nopen++;
        return open_in_place(dl, deadline_us, ret, err);
    }
    return wait_for_one(dl, deadline_us, ret, err);
}

static void loop_return(struct db_loop *dl, struct db_conn *c)
{
    if (c->broken) {
        conn_close(c);
        place_free(dl);
        return;
    }
    struct db_waiter *w = first_waiter(dl);
    if (w) {
        w->conn = c;
        fiber_wake(w->fiber);
        return;
    }
    c->idle = true;
    c->next = dl->idle;
    dl->idle = c;
    watch_set(dl->loop, &c->watch, EPOLLIN); /* to hear the server hang up */
}

void pool_drop_idle(struct db_conn *c)
{
    struct db_conn **at = &c->home->idle;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->home->nopen--; /* nobody waits while one is idle */
    conn_close(c);
}

/* --- the connection of a plain thread -------------------------------------------------- */

void db_thread_end(void *thread)
{
    struct db_thread *t = thread;
    struct db *db = t->db;
    pthread_mutex_lock(&db->mu);
    if (t->prev)
        t->prev->next = t->next;
    else
        db->threads = t->next;
    if (t->next)
        t->next->prev = t->prev;
    pthread_mutex_unlock(&db->mu);
    conn_close(t->conn);
    free(t);
}

static struct db_thread *thread_here(struct db *db)
{
    struct db_thread *t = pthread_getspecific(db->key);
    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    if (!t || pthread_setspecific(db->key, t) != 0)
        abort();
    t->db = db;
    pthread_mutex_lock(&db->mu);
    t->next = db->threads;
    if (t->next)
        t->next->prev = t;
    db->threads = t;
    pthread_mutex_unlock(&db->mu);
    return t;
}

static int thread_borrow(struct db *db, struct db_conn **ret, struct err *err)
{
    struct db_thread *t = thread_here(db);
    struct db_conn *c = t->conn;
    int rc = 0;
    t->conn = NULL; /* a call inside a transaction gets one of its own */
    if (c && !conn_alive(c)) {
        conn_close(c);
        c = NULL;
    }
    if (!c)
        rc = open_patiently(db, clock_mono_us() + (int64_t)db->conf.wait_ms * 1000, &c, err);
    if (rc == 0)
        *ret = c;
    return rc;
}

static void thread_return(struct db *db, struct db_conn *c)
{
    struct db_thread *t = thread_here(db);
    if (c->broken || t->conn)
        conn_close(c);
    else
        t->conn = c;
}

int db_borrow(struct db *db, struct db_conn **ret, struct err *err)
{
    struct db *pool = db->pool ? db->pool : db;
    struct db_loop *dl = db_loop_here(pool);
    int rc = dl ? loop_borrow(dl, ret, err) : thread_borrow(pool, ret, err);
    if (rc)
        return rc;
    atomic_fetch_add_explicit(&pool->count.borrowed, 1, memory_order_relaxed);
    rc = db->pool ? conn_set_schema(*ret, db->schema, err) : 0;
    if (rc)
        db_return(pool, *ret);
    return rc;
}

void db_return(struct db *db, struct db_conn *c)
{
    db = db->pool ? db->pool : db;
    atomic_fetch_sub_explicit(&db->count.borrowed, 1, memory_order_relaxed);
    if (c->home)
        loop_return(c->home, c);
    else
        thread_return(db, c);
}
