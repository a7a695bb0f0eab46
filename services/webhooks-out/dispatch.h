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
 *   dispatch_db.c     one thread: shards, endpoints, what is due, results       (session, blocking)
 *   dispatch.c        its rounds, and the queues that it and httpc's thread share (under `lock`)
 *   dispatch_offer.c  the short way: fan-out hands over what it wrote, so that it is sent without
 *                     being read again
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
    results_rush = 64,       /* so many are written at once, */
    results_wait_us = 10000, /* fewer when the first has waited so long */
    hints_max = 256,
    reply_bytes_kept = 1024
};

struct endpoint;
struct delivery { /* from being read until its result is written; one block with its texts */
    const char *id, *message_id, *entity, *event, *body, *trace, *request_id;
    size_t body_n;
    int64_t event_us, user_id;
    unsigned n, before; /* the attempt's number; those before the last resend */
    struct dispatch *d;
    struct endpoint *ep;
    struct delivery *next;              /* in the queue, the results or the offers */
    struct delivery *held, **held_back; /* of its endpoint */
    /* How it ended. */
    const char *status; /* "delivered", "failed", "dead" */
    int code;
    bool refused, gone;
    int64_t latency_us, wait_ms, ended_us;
    char error[256], address[64];
    char *reply; /* of its own, or NULL */
};

struct endpoint {
    int64_t id, version, max;
    char *url, *secret;
    bool active, mine, seen, probe;
    bool behind; /* there may be more due in the table than the queue has */
    unsigned in_flight, unwritten, offered, taken;
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
    size_t nresults, in_flight;
    int64_t first_result_us;
    bool rush; /* somebody waits for a result to be written */
    bool endpoints_changed, probe_all, stopping;
    struct delivery *offers, **offers_tail; /* written, but not committed yet */
    int64_t hints[hints_max];               /* endpoints that got something that was not offered */
    size_t nhints;
    _Atomic bool shard[shards_max]; /* set by the dispatcher's thread */
    /* The dispatcher's thread only. */
    struct db_session *session;
    struct arena *arena;
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
/* A copy; of the first attempt, if the rest is not set. */
struct delivery *delivery_new(struct dispatch *d, const struct offer *o);
void delivery_free(struct delivery *dl);
void endpoint_hold(struct endpoint *ep, struct delivery *dl); /* endpoint_push does it too */
void dispatch_ring(struct dispatch *d);                       /* a round, soon; any thread */
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
