#ifndef KIT_ROUTE_H
#define KIT_ROUTE_H
/*
 * What is served is an array of these; OpenAPI is printed from the same array.
 *
 * Phases, in this order, none skippable by a handler: accept and limits, request id and trace,
 * match, authenticate, scope, rate limit, idempotency key syntax, decode and validate the query
 * names and the JSON body, HANDLER, conditional answer (ETag), log and metrics.  A handler's
 * negative result becomes problem+json (RFC 9457) in one place.
 */
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/kit/token.h"
#include "proto/entity.h"
#include "proto/names.h"

struct svc;
struct req;
struct res;
struct db_tx;
struct rcache_made;
struct http_stream;

enum method { GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, METHODS_MAX_ };
const char *method_name(enum method m);

struct param_def { /* a query parameter; names ending in "[]" match name[...] */
    const char *name;
    const char *type; /* JSON Schema type in the document: "integer", "string" */
    int64_t min, max;
    const char *doc;
};
enum route_flag {
    ROUTE_PUBLIC = 1 << 0, /* no credential needed; a credential that is sent must still be valid,
                            * and have the scope.  With a scope it is a content read:
                            * CMS365_PUBLIC_READ=false asks a credential after all */
    ROUTE_IDEMPOTENT = 1 << 1, /* takes Idempotency-Key */
    ROUTE_ETAG = 1 << 2,     /* the handler sets res etag; GET answers 304, writes take If-Match */
    ROUTE_LIST = 1 << 3,     /* out is a page of `out` */
    ROUTE_INTERNAL = 1 << 4, /* on the ops listener only; asks CMS365_INTERNAL_TOKEN unless PUBLIC;
                                not in the document */
    ROUTE_MERGE = 1 << 5,    /* the body is a merge patch */
    ROUTE_NO_BODY = 1 << 6,  /* any body is refused */
    ROUTE_UPSERT = 1 << 8,   /* may also create: 201 beside the row's own status */
    ROUTE_RAW_BODY = 1 << 7, /* a body of any media type, not decoded (raw_body) */
    ROUTE_FOREIGN = 1 << 9,  /* with PUBLIC: the caller's words are somebody else's (a webhook):
                              * Authorization is no credential of ours, any query name goes, and
                              * what is answered has no envelope */
    ROUTE_FORMS = 1 << 10,   /* the answer is the entity as its table has it, one or a page: it is
                              * there in every representation (common/kit/repr.h) */
    ROUTE_PATCHES = 1 << 11, /* with MERGE: a JSON Patch too; the handler asks the media type */
    ROUTE_PREFER = 1 << 13,  /* takes Prefer: return=minimal, and then answers 204 unless 201 */
    ROUTE_CACHED = 1 << 14,  /* answers may be kept: the handler says what they are made of
                              * (req.made), of no more of the request than its path, query, form and
                              * principal.  An answer for which it read a header is not kept */
    ROUTE_EXPORT = 1 << 15,  /* GET: Prefer: respond-async with a credential is answered by POST
                              * …/export;  POST: is that row, and Accept is about the file */
    ROUTE_BULK = 1 << 12,    /* takes operations on the entity, answers with the result of each */
};
struct route {
    enum method method;
    const char *path; /* "/api/v2/posts/{id}" */
    int (*fn)(struct req *req, struct res *res, struct err *err);
    const char *scope; /* scope name; NULL: any valid credential (or none, if PUBLIC) */
    const struct entity_def *entity; /* in and out are this entity unless said otherwise */
    const struct shape *in, *out;
    const struct param_def *query; /* ends at .name NULL; other names are 400.  NULL: none */
    unsigned flags;
    unsigned cost;       /* units that a request takes of rate limits and quotas; 0: 1 */
    unsigned char limit; /* enum limit_class (common/kit/limit.h); FOREIGN: none if not said */
    int status;          /* of success: 200 if 0 */
    const int *errors;   /* documented error statuses beyond the common ones, 0-ended */
    const char *op_id, *doc;
    const char *tag;      /* of proto/tags.def; NULL: the entity's, or the path's first part */
    const void *ctx;      /* for table-driven handlers */
    const char *produces; /* media type of the answer; NULL: application/json */
    const char *takes;    /* media type of a raw body, for the document */
    const struct shape *refusal; /* FOREIGN: what its own refusals look like (application/json) */
    size_t body_max;             /* bytes; 0: CMS365_BODY_BYTES_MAX */
    const char *deprecated;      /* name in proto/deprecations.def, or NULL */
    const struct route_version *version; /* an older one of the API; NULL: the present one */
};

/*
 * An older version of the API: the same handlers behind other paths, less what it does not have.
 * The table of them is route_version.c; a row is one version.
 */
struct route_version {
    int number;                      /* what ;version= says */
    const char *prefix;              /* "/api/v1": stands for the present one's */
    const char *deprecated;          /* name in proto/deprecations.def, or NULL */
    unsigned lacks;                  /* flags that its rows have not */
    unsigned skips;                  /* rows with one of these flags are not there */
    const char *const *lacks_params; /* query names it does not take, NULL-ended */
    bool plain_errors;               /* {"error":{"code":…,"message":…}} in place of RFC 9457 */
};
extern const struct route_version route_versions[]; /* the present one first; ends at .number 0 */
/* The rows as an older version has them; ends at .path NULL. */
const struct route *route_version_rows(struct arena *a, const struct route_version *v,
                                       const struct route *rows);
/* Absolute address of a path of the present version ("/api/v2/posts"), in the request's version. */
const char *req_url(const struct req *req, const char *path);
int route_limit_class(const struct route *r); /* enum limit_class */

struct query_arg { /* decoded, in order of appearance */
    const char *name, *value;
};
struct req {
    struct svc *svc;
    struct arena *arena;
    const struct route *route;
    enum method method;
    const char *path;      /* as sent */
    const char *raw_query; /* as sent, "" if none */
    const char *params[4]; /* decoded path values, in template order */
    const struct query_arg *args;
    size_t nargs;
    const json_t *body; /* decoded JSON object or array; NULL if none */
    const char *raw_body;
    size_t raw_body_n;
    const char *content_type; /* "" if none */
    struct principal who;
    const char *idempotency_key; /* NULL: none */
    const char *request_id, *traceparent;
    const char *client_addr;
    int64_t now_us;
    struct http_req *http;    /* opaque here; req_header reads it */
    struct rcache_made *made; /* what the answer is made of, for the response cache, or NULL */
    struct db_tx *tx;         /* set: what crud does joins this transaction.  NULL over HTTP */
    bool tx_bare;             /* a statement that fails ends it: no savepoint around each */
};
const char *req_header(const struct req *req, const char *name);
const char *req_arg(const struct req *req, const char *name); /* first value or NULL */
/* Path value as an id; E_not_found if it is not one. */
int req_id(const struct req *req, size_t param, int64_t *ret, struct err *err) MUST_CHECK;

struct res {
    struct arena *arena;
    int status;               /* 0: the route's */
    struct buf body;          /* the handler writes here */
    const char *content_type; /* NULL: application/json */
    const char *etag;         /* with quotes, or NULL */
    int64_t modified_s;       /* Last-Modified, 0: none */
    const char *location;
    const char *link;          /* Link header */
    const char *cache_control; /* NULL: "private, no-cache" for credentials, "public, no-cache"… */
    struct {
        const char *name, *value;
    } extra[8];
    size_t nextra;
    const struct err_list *faults; /* E_validation: problem `errors` */
    struct http_stream *stream;    /* in place of the body (common/io/httpd.h), or NULL */
};
void res_header(struct res *res, const char *name, const char *value);
/* {"data":<tree>} for cold paths. */
void res_json(struct res *res, const json_t *data);
enum { condition_tags_max = 32 }; /* entity tags in If-Match or If-None-Match of a write */
/* RFC 9110 §13.2.2 on a current representation.  For reads answers 304 itself afterwards; a handler
 * that writes calls this first.  `version` is compared with If-Match's version part (rulings.md
 * 20). */
int req_precondition(const struct req *req, int64_t version, struct err *err) MUST_CHECK;
bool req_if_match_version(const struct req *req, bool *ret_any, int64_t *ret_versions, size_t max,
                          size_t *ret_n); /* parsed If-Match; false: header absent */
/* The same of a text, such as the if_match of an operation in a body; false: no list of tags, or
 * one of more than `max` versions. */
bool etag_versions(const char *list, bool *ret_any, int64_t *ret_versions, size_t max,
                   size_t *ret_n);

/* Which of `types` (NULL-ended, best first) the Accept header prefers; NULL: none of them. */
const char *req_accept(const struct req *req, const char *const *types);

/* Finds the row for a path.  A literal segment wins over "slug:{slug}", which wins over "{id}";
 * HEAD takes GET's row.  NULL with *ret_allowed 0: no such path; else a bit 1 << method for each
 * that there is. Values are decoded in the arena. */
struct routes;
struct routes *routes_new(struct arena *a, const struct route *const *tables, struct err *err);
const struct route *routes_match(const struct routes *r, struct arena *a, enum method m,
                                 const char *path, const char **params, unsigned *ret_allowed);
#endif
