#ifndef KIT_INBOX_H
#define KIT_INBOX_H
/*
 * A consumer is a row of a table (rulings.md 8 and 9).
 *
 * INBOX_EFFECT: messages (each partition's in order) in batches of up to `batch_max` in one
 * transaction, which first records (consumer, event id) in `inbox`; what was recorded before is
 * skipped.  fn gets one message, fn_batch all of them.  If a batch fails it is replayed one by one.
 * What `wants` leaves out has no effect and is not recorded.
 * The function answering -E_retry_later parks the message in `inbox_retry`
 * (later messages of that key queue behind it, the partition goes on); any other error but
 * E_unavailable/E_timeout dead-letters it to <topic>.dlq with the reason.  INBOX_BULK: fn_batch
 * gets the batch, no dedupe. The offset is stored after the commit.
 */
#include "common/base/err.h"
#include "common/base/json.h"
#include "proto/names.h"

struct svc;
struct db_tx;
struct inbox;

enum inbox_mode { INBOX_EFFECT, INBOX_BULK };

struct msg { /* a CloudEvent, in the batch's arena */
    struct svc *svc;
    struct arena *arena;
    const char *topic, *key;
    const char *event_id, *type; /* ce_id; short type */
    const char *time, *traceparent, *request_id, *actor;
    const char *payload;
    size_t len;
    int32_t partition;
    int64_t offset;
};
struct consumer {
    const char *name;          /* "webhooks-out.fanout": group id and inbox consumer name */
    const char *const *topics; /* NULL-ended */
    const char *topic;         /* or a single one */
    const char *types;         /* only events whose short type begins so ("user."); NULL: all */
    enum inbox_mode mode;
    unsigned batch_max;
    /* INBOX_BULK: how long the next one gathers at most, until it has batch_max messages. */
    unsigned batch_ms;
    bool background; /* nobody waits for what it does: common/base/background.h */
    int (*fn)(struct msg *m, struct db_tx *tx, struct err *err); /* or fn_batch */
    int (*fn_batch)(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, struct err *err);
    /* INBOX_EFFECT: marks those that have an effect, in the batch's transaction; NULL: all may.
     * One that was left out is not remembered: if Kafka sends it again, it is asked about again. */
    int (*wants)(struct svc *svc, struct msg **m, size_t n, struct db_tx *tx, bool *ret,
                 struct err *err);
    void (*committed)(struct svc *svc, size_t n); /* after the commit of a batch, or NULL */
    void (*failed)(
        struct svc *svc); /* after a try that was rolled back, or may have been; or NULL */
    const char *doc;
};
/* One thread a consumer row; the table ends at .name NULL. */
int inbox_start(struct svc *svc, const struct consumer *rows, struct inbox **ret,
                struct err *err) MUST_CHECK;
void inbox_stop(struct inbox *i);
extern const char inbox_schema_sql[]; /* inbox (partitioned by day), inbox_retry */
#endif
