#ifndef KIT_CRUD_BULK_INT_H
#define KIT_CRUD_BULK_INT_H
/*
 * Shared by crud_bulk.c (the transaction), crud_bulk_read.c (the body), crud_bulk_lock.c (locks,
 * rows of a filter), crud_bulk_answer.c,
 * crud_bulk_later.c (as an operation).
 */
#include "common/kit/crud_bulk.h"
#include "common/kit/crud_write_int.h"

enum bulk_op { BULK_CREATE, BULK_UPDATE, BULK_UPSERT, BULK_DELETE, BULK_RESTORE, BULK_OPS_MAX_ };

struct bulk_item {
    enum bulk_op op;
    const char *id, *if_match; /* or NULL */
    bool none_match;
    const json_t *data;
    const char *at, *data_at; /* JSON pointers into the body: "/3", "/3/data" */
    bool bad;                 /* refused as it was read */
    struct bulk_write *write; /* what was begun in this run, or NULL */
    /* The result, of the last run. */
    struct err err; /* code E_OK: done */
    const struct err_list *faults;
    int status;
    int64_t row;
    const char *etag;
    const char *body; /* {"data":{…}}, or NULL */
    size_t body_n;
};
/* One operation as a request of its own. */
struct bulk_write {
    struct route route;
    struct req req;
    struct res res;
    struct write w;
    const char *base; /* of a create: what its slug is made of */
    int rc;           /* of its begin */
};
struct bulk {
    struct req *req;
    struct res *res;
    const struct crud *c;
    const struct entity_def *e;
    bool atomic, dry_run;
    enum prefer_return answer;
    struct bulk_item *items;
    size_t n;
    const json_t *filter, *patch; /* of the form with a filter */
    int64_t max_affected;
    int64_t *versions; /* of the rows that the filter found, by item; else NULL */
    struct idem idem;
    bool seen;    /* there is a record of the Idempotency-Key */
    bool careful; /* each statement under a savepoint */
    bool again;   /* the run is of no use: once more */
    bool done;    /* ran to its end; dry runs are rolled back then */
    int64_t deadline_us;
    /* In the transaction, after all else: what must be true exactly if the changes are.  Or NULL.
     */
    int (*last)(struct bulk *b, struct db_tx *tx, struct err *err);
    void *ctx;
};

/* crud_bulk_read.c */
int bulk_read(struct bulk *b, const json_t *body, struct err *err) MUST_CHECK;
/* Items of the rows that the filter finds. */
int bulk_read_rows(struct bulk *b, const int64_t *ids, size_t n, struct err *err) MUST_CHECK;
/* filter as arguments of a list. */
int bulk_read_filter(struct bulk *b, struct query_arg *args, size_t max, size_t *ret_n,
                     struct err *err) MUST_CHECK;
/* crud_bulk_lock.c */
int bulk_select(struct bulk *b, struct err *err) MUST_CHECK;
int bulk_lock(struct bulk *b, struct db_tx *tx, struct err *err) MUST_CHECK;
/* crud_bulk.c: all of it, from the parsed body to the answer in b->res. */
int bulk_run(struct bulk *b, const json_t *body, struct err *err) MUST_CHECK;
/* crud_bulk_answer.c */
void bulk_answer(struct bulk *b); /* into b->res, with its status */
/* A failure of the whole as the JSON text of a problem. */
const char *bulk_problem(struct bulk *b, const struct err *err);
/* crud_bulk_later.c: Prefer: respond-async. */
int bulk_later(struct bulk *b, struct err *err) MUST_CHECK;
/* The failure of one operation as that of the whole. */
int bulk_refuse(struct bulk *b, const struct bulk_item *it, struct err *err) MUST_CHECK;
#endif
