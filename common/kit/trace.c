#define _GNU_SOURCE /* pthread_setname_np */
#include "common/kit/trace.h"

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/io/httpc.h"
#include "common/kit/metrics.h"
#include "common/kit/svc.h"

#include <assert.h>
#include <pthread.h>

enum {
    headers_max = 8,
    reply_bytes_max = 4096,
    first_wait_ms = 1000,
    traceparent_len = 55,
    trace_at = 3,
    span_at = 36,
    flags_at = 53,
};

struct chunk {
    struct arena *arena;
    struct buf b;
    size_t n;
};
struct traces {
    struct arena *arena;
    const char *url;
    const char *head; /* of a request's body, up to the spans */
    struct httpc_header headers[headers_max + 1];
    size_t nheaders;
    uint64_t take_below; /* of the last 32 bits of a trace's id */
    struct httpc *http;
    struct metric_cell *sent, *dropped, *refused;
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t cv;
    /* Under mu: */
    struct chunk filling;
    bool full, stopping;
};

/* --- spans ---------------------------------------------------------------------------------------
 */

static bool well_formed(const char *s)
{
    return s && strlen(s) == traceparent_len && s[2] == '-' && s[35] == '-' && s[52] == '-';
}

/* The tail of the id is the random part in every scheme (W3C Trace Context level 2 §3.3.1). */
static uint64_t tail_of(const char *traceparent)
{
    uint64_t v = 0;
    for (size_t i = span_at - 1 - 8; i < span_at - 1; i++) {
        char c = traceparent[i];
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return v;
}

bool trace_wants(const struct traces *t, const char *traceparent)
{
    if (!t || !well_formed(traceparent))
        return false;
    char flags = traceparent[flags_at + 1];
    bool sampled = (flags <= '9' ? flags - '0' : flags - 'a' + 10) & 1;
    return sampled && tail_of(traceparent) < t->take_below;
}

static void put_text(struct buf *b, const char *s)
{
    size_t n = strlen(s);
    if (str_utf8_ok(s, n))
        buf_put_json_string(b, s, n);
    else
        buf_puts(b, "\"\"");
}

static void put_attr(struct buf *b, const struct span_attr *at, bool first)
{
    buf_puts(b, first ? "{\"key\":" : ",{\"key\":");
    put_text(b, at->key);
    if (at->text) {
        buf_puts(b, ",\"value\":{\"stringValue\":");
        put_text(b, at->text);
    } else {
        buf_printf(b, ",\"value\":{\"intValue\":\"%lld\"", (long long)at->number);
    }
    buf_puts(b, "}}");
}

static void put_span(struct buf *b, const struct span *s, const char *id)
{
    const char *parent = s->parent ? s->parent : s->traceparent + span_at;
    buf_printf(b, "{\"traceId\":\"%.32s\",\"spanId\":\"%.16s\"", s->traceparent + trace_at, id);
    if (*parent)
        buf_printf(b, ",\"parentSpanId\":\"%.16s\"", parent);
    buf_puts(b, ",\"name\":");
    put_text(b, s->name);
    buf_printf(b,
               ",\"kind\":%d,\"startTimeUnixNano\":\"%lld000\",\"endTimeUnixNano\":\"%lld000\","
               "\"attributes\":[",
               (int)s->kind, (long long)s->begin_us,
               (long long)(s->end_us > s->begin_us ? s->end_us : s->begin_us));
    bool first = true;
    for (size_t i = 0; i < s->nattrs; i++) {
        put_attr(b, &s->attrs[i], first);
        first = false;
    }
    if (s->error)
        put_attr(b, &(struct span_attr){ .key = "error.type", .text = s->error }, first);
    buf_puts(b, s->error ? "],\"status\":{\"code\":2}}" : "]}");
}

static void chunk_open(struct chunk *c)
{
    c->arena = arena_new();
    c->n = 0;
    buf_init(&c->b, c->arena, trace_chunk_bytes / 8, trace_chunk_bytes);
}

void trace_put(struct traces *t, const struct span *s)
{
    char own[17];
    unsigned char raw[8];
    if (!trace_wants(t, s->traceparent))
        return;
    assert(s->nattrs <= trace_attrs_max);
    const char *id = s->traceparent + span_at;
    if (!s->parent) {
        random_bytes(raw, sizeof raw);
        hex_encode(raw, sizeof raw, own);
        id = own;
    }
    pthread_mutex_lock(&t->mu);
    struct buf *b = &t->filling.b;
    size_t was = b->len;
    if (t->filling.n)
        buf_putc(b, ',');
    put_span(b, s, id);
    bool lost = b->overflow;
    if (lost) {
        b->overflow = false;
        b->len = was;
        t->full = true;
        pthread_cond_signal(&t->cv);
    } else {
        t->filling.n++;
    }
    pthread_mutex_unlock(&t->mu);
    if (lost)
        metric_add(t->dropped, 1);
}

/* --- sending -------------------------------------------------------------------------------------
 */

/* Until then, or what gathers is full if `for_more`.  False: it is to end. */
static bool wait_ms(struct traces *t, int64_t ms, bool for_more)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    int64_t ns = end.tv_nsec + ms * 1000000;
    end.tv_sec += ns / 1000000000;
    end.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&t->mu);
    if (!t->stopping && !(for_more && t->full))
        pthread_cond_timedwait(&t->cv, &t->mu, &end);
    bool more = !t->stopping;
    pthread_mutex_unlock(&t->mu);
    return more;
}

/* OTLP §"Retryable response codes". */
static bool passing(const struct httpc_res *res)
{
    return res->result || res->status == 429 || res->status == 502 || res->status == 503 ||
           res->status == 504;
}

static bool post(struct traces *t, struct chunk *c, bool *ret_again)
{
    struct httpc_res res = { 0 };
    struct err err;
    const struct httpc_req req = { .method = "POST",
                                   .url = t->url,
                                   .headers = t->headers,
                                   .nheaders = t->nheaders,
                                   .body = c->b.data,
                                   .body_n = c->b.len,
                                   .timeout_ms = trace_timeout_ms,
                                   .connect_timeout_ms = trace_timeout_ms,
                                   .reply_bytes_max = reply_bytes_max };
    if (httpc_call(t->http, c->arena, &req, &res, &err))
        res.result = -E_unavailable;
    if (!res.result && res.status >= 200 && res.status < 300)
        return true;
    *ret_again = passing(&res);
    log_debug("trace.refused", kv_i("status", res.status),
              kv_s("why", res.reason ? res.reason : ""));
    return false;
}

static void send_chunk(struct traces *t, struct chunk *c)
{
    struct chunk whole;
    int64_t pause_ms = first_wait_ms;
    bool again = true, taken = false;
    chunk_open(&whole);
    whole.b.max += trace_chunk_bytes;
    buf_puts(&whole.b, t->head);
    buf_put(&whole.b, c->b.data, c->b.len);
    buf_puts(&whole.b, "]}]}]}");
    for (int i = 0; i < trace_tries && !taken && again; i++) {
        if (i && !wait_ms(t, pause_ms, false))
            break;
        pause_ms *= i ? 2 : 1;
        taken = post(t, &whole, &again);
    }
    metric_add(taken ? t->sent : t->refused, (int64_t)c->n);
    arena_free(whole.arena);
}

static void *run(void *p)
{
    struct traces *t = p;
    bool more = true;
    while (more) {
        more = wait_ms(t, trace_every_ms, true);
        struct chunk fresh, full;
        chunk_open(&fresh);
        pthread_mutex_lock(&t->mu);
        full = t->filling;
        t->filling = fresh;
        t->full = false;
        pthread_mutex_unlock(&t->mu);
        if (full.n)
            send_chunk(t, &full);
        arena_free(full.arena);
    }
    return NULL;
}

/* --- beginning and end ---------------------------------------------------------------------------
 */

static int read_headers(struct traces *t, const char *list, struct err *err)
{
    t->headers[t->nheaders++] = (struct httpc_header){ "Content-Type", "application/json" };
    for (const char *s = list; *s;) {
        size_t n = strcspn(s, ",");
        char *name = arena_strndup(t->arena, s, n), *value = strchr(name, '=');
        if (!value || value == name || t->nheaders > headers_max)
            return err_set(err, E_config,
                           "CMS365_OTLP_HEADERS is name=value by comma, %d of them at most",
                           headers_max);
        *value++ = '\0';
        t->headers[t->nheaders++] = (struct httpc_header){ name, value };
        s += n + (s[n] == ',');
    }
    return 0;
}

static const char *head_of(struct arena *a, const struct trace_conf *conf)
{
    const struct span_attr about[] = {
        { .key = "service.namespace",   .text = "cms365"       },
        { .key = "service.name",        .text = conf->program  },
        { .key = "service.version",     .text = CMS365_VERSION },
        { .key = "service.instance.id", .text = conf->instance }
    };
    struct buf b;
    buf_init(&b, a, 512, 4096);
    buf_puts(&b, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    for (size_t i = 0; i < ARRAY_LEN(about); i++)
        put_attr(&b, &about[i], !i);
    buf_puts(&b, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"cms365\",\"version\":\"" CMS365_VERSION
                 "\"},\"spans\":[");
    return b.data;
}

static int prepare(struct traces *t, const struct trace_conf *conf, struct err *err)
{
    /* Whose it is says the operator, not a user: it may well be on this machine. */
    const struct httpc_conf hc = { .egress_allow = "0.0.0.0/0,::/0",
                                   .dns_servers = "",
                                   .conns_max = 1,
                                   .user_agent = "365CMS/" CMS365_VERSION };
    if (!str_starts(conf->url, "http://") && !str_starts(conf->url, "https://"))
        return err_set(err, E_config, "CMS365_OTLP_URL is an http or https URL");
    size_t n = strlen(conf->url);
    while (conf->url[n - 1] == '/')
        n--;
    t->url = arena_printf(t->arena, "%.*s/v1/traces", (int)n, conf->url);
    t->head = head_of(t->arena, conf);
    t->take_below = ((uint64_t)conf->sample_ppm << 32) / 1000000;
    int rc = read_headers(t, conf->headers, err);
    return rc ? rc : httpc_new(&hc, &t->http, err);
}

static struct metric_cell *outcome(const char *name)
{
    return metric_cell(M_trace_spans, &name, 1);
}

int trace_start(const struct trace_conf *conf, struct traces **ret, struct err *err)
{
    *ret = NULL;
    if (!*conf->url)
        return 0;
    struct arena *a = arena_new();
    struct traces *t = arena_alloc(a, sizeof *t);
    t->arena = a;
    int rc = prepare(t, conf, err);
    if (rc) {
        arena_free(a);
        return rc;
    }
    t->sent = outcome("sent");
    t->dropped = outcome("dropped");
    t->refused = outcome("refused");
    pthread_mutex_init(&t->mu, NULL);
    pthread_cond_init(&t->cv, NULL);
    chunk_open(&t->filling);
    if (pthread_create(&t->thread, NULL, run, t)) {
        arena_free(t->filling.arena);
        httpc_free(t->http);
        arena_free(a);
        return err_set(err, E_unavailable, "cannot start the thread that sends traces");
    }
    pthread_setname_np(t->thread, "traces");
    *ret = t;
    return 0;
}

void trace_stop(struct traces *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->mu);
    t->stopping = true;
    pthread_cond_signal(&t->cv);
    pthread_mutex_unlock(&t->mu);
    pthread_join(t->thread, NULL);
    httpc_free(t->http);
    arena_free(t->filling.arena);
    arena_free(t->arena);
}
