#ifndef KIT_QUERY_INT_H
#define KIT_QUERY_INT_H
/* Shared by query.c and query_filter.c only. */
#include "common/base/buf.h"
#include "common/kit/query.h"

struct query_reader {
    struct arena *a;
    const struct entity_def *e;
    enum vis_class vc;
    struct query *q;
};
/* One filter[…] parameter. */
int query_read_filter(struct query_reader *r, const char *name, const char *value, struct err *err);
/* The field if the reader may see it, else NULL. */
const struct field_def *query_field(const struct query_reader *r, const char *name, size_t n);
const char *query_echo(const char *what); /* a name fit to be repeated */
/* Splits at commas; E_invalid_parameter if there are more than max or an empty one. */
int query_split(struct arena *a, const char *param, const char *value, size_t max,
                const char ***ret, size_t *ret_n, struct err *err);
#endif
