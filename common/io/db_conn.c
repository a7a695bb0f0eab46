#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/base/resolve.h"
#include "common/base/siphash.h"
#include "common/io/db_internal.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* --- waiting --------------------------------------------------------------------------- */

static bool poll_one(int fd, short events, int64_t deadline_us)
{
    for (;;) {
        int64_t left_ms =
            deadline_us == INT64_MAX ? -1 : (deadline_us - clock_mono_us()) / 1000 + 1;
        if (deadline_us != INT64_MAX && left_ms <= 0)
            return false;
        struct pollfd p = { .fd = fd, .events = events };
        int n = poll(&p, 1, left_ms > INT32_MAX ? -1 : (int)left_ms);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return true; /* libpq's next call on the socket says what is wrong */
    }
}

static void on_socket(struct watch *w, uint32_t events)
{
    (void)events;
    struct db_conn *c = container_of(w, struct db_conn, watch);
    struct fiber *f = c->waiter;
    if (f) {
        c->waiter = NULL;
        fiber_wake(f);
        return;
    }
    /* Nobody waits for it.  An idle connection has nothing to say unless the server closes it; a
     * borrowed one will be looked at by its fiber, and until then must not keep the loop awake. */
    watch_set(c->loop, w, 0);
    if (c->idle)
        pool_drop_idle(c);
}

static void on_timer(struct timer *t)
{
    struct db_conn *c = container_of(t, struct db_conn, timer);
    struct fiber *f = c->waiter;
    if (f) {
        c->waiter = NULL;
        c->timed_out = true;
        fiber_wake(f);
    }
}

/* Until the socket can be read (or, with `out`, written).  False: the deadline passed. */
static bool conn_wait(struct db_conn *c, bool out, int64_t deadline_us)
{
    if (!c->loop)
        return poll_one(PQsocket(c->pg), (short)(POLLIN | (out ? POLLOUT : 0)), deadline_us);

    c->timed_out = false;
    c->waiter = fiber_self();
    c->watch.fd = PQsocket(c->pg);
    c->watch.fn = on_socket;
    c->timer.fn = on_timer;
    watch_set(c->loop, &c->watch, (uint32_t)EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0));
    if (deadline_us != INT64_MAX)
        timer_set(c->loop, &c->timer, deadline_us - clock_mono_us());
    fiber_park();
    timer_clear(c->loop, &c->timer);
    return !c->timed_out;
}

static int64_t deadline_of(const struct db_conn *c)
{
    return c->statement_timeout_ms == 0
               ? INT64_MAX
               : clock_mono_us() + (int64_t)(c->statement_timeout_ms + db_guard_ms) * 1000;
}

bool conn_alive(struct db_conn *c)
{
    char byte;
    ssize_t n = recv(PQsocket(c->pg), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    /* Anything to read on an idle connection is the server's farewell, or as good as it. */
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) &&
           PQstatus(c->pg) == CONNECTION_OK;
}

/* --- opening and closing --------------------------------------------------------------- */

static void on_notice(void *ctx, const char *text)
{
    (void)ctx;
    log_debug("db.notice", kv_s("text", text));
}

/* What libpq is told besides the conninfo. */
struct start {
    const char *options;         /* of the server's session, after those of the conninfo */
    const char *host, *hostaddr; /* NULL: as the conninfo says */
    const char *wrong;           /* why it is of no use to start, or NULL */
};

/* One plain name is resolved here, where it takes no longer than resolve_wait_ms; a directory,
 * several names and what has an address already are libpq's. */
static void find_host(struct arena *a, const char *host, struct start *s)
{
    struct addresses found;
    struct buf names, texts;
    char text[NI_MAXHOST];
    if (!*host || strpbrk(host, "/@,"))
        return;
    int rc = resolve(host, &found);
    if (rc) {
        s->wrong = arena_printf(a, "the database's host %s: %s", host, gai_strerror(rc));
        return;
    }
    buf_init(&names, a, 256, resolve_addresses_max * (NI_MAXHOST + 1));
    buf_init(&texts, a, 256, resolve_addresses_max * (NI_MAXHOST + 1));
    for (size_t i = 0; i < found.n; i++) { /* libpq takes a list of each, of one length */
        address_text(&found.at[i], text);
        buf_printf(&names, "%s%s", i ? "," : "", host);
        buf_printf(&texts, "%s%s", i ? "," : "", text);
    }
    s->host = names.data;
    s->hostaddr = texts.data;
}

static void prepare_start(struct arena *a, const struct db_conf *conf, struct start *s)
{
    const char *own = "", *host = "", *hostaddr = "", *gss = "";
    PQconninfoOption *all = PQconninfoParse(conf->conninfo, NULL);
    for (PQconninfoOption *o = all; o && o->keyword; o++) {
        const char **to = strcmp(o->keyword, "options") == 0      ? &own
                          : strcmp(o->keyword, "host") == 0       ? &host
                          : strcmp(o->keyword, "hostaddr") == 0   ? &hostaddr
                          : strcmp(o->keyword, "gssencmode") == 0 ? &gss
                                                                  : NULL;
        if (to && o->val)
            *to = arena_strdup(a, o->val);
    }
    PQconninfoFree(all);
    s->options =
        arena_printf(a,
                     "%s -c statement_timeout=%u -c idle_in_transaction_session_timeout=60000"
                     " -c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=iso_8601"
                     " -c bytea_output=hex -c standard_conforming_strings=on -c jit=off"
                     " -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2"
                     " -c tcp_keepalives_count=3 -c tcp_user_timeout=3000",
                     own, conf->statement_timeout_ms);
    if (strcmp(gss, "require") == 0)
        s->wrong = "gssencmode=require is not supported; sslmode encrypts";
    else if (!*hostaddr)
        find_host(a, host, s);
}

static PGconn *pg_start(const struct db_conf *conf, const struct start *s)
{
    const struct {
        const char *key, *value;
    } set[] = {
        { "dbname",              conf->conninfo    },
        { "host",                s->host           },
        { "hostaddr",            s->hostaddr       },
        { "options",             s->options        },
        { "application_name",    conf->application },
        { "client_encoding",     "UTF8"            },
        { "gssencmode",          "disable"         }, /* db_wire.c reads in the clear and TLS */
        { "keepalives",          "1"               },
        { "keepalives_idle",     "5"               },
        { "keepalives_interval", "2"               },
        { "keepalives_count",    "3"               },
        { "tcp_user_timeout",    "3000"            },
        { NULL,                  NULL              },
    };
    const char *keys[ARRAY_LEN(set)], *values[ARRAY_LEN(set)];
    for (size_t i = 0; i < ARRAY_LEN(set); i++) {
        keys[i] = set[i].key;
        values[i] = set[i].value; /* NULL: left as it is */
    }
    PGconn *pg = PQconnectStartParams(keys, values, 1);
    if (!pg)
        abort(); /* out of memory */
    return pg;
}

static bool pg_finish_start(PGconn *pg, int64_t deadline_us)
{
    PostgresPollingStatusType st = PGRES_POLLING_WRITING;
    if (PQstatus(pg) == CONNECTION_BAD)
        return false;
    while (st != PGRES_POLLING_OK && st != PGRES_POLLING_FAILED) {
        if (!poll_one(PQsocket(pg), st == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_us))
            return false;
        st = PQconnectPoll(pg);
    }
    return st == PGRES_POLLING_OK && PQsetnonblocking(pg, 1) == 0;
}

/* Blocks the thread, for a name, the start and its answer: fibers call it through a worker. */
int conn_open(const struct db_conf *conf, struct db_counters *count, struct db_conn **ret,
              struct err *err)
{
    unsigned ms = conf->connect_timeout_ms > 0 ? conf->connect_timeout_ms : 3000;
    struct arena *a = arena_new();
    struct start s = { 0 };
    prepare_start(a, conf, &s);
    PGconn *pg = s.wrong || FAULT("db.connect") ? NULL : pg_start(conf, &s);
    bool ok = pg && pg_finish_start(pg, clock_mono_us() + (int64_t)ms * 1000);
    if (!ok) {
        char state[db_sqlstate_len + 1];
        db_error(pg, NULL, "connect", state, err);
        if (s.wrong)
            err_detail(err, "%s", s.wrong);
        PQfinish(pg);
    }
    arena_free(a);
    if (!ok)
        return -(int)err->code;
    PQsetNoticeProcessor(pg, on_notice, NULL);
    struct db_conn *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    c->pg = pg;
    c->count = count;
    c->statement_timeout_ms = conf->statement_timeout_ms;
    atomic_fetch_add(&count->open, 1);
    atomic_fetch_add(&count->reconnects, 1);
    *ret = c;
    return 0;
}

void conn_close_off_loop(struct db_conn *c)
{
    if (!c)
        return;
    PQfinish(c->pg);
    atomic_fetch_sub(&c->count->open, 1);
    for (size_t i = 0; i < db_prepared_slots; i++)
        free(c->prepared[i]);
    for (size_t i = 0; i < db_texts_max; i++)
        free(c->texts[i].sql);
    free(c->schema);
    free(c);
}

void conn_close(struct db_conn *c)
{
    if (c && c->loop) {
        watch_set(c->loop, &c->watch, 0);
        timer_clear(c->loop, &c->timer);
    }
    conn_close_off_loop(c);
}

/* --- statements ------------------------------------------------------------------------ */

static size_t prepared_slot(const struct db_conn *c, const char *name)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (const char *s = name; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    size_t i = h % db_prepared_slots;
    while (c->prepared[i] && strcmp(c->prepared[i], name) != 0)
        i = (i + 1) % db_prepared_slots;
    return i;
}

bool conn_is_prepared(const struct db_conn *c, const char *name)
{
    return c->prepared[prepared_slot(c, name)] != NULL;
}

static int conn_lost(struct db_conn *c, const char *stmt, struct err *err)
{
    c->broken = true;
    return db_error(c->pg, NULL, stmt, c->sqlstate, err);
}

static int conn_late(struct db_conn *c, const char *stmt, struct err *err)
{
    c->broken = true;
    c->sqlstate[0] = '\0';
    err_set(err, E_timeout, "The database took too long.");
    err->retry_after_s = 1;
    return err_detail(err, "no answer in time (%s)", stmt ? stmt : "-");
}

/* The next result, NULL between two statements.  Negative: the connection is of no use any more. */
static int next_result(struct db_conn *c, const char *stmt, int64_t deadline_us, PGresult **ret,
                       struct err *err)
{
    int unsent = PQflush(c->pg);
    while (unsent >= 0 && (unsent > 0 || PQisBusy(c->pg))) {
        if (!conn_wait(c, unsent > 0, deadline_us))
            return conn_late(c, stmt, err);
        if (!PQconsumeInput(c->pg))
            break; /* what arrived before the end is still to be had */
        unsent = PQflush(c->pg);
    }
    if (unsent < 0 || (PQisBusy(c->pg) && PQstatus(c->pg) == CONNECTION_BAD))
        return conn_lost(c, stmt, err);
    *ret = PQgetResult(c->pg);
    return 0;
}

static bool result_copies(const PGresult *res)
{
    ExecStatusType st = PQresultStatus(res);
    return st == PGRES_COPY_IN || st == PGRES_COPY_OUT || st == PGRES_COPY_BOTH;
}

static bool result_good(const PGresult *res)
{
    ExecStatusType st = PQresultStatus(res);
    return st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK || st == PGRES_EMPTY_QUERY;
}

/* Counts the result, and turns a bad one into *err.  Takes res unless it is good. */
static int conn_judge(struct db_conn *c, const char *stmt, PGresult *res, struct err *err)
{
    atomic_fetch_add_explicit(&c->count->statements, 1, memory_order_relaxed);
    if (res && result_good(res)) {
        c->sqlstate[0] = '\0';
        return 0;
    }
    atomic_fetch_add_explicit(&c->count->errors, 1, memory_order_relaxed);
    int rc = db_error(c->pg, res, stmt, c->sqlstate, err);
    PQclear(res);
    if (!res || PQstatus(c->pg) == CONNECTION_BAD || db_state_is_loss(c->sqlstate) ||
        db_state_is_stale(c->sqlstate))
        c->broken = true;
    return rc;
}

/* All results of what was sent, up to the first NULL; the last one, or the first bad one, counts.
 */
static int conn_collect(struct db_conn *c, const char *stmt, int64_t deadline_us, PGresult **ret,
                        struct err *err)
{
    PGresult *keep = NULL, *res;
    int rc;
    while ((rc = next_result(c, stmt, deadline_us, &res, err)) == 0 && res) {
        if (result_copies(res)) { /* it would give this result for ever */
            PQclear(res);
            rc = conn_lost(c, stmt, err);
            break;
        }
        if (keep && !result_good(keep)) {
            PQclear(res);
            continue;
        }
        PQclear(keep);
        keep = res;
    }
    if (rc < 0) {
        PQclear(keep);
        atomic_fetch_add_explicit(&c->count->errors, 1, memory_order_relaxed);
        return rc;
    }
    rc = conn_judge(c, stmt, keep, err);
    if (rc == 0)
        *ret = keep;
    return rc;
}

int conn_prepare(struct db_conn *c, const struct db_stmt *s, struct err *err)
{
    PGresult *res;
    size_t slot = prepared_slot(c, s->name);
    assert(c->nprepared < db_prepared_max && !c->prepared[slot]);
    if (!PQsendPrepare(c->pg, s->name, s->sql, 0, NULL))
        return conn_lost(c, s->name, err);
    int rc = conn_collect(c, s->name, deadline_of(c), &res, err);
    if (rc < 0)
        return rc;
    PQclear(res);
    c->prepared[slot] = strdup(s->name);
    c->nprepared++;
    return 0;
}

/* Prepares by name what may be; *ret_named says whether the statement can be sent by its name. */
static int conn_make_ready(struct db_conn *c, const struct db_stmt *s, bool *ret_named,
                           struct err *err)
{
    *ret_named = false;
    if (!s->name || (s->flags & DB_ONCE) || c->schema)
        return 0;
    if (!conn_is_prepared(c, s->name)) {
        if (c->nprepared == db_prepared_max)
            return 0;
        int rc = conn_prepare(c, s, err);
        if (rc < 0)
            return rc;
    }
    *ret_named = true;
    return 0;
}

static bool conn_send(struct db_conn *c, const struct db_stmt *s, const struct db_params *p,
                      bool named)
{
    if (named)
        return PQsendQueryPrepared(c->pg, s->name, p->n, p->v, p->len, p->format, 0);
    return PQsendQueryParams(c->pg, s->sql, p->n, NULL, p->v, p->len, p->format, 0);
}

int conn_run(struct db_conn *c, const struct db_stmt *s, const struct db_params *p, PGresult **ret,
             struct err *err)
{
    bool named;
    int rc = conn_make_ready(c, s, &named, err);
    if (rc < 0)
        return rc;
    if (((s->flags & DB_WRITE) && FAULT("db.write")) || !conn_send(c, s, p, named))
        return conn_lost(c, s->name, err);
    return conn_collect(c, s->name, deadline_of(c), ret, err);
}

/* --- composed texts without values ----------------------------------------------------- */

static struct db_text *text_find(struct db_conn *c, const char *sql, uint64_t hash)
{
    for (size_t i = 0; i < db_texts_max; i++)
        if (c->texts[i].hash == hash && c->texts[i].sql && !strcmp(c->texts[i].sql, sql))
            return &c->texts[i];
    return NULL;
}

/* Has it come before?  It is remembered if not. */
static bool text_again(struct db_conn *c, uint64_t hash)
{
    for (size_t i = 0; i < db_texts_seen; i++)
        if (c->seen[i] == hash)
            return true;
    c->seen[c->nseen++ % db_texts_seen] = hash;
    return false;
}

/* A free place, or one whose text has not been asked for in a while; or NULL. */
static struct db_text *text_place(struct db_conn *c)
{
    struct db_text *least = &c->texts[0];
    for (size_t i = 1; i < db_texts_max && least->sql; i++)
        if (!c->texts[i].sql || c->texts[i].run < least->run)
            least = &c->texts[i];
    return !least->sql || least->run + db_text_idle_runs < c->runs ? least : NULL;
}

void conn_text_name(const struct db_conn *c, const struct db_text *t, char ret[db_text_name])
{
    snprintf(ret, db_text_name, "text_%zu", (size_t)(t - c->texts));
}

static uint64_t text_hash(const char *sql, size_t n)
{
    static const unsigned char key[16];
    return siphash(key, sql, n);
}

struct db_text *conn_text(struct db_conn *c, const char *sql, bool *ret_make)
{
    size_t n = strlen(sql);
    *ret_make = false;
    if (n > db_text_bytes_max)
        return NULL;
    uint64_t hash = text_hash(sql, n);
    struct db_text *t = text_find(c, sql, hash);
    c->runs++;
    if (t) {
        *ret_make = clock_ms() - t->at_ms > db_text_age_ms;
    } else if (text_again(c, hash)) {
        t = text_place(c);
        *ret_make = t;
    }
    if (t)
        t->run = c->runs;
    return t;
}

void conn_text_keep(struct db_text *t, const char *sql, uint64_t batch)
{
    char *kept = strdup(sql); /* it may be the one that is there */
    if (!kept)
        abort();
    free(t->sql);
    t->sql = kept;
    t->hash = text_hash(sql, strlen(sql));
    t->at_ms = clock_ms();
    t->batch = batch;
}

void conn_text_forget(struct db_text *t)
{
    free(t->sql);
    t->sql = NULL;
}

static int text_deallocate(struct db_conn *c, struct db_text *t, struct err *err)
{
    static const struct db_params none = { 0 };
    char name[db_text_name], sql[2 * db_text_name];
    PGresult *res;
    conn_text_name(c, t, name);
    snprintf(sql, sizeof(sql), "deallocate %s", name);
    conn_text_forget(t);
    int rc = conn_run(c, &(struct db_stmt){ .sql = sql, .flags = DB_ONCE }, &none, &res, err);
    if (rc == 0)
        PQclear(res);
    return rc;
}

/* Leaves the place free if the server refuses the text. */
static int text_prepare(struct db_conn *c, struct db_text *t, const struct db_stmt *s,
                        struct err *err)
{
    char name[db_text_name];
    PGresult *res;
    int rc = t->sql ? text_deallocate(c, t, err) : 0;
    if (rc < 0)
        return rc;
    conn_text_name(c, t, name);
    if (!PQsendPrepare(c->pg, name, s->sql, 0, NULL))
        return conn_lost(c, s->name, err);
    rc = conn_collect(c, s->name, deadline_of(c), &res, err);
    if (rc < 0)
        return rc;
    PQclear(res);
    conn_text_keep(t, s->sql, 0);
    return 0;
}

int conn_run_text(struct db_conn *c, const struct db_stmt *s, PGresult **ret, struct err *err)
{
    static const struct db_params none = { 0 };
    char name[db_text_name];
    bool make;
    struct db_text *t = conn_text(c, s->sql, &make);
    int rc = make ? text_prepare(c, t, s, err) : 0;
    if (rc < 0 && c->broken)
        return rc;
    if (!t || rc < 0) /* it says itself what is wrong with it */
        return conn_run(c, s, &none, ret, err);
    conn_text_name(c, t, name);
    if (!PQsendQueryPrepared(c->pg, name, 0, NULL, NULL, NULL, 0))
        return conn_lost(c, s->name, err);
    return conn_collect(c, s->name, deadline_of(c), ret, err);
}

int conn_set_schema(struct db_conn *c, const char *schema, struct err *err)
{
    static const struct db_stmt set = { .name = "search_path",
                                        .sql = "select set_config('search_path', quote_ident($1), "
                                               "false)",
                                        .flags = DB_ONCE };
    struct db_params p = { .n = 1, .v = &schema };
    PGresult *res;
    if (c->schema && !strcmp(c->schema, schema))
        return 0;
    int rc = conn_run(c, &set, &p, &res, err);
    if (rc) {
        c->broken = true; /* whose tables it would find is not known */
        return rc;
    }
    PQclear(res);
    free(c->schema);
    c->schema = strdup(schema);
    if (!c->schema)
        abort();
    return 0;
}

int conn_begin_run(struct db_conn *c, const struct db_stmt *s, const struct db_params *p,
                   PGresult **ret, struct err *err)
{
    static const struct db_stmt begin = { .name = "begin",
                                          .sql = "begin isolation level read committed",
                                          .flags = DB_ONCE };
    static const struct db_params none = { 0 };
    PGresult *res;
    bool named;
    int rc = conn_make_ready(c, s, &named, err);
    if (rc < 0)
        return rc;
    if (((s->flags & DB_WRITE) && FAULT("db.write")) || !PQenterPipelineMode(c->pg) ||
        !conn_send(c, &begin, &none, false) || !conn_send(c, s, p, named) || !PQpipelineSync(c->pg))
        return conn_lost(c, s->name, err);

    int64_t deadline_us = deadline_of(c);
    rc = conn_collect(c, begin.name, deadline_us, &res, err);
    if (rc < 0) {
        c->broken = true; /* a BEGIN that fails leaves nothing worth repairing */
        return rc;
    }
    PQclear(res);
    rc = conn_collect(c, s->name, deadline_us, &res, err);
    if (c->broken)
        return rc;
    PGresult *sync = NULL;
    struct err ignored;
    if (next_result(c, s->name, deadline_us, &sync, &ignored) < 0 ||
        PQresultStatus(sync) != PGRES_PIPELINE_SYNC || !PQexitPipelineMode(c->pg)) {
        if (rc == 0)
            PQclear(res);
        PQclear(sync);
        return conn_lost(c, s->name, err);
    }
    PQclear(sync);
    if (rc == 0)
        *ret = res;
    return rc;
}

/* All of it has left, so that libpq keeps a piece at most. */
static int send_piece(struct db_conn *c, const char *data, int n, const char *stmt,
                      int64_t deadline_us, struct err *err)
{
    if (n ? PQputCopyData(c->pg, data, n) != 1 : PQputCopyEnd(c->pg, NULL) < 0)
        return conn_lost(c, stmt, err);
    int unsent;
    while ((unsent = PQflush(c->pg)) > 0) {
        if (!conn_wait(c, true, deadline_us))
            return conn_late(c, stmt, err);
        if (!PQconsumeInput(c->pg))
            return conn_lost(c, stmt, err);
    }
    return unsent < 0 ? conn_lost(c, stmt, err) : 0;
}

/* The statement did not get as far as its data. */
static int copy_refused(struct db_conn *c, const char *stmt, PGresult *res, int64_t deadline_us,
                        struct err *err)
{
    struct err ignored;
    int rc = conn_judge(c, stmt, res, err);
    if (!rc) { /* something else than a COPY was run */
        PQclear(res);
        return conn_lost(c, stmt, err);
    }
    while (!c->broken && next_result(c, stmt, deadline_us, &res, &ignored) == 0 && res)
        PQclear(res);
    return rc;
}

int conn_copy(struct db_conn *c, const struct db_stmt *s, const char *data, size_t n,
              PGresult **ret, struct err *err)
{
    enum { piece_bytes = 64 * 1024 };
    PGresult *res = NULL;
    int64_t deadline_us = deadline_of(c);
    if (((s->flags & DB_WRITE) && FAULT("db.write")) || !PQsendQuery(c->pg, s->sql))
        return conn_lost(c, s->name, err);
    int rc = next_result(c, s->name, deadline_us, &res, err);
    if (rc)
        return rc;
    if (!res || PQresultStatus(res) != PGRES_COPY_IN)
        return copy_refused(c, s->name, res, deadline_us, err);
    PQclear(res);
    for (size_t at = 0; at < n && !rc; at += piece_bytes)
        rc = send_piece(c, data + at, (int)(n - at < piece_bytes ? n - at : piece_bytes), s->name,
                        deadline_us, err);
    if (!rc)
        rc = send_piece(c, NULL, 0, s->name, deadline_us, err);
    return rc ? rc : conn_collect(c, s->name, deadline_us, ret, err);
}

int conn_script(struct db_conn *c, const char *sql, struct err *err)
{
    PGresult *res;
    if (!PQsendQuery(c->pg, sql))
        return conn_lost(c, "script", err);
    int rc = conn_collect(c, "script", INT64_MAX, &res, err);
    if (rc == 0)
        PQclear(res);
    return rc;
}
