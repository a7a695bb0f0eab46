#ifndef KIT_ROUTE_INTERNAL_H
#define KIT_ROUTE_INTERNAL_H
/*
 * What the files of route share: route_match.c (paths), route.c (the pipeline), route_id.c (request
 * id, trace, client address), route_auth.c, route_query.c, route_accept.c (media types),
 * route_cond.c (ETag, preconditions), route_problem.c, route_log.c (log line, metrics, exchange
 * log).
 */
#include "common/base/log.h"
#include "common/io/httpd.h"
#include "common/kit/route.h"
#include "common/kit/route_server.h"

enum {
    route_params_max = 4,
    route_args_max = 64,
    route_segments_max = 16,
    route_res_bytes_max = 64 * 1024 * 1024,
    route_status_slots = 32,
    route_heavy_body_bytes = 256 * 1024, /* parsed by a worker from here on */
    route_idle_body_bytes = 64 * 1024,   /* read from requests that should have none, to say so */
};

struct metric_cell;
/* A row with what is looked up once. */
struct route_leaf {
    const struct route *route;
    int scope; /* enum scope or -1 */
    struct metric_cell *seconds;
    struct metric_cell *count[METHODS_MAX_][route_status_slots]; /* filled on first use */
};
struct routes *routes_build(struct arena *a, const struct route *const *tables, bool internal,
                            struct err *err);
struct route_leaf *routes_find(const struct routes *r, struct arena *a, enum method m,
                               const char *path, const char **params, unsigned *ret_allowed);

struct net {
    unsigned char addr[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
};
struct nets {
    struct net *v;
    size_t n;
};
int nets_parse(struct arena *a, const char *text, struct nets *ret, struct err *err) MUST_CHECK;
bool nets_have(const struct nets *nets, const char *addr);

struct router {
    struct svc *svc;
    bool ops;
    struct routes *routes;
    struct route_leaf unmatched;
    struct nets proxies;
    const char *public_url, *internal_token, *program;
    int reqres_fd; /* -1: off */
};

/* One request on its way through the phases. */
struct call {
    struct router *rt;
    struct http_req *http;
    struct req req;
    struct res res;
    struct route_leaf *leaf; /* NULL: none matched */
    unsigned allowed;        /* methods of the path, a bit each */
    bool answered;           /* a phase gave the answer: the later ones are skipped */
    bool credential;         /* one was sent */
    enum err_code failed;    /* E_OK: the handler's own answer */
    const char *detail;      /* of the failure, for the log */
    int64_t end_us;
    struct log_context log;
};

/* route_id.c */
void route_identify(struct call *c); /* request id, trace, client address, log context */
/* route_auth.c */
int route_authenticate(struct call *c, struct err *err) MUST_CHECK;
int route_authorize(struct call *c, struct err *err) MUST_CHECK;
const char *route_challenge(const struct call *c); /* WWW-Authenticate of a 401 or 403 */
int route_idempotency(struct call *c, struct err *err) MUST_CHECK;
/* route_query.c */
int route_query(struct call *c, struct err *err) MUST_CHECK;
/* route_accept.c */
int route_negotiate(struct call *c, struct err *err) MUST_CHECK;
int route_media_type(struct call *c, struct err *err) MUST_CHECK;
bool accept_allows(const char *accept, const char *type, int *ret_q); /* q in thousandths */
/* route_cond.c */
int route_conditional(struct call *c, struct err *err) MUST_CHECK;
/* route_problem.c */
void route_problem(struct call *c, const struct err *err);
/* route_log.c */
void route_record(struct call *c, const struct http_res *sent);
int reqres_open(const char *path, struct err *err); /* descriptor, or negative */
#endif
