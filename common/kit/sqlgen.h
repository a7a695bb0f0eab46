#ifndef KIT_SQLGEN_H
#define KIT_SQLGEN_H
/*
 * SQL composed from entity tables: identifiers come from the tables only, values are always $n.
 *
 * Reads.  Parameters come first: $1 is the reader's id if vis_uses_uid(), then as each function
 * says.  The columns are those of the row plan, then `own_` (vis_varies), then `total_` (lists with
 * a total). Order: desc puts nulls first, asc last, ties by id in the direction of the last key, so
 * that the (sort, id) indexes serve both ways.
 *
 * Writes.  One statement each (rulings.md 6): the row, its counts, its events, its idempotency
 * record, and the answer {id, version, body, updated_at}.  The answer's text is built in SQL by
 * sqlgen_body and has the bytes that rowjson_put writes for an admin.  Zero rows: the caller finds
 * out why with sqlgen_why.
 */
#include "common/base/buf.h"
#include "common/io/db.h"
#include "common/kit/query.h"
#include "common/kit/rowjson.h"
#include "proto/entity.h"

enum {
    sqlgen_text_max = 64 * 1024,
    sqlgen_params_max = 60,       /* two a test, a key, what pages and what the program adds */
    include_rows_max = 100,       /* of one row's relation */
    include_rows_total_max = 5000 /* of a relation of all rows together */
};

struct sqlgen_who { /* whose list of what */
    const struct entity_def *e;
    enum vis_class vc;
    int64_t uid;
};
struct sqlgen_text { /* a composed read */
    struct rowplan plan;
    const char *sql;
    struct db_val params[sqlgen_params_max];
    size_t nparams;
    unsigned uid; /* the parameter that holds the reader's id, 0: none yet */
};
/* --- reads
 * ---------------------------------------------------------------------------------------- */
/* Text in which each ? is the next parameter, `first` the number of the first one. */
void sqlgen_put_marked(struct buf *b, const char *text, unsigned first);
/* then: the id. */
const char *sqlgen_get(struct arena *a, const struct entity_def *e, enum vis_class vc,
                       struct rowplan *ret_plan);
/* The same by slug, for entities that have one. */
const char *sqlgen_get_slug(struct arena *a, const struct entity_def *e, enum vis_class vc,
                            struct rowplan *ret_plan);
/* then: bigint[] of ids.  At most include_rows_total_max rows. */
const char *sqlgen_by_ids(struct arena *a, const struct entity_def *e, enum vis_class vc,
                          struct rowplan *ret_plan);
/* then: bigint[] of the near rows' ids; the first column `parent_` (plan->cols do not count it: it
 * is the last one instead, position plan->n).  include_rows_max a near row; one more than
 * include_rows_total_max in all, so that the reader sees that there were too many. */
const char *sqlgen_related(struct arena *a, const struct entity_def *near,
                           const struct relation_def *rel, enum vis_class vc,
                           struct rowplan *ret_plan);
/* First page in the entity's own order; `status`: of sqlgen_public_status() only; `total`: with
 * total_. */
const char *sqlgen_first_page(struct arena *a, const struct sqlgen_who *who, const struct query *q,
                              bool status, bool total, struct rowplan *ret_plan);
/* Any list; fetches one row more than the page, backwards if the place says so.  Extra columns: */
enum sqlgen_extra {
    SQLX_TOTAL = 1 << 0,    /* total_ by counts; if sqlgen_has_total */
    SQLX_SNAPSHOT = 1 << 1, /* what the statement saw: pg_current_snapshot() */
    SQLX_KEYS = 1 << 2,     /* the sort keys; with a cursor always */
};
enum { sqlgen_deep_offset = 500 }; /* from here on skipped rows are read from the index alone */
void sqlgen_list(struct arena *a, const struct sqlgen_who *who, const struct query *q,
                 unsigned extra, struct sqlgen_text *ret);
/* The ids of the first `most` rows, by id: for changes of all that a filter finds. */
void sqlgen_ids(struct arena *a, const struct sqlgen_who *who, const struct query *q, int64_t most,
                struct sqlgen_text *ret);
/* The total alone. */
enum sqlgen_total {
    TOTAL_COUNTS, /* from `counts`; if sqlgen_has_total */
    TOTAL_ROWS,   /* count(*) with the conditions of the list, and the snapshot's text */
    TOTAL_PLAN,   /* EXPLAIN (FORMAT JSON) of it: the planner's estimate */
};
void sqlgen_count(struct arena *a, const struct sqlgen_who *who, const struct query *q,
                  enum sqlgen_total how, struct sqlgen_text *ret);
/* Is the total of this query in `counts`?  No filter, or status = x only; not where a row's
 * visibility depends on other rows. */
bool sqlgen_has_total(const struct entity_def *e, enum vis_class vc, const struct query *q);

/* --- writes
 * --------------------------------------------------------------------------------------- */
/* Parameters common to all writes, then those of the statement. */
enum {
    WP_TRACE = 1,
    WP_REQUEST,
    WP_ACTOR,
    WP_EVENTS /* text[] of uuids */,
    /* insert with idempotency: */
    WP_IDEM_OWNER = 5,
    WP_IDEM_KEY,
    WP_IDEM_PRINT,
    WP_IDEM_LOCK,
    WP_LOCATION,
    /* update, delete, restore, purge: */
    WP_ID = 5,
    WP_UID /* null: any owner */,
    WP_VERSIONS /* bigint[], null: any */,
    WP_UNMODIFIED /* timestamptz, null: any */,
    WP_MASK /* update: bigint, bit = field index */,
};
enum {
    sqlgen_events_max = 4,
    sqlgen_events_new = 2, /* created, and published or scheduled */
};
enum sqlgen_write {
    SQL_INSERT,
    SQL_INSERT_IDEM,
    SQL_INSERT_MANY,
    SQL_UPDATE,
    SQL_DELETE,
    SQL_RESTORE,
    SQL_PURGE,
    SQL_WRITES_MAX_
};
/* Columns of the answer; WR_ORD of SQL_INSERT_MANY only: which one it was, from 1. */
enum { WR_ID, WR_VERSION, WR_BODY, WR_UPDATED, WR_OWNER, WR_ORD };
enum sqlgen_part {
    SQLW_COUNTS = 1 << 0,    /* keeps the table `counts` */
    SQLW_REVISIONS = 1 << 1, /* and `revisions`: nothing on insert, the former state after it */
    SQLW_PURGED = 1 << 2,    /* and `purged`, what is left of rows that were purged */
};
/* SQL_INSERT_MANY: rows that nobody knows of each other share a statement.  $1 is the lock timeout
 * (null: as it is), $2 a boolean, whether WR_BODY is wanted (else null: it need not travel), then
 * text[] columns: those of SQL_INSERT_IDEM with an element a row, the key null where there is none.
 * What cannot be inserted (a unique value that is taken, a reference that leads nowhere, a key that
 * was used) is left out, for SQL_INSERT to say why; any other failure is that of all. */
enum { sqlgen_many_first = 2 };                   /* parameters before the columns */
bool sqlgen_can_many(const struct entity_def *e); /* not what has F_REFS */
const char *sqlgen_write(struct arena *a, const struct entity_def *e, enum sqlgen_write w,
                         unsigned parts);
/* Is field i a parameter of SQL_INSERT / SQL_UPDATE (in table order after the fixed ones)? */
bool sqlgen_is_input(const struct entity_def *e, const struct field_def *f);
size_t sqlgen_fixed_params(enum sqlgen_write w);
/* The entity that a reference written by clients leads to, if its rows can be deleted softly and
 * are in the same schema; else NULL. */
const struct entity_def *sqlgen_deletable(const struct entity_def *e, const struct field_def *f);
/* $1 id or null, then the value of each field with sqlgen_deletable() or null -> (field index,
 * position) of each that leads to no living row and that row $1 does not hold already; NULL: the
 * entity has no such field. */
const char *sqlgen_dead_refs(struct arena *a, const struct entity_def *e);
/* $1 id, $2 reader's uid or null -> version, deleted, own, visible to class vc, status,
 * published_at, updated s */
const char *sqlgen_why(struct arena *a, const struct entity_def *e, enum vis_class vc);
enum { WHY_VERSION, WHY_DELETED, WHY_OWN, WHY_VISIBLE, WHY_STATUS, WHY_PUBLISHED, WHY_UPDATED };

/* The JSON text of a row of `alias` without the closing brace; F_REFS from `refs` ("$12::bigint[]",
 * NULL: the link table). */
void sqlgen_body(struct buf *b, const struct entity_def *e, const char *alias, const char *refs);
const char *sqlgen_type(const struct field_def *f); /* "timestamptz" */
void sqlgen_column(struct buf *b, const struct entity_def *e, const struct field_def *f,
                   const char *alias);
const struct relation_def *sqlgen_link(const struct entity_def *e, const struct field_def *f);
const char *
sqlgen_public_status(const struct entity_def *e); /* "published", "active", or NULL: no status */
bool sqlgen_counts_owner(const struct entity_def *e); /* does `counts` keep rows by owner? */
#endif
