#ifndef KIT_CRUD_H
#define KIT_CRUD_H
/*
 * REST on an entity table: everything here is derived from struct entity_def.
 *
 * A program with whole entities makes a `struct crud` for each at its start (crud_new: statements
 * are composed once, the fast ones prepared when connections open) and serves crud_routes().  A
 * program that only lists or shows a resource of its own puts the handlers into its route rows:
 *
 *   { GET, "/api/v2/auth/keys",      crud_list, .entity = &entity_api_key, .flags = ROUTE_LIST,
 *     .query = crud_list_params, … },
 *   { GET, "/api/v2/auth/keys/{id}", crud_get,  .entity = &entity_api_key, .query =
 * crud_get_params, … }, { DELETE, "/api/v2/x/{id}",      crud_delete, … }
 *
 * and needs no struct crud (`ctx` NULL; the statement is then composed a request).  Path value 0 is
 * the id. The table must have the columns that its entity_def says (plus deleted_at if
 * soft_delete); rows are restricted by visibility, VIS_OWNER: `owner` = the caller, all for
 * api:admin.  FF_SECRET and FF_HIDDEN fields are never shown.
 *
 * Event payload (outbox, entities with `events`), the JSON text that travels on content.events:
 *   {"data":{…as GET by an admin, private fields too…,"deleted_at":null},
 *    "changed":["status","published_at"],      updated, published, unpublished, scheduled; else []
 *    "before":{"status":"draft"},              entities with a status; absent for created
 *    "owner_id":7,                             or null
 *    "purged":true}                            deleted with ?purge=true only
 * Key "post:7".  Order: created|updated first, then unpublished, published, scheduled.
 */
#include "common/io/db.h"
#include "common/kit/query.h"
#include "common/kit/route.h"
#include "proto/entity.h"

struct crud;
struct shape_row;

/* Hooks of a program that has something to add.  All may be NULL. */
struct crud_hooks {
    /* After validation, before the statement: may set values (shape_set), add faults (shape_fault)
     * or refuse. `id` is 0 on create. */
    int (*before_write)(struct req *req, int64_t id, struct shape_row *row, struct err *err);
    /* After the commit. */
    void (*after_write)(struct req *req, int64_t id);
};
enum crud_flag {
    CRUD_COUNTS = 1 << 0,    /* keeps `counts` in the writing statement (crud_counts_schema_sql) */
    CRUD_READ_ONLY = 1 << 1, /* routes: list and get only */
    CRUD_REVISIONS = 1 << 2, /* keeps `revisions` in the writing statement */
    CRUD_CHANGES = 1 << 3,   /* keeps `purged`: the rows of which nothing is left */
};
struct crud *crud_new(struct arena *a, const struct entity_def *e, unsigned flags,
                      const struct crud_hooks *hooks);
/* Entities of one program that include each other: `all` ends at NULL and lives as long as they do.
 */
void crud_link(struct crud *const *all);
/* A setting of the start: changes and deletions over HTTP must carry If-Match, else 428. */
void crud_require_cond(struct crud *c, bool yes);
/* Its rows: list, create, get, patch, put, delete, restore; ends at .path NULL. */
const struct route *crud_routes(struct arena *a, const struct crud *c);
/* The former states of its rows (CRUD_REVISIONS): list, read, compare, restore; ends at .path NULL.
 * Seen by whoever sees the drafts of the row; for others it is not there. */
const struct route *crud_revision_routes(struct arena *a, const struct crud *c);
/* …/changes: what was made, changed or went, as the reader sees it, for clients that keep a copy
 * (CRUD_CHANGES; tables `purged`, `moved`); ends at .path NULL.  What went is to be told for
 * crud_changes_keep_days. */
enum { crud_changes_keep_days = 365 };
const struct route *crud_change_routes(struct arena *a, const struct crud *c);
/* Its DB_FAST statements, appended to list[]; returns how many (at most crud_fast_max). */
enum { crud_fast_max = 32, crud_stmts_max = 64 };
size_t crud_fast(const struct crud *c, const struct db_stmt **list, size_t max);
/* All named statements it may use, for the test that prepares them. */
size_t crud_stmts(const struct crud *c, const struct db_stmt **list, size_t max);

/* Handlers. */
int crud_list(struct req *req, struct res *res, struct err *err);
int crud_get(struct req *req, struct res *res, struct err *err);
int crud_get_slug(struct req *req, struct res *res, struct err *err); /* …/slug:{slug} */
int crud_create(struct req *req, struct res *res, struct err *err);
int crud_patch(struct req *req, struct res *res, struct err *err);
int crud_put(struct req *req, struct res *res, struct err *err);
int crud_put_slug(struct req *req, struct res *res, struct err *err); /* upsert */
int crud_delete(struct req *req, struct res *res, struct err *err);
int crud_restore(struct req *req, struct res *res, struct err *err);

/* Lists and single rows of a table whose rows lie packed in blocks: what a query does not say
 * itself, the program adds, namely into which blocks to look.
 *
 * `within` is asked before each attempt at a page, attempt 0 first, and sets q->within so that
 * nothing that comes before one of the rows it lets through is left out, in the order of the list.
 * *ret_all: nor does anything come behind them.  A page that is not full is tried again until then,
 * so each attempt must look further. */
struct crud_blocks {
    int (*within)(struct req *req, struct query *q, unsigned attempt, void *ctx, bool *ret_all,
                  struct err *err);
    void *ctx;
};
int crud_list_blocks(struct req *req, struct res *res, const struct crud_blocks *blocks,
                     struct err *err);
int crud_get_within(struct req *req, struct res *res, const struct query_within *within,
                    struct err *err);

/* For handlers of other programs. */
/* The row as the caller may see it, {"data":{…}} with its ETag, into res.  E_not_found.  `id` as
 * text. */
int crud_answer(struct req *req, struct res *res, const struct entity_def *e, const char *id,
                struct err *err) MUST_CHECK;

const struct entity_def *crud_entity(const struct crud *c);

/* A change by the program itself, with api:admin: the same validation, statement and events as over
 * HTTP. */
struct crud_change {
    int64_t id;      /* 0: create, else a merge patch */
    int64_t version; /* what it must be, 0: any */
    const json_t *body;
    const char *actor; /* for ce_actor */
};
int crud_apply(struct svc *svc, struct arena *a, const struct crud *c,
               const struct crud_change *change, int64_t *ret_id, struct err *err) MUST_CHECK;

/* A change that another program asks for (content.commands), by the rights of `who`: the same
 * validation, statement and events as over HTTP, in the caller's transaction.  `field` names the
 * natural key: id or a unique field.  A change that fails leaves the transaction usable. */
enum crud_op { CRUD_OP_CREATE, CRUD_OP_UPDATE, CRUD_OP_UPSERT, CRUD_OP_DELETE };
struct crud_command {
    enum crud_op op;
    const char *field, *key; /* NULL for create */
    const json_t *body;      /* a merge patch; for upsert also what a new row is made of */
    struct principal who;
    const char *request_id, *traceparent;
};
/* E_not_found, E_forbidden, E_validation (pointer: the first fault), E_retry_later (it refers to
 * what is not there), E_conflict … */
int crud_command(struct svc *svc, struct db_tx *tx, struct arena *a, const struct crud *c,
                 const struct crud_command *cmd, int64_t *ret_id, struct err *err) MUST_CHECK;

extern const struct param_def
    crud_list_params[]; /* page per_page limit offset fields sort filter[] include count */
extern const struct param_def crud_get_params[]; /* fields include */
/* The same without include, for resources whose references live in another program. */
extern const struct param_def crud_flat_list_params[], crud_flat_get_params[];
extern const char crud_counts_schema_sql[];
#endif
