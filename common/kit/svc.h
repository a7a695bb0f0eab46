#ifndef KIT_SVC_H
#define KIT_SVC_H
/*
 * What makes a program one of ours: main() is svc_main(&def, argc, argv).
 *
 * Verbs: --help --version --migrate --check-config --contract --topics and the program's own.  A
 * run without a verb serves until SIGTERM or SIGINT: not ready -> the gateway stops sending ->
 * drain HTTP -> stop consuming -> finish jobs -> commit -> close.
 */
#include "common/base/arena.h"
#include "common/base/conf.h"
#include "common/base/err.h"
#include "common/base/fiber.h"

struct svc;
struct db;
struct db_stmt;
struct db_conf;
struct cache;
struct httpc;
struct keyring;
struct tokens;
struct outbox;
struct route;
struct consumer;
struct migration;
struct metrics;
struct key_uses;
struct limits;
struct egress;
struct rcache;
struct reqlog;
struct req;
struct sandboxes;
struct traces;

/* The settings every program has.  A program's own conf struct begins with this one. */
struct svc_conf {
    const char *env, *public_url, *listen, *ops_listen, *database_url, *migrate_database_url;
    const char *redis_url, *kafka_brokers, *secret_keys, *internal_token, *auth_internal_url;
    const char *egress_allow, *dns_servers, *trusted_proxies, *log_level, *reqres_log;
    const char *deprecations;
    int64_t loops, db_conns, drain_ms, drain_grace_ms, body_bytes_max, kafka_replication;
    int64_t key_use_ms;
    int64_t rate_key, rate_client, rate_user, rate_network, rate_token, rate_login, rate_docs;
    bool public_read, request_log, log_reads;
    const char *country_header, *otlp_url, *otlp_headers;
    int64_t otlp_sample_ppm;
};
extern const struct conf_def svc_conf_defs[];

/* A verb runs with the database, the cache, the keyring and what `prepare` made; nothing is served.
 */
struct svc_verb {
    const char *name, *args, *doc; /* "--bootstrap-admin", "USERNAME EMAIL" */
    int nargs;
    int (*fn)(struct svc *svc, char **args, struct err *err); /* prints its result on stdout */
};
/* A thread of the program: runs fn until svc_stopping(). */
struct job_def {
    const char *name, *doc;
    void (*fn)(struct svc *svc);
};
struct svc_def {
    const char *name, *doc, *schema; /* "api", "…", "content" */
    const struct conf_def *conf;     /* its own settings, or NULL; offsets from the whole struct */
    size_t conf_size;                /* sizeof its conf struct (begins with struct svc_conf) */
    const struct route *const *routes;  /* NULL-ended list of route tables */
    const struct consumer *consumers;   /* ends at .topic NULL, or NULL */
    const struct job_def *jobs;         /* ends at .name NULL, or NULL */
    const struct svc_verb *verbs;       /* ends at .name NULL, or NULL */
    const struct migration *migrations; /* ends at .version 0 */
    const struct db_stmt *const *fast;  /* DB_FAST statements, NULL-ended, or NULL */
    /* Before anything is opened, also for --contract: composes routes and statements that tables
     * give, by setting svc->routes and svc->fast (in svc->arena).  Or NULL. */
    int (*prepare)(struct svc *svc, struct err *err);
    int (*init)(struct svc *svc, struct err *err); /* after connections, before serving; or NULL */
    void (*done)(struct svc *svc);                 /* or NULL */
};
struct svc {
    const struct svc_def *def;
    struct svc_conf *conf; /* the program's conf struct; cast in the program */
    struct arena *arena;   /* for the life of the program */
    struct db *db;
    struct cache *cache;
    struct httpc *httpc;
    struct egress *egress;
    struct keyring *keyring;
    struct tokens *tokens;
    struct outbox *outbox;
    struct key_uses *key_uses; /* NULL: the program has no outbox to tell of them */
    struct rcache *rcache;     /* made by init; NULL: answers are not kept */
    const char
        *invalidations; /* topic that the relay tells of changed rows, set by prepare; or NULL */
    struct limits *limits;
    struct reqlog *reqlog;       /* NULL: requests are not told to analytics */
    struct traces *traces;       /* NULL: nobody collects them */
    struct sandboxes *sandboxes; /* made by init, which sets the next too */
    int (*sandbox_enter)(struct req *req, struct err *err); /* NULL: sandbox keys are refused */
    bool sandboxed; /* a sandbox key's view (common/kit/sandbox.h): what it reads is kept nowhere */
    struct workers *workers;
    const struct route *const *routes; /* the definition's, or what prepare made */
    const struct db_stmt *const *fast;
    void *state;              /* the program's own, set by prepare or init */
    struct svc_private *priv; /* svc.c's own */
};
int svc_main(const struct svc_def *def, int argc, char **argv);
bool svc_stopping(const struct svc *svc);
/* Were the migrations that the program was built with found in its database?  Once true, for good.
 */
bool svc_schema_ok(const struct svc *svc);
/* Waits up to ms, returns early (true) when stopping: the sleep of jobs. */
bool svc_pause(struct svc *svc, unsigned ms);
const struct db_conf *svc_db_conf(const struct svc *svc); /* for db_session_open */
#define CMS365_VERSION "0.1.0"
#endif
