#include "common/kit/outbox_beat.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/bus.h"

enum { again_us = 500 * 1000, message_bytes_max = beat_keys_max * (beat_key_bytes_max + 4) + 256 };

struct beat {
    const struct outbox_conf *conf;
    struct bus_producer *producer; /* NULL: the last one failed */
    struct arena *arena;           /* of the keys that wait */
    struct buf keys;               /* "\"post:7\",\"user:3\"" */
    size_t nkeys;
    char epoch[uuid_len + 1];
    int64_t n;
    size_t in_flight;
    int64_t due_us, produce_us; /* next heartbeat; not before: next producer */
    bool lost;                  /* something was: a new epoch */
};

static void clear(struct beat *b)
{
    arena_reset(b->arena);
    buf_init(&b->keys, b->arena, 4096, message_bytes_max);
    b->nkeys = 0;
}

struct beat *beat_new(const struct outbox_conf *conf)
{
    struct beat *b = calloc(1, sizeof(*b));
    if (!b)
        abort();
    b->conf = conf;
    b->arena = arena_new();
    b->lost = true;
    clear(b);
    return b;
}

void beat_free(struct beat *b)
{
    struct err ignored;
    if (!b)
        return;
    if (b->producer &&
        bus_flush(b->producer, 100, &ignored)) /* the next relay begins anew anyway */
        log_debug("beat.unsent", kv_s("why", ignored.msg));
    bus_producer_free(b->producer);
    arena_free(b->arena);
    free(b);
}

void beat_note(struct beat *b, const char *key)
{
    if (!b || b->lost)
        return;
    if (b->nkeys == beat_keys_max || strlen(key) > beat_key_bytes_max) {
        b->lost = true;
        return;
    }
    if (b->nkeys++)
        buf_putc(&b->keys, ',');
    buf_put_json_string(&b->keys, key, strlen(key));
}

static void on_report(void *ctx, int result, const char *reason)
{
    struct beat *b = ctx;
    b->in_flight--;
    if (result >= 0)
        return;
    if (!b->lost)
        log_debug("beat.lost", kv_s("reason", reason));
    b->lost = true;
}

static bool have_producer(struct beat *b, int64_t now_us)
{
    struct err err;
    if (b->producer && bus_fatal(b->producer)) {
        bus_producer_free(b->producer);
        b->producer = NULL;
        b->lost = true;
    }
    if (b->producer || now_us < b->produce_us)
        return b->producer;
    b->produce_us = now_us + again_us;
    if (bus_producer_new(b->conf->brokers, b->conf->program, &b->producer, &err))
        log_debug("beat.no_producer", kv_s("why", err.msg));
    return b->producer;
}

static int produce(struct beat *b, int64_t at_us, struct err *err)
{
    struct buf text;
    buf_init(&text, b->arena, b->keys.len + 256, message_bytes_max);
    buf_printf(&text, "{\"epoch\":\"%s\",\"n\":%lld", b->epoch, (long long)b->n + 1);
    if (at_us)
        buf_printf(&text, ",\"at\":%lld", (long long)at_us);
    if (b->nkeys)
        buf_printf(&text, ",\"keys\":[%s]", b->keys.data);
    buf_putc(&text, '}');
    const struct bus_msg m = { .topic = b->conf->invalidations,
                               .payload = text.data,
                               .len = text.len };
    return bus_produce(b->producer, &m, on_report, b, err);
}

void beat_send(struct beat *b, int64_t at_us)
{
    struct err err;
    int64_t now_us = clock_mono_us();
    if (!b || (!b->nkeys && !b->lost && now_us < b->due_us) || !have_producer(b, now_us))
        return;
    bus_poll(b->producer, 0);
    if (b->in_flight >= beat_flight_max) /* Kafka is away: what waits here would be old then */
        return;
    if (b->lost) { /* what waits is part of what the new epoch forgets */
        uuid7(b->epoch);
        b->n = 0;
        b->lost = false;
        clear(b);
    }
    if (produce(b, at_us, &err)) {
        log_debug("beat.unsent", kv_s("why", err.msg));
        b->lost = true;
        return;
    }
    b->n++;
    b->in_flight++;
    b->due_us = now_us + beat_every_us;
    clear(b);
}
