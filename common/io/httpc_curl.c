/* The transfers: easy handles kept for reuse, curl's sockets and timer on the loop. */
#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/io/httpc_internal.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Replies are short and mostly cut; with curl's own 16 KB each of hundreds of handles keeps as
 * much. */
enum { idle_conn_s = 60, read_bytes_max = 4096 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* --- what curl calls --- */

/* The last word: the address really connected to, whatever was resolved before. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct job *j = ctx;
    if (purpose != CURLSOCKTYPE_IPCXN || !egress_allows(j->c->egress, &a->addr)) {
        j->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct job *j = ctx;
    n *= size;
    if (!j->reply && j->reply_max)
        j->reply = arena_raw(j->arena, j->reply_max + 1);
    size_t room = j->reply_max - j->reply_n, take = n < room ? n : room;
    if (take)
        memcpy(j->reply + j->reply_n, data, take);
    j->reply_n += take;
    j->seen_n += n;
    j->cut = j->cut || take < n;
    return j->seen_n > j->reply_max + drain_bytes_max ? 0 : n;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    struct job *j = ctx;
    n *= size;
    if (n >= 5 && !memcmp(data, "HTTP/", 5)) { /* after 1xx another head follows */
        j->nreply_headers = 0;
        j->reply_header_bytes += n; /* heads without end are no way around the limit */
        return j->reply_header_bytes > reply_headers_drain_max ? 0 : n;
    }
    const char *colon = memchr(data, ':', n);
    j->reply_header_bytes += n;
    if (j->reply_header_bytes > reply_headers_drain_max) {
        j->headers_endless = true;
        return 0;
    }
    if (!colon || colon == data || j->nreply_headers == reply_headers_max ||
        j->reply_header_bytes > reply_headers_bytes_max)
        return n;
    const char *v = colon + 1, *end = data + n;
    while (v < end && (*v == ' ' || *v == '\t'))
        v++;
    while (end > v && strchr(" \t\r\n", end[-1]))
        end--;
    j->reply_headers[j->nreply_headers++] = (struct httpc_header){
        .name = arena_strndup(j->arena, data, (size_t)(colon - data)),
        .value = arena_strndup(j->arena, v, (size_t)(end - v)),
    };
    return n;
}

/* --- one transfer --- */

#define SET(easy, option, value) must(curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

static void set_method(const struct job *j)
{
    if (str_eq(j->method, "HEAD")) {
        SET(j->easy, CURLOPT_NOBODY, 1L);
    } else if (str_eq(j->method, "GET") && !j->body_n) {
        SET(j->easy, CURLOPT_HTTPGET, 1L);
    } else {
        SET(j->easy, CURLOPT_POST, 1L);
        SET(j->easy, CURLOPT_POSTFIELDS, j->body ? j->body : "");
        SET(j->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)j->body_n);
        if (!str_eq(j->method, "POST"))
            SET(j->easy, CURLOPT_CUSTOMREQUEST, j->method);
    }
}

static void set_guards(const struct job *j)
{
    SET(j->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(j->easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(j->easy, CURLOPT_PROXY, "");
    SET(j->easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(j->easy, CURLOPT_NOSIGNAL, 1L);
    SET(j->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(j->easy, CURLOPT_MAXAGE_CONN, (long)idle_conn_s);
    SET(j->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(j->easy, CURLOPT_OPENSOCKETDATA, j);
    SET(j->easy, CURLOPT_RESOLVE, j->resolve);
}

static void set_blob(const struct job *j, CURLoption what, const char *pem)
{
    struct curl_blob blob = { .data = (void *)(uintptr_t)pem,
                              .len = pem ? strlen(pem) : 0,
                              .flags = CURL_BLOB_COPY };
    if (pem)
        SET(j->easy, what, &blob);
}

void transfer_begin(struct job *j)
{
    struct httpc *c = j->c;
    int64_t left_ms = (int64_t)j->timeout_ms - (clock_mono_us() - j->start_us) / 1000;
    j->begun_us = clock_mono_us() - j->start_us;
    j->easy = c->nidle ? c->idle[--c->nidle] : curl_easy_init();
    must(j->easy);
    SET(j->easy, CURLOPT_PRIVATE, j);
    SET(j->easy, CURLOPT_URL, j->url);
    SET(j->easy, CURLOPT_ERRORBUFFER, j->curl_error);
    SET(j->easy, CURLOPT_HTTPHEADER, j->headers);
    SET(j->easy, CURLOPT_USERAGENT, c->user_agent);
    SET(j->easy, CURLOPT_BUFFERSIZE, (long)read_bytes_max);
    SET(j->easy, CURLOPT_TIMEOUT_MS, (long)(left_ms > 0 ? left_ms : 1));
    SET(j->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)j->connect_timeout_ms);
    SET(j->easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(j->easy, CURLOPT_WRITEDATA, j);
    SET(j->easy, CURLOPT_HEADERFUNCTION, on_header);
    SET(j->easy, CURLOPT_HEADERDATA, j);
    set_guards(j);
    set_method(j);
    set_blob(j, CURLOPT_SSLCERT_BLOB, j->client_cert);
    set_blob(j, CURLOPT_SSLKEY_BLOB, j->client_key);
    set_blob(j, CURLOPT_CAINFO_BLOB, j->ca);
    must(curl_multi_add_handle(c->multi, j->easy) == CURLM_OK);
}

void transfer_drop(struct job *j)
{
    struct httpc *c = j->c;
    if (!j->easy)
        return;
    curl_multi_remove_handle(c->multi, j->easy);
    if (c->nidle < easy_idle_max) {
        curl_easy_reset(j->easy);
        c->idle[c->nidle++] = j->easy;
    } else {
        curl_easy_cleanup(j->easy);
    }
    j->easy = NULL;
}

/* --- the end of one --- */

static int result_of(const struct job *j, CURLcode code, const char **ret_reason)
{
    long status = 0;
    curl_easy_getinfo(j->easy, CURLINFO_RESPONSE_CODE, &status);
    *ret_reason = "";
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && j->cut && status))
        return 0;
    if (j->refused) {
        *ret_reason = "The URL points to an address that is not allowed.";
        return -E_egress_refused;
    }
    if (j->headers_endless) {
        *ret_reason = "The answer's headers are too long.";
        return -E_upstream;
    }
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        *ret_reason = "No answer within the time allowed.";
        return -E_timeout;
    case CURLE_COULDNT_CONNECT:
        *ret_reason = "The connection could not be made.";
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
        *ret_reason = "The receiver's certificate is not valid.";
        break;
    case CURLE_SSL_CONNECT_ERROR:
        *ret_reason = "TLS could not be agreed on.";
        break;
    case CURLE_GOT_NOTHING:
        *ret_reason = "The receiver closed the connection without an answer.";
        break;
    default:
        *ret_reason = j->curl_error[0] ? j->curl_error : curl_easy_strerror(code);
    }
    return -E_upstream;
}

static void finished(struct httpc *c)
{
    int left;
    for (const CURLMsg *m; (m = curl_multi_info_read(c->multi, &left));) {
        struct job *j;
        const char *reason;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        must(curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &j) == CURLE_OK);
        int result = result_of(j, code, &reason);
        job_finish(j, result, reason);
    }
}

/* --- curl on the loop --- */

static void on_socket(struct watch *w, uint32_t events)
{
    struct sock *s = container_of(w, struct sock, watch);
    struct httpc *c = s->c;
    int running, what = 0;
    what |= events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0;
    what |= events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
    what |= events & EPOLLERR ? CURL_CSELECT_ERR : 0;
    curl_multi_socket_action(c->multi, w->fd, what, &running); /* may free s */
    finished(c);
}

static void on_timer(struct timer *t)
{
    struct httpc *c = container_of(t, struct httpc, curl_timer);
    int running;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finished(c);
}

static int want_timer(CURLM *multi, long ms, void *ctx)
{
    struct httpc *c = ctx;
    (void)multi;
    if (ms < 0)
        timer_clear(c->loop, &c->curl_timer);
    else
        timer_set(c->loop, &c->curl_timer, (int64_t)ms * 1000);
    return 0;
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *sock)
{
    struct httpc *c = ctx;
    struct sock *s = sock;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s) {
            watch_set(c->loop, &s->watch, 0);
            free(s);
            curl_multi_assign(c->multi, fd, NULL);
        }
        return 0;
    }
    if (!s) {
        s = calloc(1, sizeof(*s));
        must(s);
        s->c = c;
        s->watch = (struct watch){ .fd = fd, .fn = on_socket };
        curl_multi_assign(c->multi, fd, s);
    }
    watch_set(c->loop, &s->watch,
              (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U));
    return 0;
}

int transfer_init(struct httpc *c, const struct httpc_conf *conf, struct err *err)
{
    c->multi = curl_multi_init();
    if (!c->multi)
        return err_set(err, E_internal, "The HTTP client could not be set up.");
    c->curl_timer.fn = on_timer;
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, want_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)conf->conns_max);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)conf->conns_per_host_max);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)conf->conns_max);
    return 0;
}

void transfer_done(struct httpc *c)
{
    while (c->nidle)
        curl_easy_cleanup(c->idle[--c->nidle]);
    if (c->multi)
        curl_multi_cleanup(c->multi);
}
