#ifndef KIT_CRUD_INT_H
#define KIT_CRUD_INT_H
/* Shared by the crud*.c files only. */
#include "common/kit/crud.h"
#include "common/kit/idem.h"
#include "common/kit/shape.h"
#include "common/kit/sqlgen.h"

struct rcache;
struct crud_reads { /* of one visibility class */
    struct rowplan plan, plan_total;
    struct db_stmt get, slug, by_ids, why;
    struct db_stmt page[2][2]; /* [filter[status]=the public one][with total] */
    struct db_stmt *related;   /* one a relation of the entity */
    struct rowplan *related_plan;
    struct query query; /* of the first page */
};
struct crud {
    const struct entity_def *e;
    unsigned flags;
    const struct crud_hooks *hooks;
    bool prepared; /* false: made for one request, reads[] and write[] are empty */
    struct crud_reads reads[VC_MAX_];
    struct db_stmt write[SQL_WRITES_MAX_];
    struct db_stmt dead_refs; /* .sql NULL: refers to nothing that can be deleted */
    struct crud *const *all;
    struct crud_totals *totals; /* exact ones, kept; NULL: none are */
    struct crud_anchors *anchors;
    bool *need_cond; /* a setting: changes must say which version they are of */
};
/* In the request's transaction if it has one, else by itself. */
int crud_query(const struct req *req, const struct db_stmt *s, const struct db_val *v, size_t n,
               struct db_rows **ret, struct err *err) MUST_CHECK;
/* The same for a statement that changes rows of c's entity, and answers the id of each first: the
 * response cache hears of them when they are committed.  No other way leads to such a statement. */
int crud_change_query(const struct req *req, const struct crud *c, const struct db_stmt *s,
                      const struct db_val *v, size_t n, struct db_rows **ret,
                      struct err *err) MUST_CHECK;
/* Tells the response cache (NULL is fine) of committed changes: rows with their ids first, or NULL:
 * which ones is not known. */
void crud_tell_changed(struct rcache *cache, const struct entity_def *e,
                       const struct db_rows *rows);
/* NULL for a change by the program itself, which has no HTTP request. */
const char *crud_header(const struct req *req, const char *name);
/* E_invalid if the request has a condition: the collection that it is sent to has no version. */
int crud_no_condition(const struct req *req, struct err *err) MUST_CHECK;
bool crud_if_match(const struct req *req, bool *ret_any, int64_t *ret_versions, size_t max,
                   size_t *ret_n);
const struct crud *crud_of(struct req *req);
const struct crud *crud_peer(const struct crud *c, struct arena *a, const char *entity);
/* E_unauthorized for anonymous readers of a closed installation. */
int crud_may_read(const struct req *req, struct err *err);
bool crud_has_slug(const struct entity_def *e);

/* Path value -> checked text of the id; E_not_found if it cannot be one. */
int crud_id(const struct req *req, const struct entity_def *e, const char **ret, struct err *err);
const char *crud_etag(struct arena *a, const struct entity_def *e, enum vis_class vc, bool own,
                      const char *fields, int64_t version);
const char *crud_location(const struct req *req, const struct entity_def *e, const char *id);
/* Rows for include=, ready for rowjson_put; E_invalid_parameter if they are too many. */
struct crud_incs {
    const struct rowinc *list; /* in the rows themselves */
    size_t n;
    const struct rowinc *all; /* these and what is included in them, as the query names them */
    size_t nall;
};
int crud_includes(struct req *req, const struct crud *c, const struct query *q,
                  const struct rowplan *plan, const struct db_rows *rows, size_t nrows,
                  struct crud_incs *ret, struct err *err);
/* Says to the response cache what a query looks at beside the rows themselves. */
void crud_made_of(const struct req *req, const struct query *q);
/* The total of a list, as q->count asks for it. */
struct crud_total {
    const struct crud *c;
    const struct query *q;
    const char *snapshot; /* text of what the page's own statement saw, or NULL */
    struct sqlgen_who who;
    int64_t n;
    bool estimated; /* by the planner */
};
int crud_count(struct req *req, struct crud_total *total, struct err *err) MUST_CHECK;
struct crud_totals *crud_totals_new(struct arena *a);
/* A total that the lists of a batch share (crud_read_shared.c), by the statement that reads it with
 * its page. */
struct crud_shared {
    const struct db_stmt *page;
    uint64_t batch; /* 0: none */
    size_t at;
};
/* True: a list of the same batch asks for it.  False: the caller is to ask, and to tell. */
bool crud_share_total(struct db *db, const struct db_stmt *page, struct crud_shared *ret);
void crud_tell_total(const struct crud_shared *s, int64_t n);
int64_t crud_shared_total(const struct crud_shared *s); /* -1: it was not told */
/* Places of pages far behind, found before (crud_read_anchor.c): where the page of q begins, if the
 * database is as it was then, which the caller finds out by *ret_snapshot. */
struct crud_anchor {
    struct query_scope scope;
    const struct query *q;
    int64_t second; /* the clock's, where visibility hangs on it; else 0 */
};
bool crud_anchor_find(struct req *req, const struct crud *c, const struct crud_anchor *at,
                      struct query_place *ret, const char **ret_snapshot);
void crud_anchor_keep(struct req *req, const struct crud *c, const struct crud_anchor *at,
                      int64_t offset, const struct query_place *place, const char *snapshot);
struct crud_anchors *crud_anchors_new(struct arena *a);
enum { crud_schema_version = 1 }; /* of representations, part of their ETags */
/* "first.h<16 hex digits>" of the bytes. */
const char *crud_hash_etag(struct arena *a, const char *first, const void *data, size_t n);
/* A failed write: constraint names become fields. */
int crud_map_error(struct res *res, const struct crud *c, struct shape_row *row, bool purge,
                   struct err *err);
/* The slug that a title makes, never empty. */
const char *crud_slug_of(struct arena *a, const struct entity_def *e, const char *title);
/* Slugs: one that is free, made of `base`. */
int crud_free_slug(struct req *req, const struct crud *c, const char *base, const char **ret,
                   struct err *err);
#endif
