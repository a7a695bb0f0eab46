/* The worker pool of fiber.h: a bounded queue, and threads that may block. */
#include "common/base/err.h"
#include "common/base/fiber.h"
#include "common/base/loop_internal.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>

struct job { /* on the stack of the waiting fiber */
    void (*fn)(void *ctx);
    void *ctx, *local;
    struct loop *loop;
    struct fiber *fiber;
    struct job *next;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *first, **tail;
    size_t queued, queue_max, n;
    bool stop;
    pthread_t threads[];
};

static void must(int r)
{
    if (r != 0)
        abort();
}

static void wake(void *fiber)
{
    fiber_wake(fiber);
}

static struct job *take(struct workers *w)
{
    struct job *j;

    must(pthread_mutex_lock(&w->lock));
    while (!w->first && !w->stop)
        must(pthread_cond_wait(&w->more, &w->lock));
    j = w->first;
    if (j) {
        w->first = j->next;
        if (!w->first)
            w->tail = &w->first;
        w->queued--;
    }
    must(pthread_mutex_unlock(&w->lock));
    return j;
}

static void *worker_main(void *arg)
{
    struct workers *w = arg;

    for (struct job *j = take(w); j; j = take(w)) {
        /* What is logged in here belongs to the waiting fiber's request. */
        fiber_local_set(j->local);
        j->fn(j->ctx);
        fiber_local_set(NULL);
        /* The job is gone as soon as the fiber runs. */
        loop_post(j->loop, wake, j->fiber);
    }
    return NULL;
}

struct workers *workers_new(size_t threads, size_t queue_max)
{
    struct workers *w = calloc(1, sizeof(*w) + threads * sizeof(w->threads[0]));
    sigset_t all, before;

    assert(threads > 0 && queue_max > 0);
    if (!w)
        abort();
    w->tail = &w->first;
    w->queue_max = queue_max;
    must(pthread_mutex_init(&w->lock, NULL));
    must(pthread_cond_init(&w->more, NULL));
    /* Signals are for the threads that ask for them. */
    (void)sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before));
    for (; w->n < threads; w->n++)
        must(pthread_create(&w->threads[w->n], NULL, worker_main, w));
    must(pthread_sigmask(SIG_SETMASK, &before, NULL));
    return w;
}

void workers_free(struct workers *w)
{
    if (!w)
        return;
    must(pthread_mutex_lock(&w->lock));
    w->stop = true;
    must(pthread_cond_broadcast(&w->more));
    must(pthread_mutex_unlock(&w->lock));
    for (size_t i = 0; i < w->n; i++)
        must(pthread_join(w->threads[i], NULL));
    (void)pthread_cond_destroy(&w->more);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}

int worker_run(struct workers *w, void (*fn)(void *ctx), void *ctx, struct err *err)
{
    struct job j = { .fn = fn, .ctx = ctx, .local = fiber_local(), .fiber = fiber_self() };
    bool full;

    assert(fn);
    if (!j.fiber) {
        fn(ctx);
        return 0;
    }
    j.loop = fiber_loop(j.fiber);
    must(pthread_mutex_lock(&w->lock));
    full = w->stop || w->queued >= w->queue_max;
    if (!full) {
        *w->tail = &j;
        w->tail = &j.next;
        w->queued++;
        must(pthread_cond_signal(&w->more));
    }
    must(pthread_mutex_unlock(&w->lock));
    if (full)
        return err_set(err, E_unavailable, "Too much work is waiting; try again soon.");
    fiber_park();
    return 0;
}
