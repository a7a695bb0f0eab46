#ifndef BASE_LOOP_INTERNAL_H
#define BASE_LOOP_INTERNAL_H
/* What loop.c and fiber.c know of each other; for no other file. */
#include "common/base/fiber.h"

struct loop_fibers {
    struct fiber *ready, **ready_tail; /* woken, in order */
    struct fiber *idle;                /* ended: their stacks wait for the next spawn */
    struct fiber *all;                 /* running or parked */
    size_t n, n_idle;
    size_t n_least; /* n_idle at its lowest since the last trim */
};

struct loop_fibers *loop_fibers(struct loop *l);
/* Once after each callback: counts those that held the loop. */
void loop_ran(struct loop *l);

struct loop *fiber_loop(const struct fiber *f);
void fibers_init(struct loop_fibers *f);
void fibers_done(struct loop_fibers *f); /* drops the stacks of fibers that are still parked */
void fibers_run_ready(struct loop *l); /* those ready now; what they wake waits for the next call */
#endif
