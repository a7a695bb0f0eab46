#ifndef KIT_SVC_INTERNAL_H
#define KIT_SVC_INTERNAL_H
/*
 * What svc's files share: svc.c (verbs and main), svc_conf.c (settings), svc_run.c (start, serve,
 * stop), svc_ops.c (/healthz, /readyz, /metrics), contract.c (the program's part of the OpenAPI
 * document).
 */
#include "common/base/halt.h"
#include "common/io/db.h"
#include "common/kit/route.h"
#include "common/kit/svc.h"

#include <pthread.h>

enum { svc_jobs_max = 16, svc_workers = 2, svc_workers_queue_max = 256 };

struct inbox;
struct httpd;
struct router;
struct svc_job {
    struct svc *svc;
    const struct job_def *def;
    pthread_t thread;
};
struct svc_private {
    struct db_conf db_conf, migrate_conf;
    struct httpd *pub, *ops;
    pthread_mutex_t pub_mu; /* of `pub`, which comes and goes while /metrics is served */
    struct router *pub_router, *ops_router;
    struct inbox *inbox;
    struct svc_job jobs[svc_jobs_max];
    size_t njobs;
    struct halt halt;      /* stopping */
    bool draining;         /* atomic */
    bool db_ok, schema_ok; /* atomic; readiness, as svc_watch_database saw it last */
};

/* svc_conf.c */
int svc_conf_load(struct svc *svc, char *const *environ_,
                  struct err *err) MUST_CHECK;                   /* environment and limits */
int svc_conf_check(struct svc *svc, struct err *err) MUST_CHECK; /* what serving needs is there */
void svc_conf_help(const struct svc_def *def, FILE *out);
/* svc_run.c */
int svc_open(struct svc *svc,
             struct err *err) MUST_CHECK; /* keyring, database, cache, egress, workers */
void svc_close(struct svc *svc);
int svc_serve(struct svc *svc, struct err *err) MUST_CHECK; /* until SIGTERM */
/* svc_ops.c */
extern const struct route svc_ops_routes[];
void svc_watch_database(struct svc *svc); /* job_def.fn */
/* contract.c */
int contract_print(struct svc *svc, FILE *out, struct err *err) MUST_CHECK;
#endif
