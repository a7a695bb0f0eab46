#include "common/kit/svc_internal.h"

#include "common/base/clock.h"
#include "common/io/httpd.h"
#include "common/kit/metrics.h"
#include "common/kit/migrate.h"
#include "common/kit/outbox.h"
#include "common/kit/route.h"

enum { ready_cache_us = 1000 * 1000 };

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

struct schema_job {
    struct svc *svc;
    bool ok;
};

/* Blocking, on a worker: are the migrations that this program was built with applied? */
static void check_schema(void *p)
{
    struct schema_job *j = p;
    struct db_session *s;
    struct err err;
    if (db_session_open(svc_db_conf(j->svc), &s, &err))
        return;
    j->ok = migrate_check(s, j->svc->def->migrations, &err) == 0;
    db_session_close(s);
}

/* One asker a second looks; the others take what it found last. */
static void look(struct svc *svc)
{
    struct svc_private *p = svc->priv;
    struct err err;
    int64_t now = clock_mono_us();
    pthread_mutex_lock(&p->ready_mu);
    bool mine = !p->ready_at_us || now - p->ready_at_us >= ready_cache_us;
    bool schema_ok = p->schema_ok || !svc->def->migrations;
    if (mine)
        p->ready_at_us = now;
    pthread_mutex_unlock(&p->ready_mu);
    if (!mine || !svc->db)
        return;
    bool db_ok = db_ping(svc->db, &err) == 0;
    if (db_ok && !schema_ok) {
        struct schema_job j = { .svc = svc };
        schema_ok = worker_run(svc->workers, check_schema, &j, &err) == 0 && j.ok;
    }
    pthread_mutex_lock(&p->ready_mu);
    p->db_ok = db_ok;
    p->schema_ok = schema_ok;
    pthread_mutex_unlock(&p->ready_mu);
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
    look(svc);
    buf_init(&missing, req->arena, 128, 1024);
    pthread_mutex_lock(&p->ready_mu);
    bool db_ok = !svc->db || p->db_ok, schema_ok = !svc->db || p->schema_ok;
    pthread_mutex_unlock(&p->ready_mu);
    if (!db_ok)
        put_missing(&missing, &any, "database");
    else if (!schema_ok)
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

/* Counters that a module keeps itself are copied when someone asks. */
static void copy_stats(struct svc *svc)
{
    struct svc_private *p = svc->priv;
    struct httpd_stats h = { 0 };
    if (p->pub)
        httpd_stats(p->pub, &h);
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
