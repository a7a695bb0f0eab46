#ifndef KIT_ROUTE_SERVER_H
#define KIT_ROUTE_SERVER_H
/*
 * A listener's side of the routes: svc makes one router for the public listener (rows without
 * ROUTE_INTERNAL, and /problems/{code}) and one for the ops listener (rows with it), and hands
 * router_ops to httpd with the router as context.
 */
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/kit/route.h"

struct arena;
struct httpd_ops;
struct router;
struct svc;

/* Reads svc->conf (public_url, trusted_proxies, internal_token, reqres_log, body_bytes_max).
 * E_config: two rows for one method and path, a bad template, network or log path. */
int router_new(struct svc *svc, const struct route *const *tables, bool ops, struct router **ret,
               struct err *err) MUST_CHECK;
void router_free(struct router *r); /* memory is the svc's arena; closes the exchange log */
extern const struct httpd_ops router_ops;
extern const struct route problem_routes[]; /* /problems/{code}, on every public listener */
/* …/schema of every list of an entity table, likewise (route_schema.c); ends at .path NULL. */
const struct route *schema_rows(struct arena *a, const struct route *const *tables);
/* What such a list may be asked, the document's x-query; NULL for other routes.  New reference. */
json_t *schema_query(struct arena *a, const struct route *r);
extern const struct route deprecation_routes[]; /* /deprecations/{name}, likewise */
#endif
