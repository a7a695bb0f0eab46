#ifndef WEBHOOKS_OUT_DISPATCH_H
#define WEBHOOKS_OUT_DISPATCH_H
/*
 * The dispatcher's insides; only dispatch*.c include this.
 *
 * Endpoints are spread over `shards_max` shards, and each shard is an advisory lock on the
 * dispatcher's session: the replica that holds it alone sends to its endpoints, so max_in_flight
 * and order hold across replicas, and a killed one's shards are free as soon as PostgreSQL sees the
 * socket closed. No row is touched before an attempt ends; what a killed replica was sending is due
 * still.
 *
 *   dispatch_db.c  one thread: shards, endpoints, what is due, results        (session, blocking)
 *   dispatch.c     its rounds, and the queues that it and httpc's thread share (under `lock`)
 */
#include "services/webhooks-out/provider.h"
#include "services/webhooks-out/webhooks.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    shards_max = 16,
    endpoint_buckets = 1024,
    in_flight_max = 448, /* below httpc's connections */
    queue_max = 64,      /* read ahead for an endpoint */
    results_max = 500,
    hints_max = 256,
    reply_bytes_kept = 1024
};

struct endpoint;
struct delivery { /* from being read until its result is written */
    char id[40], message_id[48];
    char *entity, *event, *body, *trace, *request_id; /* on the heap */
    size_t body_n;
    int64_t event_us, seq, user_id;
    unsigned n, before; /* the attempt's number; those before the last resend */
    struct dispatch *d;
    struct endpoint *ep;
    struct delivery *next;              /* in the queue or the results */
    struct delivery *held, **held_back; /* of its endpoint */
    /* How it ended. */
    const char *status; /* "delivered", "failed", "dead" */
    int code;
    bool refused, gone;
    int64_t latency_us, wait_ms, ended_us;
    char error[256], reply[reply_bytes_kept + 1], address[64];
};

struct endpoint {
    int64_t id, version, max;
    char *url, *secret;
    bool active, mine, seen, probe;
    unsigned in_flight, unwritten;
    uint64_t failures; /* counts, so that what was read before one is not used after it */
    int64_t due_us;    /* monotonic; a retry is due then; 0: none known */
    struct delivery *queue, **queue_tail, *held;
    size_t nqueue;
    struct endpoint *next;
};

struct dispatch {
    struct svc *svc;
    const struct webhooks_conf *conf;
    int wake_fd;
    pthread_mutex_t lock; /* what follows */
    struct endpoint *endpoints[endpoint_buckets];
    struct delivery *results, **results_tail;
    size_t in_flight;
    bool endpoints_changed, probe_all, stopping;
    int64_t fresh[hints_max]; /* endpoints that got something, not committed yet */
    size_t nfresh;
    /* The dispatcher's thread only. */
    struct db_session *session;
    struct arena *arena;
    bool shard[shards_max];
    size_t nshards, replicas;
    int64_t balance_us, reload_us, poll_us, poll_every_us;
};

/* --- dispatch.c, under the lock --- */
struct endpoint *endpoint_find(struct dispatch *d, int64_t id);
struct endpoint *endpoint_add(struct dispatch *d, int64_t id);
void endpoint_drop_queue(struct endpoint *ep);
void endpoint_push(struct endpoint *ep, struct delivery *dl);
bool endpoint_ordered(const struct endpoint *ep);
void endpoint_pump(struct dispatch *d, struct endpoint *ep); /* sends while there is room */
void endpoint_gone(struct dispatch *d, struct endpoint *ep); /* frees it if nothing is held */
void delivery_free(struct delivery *dl);
bool delivery_held(const struct endpoint *ep, const char *id);

/* --- dispatch_db.c, without it --- */
/* E_unavailable: the session is gone and was closed; shards and queues are dropped. */
int dispatch_open(struct dispatch *d, struct err *err) MUST_CHECK;
void dispatch_close(struct dispatch *d);
int dispatch_balance(struct dispatch *d, struct err *err) MUST_CHECK;
int dispatch_reload(struct dispatch *d, struct err *err) MUST_CHECK;
int dispatch_probe(struct dispatch *d, bool all, struct err *err) MUST_CHECK;
int dispatch_write(struct dispatch *d, bool *ret_more, struct err *err) MUST_CHECK;
#endif
