#ifndef IO_BUS_H
#define IO_BUS_H
/*
 * Apache Kafka by librdkafka.  Blocking calls for plain threads; callbacks run in bus_poll.
 * Memory is bounded: queued.max.messages.kbytes 4096, queue.buffering.max.kbytes 8192 (rulings 25).
 */
#include "common/base/arena.h"
#include "common/base/err.h"

enum { bus_headers_max = 16, bus_message_bytes_max = 4 * 1024 * 1024 };

struct bus_header {
    const char *name, *value;
};
struct bus_msg {
    const char *topic;
    const char *key; /* NUL-terminated; NULL: none */
    const char *payload;
    size_t len; /* payload NULL: a tombstone */
    struct bus_header headers[bus_headers_max];
    size_t nheaders;
    int32_t partition; /* of a consumed message */
    int64_t offset, time_ms;
};
const char *bus_header(const struct bus_msg *m, const char *name); /* NULL: not there */

/* Producer: idempotent, acks=all, gapless, lz4, no message timeout.  `done` is called once a
 * message, from bus_poll: 0, or a negative code with the reason (E_too_large, E_invalid: this
 * message for good; E_unavailable: the producer is fatal, everything unacknowledged must be
 * produced anew). */
struct bus_producer;
int bus_producer_new(const char *brokers, const char *client_id, struct bus_producer **ret,
                     struct err *err) MUST_CHECK;
void bus_producer_free(struct bus_producer *p); /* drops what was not acknowledged */
/* Copies the message.  E_unavailable: the queue is full (poll and try again) or the producer is
 * fatal. */
int bus_produce(struct bus_producer *p, const struct bus_msg *m,
                void (*done)(void *ctx, int result, const char *reason), void *ctx,
                struct err *err) MUST_CHECK;
void bus_poll(struct bus_producer *p, unsigned timeout_ms);
bool bus_fatal(const struct bus_producer *p);
int bus_flush(struct bus_producer *p, unsigned timeout_ms, struct err *err) MUST_CHECK;

/* Group consumer: manual offset storing.  A batch holds messages of any of its partitions, each
 * partition's in order. */
struct bus_consumer;
int bus_consumer_new(const char *brokers, const char *group, const char *const *topics,
                     struct bus_consumer **ret, struct err *err) MUST_CHECK;
void bus_consumer_free(struct bus_consumer *c); /* commits what was stored, leaves the group */
/* Up to `max` messages within timeout_ms, in the arena; 0 messages is not an error. */
int bus_consume(struct bus_consumer *c, struct arena *a, size_t max, unsigned timeout_ms,
                struct bus_msg **ret, size_t *ret_n, struct err *err) MUST_CHECK;
/* All messages of the partition up to and including `offset` are done; committed within 1 s and at
 * free. */
int bus_store(struct bus_consumer *c, const char *topic, int32_t partition, int64_t offset,
              struct err *err) MUST_CHECK;
/* The same for each partition that these n messages of a batch, from its first on, are of. */
int bus_store_all(struct bus_consumer *c, const struct bus_msg *m, size_t n,
                  struct err *err) MUST_CHECK;
/* Read again from `offset` (a batch could not be finished). */
int bus_rewind(struct bus_consumer *c, const char *topic, int32_t partition, int64_t offset,
               struct err *err) MUST_CHECK;
int64_t bus_lag(struct bus_consumer *c); /* messages behind, all assigned partitions */

/* Broadcast reader: every partition from the beginning, no group, nothing committed. */
struct bus_reader;
int bus_reader_new(const char *brokers, const char *topic, struct bus_reader **ret,
                   struct err *err) MUST_CHECK;
/* Before the first read: only what comes from then on, not what is there. */
void bus_reader_from_end(struct bus_reader *r);
void bus_reader_free(struct bus_reader *r);
int bus_read(struct bus_reader *r, struct arena *a, size_t max, unsigned timeout_ms,
             struct bus_msg **ret, size_t *ret_n, struct err *err) MUST_CHECK;
bool bus_reader_caught_up(struct bus_reader *r); /* reached the high watermarks seen at the start */

/* Topics, applied idempotently: creates what is missing, raises partitions, sets configs. */
struct bus_topic {
    const char *name;
    int partitions;
    int64_t retention_ms; /* -1: for ever */
    bool compact;
};
int bus_topics_apply(const char *brokers, const struct bus_topic *t, size_t n, int replication,
                     struct err *err) MUST_CHECK;
int bus_ping(const char *brokers, unsigned timeout_ms, struct err *err) MUST_CHECK;
#endif
