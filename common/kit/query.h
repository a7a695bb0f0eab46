#ifndef KIT_QUERY_H
#define KIT_QUERY_H
/*
 * The query of a list or a single read: page/per_page or limit/offset, fields=, sort=, filter[x]=,
 * filter[x][op]=, include=, count=.  Names and values are checked against the entity table;
 * anything else is E_invalid_parameter, which names the parameter and lists what would be valid.
 * Only fields that the reader may see are known to him, so a filter cannot ask about a hidden one.
 *
 * Operators: eq (default) ne lt lte gt gte in nin like ilike null between contains.  Lists (in,
 * nin, between) are separated by commas.  like/ilike: * and % match any run, _ one character.
 * contains: a text array holds the value, a text has it inside, any case.  A reference is filtered
 * by id (filter[author]=7 or filter[author.id]=7), a relation by the id of a row in it
 * (filter[speakers]=3).
 */
#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/io/db.h"
#include "common/kit/vis.h"
#include "proto/entity.h"

enum {
    query_per_page_default = 20,
    query_per_page_max = 100,
    query_offset_max = 1000000,
    query_filters_max = 20,
    query_in_values_max = 100,
    query_sort_max = 5,
    query_includes_max = 8,
    query_value_bytes_max = 1024
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
    QOPS_MAX_
};
const char *query_op_name(enum query_op op);

struct query_filter {
    const struct field_def *field; /* or */
    const struct relation_def *rel;
    enum query_op op;
    struct db_val v[2]; /* [1]: between; in/nin: v[0] is a list; null: v[0] a bool */
};
struct query_sort {
    const struct field_def *field;
    bool desc;
};
struct query_include {
    const struct field_def *field;  /* F_REF, F_REFS, or */
    const struct relation_def *rel; /* set too for F_REFS */
};
enum query_count { COUNT_EXACT, COUNT_NONE };
struct query {
    bool by_offset;              /* limit/offset instead of page/per_page */
    int64_t page, limit, offset; /* always set; limit = per_page */
    enum query_count count;
    uint64_t fields; /* bit i: field i of the table is shown */
    bool fields_given;
    const char *fields_text; /* as sent, or "" */
    struct query_sort sort[query_sort_max];
    size_t nsort;
    bool sort_given;
    struct query_filter filters[query_filters_max];
    size_t nfilters;
    struct query_include includes[query_includes_max];
    size_t nincludes;
};
struct query_arg;
enum query_kind { QUERY_ONE /* fields, include */, QUERY_LIST };
int query_parse(struct arena *a, const struct entity_def *e, enum vis_class vc,
                enum query_kind kind, const struct query_arg *args, size_t nargs, struct query *ret,
                struct err *err) MUST_CHECK;
#endif
