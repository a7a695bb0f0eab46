#include "common/base/halt.h"

#include <errno.h>

void halt_init(struct halt *h)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&h->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->cv, &attr);
    pthread_condattr_destroy(&attr);
    h->set = false;
}

void halt_done(struct halt *h)
{
    pthread_cond_destroy(&h->cv);
    pthread_mutex_destroy(&h->mu);
}

void halt_set(struct halt *h)
{
    pthread_mutex_lock(&h->mu);
    __atomic_store_n(&h->set, true, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&h->cv);
    pthread_mutex_unlock(&h->mu);
}

bool halt_is_set(const struct halt *h)
{
    return __atomic_load_n(&h->set, __ATOMIC_ACQUIRE);
}

bool halt_pause(struct halt *h, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&h->mu);
    while (!halt_is_set(h) && pthread_cond_timedwait(&h->cv, &h->mu, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&h->mu);
    return halt_is_set(h);
}
