#ifndef WEBHOOKS_OUT_SCHEDULE_H
#define WEBHOOKS_OUT_SCHEDULE_H
/*
 * When a failed delivery is tried again.  The platform's schedule is exponential with full jitter:
 * after the n-th attempt anything from nothing to base × 2^(n-1), uniformly.  An endpoint's own is
 * taken as it stands, up to a tenth later.  What the receiver's Retry-After asks for counts if it
 * is later; a day at most, but for an own schedule that says more.
 */
#include "common/base/base.h"

enum { retry_wait_ms_max = 24 * 3600 * 1000 };
struct retry_plan {
    int64_t base_ms, max; /* the platform's: `max` retries */
    const int64_t *own_s; /* the endpoint's, or */
    size_t nown;          /* 0 */
};
unsigned retries_of(const struct retry_plan *p);
/* After the n-th attempt, from 1; `random` is uniform in [0, 1000]. */
int64_t retry_wait_ms(const struct retry_plan *p, unsigned n, unsigned random,
                      int64_t retry_after_ms);
#endif
