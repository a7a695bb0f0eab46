#ifndef IO_BUS_SENDER_H
#define IO_BUS_SENDER_H
/*
 * A producer whose callers wait: bus_send comes back when the broker holds the message durably
 * (idempotent, acks=all), so what it said yes to survives the death of this process.  One for a
 * program, any number of callers at once; they share the batches.
 */
#include "common/io/bus.h"

struct bus_sender;
int bus_sender_new(const char *brokers, const char *client_id, struct bus_sender **ret,
                   struct err *err) MUST_CHECK;
/* Nobody may be in bus_send any more. */
void bus_sender_free(struct bus_sender *s);
/* Parks the calling fiber, or blocks the thread, for at most timeout_ms.  After E_unavailable the
 * message may still arrive: whoever sends it again must expect it twice.  E_too_large, E_invalid:
 * the broker does not take it. */
int bus_send(struct bus_sender *s, const struct bus_msg *m, unsigned timeout_ms,
             struct err *err) MUST_CHECK;
#endif
