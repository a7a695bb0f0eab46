#include "common/io/bus_internal.h"

#include <assert.h>

struct bus_producer {
    rd_kafka_t *rk;
};
/* Travels with a message to its delivery report. */
struct report {
    void (*done)(void *ctx, int result, const char *reason);
    void *ctx;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk, (void)opaque;
    struct report *rep = m->_private;
    if (!m->err && m->offset < 0) /* concluded from what came after it; no broker has said so */
        rep->done(rep->ctx, -E_unavailable, "The broker has not acknowledged it.");
    else if (!m->err)
        rep->done(rep->ctx, 0, "");
    else
        rep->done(rep->ctx, -(int)bus_code(m->err), rd_kafka_err2str(m->err));
    free(rep);
}

int bus_producer_new(const char *brokers, const char *client_id, struct bus_producer **ret,
                     struct err *err)
{
    const struct bus_setting set[] = {
        { "client.id",                  client_id        },
        { "enable.idempotence",         "true"           },
        { "enable.gapless.guarantee",   "true"           },
        { "acks",                       "all"            },
        /* A broker takes any first number of a producer it does not know.  With several requests
         * under way it may refuse the first (not the leader yet) and take the second, and
         * librdkafka then believes the first was taken as well: lost, and reported as delivered. */
        { "max.in.flight",              "1"              },
        { "message.timeout.ms",         "0"              },
        { "compression.codec",          "lz4"            },
        { "linger.ms",                  "1"              },
        { "queue.buffering.max.kbytes", "8192"           },
        { "retry.backoff.ms",           "50"             },
        { "partitioner",                "murmur2_random" },
        { "allow.auto.create.topics",   "false"          },
        { NULL,                         NULL             },
    };
    rd_kafka_conf_t *conf = bus_conf(brokers, set, err);
    if (!conf)
        return -(int)err->code;
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    struct bus_producer *p = calloc(1, sizeof(*p));
    assert(p);
    int r = bus_handle(RD_KAFKA_PRODUCER, conf, &p->rk, err);
    if (r) {
        free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void bus_producer_free(struct bus_producer *p)
{
    if (!p)
        return;
    /* Purged messages get their report (E_unavailable), so no `done` is left uncalled. */
    rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_poll(p->rk, 0);
    if (rd_kafka_outq_len(p->rk) > 0)
        rd_kafka_flush(p->rk, 1000);
    rd_kafka_destroy(p->rk);
    free(p);
}

static rd_kafka_headers_t *headers_of(const struct bus_msg *m)
{
    rd_kafka_headers_t *h = rd_kafka_headers_new(m->nheaders);
    for (size_t i = 0; i < m->nheaders; i++)
        rd_kafka_header_add(h, m->headers[i].name, -1, m->headers[i].value, -1);
    return h;
}

int bus_produce(struct bus_producer *p, const struct bus_msg *m,
                void (*done)(void *ctx, int result, const char *reason), void *ctx, struct err *err)
{
    assert(m->topic && done && m->nheaders <= bus_headers_max);
    struct report *rep = malloc(sizeof(*rep));
    assert(rep);
    *rep = (struct report){ .done = done, .ctx = ctx };
    rd_kafka_headers_t *h = headers_of(m);
    /* The union drops const: librdkafka's V_ macros take void *, and F_COPY leaves the bytes alone.
     */
    union {
        const void *in;
        void *out;
    } key = { m->key }, value = { m->payload };
    rd_kafka_resp_err_t e = rd_kafka_producev(
        p->rk, RD_KAFKA_V_TOPIC(m->topic), RD_KAFKA_V_KEY(key.out, m->key ? strlen(m->key) : 0),
        RD_KAFKA_V_VALUE(value.out, m->payload ? m->len : 0), RD_KAFKA_V_HEADERS(h),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(rep), RD_KAFKA_V_END);
    if (!e)
        return 0;
    rd_kafka_headers_destroy(h);
    free(rep);
    return bus_fail(err, e, "produce");
}

void bus_poll(struct bus_producer *p, unsigned timeout_ms)
{
    rd_kafka_poll(p->rk, (int)timeout_ms);
}

bool bus_fatal(const struct bus_producer *p)
{
    return rd_kafka_fatal_error(p->rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

int bus_flush(struct bus_producer *p, unsigned timeout_ms, struct err *err)
{
    rd_kafka_resp_err_t e = rd_kafka_flush(p->rk, (int)timeout_ms);
    return e ? bus_fail(err, e, "flush") : 0;
}
