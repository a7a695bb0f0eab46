#ifndef BASE_LOOP_H
#define BASE_LOOP_H
/*
 * One epoll loop, owned by one thread.  File descriptors, timers, deferred calls, and posts from
 * other threads.  Everything but loop_post and loop_stop is for the owning thread.  The loop counts
 * callbacks that held it longer than loop_hold_warn_us.
 */
#include "common/base/base.h"

enum { loop_hold_warn_us = 5000 };

struct loop;
struct loop *loop_new(void);
void loop_free(struct loop *l);
struct loop *loop_self(void);              /* the loop this thread is running, or NULL */
void loop_run(struct loop *l);             /* until loop_stop */
void loop_stop(struct loop *l);            /* any thread */
uint64_t loop_holds(const struct loop *l); /* callbacks over loop_hold_warn_us so far */

bool loop_runnable(const struct loop *l); /* fibers or deferred calls are due */

struct watch { /* embedded by its owner; zero-initialised */
    int fd;
    void (*fn)(struct watch *w, uint32_t epoll_events);
    uint32_t events; /* EPOLLIN … as armed; 0: not registered */
};
void watch_set(struct loop *l, struct watch *w, uint32_t epoll_events); /* add, change; 0 removes */

struct timer { /* embedded; zero-initialised */
    void (*fn)(struct timer *t);
    int64_t at_us; /* monotonic */
    size_t slot;   /* heap position + 1; 0: not armed */
};
void timer_set(struct loop *l, struct timer *t, int64_t delay_us); /* arms or moves */
void timer_clear(struct loop *l, struct timer *t);

/* Before the loop sleeps next time: flush what this round wrote.  `pre` is embedded; arming it
 * twice in a round is one call. */
struct deferred {
    void (*fn)(struct deferred *d);
    struct deferred *next;
    bool armed;
};
void loop_defer(struct loop *l, struct deferred *d);
void loop_defer_clear(struct loop *l, struct deferred *d); /* before d is freed */

/* From any thread: run fn(ctx) on the loop soon. */
void loop_post(struct loop *l, void (*fn)(void *ctx), void *ctx);
#endif
