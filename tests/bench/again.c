#define _GNU_SOURCE /* strcasestr */
/*
 * again HOST:PORT CONNECTIONS SECONDS < REQUEST
 *
 * Sends the same HTTP/1.1 request over and over on kept connections, each as soon as the answer to
 * the one before is there, and prints {"n":…,"us":…,"other":…}: answers of the first answer's
 * status, microseconds, answers of another.  For what wrk cannot do: a 304 that says how long the
 * 200 would be (RFC 9110 §8.6) has no body, and wrk waits for it.
 */
#include "common/base/clock.h"
#include "common/base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { request_bytes_max = 4096, answer_bytes_max = 1024 * 1024, connections_max = 1024 };

struct conn {
    int fd;
    size_t have, skip; /* of the head; of the body, still to come */
    char head[16 * 1024];
};
static char request[request_bytes_max], scratch[answer_bytes_max];
static size_t request_n;
static uint64_t same, other;
static int status;

static int fail(const char *what)
{
    fprintf(stderr, "again: %s: %s\n", what, strerror(errno));
    return 1;
}

static bool ask(struct conn *c)
{
    c->have = c->skip = 0;
    return send(c->fd, request, request_n, MSG_NOSIGNAL) == (ssize_t)request_n;
}

/* The head is whole: how much body is to come, after what is here already. */
static void read_head(struct conn *c, const char *end)
{
    int64_t length = 0;
    int found = c->have > 12
                    ? (c->head[9] - '0') * 100 + (c->head[10] - '0') * 10 + (c->head[11] - '0')
                    : 0;
    char *p = strcasestr(c->head, "\r\nContent-Length:");
    if (p) {
        p += strlen("\r\nContent-Length:");
        p += strspn(p, " ");
        *strchr(p, '\r') = '\0';
        (void)!str_to_i64(p, 0, answer_bytes_max, &length);
    }
    if (!status)
        status = found;
    *(found == status ? &same : &other) += 1;
    bool bodiless = found == 304 || found == 204;
    size_t body = bodiless ? 0 : (size_t)length, here = c->have - (size_t)(end - c->head);
    c->skip = body > here ? body - here : 0;
}

/* False: the connection is of no more use. */
static bool on_readable(struct conn *c)
{
    bool body = c->skip;
    char *to = body ? scratch : c->head + c->have;
    size_t room = body ? sizeof(scratch) : sizeof(c->head) - c->have - 1;
    ssize_t n = recv(c->fd, to, room, 0);
    if (n <= 0)
        return false;
    if (body) {
        c->skip -= (size_t)n < c->skip ? (size_t)n : c->skip;
        return c->skip || ask(c);
    }
    c->have += (size_t)n;
    c->head[c->have] = '\0';
    const char *end = strstr(c->head, "\r\n\r\n");
    if (!end)
        return c->have + 1 < sizeof(c->head);
    read_head(c, end + 4);
    return c->skip || ask(c);
}

static int open_one(const struct sockaddr_in *to, int ep, struct conn *c)
{
    const int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)to, sizeof(*to)))
        return fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) || !ask(c))
        return fail("send");
    return 0;
}

static int parse(char **argv, struct sockaddr_in *to, int64_t *conns, int64_t *seconds)
{
    char *colon = strchr(argv[1], ':');
    int64_t port = 0;
    if (!colon)
        return fail("HOST:PORT");
    *colon = '\0';
    to->sin_family = AF_INET;
    if (inet_pton(AF_INET, argv[1], &to->sin_addr) != 1 ||
        !str_to_i64(colon + 1, 1, 65535, &port) ||
        !str_to_i64(argv[2], 1, connections_max, conns) || !str_to_i64(argv[3], 1, 3600, seconds))
        return fail("arguments");
    to->sin_port = htons((uint16_t)port);
    request_n = fread(request, 1, sizeof(request), stdin);
    return request_n ? 0 : fail("no request");
}

int main(int argc, char **argv)
{
    static struct conn all[connections_max];
    struct sockaddr_in to = { 0 };
    int64_t conns, seconds;
    if (argc != 4 || parse(argv, &to, &conns, &seconds))
        return argc == 4 ? 1 : fail("usage: again HOST:PORT CONNECTIONS SECONDS < REQUEST");
    int ep = epoll_create1(0);
    for (int64_t i = 0; i < conns; i++)
        if (open_one(&to, ep, &all[i]))
            return 1;
    int64_t begin = clock_mono_us(), end = begin + seconds * 1000000, now;
    while ((now = clock_mono_us()) < end) {
        struct epoll_event ev[64];
        int n = epoll_wait(ep, ev, ARRAY_LEN(ev), 100);
        for (int i = 0; i < n; i++)
            if (!on_readable(ev[i].data.ptr))
                return fail("the connection ended");
    }
    printf("{\"n\":%llu,\"us\":%lld,\"other\":%llu,\"status\":%d}\n", (unsigned long long)same,
           (long long)(now - begin), (unsigned long long)other, status);
    return 0;
}
