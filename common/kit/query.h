#ifndef KIT_QUERY_H
#define KIT_QUERY_H
/*
 * The query of a list or a single read: page/per_page, limit/offset or cursor/limit, fields=,
 * sort=, filter[…]=, include=, count=, updated_since=, envelope=.  docs/reading.md tells clients of
 * it.
 *
 * Names and values are checked against the entity table; anything else is E_invalid_parameter,
 * which names the parameter and lists what would be valid.  Only fields that the reader may see are
 * known to him, on this entity and on those that references and relations lead to: a hidden one is
 * as unknown as one that does not exist, so that neither filter nor sort nor count tells of it.
 *
 * Filters are a tree.  filter[a]=v and filter[a][op]=v are tests; filter[or][0][…], filter[and][0]
 * […] and filter[not][…] group them; filter[author.role]=v and filter[author][role]=v look at the
 * row behind a reference, or at any row of a relation ("some").  Tests in brackets behind the same
 * relation are about one and the same row of it; dotted ones about any each.
 *
 * Operators: eq (default) ne lt lte gt gte in nin like ilike null between contains fts.  Lists (in,
 * nin, between) are separated by commas.  like/ilike: * and % match any run, _ one character.
 * contains: a text array holds the value, a text has it inside, any case.  fts: PostgreSQL's
 * full-text search in the row's language, by websearch_to_tsquery.  not, ne and nin are
 * complements: a row without a value is among them.
 */
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/io/db.h"
#include "common/kit/vis.h"
#include "proto/entity.h"

enum {
    query_per_page_default = 20,
    query_per_page_max = 100,
    query_offset_max = 1000000,
    query_tests_max = 20,           /* conditions of all filters together */
    query_filter_brackets_max = 10, /* of one filter[…]…: how deep groups are nested */
    query_steps_max = 3,            /* relations that one condition goes along */
    query_group_items_max = 20,     /* [0] … [19] of one or, and */
    query_cost_max = 100,           /* see query_filter.c */
    query_in_values_max = 100,
    query_sort_max = 5,
    query_fields_max = 100,
    query_includes_max = 8,      /* relations, each one statement */
    query_include_depth_max = 3, /* include=author.avatar.uploaded_by */
    query_value_bytes_max = 1024,
    query_cursor_bytes_max = 6144
};

enum query_op {
    QOP_EQ,
    QOP_NE,
    QOP_LT,
    QOP_LTE,
    QOP_GT,
    QOP_GTE,
    QOP_IN,
    QOP_NIN,
    QOP_LIKE,
    QOP_ILIKE,
    QOP_NULL,
    QOP_BETWEEN,
    QOP_CONTAINS,
    QOP_FTS,
    QOPS_MAX_
};
const char *query_op_name(enum query_op op);
/* Is the field part of the entity's full text?  Its text fields that people read; the index of the
 * same expression is in the program's migrations. */
bool query_searchable(const struct entity_def *e, const struct field_def *f);

enum query_node_kind {
    QN_ALL,  /* every child holds */
    QN_ANY,  /* one of them holds */
    QN_NOT,  /* not all of them hold */
    QN_HAS,  /* there is a visible row at the other end, for which every child holds */
    QN_TEST, /* a field, an operator, a value */
};
struct query_node {
    enum query_node_kind kind;
    const struct query_node *first, *next; /* children, and the next child of the same parent */
    /* QN_HAS: */
    const struct field_def *ref;    /* F_REF, or */
    const struct relation_def *rel; /* what F_REFS and reverse relations go through */
    const struct entity_def *far;
    enum vis_class vc; /* the reader's, on `far` */
    /* QN_TEST: */
    const struct field_def *field;
    enum query_op op;
    struct db_val v[2]; /* [1]: between; in/nin: v[0] is a list; null: v[0] a bool */
};
struct query_sort {
    const struct field_def *field;
    bool desc;
};
/* A relation to be read with the rows.  Parents come before their children. */
struct query_include {
    int parent;                     /* position of what it is read for; -1: the rows themselves */
    const struct field_def *field;  /* F_REF, F_REFS, or */
    const struct relation_def *rel; /* set too for F_REFS */
    const struct entity_def *far;
    enum vis_class vc; /* the reader's, on `far` */
    uint64_t fields;   /* of `far` */
    bool fields_given;
};
enum query_count { COUNT_EXACT, COUNT_NONE, COUNT_ESTIMATED };
enum query_paging { PAGING_PAGE, PAGING_OFFSET, PAGING_CURSOR };
/* A place between two rows: the values that the row on one side of it was sorted by. */
struct query_place {
    bool set;                             /* false: the beginning */
    bool back;                            /* the page before it, not the one after */
    bool inclusive;                       /* the row with these very values belongs to the page */
    const char *keys[query_sort_max + 1]; /* text forms, one a sort key; NULL is null */
};
/* A condition of the program's own on the rows `t`, beside what the reader asks for. */
enum { query_within_values_max = 4 };
struct query_within {
    const char *where; /* " AND t.block = ?": each ? is the next value; NULL: none */
    struct db_val v[query_within_values_max];
    size_t n;
};
struct query {
    enum vis_class vc;
    enum query_paging paging;
    int64_t page, limit, offset; /* limit = per_page; offset 0 with a cursor */
    const char *cursor;          /* as sent, or NULL */
    struct query_place place;    /* of the cursor, once it is opened */
    enum query_count count;
    bool bare;       /* envelope=false */
    uint64_t fields; /* bit i: field i of the table is shown */
    bool fields_given;
    const char *fields_text; /* as sent, or "" */
    /* The last key is the id or as unique, so that no two rows are equal. */
    struct query_sort sort[query_sort_max + 1];
    size_t nsort;
    bool sort_given;
    struct query_node filter; /* QN_ALL */
    size_t ntests;
    struct query_include includes[query_includes_max];
    size_t nincludes;
    struct query_within within;
};
struct query_arg;
enum query_kind { QUERY_ONE /* fields, include, envelope */, QUERY_LIST };
int query_parse(struct arena *a, const struct entity_def *e, const struct principal *who,
                enum query_kind kind, const struct query_arg *args, size_t nargs, struct query *ret,
                struct err *err) MUST_CHECK;
/* What a list without parameters asks, for readers of a class. */
void query_plain(const struct entity_def *e, enum vis_class vc, struct query *ret);
/* For machines: {"filter":{field:[operators]},"sort":[…],"default_sort":…,"include":[…],"private":
 * [fields for the owner and api:admin only],"limits":{…}}.  New reference. */
json_t *query_describe(struct arena *a, const struct entity_def *e, bool includes);
/* The test, if the filters are one `field` eq value and nothing else; else NULL. */
const struct query_node *query_only(const struct query *q, const char *field);
/* Cursors: opaque to clients, signed with the program's keys, good only for the entity, the
 * reader's visibility, the sort and the filters that they were made for (whatever the filters'
 * order). */
struct keyring;
struct query_scope {
    const struct keyring *keys;
    const struct entity_def *e;
    int64_t uid;
    const struct query_arg *args;
    size_t nargs;
};
/* All that decides which rows are in the list and in which order, appended to b. */
void query_identify(struct buf *b, const struct query_scope *s, const struct query *q);
/* q->cursor to q->place.  E_invalid_parameter at "cursor" for what is no such cursor. */
int query_open_cursor(struct arena *a, const struct query_scope *s, struct query *q,
                      struct err *err) MUST_CHECK;
/* E_invalid_parameter at "sort" if the values are too long for a cursor. */
int query_make_cursor(struct arena *a, const struct query_scope *s, const struct query *q,
                      const struct query_place *place, const char **ret,
                      struct err *err) MUST_CHECK;
/* May a row have no value here?  Then it comes last upwards and first downwards. */
bool query_nullable(const struct field_def *f);
#endif
