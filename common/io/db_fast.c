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

static void fast_fail(struct db_fast *f, const struct err *why)
{
    *f->err = *why;
    f->result = -(int)why->code;
    f->rows = NULL;
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

/* Ends the open batch, if there is one. */
static void fast_sync(struct db_loop *dl)
{
    if (!dl->unsynced)
        return;
    wire_put_sync(&dl->wire);
    dl->unsynced = 0;
    dl->batch++;
}

static void on_flush(struct deferred *d)
{
    struct db_loop *dl = container_of(d, struct db_loop, flush);
    if (!dl->fast)
        return;
    fast_sync(dl);
    int left = wire_flush(&dl->wire);
    if (left < 0)
        fast_lost(dl);
    else
        fast_watch(dl, left > 0);
}

/* The name that a composed text is prepared under by the time it is run, or NULL: nor is it used
 * before it is known that it was prepared, but in the batch that shares its fate. */
static const char *fast_text(struct db_loop *dl, const char *sql, char name[db_text_name])
{
    bool make;
    struct db_text *t = conn_text(dl->fast, sql, &make);
    if (!t || (t->batch >= dl->answering && t->batch < dl->batch))
        return NULL;
    conn_text_name(dl->fast, t, name);
    if (make) {
        wire_put_prepare(&dl->wire, name, sql);
        conn_text_keep(t, sql, dl->batch);
    }
    return name;
}

static void fast_put(struct db_loop *dl, const struct db_fast *f)
{
    const struct db_stmt *s = f->stmt;
    char text[db_text_name];
    const char *name = NULL;
    if (s->flags & DB_ONCE)
        name = fast_text(dl, s->sql, text);
    else if (s->name && conn_is_prepared(dl->fast, s->name))
        name = s->name;
    /* One that could not be prepared when the connection opened (its table was not there yet) goes
     * with its text, and so gets its own error or its answer. */
    wire_put_statement(&dl->wire, name, s->sql, f->params);
}

static void fast_send(struct db_loop *dl, struct db_fast *f)
{
    fast_put(dl, f);
    f->at_us = clock_mono_us();
    f->batch = dl->batch;
    f->sent++;
    push(&dl->sent, f);
    if (++dl->unsynced == db_fast_batch_max)
        fast_sync(dl);
    loop_defer(dl->loop, &dl->flush);
    if (dl->guard.slot == 0)
        timer_set(dl->loop, &dl->guard, guard_us(dl));
}

static void fast_send_waiting(struct db_loop *dl)
{
    struct db_fast *f;
    while ((f = take(&dl->waiting)))
        fast_send(dl, f);
}

/* --- receiving ------------------------------------------------------------------------- */

/* The head of `sent`, if what comes next can be about it. */
static struct db_fast *asked(const struct db_loop *dl)
{
    struct db_fast *f = dl->sent.head;
    return f && f->batch == dl->answering && f->batch < dl->batch && !dl->skipping ? f : NULL;
}

/* These return false when the connection is of no use any more. */

static bool fast_row(struct db_loop *dl, const struct wire_message *m)
{
    struct db_fast *f = asked(dl);
    return f && wire_add_row(f->arena, m, &f->rows);
}

static bool fast_done(struct db_loop *dl)
{
    struct db_fast *f = asked(dl);
    if (!f)
        return false;
    if (!f->rows)
        f->rows = arena_alloc(f->arena, sizeof(*f->rows));
    fiber_wake(take(&dl->sent)->fiber);
    return true;
}

/* What was to be prepared in the batch may not have been: it is prepared anew when it is sent
 * again. */
static void forget_texts(struct db_loop *dl)
{
    for (size_t i = 0; i < db_texts_max; i++)
        if (dl->fast->texts[i].batch == dl->answering)
            conn_text_forget(&dl->fast->texts[i]);
}

static bool fast_refused(struct db_loop *dl, const struct db_refusal *refusal)
{
    struct db_fast *f = asked(dl);
    struct err why;
    if (!f || !*refusal->state || db_state_is_loss(refusal->state) ||
        (db_state_is_stale(refusal->state) && f->sent < 2))
        return false;
    (void)db_refused(refusal, f->stmt->name, &why);
    fast_fail(take(&dl->sent), &why);
    forget_texts(dl);
    dl->skipping = true;
    return true;
}

static bool fast_synced(struct db_loop *dl)
{
    if (asked(dl) || dl->answering == dl->batch)
        return false;
    /* One of the batch failed, and those after it were not run. */
    while (dl->sent.head && dl->sent.head->batch == dl->answering) {
        struct db_fast *f = take(&dl->sent);
        f->sent--;
        fast_send(dl, f);
    }
    dl->skipping = false;
    dl->answering++;
    return true;
}

/* All answers that have arrived. */
static bool fast_receive(struct db_loop *dl)
{
    struct wire_message m;
    for (;;) {
        bool ok = false;
        switch (wire_next(&dl->wire, &m)) {
        case WIRE_MORE:
            return true;
        case WIRE_ROW:
            ok = fast_row(dl, &m);
            break;
        case WIRE_DONE:
            ok = fast_done(dl);
            break;
        case WIRE_REFUSED:
            ok = fast_refused(dl, &m.refusal);
            break;
        case WIRE_SYNCED:
            ok = fast_synced(dl);
            break;
        case WIRE_BROKEN:
            break;
        }
        if (!ok)
            return false;
    }
}

static void on_fast(struct watch *w, uint32_t events)
{
    struct db_conn *c = container_of(w, struct db_conn, watch);
    struct db_loop *dl = c->home;
    int more;
    do { /* a part at a time, so that it is used while it is in the cache */
        more = wire_read(&dl->wire);
        if (!fast_receive(dl))
            more = -1;
    } while (more > 0);
    if (more < 0)
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
            fast_fail(f, why);
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
    /* Fresh and idle: libpq has read all that was sent, and will only close it. */
    wire_init(&dl->wire, PQsocket(c->pg), PQsslStruct(c->pg, "OpenSSL"));
    dl->answering = dl->batch;
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
    wire_free(&dl->wire);
    dl->fast = NULL;
    dl->unsynced = 0;
    dl->skipping = false;
    dl->batch++;
    timer_clear(dl->loop, &dl->guard);
    int64_t now_us = clock_mono_us();
    while ((f = take(&dl->sent))) {
        f->rows = NULL; /* half of an answer */
        if (now_us - f->at_us >= guard_us(dl)) {
            fast_fail(f, &late);
        } else if (f->sent >= 2) {
            fast_fail(f, &gone);
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
    struct db_fast f = { .stmt = s, .params = p, .arena = a, .fiber = fiber_self(), .err = err };
    if (dl->fast) {
        fast_send(dl, &f);
    } else {
        f.at_us = clock_mono_us();
        push(&dl->waiting, &f);
        fast_open_soon(dl);
    }
    fiber_park();

    atomic_fetch_add_explicit(&dl->db->count.statements, 1, memory_order_relaxed);
    if (f.result < 0)
        atomic_fetch_add_explicit(&dl->db->count.errors, 1, memory_order_relaxed);
    *ret = f.rows;
    return f.result;
}
