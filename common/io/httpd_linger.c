#define _GNU_SOURCE /* F_DUPFD_CLOEXEC */
#include "common/io/httpd_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct lingering {
    struct watch watch;
    struct timer timer;
    struct httpd_loop *l;
    size_t dropped;
};

static void linger_end(struct lingering *g)
{
    timer_clear(g->l->loop, &g->timer);
    watch_set(g->l->loop, &g->watch, 0);
    close(g->watch.fd);
    g->l->nlinger--;
    httpd_released(g->l);
    free(g);
}

static void on_readable(struct watch *w, uint32_t events)
{
    struct lingering *g = container_of(w, struct lingering, watch);
    char sink[16 * 1024];
    (void)events;
    ssize_t n = recv(w->fd, sink, sizeof sink, MSG_DONTWAIT);
    if (n > 0)
        g->dropped += (size_t)n;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) ||
        g->dropped > httpd_linger_bytes_max)
        linger_end(g);
}

static void on_timeout(struct timer *t)
{
    linger_end(container_of(t, struct lingering, timer));
}

void httpd_linger(struct httpd_loop *l, int fd)
{
    if (l->nlinger >= httpd_lingers_max || l->stopping)
        return;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct lingering *g = own < 0 ? NULL : calloc(1, sizeof *g);
    if (!g) {
        if (own >= 0)
            close(own);
        return;
    }
    shutdown(own, SHUT_WR); /* the client sees the end of the answer now */
    g->l = l;
    g->watch.fd = own;
    g->watch.fn = on_readable;
    g->timer.fn = on_timeout;
    l->nlinger++;
    watch_set(l->loop, &g->watch, EPOLLIN);
    timer_set(l->loop, &g->timer, (int64_t)httpd_linger_ms * 1000);
}
