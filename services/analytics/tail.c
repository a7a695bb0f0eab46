#include "services/analytics/tail.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/base/str.h"
#include "common/io/bus.h"
#include "common/io/httpd.h"
#include "common/kit/metrics.h"
#include "common/kit/vis.h"
#include "services/analytics/analytics.h"
#include "services/analytics/record.h"

#include <assert.h>
#include <pthread.h>

enum {
    read_max = 32,
    read_ms = 200,
    idle_ms = 100,
    note_bytes = 80,
    event_bytes_max = 4096,
    word_max = 200,
};

struct subscriber {
    struct http_stream stream; /* first */
    struct tail *tail;
    struct loop *loop;
    struct subscriber *next, **link;
    int64_t user; /* 0: everybody's */
    int64_t key, min_status, min_us;
    char program[word_max + 1], method[word_max + 1], route[word_max + 1]; /* "": any */
    int64_t end_us, beat_us;
    /* Under tail->mu: */
    unsigned holders; /* the connection, and a wake under way */
    bool posted, gone, over, ready;
    uint64_t dropped;
    size_t from, len; /* of what is not sent yet, in the ring */
    char ring[tail_buffer_bytes];
};
struct tail {
    pthread_mutex_t mu;
    struct subscriber *first;
    size_t n;
};

struct tail *tail_new(void)
{
    struct tail *t = calloc(1, sizeof *t);
    assert(t);
    pthread_mutex_init(&t->mu, NULL);
    return t;
}

void tail_free(struct tail *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->mu);
    free(t);
}

/* --- a subscriber: all under tail->mu ----------------------------------------------------------
 */

static bool put(struct subscriber *s, const char *text, size_t n)
{
    if (n > sizeof s->ring - s->len)
        return false;
    size_t at = (s->from + s->len) % sizeof s->ring;
    size_t first = n < sizeof s->ring - at ? n : sizeof s->ring - at;
    memcpy(s->ring + at, text, first);
    memcpy(s->ring, text + first, n - first);
    s->len += n;
    return true;
}

static bool put_text(struct subscriber *s, const char *text)
{
    return put(s, text, strlen(text));
}

/* What was left out is told as soon as there is room for the word. */
static void put_event(struct subscriber *s, const char *text, size_t n)
{
    char note[note_bytes];
    if (s->dropped) {
        int k = snprintf(note, sizeof note, "event: dropped\ndata: {\"n\":%llu}\n\n",
                         (unsigned long long)s->dropped);
        if ((size_t)k + n <= sizeof s->ring - s->len && put(s, note, (size_t)k))
            s->dropped = 0;
    }
    if (s->dropped || !put(s, text, n))
        s->dropped++;
}

static void release(struct subscriber *s) /* unlocks */
{
    bool last = --s->holders == 0;
    pthread_mutex_unlock(&s->tail->mu);
    if (last)
        free(s);
}

/* On its loop. */
static void wake(void *p)
{
    struct subscriber *s = p;
    pthread_mutex_lock(&s->tail->mu);
    s->posted = false;
    bool there = !s->gone;
    pthread_mutex_unlock(&s->tail->mu);
    if (there) /* only this thread makes it gone */
        http_wake(&s->stream);
    pthread_mutex_lock(&s->tail->mu);
    release(s);
}

static void post(struct subscriber *s)
{
    if (s->posted || (!s->len && !s->over))
        return;
    s->posted = true;
    s->holders++;
    loop_post(s->loop, wake, s);
}

static ssize_t on_read(struct http_stream *stream, char *out, size_t max)
{
    struct subscriber *s = (struct subscriber *)(void *)stream;
    pthread_mutex_lock(&s->tail->mu);
    size_t n = s->len < max ? s->len : max;
    size_t first = n < sizeof s->ring - s->from ? n : sizeof s->ring - s->from;
    memcpy(out, s->ring + s->from, first);
    memcpy(out + first, s->ring, n - first);
    s->from = (s->from + n) % sizeof s->ring;
    s->len -= n;
    bool over = s->over;
    pthread_mutex_unlock(&s->tail->mu);
    return n == 0 && over ? -1 : (ssize_t)n;
}

static void on_gone(struct http_stream *stream)
{
    struct subscriber *s = (struct subscriber *)(void *)stream;
    pthread_mutex_lock(&s->tail->mu);
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    s->tail->n--;
    s->gone = true;
    metric_gauge(M_analytics_tails, (int64_t)s->tail->n);
    release(s);
}

/* --- subscribing ------------------------------------------------------------------------------
 */

static int64_t number_arg(const struct req *req, const char *name)
{
    const char *text = req_arg(req, name);
    int64_t v = 0;
    return text && str_to_i64(text, 0, INT64_MAX, &v) ? v : 0; /* its form was checked */
}

static void word_arg(const struct req *req, const char *name, char out[word_max + 1])
{
    const char *text = req_arg(req, name);
    snprintf(out, word_max + 1, "%s", text ? text : "");
}

static struct subscriber *subscriber_new(const struct req *req, struct tail *t)
{
    struct subscriber *s = calloc(1, sizeof *s);
    assert(s);
    s->stream = (struct http_stream){ .read = on_read, .gone = on_gone };
    s->tail = t;
    s->loop = loop_self();
    s->user = vis_is_admin(&req->who) ? 0 : req->who.user_id;
    s->key = number_arg(req, "key");
    s->min_status = number_arg(req, "min_status");
    s->min_us = number_arg(req, "min_us");
    word_arg(req, "program", s->program);
    word_arg(req, "method", s->method);
    word_arg(req, "route", s->route);
    const char *accept = req_header(req, "Accept");
    bool follows = accept && strstr(accept, "text/event-stream");
    s->beat_us = clock_mono_us();
    s->end_us = s->beat_us + (follows ? tail_life_ms : tail_glance_ms) * INT64_C(1000);
    s->holders = 1;
    put_text(s, "retry: 1000\n: welcome\n\n");
    return s;
}

int get_tail(struct req *req, struct res *res, struct err *err)
{
    struct tail *t = ((struct analytics *)req->svc->state)->tail;
    if (!vis_is_admin(&req->who) && !req->who.user_id)
        return err_set(err, E_forbidden, "This credential owns nothing to look at.");
    pthread_mutex_lock(&t->mu);
    bool full = t->n >= tail_subscribers_max;
    if (!full) {
        struct subscriber *s = subscriber_new(req, t);
        s->next = t->first;
        s->link = &t->first;
        if (s->next)
            s->next->link = &s->next;
        t->first = s;
        t->n++;
        metric_gauge(M_analytics_tails, (int64_t)t->n);
        res->stream = &s->stream;
    }
    pthread_mutex_unlock(&t->mu);
    if (full) {
        err_set(err, E_unavailable, "There are %d readers of the live log already.",
                tail_subscribers_max);
        err->retry_after_s = 10;
        return -E_unavailable;
    }
    res->content_type = "text/event-stream";
    res->cache_control = "no-store";
    res_header(res, "X-Accel-Buffering", "no"); /* a gateway would wait for more */
    return 0;
}

/* --- the thread -------------------------------------------------------------------------------
 */

static bool fits(const char *want, const char *have)
{
    return !*want || str_eq(want, have);
}

static bool wants(const struct subscriber *s, const struct batch *b, const struct record *r)
{
    return (!s->user || s->user == r->number[RR_user]) &&
           (!s->key || s->key == r->number[RR_key]) && r->number[RR_status] >= s->min_status &&
           r->number[RR_total_us] >= s->min_us && fits(s->program, b->program) &&
           fits(s->method, r->text[RR_method]) && fits(s->route, r->text[RR_route]);
}

static void tell(struct tail *t, struct arena *a, const struct batch *b)
{
    struct buf text;
    buf_init(&text, a, 1024, event_bytes_max);
    for (size_t i = 0; i < b->n; i++) {
        buf_reset(&text);
        buf_puts(&text, "event: request\ndata: ");
        record_json(&text, b, &b->rows[i]);
        buf_puts(&text, "\n\n");
        if (text.overflow)
            continue;
        pthread_mutex_lock(&t->mu);
        for (struct subscriber *s = t->first; s; s = s->next)
            if (wants(s, b, &b->rows[i]))
                put_event(s, text.data, text.len);
        pthread_mutex_unlock(&t->mu);
    }
}

static void wake_all(struct tail *t, bool caught_up)
{
    int64_t now = clock_mono_us();
    pthread_mutex_lock(&t->mu);
    for (struct subscriber *s = t->first; s; s = s->next) {
        if (caught_up && !s->ready)
            s->ready = put_text(s, "event: ready\ndata: {}\n\n");
        if (now - s->beat_us > tail_beat_ms * INT64_C(1000)) {
            s->beat_us = now;
            put_text(s, ": still here\n\n");
        }
        s->over = s->over || now > s->end_us;
        post(s);
    }
    pthread_mutex_unlock(&t->mu);
}

static bool listened_to(struct tail *t)
{
    pthread_mutex_lock(&t->mu);
    bool any = t->n > 0;
    pthread_mutex_unlock(&t->mu);
    return any;
}

static struct bus_reader *open_reader(const struct svc *svc)
{
    struct bus_reader *r = NULL;
    struct err err;
    if (bus_reader_new(svc->conf->kafka_brokers, "api.requests", &r, &err))
        return NULL;
    bus_reader_from_end(r);
    return r;
}

static void follow(struct svc *svc, struct tail *t, struct bus_reader *r)
{
    struct arena *a = arena_new();
    struct bus_msg *m;
    size_t n = 0;
    struct err err;
    bool away = bus_read(r, a, read_max, read_ms, &m, &n, &err) != 0;
    for (size_t i = 0; !away && i < n; i++) {
        struct batch b;
        if (m[i].payload && !batch_read(a, m[i].payload, m[i].len, &b, &err))
            tell(t, a, &b);
    }
    arena_free(a);
    wake_all(t, !away && bus_reader_caught_up(r));
    if (away)
        svc_pause(svc, idle_ms);
}

void tail_job(struct svc *svc)
{
    struct tail *t = ((struct analytics *)svc->state)->tail;
    struct bus_reader *r = NULL;
    while (!svc_stopping(svc)) {
        if (!listened_to(t)) {
            bus_reader_free(r);
            r = NULL;
            svc_pause(svc, idle_ms);
            continue;
        }
        if (!r)
            r = open_reader(svc);
        if (r)
            follow(svc, t, r);
        else
            svc_pause(svc, idle_ms);
    }
    bus_reader_free(r);
}
