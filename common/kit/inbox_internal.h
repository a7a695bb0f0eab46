#ifndef KIT_INBOX_INTERNAL_H
#define KIT_INBOX_INTERNAL_H
/*
 * What the parts of the inbox share: inbox.c (threads), inbox_batch.c (a batch of one partition),
 * inbox_retry.c (parked keys), inbox_store.c (statements, partitions), inbox_dead.c (dead letters).
 */
#include "common/base/halt.h"
#include "common/io/bus.h"
#include "common/io/db.h"
#include "common/kit/inbox.h"

#include <pthread.h>

enum {
    inbox_tries_max = 3,     /* of a message that fails for a reason that may pass */
    inbox_retries_max = 100, /* of a parked one, then it is dead */
    inbox_retry_first_ms = 200,
    inbox_retry_most_ms = 60000,
    inbox_retry_poll_us = 200 * 1000,
    inbox_days_ahead = 2,
    inbox_days_kept_more = 3,
    inbox_pause_first_ms = 50,
    inbox_pause_most_ms = 1000,
    inbox_ready_poll_ms = 50,
};

struct inbox_conf {
    struct svc *svc;       /* for the callbacks; may be NULL in tests */
    struct traces *traces; /* NULL: nobody collects them */
    struct db *db;
    const char *brokers;
    const struct consumer *rows; /* ends at .name NULL */
    /* NULL: at once.  Else nothing is taken before it says so: with a schema of another version
     * each message would fail, and be dead for nothing that it is at fault for. */
    bool (*ready)(const struct svc *svc);
};
int inbox_open(const struct inbox_conf *conf, struct inbox **ret, struct err *err) MUST_CHECK;

struct inbox_thread {
    struct inbox *inbox;
    const struct consumer *row;
    pthread_t thread;
    bool started;
    struct bus_consumer *bus;
    struct bus_producer *dead; /* opened by the first dead letter */
    int64_t next_retry_us, next_days_us;
    unsigned pause_ms; /* back-off while the database is away */
    struct metric_cell *done, *failed, *dead_letters, *lag;
};
struct inbox {
    struct inbox_conf conf;
    struct inbox_thread *threads;
    size_t n;
    struct halt halt;
};

/* A message as an event; false, with the reason: it has no id or type. */
bool inbox_event(struct inbox_thread *t, struct arena *a, const struct bus_msg *in, struct msg *out,
                 const char **ret_why);
const char *inbox_day(struct arena *a, const struct msg *m); /* "2026-02-19" */

/* Handles a batch; *ret_done: so many, from the first on, are done (all of them, if it answers 0).
 */
int inbox_batch(struct inbox_thread *t, struct arena *a, struct bus_msg *raw, size_t n,
                size_t *ret_done, struct err *err) MUST_CHECK;
/* The consumer's function on some messages. */
int inbox_call(const struct inbox_thread *t, struct msg **m, size_t n, struct db_tx *tx,
               struct err *err) MUST_CHECK;
int inbox_retry_due(struct inbox_thread *t, struct arena *a, struct err *err) MUST_CHECK;
/* Produces to <topic>.dlq and waits for the acknowledgement. */
int inbox_dead(struct inbox_thread *t, const struct bus_msg *m, int code, const char *reason,
               struct err *err) MUST_CHECK;
/* May waiting help, without the message being at fault? */
static inline bool inbox_waits(int rc)
{
    return rc == -E_unavailable || rc == -E_timeout;
}

/* Statements. */
/* Which of `m` were not recorded before (now they are), and which have keys that are parked. */
struct inbox_known {
    bool fresh, parked;
};
int inbox_record(struct db_tx *tx, struct arena *a, const char *consumer, struct msg **m, size_t n,
                 struct inbox_known *ret, struct err *err) MUST_CHECK;
int inbox_park(struct db_tx *tx, struct arena *a, const char *consumer, const struct msg *m,
               unsigned delay_ms, struct err *err) MUST_CHECK;
int inbox_days(struct inbox_thread *t, struct arena *a, struct err *err) MUST_CHECK;
#endif
