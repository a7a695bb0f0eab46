#ifndef WEBHOOKS_OUT_ENDPOINT_H
#define WEBHOOKS_OUT_ENDPOINT_H
/* What the files that make, change and try endpoints share. */
#include "common/kit/shape.h"
#include "services/webhooks-out/sending.h"
#include "services/webhooks-out/webhooks.h"

/* Shape, and what a shape cannot say: URL, patterns, filter, fields, headers, auth, batch,
 * schedule. `before`: the row that a patch lies over (an endpoint as JSON), else NULL. */
int endpoint_read(struct req *req, struct res *res, enum shape_mode mode, const json_t *body,
                  const json_t *before, struct shape_row *row, struct err *err) MUST_CHECK;
/* The writable members as the row will have them, for jsonb_populate_record; auth as it is shown.
 * On create all, else those given. */
json_t *endpoint_record(struct req *req, const struct shape_row *row, enum shape_mode mode,
                        const json_t *body);
/* 404 unless it is the caller's; its version against If-Match. */
int endpoint_lock(struct db_tx *tx, struct req *req, int64_t id, const char **ret_status,
                  struct err *err) MUST_CHECK;
/* As answers and events have it. */
int endpoint_tell(struct db_tx *tx, struct arena *a, int64_t id, json_t **ret,
                  struct err *err) MUST_CHECK;
#endif
