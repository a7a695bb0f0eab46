#ifndef KIT_OUTBOX_INTERNAL_H
#define KIT_OUTBOX_INTERNAL_H
/*
 * Shared by outbox.c (rows, life of the thread) and outbox_relay.c (what the thread does while it
 * owns the lock).
 */
#include "common/kit/outbox.h"

#include <pthread.h>
#include <stdatomic.h>

struct db_session;

enum {
    outbox_rows_max = 500,                   /* a read */
    outbox_read_bytes_max = 4 * 1024 * 1024, /* payloads of a read, beyond its first row */
    outbox_flight_max = 4096,                /* produced and not yet deleted */
    outbox_delete_rows = 256,     /* acknowledged rows are deleted in batches of this size, */
    outbox_delete_us = 25 * 1000, /* or when the oldest has waited so long */
    /* Between reads while nothing comes: more with each.  A writer in the same process wakes the
     * relay; this is for what other replicas write.  The heartbeat's promise to caches (beat_…) is
     * short, so a relay that sends it reads more often. */
    outbox_poll_first_ms = 5,
    outbox_poll_beating_ms = 20,
    outbox_poll_most_ms = 100,
    /* Between the starts of two reads: rows a second, squared, divided by this; */
    outbox_apart_divisor = 50,
    outbox_apart_least_us = 1500,
    outbox_apart_most_us = 40 * 1000,
    outbox_rate_us = 200 * 1000, /* and over which they are counted */
    outbox_gaps_max = 1024,      /* ids that were passed over, and may come */
    outbox_full_pass_us = 1000 * 1000,
    outbox_renew_us = 200 * 1000, /* between the end of a producer and the next one's start */
};

struct outbox {
    struct outbox_conf conf; /* strings in the arena */
    struct arena *arena;
    char *source; /* ce_source */
    pthread_t thread;
    int wake_fd;
    atomic_bool woken, stop, owner;
};

/* Runs as owner on a session that holds the lock, until told to stop (0) or an error ends the
 * session. */
int relay_run(struct outbox *o, struct db_session *s, struct err *err) MUST_CHECK;
bool outbox_wait(struct outbox *o, int64_t until_us); /* true: woken or told to stop */
#endif
