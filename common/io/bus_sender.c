#define _GNU_SOURCE /* pthread_setname_np */
#include "common/io/bus_sender.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { poll_ms = 50, revive_ms = 200 };

struct bus_sender {
    pthread_rwlock_t lock; /* of p: replaced when it is fatal */
    struct bus_producer *p;
    char *brokers, *client_id;
    pthread_t thread;
    atomic_bool stop;
};

/*
 * One message under way.  The delivery report comes on the polling thread, the deadline on the
 * caller's; each holds it until it has looked at it for the last time.
 */
struct sent {
    atomic_int holders;
    pthread_mutex_t mu;
    pthread_cond_t cv;
    bool reported, left; /* left: the caller gave up */
    int result;
    struct fiber *fiber; /* NULL: a thread waits */
    struct loop *loop;
    struct timer timer;
};

static void sent_free(struct sent *s)
{
    if (atomic_fetch_sub(&s->holders, 1) > 1)
        return;
    pthread_mutex_destroy(&s->mu);
    pthread_cond_destroy(&s->cv);
    free(s);
}

static void wake(void *p)
{
    struct sent *s = p;
    timer_clear(s->loop, &s->timer);
    fiber_wake(s->fiber);
}

static void on_report(void *ctx, int result, const char *reason)
{
    struct sent *s = ctx;
    (void)reason;
    pthread_mutex_lock(&s->mu);
    s->reported = true;
    s->result = result;
    if (!s->left && s->fiber)
        loop_post(s->loop, wake, s);
    else if (!s->left)
        pthread_cond_signal(&s->cv);
    pthread_mutex_unlock(&s->mu);
    sent_free(s);
}

static void on_timer(struct timer *t)
{
    struct sent *s = (struct sent *)(void *)((char *)t - offsetof(struct sent, timer));
    pthread_mutex_lock(&s->mu);
    bool late = !s->reported; /* else wake() is on its way */
    s->left = late;
    pthread_mutex_unlock(&s->mu);
    if (late)
        fiber_wake(s->fiber);
}

static void wait_in_thread(struct sent *s, unsigned timeout_ms)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += timeout_ms / 1000;
    end.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&s->mu);
    while (!s->reported && pthread_cond_timedwait(&s->cv, &s->mu, &end) == 0)
        ;
    s->left = !s->reported;
    pthread_mutex_unlock(&s->mu);
}

static int away(struct err *err)
{
    err_set(err, E_unavailable, "The message bus is not available.");
    err->retry_after_s = 2;
    return -E_unavailable;
}

static struct sent *sent_new(void)
{
    struct sent *s = calloc(1, sizeof(*s));
    pthread_condattr_t attr;
    assert(s);
    atomic_init(&s->holders, 2);
    pthread_mutex_init(&s->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->cv, &attr);
    pthread_condattr_destroy(&attr);
    s->fiber = fiber_self();
    s->loop = s->fiber ? loop_self() : NULL;
    s->timer.fn = on_timer;
    return s;
}

int bus_send(struct bus_sender *b, const struct bus_msg *m, unsigned timeout_ms, struct err *err)
{
    struct sent *s = sent_new();
    pthread_rwlock_rdlock(&b->lock);
    int rc = b->p ? bus_produce(b->p, m, on_report, s, err) : away(err);
    pthread_rwlock_unlock(&b->lock);
    if (rc) { /* no report will come */
        sent_free(s);
        sent_free(s);
        return rc;
    }
    if (s->fiber) {
        timer_set(s->loop, &s->timer, (int64_t)timeout_ms * 1000);
        fiber_park();
    } else {
        wait_in_thread(s, timeout_ms);
    }
    /* Only the caller's own thread sets `left`: what it reads here is what it wrote. */
    rc = s->left ? -E_unavailable : s->result;
    sent_free(s);
    if (rc == -E_too_large)
        return err_set(err, E_too_large, "The message is too large for the message bus.");
    return rc ? away(err) : 0;
}

/* A fatal producer takes nothing more; those who wait hear of it and send again. */
static void revive(struct bus_sender *b)
{
    struct err err = { 0 };
    pthread_rwlock_wrlock(&b->lock);
    bus_producer_free(b->p);
    b->p = NULL;
    if (bus_producer_new(b->brokers, b->client_id, &b->p, &err))
        b->p = NULL;
    pthread_rwlock_unlock(&b->lock);
}

static void *run(void *p)
{
    struct bus_sender *b = p;
    while (!atomic_load(&b->stop)) {
        if (!b->p) { /* only this thread changes it */
            fiber_sleep_ms(revive_ms);
            revive(b);
            continue;
        }
        bus_poll(b->p, poll_ms);
        if (bus_fatal(b->p))
            revive(b);
    }
    return NULL;
}

int bus_sender_new(const char *brokers, const char *client_id, struct bus_sender **ret,
                   struct err *err)
{
    struct bus_sender *b = calloc(1, sizeof(*b));
    assert(b);
    int rc = bus_producer_new(brokers, client_id, &b->p, err);
    if (rc) {
        free(b);
        return rc;
    }
    pthread_rwlock_init(&b->lock, NULL);
    b->brokers = strdup(brokers);
    b->client_id = strdup(client_id);
    assert(b->brokers && b->client_id);
    if (pthread_create(&b->thread, NULL, run, b))
        abort();
    pthread_setname_np(b->thread, "bus-sender");
    *ret = b;
    return 0;
}

void bus_sender_free(struct bus_sender *b)
{
    if (!b)
        return;
    atomic_store(&b->stop, true);
    pthread_join(b->thread, NULL);
    bus_producer_free(b->p); /* reports what is under way, and nobody waits for it */
    pthread_rwlock_destroy(&b->lock);
    free(b->brokers);
    free(b->client_id);
    free(b);
}
