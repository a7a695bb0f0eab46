#ifndef KIT_CRUD_BULK_H
#define KIT_CRUD_BULK_H
/*
 * Many changes in one request: PATCH on the collection.
 *
 * The body is one of
 *   [{"op":"create|update|upsert|delete|restore","id":7,"if_match":"\"3.x\"","data":{…}}, …]
 *   {"ids":[7,8],"patch":{…}}
 *   {"filter":{"status":"draft","author":{"role":"author"}},"patch":{…},"max_affected":50}
 * `data` is what the same request on one row takes: of a create what POST takes, of an update a
 * merge patch, of an upsert what PUT of the natural key takes (slug; username of users), which must
 * be in it; "if_none_match":"*" lets an upsert create only.  A filter says what the filter[…]
 * parameters of a list say, as members; an array is a list of values, or of groups.
 *
 * All of it is one transaction, of the same statements, checks and events as single writes.  With
 * ?atomic=true (the default) the first operation that fails rolls it back and is the answer, a
 * problem with pointers into the body.  With ?atomic=false what fails is left out, and the answer
 * says so: {"data":[{"index":0,"status":200,"id":7,"etag":"…"},{"index":1,"status":412,"problem":
 * {…}}],"meta":{"succeeded":1,"failed":1}} with 207, or 200 if nothing failed.  ?dry_run=true does
 * all this and then rolls back.  Prefer: return=representation adds "data" to each result.
 *
 * Locks.  Natural keys (in 64 buckets an entity), then rows, table by table in the order of
 * entities[] and by id: two bulks never wait for each other in a circle.  A bulk that is not done
 * after bulk_ms_max is rolled back with E_timeout.
 *
 * Errors: E_too_large (more than bulk_ops_max operations, ids, or rows of a filter), E_conflict
 * (more rows than max_affected; nothing is changed), E_validation, and those of the operations.
 */
#include "common/kit/crud.h"

enum {
    bulk_ops_max = 1000,
    bulk_body_bytes_max = 8 * 1024 * 1024,
    bulk_answer_bytes_max = 32 * 1024 * 1024,
    bulk_ms_max = 20000,
};

int crud_bulk(struct req *req, struct res *res, struct err *err);
extern const struct param_def crud_bulk_params[]; /* atomic dry_run */

/* Works off one bulk that was accepted with Prefer: respond-async (common/kit/operation.h), of any
 * of these entities; *ret_worked: there was one.  `lease_ms` is how long another worker leaves it
 * alone: more than bulk_ms_max, or it will be done twice over and once in vain. */
int crud_bulk_work(struct svc *svc, struct crud *const *all, int64_t lease_ms, bool *ret_worked,
                   struct err *err) MUST_CHECK;
#endif
