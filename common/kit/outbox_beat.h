#ifndef KIT_OUTBOX_BEAT_H
#define KIT_OUTBOX_BEAT_H
/*
 * What the relay tells response caches, on a topic of one partition: which rows were changed, and
 * up to which moment that is all (the heartbeat of rulings.md 1).
 *
 *   {"epoch":"<uuid>","n":17,"at":1764282645123456,"keys":["post:7","user:3"]}
 *
 * `at` is the database's clock, in microseconds, before the snapshot of the read that found these
 * rows: whatever was committed, and answered, until then is in this message or one before it.  It
 * is left out when the read was cut off or could not be produced.  `n` counts the messages of an
 * epoch; a relay begins a new epoch when it starts and whenever something may be lost, and whoever
 * sees a new epoch, or a gap in n, forgets all it kept.
 *
 * By a producer of its own: nothing about the caches may hold up events.
 */
#include "common/kit/outbox.h"

enum {
    beat_every_us = 36 * 1000, /* when nothing changes: every second read of a relay at rest */
    beat_keys_max = 1000,      /* of a message; with more a new epoch begins */
    beat_key_bytes_max = 64,
    beat_flight_max = 32 /* messages not acknowledged; more are not sent, their keys wait */
};

struct beat;
struct beat *beat_new(const struct outbox_conf *conf); /* borrows it */
void beat_free(struct beat *b);
/* All do nothing if b is NULL. */
void beat_note(struct beat *b, const char *key); /* a row of the outbox is on its way */
/* After a read and what it noted.  at_us 0: it was not all. */
void beat_send(struct beat *b, int64_t at_us);
#endif
