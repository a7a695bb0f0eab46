#ifndef BASE_BACKGROUND_H
#define BASE_BACKGROUND_H
/*
 * Threads whose work nobody waits for.  On a busy processor they get a tenth of the share of a
 * thread that answers requests, and all there is when it is idle.
 */
enum { background_nice = 10 };
/* This thread, and those that it starts from now on.  Linux: a nice value is a thread's
 * (setpriority(2), "C library/kernel differences"); raising it takes no privilege, and there is no
 * way back. */
void background_thread(void);
#endif
