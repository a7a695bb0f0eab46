#include "services/webhooks-out/schedule.h"

#include <assert.h>

enum { jitter_percent = 20, doublings_max = 30 };

int64_t retry_wait_ms(int64_t base_ms, unsigned attempt, unsigned random, int64_t retry_after_ms)
{
    assert(attempt >= 1 && random <= 1000);
    unsigned n = attempt - 1 < doublings_max ? attempt - 1 : doublings_max;
    int64_t wait = base_ms < retry_wait_ms_max ? base_ms << n : retry_wait_ms_max;
    if (wait > retry_wait_ms_max)
        wait = retry_wait_ms_max;
    /* 80 % to 120 % */
    wait = wait * (100 - jitter_percent) / 100 + wait * 2 * jitter_percent / 100 * random / 1000;
    if (wait < retry_after_ms)
        wait = retry_after_ms;
    return wait < retry_wait_ms_max ? wait : retry_wait_ms_max;
}
