#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/str.h"
#include "common/io/db_internal.h"

#include <assert.h>

struct after { /* what db_tx_then asked for */
    void (*fn)(void *ctx);
    void *ctx;
    struct after *next;
};
struct db_tx {
    struct db_conn *conn;
    struct after *first, **last;
    bool begun;
    bool failed;    /* the server takes nothing but ROLLBACK any more */
    bool rerun;     /* because of 40001 or 40P01 */
    struct err err; /* of the statement that failed */
};

static const struct db_stmt begin_stmt = { .name = "begin", .sql = "begin", .flags = DB_ONCE };
static const struct db_stmt commit_stmt = { .name = "commit", .sql = "commit", .flags = DB_ONCE };
static const struct db_stmt rollback_stmt = { .name = "rollback",
                                              .sql = "rollback",
                                              .flags = DB_ONCE };
static const struct db_params no_params = { 0 };

int db_exec(struct db_tx *tx, struct arena *a, const struct db_stmt *s, const struct db_val *v,
            size_t n, struct db_rows **ret, struct err *err)
{
    if (tx->failed) {
        *err = tx->err;
        return -(int)err->code;
    }
    struct db_params p;
    PGresult *res;
    db_params_make(a, v, n, &p);
    int64_t began_us = clock_mono_us();
    int rc = tx->begun ? conn_run(tx->conn, s, &p, &res, &tx->err)
                       : conn_begin_run(tx->conn, s, &p, &res, &tx->err);
    *fiber_db_us() += clock_mono_us() - began_us;
    tx->begun = true;
    if (rc < 0) {
        tx->failed = true;
        tx->rerun = db_state_is_rerun(tx->conn->sqlstate);
        *err = tx->err;
        return rc;
    }
    *ret = db_rows_make(a, res);
    return 0;
}

int tx_copy(struct db_tx *tx, const struct db_stmt *s, const char *data, size_t n,
            int64_t *ret_rows, struct err *err)
{
    PGresult *res;
    int rc = 0;
    if (tx->failed) {
        *err = tx->err;
        return -(int)err->code;
    }
    int64_t began_us = clock_mono_us();
    if (!tx->begun && !(rc = conn_run(tx->conn, &begin_stmt, &no_params, &res, &tx->err)))
        PQclear(res);
    tx->begun = true;
    if (!rc)
        rc = conn_copy(tx->conn, s, data, n, &res, &tx->err);
    *fiber_db_us() += clock_mono_us() - began_us;
    if (rc < 0) {
        tx->failed = true;
        tx->rerun = db_state_is_rerun(tx->conn->sqlstate);
        *err = tx->err;
        return rc;
    }
    bool known = str_to_i64(PQcmdTuples(res), 0, INT64_MAX, ret_rows);
    PQclear(res);
    return known ? 0 : err_set(err, E_internal, "Something went wrong on our side.");
}

int db_try(struct db_tx *tx, struct arena *a, const struct db_stmt *s, const struct db_val *v,
           size_t n, struct db_rows **ret, struct err *err)
{
    static const struct db_stmt save = { .name = "try_save",
                                         .sql = "savepoint step",
                                         .flags = DB_ONCE };
    static const struct db_stmt undo = { .name = "try_undo",
                                         .sql = "rollback to savepoint step",
                                         .flags = DB_ONCE };
    static const struct db_stmt keep = { .name = "try_keep",
                                         .sql = "release savepoint step",
                                         .flags = DB_ONCE };
    struct db_rows *none;
    struct err ignored;
    int rc = db_exec(tx, a, &save, NULL, 0, &none, err);
    if (rc < 0)
        return rc;
    rc = db_exec(tx, a, s, v, n, ret, err);
    if (rc == 0)
        return db_exec(tx, a, &keep, NULL, 0, &none, err);
    if (tx->conn->broken || tx->rerun)
        return rc;
    tx->failed = false;
    if (db_exec(tx, a, &undo, NULL, 0, &none, &ignored) == 0)
        (void)!db_exec(tx, a, &keep, NULL, 0, &none, &ignored);
    return rc;
}

bool db_tx_usable(const struct db_tx *tx)
{
    return !tx->failed && !tx->conn->broken;
}

void db_tx_then(struct db_tx *tx, struct arena *a, void (*fn)(void *ctx), void *ctx)
{
    struct after *n = arena_alloc(a, sizeof(*n));
    *n = (struct after){ .fn = fn, .ctx = ctx };
    *(tx->last ? tx->last : &tx->first) = n;
    tx->last = &n->next;
}

static void tx_rollback(struct db_tx *tx)
{
    PGresult *res;
    struct err ignored;
    if (!tx->begun || tx->conn->broken)
        return;
    if (conn_run(tx->conn, &rollback_stmt, &no_params, &res, &ignored) < 0)
        tx->conn->broken = true;
    else
        PQclear(res);
}

static int tx_commit(struct db_tx *tx, struct err *err)
{
    PGresult *res;
    if (!tx->begun)
        return 0;
    if (FAULT("db.commit")) {
        tx->conn->broken = true;
        return db_error(tx->conn->pg, NULL, "commit", tx->conn->sqlstate, err);
    }
    int64_t began_us = clock_mono_us();
    int rc = conn_run(tx->conn, &commit_stmt, &no_params, &res, err);
    *fiber_db_us() += clock_mono_us() - began_us;
    if (rc < 0) {
        /* A COMMIT that the server refused has rolled back; deferred constraints and 40001 end
         * here. */
        tx->rerun = db_state_is_rerun(tx->conn->sqlstate);
        return rc;
    }
    bool done = strcmp(PQcmdStatus(res), "COMMIT") == 0;
    PQclear(res);
    if (done)
        return 0;
    err_set(err, E_internal, "The database refused the operation.");
    return err_detail(err, "the transaction was rolled back instead of committed");
}

static int tx_once(struct db_tx *tx, int (*fn)(struct db_tx *tx, void *ctx, struct err *err),
                   void *ctx, struct err *err)
{
    int rc = fn(tx, ctx, err);
    if (rc == 0 && tx->failed) {
        /* fn went on after a failure: nothing of it can be kept. */
        *err = tx->err;
        rc = -(int)err->code;
    }
    if (rc == 0) {
        rc = tx_commit(tx, err);
        for (struct after *n = rc == 0 || tx->conn->broken ? tx->first : NULL; n; n = n->next)
            n->fn(n->ctx);
        return rc;
    }
    tx_rollback(tx);
    return rc;
}

int db_tx(struct db *db, struct arena *a, int (*fn)(struct db_tx *tx, void *ctx, struct err *err),
          void *ctx, struct err *err)
{
    (void)a;
    for (unsigned tries = 1;; tries++) {
        struct db_tx tx = { 0 };
        struct err e = { 0 };
        int64_t began_us = clock_mono_us();
        int rc = db_borrow(db, &tx.conn, err);
        *fiber_db_us() += clock_mono_us() - began_us;
        if (rc < 0)
            return rc;
        rc = tx_once(&tx, fn, ctx, &e);
        db_return(db, tx.conn);
        if (rc == 0)
            return 0;
        if (!tx.rerun || tries == db_tx_tries_max) {
            *err = e;
            return rc;
        }
        fiber_sleep_ms((unsigned)random_below((uint64_t)4 << tries) + 1);
    }
}

/* --- sessions -------------------------------------------------------------------------- */

struct db_session {
    struct db_conn *conn;
    struct db_counters count;
};

int db_session_open(const struct db_conf *conf, struct db_session **ret, struct err *err)
{
    struct db_session *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    int rc = conn_open(conf, &s->count, &s->conn, err);
    if (rc < 0) {
        free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void db_session_close(struct db_session *s)
{
    if (!s)
        return;
    conn_close(s->conn);
    free(s);
}

static int session_gone(struct err *err)
{
    err_set(err, E_unavailable, "The database is not available.");
    err->retry_after_s = 1;
    return err_detail(err, "the session has ended");
}

int db_session_exec(struct db_session *s, struct arena *a, const struct db_stmt *st,
                    const struct db_val *v, size_t n, struct db_rows **ret, struct err *err)
{
    struct db_params p;
    PGresult *res;
    if (s->conn->broken)
        return session_gone(err);
    db_params_make(a, v, n, &p);
    int rc = conn_run(s->conn, st, &p, &res, err);
    if (rc < 0)
        return rc;
    *ret = db_rows_make(a, res);
    return 0;
}

int db_session_script(struct db_session *s, const char *sql, struct err *err)
{
    return s->conn->broken ? session_gone(err) : conn_script(s->conn, sql, err);
}

int db_session_tx(struct db_session *s, int (*fn)(struct db_tx *tx, void *ctx, struct err *err),
                  void *ctx, struct err *err)
{
    PGresult *res;
    if (s->conn->broken)
        return session_gone(err);
    /* Begun at once: a script may be what fn runs first. */
    int rc = conn_run(s->conn, &begin_stmt, &no_params, &res, err);
    if (rc < 0)
        return rc;
    PQclear(res);
    struct db_tx tx = { .conn = s->conn, .begun = true };
    struct err e = { 0 };
    rc = tx_once(&tx, fn, ctx, &e);
    if (rc < 0)
        *err = e;
    return rc;
}
