#ifndef TESTS_SUPPORT_RAW_HTTP_H
#define TESTS_SUPPORT_RAW_HTTP_H
/*
 * A client that says exactly what it is told, for requests that no library would send.  Include
 * after cmocka; define _GNU_SOURCE (strcasestr).
 */
#include "common/base/base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bounded wait for what another thread does. */
#define WAIT_FOR(cond)                                                                             \
    do {                                                                                           \
        for (unsigned i_ = 0; i_ < 5000 && !(cond); i_++)                                          \
            usleep(1000);                                                                          \
        assert_true(cond);                                                                         \
    } while (0)

enum { reply_max = 64 * 1024 };

static inline int dial(unsigned port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static inline void say(int fd, const char *s)
{
    size_t n = strlen(s);
    while (n) {
        ssize_t k = send(fd, s, n, MSG_NOSIGNAL);
        if (k <= 0)
            return; /* refused meanwhile; the answer says why */
        s += k;
        n -= (size_t)k;
    }
}

struct reply {
    char text[reply_max];
    size_t n;
    int status;
    const char *body;
};

/* One whole answer by its Content-Length; false if the connection ended or 5 s passed first. */
static inline bool hear(int fd, struct reply *r)
{
    memset(r, 0, sizeof *r);
    for (;;) {
        const char *end = strstr(r->text, "\r\n\r\n");
        const char *len = end ? strcasestr(r->text, "content-length: ") : NULL;
        if (end && !strncmp(r->text, "HTTP/1.1 100", 12)) {
            size_t head = (size_t)(end + 4 - r->text);
            memmove(r->text, end + 4, r->n - head);
            r->n -= head;
            memset(r->text + r->n, 0, head);
            continue;
        }
        size_t want = len ? (size_t)strtoul(len + 16, NULL, 10) : 0;
        size_t have = end ? r->n - (size_t)(end + 4 - r->text) : 0;
        bool bare = strstr(r->text, "HTTP/1.1 204") == r->text ||
                    strstr(r->text, "HTTP/1.1 304") == r->text;
        if (end && (have >= want || bare)) {
            r->status = (int)strtol(r->text + 9, NULL, 10);
            r->body = end + 4;
            return true;
        }
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, 5000) != 1)
            return false;
        /* Byte by byte, so that a pipelined next answer stays in the socket. */
        size_t step = end ? want - have : 1;
        ssize_t k = recv(fd, r->text + r->n, step, 0);
        if (k <= 0)
            return false;
        r->n += (size_t)k;
    }
}

static inline int ask(unsigned port, const char *request, struct reply *r)
{
    int fd = dial(port);
    say(fd, request);
    bool heard = hear(fd, r);
    close(fd);
    return heard ? r->status : -1;
}
#endif
