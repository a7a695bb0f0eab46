#define _GNU_SOURCE /* pthread_setname_np */
#include "common/kit/svc_internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/cache.h"
#include "common/io/crypto.h"
#include "common/io/httpc.h"
#include "common/io/httpd.h"
#include "common/kit/inbox.h"
#include "common/kit/key_use.h"
#include "common/kit/limit.h"
#include "common/kit/outbox.h"
#include "common/kit/reqlog.h"
#include "common/kit/route.h"
#include "common/kit/route_server.h"
#include "common/kit/trace.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

enum {
    idle_timeout_s = 75, /* longer than the gateway keeps its idle connections */
    conns_max = 4096,
    job_stack_bytes = 512 * 1024,
    cache_timeout_ms = 500,
};

bool svc_stopping(const struct svc *svc)
{
    return halt_is_set(&svc->priv->halt);
}

bool svc_pause(struct svc *svc, unsigned ms)
{
    if (!fiber_self())
        return halt_pause(&svc->priv->halt, ms);
    fiber_sleep_ms(ms); /* a fiber must not hold its loop */
    return svc_stopping(svc);
}

const struct db_conf *svc_db_conf(const struct svc *svc)
{
    return &svc->priv->db_conf;
}

/* --- what verbs and serving share ----------------------------------------------------------------
 */

static size_t loops_of(const struct svc *svc)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return svc->conf->loops ? (size_t)svc->conf->loops : cores > 0 ? (size_t)cores : 1;
}

static void make_db_conf(struct svc *svc)
{
    struct svc_private *p = svc->priv;
    size_t loops = loops_of(svc), conns = (size_t)svc->conf->db_conns;
    p->db_conf = (struct db_conf){
        .conninfo = svc->conf->database_url,
        .application = svc->def->name,
        /* The ops listener's loop asks too; its share is on top, and opened only if used. */
        .conns_max = conns + (conns + loops - 1) / loops,
        .loops = loops + 1,
        .statement_timeout_ms = 10000,
        .wait_ms = 2000,
        .connect_timeout_ms = 3000,
        .fast = svc->fast,
    };
    p->migrate_conf = p->db_conf;
    p->migrate_conf.conninfo = svc->conf->migrate_database_url;
    p->migrate_conf.statement_timeout_ms = 0; /* an index on a big table takes its time */
    p->migrate_conf.fast = NULL;
}

int svc_open(struct svc *svc, struct err *err)
{
    int rc = keyring_parse(svc->conf->secret_keys, &svc->keyring, err);
    if (rc)
        return rc;
    make_db_conf(svc);
    if (svc->def->schema)
        svc->db = db_new(&svc->priv->db_conf);
    rc = cache_new(
        &(struct cache_conf){ .url = svc->conf->redis_url, .timeout_ms = cache_timeout_ms },
        &svc->cache, err);
    if (!rc)
        rc = egress_new(svc->conf->egress_allow, &svc->egress, err);
    if (!rc)
        svc->workers = workers_new(svc_workers, svc_workers_queue_max);
    return rc;
}

void svc_close(struct svc *svc)
{
    httpc_free(svc->httpc);
    workers_free(svc->workers);
    cache_free(svc->cache);
    db_free(svc->db);
    egress_free(svc->egress);
    keyring_free(svc->keyring);
    svc->httpc = NULL;
    svc->workers = NULL;
    svc->cache = NULL;
    svc->db = NULL;
    svc->egress = NULL;
    svc->keyring = NULL;
}

/* --- serving -------------------------------------------------------------------------------------
 */

static void *job_main(void *p)
{
    struct svc_job *j = p;
    j->def->fn(j->svc);
    return NULL;
}

static int start_job(struct svc *svc, const struct job_def *d, struct err *err)
{
    struct svc_private *p = svc->priv;
    struct svc_job *j = &p->jobs[p->njobs];
    pthread_attr_t attr;
    char name[16];
    if (p->njobs == svc_jobs_max)
        return err_set(err, E_config, "more than %d jobs", svc_jobs_max);
    *j = (struct svc_job){ .svc = svc, .def = d };
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, job_stack_bytes);
    int failed = pthread_create(&j->thread, &attr, job_main, j);
    pthread_attr_destroy(&attr);
    if (failed)
        return err_set(err, E_internal, "cannot start a thread");
    snprintf(name, sizeof name, "%.15s", d->name);
    pthread_setname_np(j->thread, name);
    p->njobs++;
    return 0;
}

static int start_jobs(struct svc *svc, struct err *err)
{
    static const struct job_def watch = { .name = "ready",
                                          .doc = "Looks after the database for /readyz.",
                                          .fn = svc_watch_database };
    static const struct job_def uses = { .name = "key-uses",
                                         .doc = "Tells auth when keys were used.",
                                         .fn = key_uses_job };
    int rc = svc->db ? start_job(svc, &watch, err) : 0;
    static const struct job_def limits = { .name = "limits",
                                           .doc = "Counts replicas, tells auth of quotas.",
                                           .fn = limits_job };
    if (!rc && svc->key_uses)
        rc = start_job(svc, &uses, err);
    if (!rc)
        rc = start_job(svc, &limits, err);
    for (const struct job_def *d = svc->def->jobs; !rc && d && d->name; d++)
        rc = start_job(svc, d, err);
    return rc;
}

static int listen_on(struct svc *svc, bool ops, struct err *err)
{
    struct svc_private *p = svc->priv;
    struct router **router = ops ? &p->ops_router : &p->pub_router;
    size_t n = 0;
    while (svc->routes && svc->routes[n])
        n++;
    const struct route **tables = arena_alloc(svc->arena, (n + 2) * sizeof(*tables));
    for (size_t i = 0; i < n; i++)
        tables[i] = svc->routes[i];
    if (ops)
        tables[n] = svc_ops_routes;
    int rc = router_new(svc, tables, ops, router, err);
    if (rc)
        return rc;
    struct httpd_conf conf = { .listen = ops ? svc->conf->ops_listen : svc->conf->listen,
                               .loops = ops ? 1 : loops_of(svc),
                               .conns_max = conns_max,
                               .idle_timeout_s = idle_timeout_s,
                               .ops = &router_ops,
                               .ctx = *router };
    struct httpd *h;
    rc = httpd_start(&conf, &h, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&p->pub_mu);
    *(ops ? &p->ops : &p->pub) = h;
    pthread_mutex_unlock(&p->pub_mu);
    return 0;
}

static struct httpd *take_pub(struct svc_private *p)
{
    pthread_mutex_lock(&p->pub_mu);
    struct httpd *h = p->pub;
    p->pub = NULL;
    pthread_mutex_unlock(&p->pub_mu);
    return h;
}

/* It asks how many replicas there are before it serves: one that believed to be alone would go on
 * with whole limits if Redis went away now.  Waits for cache_timeout_ms at most. */
static struct limits *new_limits(const struct svc *svc)
{
    const struct svc_conf *c = svc->conf;
    const struct limits_conf conf = {
        .cache = svc->cache,
        .program = svc->def->name,
        .rate = { [POLICY_KEY] = c->rate_key,
                 [POLICY_CLIENT] = c->rate_client,
                 [POLICY_USER] = c->rate_user,
                 [POLICY_NETWORK] = c->rate_network,
                 [POLICY_TOKEN] = c->rate_token,
                 [POLICY_LOGIN] = c->rate_login,
                 [POLICY_DOCS] = c->rate_docs }
    };
    struct limits *l = limits_new(&conf);
    struct arena *a = arena_new();
    struct err err = { 0 };
    if (limits_beat(l, a, &err))
        log_debug("limits.no_beat", kv_s("why", err.detail));
    arena_free(a);
    return l;
}

/* None of these waits for a dependency: what is away is asked again, and /readyz says so meanwhile.
 */
static int start(struct svc *svc, struct err *err)
{
    const struct svc_def *d = svc->def;
    struct httpc_conf hc = { .egress_allow = svc->conf->egress_allow,
                             .dns_servers = svc->conf->dns_servers,
                             .conns_max = 512,
                             .conns_per_host_max = 0, /* its senders know */
                             .user_agent = "365CMS/" CMS365_VERSION };
    int rc = httpc_new(&hc, &svc->httpc, err);
    if (!rc)
        rc = tokens_start(svc, &svc->tokens, err);
    if (!rc && d->schema)
        rc = outbox_start(svc, &svc->outbox, err);
    svc->limits = rc ? NULL : new_limits(svc);
    if (!rc && svc->conf->request_log)
        rc = reqlog_start(&(struct reqlog_conf){ .program = d->name,
                                                 .brokers = svc->conf->kafka_brokers,
                                                 .cache = svc->cache },
                          &svc->reqlog, err);
    if (!rc)
        rc = trace_start(&(struct trace_conf){ .url = svc->conf->otlp_url,
                                               .headers = svc->conf->otlp_headers,
                                               .sample_ppm = svc->conf->otlp_sample_ppm,
                                               .program = d->name,
                                               .instance = svc->conf->listen },
                         &svc->traces, err);
    if (!rc && svc->outbox)
        svc->key_uses = key_uses_new(svc->conf->key_use_ms);
    if (!rc && d->init)
        rc = d->init(svc, err);
    if (!rc && d->consumers)
        rc = inbox_start(svc, d->consumers, &svc->priv->inbox, err);
    if (!rc)
        rc = start_jobs(svc, err);
    if (!rc)
        rc = listen_on(svc, true, err);
    if (!rc)
        rc = listen_on(svc, false, err);
    return rc;
}

/* Not ready -> the gateway stops sending -> drain HTTP -> stop consuming -> finish jobs -> send
 * what is committed -> close.  Also undoes a start that failed half-way. */
static void stop(struct svc *svc)
{
    struct svc_private *p = svc->priv;
    __atomic_store_n(&p->draining, true, __ATOMIC_RELAXED);
    if (p->pub) {
        httpd_drain(p->pub);
        usleep((unsigned)svc->conf->drain_grace_ms * 1000);
        httpd_stop(take_pub(p), (unsigned)svc->conf->drain_ms);
    }
    halt_set(&svc->priv->halt);
    if (p->inbox)
        inbox_stop(p->inbox);
    for (size_t i = 0; i < p->njobs; i++)
        pthread_join(p->jobs[i].thread, NULL);
    if (p->ops)
        httpd_stop(p->ops, 1000);
    if (svc->def->done)
        svc->def->done(svc);
    if (svc->outbox)
        outbox_stop(svc->outbox);
    if (svc->tokens)
        tokens_stop(svc->tokens);
    svc->tokens = NULL;
    svc->outbox = NULL;
    reqlog_stop(svc->reqlog);
    svc->reqlog = NULL;
    trace_stop(svc->traces);
    svc->traces = NULL;
    key_uses_free(svc->key_uses);
    svc->key_uses = NULL;
    limits_free(svc->limits);
    svc->limits = NULL;
    router_free(p->pub_router);
    router_free(p->ops_router);
}

/* --- memory --------------------------------------------------------------------------------------
 */

enum { trim_look_s = 5, trim_growth_bytes = 2 * 1024 * 1024 };

static size_t resident_bytes(void)
{
    char text[64];
    int64_t pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    char *second = strchr(text, ' ');
    if (!second)
        return 0;
    second[1 + strcspn(second + 1, " ")] = '\0';
    return str_to_i64(second + 1, 0, INT64_MAX / 65536, &pages)
               ? (size_t)pages * (size_t)sysconf(_SC_PAGESIZE)
               : 0;
}

/* Until a signal of `set` comes.  Meanwhile free pages go back to the kernel whenever the process
 * has grown or much was freed: the allocator itself gives back only what is free at the end of an
 * arena, and after a burst something is always still in use behind what is not. */
static int wait_for_signal(const sigset_t *set)
{
    size_t kept = 0, unused = 0; /* resident, and free in the allocator, after the last time */
    for (;;) {
        int sig = sigtimedwait(set, NULL, &(struct timespec){ .tv_sec = trim_look_s });
        if (sig > 0)
            return sig;
        size_t now = resident_bytes(), free_now = mallinfo2().fordblks;
        if (now > kept + trim_growth_bytes || free_now > unused + trim_growth_bytes) {
            malloc_trim(0);
            kept = resident_bytes();
            unused = mallinfo2().fordblks;
        }
        kept = now < kept ? now : kept;
        unused = free_now < unused ? free_now : unused;
    }
}

int svc_serve(struct svc *svc, struct err *err)
{
    sigset_t set;
    int sig = 0;
    /* Blocked before the first thread, so that all inherit it and sigwait gets them. */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int rc = svc_open(svc, err);
    if (!rc)
        rc = start(svc, err);
    if (!rc) {
        log_info("svc.started", kv_s("version", CMS365_VERSION), kv_s("listen", svc->conf->listen),
                 kv_s("ops", svc->conf->ops_listen), kv_i("loops", (int64_t)loops_of(svc)));
        sig = wait_for_signal(&set);
        log_info("svc.stopping", kv_i("signal", sig));
    }
    stop(svc);
    svc_close(svc);
    if (!rc)
        log_info("svc.stopped", kv_i("signal", sig));
    return rc;
}
