#include "common/base/loop.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/loop_internal.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    events_max = 128,
    turns_max = 8,   /* rounds of fibers and deferred calls before events are looked at again */
    clock_every = 4, /* callbacks between two looks at the clock */
    sleep_ms_max = 60 * 1000
};

struct post {
    void (*fn)(void *ctx);
    void *ctx;
};

struct posts {
    struct post *list;
    size_t n, cap;
};

struct loop {
    int epoll_fd, event_fd;
    struct watch wake;
    _Atomic bool stop;
    struct epoll_event events[events_max];
    int n_events, event_at; /* the batch being worked on */

    struct timer **heap; /* heap[0] is due first */
    size_t n_timers, cap_timers;

    struct deferred *deferred, **deferred_tail;

    pthread_mutex_t post_lock;
    struct posts posted, running; /* `running` is swapped in, so callbacks may post */

    struct loop_fibers fibers;
    int64_t busy_since_us;
    unsigned callbacks;
    _Atomic uint64_t holds;
};

static _Thread_local struct loop *self;

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void *grown(void *list, size_t *cap, size_t item_bytes)
{
    *cap = *cap ? 2 * *cap : 16;
    list = realloc(list, *cap * item_bytes);
    must(list);
    return list;
}

/* ---- file descriptors ---- */

/* Events of this batch that were not handled yet must not reach a watch that is going away. */
static void forget_events(struct loop *l, const struct watch *w)
{
    for (int i = l->event_at; i < l->n_events; i++)
        if (l->events[i].data.ptr == w)
            l->events[i].data.ptr = NULL;
}

void watch_set(struct loop *l, struct watch *w, uint32_t epoll_events)
{
    struct epoll_event ev = { .events = epoll_events, .data.ptr = w };

    if (w->events == epoll_events && !(epoll_events & EPOLLONESHOT))
        return;
    if (epoll_events == 0) {
        /* The owner's library may have closed it already: then the kernel has forgotten it too. */
        if (epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL) != 0)
            must(errno == ENOENT || errno == EBADF);
        forget_events(l, w);
    } else if (w->events == 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) != 0) {
        if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev) != 0)
            must(errno == EEXIST && epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) == 0);
    }
    w->events = epoll_events;
}

static void run_events(struct loop *l)
{
    for (l->event_at = 0; l->event_at < l->n_events;) {
        const struct epoll_event *ev = &l->events[l->event_at++];
        struct watch *w = ev->data.ptr;

        if (!w)
            continue;
        w->fn(w, ev->events);
        loop_ran(l);
    }
    l->n_events = 0;
}

/* ---- timers: a binary heap that tells each timer its place ---- */

static void heap_put(struct loop *l, size_t i, struct timer *t)
{
    l->heap[i] = t;
    t->slot = i + 1;
}

static void heap_up(struct loop *l, size_t i)
{
    struct timer *t = l->heap[i];

    while (i > 0 && t->at_us < l->heap[(i - 1) / 2]->at_us) {
        heap_put(l, i, l->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(l, i, t);
}

static void heap_down(struct loop *l, size_t i)
{
    struct timer *t = l->heap[i];

    for (size_t child; (child = 2 * i + 1) < l->n_timers; i = child) {
        if (child + 1 < l->n_timers && l->heap[child + 1]->at_us < l->heap[child]->at_us)
            child++;
        if (t->at_us <= l->heap[child]->at_us)
            break;
        heap_put(l, i, l->heap[child]);
    }
    heap_put(l, i, t);
}

void timer_set(struct loop *l, struct timer *t, int64_t delay_us)
{
    size_t i;

    assert(t->fn);
    t->at_us = clock_mono_us() + (delay_us > 0 ? delay_us : 0);
    if (!t->slot) {
        if (l->n_timers == l->cap_timers)
            l->heap = grown(l->heap, &l->cap_timers, sizeof(struct timer *));
        heap_put(l, l->n_timers++, t);
    }
    i = t->slot - 1;
    assert(l->heap[i] == t);
    heap_up(l, i);
    heap_down(l, t->slot - 1);
}

void timer_clear(struct loop *l, struct timer *t)
{
    size_t i;
    struct timer *last;

    if (!t->slot)
        return;
    i = t->slot - 1;
    assert(l->heap[i] == t);
    t->slot = 0;
    last = l->heap[--l->n_timers];
    if (last == t)
        return;
    heap_put(l, i, last);
    heap_up(l, i);
    heap_down(l, last->slot - 1);
}

static void run_timers(struct loop *l)
{
    int64_t now;

    if (l->n_timers == 0)
        return;
    now = clock_mono_us();
    while (l->n_timers > 0 && l->heap[0]->at_us <= now) {
        struct timer *t = l->heap[0];

        timer_clear(l, t);
        t->fn(t);
        loop_ran(l);
    }
}

/* ---- deferred calls and posts ---- */

void loop_defer(struct loop *l, struct deferred *d)
{
    assert(d->fn);
    if (d->armed)
        return;
    d->armed = true;
    d->next = NULL;
    *l->deferred_tail = d;
    l->deferred_tail = &d->next;
}

void loop_defer_clear(struct loop *l, struct deferred *d)
{
    struct deferred **at = &l->deferred;

    if (!d->armed)
        return;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    if (!*at)
        l->deferred_tail = at;
    d->armed = false;
}

/* Those armed now; one that arms itself again waits for the next turn. */
static void run_deferred(struct loop *l)
{
    size_t n = 0;

    for (const struct deferred *d = l->deferred; d; d = d->next)
        n++;
    for (struct deferred *d; n > 0 && (d = l->deferred); n--) {
        loop_defer_clear(l, d);
        d->fn(d); /* may free d */
        loop_ran(l);
    }
}

static void ring(struct loop *l)
{
    const uint64_t one = 1;

    /* Only a full counter refuses, and then the loop wakes anyway. */
    ssize_t ignored = write(l->event_fd, &one, sizeof(one));

    (void)ignored;
}

void loop_post(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
    bool first;

    must(pthread_mutex_lock(&l->post_lock) == 0);
    first = l->posted.n == 0;
    if (l->posted.n == l->posted.cap)
        l->posted.list = grown(l->posted.list, &l->posted.cap, sizeof(struct post));
    l->posted.list[l->posted.n++] = (struct post){ .fn = fn, .ctx = ctx };
    /* Rung under the lock: after it the loop may run fn, stop, and be freed. */
    if (first)
        ring(l);
    must(pthread_mutex_unlock(&l->post_lock) == 0);
}

/* The only reader of posts: loop_post rings whenever the list was empty. */
static void on_wake(struct watch *w, uint32_t events)
{
    struct loop *l = container_of(w, struct loop, wake);
    uint64_t count;
    ssize_t ignored = read(l->event_fd, &count, sizeof(count));
    struct posts swap;

    (void)ignored;
    (void)events;
    must(pthread_mutex_lock(&l->post_lock) == 0);
    swap = l->running;
    l->running = l->posted;
    l->posted = swap;
    must(pthread_mutex_unlock(&l->post_lock) == 0);
}

static void run_posts(struct loop *l)
{
    for (size_t i = 0; i < l->running.n; i++) {
        l->running.list[i].fn(l->running.list[i].ctx);
        loop_ran(l);
    }
    l->running.n = 0;
}

/* ---- the loop ---- */

struct loop_fibers *loop_fibers(struct loop *l)
{
    return &l->fibers;
}

static void check_hold(struct loop *l, int64_t now)
{
    if (now - l->busy_since_us > loop_hold_warn_us)
        atomic_fetch_add_explicit(&l->holds, 1, memory_order_relaxed);
    l->busy_since_us = now;
}

/* Looking at the clock after each callback would cost more than it tells. */
void loop_ran(struct loop *l)
{
    if (++l->callbacks % clock_every == 0)
        check_hold(l, clock_mono_us());
}

bool loop_runnable(const struct loop *l)
{
    return l->deferred || l->fibers.ready;
}

static int sleep_ms(const struct loop *l, int64_t now)
{
    int64_t left;

    if (loop_runnable(l))
        return 0;
    if (l->n_timers == 0)
        return sleep_ms_max;
    left = l->heap[0]->at_us - now;
    if (left <= 0)
        return 0;
    /* Rounded up: a timer is never early. */
    return left > sleep_ms_max * INT64_C(1000) ? sleep_ms_max : (int)((left + 999) / 1000);
}

static void one_round(struct loop *l)
{
    int n = epoll_wait(l->epoll_fd, l->events, events_max, sleep_ms(l, l->busy_since_us));

    must(n >= 0 || errno == EINTR);
    l->busy_since_us = clock_mono_us();
    l->n_events = n > 0 ? n : 0;
    run_events(l);
    run_posts(l);
    run_timers(l);
    for (int turn = 0; turn < turns_max && loop_runnable(l); turn++) {
        fibers_run_ready(l);
        /* Flushing is worth more when all who may write have run. */
        if (!l->fibers.ready || turn == turns_max - 1)
            run_deferred(l);
    }
    check_hold(l, clock_mono_us());
}

struct loop *loop_self(void)
{
    return self;
}

void loop_run(struct loop *l)
{
    assert(!self);
    self = l;
    l->busy_since_us = clock_mono_us();
    while (!atomic_load(&l->stop))
        one_round(l);
    atomic_store(&l->stop, false);
    log_flush(); /* its lines belong to this thread, not to the loop */
    self = NULL;
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    ring(l);
}

uint64_t loop_holds(const struct loop *l)
{
    return atomic_load_explicit(&l->holds, memory_order_relaxed);
}

struct loop *loop_new(void)
{
    struct loop *l = calloc(1, sizeof(*l));

    must(l);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(l->epoll_fd >= 0 && l->event_fd >= 0);
    must(pthread_mutex_init(&l->post_lock, NULL) == 0);
    l->deferred_tail = &l->deferred;
    fibers_init(&l->fibers);
    l->wake = (struct watch){ .fd = l->event_fd, .fn = on_wake };
    watch_set(l, &l->wake, EPOLLIN);
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    assert(self != l);
    fibers_done(&l->fibers);
    /* Whoever posted last may still be in the call. */
    must(pthread_mutex_lock(&l->post_lock) == 0);
    must(pthread_mutex_unlock(&l->post_lock) == 0);
    (void)pthread_mutex_destroy(&l->post_lock);
    (void)close(l->epoll_fd);
    (void)close(l->event_fd);
    free(l->heap);
    free(l->posted.list);
    free(l->running.list);
    free(l);
}
