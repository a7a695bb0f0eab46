#include "common/kit/sandbox.h"

#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/io/db.h"
#include "common/kit/migrate.h"
#include "common/kit/svc.h"

#include <stdatomic.h>

enum {
    known_slots = 256,
    makers_queue_max = 64,
    busy_retry_s = 60,
    sweep_pause_ms = 10 * 1000,
    sweep_max = 50
};

struct sandboxes {
    struct svc svc; /* what a view is made from */
    struct sandbox_conf conf;
    struct db_conf db_conf;
    struct db *pool;
    struct workers *makers;
    bool registered;                        /* sweeper only: the list of boxes is there */
    atomic_int_fast64_t known[known_slots]; /* keys whose box is there, by their last bits */
};

/* --- statements ---------------------------------------------------------------------------------
 * The list of boxes is in the schema `public` of their database.
 */

static const char registry[] = "public";
static const struct db_stmt lock_stmt = {
    .sql = "select pg_advisory_lock(hashtextextended('sandbox', 365))", .flags = DB_ONCE
};
static const char registry_sql[] = "create table if not exists public.boxes ("
                                   "  key_id bigint primary key,"
                                   "  ready boolean not null default false,"
                                   "  made_at timestamptz not null default now())";
static const struct db_stmt registry_stmt = { .sql = registry_sql, .flags = DB_ONCE | DB_WRITE };
static const struct db_stmt claim_stmt = {
    .sql = "insert into public.boxes (key_id) select $1::bigint "
           "where (select count(*) from public.boxes where key_id <> $1::bigint) < $2::bigint "
           "on conflict (key_id) do update set key_id = excluded.key_id returning ready",
    .flags = DB_ONCE | DB_WRITE,
};
static const struct db_stmt ready_stmt = {
    .sql = "update public.boxes set ready = true where key_id = $1",
    .flags = DB_ONCE | DB_WRITE,
};
static const struct db_stmt list_stmt = {
    .sql = "select key_id, made_at < now() - make_interval(secs => $1::bigint) from boxes "
           "order by made_at limit $2",
    .flags = DB_ONCE,
};
static const struct db_stmt forget_stmt = { .sql = "delete from public.boxes where key_id = $1",
                                            .flags = DB_ONCE | DB_WRITE };
static const struct db_stmt size_stmt = {
    .sql = "select (select coalesce(sum(n), 0) from counts where owner = 0), (select "
           "sum(pg_total_relation_size(c.oid)) from pg_class c where c.relkind = 'r' and "
           "c.relnamespace = current_schema()::regnamespace)",
    .flags = DB_ONCE,
};

static const char *schema_of(struct arena *a, int64_t key_id)
{
    return arena_printf(a, "box_%lld", (long long)key_id);
}

/* --- life ---------------------------------------------------------------------------------------
 */

struct sandboxes *sandboxes_new(const struct svc *svc, const struct sandbox_conf *conf)
{
    struct sandboxes *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->conf = *conf;
    s->db_conf = *svc_db_conf(svc);
    s->db_conf.conninfo = conf->database_url;
    s->db_conf.application = "sandbox";
    s->db_conf.conns_max = sandbox_conns_max;
    s->db_conf.fast = NULL;
    s->pool = db_new(&s->db_conf);
    s->makers = workers_new(1, makers_queue_max);
    s->svc = *svc;
    s->svc.sandboxed = true;
    s->svc.rcache = NULL;
    s->svc.outbox = NULL;
    s->svc.invalidations = NULL;
    return s;
}

void sandboxes_free(struct sandboxes *s)
{
    if (!s)
        return;
    workers_free(s->makers);
    db_free(s->pool);
    free(s);
}

static struct svc *view(struct sandboxes *s, struct arena *a, int64_t key_id)
{
    struct svc *v = arena_alloc(a, sizeof(*v));
    *v = s->svc;
    v->db = db_in_schema(s->pool, a, schema_of(a, key_id));
    return v;
}

/* --- making one ---------------------------------------------------------------------------------
 */

struct making {
    struct sandboxes *s;
    const struct principal *who;
    struct arena *arena;
    int rc;
    struct err err;
};

static int make_schema(struct making *m, struct db_session *ses, struct err *err)
{
    const char *schema = schema_of(m->arena, m->who->key_id);
    int applied = 0;
    /* Anew, if somebody died while making it. */
    int rc = db_session_script(ses,
                               arena_printf(m->arena,
                                            "drop schema if exists %s cascade; create schema %s; "
                                            "set search_path = %s",
                                            schema, schema, schema),
                               err);
    if (!rc)
        rc = migrate_run(ses, m->s->conf.migrations, &applied, err);
    if (!rc)
        rc = m->s->conf.fill(view(m->s, m->arena, m->who->key_id), m->arena, m->who->user_id, err);
    return rc;
}

static int make_locked(struct making *m, struct db_session *ses, struct err *err)
{
    const struct db_val v[] = { db_i64(m->who->key_id), db_i64(m->s->conf.boxes_max) };
    struct db_rows *r;
    int rc = db_session_script(ses, registry_sql, err);
    if (!rc)
        rc = db_session_exec(ses, m->arena, &claim_stmt, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    if (!db_nrows(r)) {
        err_set(err, E_unavailable, "All sandboxes are taken; try again in a while.");
        err->retry_after_s = busy_retry_s;
        return -E_unavailable;
    }
    if (db_get_bool(r, 0, 0))
        return 0; /* another replica was faster */
    rc = make_schema(m, ses, err);
    return rc ? rc : db_session_exec(ses, m->arena, &ready_stmt, v, 1, &r, err);
}

/* One at a time on the whole platform: it takes a part of a second of the database. */
static void make(void *ctx)
{
    struct making *m = ctx;
    struct db_session *ses = NULL;
    struct db_rows *r;
    m->rc = db_session_open(&m->s->db_conf, &ses, &m->err);
    if (!m->rc)
        m->rc = db_session_exec(ses, m->arena, &lock_stmt, NULL, 0, &r, &m->err);
    if (!m->rc)
        m->rc = make_locked(m, ses, &m->err);
    db_session_close(ses); /* and the lock goes */
}

static int ensure(struct sandboxes *s, struct req *req, struct err *err)
{
    int64_t key = req->who.key_id;
    atomic_int_fast64_t *slot = &s->known[(size_t)key % known_slots];
    if (atomic_load(slot) == key)
        return 0;
    struct making m = { .s = s, .who = &req->who, .arena = req->arena };
    int rc = worker_run(s->makers, make, &m, err);
    if (rc)
        return rc;
    if (m.rc) {
        *err = m.err;
        return m.rc;
    }
    atomic_store(slot, key);
    return 0;
}

/* --- using one ----------------------------------------------------------------------------------
 */

static int check_room(struct req *req, struct err *err)
{
    struct db_rows *r;
    if (req->method != POST && req->method != PUT && req->method != PATCH)
        return 0;
    int rc = db_query(req->svc->db, req->arena, &size_stmt, NULL, 0, &r, err);
    if (rc)
        return rc;
    if (db_get_i64(r, 0, 0) < sandbox_rows_max && db_get_i64(r, 0, 1) < SANDBOX_BYTES_MAX)
        return 0;
    return err_set(err, E_forbidden,
                   "The sandbox is full (%d rows, %d MiB): delete something, or take a new key.",
                   sandbox_rows_max, (int)(SANDBOX_BYTES_MAX >> 20));
}

int sandbox_enter(struct req *req, struct err *err)
{
    struct sandboxes *s = req->svc->sandboxes;
    int rc = ensure(s, req, err);
    if (rc)
        return rc;
    req->svc = view(s, req->arena, req->who.key_id);
    return check_room(req, err);
}

/* --- the end of one -----------------------------------------------------------------------------
 */

static int drop(struct sandboxes *s, struct arena *a, int64_t key_id, struct err *err)
{
    struct db_rows *r;
    const struct db_val v = db_i64(key_id);
    struct db_session *ses = NULL;
    int rc = db_session_open(&s->db_conf, &ses, err);
    if (!rc)
        rc = db_session_exec(ses, a, &lock_stmt, NULL, 0, &r, err); /* nobody is making it */
    if (!rc)
        rc = db_session_script(
            ses, arena_printf(a, "drop schema if exists %s cascade", schema_of(a, key_id)), err);
    if (!rc)
        rc = db_session_exec(ses, a, &forget_stmt, &v, 1, &r, err);
    db_session_close(ses);
    if (!rc)
        log_info("sandbox.dropped", kv_i("key", key_id));
    return rc;
}

int sandbox_sweep(struct svc *svc, struct arena *a, size_t *ret_n, struct err *err)
{
    struct sandboxes *s = svc->sandboxes;
    struct db_rows *r;
    const struct db_val v[] = { db_i64(sandbox_kept_s_max), db_i64(s->conf.boxes_max) };
    struct db *db = db_in_schema(s->pool, a, registry);
    *ret_n = 0;
    int rc = s->registered ? 0 : db_query(db, a, &registry_stmt, NULL, 0, &r, err);
    s->registered = !rc;
    if (!rc)
        rc = db_query(db, a, &list_stmt, v, ARRAY_LEN(v), &r, err);
    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < db_nrows(r) && *ret_n < sweep_max; i++) {
        int64_t key = db_get_i64(r, i, 0);
        if (!db_get_bool(r, i, 1) && !tokens_key_over(svc->tokens, key))
            continue;
        rc = drop(s, a, key, err);
        *ret_n += !rc;
    }
    return rc;
}

void sandbox_job(struct svc *svc)
{
    struct arena *a = arena_new();
    while (svc->sandboxes && !svc_stopping(svc)) {
        struct err err = { 0 };
        size_t n = 0;
        if (sandbox_sweep(svc, a, &n, &err) < 0)
            log_debug("sandbox.sweep_failed", kv_s("error", err.msg), kv_s("detail", err.detail));
        arena_reset(a);
        if (n < sweep_max && svc_pause(svc, sweep_pause_ms))
            break;
    }
    arena_free(a);
}
