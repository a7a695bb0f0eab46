/* What other replicas changed, how long ago all of it was told, and what becomes visible next.
 *
 * Clocks of hosts differ, so the moment a heartbeat speaks of is the database's, and this replica
 * knows how the database's clock stands to its own monotonic one: it asks once a second.  Where
 * either is not exact (the way to the database and back), the earlier moment counts. */
#include "common/kit/rcache.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/bus.h"
#include "common/io/db.h"
#include "common/kit/svc.h"

#include <pthread.h>

enum {
    read_max = 200,
    read_ms = 50,
    pause_ms = 25,
    clock_every_us = 1000 * 1000,
    clock_good_us = 60 * 1000 * 1000, /* clocks drift, but not that far */
    clock_way_us = 20 * 1000,         /* a slower answer replaces none that is younger than this: */
    clock_keep_us = 10 * 1000 * 1000,
    clock_jump_us = 50 * 1000 /* a heartbeat so far in the future: the clock was set */
};

/* The database's clock said db_us not before the monotonic clock said mono_us. */
static struct {
    pthread_mutex_t mu;
    int64_t db_us, mono_us;
    bool known;
} database = { .mu = PTHREAD_MUTEX_INITIALIZER };

static void ask_clock(struct svc *svc, struct arena *a)
{
    static const struct db_stmt s = {
        .name = "rcache_clock",
        .sql = "SELECT (extract(epoch from clock_timestamp()) * 1000000)::bigint",
    };
    struct db_rows *r;
    struct err err;
    int64_t before = clock_mono_us();
    if (db_query(svc->db, a, &s, NULL, 0, &r, &err) < 0)
        return;
    int64_t now = clock_mono_us();
    pthread_mutex_lock(&database.mu);
    if (!database.known || now - before < clock_way_us || now - database.mono_us > clock_keep_us) {
        database.db_us = db_get_i64(r, 0, 0);
        database.mono_us = before;
        database.known = true;
    }
    pthread_mutex_unlock(&database.mu);
}

/* The monotonic time of a moment of the database's clock; false: it cannot be told. */
static bool mono_of(int64_t at_us, int64_t *ret)
{
    int64_t now = clock_mono_us();
    pthread_mutex_lock(&database.mu);
    *ret = database.mono_us + (at_us - database.db_us);
    if (*ret > now + clock_jump_us || now - database.mono_us > clock_good_us)
        database.known = false;
    bool known = database.known;
    pthread_mutex_unlock(&database.mu);
    return known;
}

/* --- the stream --- */

struct follow {
    struct svc *svc;
    struct arena *a;
    char epoch[uuid_len + 1];
    int64_t n;
};

static void take_key(struct rcache *c, const char *key)
{
    const char *colon = key ? strchr(key, ':') : NULL;
    int64_t id;
    for (size_t i = 0; colon && entities[i]; i++) {
        const char *name = entities[i]->name;
        if (strlen(name) != (size_t)(colon - key) || memcmp(name, key, strlen(name)) != 0)
            continue;
        rcache_told(c, entities[i], str_to_i64(colon + 1, 1, INT64_MAX, &id) ? id : 0);
        return;
    }
}

static void take(struct follow *f, const struct bus_msg *m)
{
    struct rcache *c = f->svc->rcache;
    struct err err;
    json_t *o;
    if (!m->payload || json_parse(f->a, m->payload, m->len, &o, &err)) {
        rcache_forget(c);
        return;
    }
    const char *epoch = json_string_value(json_object_get(o, "epoch"));
    const json_t *keys = json_object_get(o, "keys"), *at = json_object_get(o, "at");
    int64_t n = json_integer_value(json_object_get(o, "n")), told_us;
    if (!epoch || strcmp(epoch, f->epoch) || n != f->n + 1)
        rcache_forget(c);
    snprintf(f->epoch, sizeof(f->epoch), "%s", epoch ? epoch : "");
    f->n = n;
    for (size_t i = 0; i < json_array_size(keys); i++)
        take_key(c, json_string_value(json_array_get(keys, i)));
    if (json_is_integer(at) && mono_of(json_integer_value(at), &told_us))
        rcache_fresh_until(c, told_us + (int64_t)rcache_behind_ms_max * 1000);
}

void rcache_follow_job(struct svc *svc)
{
    struct follow f = { .svc = svc, .a = arena_new() };
    struct bus_reader *r = NULL;
    while (svc->rcache && !svc_stopping(svc)) {
        struct bus_msg *m;
        size_t n = 0;
        struct err err;
        int rc = r ? 0 : bus_reader_new(svc->conf->kafka_brokers, svc->invalidations, &r, &err);
        if (!rc) {
            bus_reader_from_end(r);
            rc = bus_read(r, f.a, read_max, read_ms, &m, &n, &err);
        }
        for (size_t i = 0; !rc && i < n; i++)
            take(&f, &m[i]);
        arena_reset(f.a);
        if (rc && svc_pause(svc, pause_ms))
            break;
    }
    bus_reader_free(r);
    arena_free(f.a);
}

/* --- what becomes visible by itself --- */

static void ask_due(struct svc *svc, struct arena *a, const struct entity_def *e)
{
    struct db_stmt s = { .flags = DB_ONCE,
                         .sql = arena_printf(a,
                                             "SELECT (extract(epoch from min(t.published_at) - "
                                             "now()) * 1000000)::bigint FROM %s t WHERE "
                                             "t.deleted_at IS NULL AND t.status = 'published' AND "
                                             "t.published_at > now()",
                                             e->table) };
    struct db_rows *r;
    struct err err;
    uint64_t token = rcache_due_begin(svc->rcache);
    int64_t before = clock_mono_us();
    if (db_query(svc->db, a, &s, NULL, 0, &r, &err) < 0) {
        log_debug("rcache.due_unknown", kv_s("entity", e->name), kv_s("why", err.msg));
        return;
    }
    rcache_due(svc->rcache, e, token,
               db_is_null(r, 0, 0) ? INT64_MAX : before + db_get_i64(r, 0, 0));
}

void rcache_due_job(struct svc *svc)
{
    struct arena *a = arena_new();
    int64_t clock_us = 0;
    while (svc->rcache && !svc_stopping(svc)) {
        pthread_mutex_lock(&database.mu);
        bool known = database.known;
        pthread_mutex_unlock(&database.mu);
        if (!known || clock_mono_us() >= clock_us) {
            ask_clock(svc, a);
            clock_us = clock_mono_us() + clock_every_us;
        }
        for (size_t i = 0; entities[i]; i++)
            if (rcache_is_timed(entities[i]) && rcache_due_wanted(svc->rcache, entities[i]))
                ask_due(svc, a, entities[i]);
        arena_reset(a);
        if (svc_pause(svc, pause_ms))
            break;
    }
    arena_free(a);
}
