#define _GNU_SOURCE /* pthread_setname_np, strerrordesc_np */
#include "common/io/httpd_internal.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"

#include <errno.h>
#include <netdb.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    runs_in_a_row_max = 16, /* then the loop's other work has its turn */
    abandon_grace_ms = 5000,
};

/* --- driving MHD ---------------------------------------------------------------------------------
 */

/* A burst leaves stacks and arenas behind; half of what was not needed since the last time goes. */
static void on_trim(struct timer *t)
{
    struct httpd_loop *l = container_of(t, struct httpd_loop, trim);
    size_t go = (l->spare_least + 1) / 2;
    for (size_t i = 0; i < go; i++)
        arena_free(l->spare[i]);
    l->nspare -= go;
    memmove(l->spare, l->spare + go, l->nspare * sizeof *l->spare);
    l->spare_least = l->nspare;
    if (fibers_trim(l->loop) || l->nspare)
        timer_set(l->loop, &l->trim, (int64_t)httpd_trim_ms * 1000);
}

/*
 * Requests that are answered out of memory leave nothing behind to wait for, and their clients are
 * about to send the next ones.  To sleep at once is to be woken for two or three of them; whoever
 * else can run goes first, and a dozen are there then.  Others that have work of their own keep the
 * processor instead; so where that took long, it is not done again for a while.
 */
static bool let_others(struct httpd_loop *l)
{
    int64_t began_us = clock_mono_us();
    if (began_us < l->yield_from_us)
        return false;
    sched_yield();
    int64_t now_us = clock_mono_us();
    if (now_us - began_us > httpd_yield_us_max)
        l->yield_from_us = now_us + httpd_yield_pause_us;
    return true;
}

/* As often as it finds something to do, and once more after others ran. */
void httpd_run(struct httpd_loop *l)
{
    const uint64_t first = l->requests;
    bool more = true, yielded = false;
    l->in_run = true;
    for (unsigned runs = 0; more && runs < runs_in_a_row_max; runs++) {
        uint64_t before = l->requests;
        l->again = l->moved = false;
        MHD_run(l->mhd);
        bool came = l->requests != before;
        bool idle = !l->again && !loop_runnable(l->loop);
        bool enough = before - first >= httpd_yield_requests_min && !l->live && !yielded;
        more = l->again || (idle && (came || (enough && let_others(l))));
        yielded = !came;
    }
    l->in_run = false;
    MHD_UNSIGNED_LONG_LONG ms = 0;
    if (l->again)
        timer_set(l->loop, &l->timeout, 0);
    else if (MHD_get_timeout(l->mhd, &ms) == MHD_YES)
        /* A request that waits in its place is "at once" to MHD, but is not for it to go on with.
         */
        timer_set(l->loop, &l->timeout,
                  (int64_t)(!ms && l->waiting && !l->moved ? httpd_look_ms : ms) * 1000);
    if (!l->trim.slot && l->nspare)
        timer_set(l->loop, &l->trim, (int64_t)httpd_trim_ms * 1000);
}

static void on_mhd_event(struct watch *w, uint32_t events)
{
    (void)events;
    httpd_run(container_of(w, struct httpd_loop, watch));
}

static void on_mhd_timeout(struct timer *t)
{
    httpd_run(container_of(t, struct httpd_loop, timeout));
}

static void on_deferred(struct deferred *d)
{
    httpd_run(container_of(d, struct httpd_loop, run));
}

void httpd_kick(struct httpd_loop *l)
{
    if (l->in_run)
        l->again = true;
    else
        loop_defer(l->loop, &l->run);
}

static void on_mhd_log(void *cls, const char *fmt, va_list ap)
{
    char text[256];
    (void)cls;
    if (log_level() > LOG_DEBUG)
        return;
    vsnprintf(text, sizeof text, fmt, ap);
    log_debug("httpd.mhd", kv_s("text", text));
}

/* Paths and queries are kept as sent: routes decode them, once. */
static size_t keep_escaped(void *cls, struct MHD_Connection *mhd, char *s)
{
    (void)cls;
    (void)mhd;
    return strlen(s);
}

static int daemon_start(struct httpd_loop *l, struct err *err)
{
    const struct httpd *h = l->h;
    l->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG |
            MHD_USE_NO_LISTEN_SOCKET,
        0, NULL, NULL, httpd_on_access, l, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, httpd_on_line, l, MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped,
        NULL, MHD_OPTION_NOTIFY_COMPLETED, httpd_on_completed, l, MHD_OPTION_NOTIFY_CONNECTION,
        httpd_on_connection, l, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)httpd_pool_bytes,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)h->conns_a_loop, MHD_OPTION_CONNECTION_TIMEOUT,
        h->conf.idle_timeout_s ? h->conf.idle_timeout_s : 60U, MHD_OPTION_END);
    if (!l->mhd)
        return err_set(err, E_config, "cannot start the listener on %s", h->listen);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(l->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    l->watch.fd = info->epoll_fd;
    return 0;
}

/* --- stopping ------------------------------------------------------------------------------------
 */

/* Requests still being read count until patience ends, then no more. */
static bool busy(const struct httpd_loop *l)
{
    if (!l->gave_up)
        return l->live || l->nlinger || __atomic_load_n(&l->expected, __ATOMIC_RELAXED);
    for (const struct httpd_conn *c = l->live; c; c = c->next) {
        if (c->state >= REQ_PARKED)
            return true;
    }
    return false;
}

void httpd_released(struct httpd_loop *l)
{
    if (l->stopping && !busy(l))
        loop_stop(l->loop);
}

static void on_impatient(struct timer *t)
{
    struct httpd_loop *l = container_of(t, struct httpd_loop, patience);
    if (l->gave_up) {
        loop_stop(l->loop);
        return;
    }
    l->gave_up = true;
    for (struct httpd_conn *c = l->live, *next; c; c = next) {
        next = c->next;
        httpd_abandon(c);
    }
    timer_set(l->loop, &l->patience, (int64_t)abandon_grace_ms * 1000);
    httpd_released(l);
}

struct stop_order {
    struct httpd_loop *l;
    unsigned drain_ms;
};

static void begin_stop(void *p)
{
    struct stop_order *o = p;
    struct httpd_loop *l = o->l;
    unsigned drain_ms = o->drain_ms;
    free(o);
    httpd_close_door(l);
    httpd_run(l); /* requests that came with them are in flight from here on */
    l->stopping = true;
    for (struct httpd_conn *c = l->live, *next; c; c = next) {
        next = c->next;
        httpd_end_stream(c);
    }
    l->patience.fn = on_impatient;
    timer_set(l->loop, &l->patience, (int64_t)drain_ms * 1000);
    httpd_released(l);
}

static void *loop_main(void *p)
{
    struct httpd_loop *l = p;
    struct httpd *h = l->h;
    l->watch.fn = on_mhd_event;
    l->timeout.fn = on_mhd_timeout;
    l->run.fn = on_deferred;
    l->trim.fn = on_trim;
    if (h->conf.loop_start)
        h->conf.loop_start(l->loop, h->conf.ctx);
    watch_set(l->loop, &l->watch, EPOLLIN);
    httpd_open_door(l);
    httpd_kick(l);
    loop_run(l->loop);
    watch_set(l->loop, &l->watch, 0);
    timer_clear(l->loop, &l->timeout);
    timer_clear(l->loop, &l->patience);
    timer_clear(l->loop, &l->trim);
    timer_clear(l->loop, &l->reopen);
    MHD_stop_daemon(l->mhd); /* completes what is left: idle connections, half-read requests */
    l->mhd = NULL;
    if (h->conf.loop_stop)
        h->conf.loop_stop(l->loop, h->conf.ctx);
    return NULL;
}

void httpd_drain(struct httpd *h)
{
    __atomic_store_n(&h->draining, true, __ATOMIC_RELAXED);
}

static void httpd_free(struct httpd *h)
{
    for (size_t i = 0; i < h->nloops; i++) {
        struct httpd_loop *l = &h->loops[i];
        if (l->mhd)
            MHD_stop_daemon(l->mhd);
        if (l->listen_fd >= 0)
            close(l->listen_fd);
        for (size_t k = 0; k < l->nspare; k++)
            arena_free(l->spare[k]);
        httpd_kept_free(l);
        if (!l->live) /* else a fiber never came back; its loop is left to it */
            loop_free(l->loop);
    }
    free(h->listen);
    free(h);
}

void httpd_stop(struct httpd *h, unsigned drain_ms)
{
    if (!h)
        return;
    httpd_drain(h);
    for (size_t i = 0; i < h->nloops; i++) {
        struct stop_order *o = malloc(sizeof *o);
        if (!o)
            abort();
        *o = (struct stop_order){ .l = &h->loops[i], .drain_ms = drain_ms };
        loop_post(h->loops[i].loop, begin_stop, o);
    }
    for (size_t i = 0; i < h->nloops; i++)
        pthread_join(h->loops[i].thread, NULL);
    for (size_t i = 0; i < h->nloops; i++) {
        if (h->loops[i].live) {
            log_error("httpd.stuck", kv_i("loop", (int64_t)i));
            return; /* its fiber may still touch all of this: leak it, the process is ending */
        }
    }
    httpd_free(h);
}

/* --- listening -----------------------------------------------------------------------------------
 */

static int listen_error(const struct httpd *h, struct err *err)
{
    return errno == EADDRINUSE ? err_set(err, E_config, "address %s is already in use", h->listen)
                               : err_set(err, E_config, "cannot listen on %s: %s", h->listen,
                                         strerrordesc_np(errno));
}

static int bind_one(const struct addrinfo *ai, bool share, bool any_family)
{
    int on = 1, off = 0;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (share)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any_family ? &off : &on, sizeof on);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, httpd_backlog)) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static void set_port(struct addrinfo *ai, unsigned port)
{
    if (ai->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)ai->ai_addr)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)(void *)ai->ai_addr)->sin_port = htons((uint16_t)port);
}

static unsigned bound_port(int fd)
{
    struct sockaddr_storage ss = { 0 };
    socklen_t n = sizeof ss;
    if (getsockname(fd, (struct sockaddr *)&ss, &n))
        return 0;
    return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&ss)->sin6_port
                                          : ((struct sockaddr_in *)(void *)&ss)->sin_port);
}

/* One socket a loop on one port; the kernel spreads connections over them.  The first bind is
 * without SO_REUSEPORT, or a second program started on the same port would silently get a share. */
static int listen_all(struct httpd *h, struct addrinfo *ai, bool any_family, struct err *err)
{
    int probe = bind_one(ai, false, any_family);
    if (probe < 0)
        return listen_error(h, err);
    h->port = bound_port(probe);
    close(probe);
    set_port(ai, h->port);
    for (size_t i = 0; i < h->nloops; i++) {
        h->loops[i].listen_fd = bind_one(ai, true, any_family);
        if (h->loops[i].listen_fd < 0)
            return listen_error(h, err);
    }
    return 0;
}

static int listen_open(struct httpd *h, struct err *err)
{
    char host[128] = "";
    const char *s = h->listen, *colon = strrchr(s, ':');
    int64_t port = 0;
    size_t n = colon ? (size_t)(colon - s) : 0;
    bool six = n >= 2 && s[0] == '[' && s[n - 1] == ']';
    if (!colon || n >= sizeof host || !str_to_i64(colon + 1, 0, 65535, &port) ||
        (!six && memchr(s, ':', n)))
        return err_set(err, E_config, "%s is not an address:port", s);
    memcpy(host, six ? s + 1 : s, six ? n - 2 : n);
    struct addrinfo hints = { .ai_family = six ? AF_INET6 : AF_INET,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
    struct addrinfo *ai = NULL;
    if (getaddrinfo(*host ? host : NULL, colon + 1, &hints, &ai))
        return err_set(err, E_config, "%s is not an address:port", s);
    int rc = listen_all(h, ai, str_eq(host, "::"), err);
    freeaddrinfo(ai);
    return rc;
}

/* --- starting ------------------------------------------------------------------------------------
 */

static struct httpd *httpd_new(const struct httpd_conf *conf)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = conf->loops ? conf->loops : cores > 0 ? (size_t)cores : 1;
    struct httpd *h = calloc(1, sizeof *h + n * sizeof h->loops[0]);
    if (!h || !(h->listen = strdup(conf->listen)))
        abort();
    h->conf = *conf;
    h->nloops = n;
    h->conns_a_loop = ((conf->conns_max ? conf->conns_max : 4096) + n - 1) / n;
    for (size_t i = 0; i < n; i++) {
        h->loops[i].h = h;
        h->loops[i].listen_fd = -1;
        h->loops[i].loop = loop_new();
    }
    return h;
}

/* A thread could not be made: ends those that run, which serve nobody yet. */
static int start_undo(struct httpd *h, size_t started, struct err *err)
{
    for (size_t i = 0; i < started; i++) {
        loop_stop(h->loops[i].loop);
        pthread_join(h->loops[i].thread, NULL);
    }
    httpd_free(h);
    return err_set(err, E_internal, "cannot start a thread");
}

int httpd_start(const struct httpd_conf *conf, struct httpd **ret, struct err *err)
{
    struct httpd *h = httpd_new(conf);
    int rc = listen_open(h, err);
    for (size_t i = 0; !rc && i < h->nloops; i++)
        rc = daemon_start(&h->loops[i], err);
    if (rc) {
        httpd_free(h);
        return rc;
    }
    for (size_t i = 0; i < h->nloops; i++) {
        char name[16];
        if (pthread_create(&h->loops[i].thread, NULL, loop_main, &h->loops[i]))
            return start_undo(h, i, err);
        snprintf(name, sizeof name, "http-%u-%u", h->port % 100000, (unsigned)i % 100);
        pthread_setname_np(h->loops[i].thread, name);
    }
    *ret = h;
    return 0;
}

unsigned httpd_port(const struct httpd *h)
{
    return h->port;
}

size_t httpd_loops(const struct httpd *h)
{
    return h->nloops;
}

void httpd_stats(const struct httpd *h, struct httpd_stats *ret)
{
    struct httpd_stats s = { 0 };
    for (size_t i = 0; i < h->nloops; i++) {
        const struct httpd_loop *l = &h->loops[i];
        s.requests += __atomic_load_n(&l->requests, __ATOMIC_RELAXED);
        s.suspended += __atomic_load_n(&l->suspended, __ATOMIC_RELAXED);
        s.refused += __atomic_load_n(&l->refused, __ATOMIC_RELAXED);
        s.connections += __atomic_load_n(&l->connections, __ATOMIC_RELAXED);
        s.in_flight += __atomic_load_n(&l->in_flight, __ATOMIC_RELAXED);
        s.loop_holds += loop_holds(l->loop);
    }
    *ret = s;
}
