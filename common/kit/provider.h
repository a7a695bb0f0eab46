#ifndef KIT_PROVIDER_H
#define KIT_PROVIDER_H
/*
 * External services as rows of tables.  A provider builds a request and classifies the answer, both
 * pure; the delivery engine that owns it sends, and decides what an outcome means for the schedule.
 */
#include "common/base/arena.h"

enum outcome {
    OUT_OK,
    OUT_RETRY,    /* later, perhaps after what Retry-After says */
    OUT_REJECTED, /* this request never, others perhaps */
    OUT_CONFIG,   /* nothing will work until somebody changes something: pause and tell */
};
const char *outcome_name(enum outcome o);

struct status_row { /* from..to inclusive; the first that holds the status */
    int from, to;
    enum outcome outcome;
};
struct provider {
    const char *name, *label, *doc;
    const struct status_row *status; /* ends at .from 0; then the defaults; may be NULL */
};
/* What an HTTP status means.  By default 2xx OK; 408, 425, 429, 5xx and no answer (0) RETRY; 401,
 * 403, 404, 410 CONFIG; the rest REJECTED. */
enum outcome provider_outcome(const struct provider *p, int status);

/* Milliseconds that a Retry-After value (seconds or HTTP date) asks for, at most `max_ms`; 0 if it
 * is none. */
int64_t retry_after_ms(const char *value, int64_t now_ms, int64_t max_ms);
#endif
