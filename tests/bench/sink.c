/*
 * A fast webhook receiver for benches, chaos and end-to-end tests.
 *
 *   sink --port P [--log FILE] [--status N | --script FILE] [--delay-ms N]
 *
 * Answers every request with --status (200), or with the lines of --script in turn ("STATUS
 * [DELAY_MS [Name: value]]", the last one for ever).  A target may say so itself:
 * /x?answer=500,500,200&delay_ms=20 is counted per target.  --log appends one JSON line a request,
 * in the order of arrival:
 * {"at_us":…,"webhook_id":"…","path":"…","status":…,"signature":"…","body":"…"}.
 * GET /__stats answers the counts and the time from the body's `timestamp` to the arrival; POST
 * /__reset starts them anew.  SIGTERM prints the same on stdout and ends.
 */
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { lines_max = 256, targets_max = 256, samples_max = 1 << 20, body_max = 4 << 20 };

struct line {
    int status;
    unsigned delay_ms;
    char name[64], value[256];
};
struct target { /* counts of one target that scripts itself */
    char *text;
    unsigned n;
};
struct call { /* one request */
    struct arena *arena;
    struct buf body;
    char *url; /* with its query */
    struct line answer;
    int64_t due_us;
    bool planned;
    struct MHD_Connection *conn;
    struct call *next;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct line script[lines_max];
    size_t nscript;
    struct target targets[targets_max];
    size_t ntargets;
    uint64_t requests, by_class[6], in_flight, in_flight_max;
    int64_t *samples, first_us, last_us;
    size_t nsamples;
    struct call *waiting;
    bool stopping;
    FILE *log;
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void stats_write(struct buf *out)
{
    qsort(sink.samples, sink.nsamples, sizeof(*sink.samples), by_value);
    size_t n = sink.nsamples;
    int64_t p50 = n ? sink.samples[n / 2] : 0, p99 = n ? sink.samples[n * 99 / 100] : 0;
    int64_t span = sink.last_us - sink.first_us;
    buf_printf(
        out,
        "{\"requests\":%" PRIu64 ",\"2xx\":%" PRIu64 ",\"4xx\":%" PRIu64 ",\"5xx\":%" PRIu64
        ",\"in_flight_max\":%" PRIu64 ",\"span_us\":%" PRId64 ",\"rate\":%.1f"
        ",\"lag_p50_us\":%" PRId64 ",\"lag_p99_us\":%" PRId64 ",\"lag_max_us\":%" PRId64 "}\n",
        sink.requests, sink.by_class[2], sink.by_class[4], sink.by_class[5], sink.in_flight_max,
        span, span > 0 ? (double)sink.requests * 1e6 / (double)span : 0.0, p50, p99,
        n ? sink.samples[n - 1] : 0);
}

static void stats_reset(void)
{
    sink.requests = sink.in_flight_max = sink.nsamples = 0;
    sink.first_us = sink.last_us = 0;
    memset(sink.by_class, 0, sizeof(sink.by_class));
}

/* "500,500,200": the n-th, the last for ever. */
static int nth_status(const char *list, unsigned n)
{
    int64_t status = 200;
    for (const char *p = list; *p;) {
        char number[8];
        size_t len = strcspn(p, ",&");
        snprintf(number, sizeof(number), "%.*s", (int)len, p);
        if (!str_to_i64(number, 100, 599, &status))
            status = 200;
        if (n-- == 0 || p[len] != ',')
            break;
        p += len + 1;
    }
    return (int)status;
}

static unsigned target_count(const char *url)
{
    for (size_t i = 0; i < sink.ntargets; i++)
        if (str_eq(sink.targets[i].text, url))
            return sink.targets[i].n++;
    if (sink.ntargets == targets_max)
        return 0;
    sink.targets[sink.ntargets++] = (struct target){ .text = strdup(url), .n = 1 };
    return 0;
}

/* Under the lock. */
static struct line plan(const char *url)
{
    struct line l = sink.script[0];
    const char *answer = strstr(url, "answer="), *delay = strstr(url, "delay_ms=");
    if (!answer && !delay) {
        uint64_t i = sink.requests < sink.nscript ? sink.requests : sink.nscript - 1;
        return sink.script[i];
    }
    if (answer)
        l.status = nth_status(answer + strlen("answer="), target_count(url));
    if (delay)
        l.delay_ms = (unsigned)strtoul(delay + strlen("delay_ms="), NULL, 10);
    return l;
}

static void sample(const struct call *c, int64_t now_us)
{
    const char *at = c->body.data ? strstr(c->body.data, "\"timestamp\":\"") : NULL;
    char text[64];
    int64_t us;
    if (!at || sink.nsamples == samples_max)
        return;
    at += strlen("\"timestamp\":\"");
    snprintf(text, sizeof(text), "%.*s", (int)strcspn(at, "\""), at);
    if (rfc3339_parse(text, &us))
        sink.samples[sink.nsamples++] = now_us - us;
}

static const char *request_header(const struct call *c, const char *name)
{
    const char *v = MHD_lookup_connection_value(c->conn, MHD_HEADER_KIND, name);
    return v ? v : "";
}

static void log_line(struct call *c, int64_t now_us)
{
    struct buf out;
    const char *id = request_header(c, "webhook-id");
    const char *signature = request_header(c, "webhook-signature");
    const char *stamp = request_header(c, "webhook-timestamp");
    buf_init(&out, c->arena, c->body.len + 512, 16 * body_max);
    buf_printf(&out, "{\"at_us\":%" PRId64 ",\"webhook_id\":", now_us);
    buf_put_json_string(&out, id, strlen(id));
    buf_puts(&out, ",\"path\":");
    buf_put_json_string(&out, c->url, strlen(c->url));
    buf_printf(&out, ",\"status\":%d,\"timestamp\":", c->answer.status);
    buf_put_json_string(&out, stamp, strlen(stamp));
    buf_puts(&out, ",\"signature\":");
    buf_put_json_string(&out, signature, strlen(signature));
    buf_puts(&out, ",\"body\":");
    buf_put_json_string(&out, c->body.data ? c->body.data : "", c->body.len);
    buf_puts(&out, "}\n");
    if (write(fileno(sink.log), out.data, out.len) != (ssize_t)out.len)
        fprintf(stderr, "sink: the log: %s\n", strerror(errno));
}

static void record(struct call *c)
{
    int64_t now = clock_us();
    pthread_mutex_lock(&sink.lock);
    c->answer = plan(c->url);
    sink.requests++;
    sink.by_class[c->answer.status / 100]++;
    if (++sink.in_flight > sink.in_flight_max)
        sink.in_flight_max = sink.in_flight;
    if (!sink.first_us)
        sink.first_us = now;
    sink.last_us = now;
    sample(c, now);
    if (sink.log)
        log_line(c, now);
    pthread_mutex_unlock(&sink.lock);
}

static enum MHD_Result answer(struct call *c, int status, const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_MUST_COPY);
    if (c->answer.name[0])
        MHD_add_response_header(r, c->answer.name, c->answer.value);
    enum MHD_Result ok = MHD_queue_response(c->conn, (unsigned)status, r);
    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result control(struct call *c)
{
    struct buf out;
    buf_init(&out, c->arena, 512, 4096);
    pthread_mutex_lock(&sink.lock);
    if (str_eq(c->url, "/__reset"))
        stats_reset();
    stats_write(&out);
    pthread_mutex_unlock(&sink.lock);
    return answer(c, 200, out.data);
}

static void wait_for_due(struct call *c)
{
    c->due_us = clock_mono_us() + (int64_t)c->answer.delay_ms * 1000;
    MHD_suspend_connection(c->conn);
    pthread_mutex_lock(&sink.lock);
    c->next = sink.waiting;
    sink.waiting = c;
    pthread_cond_signal(&sink.more);
    pthread_mutex_unlock(&sink.lock);
}

static struct call *call_new(struct MHD_Connection *conn)
{
    struct arena *a = arena_new();
    struct call *c = arena_alloc(a, sizeof(*c));
    c->arena = a;
    c->conn = conn;
    buf_init(&c->body, a, 2048, body_max);
    return c;
}

static enum MHD_Result serve(void *ctx, struct MHD_Connection *conn, const char *url,
                             const char *method, const char *version, const char *data,
                             size_t *data_n, void **state)
{
    (void)ctx, (void)url, (void)method, (void)version;
    struct call *c = *state;
    if (!c->body.arena) { /* the first call, made by `begin`: the header is read */
        char *target = c->url;
        struct call *fresh = call_new(conn);
        fresh->url = arena_strdup(fresh->arena, target);
        free(target);
        free(c);
        *state = fresh;
        return MHD_YES;
    }
    if (*data_n) {
        buf_put(&c->body, data, *data_n);
        *data_n = 0;
        return MHD_YES;
    }
    if (str_starts(c->url, "/__"))
        return control(c);
    if (!c->planned) {
        c->planned = true;
        record(c);
        if (c->answer.delay_ms) {
            wait_for_due(c);
            return MHD_YES;
        }
    }
    return answer(c, c->answer.status, c->answer.status == 204 ? "" : "{\"received\":true}");
}

/* The only place where libmicrohttpd shows the target with its query. */
static void *begin(void *ctx, const char *uri, struct MHD_Connection *conn)
{
    (void)ctx, (void)conn;
    struct call *c = calloc(1, sizeof(*c));
    c->url = strdup(uri);
    return c;
}

static void ended(void *ctx, struct MHD_Connection *conn, void **state,
                  enum MHD_RequestTerminationCode why)
{
    (void)ctx, (void)conn, (void)why;
    struct call *c = *state;
    if (!c)
        return;
    if (!c->body.arena) {
        free(c->url);
        free(c);
        return;
    }
    pthread_mutex_lock(&sink.lock);
    if (c->planned)
        sink.in_flight--;
    pthread_mutex_unlock(&sink.lock);
    arena_free(c->arena);
}

/* Lets go of the delayed ones.  Their number is small, so the list is just walked. */
static void *delayer(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&sink.lock);
    while (!sink.stopping || sink.waiting) {
        int64_t now = clock_mono_us();
        for (struct call **p = &sink.waiting; *p;) {
            struct call *c = *p;
            if (c->due_us > now && !sink.stopping) {
                p = &c->next;
                continue;
            }
            *p = c->next;
            MHD_resume_connection(c->conn);
        }
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += sink.waiting ? 1000000 : 100000000;
        t.tv_sec += t.tv_nsec / 1000000000;
        t.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&sink.more, &sink.lock, &t);
    }
    pthread_mutex_unlock(&sink.lock);
    return NULL;
}

static bool script_read(const char *path)
{
    char text[512];
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    sink.nscript = 0;
    while (sink.nscript < lines_max && fgets(text, sizeof(text), f)) {
        struct line l = { 0 };
        if (sscanf(text, "%d %u %63[^:]: %255[^\n]", &l.status, &l.delay_ms, l.name, l.value) < 1)
            continue;
        if (l.status < 100 || l.status > 599)
            break;
        sink.script[sink.nscript++] = l;
    }
    fclose(f);
    return sink.nscript > 0;
}

static int usage(const char *why)
{
    fprintf(stderr,
            "sink: %s\nsink --port P [--log FILE] [--status N | --script FILE] "
            "[--delay-ms N]\n",
            why);
    return 2;
}

/* libmicrohttpd's own thread waits for more when exactly as many requests came at once as it asks
 * epoll for (128), before it has answered one of them: with as many in flight, for ever. So it is
 * run from here; nothing wakes it for what goes on after a delay, so it looks. */
static void serve_until(struct MHD_Daemon *d, const sigset_t *signals)
{
    enum { look_ms = 2 };
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd on[] = {
        { .fd = info->epoll_fd, .events = POLLIN },
        { .fd = signalfd(-1, signals, SFD_CLOEXEC), .events = POLLIN }
    };
    while (!on[1].revents) {
        MHD_UNSIGNED_LONG_LONG ms;
        bool waits = MHD_get_timeout(d, &ms) == MHD_YES && ms < look_ms;
        (void)!poll(on, 2, waits ? (int)ms : look_ms);
        MHD_run(d);
    }
    (void)close(on[1].fd);
}

/* The daemon and the delayer, until a signal. */
static int run(uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, delayer, NULL) != 0)
        return 1;
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, port, NULL, NULL, serve, NULL,
        MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at, MHD_OPTION_URI_LOG_CALLBACK, begin, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, ended, NULL, MHD_OPTION_CONNECTION_LIMIT, 4096U,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U, MHD_OPTION_END);
    if (!d) {
        fprintf(stderr, "sink: port %u: %s\n", (unsigned)port, strerror(errno));
        return 1;
    }
    fprintf(stderr, "sink: listening on 127.0.0.1:%u\n", (unsigned)port);
    serve_until(d, &signals);
    pthread_mutex_lock(&sink.lock);
    sink.stopping = true;
    pthread_cond_signal(&sink.more);
    pthread_mutex_unlock(&sink.lock);
    pthread_join(thread, NULL);
    MHD_stop_daemon(d);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "port",     1, NULL, 'p' },
        { "log",      1, NULL, 'l' },
        { "status",   1, NULL, 's' },
        { "script",   1, NULL, 'f' },
        { "delay-ms", 1, NULL, 'd' },
        { NULL,       0, NULL, 0   },
    };
    int64_t port = 0, status = 200, delay = 0;
    const char *script = NULL;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'p' && !str_to_i64(optarg, 1, 65535, &port))
            return usage("--port is not a port");
        if (o == 's' && !str_to_i64(optarg, 200, 599, &status))
            return usage("--status is not a status");
        if (o == 'd' && !str_to_i64(optarg, 0, 3600000, &delay))
            return usage("--delay-ms is not a time");
        if (o == 'f')
            script = optarg;
        if (o == 'l' && !(sink.log = fopen(optarg, "a")))
            return usage("the log cannot be opened");
        if (o == '?')
            return usage("unknown option");
    }
    if (!port)
        return usage("--port is missing");
    sink.script[0] = (struct line){ .status = (int)status, .delay_ms = (unsigned)delay };
    sink.nscript = 1;
    if (script && !script_read(script))
        return usage("the script cannot be read");
    sink.samples = calloc(samples_max, sizeof(*sink.samples));
    int failed = run((uint16_t)port);
    if (!failed) {
        struct arena *a = arena_new();
        struct buf out;
        buf_init(&out, a, 512, 4096);
        stats_write(&out);
        fputs(out.data, stdout);
        arena_free(a);
    }
    free(sink.samples);
    return failed;
}
