#ifndef KIT_CRUD_CHANGES_INT_H
#define KIT_CRUD_CHANGES_INT_H
/* Shared by crud_changes.c (the pages) and crud_changes_seen.c (where they look). */
#include "common/kit/crud_int.h"

enum { changes_sql_max = 64 * 1024 };

/* The union of all that may have changed for a reader of this class: columns id, at, gone; after
 * ($1 time, $2 id), before $3, $4 rows a part; $5 is the reader's id.  `deleted`: only what may
 * have gone. */
void changes_parts(struct arena *a, struct buf *b, const struct entity_def *e, enum vis_class vc,
                   bool deleted);
#endif
