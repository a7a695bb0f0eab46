#ifndef BASE_HALT_H
#define BASE_HALT_H
/*
 * A word to a set of threads that they shall end, and the sleep from which it wakes them.  Set once
 * and for all; any thread may ask, sleep or set.
 */
#include "common/base/base.h"

#include <pthread.h>

struct halt { /* embedded by its owner */
    pthread_mutex_t mu;
    pthread_cond_t cv;
    bool set; /* under mu to write, atomic to read */
};
void halt_init(struct halt *h);
void halt_done(struct halt *h); /* no thread may be in halt_pause any more */
void halt_set(struct halt *h);
bool halt_is_set(const struct halt *h);
/* Sleeps for ms (monotonic), or until halt_set; answers halt_is_set.  Blocks the thread: not for
 * fibers. */
bool halt_pause(struct halt *h, unsigned ms);
#endif
