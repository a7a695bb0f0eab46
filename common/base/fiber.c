#define _GNU_SOURCE 1 /* pthread_getattr_np */
#include "common/base/fiber.h"

#include "common/base/loop_internal.h"
#include "common/base/switch.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

/* One side of a switch: a fiber's stack or a thread's own. */
struct side {
    void *sp;
    const void *bottom; /* for the address sanitizer */
    size_t size;
    void *fake_stack;
    void *tsan;
};

enum fiber_state { FIBER_RUNNING, FIBER_PARKED, FIBER_READY, FIBER_ENDED };

struct fiber {
    struct side side;
    struct loop *loop;
    struct side *resumer;        /* who runs when this one parks */
    struct fiber *resumer_fiber; /* NULL: the thread */
    enum fiber_state state;
    bool woken; /* fiber_wake came before fiber_park */
    void (*fn)(void *ctx);
    void *ctx, *local;
    int64_t db_us;
    struct fiber *next;          /* in the ready queue or the idle list */
    struct fiber *older, *newer; /* in the list of all */
    char *map;
    size_t map_bytes;
};

static _Thread_local struct fiber *current;
static _Thread_local struct side thread_side;
static _Thread_local void *thread_local_ptr;
static _Thread_local int64_t thread_db_us;

/* ---- the switch, told to the sanitizers ---- */

/* `ending`: the stack left behind will never run again. */
static void switch_to(struct side *from, struct side *to, bool ending)
    __attribute__((noinline, no_sanitize("thread")));
static void switch_to(struct side *from, struct side *to, bool ending)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(ending ? NULL : &from->fake_stack, to->bottom, to->size);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    (void)ending;
    switch_stack(&from->sp, to->sp);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

static void side_prepare_thread(struct side *s)
{
    (void)s;
#if defined(__SANITIZE_ADDRESS__)
    if (!s->bottom) {
        pthread_attr_t attr;
        void *bottom;

        if (pthread_getattr_np(pthread_self(), &attr) != 0 ||
            pthread_attr_getstack(&attr, &bottom, &s->size) != 0)
            abort();
        s->bottom = bottom;
        (void)pthread_attr_destroy(&attr);
    }
#endif
#if defined(__SANITIZE_THREAD__)
    s->tsan = __tsan_get_current_fiber();
#endif
}

static void side_unpoison(const struct side *s)
{
#if defined(__SANITIZE_ADDRESS__)
    /* Frames that never returned leave their red zones. */
    ASAN_UNPOISON_MEMORY_REGION(s->bottom, s->size);
#else
    (void)s;
#endif
}

/* ---- stacks ---- */

static size_t page_bytes(void)
{
    static size_t page;

    if (!page)
        page = (size_t)sysconf(_SC_PAGESIZE);
    return page;
}

/* The struct lies at the top of its stack; the guard page below the bottom makes an overrun a
 * crash instead of a riddle. */
static struct fiber *fiber_map(void)
{
    size_t page = page_bytes(), bytes = fiber_stack_bytes + page;
    char *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    struct fiber *f;
    size_t room = (sizeof(*f) + 63) & ~(size_t)63;

    if (map == MAP_FAILED)
        return NULL;
    if (mprotect(map, page, PROT_NONE) != 0) {
        (void)munmap(map, bytes);
        return NULL;
    }
    f = (void *)(map + bytes - room);
    *f = (struct fiber){ .map = map, .map_bytes = bytes };
    f->side.bottom = map + page;
    f->side.size = fiber_stack_bytes - room;
    return f;
}

static void fiber_unmap(struct fiber *f)
{
    side_unpoison(&f->side);
    (void)munmap(f->map, f->map_bytes);
}

static void list_add(struct loop_fibers *all, struct fiber *f)
{
    f->newer = NULL;
    f->older = all->all;
    if (f->older)
        f->older->newer = f;
    all->all = f;
    all->n++;
}

static void list_remove(struct loop_fibers *all, struct fiber *f)
{
    if (f->newer)
        f->newer->older = f->older;
    else
        all->all = f->older;
    if (f->older)
        f->older->newer = f->newer;
    all->n--;
}

/* Runs on the resumer's stack. */
static void fiber_retire(struct fiber *f)
{
    struct loop_fibers *all = loop_fibers(f->loop);

    list_remove(all, f);
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(f->side.tsan);
#endif
    if (all->n_idle >= fiber_idle_max) {
        fiber_unmap(f);
        return;
    }
    f->next = all->idle;
    all->idle = f;
    all->n_idle++;
}

static struct fiber *fiber_take(struct loop_fibers *all)
{
    struct fiber *f = all->idle;

    if (!f)
        return fiber_map();
    all->idle = f->next;
    if (--all->n_idle < all->n_least)
        all->n_least = all->n_idle;
    side_unpoison(&f->side);
    return f;
}

size_t fibers_trim(struct loop *loop)
{
    struct loop_fibers *all = loop_fibers(loop);
    struct fiber **at = &all->idle;
    size_t keep = all->n_idle - (all->n_least + 1) / 2;

    for (size_t i = 0; i < keep; i++) /* the first of the list are in the caches */
        at = &(*at)->next;
    for (struct fiber *f = *at, *next; f; f = next) {
        next = f->next;
        fiber_unmap(f);
    }
    *at = NULL;
    all->n_idle = all->n_least = keep;
    return keep;
}

/* ---- running ---- */

static void fiber_main(void *arg) __attribute__((noreturn));
static void fiber_main(void *arg)
{
    struct fiber *f = arg;

#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
    f->fn(f->ctx);
    f->state = FIBER_ENDED;
    switch_to(&f->side, f->resumer, true);
    abort();
}

static void fiber_resume(struct fiber *f)
{
    struct fiber *before = current;
    struct side *here = before ? &before->side : &thread_side;

    if (!before)
        side_prepare_thread(here);
    f->resumer = here;
    f->resumer_fiber = before;
    f->state = FIBER_RUNNING;
    current = f;
    switch_to(here, &f->side, false);
    current = before;
    if (f->state == FIBER_ENDED)
        fiber_retire(f);
}

bool fiber_spawn(struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
    struct loop_fibers *all = loop_fibers(loop);
    struct fiber *f;

    assert(fn);
    if (all->n >= fibers_max)
        return false;
    f = fiber_take(all);
    if (!f)
        return false;
    f->loop = loop;
    f->fn = fn;
    f->ctx = ctx;
    f->local = NULL;
    f->db_us = 0;
    f->woken = false;
    f->side.fake_stack = NULL;
#if defined(__SANITIZE_THREAD__)
    f->side.tsan = __tsan_create_fiber(0);
#endif
    f->side.sp = switch_prepare(f->map + page_bytes(), f->side.size, fiber_main, f);
    list_add(all, f);
    fiber_resume(f);
    return true;
}

struct fiber *fiber_self(void)
{
    return current;
}

struct loop *fiber_loop(const struct fiber *f)
{
    return f->loop;
}

size_t fiber_count(const struct loop *loop)
{
    union {
        const struct loop *in;
        struct loop *l;
    } u = { .in = loop };

    return loop_fibers(u.l)->n;
}

void fiber_park(void)
{
    struct fiber *f = current;

    assert(f && f->state == FIBER_RUNNING);
    if (f->woken) {
        f->woken = false;
        return;
    }
    f->state = FIBER_PARKED;
    switch_to(&f->side, f->resumer, false);
}

void fiber_wake(struct fiber *f)
{
    struct loop_fibers *all = loop_fibers(f->loop);

    assert(!loop_self() || loop_self() == f->loop);
    if (f->state == FIBER_RUNNING) {
        assert(!f->woken);
        f->woken = true;
        return;
    }
    assert(f->state == FIBER_PARKED);
    f->state = FIBER_READY;
    f->next = NULL;
    *all->ready_tail = f;
    all->ready_tail = &f->next;
}

void fibers_run_ready(struct loop *l)
{
    struct loop_fibers *all = loop_fibers(l);
    struct fiber *f = all->ready;

    all->ready = NULL;
    all->ready_tail = &all->ready;
    while (f) {
        struct fiber *next = f->next;

        fiber_resume(f);
        loop_ran(l);
        f = next;
    }
}

void fibers_init(struct loop_fibers *f)
{
    *f = (struct loop_fibers){ 0 };
    f->ready_tail = &f->ready;
}

void fibers_done(struct loop_fibers *all)
{
    while (all->all) {
        struct fiber *f = all->all;

        list_remove(all, f);
#if defined(__SANITIZE_THREAD__)
        __tsan_destroy_fiber(f->side.tsan);
#endif
        fiber_unmap(f);
    }
    while (all->idle) {
        struct fiber *f = all->idle;

        all->idle = f->next;
        fiber_unmap(f);
    }
    fibers_init(all);
}

struct sleeper {
    struct timer timer;
    struct fiber *fiber;
};

static void on_slept(struct timer *t)
{
    fiber_wake(container_of(t, struct sleeper, timer)->fiber);
}

void fiber_sleep_ms(unsigned ms)
{
    struct sleeper s = { .timer = { .fn = on_slept }, .fiber = current };

    if (!s.fiber) {
        struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

        while (nanosleep(&ts, &ts) != 0)
            continue;
        return;
    }
    timer_set(s.fiber->loop, &s.timer, (int64_t)ms * 1000);
    fiber_park();
}

void fiber_local_set(void *p)
{
    if (current)
        current->local = p;
    else
        thread_local_ptr = p;
}

void *fiber_local(void)
{
    return current ? current->local : thread_local_ptr;
}

int64_t *fiber_db_us(void)
{
    return current ? &current->db_us : &thread_db_us;
}
