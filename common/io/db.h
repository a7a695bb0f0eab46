#ifndef IO_DB_H
#define IO_DB_H
/*
 * PostgreSQL.  The same calls park the calling fiber or, in a plain thread, block it.
 *
 * Connections.  Each event loop has one pipelined connection for DB_FAST statements (primary key or
 * (sort, id) index, a few hundred rows at most, no count; prepared when it opens) and its share of
 * `conns_max` borrowed ones for everything else (prepared by name on first use).  With DB_ONCE a
 * text goes as it is; one without values is prepared when it comes again, for a minute, and may be
 * DB_FAST too.  A plain thread has a connection of its own, opened on first use.  A broken
 * connection is reopened with back-off; DB_FAST reads that were queued on it are sent once more,
 * writes never are.  What was prepared for tables that are no more is sent again.
 *
 * Errors.  E_unavailable (retryable, retry_after_s 1) when the database cannot be reached, no
 * connection came free within wait_ms, the connection broke under a statement, the server has no
 * room, or reruns did not end 40001/40P01; E_timeout after statement_timeout_ms; E_conflict on a
 * unique violation and E_validation on a foreign key, check or not-null violation, both with the
 * constraint's (or column's) name in err->pointer; E_internal for all else, with the SQLSTATE in
 * err->detail.  After E_unavailable or E_timeout of a write its fate is unknown.
 *
 * Results belong to the arena given.  SQL text comes from sql/<name>.sql blocks and the CRUD
 * composer only; values are always parameters (LIMIT and OFFSET are bounded numbers of its own).
 */
#include "common/base/arena.h"
#include "common/base/err.h"

#include <assert.h>

struct json_t;
struct db;
struct db_tx;
struct db_rows;

enum db_flags {
    DB_FAST = 1 << 0,  /* pipelined */
    DB_WRITE = 1 << 1, /* never retried; FAULT("db.write") */
    DB_ONCE = 1 << 2,  /* composed text: not prepared by name */
};

struct db_stmt {
    const char *name; /* at most 63 bytes, unique in the program; may be NULL with DB_ONCE */
    const char *sql;
    unsigned flags;
};

/* A typed parameter, sent as text.  The strings are borrowed for the call. */
enum db_val_type { DBV_NULL, DBV_I64, DBV_BOOL, DBV_TEXT, DBV_TEXTS, DBV_I64S, DBV_COLUMN };
struct db_val {
    enum db_val_type type;
    int64_t i64;
    const char *text;
    const void *list; /* const char *const *, const int64_t * or const struct db_val *const * */
    size_t n;
};
static inline struct db_val db_null(void)
{
    return (struct db_val){ .type = DBV_NULL };
}
static inline struct db_val db_i64(int64_t v)
{
    return (struct db_val){ .type = DBV_I64, .i64 = v };
}
static inline struct db_val db_bool(bool v)
{
    return (struct db_val){ .type = DBV_BOOL, .i64 = v };
}
static inline struct db_val
db_text(const char *s) /* NULL is SQL null; also json, uuid, timestamptz */
{
    return (struct db_val){ .type = s ? DBV_TEXT : DBV_NULL, .text = s };
}
static inline struct db_val db_texts(const char *const *v, size_t n) /* text[] */
{
    return (struct db_val){ .type = DBV_TEXTS, .list = v, .n = n };
}
static inline struct db_val db_i64s(const int64_t *v, size_t n) /* bigint[] */
{
    return (struct db_val){ .type = DBV_I64S, .list = v, .n = n };
}

/* A column of n rows of values: a text[] of their text forms.  It travels in binary, so that long
 * texts are not quoted here and parsed there: the parameter must be a text[] in the statement. */
static inline struct db_val db_column(const struct db_val *const *rows, size_t n, size_t col)
{
    return (struct db_val){ .type = DBV_COLUMN, .list = rows, .n = n, .i64 = (int64_t)col };
}

struct db_conf {
    const char *conninfo;    /* URL or keywords */
    const char *application; /* application_name */
    size_t conns_max;        /* borrowed, all loops together (at least 1 a loop) */
    size_t loops;            /* how many event loops will use it */
    unsigned statement_timeout_ms, wait_ms, connect_timeout_ms;
    const struct db_stmt *const *fast; /* NULL-ended; the DB_FAST statements */
};
/* Opens nothing yet: a database that is down at the start is waited for by whoever asks first. */
struct db *db_new(const struct db_conf *conf);
void db_free(struct db *db); /* no call may be in flight, and the loops have ended */
/* The pool with another search_path: what is asked through it finds its tables in that schema.  In
 * the arena, nothing to free.  DB_FAST counts for nothing here, and nothing is prepared by name (a
 * plan is one schema's).  A pool that is used so is never used without. */
struct db *db_in_schema(struct db *pool, struct arena *a, const char *schema);

/* One statement, by itself: a deadlock (40P01, 40001) that it was chosen to end runs it again, as
 * db_tx does. */
int db_query(struct db *db, struct arena *a, const struct db_stmt *s, const struct db_val *v,
             size_t n, struct db_rows **ret, struct err *err) MUST_CHECK;
/* Number of what this loop's DB_FAST statements are gathered into before they are sent.  Under the
 * same number nothing of it has been sent: what one finds is how things were after the next was
 * asked for, and it is answered before that (unless its connection breaks).  0: they are not
 * gathered here (a plain thread, a pool of db_in_schema, no connection yet). */
uint64_t db_fast_batch(struct db *db);

/* BEGIN, fn, COMMIT.  fn's negative result rolls back and is returned.  Serialization failures and
 * deadlocks (40001, 40P01) rerun fn, db_tx_tries_max times in all.  Nothing else is retried. */
enum { db_tx_tries_max = 5 };
int db_tx(struct db *db, struct arena *a, int (*fn)(struct db_tx *tx, void *ctx, struct err *err),
          void *ctx, struct err *err) MUST_CHECK;
int db_exec(struct db_tx *tx, struct arena *a, const struct db_stmt *s, const struct db_val *v,
            size_t n, struct db_rows **ret, struct err *err) MUST_CHECK;
/* db_exec under a savepoint: what the server refuses (a constraint, a timeout) leaves the
 * transaction as it was before, and it can go on.  Not so E_unavailable and what reruns it. */
int db_try(struct db_tx *tx, struct arena *a, const struct db_stmt *s, const struct db_val *v,
           size_t n, struct db_rows **ret, struct err *err) MUST_CHECK;
bool db_tx_usable(const struct db_tx *tx); /* false: a statement failed, it can only be left */
/* Calls fn(ctx) when the transaction has ended, before db_tx returns, if it was committed or nobody
 * knows whether it was: what has to hear of a change, hears of every one.  Of `a` is remembered
 * that it is to be done.  In the order of the calls; a rerun begins without any. */
void db_tx_then(struct db_tx *tx, struct arena *a, void (*fn)(void *ctx), void *ctx);

/* A session of its own, for advisory locks (relay, scheduler, migrations).  Blocking; for threads.
 * After any E_unavailable the session and its locks are gone: close it and open another. */
struct db_session;
int db_session_open(const struct db_conf *conf, struct db_session **ret,
                    struct err *err) MUST_CHECK;
void db_session_close(struct db_session *s);
int db_session_exec(struct db_session *s, struct arena *a, const struct db_stmt *st,
                    const struct db_val *v, size_t n, struct db_rows **ret,
                    struct err *err) MUST_CHECK;
int db_session_script(struct db_session *s, const char *sql,
                      struct err *err) MUST_CHECK; /* many statements */
/* A transaction on the session, as db_tx (db_exec on the handle), without reruns. */
int db_session_tx(struct db_session *s, int (*fn)(struct db_tx *tx, void *ctx, struct err *err),
                  void *ctx, struct err *err) MUST_CHECK;

/* What was found, read by the functions below: a list of 100 rows asks thousands of times. */
struct db_cell {
    const char *text; /* ends with a NUL; "" for null */
    int len;          /* negative: null */
};
struct db_rows {
    size_t nrows, ncols;
    const struct db_cell **rows;
    size_t bytes, affected;
    size_t cap; /* of rows, while they arrive */
};
static inline size_t db_nrows(const struct db_rows *r)
{
    return r->nrows;
}
static inline size_t db_ncols(const struct db_rows *r) /* may be 0 when there is no row */
{
    return r->ncols;
}
static inline size_t db_rows_bytes(const struct db_rows *r) /* of their texts, or a little more */
{
    return r->bytes;
}
static inline size_t db_affected(const struct db_rows *r) /* by a write without RETURNING */
{
    return r->affected;
}
static inline const struct db_cell *db_cell_at(const struct db_rows *r, size_t row, size_t col)
{
    assert(row < r->nrows && col < r->ncols);
    return &r->rows[row][col];
}
static inline bool db_is_null(const struct db_rows *r, size_t row, size_t col)
{
    return db_cell_at(r, row, col)->len < 0;
}
/* The text form, NUL-terminated, borrowed from the rows; "" for null. */
static inline const char *db_cell(const struct db_rows *r, size_t row, size_t col, size_t *ret_len)
{
    const struct db_cell *c = db_cell_at(r, row, col);
    if (ret_len)
        *ret_len = c->len < 0 ? 0 : (size_t)c->len;
    return c->text;
}
/* The same, NULL for null. */
static inline const char *db_str(const struct db_rows *r, size_t row, size_t col)
{
    const struct db_cell *c = db_cell_at(r, row, col);
    return c->len < 0 ? NULL : c->text;
}
int64_t db_get_i64(const struct db_rows *r, size_t row, size_t col); /* 0 for null */
bool db_get_bool(const struct db_rows *r, size_t row, size_t col);
/* Splits a text[] (or any one-dimensional array) cell: elements in the arena; returns how many.
 * Null elements are NULL. */
size_t db_get_texts(struct arena *a, const struct db_rows *r, size_t row, size_t col,
                    const char ***ret);

struct db_stats {
    uint64_t statements, errors, reconnects, waits;
    size_t borrowed, conns_open;
};
void db_stats(struct db *db, struct db_stats *ret);
int db_ping(struct db *db, struct err *err) MUST_CHECK; /* readiness */
#endif
