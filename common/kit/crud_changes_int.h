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

/* A place in the feed: what comes after (at_us, id); the copy was whole last, or begun, at whole_s.
 */
struct changes_place {
    int64_t at_us, id, whole_s;
};
/* "<µs>.<id>.<start>.<reader>".  E_invalid_parameter: not one of ours.  E_gone: of another reader,
 * or of before crud_changes_keep_days. */
int changes_place_read(struct arena *a, const char *text, const char *reader, int64_t now_us,
                       struct changes_place *ret, struct err *err) MUST_CHECK;
const char *changes_place_text(struct arena *a, const struct changes_place *p, const char *reader);
#endif
