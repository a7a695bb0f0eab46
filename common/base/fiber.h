#ifndef BASE_FIBER_H
#define BASE_FIBER_H
/*
 * A fiber is a stack on an event loop: straight-line code that parks instead of blocking.  Only the
 * io modules and the worker pool park and wake; handlers never see this header.
 *
 * Stacks are fiber_stack_bytes of reserved address space with a guard page, kept on a per-loop free
 * list of fiber_idle_max at most (touched pages stay resident; fibers_trim gives them back).  A
 * fiber stays on its loop's thread for life.  All functions are for that thread only, but
 * worker_run, which parks the calling fiber while fn runs on a worker thread.  The address, thread
 * and undefined sanitizers are told of each switch.
 */
#include "common/base/loop.h"

enum { fiber_stack_bytes = 256 * 1024, fiber_idle_max = 256, fibers_max = 8192 };

struct fiber;
/* Runs fn(ctx) on a fresh fiber at once, until it parks or ends.  False: fibers_max reached. */
bool fiber_spawn(struct loop *loop, void (*fn)(void *ctx), void *ctx);
struct fiber *fiber_self(void); /* NULL outside a fiber: then calls block instead of parking */
/* Gives the thread back to the loop until fiber_wake.  Each park needs exactly one wake. */
void fiber_park(void);
/* Makes a parked fiber runnable; it runs from the loop, never inside this call. */
void fiber_wake(struct fiber *f);
void fiber_sleep_ms(unsigned ms); /* in a thread: sleeps it */
size_t fiber_count(const struct loop *loop);
/* Unmaps half of the free stacks that were not needed since the last call.  Returns how many are
 * left. */
size_t fibers_trim(struct loop *loop);

/* What a fiber-local pointer is for: the log context follows the fiber. */
void fiber_local_set(void *p);
void *fiber_local(void);

/* Microseconds that the running fiber has waited for the database since it was spawned; in a thread
 * outside one, since the thread's start.  io/db adds to it. */
int64_t *fiber_db_us(void);

struct workers;
struct workers *workers_new(size_t threads, size_t queue_max);
void workers_free(struct workers *w); /* finishes what is queued, joins */
/* Runs fn(ctx) on a worker thread while the fiber waits; outside a fiber runs it here.
 * -E_unavailable when the queue is full (err set). */
struct err;
int worker_run(struct workers *w, void (*fn)(void *ctx), void *ctx, struct err *err) MUST_CHECK;
#endif
