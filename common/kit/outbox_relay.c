#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/bus.h"
#include "common/io/db.h"
#include "common/kit/metrics.h"
#include "common/kit/outbox_beat.h"
#include "common/kit/outbox_internal.h"

#include <assert.h>
#include <unistd.h>

/*
 * Order.  Rows are produced in id order, but an id is taken before its transaction commits, so a
 * row may appear below ids that are on their way already.  Of one key that cannot happen by itself
 * (the row lock orders id and commit), but the late row's successor, with an id above, must not
 * overtake it while it waits to be found.  So each read asks, in the same snapshot, for what is
 * above low_water and for the ids below it that were passed over.  A gap is given up once every
 * transaction that ran when it was seen has ended: it was rolled back.  Its owner had its
 * transaction id by then, for a writer locks its row before it takes an id; so an id that the relay
 * takes itself after the read (`next_xid`) is above the owner's, and the owner has ended when a
 * snapshot's xmin gets there.  The snapshot's own xmax will not do: it is one above the latest that
 * has ended, and the owner may be younger than that.  What happened before the first read left no
 * gaps to know of, so until everything that ran then has ended, each read looks at all that is
 * there (a sweep); once a second, anyway.
 */

#define ROW_COLUMNS                                                                                \
    "id, event_id, type, topic, key, payload, trace, request_id, actor,"                           \
    " also_types, also_ids,"                                                                       \
    " to_char(created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
enum {
    C_ID,
    C_EVENT_ID,
    C_TYPE,
    C_TOPIC,
    C_KEY,
    C_PAYLOAD,
    C_TRACE,
    C_REQUEST_ID,
    C_ACTOR,
    C_ALSO_TYPES,
    C_ALSO_IDS,
    C_TIME
};

/* Above low_water ($1) or one of the gaps ($4), at most $2 rows and $3 bytes (but one row at
 * least); the last columns are the snapshot's xmin, and a time before it was taken. */
static const struct db_stmt read_stmt = {
    .name = "outbox_read",
    .sql = "select r.*, pg_snapshot_xmin(s.s)::text::bigint,"
           " (extract(epoch from now()) * 1000000)::bigint"
           " from (select pg_current_snapshot() as s) s"
           " left join (select " ROW_COLUMNS
           " from (select *, sum(octet_length(payload)) over (order by id)"
           " - octet_length(payload) as before"
           " from (select * from outbox where id = any($4)"
           " union all (select * from outbox where id > $1 order by id limit $2)) o) w"
           " where before < $3) r on true order by r.id",
};
enum { C_XMIN = C_TIME + 1, C_NOW };

/* Above every transaction id that was taken before.  It takes one, so it is asked only if there is
 * a gap to date. */
static const struct db_stmt xid_stmt = {
    .name = "outbox_xid",
    .sql = "select pg_current_xact_id()::text::bigint",
};

static const struct db_stmt below_stmt = {
    .name = "outbox_below",
    .sql = "select id, (extract(epoch from clock_timestamp() - created_at) * 1000)::bigint"
           " from outbox where id <= $1 order by id limit $2",
};
static const struct db_stmt pick_stmt = {
    .name = "outbox_pick",
    .sql = "select " ROW_COLUMNS " from outbox where id = any($1) order by id",
};
static const struct db_stmt delete_stmt = {
    .name = "outbox_delete",
    .sql = "delete from outbox where id = any($1)",
    .flags = DB_WRITE,
};
static const struct db_stmt bury_stmt = {
    .name = "outbox_bury",
    .sql =
        "with gone as (delete from outbox where id = $1 returning *)"
        " insert into outbox_dead(id, event_id, type, topic, key, payload, trace, request_id,"
        " actor, created_at, also_types, also_ids, reason) select id, event_id, type, topic, key,"
        " payload, trace, request_id, actor, created_at, also_types, also_ids, $2 from gone",
    .flags = DB_WRITE,
};

enum flight_state { FLIGHT_SENT, FLIGHT_ACKED, FLIGHT_REFUSED };
struct flight { /* a row that was produced and is not deleted yet */
    int64_t id;
    struct relay *relay; /* NULL: free */
    enum flight_state state;
    unsigned messages;   /* of the row: one an event */
    unsigned sent;       /* of them, taken by the producer */
    unsigned waiting;    /* of these, not reported yet */
    char *reason;        /* why it was refused */
    struct flight *next; /* of its bucket, or of the free list */
};

struct gap {         /* an id below low_water that no read has shown */
    int64_t id, xid; /* its owner's is below; 0: not known yet */
};

struct relay {
    struct outbox *outbox;
    struct db_session *session;
    struct bus_producer *producer;
    struct beat *beat;   /* NULL: nobody wants to hear of it */
    struct arena *arena; /* one turn */
    int64_t low_water;
    struct gap gaps[outbox_gaps_max];
    size_t ngaps;
    int64_t sweep_xid; /* each read sweeps until xmin has got there; 0: not known yet */
    bool sweep;
    struct flight pool[outbox_flight_max], *free, *bucket[outbox_flight_max];
    size_t in_flight, acked, refused;
    int64_t first_ack_us; /* of the acknowledged rows not deleted yet */
    int64_t full_pass_us; /* when the next one is due */
    int64_t read_us;      /* when the next read is due */
    int64_t readable_us;  /* not before, however often it is woken */
    unsigned poll_ms;
    int64_t rate_us; /* since when `rate_rows` are counted */
    size_t rate_rows;
    int64_t apart_us;   /* at least, between the starts of two reads: more when more is written */
    int64_t careful_id; /* rows up to here are produced one at a time */
    bool fatal;         /* the producer is to be dropped */
    bool queue_full;    /* until something was acknowledged */
    bool empty;         /* the last read found nothing */
};

/* --- rows in flight -------------------------------------------------------------------- */

static struct flight **bucket_of(struct relay *r, int64_t id)
{
    return &r->bucket[(uint64_t)id % outbox_flight_max];
}

static struct flight *flight_find(struct relay *r, int64_t id)
{
    struct flight *f = *bucket_of(r, id);
    while (f && f->id != id)
        f = f->next;
    return f;
}

static struct flight *flight_add(struct relay *r, int64_t id, unsigned messages)
{
    struct flight *f = r->free, **at = bucket_of(r, id);
    assert(f);
    r->free = f->next;
    *f = (struct flight){ .id = id, .relay = r, .messages = messages, .next = *at };
    *at = f;
    r->in_flight++;
    return f;
}

/* False for a row of which the producer's full queue has taken some messages only. */
static bool flight_whole(const struct flight *f)
{
    return f->sent == f->messages || f->state == FLIGHT_REFUSED;
}

static void flight_remove(struct relay *r, struct flight *f)
{
    struct flight **at = bucket_of(r, f->id);
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    free(f->reason);
    f->reason = NULL;
    f->relay = NULL;
    f->next = r->free;
    r->free = f;
    r->in_flight--;
}

static void flights_clear(struct relay *r)
{
    r->free = NULL;
    for (size_t i = outbox_flight_max; i-- > 0;) {
        free(r->pool[i].reason);
        r->pool[i] = (struct flight){ .next = r->free };
        r->free = &r->pool[i];
        r->bucket[i] = NULL;
    }
    r->in_flight = r->acked = r->refused = 0;
    r->low_water = 0;
    r->queue_full = false;
    r->ngaps = 0;
    r->sweep = true;
    r->sweep_xid = 0;
}

/* --- gaps ------------------------------------------------------------------------------ */

/* Too many to remember: look at everything until those who may fill them have ended. */
static void gaps_forget(struct relay *r)
{
    r->ngaps = 0;
    r->sweep = true;
    r->sweep_xid = 0;
}

/* low_water moves to `id`; what lies between was not there. */
static void gaps_add(struct relay *r, int64_t id)
{
    int64_t from = r->low_water + 1;
    if (r->sweep && r->low_water == 0)
        from = id; /* the first row of all: the sweep finds what is below */
    if (id - from > (int64_t)(outbox_gaps_max - r->ngaps)) {
        gaps_forget(r);
        from = id;
    }
    for (; from < id; from++)
        r->gaps[r->ngaps++] = (struct gap){ from, 0 };
    r->low_water = id;
}

static void gap_fill(struct relay *r, int64_t id)
{
    for (size_t i = 0; i < r->ngaps; i++)
        if (r->gaps[i].id == id) {
            r->gaps[i] = r->gaps[--r->ngaps];
            return;
        }
}

/* After a read whose rows were all produced: a gap below the last of them that no transaction can
 * fill any more (all that ran when it was seen have ended) stays empty. */
static void gaps_settle(struct relay *r, int64_t xmin, int64_t last)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->ngaps; i++)
        if (!r->gaps[i].xid || r->gaps[i].xid > xmin || r->gaps[i].id > last)
            r->gaps[kept++] = r->gaps[i];
    r->ngaps = kept;
    r->sweep = r->sweep && (!r->sweep_xid || r->sweep_xid > xmin);
}

/* After the read that has seen them. */
static int gaps_date(struct relay *r, struct err *err)
{
    struct db_rows *rows;
    bool undated = r->sweep && !r->sweep_xid;
    for (size_t i = 0; i < r->ngaps && !undated; i++)
        undated = !r->gaps[i].xid;
    int rc = undated ? db_session_exec(r->session, r->arena, &xid_stmt, NULL, 0, &rows, err) : 0;
    if (rc < 0 || !undated)
        return rc;
    int64_t xid = db_get_i64(rows, 0, 0);
    for (size_t i = 0; i < r->ngaps; i++)
        if (!r->gaps[i].xid)
            r->gaps[i].xid = xid;
    if (r->sweep && !r->sweep_xid)
        r->sweep_xid = xid;
    return 0;
}

/* --- producing ------------------------------------------------------------------------- */

/* Kafka refuses whole batches, the innocent rows with the guilty one.  So what is refused is
 * produced once more, a row at a time, by a new producer (this one has a gap and is fatal), and
 * buried if that fails too. */
static void on_refused(struct relay *r, struct flight *f, bool alone, const char *reason)
{
    r->queue_full = false;
    if (f->state == FLIGHT_REFUSED)
        return;
    if (alone || f->id <= r->careful_id) {
        f->state = FLIGHT_REFUSED;
        f->reason = strdup(reason && *reason ? reason : "refused");
        r->refused++;
        return;
    }
    r->careful_id = f->id;
    r->fatal = true;
}

static void on_report(void *ctx, int result, const char *reason)
{
    struct flight *f = ctx;
    struct relay *r = f->relay;
    f->waiting--;
    if (result == -E_unavailable) {
        r->fatal = true;
    } else if (result < 0) {
        on_refused(r, f, false, reason);
    } else {
        r->queue_full = false;
        if (f->state != FLIGHT_SENT || f->waiting > 0 || f->sent < f->messages)
            return;
        f->state = FLIGHT_ACKED;
        if (r->acked++ == 0)
            r->first_ack_us = clock_mono_us();
    }
}

static void add_header(struct bus_msg *m, const char *name, const char *value)
{
    if (value)
        m->headers[m->nheaders++] = (struct bus_header){ name, value };
}

/* One event of a row. */
static int produce_event(struct relay *r, const struct db_rows *rows, size_t i,
                         const char *const event[2], struct flight *f, struct err *err)
{
    size_t len;
    const char *payload = db_cell(rows, i, C_PAYLOAD, &len), *key = db_str(rows, i, C_KEY);
    struct bus_msg m = {
        .topic = db_str(rows, i, C_TOPIC), .key = key, .payload = payload, .len = len
    };
    add_header(&m, "ce_specversion", "1.0");
    add_header(&m, "ce_id", event[1]);
    add_header(&m, "ce_type", arena_printf(r->arena, "%s%s", CE_TYPE_PREFIX, event[0]));
    add_header(&m, "ce_source", r->outbox->source);
    add_header(&m, "ce_time", db_str(rows, i, C_TIME));
    add_header(&m, "ce_subject", key);
    add_header(&m, "ce_partitionkey", key);
    add_header(&m, "content-type", "application/json");
    add_header(&m, "traceparent", db_str(rows, i, C_TRACE));
    add_header(&m, "x-request-id", db_str(rows, i, C_REQUEST_ID));
    add_header(&m, "ce_actor", db_str(rows, i, C_ACTOR));
    return bus_produce(r->producer, &m, on_report, f, err);
}

/* A message an event.  False: not all of them were taken now, so nothing after it may be produced
 * either; the next try goes on where this one ended. */
static bool produce_row(struct relay *r, const struct db_rows *rows, size_t i)
{
    const char **types = NULL, **ids = NULL;
    int64_t id = db_get_i64(rows, i, C_ID);
    struct flight *f = flight_find(r, id);
    size_t also = 0;
    if (!db_is_null(rows, i, C_ALSO_TYPES)) {
        also = db_get_texts(r->arena, rows, i, C_ALSO_TYPES, &types);
        size_t n = db_get_texts(r->arena, rows, i, C_ALSO_IDS, &ids);
        also = also < n ? also : n;
    }
    beat_note(r->beat, db_str(rows, i, C_KEY));
    if (!f)
        f = flight_add(r, id, 1 + (unsigned)also);
    while (f->sent < f->messages) {
        struct err err;
        const char *const event[2] = { f->sent ? types[f->sent - 1] : db_str(rows, i, C_TYPE),
                                       f->sent ? ids[f->sent - 1] : db_str(rows, i, C_EVENT_ID) };
        int rc = produce_event(r, rows, i, event, f, &err);
        if (rc == -E_unavailable) {
            if (f->sent == 0)
                flight_remove(r, f);
            r->queue_full = true;
            return false;
        }
        if (rc < 0) {
            on_refused(r, f, true, err.detail[0] ? err.detail : err.msg);
            return true;
        }
        f->sent++;
        f->waiting++;
    }
    return true;
}

/* In their order; how many were taken. */
static size_t produce_rows(struct relay *r, const struct db_rows *rows)
{
    for (size_t i = 0; i < db_nrows(rows); i++) {
        int64_t id = db_get_i64(rows, i, C_ID);
        const struct flight *f = flight_find(r, id);
        if (f && flight_whole(f))
            continue;
        if (!f &&
            ((id <= r->careful_id && r->in_flight > r->acked) || r->in_flight == outbox_flight_max))
            return i;
        if (!produce_row(r, rows, i))
            return i;
        if (id > r->low_water)
            gaps_add(r, id);
        else
            gap_fill(r, id);
    }
    return db_nrows(rows);
}

/* All rows at or below low_water that are not in flight: committed late.  *ret_all: none was left
 * behind. */
static int relay_late(struct relay *r, bool *ret_all, struct err *err)
{
    struct db_rows *rows;
    const struct db_val v[] = { db_i64(r->low_water),
                                db_i64((int64_t)r->in_flight + outbox_rows_max) };
    int rc = db_session_exec(r->session, r->arena, &below_stmt, v, ARRAY_LEN(v), &rows, err);
    if (rc < 0)
        return rc;
    size_t n = db_nrows(rows), nlate = 0;
    metric_gauge(M_outbox_oldest_ms, n > 0 ? db_get_i64(rows, 0, 1) : 0);
    *ret_all = n < r->in_flight + outbox_rows_max;
    int64_t *late = arena_raw(r->arena, (n + 1) * sizeof(*late));
    for (size_t i = 0; i < n; i++) {
        const struct flight *f = flight_find(r, db_get_i64(rows, i, 0));
        if (!f || !flight_whole(f))
            late[nlate++] = db_get_i64(rows, i, 0);
    }
    r->empty = r->empty && nlate == 0;
    /* Few at a time: there is no telling how big they are. */
    enum { late_rows_max = 20 };
    for (size_t at = 0; at < nlate; at += late_rows_max) {
        size_t some = nlate - at < late_rows_max ? nlate - at : late_rows_max;
        const struct db_val ids[] = { db_i64s(late + at, some) };
        rc = db_session_exec(r->session, r->arena, &pick_stmt, ids, 1, &rows, err);
        if (rc < 0)
            return rc;
        if (produce_rows(r, rows) < db_nrows(rows)) {
            *ret_all = false;
            break;
        }
    }
    return 0;
}

/* Was that all there is?  Rows are cut off by their number and by their bytes. */
static bool is_all(const struct db_rows *rows, size_t n)
{
    size_t bytes = 0, len;
    for (size_t i = 0; i < n; i++) {
        (void)db_cell(rows, i, C_PAYLOAD, &len);
        bytes += len;
    }
    return n < outbox_rows_max && bytes < outbox_read_bytes_max;
}

/* Each read, request of Kafka and fetch of a consumer has its price, and writers need the same
 * processors: when much is written, more of it travels together, and a few milliseconds later.  By
 * the square, so that little is felt of it where little is written: 5 ms at 500 rows a second, 20
 * at 1,000. */
static void relay_pace(struct relay *r, size_t n)
{
    int64_t now_us = clock_mono_us(), elapsed_us = now_us - r->rate_us;
    r->rate_rows += n;
    if (elapsed_us < outbox_rate_us)
        return;
    int64_t rate = (int64_t)r->rate_rows * 1000000 / elapsed_us;
    r->apart_us = rate * rate / outbox_apart_divisor;
    if (r->apart_us < outbox_apart_least_us)
        r->apart_us = outbox_apart_least_us;
    if (r->apart_us > outbox_apart_most_us)
        r->apart_us = outbox_apart_most_us;
    r->rate_us = now_us;
    r->rate_rows = 0;
}

/* *ret_full: there is more to read at once. */
static int relay_read(struct relay *r, bool *ret_full, struct err *err)
{
    struct db_rows *rows;
    int64_t *gaps = arena_raw(r->arena, (r->ngaps + 1) * sizeof(*gaps));
    for (size_t i = 0; i < r->ngaps; i++)
        gaps[i] = r->gaps[i].id;
    const struct db_val v[] = { db_i64(r->low_water), db_i64(outbox_rows_max),
                                db_i64(outbox_read_bytes_max), db_i64s(gaps, r->ngaps) };
    int rc = db_session_exec(r->session, r->arena, &read_stmt, v, ARRAY_LEN(v), &rows, err);
    if (rc < 0)
        return rc;
    size_t n = db_is_null(rows, 0, C_ID) ? 0 : db_nrows(rows);
    bool all = true;
    r->empty = n == 0;
    relay_pace(r, n);
    *ret_full = n >= outbox_rows_max;
    if (r->sweep)
        rc = relay_late(r, &all, err);
    bool told = rc == 0 && all && (n == 0 || produce_rows(r, rows) == n);
    if (told)
        gaps_settle(r, db_get_i64(rows, 0, C_XMIN), n ? db_get_i64(rows, n - 1, C_ID) : INT64_MAX);
    if (rc == 0)
        rc = gaps_date(r, err);
    beat_send(r->beat, told && is_all(rows, n) ? db_get_i64(rows, 0, C_NOW) : 0);
    if (n > 0)
        r->poll_ms = outbox_poll_first_ms;
    else if (r->poll_ms < (r->beat ? outbox_poll_beating_ms : outbox_poll_most_ms))
        r->poll_ms++;
    return rc;
}

/* --- settling -------------------------------------------------------------------------- */

static int delete_acked(struct relay *r, struct err *err)
{
    struct db_rows *rows;
    size_t n = 0;
    int64_t messages = 0, *ids = arena_raw(r->arena, r->acked * sizeof(*ids));
    for (size_t i = 0; i < outbox_flight_max && n < r->acked; i++)
        if (r->pool[i].relay && r->pool[i].state == FLIGHT_ACKED)
            ids[n++] = r->pool[i].id;
    const struct db_val v[] = { db_i64s(ids, n) };
    int rc = db_session_exec(r->session, r->arena, &delete_stmt, v, 1, &rows, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        struct flight *f = flight_find(r, ids[i]);
        messages += f->messages;
        flight_remove(r, f);
    }
    r->acked = 0;
    metric_add(metric_cell(M_outbox_produced, NULL, 0), messages);
    return 0;
}

static int bury_refused(struct relay *r, struct err *err)
{
    for (size_t i = 0; i < outbox_flight_max && r->refused > 0; i++) {
        struct flight *f = &r->pool[i];
        if (!f->relay || f->state != FLIGHT_REFUSED || f->waiting > 0)
            continue;
        struct db_rows *rows;
        const struct db_val v[] = { db_i64(f->id), db_text(f->reason) };
        int rc = db_session_exec(r->session, r->arena, &bury_stmt, v, ARRAY_LEN(v), &rows, err);
        if (rc < 0)
            return rc;
        log_error("outbox.dead", kv_i("id", f->id), kv_s("reason", f->reason));
        metric_inc(M_outbox_dead);
        r->refused--;
        flight_remove(r, f);
    }
    return 0;
}

static int relay_settle(struct relay *r, bool now, struct err *err)
{
    int rc = 0;
    if (r->refused > 0)
        rc = bury_refused(r, err);
    if (rc == 0 && r->acked > 0 &&
        (now || r->acked >= outbox_delete_rows ||
         clock_mono_us() - r->first_ack_us >= outbox_delete_us))
        rc = delete_acked(r, err);
    return rc;
}

/* --- the relay ------------------------------------------------------------------------- */

/* Drops the producer.  Its last reports come while it goes, and count. */
static int relay_drop(struct relay *r, struct err *err)
{
    bus_producer_free(r->producer);
    r->producer = NULL;
    return relay_settle(r, true, err);
}

/* A fatal producer is of no use: what it acknowledged is deleted, all else is produced anew, lowest
 * id first. */
static int relay_renew(struct relay *r, struct err *err)
{
    int rc = relay_drop(r, err);
    if (rc < 0)
        return rc;
    log_warn("outbox.producer_renewed", kv_i("in_flight", (int64_t)r->in_flight));
    flights_clear(r);
    r->fatal = false;
    r->read_us = clock_mono_us() + outbox_renew_us; /* what broke it may be there still */
    return bus_producer_new(r->outbox->conf.brokers, r->outbox->conf.program, &r->producer, err);
}

static int relay_turn(struct relay *r, bool woken, struct err *err)
{
    int rc = 0;
    bool full = false, all;
    int64_t now_us = clock_mono_us();
    if (r->in_flight == 0)
        r->queue_full = false;
    arena_reset(r->arena);
    if (now_us >= r->full_pass_us) {
        r->full_pass_us = now_us + outbox_full_pass_us;
        rc = relay_late(r, &all, err);
    }
    /* Writers that wake it again and again are served together, a moment later. */
    if (woken && r->read_us > r->readable_us)
        r->read_us = r->readable_us;
    if (rc == 0 && now_us >= r->read_us && !r->queue_full &&
        r->in_flight + outbox_rows_max + outbox_gaps_max <= outbox_flight_max) {
        rc = relay_read(r, &full, err);
        r->readable_us = now_us + r->apart_us;
        r->read_us = clock_mono_us() + r->poll_ms * 1000;
        if (full)
            r->read_us = r->readable_us = 0;
        else if (r->read_us < r->readable_us)
            r->read_us = r->readable_us;
    }
    if (rc < 0)
        return rc;
    bus_poll(r->producer, 0);
    if (r->fatal || bus_fatal(r->producer))
        return relay_renew(r, err);
    return relay_settle(r, atomic_load(&r->outbox->stop), err);
}

/* Until a report, a writer's wake or the next read is due.  Before readable_us a wake is of no use:
 * it is left lying, and further writers have none to send. */
static bool relay_wait(struct relay *r)
{
    int64_t early_us = r->readable_us - clock_mono_us();
    if (r->in_flight > r->acked) {
        int64_t ms = early_us / 1000;
        bus_poll(r->producer, ms < 1 ? 1 : ms < 10 ? (unsigned)ms : 10);
        return outbox_wait(r->outbox, 0);
    }
    if (early_us > 0 && r->read_us <= r->readable_us)
        (void)usleep((useconds_t)early_us);
    return outbox_wait(r->outbox, r->read_us);
}

static int relay_loop(struct relay *r, struct err *err)
{
    int64_t stop_us = 0;
    for (bool woken = true;;) {
        int rc = relay_turn(r, woken, err);
        if (rc < 0)
            return rc;
        if (atomic_load(&r->outbox->stop)) {
            int64_t now_us = clock_mono_us();
            if (stop_us == 0)
                stop_us = now_us + r->outbox->conf.drain_ms * 1000;
            else if ((r->empty && r->in_flight == 0) || now_us >= stop_us)
                return 0;
        }
        woken = relay_wait(r);
    }
}

int relay_run(struct outbox *o, struct db_session *s, struct err *err)
{
    struct relay *r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    r->outbox = o;
    r->session = s;
    r->arena = arena_new();
    r->poll_ms = outbox_poll_first_ms;
    r->apart_us = outbox_apart_least_us;
    if (o->conf.invalidations)
        r->beat = beat_new(&o->conf);
    flights_clear(r);
    int rc = bus_producer_new(o->conf.brokers, o->conf.program, &r->producer, err);
    if (rc == 0)
        rc = relay_loop(r, err);
    /* Dropped with what it still holds: whoever owns the lock next starts at the lowest row that is
     * left. */
    bus_producer_free(r->producer);
    beat_free(r->beat);
    flights_clear(r);
    arena_free(r->arena);
    free(r);
    return rc;
}
