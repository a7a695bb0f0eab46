#include "common/base/clock.h"
#include "common/io/db_internal.h"

#include <assert.h>
#include <sys/epoll.h>

/*
 * Reads of all fibers of a loop share one connection in pipeline mode.  What one round of the loop
 * sends shares one sync, at most db_fast_batch_max statements: one packet each way and one
 * transaction for all of them, where a sync each would cost a packet, a wake-up and a transaction a
 * statement.  A statement that fails takes the rest of its batch with it, unexecuted; as they only
 * read, these are sent again in the next one, and so a failure stays its own.  Answers come in the
 * order sent, so the head of `sent` is always the one meant.
 */

static void fast_open_soon(struct db_loop *dl);
static void fast_lost(struct db_loop *dl);

static void push(struct db_fastq *q, struct db_fast *f)
{
    f->next = NULL;
    *q->tail = f;
    q->tail = &f->next;
}

static struct db_fast *take(struct db_fastq *q)
{
    struct db_fast *f = q->head;
    if (f) {
        q->head = f->next;
        if (!q->head)
            q->tail = &q->head;
    }
    return f;
}

static void fast_end(struct db_fast *f, PGresult *res, const struct err *why)
{
    f->res = res;
    if (!res) {
        *f->err = *why;
        f->result = -(int)why->code;
    }
    fiber_wake(f->fiber);
}

static int64_t guard_us(const struct db_loop *dl)
{
    unsigned ms = dl->db->conf.statement_timeout_ms;
    return (int64_t)((ms > 0 ? ms : 30000) + db_guard_ms) * 1000;
}

/* --- sending --------------------------------------------------------------------------- */

static void fast_watch(struct db_loop *dl, bool out)
{
    watch_set(dl->loop, &dl->fast->watch, (uint32_t)EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0));
}

/* Ends the open batch, if there is one; libpq flushes with it. */
static bool fast_sync(struct db_loop *dl)
{
    if (!dl->unsynced)
        return true;
    dl->unsynced = 0;
    dl->batch++;
    dl->syncs++;
    return PQpipelineSync(dl->fast->pg);
}

static void on_flush(struct deferred *d)
{
    struct db_loop *dl = container_of(d, struct db_loop, flush);
    if (!dl->fast)
        return;
    int left = fast_sync(dl) ? PQflush(dl->fast->pg) : -1;
    if (left < 0)
        fast_lost(dl);
    else
        fast_watch(dl, left > 0);
}

/* What the messages of a statement take, or a little more. */
static size_t message_bytes(const struct db_params *p, const char *name_or_sql)
{
    enum { fixed_bytes = 64, value_bytes = 8 };
    size_t n = fixed_bytes + strlen(name_or_sql);
    for (int i = 0; i < p->n; i++) {
        bool binary = p->format && p->format[i];
        n += value_bytes + (!p->v[i] ? 0 : binary ? (size_t)p->len[i] : strlen(p->v[i]));
    }
    return n;
}

/* libpq does not wait for a sync once it has db_unsent_max bytes, some of which may be left from
 * the batch before. */
static void count_unsent(struct db_loop *dl, size_t bytes)
{
    if (!dl->unsynced)
        dl->unsent = PQflush(dl->fast->pg) > 0 ? db_unsent_max : 0;
    dl->unsent += bytes;
    if (dl->unsent >= db_unsent_max)
        dl->batch++;
}

static bool fast_send(struct db_loop *dl, struct db_fast *f)
{
    const struct db_stmt *s = f->stmt;
    const struct db_params *p = f->params;
    PGconn *pg = dl->fast->pg;
    /* One that could not be prepared when the connection opened (its table was not there yet) goes
     * with its text, and so gets its own error or its answer. */
    bool named = s->name && conn_is_prepared(dl->fast, s->name);
    count_unsent(dl, message_bytes(p, named ? s->name : s->sql));
    int ok = named ? PQsendQueryPrepared(pg, s->name, p->n, p->v, p->len, p->format, 0)
                   : PQsendQueryParams(pg, s->sql, p->n, NULL, p->v, p->len, p->format, 0);
    if (!ok)
        return false;
    dl->unsynced++;
    if (dl->unsynced == db_fast_batch_max && !fast_sync(dl))
        return false;
    f->at_us = clock_mono_us();
    f->sent++;
    push(&dl->sent, f);
    loop_defer(dl->loop, &dl->flush);
    if (dl->guard.slot == 0)
        timer_set(dl->loop, &dl->guard, guard_us(dl));
    return true;
}

static void fast_send_waiting(struct db_loop *dl)
{
    struct db_fast *f;
    while (dl->fast && (f = take(&dl->waiting))) {
        if (!fast_send(dl, f)) {
            push(&dl->waiting, f);
            fast_lost(dl);
        }
    }
}

/* --- receiving ------------------------------------------------------------------------- */

/* False: the connection is of no use any more, and the statement is to be sent again. */
static bool fast_take_result(struct db_fast *f, PGresult *res)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    bool failed = PQresultStatus(res) == PGRES_FATAL_ERROR;
    if (failed &&
        (!state || db_state_is_loss(state) || (db_state_is_stale(state) && f->sent < 2))) {
        PQclear(res);
        return false;
    }
    PQclear(f->res);
    f->res = res;
    return true;
}

/* The head of `sent` has all its results. */
static bool fast_answered(struct db_loop *dl)
{
    struct db_fast *f = take(&dl->sent);
    if (PQresultStatus(f->res) != PGRES_PIPELINE_ABORTED) {
        fast_end(f, f->res, NULL);
        return true;
    }
    PQclear(f->res); /* one before it in its batch failed: it was not run */
    f->res = NULL;
    f->sent--;
    if (fast_send(dl, f))
        return true;
    push(&dl->waiting, f);
    return false;
}

/* All answers that have arrived.  False: the connection broke. */
static bool fast_receive(struct db_loop *dl)
{
    PGconn *pg = dl->fast->pg;
    while ((dl->sent.head || dl->syncs) && !PQisBusy(pg)) {
        PGresult *res = PQgetResult(pg);
        if (res && PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
            PQclear(res);
            dl->syncs--;
        } else if (res) {
            if (!dl->sent.head || !fast_take_result(dl->sent.head, res))
                return false;
        } else if (!dl->sent.head || !dl->sent.head->res) {
            break; /* libpq is idle */
        } else if (!fast_answered(dl)) {
            return false;
        }
    }
    return PQstatus(pg) == CONNECTION_OK;
}

static void on_fast(struct watch *w, uint32_t events)
{
    struct db_conn *c = container_of(w, struct db_conn, watch);
    struct db_loop *dl = c->home;
    int alive = PQconsumeInput(c->pg);
    if (!fast_receive(dl) || !alive)
        fast_lost(dl);
    else if (events & EPOLLOUT)
        loop_defer(dl->loop, &dl->flush);
}

/* --- opening, and opening again -------------------------------------------------------- */

static void fail_waiting(struct db_loop *dl, int64_t before_us, const struct err *why)
{
    struct db_fastq keep = { .tail = &keep.head };
    struct db_fast *f;
    while ((f = take(&dl->waiting))) {
        if (f->at_us <= before_us)
            fast_end(f, NULL, why);
        else
            push(&keep, f);
    }
    while ((f = take(&keep)))
        push(&dl->waiting, f);
}

struct fast_opening {
    struct db *db;
    struct db_conn *conn;
    int result;
    struct err err;
};

/* libpq reads at most what its buffer has room for, 16 KB at first, and grows it for a value that
 * does not fit: an answer of 50 KB would be four reads and four turns of the loop.  One large value
 * makes room once. */
static int grow_buffer(struct db_conn *c, struct err *err)
{
    static const struct db_stmt grow = { .name = "grow",
                                         .sql = "select repeat(' ', 100000)",
                                         .flags = DB_ONCE };
    static const struct db_params none = { 0 };
    PGresult *res;
    int rc = conn_run(c, &grow, &none, &res, err);
    if (rc == 0)
        PQclear(res);
    return rc;
}

static int open_fast_failed(struct fast_opening *o, const struct err *err)
{
    conn_close_off_loop(o->conn);
    o->err = *err;
    return -(int)err->code;
}

/* On a worker: connect, and prepare everything that is listed, outside pipeline mode. */
static void open_fast(void *ctx)
{
    struct fast_opening *o = ctx;
    struct err err;
    o->result = conn_open(&o->db->conf, &o->db->count, &o->conn, &o->err);
    if (o->result < 0)
        return;
    if (grow_buffer(o->conn, &err) < 0) {
        o->result = open_fast_failed(o, &err);
        return;
    }
    for (const struct db_stmt *const *s = o->db->conf.fast; s && *s; s++) {
        if (((*s)->flags & DB_FAST) && !conn_is_prepared(o->conn, (*s)->name) &&
            o->conn->nprepared < db_prepared_max && conn_prepare(o->conn, *s, &err) < 0 &&
            o->conn->broken) {
            o->result = open_fast_failed(o, &err);
            return;
        }
    }
}

static void fast_install(struct db_loop *dl, struct db_conn *c)
{
    if (!PQenterPipelineMode(c->pg))
        abort(); /* fresh and idle */
    c->loop = dl->loop;
    c->home = dl;
    c->watch.fd = PQsocket(c->pg);
    c->watch.fn = on_fast;
    dl->fast = c;
    fast_watch(dl, false);
    fast_send_waiting(dl);
}

/* A fiber of its own: opens the connection as long as somebody waits for it. */
static void fast_opener(void *ctx)
{
    struct db_loop *dl = ctx;
    unsigned pause_ms = db_reopen_first_ms;
    while (dl->waiting.head) {
        struct fast_opening o = { .db = dl->db };
        int rc = worker_run(db_workers(dl->db), open_fast, &o, &o.err);
        if (rc < 0)
            o.result = rc;
        if (o.result == 0) {
            dl->opening = false;
            fast_install(dl, o.conn);
            return;
        }
        fail_waiting(dl, clock_mono_us() - (int64_t)dl->db->conf.wait_ms * 1000, &o.err);
        if (!dl->waiting.head)
            break;
        fiber_sleep_ms(pause_ms);
        pause_ms = pause_ms * 2 < db_reopen_most_ms ? pause_ms * 2 : db_reopen_most_ms;
    }
    dl->opening = false;
}

static void on_open(struct deferred *d)
{
    struct db_loop *dl = container_of(d, struct db_loop, open);
    if (dl->fast || dl->opening || !dl->waiting.head)
        return;
    dl->opening = true;
    if (!fiber_spawn(dl->loop, fast_opener, dl)) {
        struct err err;
        dl->opening = false;
        err_set(&err, E_unavailable, "The database is not available.");
        err.retry_after_s = 1;
        err_detail(&err, "no fiber left to open a connection");
        fail_waiting(dl, INT64_MAX, &err);
    }
}

static void fast_open_soon(struct db_loop *dl)
{
    if (!dl->opening)
        loop_defer(dl->loop, &dl->open);
}

/* Closes the connection; what was sent on it for the first time is sent once more on the next. */
static void fast_lost(struct db_loop *dl)
{
    struct db_fast *f;
    struct err gone, late;
    if (!dl->fast)
        return;
    err_set(&gone, E_unavailable, "The database is not available.");
    gone.retry_after_s = 1;
    err_detail(&gone, "the connection broke twice under a statement");
    err_set(&late, E_timeout, "The database took too long.");
    late.retry_after_s = 1;
    err_detail(&late, "no answer in time");

    conn_close(dl->fast);
    dl->fast = NULL;
    dl->unsynced = dl->syncs = 0;
    dl->batch++;
    timer_clear(dl->loop, &dl->guard);
    int64_t now_us = clock_mono_us();
    while ((f = take(&dl->sent))) {
        PQclear(f->res);
        f->res = NULL;
        if (now_us - f->at_us >= guard_us(dl)) {
            fast_end(f, NULL, &late);
        } else if (f->sent >= 2) {
            fast_end(f, NULL, &gone);
        } else {
            f->at_us = now_us;
            push(&dl->waiting, f);
        }
    }
    if (dl->waiting.head)
        fast_open_soon(dl);
}

/* The server has said nothing about the oldest statement for longer than it may take. */
static void on_guard(struct timer *t)
{
    struct db_loop *dl = container_of(t, struct db_loop, guard);
    if (!dl->sent.head)
        return;
    int64_t left_us = dl->sent.head->at_us + guard_us(dl) - clock_mono_us();
    if (left_us > 0)
        timer_set(dl->loop, t, left_us);
    else
        fast_lost(dl);
}

void fast_init(struct db_loop *dl)
{
    dl->sent.tail = &dl->sent.head;
    dl->waiting.tail = &dl->waiting.head;
    dl->flush.fn = on_flush;
    dl->open.fn = on_open;
    dl->guard.fn = on_guard;
    dl->batch = 1;
}

uint64_t db_fast_batch(struct db *db)
{
    const struct db_loop *dl = db->pool ? NULL : db_loop_here(db);
    return dl && dl->fast ? dl->batch : 0;
}

int fast_query(struct db_loop *dl, struct arena *a, const struct db_stmt *s,
               const struct db_params *p, struct db_rows **ret, struct err *err)
{
    struct db_fast f = { .stmt = s, .params = p, .fiber = fiber_self(), .err = err };
    /* Nothing here may wake this fiber before it parks: a send that fails only queues it. */
    if (!dl->fast || !fast_send(dl, &f)) {
        f.at_us = clock_mono_us();
        push(&dl->waiting, &f);
        if (dl->fast)
            fast_lost(dl);
        fast_open_soon(dl);
    }
    fiber_park();

    atomic_fetch_add_explicit(&dl->db->count.statements, 1, memory_order_relaxed);
    int rc = f.result;
    if (f.res && PQresultStatus(f.res) != PGRES_TUPLES_OK &&
        PQresultStatus(f.res) != PGRES_COMMAND_OK) {
        char state[db_sqlstate_len + 1];
        rc = db_error(NULL, f.res, s->name, state, err);
        PQclear(f.res);
    } else if (f.res) {
        *ret = db_rows_make(a, f.res);
    }
    if (rc < 0)
        atomic_fetch_add_explicit(&dl->db->count.errors, 1, memory_order_relaxed);
    return rc;
}
