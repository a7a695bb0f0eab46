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
 *   dispatch_db.c     one thread: shards, endpoints, what is due                (session, blocking)
 *   dispatch_batch.c  the same thread: several events to one request
 *   dispatch_write.c  the same thread: what became of it, and of the endpoint
 *   dispatch.c        its rounds, and the queues that it and httpc's thread share (under `lock`)
 *   dispatch_send.c   requests and answers                                       (under `lock`)
 *   dispatch_gate.c   may an endpoint be sent to now: permission, token, rate, throttle, circuit
 *   dispatch_offer.c  the short way: fan-out hands over what it wrote, so that it is sent without
 *                     being read again
 *   dispatch_deferred.c  what would only wait is a row an event first, and deliveries later
 */
#include "services/webhooks-out/provider.h"
#include "services/webhooks-out/sending.h"
#include "services/webhooks-out/webhooks.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    shards_max = 16,
    endpoint_buckets = 1024,
    in_flight_max = 448,               /* below httpc's connections, */
    in_flight_wide = 224,              /* up to here everybody has what they may be sent, */
    in_flight_kept = 64,               /* and so many are kept for those who answer: */
    answers_within_us = 1000000,       /* on average of late */
    in_flight_enough = 64,             /* above this, who answers at once */
    at_once_us = 50000,                /* within this */
    at_once_in_flight = 8,             /* is sent so many at a time: more would only wait there */
    queue_max = 64,                    /* read ahead for an endpoint */
    queue_per_key_max = 8,             /* of one entity, at an ordered endpoint */
    held_max = 65536,                  /* deliveries in memory, all endpoints together, */
    held_bytes_max = 96 * 1024 * 1024, /* and their bytes; one more for an endpoint that has none */
    held_bytes_least = 2048,           /* what one is taken to need */
    results_max = 500,
    results_rush = 64,       /* so many are written at once, */
    results_wait_us = 10000, /* fewer when the first has waited so long */
    hints_max = 256,
    circuit_failures = 10,        /* in a row, then the circuit opens: */
    circuit_wait_ms_max = 300000, /* one request after a wait that doubles up to this */
    throttle_wait_ms_max = 300000,
    health_failures_min = 5, /* in a row, before an endpoint is told of or disabled */
};

struct endpoint;
struct line {
    struct endpoint *first, **tail;
};
struct delivery { /* from being read until its result is written; one block with its texts */
    const char *id, *message_id, *entity, *event, *body, *trace, *request_id;
    size_t body_n, bytes;
    int64_t event_us, user_id;
    uint32_t key;       /* hash of the entity */
    unsigned n, before; /* the attempt's number; those before the last resend */
    struct dispatch *d;
    struct endpoint *ep;
    struct delivery *next;              /* in the queue, the results or the offers */
    struct delivery *held, **held_back; /* of its endpoint */
    bool flying, batch, probe;
    /* How it ended. */
    const char *status; /* "delivered", "failed", "dead"; NULL: not yet */
    int code;
    bool refused, gone;
    int64_t latency_us, dns_us, connect_us, tls_us, first_byte_us, wait_ms, ended_us;
    char error[256], address[64];
    char *reply, *reply_headers; /* of its own, or NULL */
    char *url, *sent;            /* url is a block of its own, with sent in it */
};

enum circuit { CIRCUIT_CLOSED, CIRCUIT_OPEN, CIRCUIT_HALF };
struct endpoint {
    int64_t id, broken; /* the version that cannot be read, or 0 */
    struct sending *how;
    bool active, mine, seen, probe;
    bool behind;     /* there may be more due in the table than the queue has */
    bool deferred;   /* there may be more to come that was put off */
    int64_t pace_us; /* how long it takes to answer, smoothed; 0: it has not answered yet */
    unsigned in_flight, unwritten, unwritten_failed, offered, taken;
    int64_t heard_us;  /* monotonic; when an attempt last ended, or the first of these began */
    uint64_t failures; /* counts, so that what was read before one is not used after it */
    int64_t due_us;    /* monotonic; a retry is due then; 0: none known */
    struct delivery *queue, **queue_tail, *held;
    size_t nqueue;
    /* The gate (dispatch_gate.c); times are monotonic. */
    int64_t gate_us; /* it opens then; 0: nobody waits for it */
    int64_t slot_us, not_before_us;
    unsigned window, window_ok; /* requests at a time that the receiver stands */
    unsigned failed_in_row;
    enum circuit circuit;
    int64_t circuit_wait_ms;
    bool allowed, allowed_unwritten, asking;
    int64_t allowed_rate;
    char *token;
    int64_t token_until_us;
    /* Its record (dispatch_write.c); wall clock. */
    int64_t failing_since_us;
    int percent;
    bool failing_saved, judged;
    struct endpoint *next;
    struct line *line; /* in which it waits for room, or NULL */
    struct endpoint *after, **before;
};

struct dispatch {
    struct svc *svc;
    struct httpc *inner; /* of the program's handlers, not the dispatcher's own */
    const struct webhooks_conf *conf;
    int wake_fd;
    pthread_mutex_t lock; /* what follows */
    struct endpoint *endpoints[endpoint_buckets];
    struct delivery *results, **results_tail;
    size_t nresults, in_flight, nheld, held_bytes;
    struct line line[2]; /* of those that wait for room: all others, and who answers */
    unsigned asking;     /* for tokens and permissions, under way */
    int64_t first_result_us;
    bool rush; /* somebody waits for a result to be written */
    bool endpoints_changed, probe_all, stopping;
    bool allowed_unwritten;
    struct delivery *offers, **offers_tail; /* written, but not committed yet */
    bool deferring;                         /* so are some that were put off */
    int64_t deferred_us;                    /* monotonic; deliveries are made of these then */
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
void endpoint_free(struct endpoint *ep);
void endpoint_drop_queue(struct endpoint *ep);
void endpoint_push(struct endpoint *ep, struct delivery *dl);
struct delivery *endpoint_pop(struct endpoint *ep); /* the next that may go, or NULL */
bool endpoint_ordered(const struct endpoint *ep);
bool endpoint_batches(const struct endpoint *ep);
void endpoint_gone(struct dispatch *d, struct endpoint *ep); /* frees it if nothing is held */
bool dispatch_full(const struct dispatch *d);
/* A copy; of the first attempt, if the rest is not set. */
struct delivery *delivery_new(struct dispatch *d, const struct offer *o);
void delivery_free(struct delivery *dl);
void endpoint_hold(struct endpoint *ep, struct delivery *dl);
void dispatch_ring(struct dispatch *d); /* a round, soon; any thread */
bool delivery_held(const struct endpoint *ep, const char *id);
void dispatch_lock(struct dispatch *d);
void dispatch_unlock(struct dispatch *d);

/* --- dispatch_offer.c, under the lock: may it be sent what fan-out has just written? --- */
bool endpoint_takes(const struct dispatch *d, const struct endpoint *ep);

/* --- dispatch_send.c, under the lock --- */
/* It is slow, silent or failing: what comes for it waits. */
bool endpoint_hangs(const struct endpoint *ep, int64_t now_us);
void endpoint_pump(struct dispatch *d, struct endpoint *ep); /* sends while there is room */
void line_leave(struct endpoint *ep);                        /* it need not be in one */
/* The first in the queue fails without a request. */
void endpoint_fail_next(struct dispatch *d, struct endpoint *ep, const char *reason);

/* --- dispatch_gate.c, under the lock --- */
void gate_set(struct endpoint *ep, struct sending *how); /* takes `how` */
bool gate_open(struct dispatch *d, struct endpoint *ep); /* may ask for what is missing */
void gate_sends(struct endpoint *ep, struct delivery *dl);
void gate_ended(struct dispatch *d, struct endpoint *ep, const struct delivery *dl,
                int64_t retry_after_ms);

/* --- without it; E_unavailable: the session is gone and was closed; shards and queues are dropped.
 */
int dispatch_open(struct dispatch *d, struct err *err) MUST_CHECK;
void dispatch_close(struct dispatch *d);
int dispatch_run(struct dispatch *d, const struct db_stmt *s, const struct db_val *v, size_t n,
                 struct db_rows **ret, struct err *err) MUST_CHECK;
int dispatch_balance(struct dispatch *d, struct err *err) MUST_CHECK;
int dispatch_reload(struct dispatch *d, struct err *err) MUST_CHECK;
int dispatch_probe(struct dispatch *d, bool all, struct err *err) MUST_CHECK;
void dispatch_take(struct dispatch *d, struct endpoint *ep, const struct db_rows *r,
                   size_t i); /* under the lock */
/* dispatch_batch.c: makes batches of what is due at these endpoints. */
int dispatch_batches(struct dispatch *d, const int64_t *ids, size_t n, struct err *err) MUST_CHECK;
/* dispatch_deferred.c: makes deliveries of some that were put off, if it is time. */
int dispatch_expand(struct dispatch *d, struct err *err) MUST_CHECK;
void deferred_settle(struct dispatch *d, bool committed); /* under the lock */
/* dispatch_write.c */
int dispatch_write(struct dispatch *d, bool *ret_more, struct err *err) MUST_CHECK;
int dispatch_write_allowed(struct dispatch *d, struct err *err) MUST_CHECK;
#endif
