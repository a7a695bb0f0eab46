#ifndef KIT_OPERATION_H
#define KIT_OPERATION_H
/*
 * Requests that are answered before they are done (Prefer: respond-async, R-20).
 *
 *   operation_accept   records the request: 202 with Location: /api/v2/operations/{id}
 *   operation_claim    takes the next one that is due, for the time of a lease
 *   operation_done     in the transaction of its effects: its result.  Fails if the lease went to
 *                      another worker, so whatever dies, there are effects exactly if there is a
 *                      result, and only once
 *   operation_failed   the problem that it ended with, or, if that may pass, another try
 *   GET /api/v2/operations/{id}   for its owner: status, and in the end the answer that the request
 *                      would have had, with its HTTP status.  Kept for operation_keep_hours.
 *
 * DELETE /api/v2/operations/{id}   cancels it if it is not done, else forgets it.  What a running
 * bulk did is rolled back; of an export nothing is kept.
 *
 * One operation of an owner runs at a time, however many workers there are; at most
 * operation_open_max wait.  It runs with the rights that the credential had when it was accepted.
 * Table: operations, by the program's migration.
 */
#include "common/kit/crud.h"

enum {
    operation_keep_hours = 24,
    operation_tries_max = 3,
    operation_open_max = 20, /* unfinished ones of one owner; more are 429 */
};

struct idem;
struct db_tx;
struct operation_new {
    const char *kind; /* "bulk", "export" */
    const char *entity;
    const json_t *options; /* for whoever works on it */
};
/* Answers the request with 202; its body is kept with it. */
int operation_accept(struct req *req, struct res *res, const struct operation_new *o,
                     struct err *err) MUST_CHECK;

struct operation {
    const char *id, *kind, *entity, *request_id, *traceparent;
    json_t *body, *options;
    struct principal who;
    int64_t attempt; /* counts claims: what a former worker had is not this one's */
    int64_t tries;   /* claims since it last got on */
    int64_t lease_ms;
    /* of an export: */
    const char *place; /* cursor behind its last page; NULL: at the beginning */
    int64_t done, pages, part, part_bytes, bytes;
};
/* *ret NULL: there is nothing to do. */
int operation_claim(struct svc *svc, struct arena *a, int64_t lease_ms, struct operation **ret,
                    struct err *err) MUST_CHECK;
int operation_done(struct db_tx *tx, struct arena *a, const struct operation *op, int http_status,
                   const char *answer, struct err *err) MUST_CHECK;
int operation_failed(struct svc *svc, struct arena *a, const struct operation *op,
                     const struct err *why, const char *problem, struct err *err) MUST_CHECK;
/* The problem that it ends with, as JSON text. */
const char *operation_problem(struct svc *svc, struct arena *a, const struct operation *op,
                              const struct err *why);
/* Outside a transaction of its own effects. */
int operation_end(struct svc *svc, struct arena *a, const struct operation *op, int http_status,
                  const char *answer, struct err *err) MUST_CHECK;

/* Exports.  A page commits with the place behind it; E_gone: cancelled, or another worker's. */
struct operation_page_new {
    int64_t rows, total; /* total -1: not counted */
    const char *place, *body;
    int64_t bytes;
};
int operation_page(struct svc *svc, struct arena *a, struct operation *op,
                   const struct operation_page_new *page, struct err *err) MUST_CHECK;
/* Back into the queue, behind the others. */
int operation_yield(struct svc *svc, struct arena *a, const struct operation *op,
                    struct err *err) MUST_CHECK;
/* The pages of a part of the caller's finished export; *ret_type: the form that was asked for. */
int operation_result(struct req *req, int64_t part, struct buf *out, const char **ret_type,
                     int64_t *ret_parts, struct err *err) MUST_CHECK;
int operation_purge(struct svc *svc, struct arena *a, struct err *err) MUST_CHECK;

extern const struct shape operation_shape; /* what is answered */
extern const struct route operation_routes[];
#endif
