#ifndef KIT_ROWJSON_H
#define KIT_ROWJSON_H
/*
 * Database rows straight into JSON text, by the entity table; no trees.  A plan says which column
 * holds which field; it is computed once per composed statement.  Wire form: keys in table order,
 * times YYYY-MM-DDTHH:MM:SS.ffffffZ, references {"id":7} or null, reference lists [{"id":7}].  The
 * write statements build the same bytes in SQL (sqlgen_body).
 */
#include "common/base/buf.h"
#include "common/io/db.h"
#include "common/kit/vis.h"
#include "proto/entity.h"

struct rowcol {
    const struct field_def *f;
    size_t index;    /* of the field in the entity's table */
    const char *key; /* ",\"title\":" */
    size_t key_len;
    bool if_own; /* shown on the reader's own rows only */
};
struct rowplan { /* column i of the result is cols[i] */
    const struct entity_def *e;
    enum vis_class vc;
    struct rowcol *cols;
    size_t n;
    /* Positions, or -1.  `keys`: of the first sort key, for cursors; `snapshot`: of the text of
     * what the statement saw. */
    int id, version, updated, own, total, keys, snapshot;
};
/* All fields that `vc` may see, or those in `mask` (bit = index in the table) of them. */
void rowplan_init(struct rowplan *p, struct arena *a, const struct entity_def *e, enum vis_class vc,
                  uint64_t mask);

/* Included rows of one relation. */
struct rowinc {
    const char *name;              /* key */
    const struct field_def *field; /* replaces this field's value, or NULL: a key of its own */
    const struct rowplan *plan;
    const struct db_rows *rows; /* NULL: there are none */
    size_t n;
    int parent_col;           /* column with the id of the row it belongs to; -1: found by id */
    uint64_t mask;            /* which fields of it are shown */
    const struct rowinc *inc; /* what is included in its rows */
    size_t ninc;
    const struct rowkey *index; /* its rows by key, in the order of the rows within a key */
};
struct rowkey {
    int64_t key; /* id, or the parent's */
    size_t row;
};
/* Fills inc->index from its rows. */
void rowinc_index(struct rowinc *inc, struct arena *a);
/* One object.  `mask`: which fields (~0: all of the plan). */
void rowjson_put(struct buf *b, const struct rowplan *p, const struct db_rows *r, size_t row,
                 uint64_t mask, const struct rowinc *inc, size_t ninc);
/* About what they take, a little too much rather than too little; without what is included. */
size_t rowjson_bytes(const struct rowplan *p, const struct db_rows *r);
/* "2026-02-19 08:00:00.5+00" -> 2026-02-19T08:00:00.500000Z with quotes; anything else becomes
 * null. */
void rowjson_put_time(struct buf *b, const char *cell, size_t len);
/* Seconds since 1970 of a timestamptz cell in UTC, 0 if null. */
int64_t rowjson_time_s(const char *cell);
#endif
