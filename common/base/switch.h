#ifndef BASE_SWITCH_H
#define BASE_SWITCH_H
/*
 * Changing stacks: the machine part of fibers.  x86_64 and aarch64 by hand (callee-saved registers
 * and the floating-point control word: about 2 ns), others through ucontext, which makes a system
 * call each time.  A suspended stack is named by one pointer.
 */
#include "common/base/base.h"

/* Prepares a stack that will call entry(arg); entry must never return. */
void *switch_prepare(void *stack, size_t size, void (*entry)(void *arg), void *arg);
/* Suspends the running stack into *ret_from and runs `to`; returns when somebody switches back. */
void switch_stack(void **ret_from, void *to);
#endif
