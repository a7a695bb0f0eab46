#include "common/kit/route_internal.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/kit/metrics.h"
#include "common/kit/reqlog.h"
#include "common/kit/svc.h"
#include "common/kit/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    reqres_body_max = 64 * 1024,
    slow_read_us = 1000 * 1000, /* such a read is in the log in any case */
};

static size_t status_slot(int status)
{
    static const short known[route_status_slots - 1] = { 200, 201, 202, 204, 206, 207, 301, 302,
                                                         303, 304, 400, 401, 402, 403, 404, 405,
                                                         406, 409, 410, 412, 413, 414, 415, 422,
                                                         428, 429, 431, 500, 502, 503, 504 };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i] == status)
            return i;
    }
    return route_status_slots - 1;
}

static void count(const struct call *c, int status)
{
    struct route_leaf *leaf = c->leaf ? c->leaf : &c->rt->unmatched;
    const char *template = leaf->route ? leaf->route->path : "unmatched";
    size_t slot = status_slot(status);
    struct metric_cell **cell = &leaf->count[c->req.method % METHODS_MAX_][slot];
    /* Two loops may both look it up: they find the same cell. */
    struct metric_cell *known = __atomic_load_n(cell, __ATOMIC_ACQUIRE);
    if (!known) {
        char text[8];
        snprintf(text, sizeof text, "%d", status % 1000);
        const char *values[] = { template,
                                 c->req.method < METHODS_MAX_ ? method_name(c->req.method)
                                                              : "other",
                                 slot == route_status_slots - 1 ? "other" : text };
        known = metric_cell(M_http_requests, values, 3);
        __atomic_store_n(cell, known, __ATOMIC_RELEASE);
    }
    metric_add(known, 1);
    struct metric_cell *seconds = __atomic_load_n(&leaf->seconds, __ATOMIC_ACQUIRE);
    if (!seconds) {
        seconds = metric_cell(M_http_seconds, (const char *[]){ template }, 1);
        __atomic_store_n(&leaf->seconds, seconds, __ATOMIC_RELEASE);
    }
    metric_observe_us(seconds, c->end_us - c->http->start_us);
}

/* --- the exchange log, for the tests' validator --------------------------------------------------
 */

static void put_text(struct buf *b, const char *name, const char *s)
{
    buf_puts(b, name);
    if (s && str_utf8_ok(s, strlen(s)))
        buf_put_json_string(b, s, strlen(s));
    else
        buf_puts(b, "null");
}

/* On one line and well formed; else the validator gets it as a string and says so. */
static bool is_json(const char *s, size_t n)
{
    json_t *v = memchr(s, '\n', n) ? NULL : json_loadb(s, n, JSON_DECODE_ANY, NULL);
    json_decref(v);
    return v != NULL;
}

static void put_body(struct buf *b, const char *type, const struct http_res *sent)
{
    const char *s = sent->body;
    size_t n = sent->body_n;
    bool json = type && (str_starts(type, "application/json") ||
                         str_starts(type, "application/problem+json"));
    if (!n || sent->status == 304 || n > reqres_body_max || !s || !str_utf8_ok(s, n))
        buf_puts(b, "null");
    else if (json && is_json(s, n))
        buf_put(b, s, n);
    else
        buf_put_json_string(b, s, n);
}

static void log_exchange(const struct call *c, const struct http_res *sent)
{
    const struct req *req = &c->req;
    const char *type = NULL;
    struct buf b;
    buf_init(&b, req->arena, 4096, (size_t)4 * 1024 * 1024);
    for (size_t i = 0; i < sent->nheaders; i++) {
        if (str_eq(sent->headers[i].name, "Content-Type"))
            type = sent->headers[i].value;
    }
    put_text(&b, "{\"program\":", c->rt->program);
    put_text(&b, ",\"method\":", c->http->method);
    put_text(&b, ",\"route\":",
             c->listed ? c->listed->route->path
             : c->leaf ? c->leaf->route->path
                       : NULL);
    put_text(&b, ",\"path\":", c->http->path);
    put_text(&b, ",\"query\":", c->http->query);
    put_text(&b, ",\"request\":{\"content_type\":", req->content_type);
    buf_puts(&b, ",\"body\":");
    if (req->body && c->http->body_n <= reqres_body_max)
        json_write(&b, req->body);
    else
        buf_puts(&b, "null");
    buf_printf(&b, "},\"status\":%d", sent->status);
    put_text(&b, ",\"response\":{\"content_type\":", type);
    buf_puts(&b, ",\"headers\":[");
    for (size_t i = 0; i < sent->nheaders; i++)
        put_text(&b, i ? "," : "", sent->headers[i].name);
    buf_puts(&b, "],\"body\":");
    put_body(&b, type, sent);
    buf_puts(&b, "}}\n");
    if (!b.overflow && write(c->rt->reqres_fd, b.data, b.len) < 0)
        log_debug("http.reqres_lost", kv_i("errno", errno));
}

int reqres_open(const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : err_set(err, E_config, "cannot write the exchange log %s", path);
}

/* --- once a request ------------------------------------------------------------------------------
 */

/* What analytics hears; what it may not hear is not in the record. */
static void tell(const struct call *c, const struct http_res *sent, bool unsent)
{
    const struct svc *svc = c->rt->svc;
    const char *country = svc->conf->country_header;
    const struct reqlog_record r = {
        .at_us = c->req.now_us,
        .total_us = c->end_us - c->http->start_us,
        .queue_us = c->served_us ? c->served_us - c->http->start_us : 0,
        .db_us = c->db_us,
        .bytes_in = c->http->body_n,
        .bytes_out = unsent ? 0 : sent->body_n,
        .who = &c->req.who,
        .request_id = c->req.request_id,
        .own_id = c->own_id,
        .method = c->req.method < METHODS_MAX_ ? method_name(c->req.method) : NULL,
        .route = c->leaf && c->leaf->route ? c->leaf->route->path : "unmatched",
        .address = c->req.client_addr,
        .user_agent = http_header(c->http, "User-Agent"),
        .country = *country && nets_have(&c->rt->proxies, c->http->peer)
                       ? http_header(c->http, country)
                       : NULL,
        .problem = c->failed ? err_name(c->failed) : NULL,
        .status = sent->status,
    };
    reqlog_put(svc->reqlog, &r);
}

/* Names after OpenTelemetry's semantic conventions for HTTP. */
static void trace(const struct call *c, const struct http_res *sent)
{
    const char *method = c->req.method < METHODS_MAX_ ? method_name(c->req.method) : "_OTHER";
    const char *route = c->leaf && c->leaf->route ? c->leaf->route->path : NULL;
    int64_t waited_us = c->served_us ? c->served_us - c->http->start_us : 0;
    const struct span_attr attrs[] = {
        { .key = "http.request.method",       .text = method                     },
        { .key = "http.response.status_code", .number = sent->status             },
        { .key = "http.request.body.size",    .number = (int64_t)c->http->body_n },
        { .key = "cms365.queue_us",           .number = waited_us                },
        { .key = "cms365.db_us",              .number = c->db_us                 },
        { .key = "http.route",                .text = route                      },
    };
    const struct span s = {
        .traceparent = c->req.traceparent,
        .parent = c->parent_span,
        .kind = SPAN_SERVER,
        .name = route ? arena_printf(c->req.arena, "%s %s", method, route) : method,
        .error = sent->status < 500 ? NULL
                 : c->failed        ? err_name(c->failed)
                                    : "http_5xx",
        .begin_us = c->req.now_us,
        .end_us = c->req.now_us + c->end_us - c->http->start_us,
        .attrs = attrs,
        .nattrs = ARRAY_LEN(attrs) - !route,
    };
    trace_put(c->rt->svc->traces, &s);
}

/* A line is a sixth of what a hot read costs, and reads that went well are told of twice already,
 * by the gateway and to analytics. */
static enum log_level level_of(const struct call *c, int status)
{
    bool read = c->req.method == GET || c->req.method == HEAD;
    if (status >= 500)
        return status == 503 ? LOG_WARN : LOG_ERROR;
    return read && status < 400 && c->end_us - c->http->start_us < slow_read_us &&
                   !c->rt->svc->conf->log_reads
               ? LOG_DEBUG
               : LOG_INFO;
}

void route_record(struct call *c, const struct http_res *sent)
{
    if (!c->end_us) { /* the client left before it had sent everything */
        log_context_set(&c->log);
        log_debug("http.aborted", kv_s("method", c->http->method),
                  kv_s("client", c->req.client_addr));
        log_context_set(NULL);
        return;
    }
    count(c, sent->status);
    enum log_level level = level_of(c, sent->status);
    bool unsent = sent->status == 304 || c->req.method == HEAD;
    if (c->rt->svc->reqlog && !c->rt->ops)
        tell(c, sent, unsent);
    if (!c->rt->ops && trace_wants(c->rt->svc->traces, c->req.traceparent))
        trace(c, sent);
    if (level >= log_level()) {
        struct kv kv[10] = {
            kv_s("method", c->http->method),
            kv_s("route", c->leaf ? c->leaf->route->path : "unmatched"),
            kv_i("status", sent->status),
            kv_i("us", c->end_us - c->http->start_us),
            kv_i("bytes", (int64_t)(unsent ? 0 : sent->body_n)),
            kv_i("key", c->req.who.key_id),
            kv_s("client", c->req.client_addr),
        };
        size_t n = 7;
        if (c->failed)
            kv[n++] = kv_s("problem", err_name(c->failed));
        if (c->failed && sent->status >= 500)
            kv[n++] = kv_s("detail", c->detail);
        log_context_set(&c->log);
        log_write(level, "http.request", kv, n);
        log_context_set(NULL);
    }
    if (c->rt->reqres_fd >= 0)
        log_exchange(c, sent);
}
