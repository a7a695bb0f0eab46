#include "common/io/bus_internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"

#include <assert.h>

/* Taken from librdkafka but not handed out yet: a partition that is taken away meanwhile takes its
 * messages with it. */
enum { pending_max = 1024 };

struct bus_consumer {
    rd_kafka_t *rk;
    rd_kafka_message_t *pending[pending_max];
    size_t npending, pending_bytes;
};

/* --- pending ------------------------------------------------------------------------------------
 */

static bool same(const rd_kafka_message_t *m, const char *topic, int32_t partition)
{
    return m->partition == partition && str_eq(rd_kafka_topic_name(m->rkt), topic);
}

static void drop_pending(struct bus_consumer *c, const char *topic, int32_t partition)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->npending; i++) {
        if (!topic || same(c->pending[i], topic, partition)) {
            c->pending_bytes -= c->pending[i]->len;
            rd_kafka_message_destroy(c->pending[i]);
        } else {
            c->pending[kept++] = c->pending[i];
        }
    }
    c->npending = kept;
}

/* --- group --------------------------------------------------------------------------------------
 */

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t e,
                         rd_kafka_topic_partition_list_t *parts, void *opaque)
{
    struct bus_consumer *c = opaque;
    rd_kafka_error_t *error = NULL;
    log_debug("bus.rebalance", kv_s("what", rd_kafka_err2name(e)), kv_i("partitions", parts->cnt));
    if (e == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        error = rd_kafka_incremental_assign(rk, parts);
    } else {
        /* Somebody else reads these on from the last stored offset. */
        for (int i = 0; i < parts->cnt; i++)
            drop_pending(c, parts->elems[i].topic, parts->elems[i].partition);
        if (rd_kafka_assignment_lost(rk) || e != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
            log_debug("bus.assignment_lost", kv_i("partitions", parts->cnt));
        error = rd_kafka_incremental_unassign(rk, parts);
    }
    if (error) {
        log_debug("bus.rebalance_failed", kv_s("text", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
    }
}

/* Reads answer as soon as there is one byte, so a long fetch.wait costs no latency, only idle
 * requests. What bounds memory: the queue in kbytes, and how much one fetch may bring. */
#define READ_SETTINGS                                                                              \
    { "fetch.min.bytes", "1" }, { "fetch.wait.max.ms", "500" },                                    \
        { "fetch.error.backoff.ms", "20" }, { "queued.max.messages.kbytes", "4096" },              \
        { "fetch.message.max.bytes", "131072" }, { "auto.offset.reset", "earliest" },              \
        { "check.crcs", "false" },                                                                 \
    {                                                                                              \
        "allow.auto.create.topics", "false"                                                        \
    }

int bus_consumer_new(const char *brokers, const char *group, const char *const *topics,
                     struct bus_consumer **ret, struct err *err)
{
    const struct bus_setting set[] = {
        READ_SETTINGS,
        { "client.id",                     group                },
        { "group.id",                      group                },
        { "enable.auto.commit",            "true"               },
        { "auto.commit.interval.ms",       "1000"               },
        { "enable.auto.offset.store",      "false"              },
        { "partition.assignment.strategy", "cooperative-sticky" },
        { "session.timeout.ms",            "6000"               },
        { "heartbeat.interval.ms",         "1000"               },
        { NULL,                            NULL                 },
    };
    rd_kafka_conf_t *conf = bus_conf(brokers, set, err);
    if (!conf)
        return -(int)err->code;
    struct bus_consumer *c = calloc(1, sizeof(*c));
    assert(c);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_opaque(conf, c);
    int r = bus_handle(RD_KAFKA_CONSUMER, conf, &c->rk, err);
    if (r) {
        free(c);
        return r;
    }
    rd_kafka_poll_set_consumer(c->rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (size_t i = 0; topics[i]; i++)
        rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t e = rd_kafka_subscribe(c->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (e) {
        rd_kafka_destroy(c->rk);
        free(c);
        return bus_fail(err, e, "subscribe");
    }
    *ret = c;
    return 0;
}

void bus_consumer_free(struct bus_consumer *c)
{
    if (!c)
        return;
    drop_pending(c, NULL, 0);
    rd_kafka_consumer_close(c->rk);
    drop_pending(c, NULL, 0);
    rd_kafka_destroy(c->rk);
    free(c);
}

/* One message or NULL; errors are events of the connection, which librdkafka heals by itself. */
static rd_kafka_message_t *poll_one(rd_kafka_t *rk, int timeout_ms)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, timeout_ms);
    if (m && m->err && m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        log_debug("bus.consume", kv_s("error", rd_kafka_err2name(m->err)),
                  kv_s("text", rd_kafka_message_errstr(m)));
        rd_kafka_message_destroy(m);
        return NULL;
    }
    return m;
}

static void fill_pending(struct bus_consumer *c, size_t max, unsigned timeout_ms)
{
    int64_t until = clock_mono_us() + (int64_t)timeout_ms * 1000;
    while (c->npending < max && c->npending < pending_max &&
           c->pending_bytes < bus_batch_bytes_max) {
        int64_t left = until - clock_mono_us();
        /* Wait for the first message only: what has come meanwhile is the batch. */
        bool wait = c->npending == 0 && left > 0;
        rd_kafka_message_t *m = poll_one(c->rk, wait ? (int)((left + 999) / 1000) : 0);
        if (!m) {
            if (!wait)
                return;
            continue;
        }
        c->pending[c->npending++] = m;
        c->pending_bytes += m->len;
    }
}

int bus_consume(struct bus_consumer *c, struct arena *a, size_t max, unsigned timeout_ms,
                struct bus_msg **ret, size_t *ret_n, struct err *err)
{
    assert(max > 0);
    char text[256];
    if (rd_kafka_fatal_error(c->rk, text, sizeof(text))) {
        err_set(err, E_unavailable, "The message bus is not available.");
        return err_detail(err, "consumer: %s", text);
    }
    fill_pending(c, max, timeout_ms);
    size_t n = c->npending;
    struct bus_msg *out = n ? arena_alloc(a, n * sizeof(*out)) : NULL;
    for (size_t i = 0; i < n; i++) {
        bus_copy(a, c->pending[i], &out[i]);
        rd_kafka_message_destroy(c->pending[i]);
    }
    c->npending = c->pending_bytes = 0;
    *ret = out;
    *ret_n = n;
    return 0;
}

static rd_kafka_topic_partition_list_t *one(const char *topic, int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(l, topic, partition)->offset = offset;
    return l;
}

static int store(struct bus_consumer *c, rd_kafka_topic_partition_list_t *l, struct err *err)
{
    rd_kafka_resp_err_t e = rd_kafka_offsets_store(c->rk, l);
    for (int i = 0; i < l->cnt; i++) {
        rd_kafka_resp_err_t one = l->elems[i].err;
        /* Not ours any more: the next owner reads these messages again, and knows them by their
         * ids. */
        if (one && one != RD_KAFKA_RESP_ERR__STATE && one != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
            e = one;
    }
    rd_kafka_topic_partition_list_destroy(l);
    if (e == RD_KAFKA_RESP_ERR__STATE || e == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        return 0;
    return e ? bus_fail(err, e, "store offset") : 0;
}

int bus_store(struct bus_consumer *c, const char *topic, int32_t partition, int64_t offset,
              struct err *err)
{
    return store(c, one(topic, partition, offset + 1), err);
}

int bus_store_all(struct bus_consumer *c, const struct bus_msg *m, size_t n, struct err *err)
{
    if (n == 0)
        return 0;
    rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(16);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_topic_partition_t *tp =
            rd_kafka_topic_partition_list_find(l, m[i].topic, m[i].partition);
        if (!tp)
            tp = rd_kafka_topic_partition_list_add(l, m[i].topic, m[i].partition);
        tp->offset = m[i].offset + 1;
    }
    return store(c, l, err);
}

static bool assigned(struct bus_consumer *c, const char *topic, int32_t partition)
{
    rd_kafka_topic_partition_list_t *l;
    if (rd_kafka_assignment(c->rk, &l))
        return false;
    bool found = rd_kafka_topic_partition_list_find(l, topic, partition) != NULL;
    rd_kafka_topic_partition_list_destroy(l);
    return found;
}

int bus_rewind(struct bus_consumer *c, const char *topic, int32_t partition, int64_t offset,
               struct err *err)
{
    drop_pending(c, topic, partition);
    if (!assigned(c, topic, partition))
        return 0;
    rd_kafka_topic_partition_list_t *l = one(topic, partition, offset);
    rd_kafka_error_t *error = rd_kafka_seek_partitions(c->rk, l, 5000);
    rd_kafka_resp_err_t e = error ? rd_kafka_error_code(error) : l->elems[0].err;
    if (error)
        rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(l);
    if (e == RD_KAFKA_RESP_ERR__STATE || e == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        return 0;
    return e ? bus_fail(err, e, "seek") : 0;
}

int64_t bus_lag(struct bus_consumer *c)
{
    rd_kafka_topic_partition_list_t *l;
    if (rd_kafka_assignment(c->rk, &l))
        return 0;
    int64_t lag = 0;
    if (!rd_kafka_position(c->rk, l))
        for (int i = 0; i < l->cnt; i++) {
            int64_t low, high, at = l->elems[i].offset;
            if (!rd_kafka_get_watermark_offsets(c->rk, l->elems[i].topic, l->elems[i].partition,
                                                &low, &high) &&
                high > 0 && at >= 0 && high > at)
                lag += high - at;
        }
    rd_kafka_topic_partition_list_destroy(l);
    return lag + (int64_t)c->npending;
}

/* --- broadcast ----------------------------------------------------------------------------------
 */

struct bus_reader {
    rd_kafka_t *rk;
    char *topic;
    int32_t nparts; /* 0: not assigned yet */
    bool *at_end;   /* each has been read to its end once */
    bool from_end;
};

int bus_reader_new(const char *brokers, const char *topic, struct bus_reader **ret, struct err *err)
{
    const struct bus_setting set[] = {
        READ_SETTINGS,
        /* librdkafka assigns only with a group id; nothing is ever committed under it. */
        { "group.id",             "cms365.broadcast" },
        { "enable.auto.commit",   "false"            },
        { "enable.partition.eof", "true"             },
        { NULL,                   NULL               },
    };
    rd_kafka_conf_t *conf = bus_conf(brokers, set, err);
    if (!conf)
        return -(int)err->code;
    struct bus_reader *r = calloc(1, sizeof(*r));
    assert(r);
    int rc = bus_handle(RD_KAFKA_CONSUMER, conf, &r->rk, err);
    if (rc) {
        free(r);
        return rc;
    }
    rd_kafka_poll_set_consumer(r->rk);
    r->topic = strdup(topic);
    *ret = r;
    return 0;
}

void bus_reader_from_end(struct bus_reader *r)
{
    r->from_end = true;
}

void bus_reader_free(struct bus_reader *r)
{
    if (!r)
        return;
    rd_kafka_consumer_close(r->rk);
    rd_kafka_destroy(r->rk);
    free(r->topic);
    free(r->at_end);
    free(r);
}

/* The partitions are asked for by the first read that finds a broker, so that a bus that is down
 * does not hold up the start.  More partitions need a restart: auth.keys never gets more, its keys
 * would change place. */
static int reader_assign(struct bus_reader *r, unsigned timeout_ms, struct err *err)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(r->rk, r->topic, NULL);
    const struct rd_kafka_metadata *md;
    rd_kafka_resp_err_t e = rd_kafka_metadata(r->rk, 0, rkt, &md, (int)timeout_ms);
    rd_kafka_topic_destroy(rkt);
    if (e)
        return bus_fail(err, e, "metadata");
    int32_t n = md->topic_cnt == 1 && !md->topics[0].err ? md->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(md);
    if (n == 0)
        return bus_fail(err, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, r->topic);
    rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(n);
    for (int32_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(l, r->topic, i)->offset =
            r->from_end ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING;
    e = rd_kafka_assign(r->rk, l);
    rd_kafka_topic_partition_list_destroy(l);
    if (e)
        return bus_fail(err, e, "assign");
    r->at_end = calloc((size_t)n, sizeof(bool));
    assert(r->at_end);
    r->nparts = n;
    return 0;
}

int bus_read(struct bus_reader *r, struct arena *a, size_t max, unsigned timeout_ms,
             struct bus_msg **ret, size_t *ret_n, struct err *err)
{
    assert(max > 0);
    if (r->nparts == 0) {
        int rc = reader_assign(r, timeout_ms, err);
        if (rc)
            return rc;
    }
    int64_t until = clock_mono_us() + (int64_t)timeout_ms * 1000;
    struct bus_msg *out = arena_alloc(a, max * sizeof(*out));
    size_t n = 0, bytes = 0;
    bool ended = false;
    while (n < max && bytes < bus_batch_bytes_max) {
        int64_t left = until - clock_mono_us();
        bool wait = n == 0 && !ended && left > 0;
        rd_kafka_message_t *m = poll_one(r->rk, wait ? (int)((left + 999) / 1000) : 0);
        if (!m && wait)
            continue;
        if (!m)
            break;
        if (m->err) { /* end of partition */
            ended = ended || !r->at_end[m->partition];
            r->at_end[m->partition] = true;
        } else {
            bytes += m->len;
            bus_copy(a, m, &out[n++]);
        }
        rd_kafka_message_destroy(m);
    }
    *ret = out;
    *ret_n = n;
    return 0;
}

bool bus_reader_caught_up(struct bus_reader *r)
{
    for (int32_t i = 0; i < r->nparts; i++)
        if (!r->at_end[i])
            return false;
    return r->nparts > 0;
}
