#include "common/kit/svc_internal.h"

#include "common/base/str.h"
#include "common/io/httpd.h"
#include "common/kit/metrics.h"
#include "common/kit/migrate.h"
#include "common/kit/outbox.h"
#include "common/kit/rcache.h"
#include "common/kit/route.h"

enum {
    ready_every_ms = 1000,
    ready_first_ms = 100, /* until it was ready once */
};

static int get_healthz(struct req *req, struct res *res, struct err *err)
{
    (void)err;
    res->cache_control = "no-store";
    buf_printf(&res->body, "{\"status\":\"alive\",\"program\":\"%s\",\"version\":\"%s\"}",
               req->svc->def->name, CMS365_VERSION);
    return 0;
}

/* --- readiness -----------------------------------------------------------------------------------
 */

/* Are the migrations that this program was built with applied? */
static bool schema_applied(struct svc *svc)
{
    struct db_session *s;
    struct err err;
    if (!svc->def->migrations)
        return true;
    if (db_session_open(svc_db_conf(svc), &s, &err))
        return false;
    bool ok = migrate_check(s, svc->def->migrations, &err) == 0;
    db_session_close(s);
    return ok;
}

bool svc_schema_ok(const struct svc *svc)
{
    const struct svc_private *p = svc->priv;
    return !svc->db || __atomic_load_n(&p->schema_ok, __ATOMIC_RELAXED);
}

/* A thread of its own, so that a probe never waits for what is away. */
void svc_watch_database(struct svc *svc)
{
    struct svc_private *p = svc->priv;
    bool schema_ok = false;
    do {
        struct err err;
        bool db_ok = db_ping(svc->db, &err) == 0;
        schema_ok = schema_ok || (db_ok && schema_applied(svc));
        __atomic_store_n(&p->db_ok, db_ok, __ATOMIC_RELAXED);
        __atomic_store_n(&p->schema_ok, schema_ok, __ATOMIC_RELAXED);
    } while (!svc_pause(svc, schema_ok ? ready_every_ms : ready_first_ms));
}

static void put_missing(struct buf *b, bool *any, const char *what)
{
    buf_printf(b, "%s\"%s\"", *any ? "," : "", what);
    *any = true;
}

static int get_readyz(struct req *req, struct res *res, struct err *err)
{
    struct svc *svc = req->svc;
    struct svc_private *p = svc->priv;
    struct buf missing;
    bool any = false;
    (void)err;
    buf_init(&missing, req->arena, 128, 1024);
    if (svc->db && !__atomic_load_n(&p->db_ok, __ATOMIC_RELAXED))
        put_missing(&missing, &any, "database");
    else if (!svc_schema_ok(svc))
        put_missing(&missing, &any, "migrations");
    if (!svc->tokens || !tokens_ready(svc->tokens))
        put_missing(&missing, &any, "keys");
    if (__atomic_load_n(&p->draining, __ATOMIC_RELAXED))
        put_missing(&missing, &any, "stopping");
    res->cache_control = "no-store";
    if (!any) {
        buf_puts(&res->body, "{\"status\":\"ready\"}");
        return 0;
    }
    res->status = 503;
    res->content_type = "application/problem+json";
    res_header(res, "Retry-After", "1");
    buf_printf(&res->body,
               "{\"type\":\"%s/problems/unavailable\",\"title\":\"%s\",\"status\":503,"
               "\"detail\":\"The program is not ready.\",\"missing\":[%.*s]}",
               svc->conf->public_url, err_title(E_unavailable), (int)missing.len, missing.data);
    return 0;
}

/* --- metrics -------------------------------------------------------------------------------------
 */

static void copy_rcache(struct rcache *c)
{
    static const char *const results[] = { "hit", "miss", "stale", "bypass" };
    static const char *const sources[] = { "own", "stream" };
    _Static_assert(ARRAY_LEN(results) == RCACHE_RESULTS_MAX_, "a name each");
    struct rcache_stats s;
    rcache_stats(c, &s);
    for (size_t i = 0; i < ARRAY_LEN(results); i++)
        metric_set(metric_cell(M_rcache_lookups, &results[i], 1), (int64_t)s.result[i]);
    metric_set(metric_cell(M_rcache_changes, &sources[0], 1), (int64_t)s.own);
    metric_set(metric_cell(M_rcache_changes, &sources[1], 1), (int64_t)s.told);
    metric_gauge(M_rcache_stored, (int64_t)s.stored);
    metric_gauge(M_rcache_evicted, (int64_t)s.evicted);
    metric_gauge(M_rcache_bytes, (int64_t)s.bytes);
    metric_gauge(M_rcache_entries, (int64_t)s.entries);
    metric_gauge(M_rcache_behind_ms, s.behind_us < 0 ? -1 : s.behind_us / 1000);
}

/* Counters that a module keeps itself are copied when someone asks. */
static void copy_stats(struct svc *svc)
{
    struct svc_private *p = svc->priv;
    struct httpd_stats h = { 0 };
    pthread_mutex_lock(&p->pub_mu);
    if (p->pub)
        httpd_stats(p->pub, &h);
    pthread_mutex_unlock(&p->pub_mu);
    metric_gauge(M_http_in_flight, (int64_t)h.in_flight);
    metric_gauge(M_http_suspended, (int64_t)h.suspended);
    metric_gauge(M_loop_holds, (int64_t)h.loop_holds);
    if (svc->db) {
        struct db_stats d;
        db_stats(svc->db, &d);
        metric_gauge(M_db_statements, (int64_t)d.statements);
        metric_gauge(M_db_errors, (int64_t)d.errors);
        metric_gauge(M_db_reconnects, (int64_t)d.reconnects);
    }
    if (svc->rcache)
        copy_rcache(svc->rcache);
    if (svc->tokens)
        metric_gauge(M_keys_known, (int64_t)tokens_count(svc->tokens));
    if (svc->outbox)
        metric_gauge(M_outbox_owner, outbox_is_owner(svc->outbox));
}

static int get_metrics(struct req *req, struct res *res, struct err *err)
{
    (void)err;
    copy_stats(req->svc);
    res->cache_control = "no-store";
    static const char *const types[] = { "text/plain", "application/openmetrics-text", NULL };
    const char *type = req->http ? req_accept(req, types) : NULL;
    if (str_eq(type, types[1])) {
        res->content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        metrics_write_open(&res->body);
        return 0;
    }
    res->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(&res->body);
    return 0;
}

const struct route svc_ops_routes[] = {
    { GET, "/healthz", get_healthz, .flags = ROUTE_PUBLIC | ROUTE_INTERNAL, .produces = "*",
     .op_id = "healthz", .doc = "Whether the process lives." },
    { GET, "/readyz", get_readyz, .flags = ROUTE_PUBLIC | ROUTE_INTERNAL, .produces = "*",
     .op_id = "readyz", .doc = "Whether requests may be sent here." },
    { GET, "/metrics", get_metrics, .flags = ROUTE_PUBLIC | ROUTE_INTERNAL, .produces = "*",
     .op_id = "metrics", .doc = "Counters in Prometheus' text form." },
    { .path = NULL },
};
