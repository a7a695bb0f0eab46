/*
 * hiredis' asynchronous connection on our loop, one a loop.  A command that misses its deadline
 * takes the connection down with it: replies come in order, so nothing behind it would be in time
 * either, and no callback can then outlive the fiber whose stack holds its call.
 */
#include "common/io/cache_internal.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/base/loop.h"

#include <assert.h>
#include <sys/epoll.h>

struct cache_loop {
    struct cache *cache;
    struct loop *loop; /* NULL: has ended */
    redisAsyncContext *ac;
    struct watch watch;
    uint32_t events;
    int64_t retry_us, backoff_us;
    bool closing;
};
struct call { /* on the fiber's stack */
    struct cache_loop *conn;
    struct timer timer;
    struct fiber *fiber;
    struct arena *arena;
    struct cache_reply *ret;
    struct err *err;
    int rc;
    bool done, late;
};

/* --- hooks of hiredis ---------------------------------------------------------------------------
 */

static void set_events(struct cache_loop *l, uint32_t events)
{
    if (l->events == events || !l->loop)
        return;
    l->events = events;
    watch_set(l->loop, &l->watch, events);
}

static void add_read(void *p)
{
    struct cache_loop *l = p;
    set_events(l, l->events | EPOLLIN);
}

static void del_read(void *p)
{
    struct cache_loop *l = p;
    set_events(l, l->events & ~(uint32_t)EPOLLIN);
}

static void add_write(void *p)
{
    struct cache_loop *l = p;
    set_events(l, l->events | EPOLLOUT);
}

static void del_write(void *p)
{
    struct cache_loop *l = p;
    set_events(l, l->events & ~(uint32_t)EPOLLOUT);
}

/* Called as hiredis frees its context, before the socket closes. */
static void cleanup(void *p)
{
    struct cache_loop *l = p;
    set_events(l, 0);
    l->ac = NULL;
}

static void on_event(struct watch *w, uint32_t events)
{
    struct cache_loop *l = container_of(w, struct cache_loop, watch);
    if (l->ac && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        redisAsyncHandleRead(l->ac);
    if (l->ac && events & EPOLLOUT)
        redisAsyncHandleWrite(l->ac);
}

static void failed(struct cache_loop *l)
{
    l->retry_us = clock_mono_us() + l->backoff_us;
    l->backoff_us = l->backoff_us * 2 > backoff_max_us ? backoff_max_us : l->backoff_us * 2;
}

static void on_connect(const redisAsyncContext *ac, int status)
{
    struct cache_loop *l = ac->data;
    if (status == REDIS_OK)
        l->backoff_us = backoff_first_us;
    else
        failed(l);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
    struct cache_loop *l = ac->data;
    if (status != REDIS_OK && !l->closing)
        failed(l);
}

static void on_greeting(redisAsyncContext *ac, void *reply, void *unused)
{
    (void)ac, (void)unused;
    const redisReply *r = reply;
    if (r && r->type == REDIS_REPLY_ERROR) /* what follows fails with Redis' own words */
        log_debug("cache.greeting_refused", kv_s("text", r->str));
}

/* --- connection ---------------------------------------------------------------------------------
 */

static int connect_loop(struct cache_loop *l, struct err *err)
{
    struct cache *c = l->cache;
    char address[64];
    if (clock_mono_us() < l->retry_us)
        return cache_down(err, "known to be down");
    pthread_mutex_lock(&c->mu);
    memcpy(address, c->address, sizeof(address));
    pthread_mutex_unlock(&c->mu);
    if (!*address)
        return cache_down(err, "its name is not resolved yet");
    redisAsyncContext *ac = redisAsyncConnect(address, c->port);
    if (!ac || ac->err) {
        cache_down(err, ac ? ac->errstr : "no memory");
        if (ac)
            redisAsyncFree(ac);
        failed(l);
        return -E_unavailable;
    }
    ac->data = l;
    ac->ev.data = l;
    ac->ev.addRead = add_read;
    ac->ev.delRead = del_read;
    ac->ev.addWrite = add_write;
    ac->ev.delWrite = del_write;
    ac->ev.cleanup = cleanup;
    l->ac = ac;
    l->watch = (struct watch){ .fd = ac->c.fd, .fn = on_event };
    l->events = 0;
    redisAsyncSetConnectCallback(ac, on_connect);
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
    if (*c->password && *c->user)
        redisAsyncCommand(ac, on_greeting, NULL, "AUTH %s %s", c->user, c->password);
    else if (*c->password)
        redisAsyncCommand(ac, on_greeting, NULL, "AUTH %s", c->password);
    if (c->db)
        redisAsyncCommand(ac, on_greeting, NULL, "SELECT %d", c->db);
    return 0;
}

static struct cache_loop *of_this_loop(struct cache *c)
{
    struct loop *loop = loop_self();
    struct cache_loop *found = NULL;
    assert(loop);
    pthread_mutex_lock(&c->mu);
    for (size_t i = 0; i < c->nloops && !found; i++)
        if (c->loops[i].loop == loop)
            found = c->loops[i].conn;
    if (!found) {
        assert(c->nloops < cache_loops_max);
        found = calloc(1, sizeof(*found));
        assert(found);
        *found = (struct cache_loop){ .cache = c, .loop = loop, .backoff_us = backoff_first_us };
        c->loops[c->nloops].loop = loop;
        c->loops[c->nloops++].conn = found;
    }
    pthread_mutex_unlock(&c->mu);
    return found;
}

void cache_loop_free(struct cache_loop *l)
{
    l->loop = NULL; /* gone by now: touch neither it nor its timers */
    l->closing = true;
    if (l->ac)
        redisAsyncFree(l->ac);
    free(l);
}

/* --- calls --------------------------------------------------------------------------------------
 */

static void finish(struct call *k)
{
    k->done = true;
    if (k->conn->loop && k->timer.slot)
        timer_clear(k->conn->loop, &k->timer);
    if (k->fiber)
        fiber_wake(k->fiber);
}

static void on_reply(redisAsyncContext *ac, void *reply, void *p)
{
    struct call *k = p;
    if (reply)
        k->rc = cache_copy(k->arena, reply, k->ret, k->err);
    else
        k->rc = cache_down(k->err, k->late       ? "no answer in time"
                                   : *ac->errstr ? ac->errstr
                                                 : "closed");
    finish(k);
}

static void on_deadline(struct timer *t)
{
    struct call *k = container_of(t, struct call, timer);
    k->late = true;
    failed(k->conn);
    k->conn->closing = true;
    redisAsyncFree(k->conn->ac); /* answers every call that waits, this one too */
    k->conn->closing = false;
}

int cache_fiber_call(struct cache *c, struct arena *a, const struct cache_cmd *cmd,
                     struct cache_reply *ret, struct err *err)
{
    struct cache_loop *l = of_this_loop(c);
    if (!l->ac) {
        int rc = connect_loop(l, err);
        if (rc)
            return rc;
    }
    struct call k = { .conn = l, .arena = a, .ret = ret, .err = err, .fiber = NULL };
    if (redisAsyncCommandArgv(l->ac, on_reply, &k, cmd->argc, cmd->argv, cmd->lens) != REDIS_OK)
        return cache_down(err, "closing");
    k.timer.fn = on_deadline;
    timer_set(l->loop, &k.timer, (int64_t)c->timeout_ms * 1000);
    if (!k.done) {
        k.fiber = fiber_self();
        fiber_park();
    }
    return k.rc;
}
