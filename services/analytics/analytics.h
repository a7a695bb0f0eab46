#ifndef ANALYTICS_ANALYTICS_H
#define ANALYTICS_ANALYTICS_H
/*
 * The analytics program: api.requests is stored (ingest.c), added up (roll.c) and asked for
 * (overview.c, series.c, top.c, requests.c, tail.c); what is unusual is told of (anomaly.c,
 * detect.c); what is old goes (retention.c).
 */
#include "common/io/db.h"
#include "common/kit/inbox.h"
#include "common/kit/route.h"
#include "common/kit/svc.h"

struct analytics_conf {
    struct svc_conf svc; /* first */
    int64_t log_days, minute_days, hour_days, roll_ms, anomaly_min;
    const char *anomaly_mail_to;
};
extern const struct conf_def analytics_conf_defs[];
extern const struct route analytics_routes[];
extern const struct consumer analytics_consumers[];
const struct svc_def *analytics_def(void);
const struct analytics_conf *analytics_conf(const struct svc *svc);

/* --- what a process keeps (svc->state) --- */
struct names;
struct tail;
struct analytics {
    struct names *names; /* of the consumer's thread */
    struct tail *tail;
};

/* --- ingest.c --- */
int ingest(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, struct err *err);
void ingest_committed(struct svc *svc, size_t n);
void ingest_failed(struct svc *svc);

/* --- names.c: numbers of routes and consumers, remembered.  For one thread.  What a transaction
 * made counts when it is committed. --- */
struct names *names_new(void);
void names_free(struct names *n);
void names_settle(struct names *n, bool committed);
struct batch;
struct record;
/* Every route and consumer of the batches has a number afterwards. */
int names_learn(struct names *n, struct arena *a, struct db_tx *tx, const struct batch *b,
                size_t nb, struct err *err) MUST_CHECK;
int32_t names_route(struct names *n, const struct batch *b, const struct record *r);
int32_t names_consumer(struct names *n, const struct record *r);

/* --- jobs --- */
void roll_job(struct svc *svc);
void retention_job(struct svc *svc);
void anomaly_job(struct svc *svc);
/* One round of each, for tests and the jobs; ret_n: what there was to do. */
int roll_once(struct svc *svc, struct arena *a, size_t *ret_n, struct err *err) MUST_CHECK;
int retain_once(struct svc *svc, struct arena *a, struct err *err) MUST_CHECK;
#endif
