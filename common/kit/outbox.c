#include "common/kit/outbox.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/db.h"
#include "common/kit/metrics.h"
#include "common/kit/outbox_internal.h"
#include "common/kit/svc.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { retry_ms = 500 };

/* Rows live for milliseconds.  Vacuum must keep up with that, not with the size of the table; and
 * compressing what is about to be deleted is lost work, so up to 8 KB stay in the row as they are.
 */
#define OUTBOX_COLUMNS                                                                             \
    "  event_id uuid not null,"                                                                    \
    "  type text not null,"                                                                        \
    "  topic text not null,"                                                                       \
    "  key text not null,"                                                                         \
    "  payload text not null,"                                                                     \
    "  trace text,"                                                                                \
    "  request_id text,"                                                                           \
    "  actor text,"                                                                                \
    "  created_at timestamptz not null default now()"
const char outbox_schema_sql[] =
    "create table outbox ("
    "  id bigint generated always as identity primary key," OUTBOX_COLUMNS
    ") with (toast_tuple_target = 8160,"
    "  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,"
    "  autovacuum_vacuum_cost_delay = 0,"
    "  toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000,"
    "  toast.autovacuum_vacuum_cost_delay = 0);"
    "alter table outbox alter column payload set storage external;"
    "create table outbox_dead ("
    "  id bigint primary key," OUTBOX_COLUMNS ","
    "  reason text not null,"
    "  dead_at timestamptz not null default now());";

const char outbox_also_sql[] =
    "alter table outbox add column also_types text[], add column also_ids uuid[];"
    "alter table outbox_dead add column also_types text[], add column also_ids uuid[];";

int outbox_put(struct db_tx *tx, struct arena *a, const struct outbox_event *e, char *ret_event_id,
               struct err *err)
{
    static const struct db_stmt put = {
        .name = "outbox_put",
        .sql = "insert into outbox(event_id, type, topic, key, payload, trace, request_id, actor)"
               " values ($1, $2, $3, $4, $5, $6, $7, $8)",
        .flags = DB_WRITE,
    };
    const struct event_def *def = event_find(e->type);
    if (!def) {
        err_set(err, E_internal, "The event could not be recorded.");
        return err_detail(err, "no event type %s", e->type);
    }
    char id[uuid_len + 1];
    uuid7(id);
    const struct db_val v[] = {
        db_text(id),         db_text(def->type),      db_text(def->topic),    db_text(e->key),
        db_text(e->payload), db_text(e->traceparent), db_text(e->request_id), db_text(e->actor)
    };
    struct db_rows *rows;
    int rc = db_exec(tx, a, &put, v, ARRAY_LEN(v), &rows, err);
    if (rc == 0 && ret_event_id)
        memcpy(ret_event_id, id, sizeof(id));
    return rc;
}

/* --- the thread ------------------------------------------------------------------------ */

void outbox_wake(struct outbox *o)
{
    const uint64_t one = 1;
    if (!o || !atomic_load(&o->owner) || atomic_exchange(&o->woken, true))
        return;
    ssize_t ignored = write(o->wake_fd, &one, sizeof(one)); /* only a full counter refuses */
    (void)ignored;
}

static void drain_wake(struct outbox *o)
{
    uint64_t n;
    ssize_t ignored = read(o->wake_fd, &n, sizeof(n));
    (void)ignored;
    atomic_store(&o->woken, false);
}

bool outbox_wait(struct outbox *o, int64_t until_us)
{
    for (;;) {
        int64_t left_us = until_us - clock_mono_us();
        if (atomic_load(&o->stop))
            return true;
        struct pollfd p = { .fd = o->wake_fd, .events = POLLIN };
        int n = poll(&p, 1, left_us > 0 ? (int)((left_us + 999) / 1000) : 0);
        if (n > 0) {
            drain_wake(o);
            return true;
        }
        if (n == 0)
            return false;
    }
}

bool outbox_is_owner(const struct outbox *o)
{
    return atomic_load(&o->owner);
}

static void pause_ms(struct outbox *o, unsigned ms)
{
    int64_t until_us = clock_mono_us() + (int64_t)ms * 1000;
    while (!atomic_load(&o->stop) && clock_mono_us() < until_us)
        (void)outbox_wait(o, until_us);
}

static int try_lock(struct outbox *o, struct db_session *s, bool *ret_locked, struct err *err)
{
    static const struct db_stmt lock = {
        .name = "outbox_lock",
        .sql = "select pg_try_advisory_lock(hashtextextended('outbox:' || $1::text, 365))",
    };
    struct arena *a = arena_new();
    struct db_rows *rows;
    const struct db_val v[] = { db_text(o->conf.program) };
    int rc = db_session_exec(s, a, &lock, v, 1, &rows, err);
    if (rc == 0)
        *ret_locked = db_get_bool(rows, 0, 0);
    arena_free(a);
    return rc;
}

/* One session: waits for the lock, then relays until told to stop or the session breaks. */
static int session_run(struct outbox *o, struct db_session *s, struct err *err)
{
    bool locked = false;
    /* What a crash of the server brings back is produced once more under its old event id; not to
     * wait for the disk at each delete is worth that.  The few statements of a relay are read from
     * the low end of an index whatever their values: planned anew each time, a read took three
     * times as long. */
    int rc = db_session_script(
        s, "set synchronous_commit = off; set plan_cache_mode = force_generic_plan", err);
    while (rc == 0 && !atomic_load(&o->stop)) {
        rc = try_lock(o, s, &locked, err);
        if (rc < 0 || locked)
            break;
        pause_ms(o, retry_ms);
    }
    if (!locked)
        return rc;
    atomic_store(&o->owner, true);
    metric_gauge(M_outbox_owner, 1);
    log_info("outbox.owner", kv_s("program", o->conf.program));
    rc = relay_run(o, s, err);
    atomic_store(&o->owner, false);
    metric_gauge(M_outbox_owner, 0);
    metric_gauge(M_outbox_oldest_ms, 0);
    return rc;
}

static void *thread_main(void *arg)
{
    struct outbox *o = arg;
    while (!atomic_load(&o->stop)) {
        struct db_session *s;
        struct err err;
        int rc = db_session_open(o->conf.db, &s, &err);
        if (rc == 0) {
            rc = session_run(o, s, &err);
            db_session_close(s);
        }
        if (rc < 0 && !atomic_load(&o->stop)) {
            log_warn("outbox.session_lost", kv_s("error", err.msg), kv_s("detail", err.detail));
            pause_ms(o, retry_ms);
        }
    }
    return NULL;
}

static void outbox_free(struct outbox *o)
{
    if (o->wake_fd >= 0)
        (void)close(o->wake_fd);
    arena_free(o->arena);
    free(o);
}

int outbox_open(const struct outbox_conf *conf, struct outbox **ret, struct err *err)
{
    struct outbox *o = calloc(1, sizeof(*o));
    if (!o)
        abort();
    o->arena = arena_new();
    o->conf = *conf;
    o->conf.program = arena_strdup(o->arena, conf->program);
    o->conf.brokers = arena_strdup(o->arena, conf->brokers);
    o->source = arena_printf(o->arena, "/cms365/%s", conf->program);
    o->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (o->wake_fd < 0 || pthread_create(&o->thread, NULL, thread_main, o) != 0) {
        outbox_free(o);
        return err_set(err, E_unavailable, "The relay could not be started.");
    }
    *ret = o;
    return 0;
}

int outbox_start(struct svc *svc, struct outbox **ret, struct err *err)
{
    return outbox_open(&(struct outbox_conf){ .program = svc->def->name,
                                              .brokers = svc->conf->kafka_brokers,
                                              .db = svc_db_conf(svc),
                                              .drain_ms = svc->conf->drain_ms,
                                              .invalidations = svc->invalidations },
                       ret, err);
}

void outbox_stop(struct outbox *o)
{
    const uint64_t one = 1;
    if (!o)
        return;
    atomic_store(&o->stop, true);
    ssize_t ignored = write(o->wake_fd, &one, sizeof(one));
    (void)ignored;
    pthread_join(o->thread, NULL);
    outbox_free(o);
}
