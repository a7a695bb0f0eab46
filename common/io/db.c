#include "common/io/db.h"

#include "common/base/clock.h"
#include "common/io/db_internal.h"

#include <assert.h>

static const char *copy(struct arena *a, const char *s)
{
    return s ? arena_strdup(a, s) : NULL;
}

struct db *db_new(const struct db_conf *conf)
{
    assert(conf->conninfo);
    struct db *db = calloc(1, sizeof(*db));
    if (!db || pthread_key_create(&db->key, db_thread_end) != 0)
        abort();
    pthread_mutex_init(&db->mu, NULL);
    db->arena = arena_new();
    db->conf = *conf;
    db->conf.conninfo = copy(db->arena, conf->conninfo);
    db->conf.application = copy(db->arena, conf->application);
    return db;
}

void db_free(struct db *db)
{
    if (!db)
        return;
    workers_free(db->workers);
    /* The loops have ended, and may be gone: their watches and timers are not touched. */
    for (size_t i = 0; i < atomic_load(&db->nloops); i++) {
        struct db_loop *dl = db->loops[i];
        assert(!dl->sent.head && !dl->waiting.head && !dl->wait_head);
        conn_close_off_loop(dl->fast);
        wire_free(&dl->wire);
        for (struct db_conn *c; (c = dl->idle);) {
            dl->idle = c->next;
            conn_close_off_loop(c);
        }
        free(dl);
    }
    pthread_key_delete(db->key);
    for (struct db_thread *t; (t = db->threads);) {
        db->threads = t->next;
        conn_close(t->conn);
        free(t);
    }
    pthread_mutex_destroy(&db->mu);
    arena_free(db->arena);
    free(db);
}

struct db *db_in_schema(struct db *pool, struct arena *a, const char *schema)
{
    struct db *db = arena_alloc(a, sizeof(*db));
    assert(!pool->pool);
    db->pool = pool;
    db->schema = arena_strdup(a, schema);
    return db;
}

static int query(struct db *db, struct arena *a, const struct db_stmt *s, struct db_params *p,
                 struct db_rows **ret, struct err *err)
{
    bool text = (s->flags & DB_ONCE) && !(s->flags & DB_WRITE) && !p->n && !db->pool;
    bool fast = (s->flags & DB_FAST) && !(s->flags & DB_WRITE) && !db->pool &&
                (text || !(s->flags & DB_ONCE));
    struct db_loop *dl = fast ? db_loop_here(db) : NULL;
    if (dl)
        return fast_query(dl, a, s, p, ret, err);

    for (unsigned sent = 1;; sent++) {
        struct db_conn *c;
        PGresult *res;
        int rc = db_borrow(db, &c, err);
        if (rc < 0)
            return rc;
        rc = text ? conn_run_text(c, s, &res, err) : conn_run(c, s, p, &res, err);
        /* Alone it is a transaction of its own, which the server has taken back (db_tx). */
        bool rerun = rc < 0 && !c->broken && db_state_is_rerun(c->sqlstate);
        /* Prepared for tables that are no more: not run, and its connection is closed. */
        bool stale = rc < 0 && (text || !(s->flags & DB_ONCE)) && db_state_is_stale(c->sqlstate);
        db_return(db, c);
        if (rc == 0) {
            *ret = db_rows_make(a, res);
            return 0;
        }
        if (rerun && sent < db_tx_tries_max) {
            fiber_sleep_ms((unsigned)random_below((uint64_t)4 << sent) + 1);
            continue;
        }
        if (stale && sent < db_tx_tries_max)
            continue;
        /* In a plain thread a fast read is sent once more too. */
        if (!fast || rc != -E_unavailable || sent == 2)
            return rc;
    }
}

int db_query(struct db *db, struct arena *a, const struct db_stmt *s, const struct db_val *v,
             size_t n, struct db_rows **ret, struct err *err)
{
    struct db_params p;
    db_params_make(a, v, n, &p);
    int64_t began_us = clock_mono_us();
    int rc = query(db, a, s, &p, ret, err);
    *fiber_db_us() += clock_mono_us() - began_us;
    return rc;
}

void db_stats(struct db *db, struct db_stats *ret)
{
    *ret = (struct db_stats){
        .statements = atomic_load(&db->count.statements),
        .errors = atomic_load(&db->count.errors),
        .reconnects = atomic_load(&db->count.reconnects),
        .waits = atomic_load(&db->count.waits),
        .borrowed = atomic_load(&db->count.borrowed),
        .conns_open = atomic_load(&db->count.open),
    };
}

int db_ping(struct db *db, struct err *err)
{
    static const struct db_stmt ping = { .name = "db_ping", .sql = "select 1", .flags = DB_FAST };
    struct arena *a = arena_new();
    struct db_rows *rows;
    int rc = db_query(db, a, &ping, NULL, 0, &rows, err);
    arena_free(a);
    return rc;
}
