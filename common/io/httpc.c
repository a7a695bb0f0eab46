/* The thread, its jobs, and the two ways to ask: httpc_send and httpc_call. */
#include "common/io/httpc.h"

#include "common/base/clock.h"
#include "common/base/fiber.h"
#include "common/base/str.h"
#include "common/io/httpc_internal.h"

#include <arpa/inet.h>
#include <assert.h>

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* --- a job's end --- */

static void unlink_job(struct job *j)
{
    if (j->next)
        j->next->prev = j->prev;
    if (j->prev)
        j->prev->next = j->next;
    else
        j->c->jobs = j->next;
}

static void job_free(struct job *j)
{
    curl_slist_free_all(j->headers);
    curl_slist_free_all(j->resolve);
    arena_free(j->arena);
}

static int64_t since_start(const struct job *j, CURLINFO what)
{
    curl_off_t us = 0;
    curl_easy_getinfo(j->easy, what, &us);
    return us ? us + j->begun_us : 0;
}

/* What curl knows; its strings live as long as the handle's transfer. */
static void fill(const struct job *j, struct httpc_res *res)
{
    char *address = NULL;
    long status = 0;
    if (!j->easy)
        return;
    curl_easy_getinfo(j->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(j->easy, CURLINFO_PRIMARY_IP, &address);
    res->status = (int)status;
    res->address = address ? address : "";
    res->connect_us = since_start(j, CURLINFO_CONNECT_TIME_T);
    res->tls_us = since_start(j, CURLINFO_APPCONNECT_TIME_T);
    res->first_byte_us = since_start(j, CURLINFO_STARTTRANSFER_TIME_T);
}

void job_finish(struct job *j, int result, const char *reason)
{
    struct httpc_res res = { .result = result,
                             .reason = reason,
                             .headers = j->reply_headers,
                             .nheaders = j->nreply_headers,
                             .body_n = j->reply_n,
                             .body_cut = j->cut,
                             .address = "",
                             .dns_us = j->dns_us,
                             .total_us = clock_mono_us() - j->start_us };
    timer_clear(j->c->loop, &j->deadline);
    dns_forget(j);
    fill(j, &res);
    if (j->reply)
        j->reply[j->reply_n] = '\0';
    res.body = j->reply ? j->reply : "";
    atomic_fetch_sub(&j->c->in_flight, 1);
    j->done(j->ctx, &res);
    transfer_drop(j);
    unlink_job(j);
    job_free(j);
}

/* --- a job's way --- */

static void address_text(const struct sockaddr_storage *sa, char out[INET6_ADDRSTRLEN + 2])
{
    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        must(inet_ntop(AF_INET, &in->sin_addr, out, INET6_ADDRSTRLEN));
        return;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
    out[0] = '[';
    must(inet_ntop(AF_INET6, &in6->sin6_addr, out + 1, INET6_ADDRSTRLEN));
    size_t n = strlen(out);
    out[n] = ']';
    out[n + 1] = '\0';
}

void dns_ready(struct job *j, const struct dns_entry *e)
{
    char text[host_max + 16 + addrs_max * (INET6_ADDRSTRLEN + 3)];
    timer_clear(j->c->loop, &j->deadline);
    if (!e->n) {
        bool refused = e->failed && !*e->failed;
        job_finish(j, refused ? -E_egress_refused : -E_upstream,
                   refused ? "The URL points to an address that is not allowed." : e->failed);
        return;
    }
    j->dns_us = clock_mono_us() - j->start_us;
    int n = snprintf(text, sizeof(text), "%s:%u:", j->host, j->port);
    for (size_t i = 0; i < e->n; i++) {
        char addr[INET6_ADDRSTRLEN + 2];
        address_text(&e->addr[i], addr);
        n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s", i ? "," : "", addr);
    }
    j->resolve = curl_slist_append(NULL, text);
    must(j->resolve);
    transfer_begin(j);
}

static void on_deadline(struct timer *t)
{
    struct job *j = container_of(t, struct job, deadline);
    job_finish(j, -E_timeout, "The host name could not be looked up within the time allowed.");
}

static void job_begin(struct job *j)
{
    struct httpc *c = j->c;
    j->next = c->jobs;
    if (c->jobs)
        c->jobs->prev = j;
    c->jobs = j;
    if (j->literal) {
        transfer_begin(j);
        return;
    }
    j->deadline.fn = on_deadline;
    int64_t spent = clock_mono_us() - j->start_us;
    timer_set(c->loop, &j->deadline, (int64_t)j->timeout_ms * 1000 - spent);
    dns_resolve(j);
}

static struct job *inbox_take(struct httpc *c)
{
    must(pthread_mutex_lock(&c->lock) == 0);
    struct job *j = c->inbox;
    c->inbox = NULL;
    c->inbox_tail = &c->inbox;
    must(pthread_mutex_unlock(&c->lock) == 0);
    return j;
}

static void on_inbox(void *ctx)
{
    struct job *j = inbox_take(ctx);
    while (j) {
        struct job *next = j->wait_next;
        j->wait_next = NULL;
        job_begin(j);
        j = next;
    }
}

/* --- sending --- */

/* The guard has looked at it: scheme, host and port are plain. */
static void set_host(struct job *j)
{
    const char *host = strstr(j->url, "://") + 3;
    size_t n = strcspn(host, "/?#");
    const char *end = host[0] == '[' ? memchr(host, ']', n) : NULL;
    const char *colon = memchr(end ? end : host, ':', end ? n - (size_t)(end - host) : n);
    size_t name_n = colon ? (size_t)(colon - host) : n;
    unsigned char addr[sizeof(struct in6_addr)];
    j->port = str_starts(j->url, "https:") ? 443 : 80;
    if (colon && colon[1] >= '0' && colon[1] <= '9')
        j->port = (unsigned)strtoul(colon + 1, NULL, 10);
    assert(name_n < sizeof(j->host));
    for (size_t i = 0; i < name_n; i++)
        j->host[i] = (char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] - 'A' + 'a' : host[i]);
    j->literal = host[0] == '[' || inet_pton(AF_INET, j->host, addr) == 1;
}

static int add_headers(struct job *j, const struct httpc_req *req, struct err *err)
{
    for (size_t i = 0; i < req->nheaders; i++) {
        const struct httpc_header *h = &req->headers[i];
        if (strpbrk(h->name, "\r\n: ") || strpbrk(h->value, "\r\n"))
            return err_set(err, E_invalid, "A header of the request is not valid.");
        /* "Name;" is curl's way to send an empty value. */
        const char *line = *h->value ? arena_printf(j->arena, "%s: %s", h->name, h->value)
                                     : arena_printf(j->arena, "%s;", h->name);
        j->headers = curl_slist_append(j->headers, line);
        must(j->headers);
    }
    j->headers = curl_slist_append(j->headers, "Expect:");
    must(j->headers);
    return 0;
}

static struct job *job_new(struct httpc *c, const struct httpc_req *req)
{
    struct arena *a = arena_new();
    struct job *j = arena_alloc(a, sizeof(*j));
    j->arena = a;
    j->c = c;
    j->method = arena_strdup(a, req->method);
    j->url = arena_strdup(a, req->url);
    j->body = req->body;
    j->body_n = req->body_n;
    j->reply_max = req->reply_bytes_max;
    j->client_cert = req->client_cert ? arena_strdup(a, req->client_cert) : NULL;
    j->client_key = req->client_key ? arena_strdup(a, req->client_key) : NULL;
    j->ca = req->ca ? arena_strdup(a, req->ca) : NULL;
    j->timeout_ms = req->timeout_ms;
    j->connect_timeout_ms = req->connect_timeout_ms ? req->connect_timeout_ms : req->timeout_ms;
    j->start_us = clock_mono_us();
    set_host(j);
    return j;
}

int httpc_send(struct httpc *c, const struct httpc_req *req,
               void (*done)(void *ctx, const struct httpc_res *res), void *ctx, struct err *err)
{
    int rc = egress_check_url(c->egress, req->url, err);
    if (rc)
        return rc;
    struct job *j = job_new(c, req);
    j->done = done;
    j->ctx = ctx;
    rc = add_headers(j, req, err);
    if (rc) {
        job_free(j);
        return rc;
    }
    must(pthread_mutex_lock(&c->lock) == 0);
    bool first = !c->inbox, stopping = c->stopping;
    if (!stopping) {
        atomic_fetch_add(&c->in_flight, 1);
        *c->inbox_tail = j;
        c->inbox_tail = &j->wait_next;
        /* Under the lock, so that the loop cannot go in between. */
        if (first)
            loop_post(c->loop, on_inbox, c);
    }
    must(pthread_mutex_unlock(&c->lock) == 0);
    if (!stopping)
        return 0;
    job_free(j);
    return err_set(err, E_unavailable, "The program is stopping.");
}

size_t httpc_in_flight(const struct httpc *c)
{
    return atomic_load(&c->in_flight);
}

/* --- waiting for the answer --- */

struct call {
    struct arena *arena;
    struct httpc_res *ret;
    struct fiber *fiber;
    struct loop *loop;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool over;
};

static void copy_result(struct arena *a, const struct httpc_res *res, struct httpc_res *ret)
{
    struct httpc_header *h = arena_alloc(a, (res->nheaders + 1) * sizeof(*h));
    for (size_t i = 0; i < res->nheaders; i++)
        h[i] = (struct httpc_header){ .name = arena_strdup(a, res->headers[i].name),
                                      .value = arena_strdup(a, res->headers[i].value) };
    *ret = *res;
    ret->headers = h;
    ret->reason = arena_strdup(a, res->reason);
    ret->address = arena_strdup(a, res->address);
    ret->body = arena_strndup(a, res->body, res->body_n);
}

static void wake(void *fiber)
{
    fiber_wake(fiber);
}

/* The caller waits: its arena and stack are this thread's until it is woken. */
static void call_done(void *ctx, const struct httpc_res *res)
{
    struct call *w = ctx;
    copy_result(w->arena, res, w->ret);
    if (w->fiber) {
        loop_post(w->loop, wake, w->fiber);
        return;
    }
    must(pthread_mutex_lock(&w->lock) == 0);
    w->over = true;
    must(pthread_cond_signal(&w->ended) == 0);
    must(pthread_mutex_unlock(&w->lock) == 0);
}

int httpc_call(struct httpc *c, struct arena *a, const struct httpc_req *req, struct httpc_res *ret,
               struct err *err)
{
    struct httpc_res res = { 0 };
    struct call w = { .arena = a,
                      .ret = &res,
                      .fiber = fiber_self(),
                      .loop = loop_self(),
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .ended = PTHREAD_COND_INITIALIZER };
    int rc = httpc_send(c, req, call_done, &w, err);
    if (rc)
        return rc;
    if (w.fiber) {
        fiber_park();
    } else {
        must(pthread_mutex_lock(&w.lock) == 0);
        while (!w.over)
            must(pthread_cond_wait(&w.ended, &w.lock) == 0);
        must(pthread_mutex_unlock(&w.lock) == 0);
    }
    if (res.result)
        return err_set(err, (enum err_code) - res.result, "%s", res.reason);
    *ret = res;
    return 0;
}

/* --- the thread --- */

static void *run(void *ctx)
{
    struct httpc *c = ctx;
    loop_run(c->loop);
    return NULL;
}

/* On the loop: nothing comes in any more. */
static void stop(void *ctx)
{
    struct httpc *c = ctx;
    on_inbox(c);
    while (c->jobs)
        job_finish(c->jobs, -E_unavailable, "The program is stopping.");
    loop_stop(c->loop);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void global_init(void)
{
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    must(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
}

static void dismantle(struct httpc *c)
{
    transfer_done(c);
    dns_done(c);
    loop_free(c->loop);
    egress_free(c->egress);
    (void)pthread_mutex_destroy(&c->lock);
    free(c->user_agent);
    free(c);
}

int httpc_new(const struct httpc_conf *conf, struct httpc **ret, struct err *err)
{
    must(pthread_once(&once, global_init) == 0);
    struct httpc *c = calloc(1, sizeof(*c));
    must(c);
    c->inbox_tail = &c->inbox;
    must(pthread_mutex_init(&c->lock, NULL) == 0);
    c->user_agent = strdup(conf->user_agent ? conf->user_agent : "365CMS");
    must(c->user_agent);
    c->loop = loop_new();
    int rc = egress_new(conf->egress_allow, &c->egress, err);
    if (!rc)
        rc = transfer_init(c, conf, err);
    if (!rc)
        rc = dns_init(c, conf->dns_servers, err);
    if (!rc && pthread_create(&c->thread, NULL, run, c) != 0)
        rc = err_set(err, E_internal, "The HTTP client's thread could not be started.");
    if (rc) {
        dismantle(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void httpc_free(struct httpc *c)
{
    if (!c)
        return;
    must(pthread_mutex_lock(&c->lock) == 0);
    c->stopping = true;
    loop_post(c->loop, stop, c);
    must(pthread_mutex_unlock(&c->lock) == 0);
    must(pthread_join(c->thread, NULL) == 0);
    dismantle(c);
}
