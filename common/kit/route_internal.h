#ifndef KIT_ROUTE_INTERNAL_H
#define KIT_ROUTE_INTERNAL_H
/*
 * What the files of route share: route_match.c (paths), route.c (the pipeline), route_id.c (request
 * id, trace, client address), route_auth.c, route_query.c, route_accept.c (media types, codings),
 * route_cond.c (ETag, preconditions), route_repr.c (the answer in another form or coding),
 * route_cache.c (answers that are kept), route_problem.c, route_version.c (older versions of the
 * API), route_deprecation.c, route_log.c (log line, metrics, exchange log).
 */
#include "common/base/log.h"
#include "common/io/coding.h"
#include "common/io/httpd.h"
#include "common/kit/limit.h"
#include "common/kit/rcache.h"
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
    int scope;      /* enum scope or -1 */
    int deprecated; /* in deprecations[], or -1 */
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

enum { router_lengths = 4096, router_length_max = (1 << 24) - 1 };
struct deprecation_dates {
    int64_t since_s, sunset_s; /* 0: not deprecated */
};
struct router {
    struct svc *svc;
    bool ops;
    struct routes *routes;
    struct route_leaf unmatched;
    struct nets proxies;
    const char *public_url, *internal_token, *program;
    int reqres_fd;                                         /* -1: off */
    struct deprecation_dates deprecated[deprecations_max]; /* by the setting; as deprecations[] */
    uint64_t lengths[router_lengths]; /* of bodies in other forms: hash and number (route_repr.c) */
};

/* One request on its way through the phases. */
struct call {
    struct router *rt;
    struct http_req *http;
    struct req req;
    struct res res;
    struct route_leaf *leaf;             /* NULL: none matched */
    unsigned allowed;                    /* methods of the path, a bit each */
    const struct route_leaf *listed;     /* the list that Prefer made an export of, or NULL */
    const struct route_version *version; /* NULL: the present one, or none */
    int64_t version_asked;               /* by Accept, of a path without one; 0: the path has one */
    bool own_id;                         /* the request's id is ours, not the client's */
    bool answered;                       /* a phase gave the answer: the later ones are skipped */
    bool credential;                     /* one was sent */
    bool dpop;                           /* as "DPoP <token>" (RFC 9449) */
    bool cookie;                         /* as the cookie of a browser session */
    unsigned char repr;                  /* enum repr of a success, which Accept chose */
    unsigned char coding;                /* enum coding that Accept-Encoding prefers, */
    bool plain;                          /* and whether it may stay away */
    bool coded_body;                     /* the request's, which is refused */
    struct limit_answer limits;
    size_t unsent; /* 304: length of a form that was not made, or 0 */
    struct {
        struct rcache_key keys[2]; /* whoever reads alike; this reader */
        size_t nkeys;
        bool wanted; /* the answer is to be kept */
        struct rcache_made made;
        const char *status; /* Cache-Status (RFC 9211), or NULL */
        size_t nextra;      /* headers that are the request's, not the answer's */
    } kept;
    enum err_code failed;     /* E_OK: the handler's own answer */
    const char *detail;       /* of the failure, for the log */
    int64_t served_us, db_us; /* when a fiber took it; how long that waited for the database */
    int64_t end_us;
    struct log_context log;
    char parent_span[17]; /* the caller's (W3C Trace Context), or "" */
};

/* route_id.c */
void route_identify(struct call *c); /* request id, trace, client address, log context */
/* route_auth.c */
int route_authenticate(struct call *c, struct err *err) MUST_CHECK;
int route_authorize(struct call *c, struct err *err) MUST_CHECK;
/* route_session.c */
/* The session that the request's cookie may speak for; *ret NULL: none.  E_forbidden for a write
 * that another site may have caused. */
int route_cookie(struct call *c, const char **ret, struct err *err) MUST_CHECK;
void route_cookie_clear(struct call *c);
const char *route_challenge(const struct call *c); /* WWW-Authenticate of a 401 or 403 */
int route_idempotency(struct call *c, struct err *err) MUST_CHECK;
/* route_limit.c */
int route_limit(struct call *c, struct err *err) MUST_CHECK;
void route_limit_headers(const struct call *c, struct http_res *out);
void route_limit_problem(const struct call *c, struct buf *b);
/* route_query.c */
int route_query(struct call *c, struct err *err) MUST_CHECK;
/* route_accept.c */
int route_negotiate(struct call *c, struct err *err) MUST_CHECK;
int route_media_type(struct call *c, struct err *err) MUST_CHECK;
enum { accept_types_max = 8 };
/* Index of the type that Accept prefers, the first of equals; n: none is acceptable.  `version` is
 * what a version= parameter must say, -1: anything (RFC 9110 §12.5.1). */
size_t accept_best(const char *accept, const char *const *types, size_t n, int64_t version);
/* The coding preferred by Accept-Encoding; *ret_plain: the body as it is may be sent too (§12.5.3).
 */
enum coding accept_coding(const char *accept, bool *ret_plain);
size_t route_types(const struct route *r,
                   const char *ret[accept_types_max]); /* answers; best first */
const char *route_takes(const struct route *r);        /* bodies, as Accept-Patch lists them */
/* The version that Accept prefers, of those that it names; 0: it names none. */
int64_t accept_version(const char *accept);
/* route_version.c */
/* Which version of the API a request is for; a path without one ("/api/posts") gets that of Accept,
 * and the leaf is looked up by it. */
void route_find(struct call *c);
int route_version_ok(const struct call *c, struct err *err) MUST_CHECK;
/* route_deprecation.c */
int deprecation_read(struct arena *a, const char *setting, struct deprecation_dates *ret,
                     struct err *err) MUST_CHECK; /* ret: deprecations_max of them */
/* Deprecation and Sunset into the answer; its links, after `link` (NULL: none). */
const char *route_deprecate(const struct call *c, struct http_res *out, const char *link);
/* route_repr.c */
void route_etag(struct call *c); /* settles form and coding, and the tag of what will be sent */
const char *route_tag(const struct call *c, const char *etag);   /* of the chosen form and coding */
int route_represent(struct call *c, struct err *err) MUST_CHECK; /* what Accept asked for */
/* route_cache.c */
int route_recall(struct call *c, struct err *err) MUST_CHECK; /* the answer, if it is kept */
int route_keep(struct call *c, struct err *err) MUST_CHECK;
/* route_cond.c */
int route_conditions(struct call *c, struct err *err) MUST_CHECK; /* can they be read? */
int route_condition(struct call *c, struct err *err) MUST_CHECK;  /* the tag is settled */
int route_conditional(struct call *c, struct err *err) MUST_CHECK;
/* route_problem.c */
void route_problem(struct call *c, const struct err *err);
/* route_log.c */
void route_record(struct call *c, const struct http_res *sent);
int reqres_open(const char *path, struct err *err); /* descriptor, or negative */
#endif
