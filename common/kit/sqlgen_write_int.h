#ifndef KIT_SQLGEN_WRITE_INT_H
#define KIT_SQLGEN_WRITE_INT_H
/*
 * Shared by sqlgen_write.c (the row: w AS …) and sqlgen_write_parts.c (what follows from it: links,
 * counts, revisions, events, the record of the Idempotency-Key).
 */
#include "common/kit/sqlgen.h"

struct writer {
    struct buf *b;
    const struct entity_def *e;
    enum sqlgen_write w;
    bool has_status, has_published;
    const char *owner; /* column, or NULL */
};
static inline bool writer_inserts(const struct writer *w)
{
    return w->w == SQL_INSERT || w->w == SQL_INSERT_IDEM || w->w == SQL_INSERT_MANY;
}
/* One of the fixed parameters (WP_…) with its type; of SQL_INSERT_MANY the column of i. */
const char *writer_fixed(const struct writer *w, int param, const char *type);
/* Number of the parameter of a field, after the fixed ones. */
unsigned writer_param(const struct writer *w, const struct field_def *f);
/* JSON text of a time. */
void writer_put_time(struct buf *b, const char *expr);

void writer_put_links(struct writer *w);
void writer_put_counts(struct writer *w);
void writer_put_revision(struct writer *w);
void writer_put_events(struct writer *w);
void writer_put_idem(struct writer *w);
#endif
