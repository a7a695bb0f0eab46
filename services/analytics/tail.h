#ifndef ANALYTICS_TAIL_H
#define ANALYTICS_TAIL_H
/*
 * The live log: server-sent events (HTML Living Standard §9.2) of requests as they come in.
 *
 * A thread reads all partitions of api.requests from their end while somebody listens, whichever
 * replica stores them.  Subscribers are tail_subscribers_max a replica, then 503; each has a buffer
 * of tail_buffer_bytes, and what finds no room is counted and told of (event `dropped`).  `ready`
 * says that from now on nothing is missed; a comment every tail_beat_ms keeps proxies patient.  A
 * stream ends after tail_life_ms, so that nobody listens longer than that with a credential that
 * was revoked; clients connect again by themselves.
 */
#include "common/kit/route.h"
#include "common/kit/svc.h"

enum {
    tail_subscribers_max = 32,
    tail_buffer_bytes = 128 * 1024,
    tail_beat_ms = 15000,
    tail_life_ms = 5 * 60 * 1000,
    tail_glance_ms = 3000, /* of who does not ask for an event stream, and may wait for an end */
};
struct tail;
struct tail *tail_new(void);
void tail_free(struct tail *t); /* nobody listens any more */
int get_tail(struct req *req, struct res *res, struct err *err);
void tail_job(struct svc *svc);
#endif
