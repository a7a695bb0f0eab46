#ifndef KIT_QUERY_INT_H
#define KIT_QUERY_INT_H
/* Shared by the query*.c files only. */
#include "common/base/buf.h"
#include "common/kit/query.h"

struct query_reader {
    struct arena *a;
    const struct principal *who;
    const struct entity_def *e;
    struct query *q;
    unsigned cost; /* of the filters so far */
};
/* Where names are looked up: the entity, and what the reader is on it. */
struct query_at {
    const struct entity_def *e;
    enum vis_class vc;
};
/* A piece of a parameter. */
struct query_word {
    const char *s;
    size_t n;
};
static inline bool query_word_is(struct query_word w, const char *text)
{
    return w.n && *w.s == *text && strlen(text) == w.n && !memcmp(w.s, text, w.n);
}
/* What is before the next dot; the rest into *ret_rest, whose .s is NULL if there is none. */
struct query_word query_before_dot(struct query_word w, struct query_word *ret_rest);

/* The field if the reader may see it on some row, else NULL. */
const struct field_def *query_field(struct query_at at, struct query_word name);
/* The same, if he may see it on every row: only these are asked about. */
const struct field_def *query_plain_field(struct query_at at, struct query_word name);
/* A reference or relation that can be followed: to an entity that the same program keeps. */
struct query_link {
    const struct field_def *field;  /* F_REF, F_REFS, or NULL */
    const struct relation_def *rel; /* F_REFS, reverse and many relations */
    struct query_at far;
};
bool query_link(const struct query_reader *r, struct query_at at, struct query_word name,
                struct query_link *ret);
/* The names of all of them, appended with commas. */
void query_put_links(const struct query_reader *r, struct query_at at, struct buf *b);

/* One filter[…] parameter. */
int query_read_filter(struct query_reader *r, const char *name, const char *value, struct err *err);
/* The value of a test, by its operator. */
int query_read_values(struct query_reader *r, const char *name, const char *value,
                      struct query_node *t, struct err *err);
/* Which operators make sense on a field, bit = enum query_op. */
unsigned query_ops_of(const struct entity_def *e, const struct field_def *f);
int query_read_fields(struct query_reader *r, const char *value, struct err *err);
int query_read_include(struct query_reader *r, const char *value, struct err *err);
void query_finish_includes(struct query *q, const struct entity_def *e);

const char *query_echo(const char *what); /* a name fit to be repeated */
/* Splits at commas; E_invalid_parameter if there are more than max or an empty one. */
int query_split(struct arena *a, const char *param, const char *value, size_t max,
                const char ***ret, size_t *ret_n, struct err *err);
#endif
