/*
 * What Kafka takes: messages of BYTES bytes produced as fast as it acknowledges them (acks=all,
 * idempotent), at most IN_FLIGHT waiting, for SECONDS.
 *
 *   produce BROKERS TOPIC BYTES IN_FLIGHT SECONDS
 *
 * The topic is made for it and removed.  Prints one JSON line: acknowledged, failed, a second.
 */
#include "common/base/clock.h"
#include "common/base/str.h"

#include <librdkafka/rdkafka.h>

enum { bytes_max = 1 << 20, partitions = 12, admin_ms = 10000 };

static struct {
    int64_t done, failed, waiting;
} count;

static void delivered(rd_kafka_t *k, const rd_kafka_message_t *m, void *ctx)
{
    (void)k, (void)ctx;
    count.waiting--;
    if (m->err)
        count.failed++;
    else
        count.done++;
}

static rd_kafka_t *producer(const char *brokers)
{
    static const char *const set[][2] = {
        { "acks",               "all"  },
        { "enable.idempotence", "true" },
        { "linger.ms",          "1"    }
    };
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why)))
        exit(1);
    for (size_t i = 0; i < ARRAY_LEN(set); i++)
        if (rd_kafka_conf_set(conf, set[i][0], set[i][1], why, sizeof(why)))
            exit(1);
    rd_kafka_t *k = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!k)
        exit(1);
    return k;
}

static void topic(rd_kafka_t *k, const char *name, bool make)
{
    char why[256];
    rd_kafka_queue_t *q = rd_kafka_queue_new(k);
    if (make) {
        rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(name, partitions, 1, why, sizeof(why));
        rd_kafka_CreateTopics(k, &t, 1, NULL, q);
        rd_kafka_event_destroy(rd_kafka_queue_poll(q, admin_ms));
        rd_kafka_NewTopic_destroy(t);
    } else {
        rd_kafka_DeleteTopic_t *t = rd_kafka_DeleteTopic_new(name);
        rd_kafka_DeleteTopics(k, &t, 1, NULL, q);
        rd_kafka_event_destroy(rd_kafka_queue_poll(q, admin_ms));
        rd_kafka_DeleteTopic_destroy(t);
    }
    rd_kafka_queue_destroy(q);
}

int main(int argc, char **argv)
{
    int64_t bytes, most, seconds;
    char key[32];
    if (argc != 6 || !str_to_i64(argv[3], 1, bytes_max, &bytes) ||
        !str_to_i64(argv[4], 1, 100000, &most) || !str_to_i64(argv[5], 1, 600, &seconds)) {
        fputs("usage: produce BROKERS TOPIC BYTES IN_FLIGHT SECONDS\n", stderr);
        return 2;
    }
    char *text = malloc((size_t)bytes);
    if (!text)
        return 1;
    memset(text, 'x', (size_t)bytes);
    rd_kafka_t *k = producer(argv[1]);
    topic(k, argv[2], true);
    int64_t end = clock_mono_us() + seconds * 1000000;
    for (int64_t i = 0; clock_mono_us() < end; i++) {
        while (count.waiting >= most)
            rd_kafka_poll(k, 1);
        int n = snprintf(key, sizeof(key), "%lld", (long long)(i % 64));
        rd_kafka_resp_err_t rc =
            rd_kafka_producev(k, RD_KAFKA_V_TOPIC(argv[2]), RD_KAFKA_V_KEY(key, (size_t)n),
                              RD_KAFKA_V_VALUE(text, (size_t)bytes),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        count.waiting += !rc;
        count.failed += rc != 0;
        rd_kafka_poll(k, 0);
    }
    rd_kafka_flush(k, admin_ms);
    topic(k, argv[2], false);
    rd_kafka_destroy(k);
    free(text);
    printf("{\"acknowledged\":%lld,\"failed\":%lld,\"rate\":%.0f}\n", (long long)count.done,
           (long long)count.failed, (double)count.done / (double)seconds);
    return count.failed > 0;
}
