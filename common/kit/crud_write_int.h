#ifndef KIT_CRUD_WRITE_INT_H
#define KIT_CRUD_WRITE_INT_H
/*
 * What the files that write share: crud_write.c (one statement each), crud_put.c, crud_patch.c,
 * crud_bulk*.c, crud_error.c (why nothing was written).
 */
#include "common/base/loop.h"
#include "common/kit/crud_int.h"
#include "common/kit/prefer.h"

enum { write_versions_max = condition_tags_max, write_tries_max = 5 };

/* If-Match, or If-Unmodified-Since without it (RFC 9110 §13.2.2). */
struct write_cond {
    bool given; /* the client said either */
    bool any;   /* no version is asked for */
    int64_t versions[write_versions_max];
    size_t n;
    bool timed;
    int64_t since_s;
};
struct write {
    struct req *req;
    struct res *res;
    const struct crud *c;
    const struct entity_def *e;
    const char *id;    /* NULL: create */
    const char *named; /* what the client calls the row, if not by its id: that is not told */
    enum vis_right right;
    struct shape_row row;
    uint64_t mask;
    bool whole; /* F_JSON fields are replaced, not merged */
    struct idem idem;
    bool keyed; /* the caller records the Idempotency-Key, not the statement */
    struct write_cond cond;
    bool none_match; /* If-None-Match: * */
    int64_t seen;    /* version that write_explain found */
    struct prefer prefer;
    struct db_rows *rows;
    size_t at;         /* the row of `rows` that is this write's */
    int64_t done_id;   /* of what was written */
    const char *actor; /* NULL: the principal */
};

/* Right, conditions and preferences of a request.  E_forbidden, E_precondition_required, E_invalid.
 */
int write_begin(struct write *w, struct req *req, struct res *res, enum vis_action act,
                struct err *err) MUST_CHECK;
/* The same without HTTP: no condition, no preference. */
int write_init(struct write *w, struct req *req, struct res *res, enum vis_action act,
               struct err *err) MUST_CHECK;
int write_need_body(const struct req *req, struct err *err) MUST_CHECK;
/* E_precondition_required, where the entity wants one. */
int write_need_cond(const struct write *w, struct err *err) MUST_CHECK;

/* w->row is read; rules that the field table cannot say. */
int write_check(struct write *w, struct err *err) MUST_CHECK;
/* crud_refs.c: what w->row refers to is seen by its writer; a part of write_check. */
int write_check_refs(struct write *w, struct err *err) MUST_CHECK;
int write_create(struct write *w, struct err *err) MUST_CHECK; /* reads req->body */
int write_insert(struct write *w, struct err *err) MUST_CHECK; /* w->row is read */
/* The same in two steps: all up to the statement, and from there on.  *ret_base is what a slug of
 * our own making is made of.  `done`: the row was inserted already, with others. */
int write_insert_begin(struct write *w, const char **ret_base, struct err *err) MUST_CHECK;
int write_insert_end(struct write *w, const char *base, bool done, struct err *err) MUST_CHECK;
int write_update(struct write *w, struct err *err) MUST_CHECK; /* w->row is checked, w->mask set */
int write_target(struct write *w, enum sqlgen_write what, struct err *err) MUST_CHECK;
uint64_t write_mask(const struct write *w, uint64_t wanted);

int write_patch(struct write *w, struct err *err) MUST_CHECK;   /* a merge patch in req->body */
int write_replace(struct write *w, struct err *err) MUST_CHECK; /* PUT of w->id */
/* PUT of the row whose natural key (crud_key) has this value, or a new one. */
int write_upsert(struct write *w, const char *key, struct err *err) MUST_CHECK;
/* The field that names a row to people and is unique: slug, username; NULL: there is none. */
const struct field_def *crud_key(const struct entity_def *e);
/* What crud_key is compared by, of alias t: "t.slug", "lower(t.username)". */
const char *crud_key_column(struct arena *a, const struct entity_def *e);

/* Does fn once for the request's Idempotency-Key, in one transaction with its record; without a key
 * just does it. */
int write_keyed(struct write *w, int (*fn)(struct write *w, struct err *err),
                struct err *err) MUST_CHECK;
/* The parameters of SQL_INSERT, or of SQL_INSERT_IDEM (`idem`); how many. */
size_t write_insert_params(const struct write *w, bool idem, struct db_val *v);
/* Inserts n rows by one statement (crud_gather.c), in the transaction of `req` if it has one, into
 * its arena; nobody's lock is waited for longer than lock_ms (0: no limit of its own).  Sets rows
 * and `at` of each that was inserted, leaves rows NULL of the others. */
int write_many(const struct req *req, struct write *const *w, size_t n, unsigned lock_ms,
               struct err *err) MUST_CHECK;
/* Inserts with whoever else of this event loop waits to. */
struct gather;
struct gathered {
    struct gather *gather;      /* its next statement waits for write_gathered_end */
    struct timer slow;          /* or until this one has taken too long */
    struct gather_batch *batch; /* holds w->rows until then */
};
/* True: inserted, w->rows and `at` are set, or *ret is the error.  False: to be inserted alone. */
bool write_gathered(struct write *w, struct gathered *g, int *ret, struct err *err);
void write_gathered_end(struct gathered *g);

/* After the commit of what was done in a transaction. */
void write_tell(const struct req *req, const struct crud *c, int64_t id);

/* A write touched no row: says why (404, 403, 412, 409).  `deleted`: a deleted row was looked for.
 */
int write_explain(struct write *w, bool own_only, bool deleted, struct err *err);
/* If-None-Match of a change of w->id (RFC 9110 §13.1.2, step 3 of §13.2.2): E_precondition_failed
 * if it names the row as it is; else the row must stay at the version looked at. */
int write_none_match(struct write *w, struct err *err) MUST_CHECK;
#endif
