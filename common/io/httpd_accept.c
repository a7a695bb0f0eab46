#define _GNU_SOURCE /* accept4 */
#include "common/io/httpd_internal.h"

#include "common/base/log.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Connections are accepted here, not by libmicrohttpd: the kernel spreads them over the loops'
 * sockets by chance, and of few (a gateway keeps a dozen) one loop may get twice as many as
 * another, for as long as they live.  So the loop that accepts one gives it to a loop that has
 * fewer.
 */
struct newcomer {
    struct httpd_loop *l;
    int fd;
    socklen_t addr_n;
    struct sockaddr_storage addr;
};

static size_t assigned(const struct httpd_loop *l)
{
    return __atomic_load_n(&l->assigned, __ATOMIC_RELAXED);
}

static void welcome(const struct newcomer *n)
{
    const struct sockaddr *addr = (const struct sockaddr *)(const void *)&n->addr;
    n->l->welcomed = false;
    if (MHD_add_connection(n->l->mhd, n->fd, addr, n->addr_n) != MHD_YES && !n->l->welcomed)
        httpd_left(n->l); /* MHD has closed it, and says nothing of what it did not begin with */
    httpd_kick(n->l);
}

static void on_newcomer(void *p)
{
    struct newcomer *n = p;
    struct httpd_loop *l = n->l;
    welcome(n);
    free(n);
    if (l->stopping)
        httpd_run(l); /* what it asks may be there already */
    __atomic_fetch_sub(&l->expected, 1, __ATOMIC_RELAXED);
    httpd_released(l);
}

/* This loop, if it is not full and no other has at least two fewer. */
static struct httpd_loop *choose(struct httpd_loop *l)
{
    struct httpd *h = l->h;
    struct httpd_loop *best = l;
    size_t mine = assigned(l), least = mine > 0 && mine < h->conns_a_loop ? mine - 1 : mine;
    if (__atomic_load_n(&h->draining, __ATOMIC_RELAXED))
        return l;
    for (size_t i = 0; i < h->nloops; i++) {
        size_t n = assigned(&h->loops[i]);
        if (n < least) {
            least = n;
            best = &h->loops[i];
        }
    }
    return best;
}

static void give(struct httpd_loop *l, const struct newcomer *n)
{
    struct newcomer *copy;
    __atomic_fetch_add(&n->l->assigned, 1, __ATOMIC_RELAXED);
    if (n->l == l) {
        welcome(n);
        return;
    }
    if (!(copy = malloc(sizeof *copy)))
        abort();
    *copy = *n;
    __atomic_fetch_add(&n->l->expected, 1, __ATOMIC_RELAXED);
    loop_post(n->l->loop, on_newcomer, copy);
}

/* Not now: all loops are full, or the process has no descriptor left.  The rest wait in the
 * kernel. */
static void wait_ms(struct httpd_loop *l, int64_t ms)
{
    watch_set(l->loop, &l->door, 0);
    timer_set(l->loop, &l->reopen, ms * 1000);
}

/* False: there is none, or no room for it. */
static bool accept_one(struct httpd_loop *l)
{
    struct newcomer n = { .l = choose(l), .addr_n = sizeof n.addr };
    if (assigned(n.l) >= l->h->conns_a_loop) {
        wait_ms(l, httpd_full_ms);
        return false;
    }
    n.fd = accept4(l->listen_fd, (struct sockaddr *)(void *)&n.addr, &n.addr_n,
                   SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (n.fd >= 0) {
        give(l, &n);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log_warn("httpd.accept", kv_s("error", strerrordesc_np(errno)));
        wait_ms(l, httpd_no_room_ms);
        return false;
    }
    return errno == ECONNABORTED || errno == EINTR; /* that one is gone; the next */
}

static void on_door(struct watch *w, uint32_t events)
{
    struct httpd_loop *l = container_of(w, struct httpd_loop, door);
    (void)events;
    for (unsigned i = 0; i < httpd_accepts_in_a_row_max && accept_one(l); i++)
        ;
}

static void on_reopen(struct timer *t)
{
    struct httpd_loop *l = container_of(t, struct httpd_loop, reopen);
    watch_set(l->loop, &l->door, EPOLLIN);
}

void httpd_left(struct httpd_loop *l)
{
    __atomic_fetch_sub(&l->assigned, 1, __ATOMIC_RELAXED);
}

void httpd_open_door(struct httpd_loop *l)
{
    l->door = (struct watch){ .fd = l->listen_fd, .fn = on_door };
    l->reopen.fn = on_reopen;
    watch_set(l->loop, &l->door, EPOLLIN);
}

void httpd_close_door(struct httpd_loop *l)
{
    struct pollfd waiting = { .fd = l->listen_fd, .events = POLLIN };
    /* Closing resets what the kernel has accepted and we have not: take that first. */
    for (unsigned i = 0; i < httpd_backlog && poll(&waiting, 1, 0) == 1; i++)
        if (!accept_one(l))
            break;
    timer_clear(l->loop, &l->reopen);
    watch_set(l->loop, &l->door, 0);
    close(l->listen_fd);
    l->listen_fd = -1;
}
