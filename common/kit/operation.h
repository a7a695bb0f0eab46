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
 * It runs with the rights that the credential had when it was accepted.  Table: operations, by the
 * program's migration.
 */
#include "common/kit/crud.h"

enum {
    operation_keep_hours = 24,
    operation_tries_max = 3,
    operation_open_max = 20, /* unfinished ones of one owner; more are 429 */
};

struct idem;
struct db_tx;
/* Answers the request with 202.  `options` is kept for whoever works on it. */
int operation_accept(struct req *req, struct res *res, const char *entity, const json_t *options,
                     struct err *err) MUST_CHECK;

struct operation {
    const char *id, *entity, *request_id, *traceparent;
    json_t *body, *options;
    struct principal who;
    int64_t attempt;
};
/* *ret NULL: there is nothing to do. */
int operation_claim(struct svc *svc, struct arena *a, int64_t lease_ms, struct operation **ret,
                    struct err *err) MUST_CHECK;
int operation_done(struct db_tx *tx, struct arena *a, const struct operation *op, int http_status,
                   const char *answer, struct err *err) MUST_CHECK;
int operation_failed(struct svc *svc, struct arena *a, const struct operation *op,
                     const struct err *why, const char *problem, struct err *err) MUST_CHECK;
int operation_purge(struct svc *svc, struct arena *a, struct err *err) MUST_CHECK;

extern const struct route operation_routes[];
#endif
