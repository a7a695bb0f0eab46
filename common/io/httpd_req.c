#include "common/io/httpd_internal.h"

#include "common/base/clock.h"
#include "common/base/str.h"

#include <arpa/inet.h>
#include <assert.h>

/* --- what the server sees of a request -----------------------------------------------------------
 */

/* Most are told apart by their length, and most that are asked for are not there. */
static uint64_t width(size_t n)
{
    return UINT64_C(1) << (n < 63 ? n : 63);
}

static bool named(const struct httpd_conn *c, size_t i, const char *name, size_t n)
{
    const char *own = c->headers[i].name;
    return c->name_n[i] == n && !((own[0] ^ name[0]) & ~0x20) &&
           (memcmp(own, name, n) == 0 || str_ieq(own, name));
}

const char *http_header_n(const struct http_req *req, const char *name, size_t n)
{
    const struct httpd_conn *c = req->conn;
    const char *found = NULL;
    if (!(c->widths & width(n)))
        return NULL;
    for (size_t i = 0; i < c->nheaders; i++) {
        if (!named(c, i, name, n))
            continue;
        found = found ? arena_printf(req->arena, "%s, %s", found, c->headers[i].value)
                      : c->headers[i].value;
    }
    return found;
}

size_t http_headers(const struct http_req *req, const struct http_header **ret)
{
    *ret = req->conn->headers;
    return req->conn->nheaders;
}

size_t http_header_count_n(const struct http_req *req, const char *name, size_t n)
{
    const struct httpd_conn *c = req->conn;
    size_t count = 0;
    for (size_t i = 0; c->widths & width(n) && i < c->nheaders; i++)
        count += named(c, i, name, n);
    return count;
}

void http_res_header(struct http_res *res, const char *name, const char *value)
{
    assert(res->nheaders < response_headers_max);
    res->headers[res->nheaders++] = (struct http_header){ .name = name, .value = value };
}

/* --- life of a request ---------------------------------------------------------------------------
 */

static struct arena *arena_take(struct httpd_loop *l)
{
    if (!l->nspare)
        return arena_new();
    if (--l->nspare < l->spare_least)
        l->spare_least = l->nspare;
    return l->spare[l->nspare];
}

static void arena_give(struct httpd_loop *l, struct arena *a)
{
    if (l->nspare == httpd_spare_arenas_max) {
        arena_free(a);
        return;
    }
    arena_reset(a);
    l->spare[l->nspare++] = a;
}

/* Both MHD and the fiber are through with it. */
static void release(struct httpd_conn *c)
{
    struct httpd_loop *l = c->l;
    if (c->res.stream)
        c->res.stream->gone(c->res.stream);
    if (c->seen && l->h->conf.ops->done)
        l->h->conf.ops->done(&c->req, &c->res, l->h->conf.ctx);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    free(c->body);
    arena_give(l, c->req.arena); /* c lived in there */
    httpd_released(l);
}

void *httpd_on_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct httpd_loop *l = cls;
    struct arena *a = arena_take(l);
    struct httpd_conn *c = arena_alloc(a, sizeof *c);
    c->req.arena = a;
    c->req.conn = c;
    c->req.start_us = clock_mono_us();
    c->l = l;
    c->mhd = mhd;
    c->target = arena_strdup(a, uri);
    c->next = l->live;
    c->link = &l->live;
    if (c->next)
        c->next->link = &c->next;
    l->live = c;
    httpd_count(&l->requests);
    return c;
}

void httpd_on_completed(void *cls, struct MHD_Connection *mhd, void **slot,
                        enum MHD_RequestTerminationCode why)
{
    struct httpd_conn *c = *slot;
    (void)cls;
    (void)why;
    if (!c)
        return;
    *slot = NULL;
    c->mhd_done = true;
    c->l->moved = true;
    if (c->state == REQ_PARKED && !c->held)
        c->l->waiting--; /* its client went away */
    if (c->linger) {
        const union MHD_ConnectionInfo *i =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (i)
            httpd_linger(c->l, i->connect_fd);
    }
    if (!c->serving)
        release(c);
}

void httpd_on_connection(void *cls, struct MHD_Connection *mhd, void **slot,
                         enum MHD_ConnectionNotificationCode what)
{
    struct httpd_loop *l = cls;
    struct httpd_peer *p = *slot;
    httpd_level(&l->connections, what == MHD_CONNECTION_NOTIFY_STARTED);
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        httpd_left(l);
        free(p);
        *slot = NULL;
        return;
    }
    l->welcomed = true;
    p = calloc(1, sizeof *p);
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!p)
        abort();
    if (i && i->client_addr) {
        const struct sockaddr *sa = i->client_addr;
        bool six = sa->sa_family == AF_INET6;
        const struct in6_addr *a6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
        if (six && IN6_IS_ADDR_V4MAPPED(a6))
            inet_ntop(AF_INET, &a6->s6_addr[12], p->text, sizeof p->text);
        else if (six)
            inet_ntop(AF_INET6, a6, p->text, sizeof p->text);
        else
            inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, p->text,
                      sizeof p->text);
    }
    *slot = p;
}

/* --- answering -----------------------------------------------------------------------------------
 */

static const char abandoned_body[] = "{\"type\":\"about:blank\",\"title\":\"The service is "
                                     "temporarily unavailable\",\"status\":503}";
/* For whoever's fiber is still at work on the answer. */
static const struct http_res abandoned = {
    .status = 503,
    .headers = { { "Content-Type", "application/problem+json" },
                { "Cache-Control", "no-store" },
                { "Retry-After", "1" } },
    .nheaders = 3,
    .body = abandoned_body,
    .body_n = sizeof abandoned_body - 1,
};

static ssize_t no_body(void *cls, uint64_t pos, char *out, size_t max)
{
    (void)cls;
    (void)pos;
    (void)out;
    (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* libmicrohttpd may suspend in here; what is resumed is asked again. */
static ssize_t read_stream(void *cls, uint64_t pos, char *out, size_t max)
{
    struct httpd_conn *c = cls;
    (void)pos;
    ssize_t n = c->over ? -1 : c->res.stream->read(c->res.stream, out, max);
    if (n < 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0) {
        c->idle = true;
        MHD_suspend_connection(c->mhd);
    }
    return n;
}

void http_wake(struct http_stream *s)
{
    struct httpd_conn *c = s->conn;
    if (!c || !c->idle)
        return;
    c->idle = false;
    MHD_resume_connection(c->mhd);
    httpd_kick(c->l);
}

void httpd_end_stream(struct httpd_conn *c)
{
    if (!c->res.stream)
        return;
    c->over = true;
    http_wake(c->res.stream);
}

/* MHD says Content-Length with a 304 too, so it has to be told the 200's (RFC 9110 §8.6), which
 * itself is not needed. */
static struct MHD_Response *body_of(struct httpd_conn *c, const struct http_res *res)
{
    if (res->stream)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, httpd_stream_block_bytes,
                                                 read_stream, c, NULL);
    if (res->body_n && res->status == 304)
        return MHD_create_response_from_callback(res->body_n, 1, no_body, NULL, NULL);
    return MHD_create_response_from_buffer(res->body ? res->body_n : 0,
                                           (void *)(uintptr_t)(res->body ? res->body : ""),
                                           MHD_RESPMEM_PERSISTENT);
}

struct MHD_Response *httpd_response(struct httpd_conn *c, const struct http_res *res)
{
    struct MHD_Response *r = body_of(c, res);
    for (size_t i = 0; r && i < res->nheaders; i++)
        MHD_add_response_header(r, res->headers[i].name, res->headers[i].value);
    return r;
}

static void minimal_problem(struct httpd_conn *c, const struct err *why)
{
    struct http_res *res = &c->res;
    res->status = err_http(why->code);
    res->body =
        arena_printf(c->req.arena, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d}",
                     err_title(why->code), res->status);
    res->body_n = strlen(res->body);
    http_res_header(res, "Content-Type", "application/problem+json");
    http_res_header(res, "Cache-Control", "no-store");
    if (why->retry_after_s)
        http_res_header(res, "Retry-After", arena_printf(c->req.arena, "%u", why->retry_after_s));
}

static void refuse(struct httpd_conn *c, const struct err *why)
{
    const struct httpd_conf *conf = &c->l->h->conf;
    httpd_count(&c->l->refused);
    c->refused = true;
    if (c->res.stream)
        c->res.stream->gone(c->res.stream);
    c->res = (struct http_res){ .close = true };
    if (conf->ops->refuse) {
        c->seen = true;
        conf->ops->refuse(&c->req, &c->res, why, conf->ctx);
    } else {
        minimal_problem(c, why);
    }
}

/* libmicrohttpd closes the connection without a word if an answer's header does not fit. */
static bool fits(const struct httpd_conn *c)
{
    size_t n = c->head_bytes;
    for (size_t i = 0; i < c->res.nheaders; i++)
        n += strlen(c->res.headers[i].name) + strlen(c->res.headers[i].value) + sizeof(": \r\n");
    return n <= httpd_pool_bytes - httpd_line_bytes;
}

static enum MHD_Result queue(struct httpd_conn *c)
{
    if (!c->abandoned && !c->refused && !fits(c)) {
        struct err why;
        err_set(&why, E_headers_too_large, "The answer's header would be too large; ask for less.");
        refuse(c, &why);
    }
    const struct http_res *res = c->abandoned ? &abandoned : &c->res;
    bool close = c->abandoned || c->linger || (!c->serving && res->close) ||
                 __atomic_load_n(&c->l->h->draining, __ATOMIC_RELAXED);
    bool at_once = c->state == REQ_BODY && !c->refused && !close;
    struct MHD_Response *kept = at_once ? httpd_kept(c, res) : NULL;
    struct MHD_Response *r = kept ? kept : httpd_response(c, res);
    if (!r)
        return MHD_NO;
    if (close)
        MHD_add_response_header(r, "Connection", "close");
    c->state = REQ_SENDING;
    if (res->stream) {
        res->stream->conn = c;
        c->over = c->l->stopping;
    }
    enum MHD_Result rc = MHD_queue_response(c->mhd, (unsigned)(res->status ? res->status : 500), r);
    if (!kept)
        MHD_destroy_response(r);
    return rc;
}

/* A parked request has its answer.  c is gone if MHD finds that its client is. */
static void unpark(struct httpd_conn *c)
{
    struct httpd_loop *l = c->l;
    c->state = REQ_READY;
    if (c->held)
        MHD_resume_connection(c->mhd);
    else
        l->waiting--;
    if (!c->held && queue(c) == MHD_NO)
        c->state = REQ_READY; /* asked again, MHD hears of it and closes */
    httpd_kick(l);
}

static void fiber_main(void *p)
{
    struct httpd_conn *c = p;
    struct httpd_loop *l = c->l;
    l->h->conf.ops->serve(&c->req, &c->res, l->h->conf.ctx);
    c->serving = false;
    httpd_level(&l->in_flight, false);
    if (c->mhd_done) { /* abandoned, and its answer is gone already */
        release(c);
    } else if (c->state == REQ_PARKED) {
        unpark(c);
    }
}

static enum MHD_Result serve(struct httpd_conn *c)
{
    struct httpd_loop *l = c->l;
    c->req.body = c->body ? c->body : "";
    c->serving = true;
    httpd_level(&l->in_flight, true);
    if (!fiber_spawn(l->loop, fiber_main, c)) {
        struct err e;
        c->serving = false;
        httpd_level(&l->in_flight, false);
        err_set(&e, E_unavailable, "Too many requests are being served.");
        e.retry_after_s = 1;
        refuse(c, &e);
        return queue(c);
    }
    if (!c->serving)
        return queue(c); /* never parked, so never suspended: rulings.md 2 */
    c->state = REQ_PARKED;
    httpd_count(&l->suspended);
    l->waiting++;
    return MHD_YES;
}

/* MHD asks each time it runs whether there is an answer by now. */
static enum MHD_Result look(struct httpd_conn *c)
{
    if (++c->looks == httpd_looks_max) {
        c->l->waiting--;
        c->held = true;
        MHD_suspend_connection(c->mhd);
    }
    return MHD_YES;
}

void httpd_abandon(struct httpd_conn *c)
{
    if (c->state != REQ_PARKED)
        return;
    c->abandoned = true;
    unpark(c);
}

/* --- reading -------------------------------------------------------------------------------------
 */

struct header_walk {
    struct httpd_field *fields; /* libmicrohttpd's */
    size_t n, bytes;
    bool bad;
};

/* tchar of RFC 9110 §5.6.2, a bit each. */
#define BIT(c)         (UINT64_C(1) << ((c) & 63))
#define BITS(first, n) ((BIT(n) - 1) << ((first) & 63))
static const uint64_t token_chars[4] = { BITS('0', 10) | BIT('!') | BIT('#') | BIT('$') | BIT('%') |
                                             BIT('&') | BIT('\'') | BIT('*') | BIT('+') | BIT('-') |
                                             BIT('.'),
                                         BITS('A', 26) | BITS('a', 26) | BIT('^') | BIT('_') |
                                             BIT('`') | BIT('|') | BIT('~') };

/* No way out in between, in this and the next: they are nearly all good. */
static bool is_token(const char *s, size_t n)
{
    uint64_t ok = n > 0;
    for (size_t i = 0; i < n; i++)
        ok &= token_chars[(unsigned char)s[i] >> 6] >> (s[i] & 63);
    return ok;
}

static bool is_value(const char *s, size_t n)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = 0x80 * ones;
    bool ok = true;
    while (n) {
        uint64_t w;
        size_t step = n < sizeof w ? 1 : sizeof w;
        if (step == sizeof w) { /* eight, none below a space and none DEL */
            memcpy(&w, s, sizeof w);
            uint64_t del = w ^ 0x7f * ones;
            if (((w - 0x20 * ones) & ~w & high) || ((del - ones) & ~del & high))
                step = 1;
        }
        if (step == 1)
            ok &= ((unsigned char)*s >= 32 || *s == '\t') && *s != 127;
        s += step;
        n -= step;
    }
    return ok;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_n,
                                 const char *value, size_t value_n)
{
    struct header_walk *w = cls;
    (void)kind;
    if (!value)
        value = "", value_n = 0;
    if (w->n < httpd_headers_max)
        w->fields[w->n] = (struct httpd_field){ key, value, key_n, value_n };
    w->n++;
    w->bytes += key_n + value_n + 2;
    w->bad |= !is_token(key, key_n) || !is_value(value, value_n);
    return MHD_YES;
}

static char *copy_out(char **out, const char *s, size_t n)
{
    char *at = *out;
    memcpy(at, s, n);
    at[n] = '\0';
    *out += n + 1;
    return at;
}

/* Copies the header: its strings outlive MHD's when a client leaves while the fiber is parked. */
static int take_headers(struct httpd_conn *c, struct err *err)
{
    struct header_walk w = { .fields = c->l->fields };
    MHD_get_connection_values_n(c->mhd, MHD_HEADER_KIND, on_header, &w);
    if (w.bad)
        return err_set(err, E_invalid, "A header field is malformed.");
    c->head_bytes = strlen(c->target) + w.bytes + w.n * httpd_field_bytes;
    if (w.n > httpd_headers_max || w.bytes > header_bytes_max ||
        c->head_bytes > httpd_pool_bytes - httpd_answer_bytes)
        return err_set(err, E_headers_too_large,
                       "At most %d header fields and %d bytes of them and the target are taken.",
                       httpd_headers_max, header_bytes_max);
    if (!w.n)
        return 0;
    char *out = arena_raw(c->req.arena, w.bytes);
    c->headers = arena_raw(c->req.arena, w.n * sizeof *c->headers);
    c->name_n = arena_raw(c->req.arena, w.n * sizeof *c->name_n);
    for (size_t i = 0; i < w.n; i++) {
        const struct httpd_field *f = &w.fields[i];
        c->name_n[i] = (uint16_t)f->name_n;
        c->widths |= width(f->name_n);
        c->headers[i].name = copy_out(&out, f->name, f->name_n);
        c->headers[i].value = copy_out(&out, f->value, f->value_n);
    }
    c->nheaders = w.n;
    return 0;
}

/* Path and query of the target, which may be in absolute form (RFC 9112 §3.2). */
static int take_target(struct httpd_conn *c, struct err *err)
{
    char *s = c->target;
    if (strlen(s) > target_bytes_max)
        return err_set(err, E_uri_too_long, "At most %d bytes are taken.", target_bytes_max);
    for (const char *p = s; *p; p++) {
        if ((unsigned char)*p <= 32 || *p == 127)
            return err_set(err, E_invalid, "The request target has a control character or space.");
    }
    bool plain = str_starts(s, "http://");
    if (plain || str_starts(s, "https://")) {
        char *slash = strpbrk(s + (plain ? 7 : 8), "/?");
        s = !slash          ? arena_strdup(c->req.arena, "/")
            : *slash == '?' ? arena_printf(c->req.arena, "/%s", slash)
                            : slash;
    }
    char *q = strchr(s, '?');
    if (q)
        *q = '\0';
    c->req.path = s;
    c->req.query = q ? q + 1 : "";
    return 0;
}

/* Framing that two parsers could read in two ways is refused (RFC 9112 §6.3, rulings.md 22). */
static int check_framing(struct httpd_conn *c, const char *version, bool *ret_body, struct err *err)
{
    const struct http_req *req = &c->req;
    size_t hosts = http_header_count(req, "Host");
    size_t lengths = http_header_count(req, "Content-Length");
    const char *coding = http_header(req, "Transfer-Encoding");
    if (hosts > 1 || (hosts == 0 && str_eq(version, "HTTP/1.1")))
        return err_set(err, E_invalid, "A request has exactly one Host header.");
    if (coding && lengths)
        return err_set(err, E_invalid,
                       "Content-Length and Transfer-Encoding must not come together.");
    if (coding && !str_ieq(coding, "chunked"))
        return err_set(err, E_invalid, "The only transfer coding is chunked.");
    if (lengths > 1 ||
        (lengths && !str_to_u64(http_header(req, "Content-Length"), INT64_MAX, &c->body_expected)))
        return err_set(err, E_invalid, "Content-Length is not one number.");
    *ret_body = coding || c->body_expected;
    return 0;
}

static int head_ok(struct httpd_conn *c, const char *version, bool *ret_body, struct err *err)
{
    int rc = take_headers(c, err);
    if (!rc)
        rc = take_target(c, err);
    if (!rc)
        rc = check_framing(c, version, ret_body, err);
    return rc;
}

static int too_large(const struct httpd_conn *c, struct err *err)
{
    return err_set(err, E_too_large, "The body may have %zu bytes at most.", c->req.body_max);
}

static enum MHD_Result on_head(struct httpd_conn *c, const char *method, const char *version)
{
    const struct httpd_conf *conf = &c->l->h->conf;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    const struct httpd_peer *peer = info ? info->socket_context : NULL;
    struct err err = { 0 };
    bool body = true;
    c->req.method = arena_strdup(c->req.arena, method);
    c->req.peer = peer ? arena_strdup(c->req.arena, peer->text) : "";
    c->req.path = c->req.query = c->req.body = "";
    c->state = REQ_BODY;
    if (head_ok(c, version, &body, &err)) {
        refuse(c, &err);
    } else {
        c->seen = true;
        if (!conf->ops->head(&c->req, &c->res, conf->ctx)) {
            httpd_count(&c->l->refused);
            c->refused = true;
        } else if (c->body_expected > c->req.body_max) {
            too_large(c, &err);
            refuse(c, &err);
        }
    }
    if (!c->refused || !body)
        return MHD_YES;
    /* A small body is dropped and the connection kept; a client that asked first, or would send
     * much, is told now. */
    if (!c->res.close && c->body_expected && c->body_expected <= httpd_discard_bytes_max &&
        !http_header(&c->req, "Expect"))
        return MHD_YES;
    c->linger = true;
    return queue(c);
}

static void grow_body(struct httpd_conn *c, size_t need)
{
    size_t cap = c->body_cap ? c->body_cap : httpd_body_first_bytes;
    if (!c->body_cap && c->body_expected && c->body_expected < cap)
        cap = (size_t)c->body_expected + 1;
    while (cap < need + 1)
        cap *= 2;
    if (c->body_expected && cap > c->body_expected + 1)
        cap = (size_t)c->body_expected + 1;
    char *p = realloc(c->body, cap);
    if (!p)
        abort();
    c->body = p;
    c->body_cap = cap;
}

static enum MHD_Result on_body(struct httpd_conn *c, const char *data, size_t *n)
{
    struct err err;
    if (!c->refused && c->req.body_n + *n > c->req.body_max) {
        too_large(c, &err);
        refuse(c, &err); /* chunked: MHD takes an answer after the body only */
    }
    if (c->refused) {
        c->overrun += *n;
        *n = 0;
        return c->overrun > httpd_overrun_bytes_max ? MHD_NO : MHD_YES;
    }
    if (c->req.body_n + *n + 1 > c->body_cap)
        grow_body(c, c->req.body_n + *n);
    memcpy(c->body + c->req.body_n, data, *n);
    c->req.body_n += *n;
    c->body[c->req.body_n] = '\0';
    *n = 0;
    return MHD_YES;
}

enum MHD_Result httpd_on_access(void *cls, struct MHD_Connection *mhd, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *data_n, void **slot)
{
    struct httpd_conn *c = *slot;
    (void)cls;
    (void)url; /* the target as sent is in c */
    assert(c && c->mhd == mhd);
    if (c->state == REQ_PARKED)
        return look(c);
    c->l->moved = true;
    switch (c->state) {
    case REQ_HEAD:
        return on_head(c, method, version);
    case REQ_BODY:
        if (*data_n)
            return on_body(c, data, data_n);
        return c->refused ? queue(c) : serve(c);
    case REQ_READY:
        return queue(c);
    case REQ_PARKED:
    case REQ_SENDING:
        break;
    }
    return MHD_NO;
}
