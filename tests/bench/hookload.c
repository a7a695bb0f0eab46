/*
 * Sends signed webhooks to a source of the provider github, each with a body of its own:
 *
 *   hookload PORT PATH SECRET CONNECTIONS SECONDS [RATE]
 *
 * Without RATE each connection sends again when it is answered; with it messages fall due on a
 * schedule, and a late answer counts from when its message was due.  Prints one JSON line: sent,
 * taken (202), failed, a second, and latencies in microseconds.
 */
#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/crypto_sig.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { conns_max = 1024, samples_max = 1 << 22, request_max = 4096, answer_max = 2048 };

struct conn {
    int fd;
    bool busy;
    int64_t due_us;
    char answer[answer_max];
    size_t got;
};
static struct {
    const char *path, *secret;
    int port, epoll;
    struct conn conns[conns_max];
    size_t n;
    int64_t sent, taken, failed, start_us, end_us, step_us;
    uint32_t *us;
    size_t samples;
    char run[17];
} all;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void open_conn(struct conn *c)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)all.port) };
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) ||
        epoll_ctl(all.epoll, EPOLL_CTL_ADD, c->fd, &ev))
        die("hookload: connect");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->busy = false;
    c->got = 0;
}

static size_t make_request(char *out)
{
    unsigned char mac[mac_bytes_max];
    char body[1024], hex[2 * mac_bytes_max + 1];
    int n = snprintf(body, sizeof(body),
                     "{\"id\":\"%s-%lld\",\"action\":\"paid\",\"order\":{\"number\":%lld,"
                     "\"amount\":12900,\"currency\":\"EUR\",\"customer\":{\"name\":\"Erika "
                     "Muster\",\"email\":\"erika@example.com\"},\"note\":\"%.300s\"}}",
                     all.run, (long long)all.sent, (long long)all.sent,
                     "Lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam nonumy "
                     "eirmod tempor invidunt ut labore et dolore magna aliquyam erat, sed diam "
                     "voluptua. At vero eos et accusam et justo duo dolores et ea rebum. Stet "
                     "clita kasd gubergren, no sea takimata sanctus est Lorem ipsum dolor.");
    const struct sha256_part key = { all.secret, strlen(all.secret) }, text = { body, (size_t)n };
    hex_encode(mac, mac_of(MAC_SHA256, &key, &text, 1, mac), hex);
    return (size_t)snprintf(out, request_max,
                            "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                            "X-GitHub-Event: order\r\nX-GitHub-Delivery: %s-%lld\r\n"
                            "X-Hub-Signature-256: sha256=%s\r\nContent-Length: %d\r\n\r\n%s",
                            all.path, all.run, (long long)all.sent, hex, n, body);
}

static void send_one(struct conn *c, int64_t due_us)
{
    char text[request_max];
    size_t n = make_request(text);
    all.sent++;
    c->busy = true;
    c->due_us = due_us;
    c->got = 0;
    if (write(c->fd, text, n) != (ssize_t)n) /* small, on an idle connection */
        die("hookload: write");
}

/* An answer is whole when its head and its Content-Length are there. */
static bool whole(const struct conn *c)
{
    const char *end = strstr(c->answer, "\r\n\r\n"), *length = strstr(c->answer, "Content-Length:");
    int64_t n = 0;
    if (!end)
        return false;
    if (length && length < end) {
        char digits[24];
        length += strlen("content-length:") + strspn(length + strlen("content-length:"), " ");
        snprintf(digits, sizeof(digits), "%.*s", (int)strspn(length, "0123456789"), length);
        if (!str_to_i64(digits, 0, answer_max, &n))
            return false;
    }
    return c->got >= (size_t)(end + 4 - c->answer) + (size_t)n;
}

static void read_some(struct conn *c)
{
    ssize_t n = read(c->fd, c->answer + c->got, sizeof(c->answer) - 1 - c->got);
    if (n <= 0) {
        all.failed += c->busy;
        close(c->fd);
        open_conn(c);
        return;
    }
    c->got += (size_t)n;
    c->answer[c->got] = '\0';
    if (!c->busy || !whole(c))
        return;
    bool ok = str_starts(c->answer, "HTTP/1.1 202");
    all.taken += ok;
    all.failed += !ok;
    if (all.samples < samples_max)
        all.us[all.samples++] = (uint32_t)(clock_mono_us() - c->due_us);
    c->busy = false;
}

/* What is due goes out on the connections that are free. */
static void send_due(void)
{
    static size_t next;
    static int64_t fallen;
    for (size_t i = 0; i < all.n; i++) {
        int64_t now = clock_mono_us();
        int64_t due = all.step_us ? all.start_us + fallen * all.step_us : now;
        if (now >= all.end_us || due > now)
            return;
        struct conn *c = &all.conns[next++ % all.n];
        if (c->busy)
            continue;
        send_one(c, due);
        fallen++;
    }
}

static bool any_busy(void)
{
    for (size_t i = 0; i < all.n; i++)
        if (all.conns[i].busy)
            return true;
    return false;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void run(void)
{
    struct epoll_event evs[64];
    while (clock_mono_us() < all.end_us ||
           (any_busy() && clock_mono_us() < all.end_us + 10000000)) {
        send_due();
        int n = epoll_wait(all.epoll, evs, ARRAY_LEN(evs), all.step_us ? 1 : 10);
        for (int i = 0; i < n; i++)
            read_some(evs[i].data.ptr);
    }
}

int main(int argc, char **argv)
{
    int64_t port, n, seconds, rate = 0;
    if (argc < 6 || argc > 7 || !str_to_i64(argv[1], 1, 65535, &port) ||
        !str_to_i64(argv[4], 1, conns_max, &n) || !str_to_i64(argv[5], 1, 600, &seconds) ||
        (argc == 7 && !str_to_i64(argv[6], 1, 1000000, &rate))) {
        fputs("usage: hookload PORT PATH SECRET CONNECTIONS SECONDS [RATE]\n", stderr);
        return 2;
    }
    all.port = (int)port;
    all.path = argv[2];
    all.secret = argv[3];
    all.n = (size_t)n;
    all.us = calloc(samples_max, sizeof(*all.us));
    all.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!all.us || all.epoll < 0)
        die("hookload");
    snprintf(all.run, sizeof(all.run), "%llx", (unsigned long long)clock_us());
    for (size_t i = 0; i < all.n; i++)
        open_conn(&all.conns[i]);
    all.start_us = clock_mono_us();
    all.end_us = all.start_us + seconds * 1000000;
    all.step_us = rate ? 1000000 / rate : 0;
    run();
    qsort(all.us, all.samples, sizeof(*all.us), by_value);
    size_t last = all.samples ? all.samples - 1 : 0;
    printf(
        "{\"sent\":%lld,\"taken\":%lld,\"failed\":%lld,\"rate\":%.0f,\"p50_us\":%u,\"p99_us\":%u,"
        "\"max_us\":%u}\n",
        (long long)all.sent, (long long)all.taken, (long long)all.failed,
        (double)all.taken / (double)seconds, all.us[last / 2], all.us[last * 99 / 100],
        all.us[last]);
    return all.failed > 0;
}
