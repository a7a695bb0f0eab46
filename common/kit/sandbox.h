#ifndef KIT_SANDBOX_H
#define KIT_SANDBOX_H
/*
 * Sandboxes: a key for trying, with data of its own (D-07; docs/adr, "a sandbox is a schema").
 *
 * A sandbox key (auth: POST /api/v2/auth/sandbox-keys) names a schema "box_<key id>" in a database
 * that holds nothing but such schemas, owned by a role that may not even connect to the platform's.
 * The schema has the program's own migrations, so every statement runs as it is; which rows it can
 * see is decided in one place: sandbox_enter() gives the request a view of the program (struct svc)
 * whose database finds its tables there.  What the platform has beside tables is not in the view:
 * no response cache, no relay (events stay in the box), no operations.
 *
 * A box is made by the first request of its key, with a few rows to look at, and goes when the key
 * is over (sandbox_job).  It takes rows_max rows and bytes_max bytes; calls are bounded by the
 * key's rate_limit and quota.  A program that has no sandboxes refuses such keys.
 */
#include "common/kit/route.h"

struct migration;
struct sandboxes;
enum {
    sandbox_rows_max = 200,        /* live rows of all entities together */
    sandbox_kept_s_max = 5 * 3600, /* whatever is known of its key */
    sandbox_conns_max = 4,         /* database connections for all boxes */
};
#define SANDBOX_BYTES_MAX (INT64_C(32) * 1024 * 1024) /* with indexes and former states */

struct sandbox_conf {
    const char *database_url;
    int64_t boxes_max; /* at a time, of the platform */
    const struct migration *migrations;
    /* Puts the first rows into a new box; `svc` is its view, `user_id` the key's person. */
    int (*fill)(struct svc *svc, struct arena *a, int64_t user_id, struct err *err);
};
/* Opens nothing yet. */
struct sandboxes *sandboxes_new(const struct svc *svc, const struct sandbox_conf *conf);
void sandboxes_free(struct sandboxes *s); /* NULL is fine; no request is in flight */

/* svc.sandbox_enter of a program with sandboxes, for a request by a sandbox key: req->svc becomes
 * the view of its box, which is made if it is not there.  E_forbidden: the box is full;
 * E_unavailable: all boxes are taken, or the database is away. */
int sandbox_enter(struct req *req, struct err *err) MUST_CHECK;
/* Drops the boxes of keys that are over; *ret_n: how many. */
int sandbox_sweep(struct svc *svc, struct arena *a, size_t *ret_n, struct err *err) MUST_CHECK;
void sandbox_job(struct svc *svc); /* job_def.fn: the same, until the program stops */
#endif
