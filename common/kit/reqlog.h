#ifndef KIT_REQLOG_H
#define KIT_REQLOG_H
/*
 * The request log's source: one record for each request that a program answers on its public
 * listener, sent to api.requests in batches (proto/request_record.h) by a thread of its own.
 *
 * Fire and forget: a request never waits for it and never fails by it.  What a record may not have
 * does not get this far: no path, query, header, body or address, only the route's template, counts
 * and names out of fixed lists.  The client's address becomes a keyed hash; the key is a day's,
 * shared by all programs through Redis (`cms365:network_key:<day>`), and forgotten after two.
 * While Redis is away a replica makes one of its own, and takes the shared one when it is back.
 *
 * Memory is bounded: reqlog_chunks_max chunks of reqlog_chunk_bytes wait, and as many messages as
 * reqlog_in_flight_max are under way.  Overload rule "buffer_full": a record for which there is no
 * place is dropped and counted, in cms365_request_log_dropped_total and in the next message.
 */
#include "common/base/base.h"
#include "common/base/err.h"

struct cache;
struct principal;
struct reqlog;
enum {
    reqlog_chunk_bytes = 128 * 1024,
    reqlog_chunks_max = 24, /* 3 MiB; 12,000 records, or more if they are much alike */
    reqlog_spares_max = 8,  /* empty ones that are kept */
    reqlog_in_flight_max = 16,
    reqlog_every_ms = 100, /* what there is goes so often, */
    reqlog_gather = 8,     /* or when so many chunks are full: Kafka's price is by the request */
    reqlog_close_ms = 2000,
};
struct reqlog_conf {
    const char *program, *brokers;
    struct cache *cache; /* NULL: the key of networks stays this process' own */
};
/* Starts the thread; needs no broker. */
int reqlog_start(const struct reqlog_conf *conf, struct reqlog **ret, struct err *err) MUST_CHECK;
/* Sends what waits for reqlog_close_ms at most; nobody may be in reqlog_put any more.  NULL: fine.
 */
void reqlog_stop(struct reqlog *l);

struct reqlog_record {
    int64_t at_us; /* Unix */
    int64_t total_us, queue_us, db_us;
    uint64_t bytes_in, bytes_out;
    const struct principal *who;
    const char *request_id, *method, *route;              /* method NULL: none that is known */
    bool own_id;                                          /* we made it: its form is known */
    const char *address, *user_agent, *country, *problem; /* the last three may be NULL */
    int status;
};
/* Any thread; does not wait but for a lock that is held for a few hundred nanoseconds. */
void reqlog_put(struct reqlog *l, const struct reqlog_record *r);
uint64_t reqlog_dropped(const struct reqlog *l);
bool reqlog_idle(struct reqlog *l); /* nothing waits, and Kafka has acknowledged the rest */
#endif
