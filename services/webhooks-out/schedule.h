#ifndef WEBHOOKS_OUT_SCHEDULE_H
#define WEBHOOKS_OUT_SCHEDULE_H
/* When a failed delivery is tried again: base × 2^(n-1) with ±20 % jitter after the n-th attempt,
 * or what the receiver's Retry-After asks for if that is later; a day at most. */
#include "common/base/base.h"

enum { retry_wait_ms_max = 24 * 3600 * 1000 };
/* `random` is uniform in [0, 1000]. */
int64_t retry_wait_ms(int64_t base_ms, unsigned attempt, unsigned random, int64_t retry_after_ms);
#endif
