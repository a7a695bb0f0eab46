#include "services/webhooks-out/schedule.h"

#include <assert.h>

enum { doublings_max = 30, random_max = 1000, own_late_part = 10 };

unsigned retries_of(const struct retry_plan *p)
{
    return p->nown ? (unsigned)p->nown : (unsigned)p->max;
}

int64_t retry_wait_ms(const struct retry_plan *p, unsigned n, unsigned random,
                      int64_t retry_after_ms)
{
    assert(n >= 1 && random <= random_max);
    int64_t wait;
    if (p->nown) {
        wait = p->own_s[n - 1 < p->nown ? n - 1 : p->nown - 1] * 1000;
        wait += wait / own_late_part * random / random_max;
    } else {
        unsigned doublings = n - 1 < doublings_max ? n - 1 : doublings_max;
        wait = p->base_ms < retry_wait_ms_max ? p->base_ms << doublings : retry_wait_ms_max;
        if (wait > retry_wait_ms_max)
            wait = retry_wait_ms_max;
        wait = wait * random / random_max;
    }
    if (retry_after_ms > retry_wait_ms_max)
        retry_after_ms = retry_wait_ms_max;
    return wait > retry_after_ms ? wait : retry_after_ms;
}
