#ifndef KIT_SQLGEN_READ_INT_H
#define KIT_SQLGEN_READ_INT_H
/* Shared by the sqlgen_read*.c files only. */
#include "common/kit/sqlgen.h"

/* SELECT … with the plan's columns; `own_` follows where it is needed. */
void sqlgen_put_select(struct buf *b, struct rowplan *p, const char *uid);
/* " WHERE " and who may see the row. */
void sqlgen_put_where(struct buf *b, const struct entity_def *e, enum vis_class vc,
                      const char *uid);
unsigned sqlgen_param(struct sqlgen_text *t, struct db_val v); /* its number */
/* The text of the column that says what language the row is in, NULL::text if none does. */
void sqlgen_put_language(struct buf *b, const struct entity_def *e, const char *alias);
/* Each test of the query's filters with " AND " before it. */
void sqlgen_put_filters(struct buf *b, const struct sqlgen_who *who, const struct query *q,
                        struct sqlgen_text *t);
#endif
