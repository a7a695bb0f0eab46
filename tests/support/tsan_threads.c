/*
 * C11 threads by way of POSIX ones, linked into tests under TSan only.
 *
 * librdkafka starts its threads with thrd_create, which gcc 12's TSan does not know: such a thread
 * crashes at its first intercepted call.  glibc's mtx_t and cnd_t are a pthread_mutex_t and a
 * pthread_cond_t; named here, in the program, they come before libc's and TSan sees every start,
 * lock and signal of the library, though not its memory.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a mtx_t holds a mutex");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a cnd_t holds a condition");

static int result(int rc)
{
    return rc == 0           ? thrd_success
           : rc == ENOMEM    ? thrd_nomem
           : rc == ETIMEDOUT ? thrd_timedout
           : rc == EBUSY     ? thrd_busy
                             : thrd_error;
}

struct begin {
    thrd_start_t fn;
    void *arg;
};

static void *run(void *p)
{
    struct begin b = *(struct begin *)p;
    free(p);
    return (void *)(intptr_t)b.fn(b.arg);
}

int thrd_create(thrd_t *t, thrd_start_t fn, void *arg)
{
    struct begin *b = malloc(sizeof(*b));
    if (!b)
        return thrd_nomem;
    *b = (struct begin){ fn, arg };
    int rc = pthread_create(t, NULL, run, b);
    if (rc)
        free(b);
    return result(rc);
}

int thrd_join(thrd_t t, int *res)
{
    void *value;
    int rc = pthread_join(t, &value);
    if (!rc && res)
        *res = (int)(intptr_t)value;
    return result(rc);
}

int thrd_detach(thrd_t t)
{
    return result(pthread_detach(t));
}

int mtx_init(mtx_t *m, int type)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    if (type & mtx_recursive)
        pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    int rc = pthread_mutex_init((pthread_mutex_t *)m, &a);
    pthread_mutexattr_destroy(&a);
    return result(rc);
}

void mtx_destroy(mtx_t *m)
{
    pthread_mutex_destroy((pthread_mutex_t *)m);
}

int mtx_lock(mtx_t *m)
{
    return result(pthread_mutex_lock((pthread_mutex_t *)m));
}

int mtx_trylock(mtx_t *m)
{
    return result(pthread_mutex_trylock((pthread_mutex_t *)m));
}

int mtx_unlock(mtx_t *m)
{
    return result(pthread_mutex_unlock((pthread_mutex_t *)m));
}

int cnd_init(cnd_t *c)
{
    return result(pthread_cond_init((pthread_cond_t *)c, NULL));
}

void cnd_destroy(cnd_t *c)
{
    pthread_cond_destroy((pthread_cond_t *)c);
}

int cnd_signal(cnd_t *c)
{
    return result(pthread_cond_signal((pthread_cond_t *)c));
}

int cnd_broadcast(cnd_t *c)
{
    return result(pthread_cond_broadcast((pthread_cond_t *)c));
}

int cnd_wait(cnd_t *c, mtx_t *m)
{
    return result(pthread_cond_wait((pthread_cond_t *)c, (pthread_mutex_t *)m));
}

int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m, const struct timespec *restrict until)
{
    return result(pthread_cond_timedwait((pthread_cond_t *)c, (pthread_mutex_t *)m, until));
}
