#ifndef IO_DB_INTERNAL_H
#define IO_DB_INTERNAL_H
/*
 * What the db_*.c files share; nobody else includes it.
 *
 *   db.c       a program's pools: db_new, db_query, statistics
 *   db_conn.c  one connection: opening, preparing, running a statement, waiting for its socket
 *   db_fast.c  the pipelined connection of a loop
 *   db_wire.c  the messages of that connection
 *   db_pool.c  the borrowed connections of a loop, and the one of a plain thread
 *   db_tx.c    transactions and sessions
 *   db_rows.c  parameters, results, and what an SQLSTATE means
 */
#include "common/base/fiber.h"
#include "common/io/db.h"
#include "common/io/db_wire.h"

#include <postgresql/libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    db_loops_max = 64,
    db_prepared_max = 512,  /* names a connection; more statements are sent unnamed */
    db_fast_batch_max = 16, /* reads that share one sync, and so one transaction */
    db_prepared_slots = 1024,
    db_texts_max = 32,       /* composed texts without values that a connection keeps prepared, */
    db_texts_seen = 32,      /* those that it prepares when they come again, */
    db_text_idle_runs = 256, /* how many others came since one whose place another takes, */
    db_text_age_ms = 60000,  /* and how long its plan is good: tables grow */
    db_text_bytes_max = 8192,
    db_text_name = 32,
    db_reopen_first_ms = 10,
    db_reopen_most_ms = 500,
    db_guard_ms = 1000, /* beyond statement_timeout before the client gives the server up */
    db_sqlstate_len = 5,
};

struct db_params {
    int n;
    const char *const *v;
    const int *len, *format; /* NULL: all are text */
};

struct db_counters {
    atomic_uint_fast64_t statements, errors, reconnects, waits;
    atomic_size_t borrowed, open;
};

struct db_loop;

struct db_text {        /* prepared under its place's name */
    char *sql;          /* NULL: free */
    uint64_t hash, run; /* run: the connection's when it was last asked for */
    int64_t at_ms;      /* when it was prepared */
    uint64_t batch;     /* in which, on a pipelined connection */
};

/* One connection.  With `loop` set, waiting parks the fiber; without, it blocks the thread. */
struct db_conn {
    PGconn *pg;
    struct db_counters *count;
    unsigned statement_timeout_ms;
    struct loop *loop;
    struct watch watch;
    struct timer timer;
    struct fiber *waiter;
    bool timed_out; /* the last wait ended by its timer */
    bool broken;    /* of no use any more: close it */
    char sqlstate[db_sqlstate_len +
                  1];     /* of the last statement that failed; "" if the server sent none */
    struct db_loop *home; /* borrowed ones */
    struct db_conn *next; /* among the idle */
    bool idle;
    char *schema; /* its search_path, NULL: the role's */
    size_t nprepared;
    char *prepared[db_prepared_slots]; /* names, open addressing */
    struct db_text texts[db_texts_max];
    uint64_t seen[db_texts_seen]; /* hashes, the oldest is replaced */
    size_t nseen;
    uint64_t runs; /* of composed texts */
};

/* A DB_FAST statement under way; it lives on the stack of the fiber that waits for it. */
struct db_fast {
    const struct db_stmt *stmt;
    const struct db_params *params;
    struct fiber *fiber;
    int64_t at_us;  /* when it was sent, or began to wait for a connection */
    unsigned sent;  /* how often */
    uint64_t batch; /* in which */
    struct arena *arena;
    struct db_rows *rows;
    int result; /* when rows is NULL */
    struct err *err;
    struct db_fast *next;
};
struct db_fastq {
    struct db_fast *head, **tail;
};

/* A fiber that waits for a borrowed connection. */
struct db_waiter {
    struct fiber *fiber;
    struct db_conn *conn; /* handed over, or NULL: may open one, or too late */
    bool may_open;
    struct db_loop *home;
    struct timer timer;
    struct db_waiter *next;
};

struct db_loop {
    struct db *db;
    struct loop *loop;

    struct db_conn *fast; /* NULL: closed or being opened */
    struct db_wire wire;  /* on it */
    bool opening;
    struct db_fastq sent, waiting;
    size_t unsynced;    /* statements of the open batch */
    uint64_t batch;     /* its number, from 1; nothing of it has been sent */
    uint64_t answering; /* number of the batch whose answers come next */
    bool skipping;      /* one of it failed, what comes after it is not run */
    struct deferred flush, open;
    struct timer guard;

    struct db_conn *idle;
    size_t nopen, share;
    struct db_waiter *wait_head, **wait_tail;
};

/* The connection of a plain thread. */
struct db_thread {
    struct db *db;
    struct db_conn *conn;
    struct db_thread *prev, *next;
};

struct db {
    struct db *pool; /* of db_in_schema, whose connections it borrows; what follows is not used */
    const char *schema;  /* then */
    struct arena *arena; /* the copy of conf */
    struct db_conf conf;
    pthread_mutex_t mu; /* loops, workers, threads */
    struct workers *workers;
    struct db_loop *loops[db_loops_max];
    atomic_size_t nloops;
    pthread_key_t key;
    struct db_thread *threads;
    struct db_counters count;
};

/* db_rows.c */
void db_params_make(struct arena *a, const struct db_val *v, size_t n, struct db_params *ret);
struct db_rows *db_rows_make(struct arena *a, PGresult *res); /* takes res */
/* Fills *err by the result (NULL: the connection failed) and its SQLSTATE; returns -err->code. */
int db_error(PGconn *pg, const PGresult *res, const char *stmt, char sqlstate[db_sqlstate_len + 1],
             struct err *err);
int db_refused(const struct db_refusal *r, const char *stmt, struct err *err); /* the same */
bool db_state_is_loss(const char *sqlstate);  /* the server ended the connection */
bool db_state_is_stale(const char *sqlstate); /* what was prepared on it is of no use any more */
bool db_state_is_rerun(const char *sqlstate); /* 40001, 40P01 */

/* db_conn.c */
int conn_open(const struct db_conf *conf, struct db_counters *count, struct db_conn **ret,
              struct err *err) MUST_CHECK;
void conn_close(struct db_conn *c);
void conn_close_off_loop(struct db_conn *c); /* its loop has ended */
bool conn_is_prepared(const struct db_conn *c, const char *name);
int conn_prepare(struct db_conn *c, const struct db_stmt *s, struct err *err) MUST_CHECK;
/* Runs one statement, waiting for its end.  *ret is a good result. */
int conn_run(struct db_conn *c, const struct db_stmt *s, const struct db_params *p, PGresult **ret,
             struct err *err) MUST_CHECK;
/* The same for a composed text without values.  When it comes again it is prepared, and from then
 * on neither parsed nor planned.  (One with values is planned for them each time: a plan for any
 * value is a bad one for a rare value.) */
int conn_run_text(struct db_conn *c, const struct db_stmt *s, PGresult **ret,
                  struct err *err) MUST_CHECK;
/* The place where a composed text is prepared, under the place's name, or is to be: *ret_make.
 * What is there then goes, and conn_text_keep says that the text has come.  NULL: it is sent as it
 * is. */
struct db_text *conn_text(struct db_conn *c, const char *sql, bool *ret_make);
void conn_text_name(const struct db_conn *c, const struct db_text *t, char ret[db_text_name]);
void conn_text_keep(struct db_text *t, const char *sql, uint64_t batch);
void conn_text_forget(struct db_text *t); /* the place is free */
/* BEGIN and the statement in one round trip; *ret_begun says whether a transaction is open. */
int conn_begin_run(struct db_conn *c, const struct db_stmt *s, const struct db_params *p,
                   PGresult **ret, struct err *err) MUST_CHECK;
/* COPY … FROM STDIN with `data`; *ret is a good result. */
int conn_copy(struct db_conn *c, const struct db_stmt *s, const char *data, size_t n,
              PGresult **ret, struct err *err) MUST_CHECK;
/* Statements without parameters, as one text; no time limit of the client's. */
int conn_script(struct db_conn *c, const char *sql, struct err *err) MUST_CHECK;
/* All that it runs from now on finds its tables there. */
int conn_set_schema(struct db_conn *c, const char *schema, struct err *err) MUST_CHECK;
bool conn_alive(struct db_conn *c); /* of an idle one: has the server closed it? */

/* db_tx.c */
int tx_copy(struct db_tx *tx, const struct db_stmt *s, const char *data, size_t n,
            int64_t *ret_rows, struct err *err) MUST_CHECK; /* for db_copy.c */

/* db_fast.c */
void fast_init(struct db_loop *dl);
int fast_query(struct db_loop *dl, struct arena *a, const struct db_stmt *s,
               const struct db_params *p, struct db_rows **ret, struct err *err) MUST_CHECK;

/* db_pool.c */
void pool_init(struct db_loop *dl, size_t share);
struct db_loop *db_loop_here(struct db *db); /* NULL outside a fiber */
struct workers *db_workers(struct db *db);
int db_borrow(struct db *db, struct db_conn **ret, struct err *err) MUST_CHECK;
void db_return(struct db *db, struct db_conn *c);
void pool_drop_idle(struct db_conn *c); /* the server has closed it */
void db_thread_end(void *thread);       /* destructor of a thread's value of db->key */
#endif
