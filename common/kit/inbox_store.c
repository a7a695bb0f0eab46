#include "common/kit/inbox_internal.h"

#include "common/base/clock.h"
#include "common/base/str.h"

/* The runtime role may not create tables; these functions do that one thing for it, as their owner.
 * A day that has no partition (a message from long ago, a clock that is wrong) goes to inbox_rest.
 */
const char inbox_schema_sql[] =
    "create table inbox (\n"
    "  consumer text not null,\n"
    "  event_id text not null,\n"
    "  event_day date not null,\n"
    "  done_at timestamptz not null default now(),\n"
    "  primary key (consumer, event_id, event_day)\n"
    ") partition by range (event_day);\n"
    "create table inbox_rest partition of inbox default;\n"
    "create table inbox_retry (\n"
    "  id bigint generated always as identity primary key,\n"
    "  consumer text not null,\n"
    "  key text not null,\n"
    "  next_at timestamptz not null,\n"
    "  tries int not null default 0,\n"
    "  event_id text not null,\n"
    "  type text not null,\n"
    "  topic text not null,\n"
    "  time text, traceparent text, request_id text, actor text,\n"
    "  payload text,\n"
    "  partition int not null,\n"
    "  msg_offset bigint not null,\n"
    "  created_at timestamptz not null default now()\n"
    ");\n"
    "create index inbox_retry_key_idx on inbox_retry (consumer, key, id);\n"
    "create function inbox_ensure_day(day date) returns boolean language plpgsql security definer\n"
    "set search_path from current as $$\n"
    "declare part text := 'inbox_' || to_char(day, 'YYYYMMDD');\n"
    "begin\n"
    "  if to_regclass(part) is not null then return false; end if;\n"
    "  perform pg_advisory_xact_lock(hashtextextended('inbox_ensure_day:' || current_schema(), "
    "365));\n"
    "  if to_regclass(part) is not null then return false; end if;\n"
    "  set local lock_timeout = '2s';\n"
    "  execute format('create table %I partition of inbox for values from (%L) to (%L)', part, "
    "day, day + 1);\n"
    "  return true;\n"
    "exception when check_violation or lock_not_available then return false;\n"
    "end $$;\n"
    "create function inbox_drop_before(day date) returns int language plpgsql security definer\n"
    "set search_path from current as $$\n"
    "declare part text; n int := 0;\n"
    "begin\n"
    "  set local lock_timeout = '2s';\n"
    "  for part in select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid\n"
    "      where i.inhparent = 'inbox'::regclass and c.relname ~ '^inbox_[0-9]{8}$'\n"
    "        and to_date(substr(c.relname, 7), 'YYYYMMDD') < day loop\n"
    "    execute format('drop table %I', part);\n"
    "    n := n + 1;\n"
    "  end loop;\n"
    "  delete from inbox_rest where event_day < day;\n"
    "  return n;\n"
    "exception when lock_not_available then return 0;\n"
    "end $$;\n";

const char *inbox_day(struct arena *a, const struct msg *m)
{
    unsigned char id[16];
    char text[rfc3339_len + 1];
    int64_t us;
    if (uuid_parse(m->event_id, id) && id[6] >> 4 == 7)
        rfc3339_format(uuid7_ms(id) * 1000, text);
    else if (m->time && rfc3339_parse(m->time, &us))
        rfc3339_format(us, text);
    else
        return "1970-01-01"; /* inbox_rest: never now(), or a repeat would be another day's */
    return arena_strndup(a, text, 10);
}

int inbox_record(struct db_tx *tx, struct arena *a, const char *consumer, struct msg **m, size_t n,
                 struct inbox_known *ret, struct err *err)
{
    static const struct db_stmt record = {
        .name = "inbox_record",
        .sql =
            "with fresh as (insert into inbox (consumer, event_id, event_day)"
            " select $1::text, e.id, e.day::date from unnest($2::text[], $3::text[]) as e(id, day)"
            " on conflict do nothing returning event_id)"
            " select event_id, null from fresh union all (select distinct null, key from"
            " inbox_retry where consumer = $1::text and key = any($4::text[]))",
        .flags = DB_WRITE,
    };
    const char **text = arena_alloc(a, 3 * n * sizeof(*text)), **ids = text, **days = text + n,
               **keys = text + 2 * n;
    for (size_t i = 0; i < n; i++) {
        ids[i] = m[i]->event_id;
        days[i] = inbox_day(a, m[i]);
        keys[i] = m[i]->key;
    }
    const struct db_val v[] = { db_text(consumer), db_texts(ids, n), db_texts(days, n),
                                db_texts(keys, n) };
    struct db_rows *r;
    int rc = db_exec(tx, a, &record, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    /* RETURNING keeps the order of the insert, so one walk pairs them; a second copy within the
     * batch was skipped by the statement.  Parked keys come after. */
    size_t k = 0, rows = db_nrows(r), nfresh = 0;
    while (nfresh < rows && !db_is_null(r, nfresh, 0))
        nfresh++;
    for (size_t i = 0; i < n; i++) {
        ret[i].fresh = k < nfresh && str_eq(db_str(r, k, 0), ids[i]);
        k += ret[i].fresh;
        ret[i].parked = false;
        for (size_t j = nfresh; j < rows && !ret[i].parked; j++)
            ret[i].parked = str_eq(db_str(r, j, 1), keys[i]);
    }
    return k == nfresh ? 0 : err_set(err, E_internal, "The inbox answered out of order.");
}

int inbox_park(struct db_tx *tx, struct arena *a, const char *consumer, const struct msg *m,
               unsigned delay_ms, struct err *err)
{
    static const struct db_stmt park = {
        .name = "inbox_park",
        .sql = "insert into inbox_retry (consumer, key, next_at, event_id, type, topic, time, "
               "traceparent,"
               " request_id, actor, payload, partition, msg_offset) values ($1, $2,"
               " now() + $3::bigint * interval '1 millisecond', $4, $5, $6, $7, $8, $9, $10, $11, "
               "$12, $13)",
        .flags = DB_WRITE,
    };
    const struct db_val v[] = {
        db_text(consumer),      db_text(m->key),   db_i64(delay_ms),    db_text(m->event_id),
        db_text(m->type),       db_text(m->topic), db_text(m->time),    db_text(m->traceparent),
        db_text(m->request_id), db_text(m->actor), db_text(m->payload), db_i64(m->partition),
        db_i64(m->offset),
    };
    struct db_rows *r;
    return db_exec(tx, a, &park, v, ARRAY_LEN(v), &r, err);
}

/* Days of retention of what this program consumes, plus the margin of the dedupe. */
static int64_t days_kept(const struct inbox *in)
{
    int64_t most = 7;
    for (const struct consumer *c = in->conf.rows; c->name; c++) {
        const char *const single[] = { c->topic, NULL };
        for (const char *const *name = c->topics ? c->topics : single; *name; name++) {
            const struct topic_def *t = topic_find(*name);
            int64_t days = t && t->retention_ms > 0 ? t->retention_ms / 86400000 + 1 : 7;
            most = days > most ? days : most;
        }
    }
    return most + inbox_days_kept_more;
}

int inbox_days(struct inbox_thread *t, struct arena *a, struct err *err)
{
    static const struct db_stmt ensure = {
        .name = "inbox_ensure_days",
        .sql = "select count(*) filter (where inbox_ensure_day(d::date)) from"
               " generate_series(current_date - 1, current_date + $1::int, interval '1 day') d",
        .flags = DB_WRITE,
    };
    static const struct db_stmt drop = {
        .name = "inbox_drop_days",
        .sql = "select inbox_drop_before(current_date - $1::int)",
        .flags = DB_WRITE,
    };
    struct db_rows *r;
    const struct db_val ahead = db_i64(inbox_days_ahead), kept = db_i64(days_kept(t->inbox));
    int rc = db_query(t->inbox->conf.db, a, &ensure, &ahead, 1, &r, err);
    return rc ? rc : db_query(t->inbox->conf.db, a, &drop, &kept, 1, &r, err);
}
