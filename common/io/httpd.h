#ifndef IO_HTTPD_H
#define IO_HTTPD_H
/*
 * Incoming HTTP/1.1: libmicrohttpd driven by one event loop a core, a fiber a request.
 *
 * httpd knows nothing of routes.  `head` is called once the header is read: it sets req->body_max
 * or refuses (fills res, returns false) before any body is taken.  `serve` runs in a fiber with the
 * whole body.  `done` is called after the response was sent or the client left, on the loop, then
 * the arena goes.  A request whose fiber never parks is answered in the same MHD call, without
 * suspending (rulings.md 2).
 *
 * Refused here, with a minimal problem+json and close: Content-Length with Transfer-Encoding,
 * missing or second Host, header over header_bytes_max (431), target over target_bytes_max (414),
 * body over body_max (413), control bytes in the target or a value.  (libmicrohttpd itself cuts a
 * line at a NUL; the gateway refuses those.)
 */
#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/loop.h"

#include <sys/types.h>

enum {
    header_bytes_max = 16 * 1024, /* all fields together, of a request or an answer */
    target_bytes_max = 8 * 1024,
    httpd_headers_max = 100,
    response_headers_max = 40
};

struct http_header {
    const char *name, *value;
};
struct http_req {
    struct arena *arena;
    const char *method;
    const char *path;  /* as sent, before '?' , not decoded */
    const char *query; /* as sent, after '?', or "" */
    const char *body;
    size_t body_n, body_max;
    const char *peer; /* address text of the TCP peer */
    int64_t start_us; /* monotonic */
    void *user;       /* the server's own, per request */
    struct httpd_conn *conn;
};
/*
 * A body that has no end yet, such as server-sent events; embedded in what the server keeps of it.
 * All three run on the request's loop.  `read` writes up to `max` bytes and answers how many; 0:
 * there is nothing now, it is asked again after http_wake; negative: that was all.  `gone` is
 * called once, when the client has left or the listener stops; then http_wake must not be called
 * any more. A stopping listener ends every stream.
 */
struct http_stream {
    ssize_t (*read)(struct http_stream *s, char *out, size_t max);
    void (*gone)(struct http_stream *s);
    struct httpd_conn *conn; /* httpd's own */
};
void http_wake(struct http_stream *s); /* also before the answer has begun */
struct http_res {
    int status;
    struct http_header headers[response_headers_max];
    size_t nheaders;
    const char
        *body; /* in the request's arena, or static; NULL with a 304: only its length is known */
    size_t body_n;
    bool close;
    struct http_stream *stream; /* in place of a body, or NULL */
};
/* `n`: the name's length, which a compiler knows of a literal. */
const char *http_header_n(const struct http_req *req, const char *name, size_t n);
size_t http_header_count_n(const struct http_req *req, const char *name, size_t n);
/* NULL: none.  Several are joined by ", ". */
static inline const char *http_header(const struct http_req *req, const char *name)
{
    return http_header_n(req, name, strlen(name));
}
static inline size_t http_header_count(const struct http_req *req, const char *name)
{
    return http_header_count_n(req, name, strlen(name));
}
size_t http_headers(const struct http_req *req, const struct http_header **ret); /* all, as sent */
/* Borrowed strings; asserts on overflow of the table. */
void http_res_header(struct http_res *res, const char *name, const char *value);

struct httpd_ops {
    bool (*head)(struct http_req *req, struct http_res *res, void *ctx);
    void (*serve)(struct http_req *req, struct http_res *res, void *ctx);
    /* May be NULL.  Called once for each request that `head` saw or `refuse` answered. */
    void (*done)(struct http_req *req, const struct http_res *res, void *ctx);
    /* Words the answer to what httpd itself refuses; runs on the loop, must not wait.  NULL: a
     * minimal problem+json. */
    void (*refuse)(struct http_req *req, struct http_res *res, const struct err *why, void *ctx);
};
struct httpd_conf {
    const char *listen; /* "127.0.0.1:8080", "[::]:8080" */
    size_t loops;       /* 0: as many as cores */
    size_t conns_max;   /* all loops together */
    unsigned idle_timeout_s;
    const struct httpd_ops *ops;
    void *ctx;
    void (*loop_start)(struct loop *l, void *ctx),
        (*loop_stop)(struct loop *l, void *ctx); /* may be NULL */
};
struct httpd;
/* Starts the loop threads and listens.  E_config names a busy or bad address. */
int httpd_start(const struct httpd_conf *conf, struct httpd **ret, struct err *err) MUST_CHECK;
unsigned httpd_port(const struct httpd *h); /* the one bound, when `listen` said port 0 */
/* From now on each response says Connection: close, so that the gateway lets go of its idle
 * connections; the listener still accepts. */
void httpd_drain(struct httpd *h);
/* Stops accepting, lets requests in flight finish (their responses say Connection: close) for at
 * most drain_ms, answers 503 to the rest, joins. */
void httpd_stop(struct httpd *h, unsigned drain_ms);
size_t httpd_loops(const struct httpd *h);
struct httpd_stats {
    uint64_t requests, suspended, refused;
    size_t connections, in_flight;
    uint64_t loop_holds;
};
void httpd_stats(const struct httpd *h, struct httpd_stats *ret);
#endif
