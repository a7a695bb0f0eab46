#ifndef KIT_CRUD_EXPORT_H
#define KIT_CRUD_EXPORT_H
/*
 * All rows that a list's filters find, as files: POST …/export, or GET of the list with
 * Prefer: respond-async.
 *
 * Accept chooses JSON, NDJSON, CSV or XML.  The answer is 202 and an operation (operation.h), which
 * tells progress.done and progress.total.  A worker walks the list by cursor with the rights of who
 * asked, a page at a time; each page commits with the place behind it, so a worker that takes over
 * goes on where the last one was, and nothing is there twice.  Rows that come and go meanwhile are
 * as in a list by cursor.  After export_slice_pages another operation has its turn.
 *
 * The result is one or more parts, each a document of its own of about export_part_bytes:
 * GET /api/v2/operations/{id}/result?part=1, for its owner, as long as the operation is kept.
 * Errors: E_invalid_parameter (the query; CSV with include, since its columns would depend on the
 * rows), E_not_acceptable, E_rate_limited; the operation fails with E_too_large past
 * export_bytes_max.
 */
#include "common/kit/operation.h"

enum {
    export_page_rows = 100,
    export_slice_pages = 50,
    export_part_bytes = 16 * 1024 * 1024,
};
#define EXPORT_BYTES_MAX (INT64_C(1) << 30)

int crud_export(struct req *req, struct res *res, struct err *err);
extern const struct param_def crud_export_params[];
/* A slice of an operation of kind "export". */
int crud_export_work(struct svc *svc, struct arena *a, const struct crud *c, struct operation *op,
                     struct err *err) MUST_CHECK;
extern const struct route export_routes[]; /* …/operations/{id}/result */
#endif
